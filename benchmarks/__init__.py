"""Measurements of time. Chapters show their stored results; no test passes or fails by them."""
