"""The register of the sources' errors, ``chapters/errata.yml``, as Python objects.

The page ``errata`` shows it, the other chapters link to its entries, ``proofs`` holds the checks
that decide them, and ``tests/errata`` holds all of these to each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).parents[1] / "errata.yml"
KINDS = ("equation", "code", "claim", "attribution", "terminology", "structure")
SEVERITIES = ("grave", "serious", "minor")


@dataclass(frozen=True)
class Source:
    """One of the documents that the book corrects."""

    name: str  # "000"
    file: str
    lines: int
    sha256: str
    subject: str


@dataclass(frozen=True)
class Erratum:
    """One distinct error of one document. Texts are Markdown, with citations and formulas.

    ``proof`` says how the entry is decided: ``check`` (a function in ``proofs``, under this id),
    ``tensorflow`` (the same, where TensorFlow is installed), ``trial`` (an experiment of the
    chapter ``claims``, at the label ``trial``), or ``source`` (nothing to run: ``source`` cites
    what decides it).
    ``found`` names the lists that have it: A and B, the two passes of the audit, and C, what the
    chapters' own sections named before it. An entry in none of them was met in merging these.
    """

    id: str  # "003-07": the document, and a number that is never given again
    lines: tuple[int, ...]
    kind: str
    severity: str
    title: str
    says: str
    why: str
    right: str
    source: str
    proof: str
    chapter: str
    found: tuple[str, ...]
    trial: str = ""

    @property
    def document(self) -> str:
        return self.id.partition("-")[0]

    @property
    def place(self) -> str:
        """The lines, runs joined: "lines 25–28, 77"."""
        return ("line " if len(self.lines) == 1 else "lines ") + runs(self.lines)


@dataclass(frozen=True)
class NotAnError:
    """What looks wrong in a document and is not."""

    id: str
    document: str
    lines: tuple[int, ...]
    says: str
    why: str

    place = Erratum.place


@dataclass(frozen=True)
class Term:
    """A technical term in both languages, and what the documents call it."""

    english: str
    chinese: str
    note: str = ""  # what the documents write instead, with places


@dataclass(frozen=True)
class Register:
    """The whole file."""

    documents: tuple[Source, ...]
    errors: tuple[Erratum, ...]
    not_errors: tuple[NotAnError, ...]
    glossary: tuple[Term, ...]

    def __getitem__(self, id: str) -> Erratum:
        return next(entry for entry in self.errors if entry.id == id)

    def of_chapter(self, chapter: str) -> tuple[Erratum, ...]:
        return tuple(entry for entry in self.errors if entry.chapter == chapter)


@lru_cache(1)
def register() -> Register:
    """Read the register; a field that is missing, unknown or empty is an error."""
    data = yaml.safe_load(FILE.read_text("utf8"))
    types = {"documents": Source, "errors": Erratum, "not_errors": NotAnError, "glossary": Term}
    if set(data) != set(types):
        raise ValueError(f"{FILE.name} has the lists {sorted(data)}, expected {sorted(types)}")
    return Register(**{k: tuple(_make(types[k], row) for row in data[k]) for k in types})


def _make(kind: type, row: dict[str, Any]) -> Any:
    names = {field.name for field in fields(kind)}
    if unknown := set(row) - names:
        raise ValueError(f"{FILE.name}: unknown {sorted(unknown)} in {row}")
    row = {k: tuple(v) if isinstance(v, list) else _clean(v) for k, v in row.items()}
    return kind(**row)


def _clean(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def runs(numbers: Sequence[int]) -> str:
    """Numbers with runs joined: (25, 26, 27, 77) gives "25–27, 77"."""
    parts: list[list[int]] = []
    for n in sorted(numbers):
        if parts and n == parts[-1][-1] + 1:
            parts[-1].append(n)
        else:
            parts.append([n])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}–{p[-1]}" for p in parts)


def anchor(id: str) -> str:
    """The label of an entry on the page ``errata``: "003-07" gives "err-003-07"."""
    return f"err-{id}"


IDENTIFIER = re.compile(r"00[0-4]-\d\d")
