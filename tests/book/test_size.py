"""The weight of the built book, counted from its files: what a page makes a browser load.

A page may take 2.2 MB uncompressed, with everything, and the whole book 40 MB.
"""

import functools
import re
from html.parser import HTMLParser
from pathlib import Path

import mathjax
import pytest
import slim
import styles
from fontTools.ttLib import TTFont
from sources import HTML

PAGE, BOOK = 2_200_000, 40_000_000
# A page asks for those of MathJax's fonts that its formulas need; at most this was seen.
MATHJAX_FONTS = 150_000
PAGES = [p.relative_to(HTML).as_posix() for p in sorted(HTML.rglob("*.html"))]
FONT = re.compile(r"(?:url\(|@import\s*)[\"']?(?!data:)([^\"')]+)")
CLASS = re.compile(r"(?<![^{},])\.([A-Za-z][\w-]*)(?=[{,])")  # that alone is a rule's selector


class Loads(HTMLParser):
    """What a page asks for, as it stands in its tags, and the classes of its elements."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.classes: set[str] = set()
        self.feed(page.read_text("utf8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.classes.update((values.get("class") or "").split())
        if tag == "link" and values.get("rel") in ("stylesheet", "icon", "preload"):
            self.found.add(values["href"])
        elif tag in ("script", "img", "iframe", "source", "object"):
            self.found |= {values[key] for key in ("src", "data") if values.get(key)}


read = functools.cache(Loads)


def loaded(page: Path) -> set[Path]:
    """The page, and the files that it makes a browser load."""
    files, new = {page}, [page.parent / url.split("?")[0] for url in read(page).found]
    while new:
        path = new.pop().resolve()
        if path in files:
            continue
        files.add(path)
        if path.suffix == ".css":  # its sheets, pictures, and of fonts the first form, woff2
            named = [url for url in FONT.findall(path.read_text("utf8")) if ".ttf" not in url]
            new += [path.parent / url for url in named]
        if path == HTML / "_static" / "mathjax" / "startup.js":
            new += [path.parent / part for part in mathjax.PARTS if part.endswith(".js")]
    return files


def test_the_count_sees_what_a_chapter_loads():
    names = {path.name for path in loaded(HTML / "chapters" / "vrnn.html")}
    assert names > {"custom.css", "basic.css", "fa-solid-900.woff2", "bootstrap.js", "chtml.js"}
    assert any(name.endswith(".svg") for name in names)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_light(page):
    files = loaded(HTML / page)
    size = sum(path.stat().st_size for path in files)
    size += MATHJAX_FONTS * (HTML / "_static/mathjax/startup.js" in files)
    largest = sorted(files, key=lambda path: path.stat().st_size)[-8:]
    assert size <= PAGE, [f"{path.name}: {path.stat().st_size}" for path in largest]


def test_the_book_is_light():
    assert sum(path.stat().st_size for path in HTML.rglob("*") if path.is_file()) <= BOOK


# What was left out is not missed.


def test_every_icon_of_a_style_sheet_is_in_a_font():
    css = "".join(path.read_text("utf8") for path in HTML.rglob("*.css"))
    icons = {chr(int(code, 16)) for code in re.findall(r'"\\(f[0-9a-f]{3})"', css)}
    icons |= set(re.findall("[\ue000-\uf8ff]", css))
    drawn = set()
    for path in HTML.rglob("webfonts/*.woff2"):
        font = TTFont(path)
        glyphs = font.getBestCmap()
        drawn |= {chr(code) for code, name in glyphs.items() if font["glyf"][name].numberOfContours}
    assert len(icons) > 20
    assert icons - drawn == set()


def test_every_class_of_the_pages_keeps_its_style():
    """Whatever the theme's own sheets say of a class that a page has, the book's say too."""
    import pydata_sphinx_theme
    import sphinx_design

    classes = set().union(*(read(HTML / page).classes for page in PAGES))
    for module, name in (
        (pydata_sphinx_theme, "pydata-sphinx-theme.css"),
        (sphinx_design, "sphinx-design.min.css"),
    ):
        (whole,), (short,) = Path(module.__file__).parent.rglob(name), HTML.rglob(name)
        said, kept = (set(CLASS.findall(path.read_text("utf8"))) for path in (whole, short))
        assert said & classes and said & classes - kept == set()


CSS = """/*! licence */@charset "UTF-8";/* a remark with { */.a,.gone{x:y}
.gone:not(.b){x:y}.a:not(.gone),:is(.a,.gone) p,[href$=".pdf"]{x:y}
@media print{.gone>.a{x:y}@supports (x:y){.gone{x:y}}}
@keyframes k{12.5%{x:y}}@media print{.bs-auto{x:y}}"""
SHORT = """/*! licence */@charset "UTF-8";.a{x:y}.a:not(.gone),:is(.a,.gone) p,[href$=".pdf"]{x:y}
@keyframes k{12.5%{x:y}}@media print{.bs-auto{x:y}}"""


def test_rules_for_unused_classes_go(tmp_path):
    (tmp_path / "page.html").write_text('<p class="a b">12</p>', "utf8")
    (tmp_path / "page.js").write_text('"bs-" + placement', "utf8")
    short = styles.without_unused(CSS, styles.used_classes(tmp_path))
    assert short == SHORT


def test_a_figure_becomes_shorter_once(tmp_path):
    from matplotlib.figure import Figure

    path = tmp_path / "figure.svg"
    axes = Figure().subplots()
    axes.plot([1, 2, 4])
    axes.figure.savefig(path, metadata={"Date": None})
    before = path.stat().st_size
    slim.slim_figure(path)
    short = path.read_text("utf8")
    assert len(short) < 0.7 * before and "<path" in short and "metadata" not in short
    slim.slim_figure(path)
    assert path.read_text("utf8") == short
