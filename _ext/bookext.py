"""Build-time helpers of the book.

* MathJax is served from the book itself, not from a CDN. The files come from the package
  ``sphinx-mathjax-offline``, which carries the complete MathJax 3.2.2 (24 MB); only the part that
  a page can ask for (2.2 MB) is copied.
* A comment such as ``# (eq-gru-reset)`` in displayed code becomes a link that shows the equation's
  number, ``# (5.2)``. An unknown label is a warning.
* The theme's FontAwesome script (1.5 MB; the same icons are in its CSS and web fonts), source maps
  and TrueType copies are left out.
* A TeX command that MathJax does not know, and braces or pairs that do not match, are warnings:
  Sphinx never looks at the TeX, and a reader would see the error only on the page.
* ``rnn_ref.GRU`` in a reference is found where it is defined, ``rnn_ref.gru.GRU``.
* The API page leaves out what says nothing: "Alias for field number 0" of a NamedTuple.
* What needs the repository's address follows from ``repository`` in _config.yml, or is left out.
* The test vectors are written into ``_static/vectors``, and once more as one archive.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import make_id
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ConfigError
from sphinx.util import logging

logger = logging.getLogger(__name__)

MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")
NOT_SHIPPED = (
    "*webpack-macros.html",
    "scripts/fontawesome.js*",
    "**/*.map",
    "**/*.ttf",
    "**/all-packages.js",
)
CODE_COMMENT = re.compile(r'(?<=<span class="c1">)#[^<]*(?=</span>)')
LABEL = re.compile(r"\((eq-[a-z0-9-]+)\)")
COMMAND = re.compile(r"\\([A-Za-z]+)")


# Assets


def mathjax_files() -> Path:
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "static" / "mathjax"


def copy_mathjax(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    source, target = mathjax_files(), Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target / part)


def write_vectors(app: Sphinx, error: Exception | None) -> None:
    """Write the files that chapter ``vectors`` links to; the same bytes in every build."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / "_static" / "vectors"
    files = importlib.import_module("rnn_ref.vectors").write(folder)
    with zipfile.ZipFile(folder / "vectors.zip", "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            entry = zipfile.ZipInfo(f"vectors/{path.name}", (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, path.read_bytes())


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


def share_handlers(app: Sphinx) -> None:
    """Give the builder "singlehtml" every handler of the format "html".

    sphinx-exercise registers handlers under the builder's name, which hides those that other
    extensions registered under the format's.
    """
    table = app.registry.translation_handlers
    if "singlehtml" in table:
        table["singlehtml"] = {**table.get("html", {}), **table["singlehtml"]}


# The repository


def name_repository(app: Sphinx, config: Config) -> None:
    """Buttons to the source of a page, and the canonical address of each page.

    The buttons of Jupyter Book's own key ``repository`` do not appear: what _config.yml says in
    ``html_theme_options`` replaces them.
    """
    if not config.repository:
        return
    host, owner, name = config.repository.removeprefix("https://").split("/")
    if host != "github.com":
        raise ConfigError(
            f"repository: expected https://github.com/OWNER/NAME, got {config.repository}"
        )
    config.html_theme_options |= {
        "repository_url": config.repository,
        "repository_branch": "main",
        "use_repository_button": True,
        "use_edit_page_button": True,
        "use_issues_button": True,
    }
    config.html_baseurl = config.html_baseurl or f"https://{owner.lower()}.github.io/{name}/"


# Equations in code


def equation(app: Sphinx, page: str, label: str) -> tuple[str, str] | None:
    """Address, seen from a page, and number of a labelled equation."""
    found = app.env.get_domain("math").equations.get(label)  # type: ignore[attr-defined]
    if found is None:
        return None
    document, number = found
    node_id = make_id(f"equation-{label}")
    if app.config.math_numfig and app.config.numfig:
        key, owner = "displaymath", document
        if app.builder.name == "singlehtml":
            key, owner = f"{document}/displaymath", app.config.root_doc
        numbers = app.env.toc_fignumbers.get(owner, {}).get(key, {}).get(node_id)
        number = ".".join(map(str, numbers)) if numbers else "?"
    return f"{app.builder.get_relative_uri(page, document)}#{node_id}", str(number)


def link_equations(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Turn the labels in the comments of highlighted code into links, whoever highlighted it.

    This sees the page's finished HTML: code cells, listings, module sources and the outputs in
    which a chapter shows the source of a method.
    """
    if "body" not in context:
        return

    def link(match: re.Match[str]) -> str:
        found = equation(app, page, match[1])
        if found is None:
            logger.warning("%s: code names an unknown equation: %s", page, match[1])
            return match[0]
        return f'(<a class="eq-in-code" href="{found[0]}">{found[1]}</a>)'

    context["body"] = CODE_COMMENT.sub(lambda c: LABEL.sub(link, c[0]), context["body"])


# TeX


@lru_cache(1)
def known_commands() -> frozenset[str]:
    text = (mathjax_files() / "tex-chtml.js").read_text("utf8")
    for path in (mathjax_files() / "input/tex/extensions").glob("*.js"):
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


# API


def find_by_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Resolve ``rnn_ref.GRU``, the name users import, to the page of ``rnn_ref.gru.GRU``."""
    name = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not name.startswith("rnn_ref."):
        return None
    package, public, *rest = name.split(".")
    found = getattr(importlib.import_module(package), public, None)
    if not hasattr(found, "__qualname__"):
        return None
    target = ".".join([found.__module__, found.__qualname__, *rest])
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], target, node, content
    )


def skip_field(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    doc = getattr(member, "__doc__", None) or ""
    return True if doc.startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_config_value("repository", "", "html", str)
    app.connect("config-inited", name_repository)
    app.connect("builder-inited", share_handlers)
    app.connect("doctree-read", check_math)
    app.connect("autodoc-skip-member", skip_field)
    app.connect("missing-reference", find_by_public_name)
    app.connect("html-page-context", link_equations)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_vectors)
    app.connect("build-finished", drop_unused_files, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
