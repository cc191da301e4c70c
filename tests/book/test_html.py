"""The built book, as a reader gets it. `make book` builds it; nothing is built here."""

import re

import check_html
import mathjax
import pytest
from sources import HTML, PACKAGE, ROOT, notebooks, pages


@pytest.fixture(scope="session", autouse=True)
def html():
    if not (HTML / "index.html").exists():
        pytest.fail("there is no _build/html; run `make book` first", pytrace=False)
    return HTML


def body(page: str) -> str:
    text = (HTML / f"{page}.html").read_text("utf8")
    return text[text.index("<article") : text.index("</article>")]


def test_nothing_from_outside_no_dead_link_no_image_without_text():
    count, found = check_html.problems(HTML)
    assert found == []
    assert count > len(pages())


@pytest.mark.parametrize("page", pages())
def test_page_exists_with_its_title(page):
    assert re.search(r"<h1>[^<]*\w|<h1><span[^>]*>[\d.]+ ?</span>[^<]*\w", body(page))


def test_no_page_names_a_cdn():
    """A link that a reader may follow is fine; a script's or style's address is not."""
    for path in HTML.rglob("*.html"):
        text = path.read_text("utf8")
        for host in ("jsdelivr", "unpkg", "cdnjs", "googleapis", "gstatic"):
            assert host not in text, f"{path.relative_to(HTML)} names {host}"


@pytest.mark.parametrize("page", pages())
def test_every_label_in_code_is_a_link(page):
    """Whatever shows code: after the build, no comment still carries a bare label."""
    bare = re.findall(r'<span class="c1">[^<]*\(eq-[a-z0-9-]+\)', body(page))
    assert bare == []


@pytest.mark.parametrize(
    "name", [path.stem for path in notebooks() if (PACKAGE / path.name).with_suffix(".py").exists()]
)
def test_a_cell_chapter_shows_its_source_with_equation_numbers(name):
    links = re.findall(r'class="eq-in-code" href="([^"]*)">([^<]*)<', body(f"chapters/{name}"))
    assert len(links) >= 5
    assert all(re.fullmatch(r"\d+\.\d+", number) for _, number in links), links


def test_equation_numbers_are_unique():
    """Numbering goes on from part to part; starting again would give every number twice."""
    seen = {}
    for path in notebooks():
        for number in re.findall(r'<span class="eqno">\(([\d.]+)\)', body(f"chapters/{path.stem}")):
            assert number not in seen, f"({number}) in {path.stem} and in {seen[number]}"
            seen[number] = path.stem
    assert seen


def test_braces_of_our_style_sheets_match():
    """A browser says nothing; it reads what follows as a part of what was left open."""
    for path in (ROOT / "_static").glob("*.css"):
        depth = 0
        for brace in re.findall(r"[{}]", path.read_text("utf8")):
            depth += 1 if brace == "{" else -1
            assert depth >= 0, path
        assert depth == 0, path


def test_mathjax_comes_with_the_book():
    parts = [HTML / "_static" / "mathjax" / part for part in mathjax.PARTS]
    assert [part.name for part in parts if not part.exists()] == []
    fonts = list((HTML / "_static/mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))
    assert len(fonts) > 10


def test_images_have_alternative_texts_of_their_own():
    """A file name or a cell's first words are no description."""
    for path in notebooks():
        for alt in re.findall(r'<img alt="([^"]*)"', body(f"chapters/{path.stem}")):
            assert len(alt.split()) >= 4 and "/" not in alt, f"{path.stem}: {alt!r}"


# The checker itself: a page for each thing it must find.

GOOD = '<html><body id="top"><a href="#top">a</a><img src="i.svg" alt="A line"></body></html>'


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        (GOOD, None),
        ('<script src="https://example.org/a.js"></script>', "loads from outside"),
        ('<script src="//example.org/a.js"></script>', "loads from outside"),
        ('<p style="background: url(https://example.org/a.png)">a</p>', "loads from outside"),
        ('<a href="https://example.org">a link is not a load</a>', None),
        ('<a href="nowhere.html">a</a>', "broken link"),
        ('<a href="#nowhere">a</a>', "broken fragment"),
        ('<img src="i.svg">', "without alternative text"),
        ('<img src="i.svg" alt="">', "without alternative text"),
    ],
)
def test_checker_finds(tmp_path, page, problem):
    (tmp_path / "i.svg").touch()
    (tmp_path / "page.html").write_text(page, "utf8")
    count, found = check_html.problems(tmp_path)
    assert count == 1
    assert [problem in line for line in found] == ([] if problem is None else [True])


def test_checker_reads_style_sheets(tmp_path):
    (tmp_path / "a.css").write_text("@import url('https://example.org/font.css');", "utf8")
    assert len(check_html.problems(tmp_path)[1]) == 1
