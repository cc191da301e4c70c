"""The whole book as a single page."""

from __future__ import annotations

from sphinx.application import Sphinx


def share_handlers(app: Sphinx) -> None:
    """Give the builder "singlehtml" every handler of the format "html".

    sphinx-exercise registers handlers under the builder's name, which hides those that other
    extensions registered under the format's.
    """
    table = app.registry.translation_handlers
    if "singlehtml" in table:
        table["singlehtml"] = {**table.get("html", {}), **table["singlehtml"]}


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", share_handlers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
