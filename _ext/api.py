"""The API page.

* ``rnn_ref.GRU`` in a reference is found where it is defined, ``rnn_ref.gru.GRU``.
* What says nothing is left out: "Alias for field number 0" of a NamedTuple.
"""

from __future__ import annotations

import importlib
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


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
    app.connect("autodoc-skip-member", skip_field)
    app.connect("missing-reference", find_by_public_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
