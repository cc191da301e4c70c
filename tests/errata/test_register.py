"""The register of errors: complete, and what decides each entry exists."""

import json
import re

import pytest
from book.register import FILE, IDENTIFIER, KINDS, SEVERITIES, register
from proofs import CHECKS

CHAPTERS = FILE.parent
ERRORS = register().errors


def test_ids_are_unique_and_ordered():
    ids = [entry.id for entry in ERRORS]
    assert len(ids) > 100
    assert all(IDENTIFIER.fullmatch(id) for id in ids)
    assert ids == sorted(set(ids))
    assert len({entry.id for entry in register().not_errors}) == len(register().not_errors)


def test_titles_are_unique_in_a_document():
    titles = [(entry.document, entry.title) for entry in ERRORS]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("entry", ERRORS, ids=lambda entry: entry.id)
def test_an_entry_is_complete(entry):
    document = next(d for d in register().documents if d.name == entry.document)
    assert entry.kind in KINDS and entry.severity in SEVERITIES
    assert entry.lines and all(1 <= n <= document.lines for n in entry.lines)
    assert list(entry.lines) == sorted(set(entry.lines))
    assert all([entry.title, entry.says, entry.why, entry.right, entry.source])
    assert len(entry.title) <= 80 and not entry.title.endswith(".")
    assert entry.proof in ("check", "tensorflow", "trial", "source")
    assert set(entry.found) <= {"A", "B", "C"}


def test_every_check_has_its_entry_and_every_entry_its_check():
    decided = {entry.id for entry in ERRORS if entry.proof in ("check", "tensorflow")}
    assert set(CHECKS) == decided


def labels(chapter: str) -> set[str]:
    """The section labels that a chapter defines."""
    cells = json.loads((CHAPTERS / f"{chapter}.ipynb").read_text("utf8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    return set(re.findall(r"^\((sec-[a-z0-9-]+)\)=$", text, re.M))


def test_a_trial_is_a_section_of_a_chapter():
    """The chapters' tests execute it."""
    sections = set().union(*(labels(path.stem) for path in CHAPTERS.glob("*.ipynb")))
    trials = {entry.trial for entry in ERRORS if entry.proof == "trial"}
    assert trials and trials <= sections


def test_only_a_trial_names_a_section():
    assert all(bool(entry.trial) == (entry.proof == "trial") for entry in ERRORS)
