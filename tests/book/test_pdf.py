"""The book on paper, as far as it can be tested without a browser; tools/pdf.py checks the PDF."""

import re
import sys

import pdf
import pytest
import singlehtml
from sources import ROOT

CSS = (ROOT / "_static/print.css").read_text("utf8")


# The style sheet: Sphinx puts it on every page, so it must say nothing to a screen.


def test_rules_are_for_paper_alone():
    rules = re.sub(r"/\*.*?\*/", "", CSS, flags=re.S)
    depth = 0
    for match in re.finditer(r"[{}]|[^{}\s][^{}]*", rules):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        assert depth > 0 or match[0] in ("}", "@media print "), match[0]
    assert depth == 0


def test_the_tool_measures_as_wide_as_the_style_prints():
    margins = re.search(r"@page \{\s*margin: (\d+)mm (\d+)mm", CSS)
    assert int(margins[2]) == pdf.MARGIN


@pytest.mark.parametrize(
    "control", ["a.headerlink", ".viewcode-link", ".bd-content button", ".bd-content form"]
)
def test_what_is_there_to_be_clicked_is_hidden(control):
    hidden = re.search(r"([^}]*)\{\s*display: none !important", CSS)[1]
    assert control in hidden


# The single page

PAGE = (
    '<span id="document-a/one"></span><h1 id="exercises">1</h1><a href="#exercises">here</a>'
    '<a href="#document-b">b</a><a href="#document-b#exercises">there</a>'
    '<span id="document-b"></span><h1 id="exercises">2</h1><p id="fig">f</p><a href="#fig">f</a>'
    '<a href="#document-a/one#exercises">back</a><a href="https://example.org/#x">out</a>'
)


def test_links_find_their_chapter():
    page = singlehtml.join_chapters(PAGE)
    assert re.findall(r' id="([^"]+)"', page) == [
        "document-a/one", "a-one-exercises", "document-b", "b-exercises", "fig",
    ]  # fmt: skip
    assert dict(re.findall(r'href="([^"]+)">(\w+)<', page)) == {
        "#a-one-exercises": "back", "#document-b": "b", "#b-exercises": "there",
        "#fig": "f", "https://example.org/#x": "out",
    }  # fmt: skip
    assert page.index('href="#a-one-exercises">here') < page.index('id="document-b"')


def chapter(number: str) -> str:
    return f'<h1>Gates<a class="headerlink" href="#g">#</a></h1><p>By ({number}) &amp; so on</p>'


# What a page has and paper has not: the way from an equation to its lines of code.
BACK = '<span class="eq-code"><span><a href="#a">step</a> <a href="#b">2</a></span></span>'


@pytest.mark.parametrize(("number", "differ"), [("5.2", 0), ("5.3", 1)])
def test_a_wrong_number_is_found(tmp_path, number, differ):
    for folder in ("html", "singlehtml"):
        (tmp_path / folder).mkdir()
    (tmp_path / "html/gru.html").write_text(f"<article>{chapter('5.2')}{BACK}</article><p>next</p>")
    wrapped = "".join(
        f'<div class="paper-chapter" id="document-{name}">{text}</div>'
        for name, text in {"front": "", "intro": "", "gru": chapter(number)}.items()
    )
    (tmp_path / "singlehtml/book.html").write_text(f"<article>{wrapped}</article>")
    assert len(list(pdf.differences(tmp_path))) == differ


# The tool

GOOD = {
    "formulas": 3, "typeset": 3, "wrong": [], "wide": [], "dead": [], "broken": [], "outside": [],
    "over": 0, "folded": 0, "moved": False, "chapters": 2, "pages": 20,
    "headings": ["1. Notation", "1.1. Sizes", "2. The network"], "bookmarks": 3,
    "addresses": {"https://example.org"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"typeset": 2}, "2 of 3 formulas typeset"),
        ({"formulas": 0, "typeset": 0}, "0 of 0 formulas"),
        ({"wrong": ["x"]}, "formula with an error: x"),
        ({"wide": ["pre: x"]}, "wider than the paper: pre: x"),
        ({"dead": ["#x"]}, "dead link: #x"),
        ({"broken": ["x.svg"]}, "broken image: x.svg"),
        ({"outside": ["https://x"]}, "asks for: https://x"),
        ({"folded": 1}, "1 blocks folded"),
        ({"over": 9}, "9 px wider than the paper"),
        ({"moved": True}, "another run"),
        ({"bookmarks": 2}, "2 bookmarks for 3 headings"),
        ({"pages": 9}, "9 pages for 2 chapters"),
        ({"addresses": {"file:///a"}}, "link to file:///a"),
    ],
)
def test_the_check_finds(change, message):
    found = list(pdf.problems(GOOD | change))
    assert [message in line for line in found] == ([] if message is None else [True])


def test_without_chromium_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pdf.py", str(tmp_path), str(tmp_path / "book.pdf")])
    assert pdf.main() == 2
    assert "no Chromium on the PATH" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
