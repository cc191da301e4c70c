"""The API pages.

* ``rnn_ref.GRU`` in a reference is found where it is defined, ``rnn_ref.gru.GRU``.
* "chapter ``gru``" in a docstring becomes a link; in ``help()`` it stays the name it is.
* What says nothing is left out: "Alias for field number 0" of a NamedTuple, a class's ``_type``.
* The pages with the modules' source have a place to link to for private functions as well.
"""

from __future__ import annotations

import importlib
import re
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

CHAPTERS = re.compile(r"\b[Cc]hapters?\s+``\w+``(?:(?:,|\s+and)\s+``\w+``)*")
BACK = re.compile(r'<a class="viewcode-back" href="[^"]*#([\w.]+)">\[docs\]</a>')
SIGNATURE = re.compile(r'(?<=<dt class="sig sig-object py").*?(?=</dt>)', re.S)
PARAMETERS = re.compile(r"<(/?)(dl|dd)>")
TYPES = {"params_type", "state_type", "cache_types"}


def defined_name(name: str) -> str:
    """Where a name of the package is defined: ``rnn_ref.gru.GRU`` for ``rnn_ref.GRU``."""
    package, _, public = name.partition(".")
    public, _, rest = public.partition(".")
    found = getattr(importlib.import_module(package), public, None)
    if not hasattr(found, "__qualname__"):
        return name
    return ".".join(filter(None, [found.__module__, found.__qualname__, rest]))


def find_by_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """Resolve ``rnn_ref.GRU``, the name users import, to the page of ``rnn_ref.gru.GRU``."""
    name = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not name.startswith("rnn_ref."):
        return None
    return env.get_domain("py").resolve_xref(
        env, node["refdoc"], app.builder, node["reftype"], defined_name(name), node, content
    )


def link_chapters(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    def link(match: re.Match[str]) -> str:
        return re.sub(r"``(\w+)``", r":doc:`\1 </chapters/\1>`", match[0])

    lines[:] = CHAPTERS.sub(link, "\n".join(lines)).split("\n")


def skip_what_says_nothing(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    doc = getattr(member, "__doc__", None) or ""
    return True if doc.startswith("Alias for field number") or name in TYPES else None


def anchor_private_functions(app: Sphinx) -> list[Any]:
    """Add them to what viewcode gives an anchor, which is what an API page describes."""
    for entry in filter(None, getattr(app.env, "_viewcode_modules", {}).values()):
        _, tags, described, _ = entry
        private = [
            name for name, (kind, *_) in tags.items() if kind == "def" and "._" in f".{name}"
        ]
        for name in private:
            described.setdefault(name, "reference/api")
    return []


def write_plain_signatures(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Sphinx makes a signature of several lines a list of definitions without a term."""
    if page.startswith("reference/api"):
        context["body"] = SIGNATURE.sub(lambda m: PARAMETERS.sub(plain, m[0]), context["body"])


def plain(tag: re.Match[str]) -> str:
    return "</span>" if tag[1] else f'<span class="sig-{tag[2]}">'


def drop_links_to_no_entry(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """In the modules' source, what the API leaves out has no way back to it."""
    if page.startswith("_modules/"):
        known = app.env.get_domain("py").objects  # type: ignore[attr-defined]
        context["body"] = BACK.sub(lambda m: m[0] if m[1] in known else "", context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", link_chapters)
    app.connect("autodoc-skip-member", skip_what_says_nothing)
    app.connect("missing-reference", find_by_public_name)
    app.connect("html-collect-pages", anchor_private_functions)
    app.connect("html-page-context", write_plain_signatures)
    app.connect("html-page-context", drop_links_to_no_entry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
