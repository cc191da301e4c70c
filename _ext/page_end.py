"""What a page ends with: its file for download, its module, its place in the repository.

The theme adds the previous and the next page. ``_templates/page-end.html`` writes it all out.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx

KINDS = {".ipynb": "Notebook (download)", ".md": "Text in Markdown (download)"}


class Link(NamedTuple):
    url: str
    text: str
    download: bool = False


def sources(app: Sphinx, page: str, context: dict[str, Any]) -> Iterator[Link]:
    """What a page is made from; nothing where there is no copy of its file."""
    if not context.get("sourcename"):
        return
    path = PurePosixPath(context["sourcename"])
    # As a file beside the pages, the address works without a server too.
    yield Link(context["pathto"](f"_sources/{path}", 1), KINDS[path.suffix], download=True)
    module = f"rnn_ref/{path.stem}"  # a chapter and its module share a name
    known = getattr(app.env, "_viewcode_modules", {})
    if path.parent.name == "chapters" and module.replace("/", ".") in known:
        yield Link(context["pathto"](f"_modules/{module}"), f"Source of {module}.py")
    if app.config.repository:
        yield Link(f"{app.config.repository}/blob/main/{path}", "Source in the repository")


def end_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    context["page_end"] = list(sources(app, page, context))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", end_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
