"""The page in Chinese says of the sources what the register says."""

import re

import pytest
from book.register import anchor, register
from sources import CHAPTERS, HTML, ROOT, pages

PAGE = "reference/zh"
TEXT = (ROOT / f"{PAGE}.md").read_text("utf8")
SECTIONS = dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| (\d{3}：[^|]+) \|$", re.M)
ERRORS = {entry.id: entry for entry in register().errors}


def section(document: str) -> str:
    (title,) = (title for title in SECTIONS if title.startswith(f"文档 {document}："))
    return SECTIONS[title]


def entries(text: str) -> list[str]:
    links = re.findall(r"\{ref\}`([^`]+) <([^`]+)>`", text)
    assert [label for _, label in links] == [anchor(id) for id, _ in links]
    return [id for id, _ in links]


def chapters(text: str) -> set[str]:
    return set(re.findall(r"\]\(\.\./(chapters/\w+)\.ipynb\)", text))


def test_the_page_is_in_the_contents_and_linked_from_the_front_page():
    assert PAGE in pages()
    assert f"](../{PAGE}.md)" in (CHAPTERS / "intro.ipynb").read_text("utf8")


def test_every_document_has_one_section():
    named = [title[3:6] for title in SECTIONS if title.startswith("文档 ")]
    assert named == [source.name for source in register().documents]


@pytest.mark.parametrize("document", [source.name for source in register().documents])
def test_a_section_names_grave_entries_of_its_document(document):
    """Grave ones, and serious ones where the document has not enough of the others."""
    named = [ERRORS[id] for id in entries(section(document))]
    assert len(set(named)) == len(named) >= 3
    assert {entry.document for entry in named} == {document}
    assert {entry.severity for entry in named} <= {"grave", "serious"}
    grave = {e.id for e in ERRORS.values() if e.document == document and e.severity == "grave"}
    missing = grave - {entry.id for entry in named}
    assert not missing or {entry.severity for entry in named} == {"grave"}


def test_no_entry_is_named_outside_its_section():
    inside = sum(len(entries(section(source.name))) for source in register().documents)
    assert len(entries(TEXT)) == inside


def test_the_chapters_are_in_the_contents():
    assert chapters(TEXT) and chapters(TEXT) <= set(pages())


@pytest.mark.parametrize("document", [source.name for source in register().documents])
def test_a_section_leads_to_the_chapters_of_its_entries(document):
    text = section(document)
    assert {f"chapters/{ERRORS[id].chapter}" for id in entries(text)} <= chapters(text)


def test_the_numbers_are_the_registers():
    assert f"共登记 {len(ERRORS)} 条" in TEXT
    assert f"共 {len(register().glossary)} 条" in TEXT


def test_the_terms_are_the_glossarys():
    rows = ROW.findall(TEXT)
    assert len(rows) == TEXT.count("\n| ") - 1  # all but the head
    for chinese, english, instead in rows:
        (term,) = (term for term in register().glossary if term.english == english)
        assert chinese in term.chinese.split("、")
        for part in instead.split("；"):
            document, _, words = part.partition("：")
            for word in words.split("、"):
                assert document in term.note and word in term.note, (chinese, word)


def test_the_code_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.M | re.S)
    names: dict = {}
    exec(code, names)
    assert names["grads"].x.shape == names["x"].shape
    assert names["grads"].state.h.shape == names["final_state"].h.shape


def test_the_built_page_names_its_language():
    html = (HTML / f"{PAGE}.html").read_text("utf8")
    assert re.search(r'<section[^>]* lang="zh-hans"[^>]*>\s*<h1>中文导读', html)
