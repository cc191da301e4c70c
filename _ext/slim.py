"""What no page needs is left out of the built book.

The theme's FontAwesome script (1.5 MB; the same icons are in its CSS and web fonts), source maps
and TrueType copies.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

NOT_SHIPPED = (
    "*webpack-macros.html",
    "scripts/fontawesome.js*",
    "**/*.map",
    "**/*.ttf",
    "**/all-packages.js",
)


def drop_unused_files(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        text = page.read_text("utf8")
        short = re.sub(r"[ \t]*<script[^>]*fontawesome\.js[^>]*></script>\n?", "", text)
        if short != text:
            page.write_text(short, "utf8")
    for pattern in NOT_SHIPPED:
        for path in (out / "_static").glob(pattern):
            path.unlink()
    shutil.rmtree(out / "_static" / "locales", ignore_errors=True)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", drop_unused_files, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
