"""Of the style sheets, only what the book uses; of the icon fonts, only those sheets' icons.

The sheets of the theme and of the extensions serve every site that could be made with them: 550 kB
on each page, of which this book uses 160 kB. A rule is left out if it asks for a class that no page
has and no script names. This is found anew in each build, from the pages as they were written.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

Used = Callable[[str], bool]

COMMENT_OR_RULE = re.compile(
    r"/\*.*?\*/|(?P<selectors>(?:[^{};/]|/(?!\*))*)(?P<body>\{[^{}]*\})", re.S
)
NOTHING = re.compile(r"@(?:media|supports)[^{};]*\{\s*\}")
# What stands in parentheses may be a negation or an alternative, and in brackets a file name.
IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^][]*\]")
CLASS = re.compile(r"\.([A-Za-z_-][\w-]*)(\\?)")
ICON = re.compile(r"\\([0-9a-f]{2,6})|([\ue000-\uf8ff])")  # "\f019", or the character itself


def used_classes(out: Path) -> Used:
    """Whether a page or a script names a class, or a script the beginning ("bs-") of its name."""
    words: set[str] = set()
    for path in [*out.rglob("*.html"), *out.rglob("*.js")]:
        if path.name != "searchindex.js" and "mathjax" not in path.parts:
            words.update(re.findall(r"[\w-]+", path.read_text("utf8")))
    beginnings = tuple(word for word in words if re.fullmatch(r"[a-z][a-z-]*-", word))
    return lambda name: name in words or name.startswith(beginnings)


def without_unused(css: str, used: Used) -> str:
    """A style sheet without comments, except for licences, and without rules for unused classes."""

    def applies(selector: str) -> bool:
        found = 1
        while found:
            selector, found = IN_BRACKETS.subn("", selector)
        return all(escape or used(name) for name, escape in CLASS.findall(selector))

    def shorten(match: re.Match[str]) -> str:
        if match["body"] is None:
            return match[0] if match[0].startswith("/*!") else ""
        kept = [selector for selector in split(match["selectors"]) if applies(selector)]
        return ",".join(kept) + match["body"] if kept else ""

    css = COMMENT_OR_RULE.sub(shorten, css)
    found = 1
    while found:
        css, found = NOTHING.subn("", css)
    return re.sub(r"\n\s*\n+", "\n", css).lstrip()


def split(selectors: str) -> list[str]:
    """Split at the commas that stand in no parentheses."""
    parts, depth = [""], 0
    for piece in re.split(r"([(),])", selectors):
        depth += (piece == "(") - (piece == ")")
        if piece == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def slim_styles(out: Path) -> None:
    used = used_classes(out)
    for path in out.rglob("*.css"):
        path.write_text(without_unused(path.read_text("utf8"), used), "utf8")


def slim_icon_fonts(out: Path) -> None:
    """Leave in each font the characters that a style sheet, now short, still asks for."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    logging.getLogger("fontTools").setLevel(logging.WARNING)
    css = "".join(path.read_text("utf8") for path in sorted(out.rglob("*.css")))
    icons = {int(code, 16) if code else ord(character) for code, character in ICON.findall(css)}
    for path in sorted(out.rglob("webfonts/*.woff2")):
        font = TTFont(path, recalcTimestamp=False)
        subsetter = Subsetter(Options(layout_features=[]))
        subsetter.populate(unicodes=icons)
        subsetter.subset(font)
        font.flavor = "woff2"
        font.save(path)
