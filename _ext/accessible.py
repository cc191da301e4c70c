"""What Sphinx writes and a screen reader would take amiss, put right in the page's HTML."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

SCROLLS = '<div style="overflow-x: auto">'
EMPTY_HEAD = re.compile(r'<th(?: class="head")?>\s*(?:<p></p>)?\s*</th>')


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """See the comments; no template or style sheet reaches this."""
    body = context.get("body", "")
    # The entries of a bibliography are items of their list: the older role is no longer one.
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    # The empty corner of a table is not the head of a column.
    body = EMPTY_HEAD.sub("<td></td>", body)
    # What scrolls is reached by the keyboard; the theme sees to that only for boxes of its own.
    body = body.replace(SCROLLS, f'{SCROLLS[:-1]} tabindex="0">')
    if body:
        context["body"] = body


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
