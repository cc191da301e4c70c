"""From code to its equation and back, and what each page ends with, in the built book."""

import re
from functools import lru_cache
from posixpath import dirname, join, normpath

import pytest
from sources import HTML, PACKAGE, ROOT, notebooks, pages

CHAPTERS = [f"chapters/{path.stem}" for path in notebooks()]


@lru_cache
def html(page: str) -> str:
    return (HTML / f"{page}.html").read_text("utf8")


def code_to_equation(page: str) -> set[tuple[str, str]]:
    """The equations that code on a page links to: page and id."""
    found = re.findall(r'class="eq-in-code" href="([^"#]*)#([^"]*)"', html(page))
    here = dirname(page)
    return {
        (normpath(join(here, address.removesuffix(".html"))) if address else page, id)
        for address, id in found
    }


def ways_back(page: str, id: str) -> list[str]:
    """The ids of the lines that an equation's number leads to."""
    number = html(page).partition(f'id="{id}">')[2].partition("\\[")[0]
    return re.findall(r'<a href="#(code-[^"]*)"', number)


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_way_from_code_to_an_equation_has_its_way_back(page):
    for owner, id in sorted(code_to_equation(page)):
        lines = ways_back(owner, id)
        assert lines, f"{owner}: {id} has no link to the code that names it"
        for line in lines:
            after = html(owner).partition(f'class="eq-line" id="{line}">')[2].partition("\n")[0]
            assert f'href="#{id}"' in after, f"{owner}: the line {line} does not name {id}"


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_line_that_names_an_equation_of_its_page_is_led_to(page):
    anchors = re.findall(r'class="eq-line" id="([^"]*)"', html(page))
    assert len(set(anchors)) == len(anchors)
    links = re.findall(r'class="eq-in-code" href="#([^"]*)"', html(page))
    led_to = [line for id in sorted(set(links)) for line in ways_back(page, id)]
    assert sorted(led_to) == sorted(anchors) and len(anchors) == len(links)


def neighbours(page: str) -> tuple[str | None, str | None]:
    footer = html(page).partition('<footer class="prev-next-footer')[2].partition("</footer>")[0]
    found = dict(re.findall(r'class="(left-prev|right-next)"\s+href="([^"]*)"', footer))
    here = dirname(page)
    return tuple(
        normpath(join(here, found[side].removesuffix(".html"))) if side in found else None
        for side in ("left-prev", "right-next")
    )


@pytest.mark.parametrize("page", pages())
def test_a_page_leads_to_the_one_before_and_the_one_after(page):
    order = pages()
    at = order.index(page)
    before = order[at - 1] if at else None
    after = order[at + 1] if at + 1 < len(order) else None
    assert neighbours(page) == (before, after)


@pytest.mark.parametrize("page", pages())
def test_a_page_ends_with_its_file_and_its_module(page):
    end = html(page).partition('<nav class="page-end')[2].partition("</nav>")[0]
    links = re.findall(r'<a href="([^"]*)"( download)?>([^<]*)</a>', end)
    (file, download, text), *others = links
    source = (HTML / dirname(page) / file).resolve()
    assert source.relative_to(HTML / "_sources").with_suffix("").as_posix() == page
    assert source.read_bytes() == (ROOT / page).with_suffix(source.suffix).read_bytes()
    assert download and text.startswith({".ipynb": "Notebook", ".md": "Text"}[source.suffix])
    module = (PACKAGE / page.partition("/")[2]).with_suffix(".py")
    modules = [href for href, _, text in others if text == f"Source of rnn_ref/{module.name}"]
    assert len(modules) == module.exists()
    for href in modules:
        target = (HTML / dirname(page) / href).resolve()
        assert target == HTML / f"_modules/rnn_ref/{module.stem}.html" and target.exists()
