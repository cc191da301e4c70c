"""Check the built book: no page loads anything from outside, every internal link and fragment
exists, every image has an alternative text.

    python tools/check_html.py _build/html
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    ("script", "src"),
    ("img", "src"),
    ("link", "href"),
    ("iframe", "src"),
    ("source", "src"),
    ("video", "src"),
    ("audio", "src"),
    ("object", "data"),
}
CSS_LOAD = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)""")


class Page(HTMLParser):
    """What a page defines, links to and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.no_alt: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value for key, value in attrs if value}
        self.ids |= {values[key] for key in ("id", "name") if key in values}
        for key in ("href", "src", "data"):
            if key in values and (key != "data" or tag == "object"):
                loads = (tag, key) in LOADS and values.get("rel") != "canonical"
                (self.loads if loads else self.links).append(values[key])
        self.loads += CSS_LOAD.findall(values.get("style", ""))
        if tag == "img" and "alt" not in values:
            self.no_alt.append(values.get("src", "?"))


def problems(root: Path) -> tuple[int, list[str]]:
    """The number of pages, and a line for everything that is wrong."""
    root = root.resolve()
    pages = {}
    for path in sorted(root.rglob("*.html")):
        pages[path] = page = Page()
        page.feed(path.read_text("utf8"))
    found = []
    for path, page in pages.items():
        name = path.relative_to(root)
        found += [f"{name}: image without alternative text: {src}" for src in page.no_alt]
        for url in page.loads + page.links:
            parts = urlsplit(url)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if url in page.loads:
                    found.append(f"{name}: loads from outside: {url}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists():
                found.append(f"{name}: broken link: {url}")
            elif target in pages and unquote(parts.fragment) not in {"", *pages[target].ids}:
                found.append(f"{name}: broken fragment: {url}")
    for path in sorted(root.rglob("*.css")):
        for url in CSS_LOAD.findall(path.read_text("utf8")):
            found.append(f"{path.relative_to(root)}: loads from outside: {url}")
    return len(pages), found


def main(root: Path) -> int:
    pages, found = problems(root)
    for line in found:
        print(line)
    print(f"{pages} pages, {len(found)} problems")
    return 1 if found or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
