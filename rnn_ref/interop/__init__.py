"""Parameters from and to other libraries, one module for each.

Importing one of the modules needs NumPy alone. A function that has to build something of the other
library imports it when called, and says what to install where it is missing.
"""
