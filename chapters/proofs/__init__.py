"""Executable checks of the register: the printed form fails, the corrected form passes.

check("003-07", printed=..., corrected=..., fails=...)
    Register the decorated function as the check of an entry. It takes a form, that is a function
    as the document prints it or as it should be, and raises if the form is wrong.
prove("003-07")
    Run a check on both forms and print what came of it.
CHECKS
    All checks by the id of their entry.

Each module ``document_<number>`` holds the checks of one document, in the order of its lines, and
the forms that they try. A form is transcribed as far as the check needs it, in the document's
letters. What several checks ask is in ``proofs.ask``.
"""

from .registry import CHECKS, Check, check, prove

__all__ = ["CHECKS", "Check", "check", "prove"]

from . import document_000, document_001, document_002, document_003, document_004  # noqa: F401
