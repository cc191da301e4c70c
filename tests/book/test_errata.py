"""The register of errors on the built pages: everything shown, everything linked."""

import pytest
from book.register import anchor, register
from sources import HTML


def page(chapter: str) -> str:
    return (HTML / "chapters" / f"{chapter}.html").read_text("utf8")


@pytest.mark.parametrize("entry", register().errors, ids=lambda entry: entry.id)
def test_an_entry_is_shown_and_linked_from_its_chapter(entry):
    assert page("errata").count(f'id="{anchor(entry.id)}"') == 1
    assert f'href="errata.html#{anchor(entry.id)}"' in page(entry.chapter)


@pytest.mark.parametrize("entry", register().not_errors, ids=lambda entry: entry.id)
def test_what_is_no_error_is_shown(entry):
    assert page("errata").count(f'id="{anchor(entry.id)}"') == 1


def test_every_term_is_shown():
    assert [
        term.chinese for term in register().glossary if term.chinese not in page("errata")
    ] == []
