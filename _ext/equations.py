"""Equations and the lines of code that compute them lead to each other.

* A comment such as ``# (eq-gru-reset)`` in displayed code becomes a link that shows the equation's
  number, ``# (5.2)``. An unknown label is a warning.
* Beside the number of an equation stand links back to the lines of its page's code that name it,
  by function: ``step``, ``_backward``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from docutils import nodes
from docutils.nodes import make_id
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

CODE_COMMENT = re.compile(r'(?<=<span class="c1">)#[^<]*(?=</span>)')
LABEL = re.compile(r"\((eq-[a-z0-9-]+)\)")
DEFINITION = re.compile(r'<span class="nf">(\w+)</span>')
TAG = re.compile(r"<[^>]*>")
NUMBERED = re.compile(
    r'id="(?P<id>equation-[\w-]+)">\s*<span class="eqno">\((?P<number>[\d.]+)\)<a .*?</a>'
)


class Line(NamedTuple):
    """A line of code that names an equation."""

    id: str
    function: str  # "" outside of every function


def equation(app: Sphinx, page: str, label: str) -> tuple[str, str] | None:
    """Address, seen from a page, and number of a labelled equation."""
    found = app.env.get_domain("math").equations.get(label)  # type: ignore[attr-defined]
    if found is None:
        return None
    document, number = found
    node_id = make_id(f"equation-{label}")
    address = f"{app.builder.get_relative_uri(page, document)}#{node_id}"
    key, owner = "displaymath", document
    if app.builder.name == "singlehtml":
        address = f"#{node_id}"
        key, owner = f"{document}/displaymath", app.config.root_doc
    if app.config.math_numfig and app.config.numfig:
        numbers = app.env.toc_fignumbers.get(owner, {}).get(key, {}).get(node_id)
        number = ".".join(map(str, numbers)) if numbers else "?"
    return address, str(number)


def link_equations(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Link code and equations in a page's finished HTML.

    It holds all displayed code, whoever highlighted it: code cells, listings, module sources and
    the outputs in which a chapter shows the source of a method.
    """
    if "body" not in context:
        return
    lines: dict[str, list[Line]] = {}
    linked = "\n".join(link_code(app, page, context["body"].split("\n"), lines))
    context["body"] = NUMBERED.sub(lambda eq: eq[0] + links_back(eq, lines), linked)


def link_code(
    app: Sphinx, page: str, html: list[str], lines: dict[str, list[Line]]
) -> Iterator[str]:
    """The lines of a page, with links to the equations that comments name.

    Where the equation is on the same page, the line gets an anchor, noted in ``lines``
    under the id of the equation.
    """
    function = ""
    for line in html:
        before, pre, code = line.rpartition("<pre>")
        if pre or re.match(r"\w", TAG.sub("", code)):  # a new listing, or out of the function
            function = ""
        if defined := DEFINITION.search(code):
            function = defined[1]
        code, addresses = link_comments(app, page, code)
        anchors = ""
        for address in addresses:
            if address.startswith("#") and app.builder.name != "singlehtml":
                known = lines.setdefault(address[1:], [])
                name = address.removeprefix("#equation-")
                known.append(Line(f"code-{name}-{len(known) + 1}", function))
                anchors += f'<span class="eq-line" id="{known[-1].id}"></span>'
        yield before + pre + anchors + code


def link_comments(app: Sphinx, page: str, code: str) -> tuple[str, list[str]]:
    """A line of highlighted code with its labels as links, and the links' addresses."""
    addresses = []

    def link(label: re.Match[str]) -> str:
        found = equation(app, page, label[1])
        if found is None:
            logger.warning("%s: code names an unknown equation: %s", page, label[1])
            return label[0]
        address, number = found
        addresses.append(address)
        return f'(<a class="eq-in-code" href="{address}">{number}</a>)'

    linked = CODE_COMMENT.sub(lambda comment: LABEL.sub(link, comment[0]), code)
    return linked, addresses


def links_back(eq: re.Match[str], lines: dict[str, list[Line]]) -> str:
    """From an equation's number to its lines: the name of each function, then 2, 3 … for more."""
    by_function: dict[str, list[str]] = {}
    for line in lines.get(eq["id"], []):
        ids = by_function.setdefault(line.function, [])
        name, where = line.function or "code", f" in {line.function}" if line.function else ""
        count, place = len(ids) + 1, ""
        if ids:
            name, place = str(count), f", line {count}"
        title = f"Equation ({eq['number']}){where or ' in code'}{place}"
        ids.append(f'<a href="#{line.id}" title="{title}" aria-label="{title}">{name}</a>')
    rows = "".join(f"<span>{' '.join(links)}</span>" for links in by_function.values())
    return f'<span class="eq-code">{rows}</span>' if rows else ""


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link_equations)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
