"""The checks themselves: a small page for each thing that they must find."""

import built
import checks
import pytest

MATHJAX = built.HTML / "_static" / "mathjax"
TYPESET = (
    '<script>MathJax = {loader: {load: ["input/tex", "output/chtml"]},'
    ' options: {processHtmlClass: "math"}}</script>'
    '<script defer src="mathjax/startup.js"></script>'
)
GOOD = '<p>Text</p><img src="line.svg" alt="A line">'
PAGE = """<!doctype html><html lang="en"><head><title>Page</title><link rel="icon" href="line.svg">
<meta name="viewport" content="width=device-width"></head><body>
<main><h1>Page</h1>{}</main></body></html>"""
LINE = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><path d="M0 0L9 9"/></svg>'


@pytest.mark.parametrize(
    ("found", "body"),
    [
        ("", GOOD),
        ("", TYPESET + r'<p class="math">\(x^2\)</p>'),
        ("requests console", '<link rel="stylesheet" href="http://127.0.0.1:9/a.css">'),
        ("console", "<script>nowhere.call()</script>"),
        ("console", '<script src="nowhere.js"></script>'),
        ("console", "<script>console.error('wrong')</script>"),
        ("formulas", r'<p class="math">\(x^2\)</p>'),
        ("formulas", TYPESET + r'<p class="math">\(\frac{1}\)</p>'),
        ("images console", '<img src="nowhere.svg" alt="A line">'),
        ("images", '<img src="line.svg" alt="">'),
        ("images axe", '<img src="line.svg">'),
        ("overflow", '<div style="width: 500px">wide for a phone</div>'),
        ("overflow", '<details><div style="width: 1300px">folded</div></details>'),
        ("axe", '<p style="color: #999">Text</p>'),
        ("axe", '<p class="a">Text</p><style>.a {background: #222; color: #eee}'
         "@media (prefers-color-scheme: dark) {.a {color: #666}}</style>"),
        ("axe", "<button></button>"),
        ("axe", '<p>More than <a href="#" style="color: #444; text-decoration: none">this</a></p>'),
        ("axe", '<div id="a"><ul><p>No item</p></ul></div>'),
        ("size", "<!--" + "-" * 2_300_000 + "-->"),
    ],
)  # fmt: skip
def test_finds(browser, tmp_path, found, body):
    (tmp_path / "mathjax").symlink_to(MATHJAX)
    (tmp_path / "line.svg").write_text(LINE)
    (tmp_path / "page.html").write_text(PAGE.format(body), "utf8")
    with built.serve(tmp_path) as base:
        wrong, _ = checks.examine(browser, base, tmp_path, "page.html")
    assert {name for name, lines in wrong.items() if lines} == set(found.split())
