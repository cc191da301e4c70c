"""What no page needs is left out of the built book.

* The theme's FontAwesome script (1.5 MB; the same icons are in its CSS and web fonts), source maps
  and TrueType copies.
* The search index (200 kB) and its scripts, which the theme loads on each page for a search while
  one types; this book searches on the page for that.
* What Matplotlib writes into a figure and nobody sees: of 3.2 MB, 1.4.
* Rules of style sheets, and icons, that the book does not use: ``styles.py``.
"""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import styles
from scour import scour
from sphinx.application import Sphinx

NOT_SHIPPED = (
    "*webpack-macros.html",
    "scripts/fontawesome.js*",
    "**/*.map",
    "**/*.ttf",
    "**/all-packages.js",
)
ICON_SCRIPT = r"fontawesome\.js"
ASSET = re.compile(r'((?:href|src)="(?!\w+:|//)([^"?#]+\.(?:css|js)))(?:\?[^"]*)?"')
SEARCH_SCRIPTS = r'["/](?:searchtools|language_data|searchindex)\.js'


def slim_book(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    drop_unused_files(out / "_static")
    pages = sorted(out.rglob("*.html"))
    for page in pages:
        drop_scripts(page)
    for figure in out.glob("_images/*.svg"):
        slim_figure(figure)
    styles.slim_styles(out)
    styles.slim_icon_fonts(out)
    checksum = cache(lambda path: f"{zlib.crc32(path.read_bytes()):08x}")
    for page in pages:
        name_versions(page, checksum)


def drop_unused_files(static: Path) -> None:
    for pattern in NOT_SHIPPED:
        for path in static.glob(pattern):
            path.unlink()
    shutil.rmtree(static / "locales", ignore_errors=True)


def drop_scripts(page: Path) -> None:
    names = ICON_SCRIPT if page.name == "search.html" else f"{ICON_SCRIPT}|{SEARCH_SCRIPTS}"
    text = page.read_text("utf8")
    short = re.sub(rf"[ \t]*<script[^>]*(?:{names})[^>]*></script>\n?", "", text)
    if short != text:
        page.write_text(short, "utf8")


def slim_figure(path: Path) -> None:
    """Shorten a figure as Matplotlib wrote it; coordinates keep five digits."""
    text = path.read_text("utf8")
    if not text.startswith("<?xml"):  # done, in an earlier build
        return
    options = scour.sanitizeOptions()
    options.strip_xml_prolog = options.strip_comments = options.remove_metadata = True
    options.strip_ids = options.shorten_ids = True
    options.indent_type, options.newlines = "none", False
    path.write_text(scour.scourString(text, options), "utf8")


def name_versions(page: Path, checksum: Callable[[Path], str]) -> None:
    """Give the address of each script and style sheet a checksum of what is left of it.

    A browser then takes no old one for it. Sphinx's are those of the files before, and lack where
    a file comes late in a first build.
    """
    text = page.read_text("utf8")
    named = ASSET.sub(lambda m: f'{m[1]}?v={checksum((page.parent / m[2]).resolve())}"', text)
    if named != text:
        page.write_text(named, "utf8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", slim_book, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
