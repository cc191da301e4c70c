"""MathJax comes with the book, and TeX is checked when the book is built.

* MathJax is served from the book itself, not from a CDN. The files come from the package
  ``sphinx-mathjax-offline``, which carries the complete MathJax 3.2.2 (24 MB); only the part that
  a page can ask for (1.8 MB) is copied. Of that, a page loads the components named below (0.75 MB)
  and the fonts it uses. The menu on a formula (0.4 MB) is not among them; the MathML that screen
  readers need is.
* A TeX command that MathJax does not know, and braces or pairs that do not match, are warnings:
  Sphinx never looks at the TeX, and a reader would see the error only on the page.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

logger = logging.getLogger(__name__)

COMPONENTS = ("input/tex", "output/chtml", "a11y/assistive-mml")
PARTS = (
    *("startup.js", "core.js", *(f"{name}.js" for name in COMPONENTS)),
    *("output/chtml/fonts/tex.js", "output/chtml/fonts/woff-v2", "input/tex/extensions"),
)
COMMAND = re.compile(r"\\([A-Za-z]+)")


def mathjax_files() -> Path:
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "static" / "mathjax"


def load_components(app: Sphinx, config: Config) -> None:
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {"loader": {"load": list(COMPONENTS)}} | config.mathjax3_config


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    source, target = mathjax_files(), Path(app.outdir) / "_static" / "mathjax"
    for part in PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target / part)


@lru_cache(1)
def known_commands() -> frozenset[str]:
    folder = mathjax_files() / "input"
    text = ""
    for path in (folder / "tex.js", *(folder / "tex" / "extensions").glob("*.js")):
        text += path.read_text("utf8")
    # Commands are keys of tables, delimiters such as \langle keys with their backslash.
    return frozenset(re.findall(r'[{,]"?(?:\\\\)?([A-Za-z]+)"?:', text))


def tex_problems(tex: str, macros: set[str]) -> Iterator[str]:
    """What MathJax would refuse, as far as that shows without running it."""
    for name in COMMAND.findall(tex):
        if name not in macros and name not in known_commands():
            yield f"TeX command unknown to MathJax: \\{name}"
    bare = re.sub(r"\\[\\{}]", "", tex)
    depth = 0
    for brace in re.findall(r"[{}]", bare):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            break
    if depth:
        yield "TeX braces do not match"
    for opening, closing in (("left", "right"), ("begin", "end")):
        count = [len(re.findall(rf"\\{name}(?![A-Za-z])", tex)) for name in (opening, closing)]
        if count[0] != count[1]:
            yield f"TeX: {count[0]} \\{opening} but {count[1]} \\{closing}"


def check_math(app: Sphinx, doctree: nodes.document) -> None:
    macros = set((app.config.mathjax3_config or {}).get("tex", {}).get("macros", {}))
    for node in doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block)):
        for problem in tex_problems(node.astext(), macros):
            logger.warning("%s", problem, location=node)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", load_components)
    app.connect("doctree-read", check_math)
    app.connect("build-finished", copy_mathjax)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
