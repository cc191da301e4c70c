"""Where the checks are kept, and how one is run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Form = Callable[..., Any]


@dataclass(frozen=True)
class Check:
    """One check: ``accept`` raises on the form as printed, and not on the corrected one.

    ``fails`` is the exception that the printed form must raise and a pattern that its message must
    contain, so that a printed form cannot fail for another reason than the entry's.
    """

    id: str
    accept: Callable[[Form], None]
    printed: Form
    corrected: Form
    fails: tuple[type[Exception], str]

    def run(self) -> str:
        """Try both forms. Returns the message with which the printed one fails."""
        kind, pattern = self.fails
        try:
            self.accept(self.printed)
        except kind as error:
            message = f"{type(error).__name__}: {error}"
            if not re.search(pattern, message):
                raise AssertionError(
                    f"{self.id}: as printed it fails with {message!r}, expected {pattern!r}"
                ) from error
        else:
            raise AssertionError(f"{self.id}: as printed it passes its check")
        self.accept(self.corrected)
        return message


CHECKS: dict[str, Check] = {}


def check(
    id: str,
    *,
    printed: Form,
    corrected: Form,
    fails: str,
    error: type[Exception] = AssertionError,
) -> Callable[[Callable[[Form], None]], Callable[[Form], None]]:
    """Register the check of an entry.

    Parameters
    ----------
    id
        The entry's id in ``chapters/errata.yml``.
    printed, corrected
        The two forms. Each is handed to the check, which calls it.
    fails
        Pattern that the message of the printed form's failure must contain.
    error
        The exception that the printed form must raise: ``AssertionError`` where the check finds
        something false, or what Python itself raises when the form cannot run.
    """

    def register(accept: Callable[[Form], None]) -> Callable[[Form], None]:
        if id in CHECKS:
            raise ValueError(f"two checks for {id}")
        CHECKS[id] = Check(id, accept, printed, corrected, (error, fails))
        return accept

    return register


def prove(*ids: str) -> None:
    """Run the checks of some entries, and print how both forms fared."""
    for id in ids:
        message = CHECKS[id].run().removeprefix("AssertionError: ").splitlines()[0]
        print(textwrap.fill(f"{id}  as printed: {message}", 78, subsequent_indent=" " * 20))
        print(f"{'':8}corrected:  passes")
