"""Every page of the book in a browser: light and dark, on a desktop and on a phone."""

import built
import checks
import pytest


@pytest.mark.parametrize("name", built.pages() or ["index.html"])
def test_page(browser, base, name, record_property, request):
    pictures = request.config.getoption("--pictures")
    wrong, counts = checks.examine(browser, base, built.HTML, name, pictures)
    record_property("page", name)
    record_property("row", row(name, wrong, counts))
    lines = [f"{check}: {line}" for check, lines in wrong.items() for line in lines]
    assert not lines, "\n".join(lines)


def row(name: str, wrong: dict[str, list[str]], counts: dict[str, int]) -> str:
    """A line of the table page × check: what was counted, or how much is wrong."""
    good = dict.fromkeys(checks.CHECKS, "ok")
    good |= {check: f"{counts[check]} ok" for check in ("formulas", "images")}
    cells = [f"**{len(wrong[c])} wrong**" if wrong[c] else good[c] for c in checks.CHECKS[:-1]]
    size = f"{counts['size'] / 1e3:.0f}"
    cells += [str(counts["lesser"]), f"**{size}**" if wrong["size"] else size]
    return f"| {name} | {' | '.join(cells)} |"


def test_the_whole_book_is_small():
    assert sum(path.stat().st_size for path in built.HTML.rglob("*") if path.is_file()) <= 40e6


def test_index_leads_to_the_first_page(page):
    page.goto("index.html")
    page.wait_for_url("**/chapters/intro.html")
