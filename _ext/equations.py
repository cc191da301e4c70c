"""A comment such as ``# (eq-gru-reset)`` in displayed code becomes a link that shows the
equation's number, ``# (5.2)``. An unknown label is a warning.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.nodes import make_id
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

CODE_COMMENT = re.compile(r'(?<=<span class="c1">)#[^<]*(?=</span>)')
LABEL = re.compile(r"\((eq-[a-z0-9-]+)\)")


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


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link_equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
