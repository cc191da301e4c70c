"""Take the README's picture of a page, from the built book.

    python tools/readme_picture.py _build/html _static/readme-page.png

Needs the extra "browser" and a Chromium on the PATH.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import chromium
from PIL import Image
from playwright.sync_api import sync_playwright

PAGE, PLACE = "chapters/gru.html", "equation-eq-gru-n-before"
ABOVE = 60  # pixels, of what stands before that place
COLORS = 64


def picture(page_file: Path) -> Image.Image:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=chromium.ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1060}, color_scheme="light")
        page.goto(page_file.resolve().as_uri())
        page.wait_for_function(chromium.TYPESET)
        page.evaluate(
            "([id, above]) => scrollTo(0, document.getElementById(id)"
            ".getBoundingClientRect().top + scrollY - above)",
            [PLACE, ABOVE],
        )
        page.wait_for_timeout(1000)  # the contents at the side follow
        data = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(data))


def main(html: Path, target: Path) -> None:
    small = picture(html / PAGE).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    small.save(target, optimize=True)
    print(f"{target}: {target.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
