"""The whole book as a single page, ``_build/singlehtml/book.html``, made to be printed.

What Sphinx's builder leaves open is settled here:

* The chapters follow the front page instead of being a part of its last section.
* An id that several chapters use (``exercises``) gets its chapter's name before it, and every
  link, which says in which chapter its target is, finds that one.
* A title page and the contents come first. ``tools/pdf.py`` writes the page numbers into them.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.singlehtml import SingleFileHTMLBuilder

ROOT = Path(__file__).parents[1]
START = re.compile(r'<span id="document-([^"]+)"></span>')
ID = re.compile(r'(?<= id=")[^"]+(?=")')
LINK = re.compile(r'(?<= href=")(?:[^"#]*#document-([^"#]+))?#([^"]+)(?=")')


class OnePage(SingleFileHTMLBuilder):
    def get_outfilename(self, pagename: str) -> str:
        """At the top of the output folder: the links to styles and pictures start there."""
        if pagename == self.config.root_doc:
            return str(Path(self.outdir) / "book.html")
        return super().get_outfilename(pagename)

    def fix_refuris(self, tree: nodes.Node) -> None:
        """Leave ``#document-chapters/gru#fig-gru`` as it is; Sphinx drops the chapter."""

    def assemble_doctree(self) -> nodes.document:
        tree = super().assemble_doctree()
        chapters = list(tree.findall(addnodes.start_of_file))
        for chapter in chapters:
            holder = chapter.parent
            holder.remove(chapter)
            tree.append(chapter)
            if not holder.astext():
                holder.parent.remove(holder)
        # The section that held them all has nothing left but its title.
        for section in list(tree[0].findall(nodes.section)):
            if all(isinstance(child, nodes.title | nodes.target) for child in section):
                section.parent.remove(section)
        return tree


def make_one_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if app.builder.name == "singlehtml" and page == app.config.root_doc:
        starts = [f'<span id="document-{name}"></span>' for name in ("front", page)]
        body = join_chapters(starts[0] + front(app) + starts[1] + context["body"])
        context["body"] = f"<style>{running_heads(app)}</style>\n{body}"


def join_chapters(body: str) -> str:
    """Wrap each chapter into a block that carries its name, and make ids and links unique."""
    texts = START.split(body)[1:]
    chapters = dict(zip(texts[::2], texts[1::2], strict=True))
    count = Counter(name for text in chapters.values() for name in set(ID.findall(text)))

    def unique(chapter: str, name: str) -> str:
        return f"{chapter.replace('/', '-')}-{name}" if count[name] > 1 else name

    def link(chapter: str, match: re.Match[str]) -> str:
        return f"#{unique(match[1] or chapter, match[2])}"

    pages = []
    for name, text in chapters.items():
        text = ID.sub(lambda m, name=name: unique(name, m[0]), text)
        text = LINK.sub(lambda m, name=name: link(name, m), text)
        pages.append(f'<div class="paper-chapter" id="document-{name}">\n{text}</div>\n')
    return "".join(pages)


def running_heads(app: Sphinx) -> str:
    """A page style for each chapter: its title at the head of every page."""
    numbers = app.env.toc_secnumbers[app.config.root_doc]
    rules = []
    for chapter, title in sorted(app.env.titles.items()):
        style, number = chapter.replace("/", "-"), numbers.get(f"{chapter}/")
        heading = f"{number[0]}. {title.astext()}" if number else title.astext()
        text = json.dumps(heading, ensure_ascii=False)
        rules.append(
            f'[id="document-{chapter}"] {{ page: {style} }}\n'
            f"@page {style} {{ @top-center {{ content: {text}; font: 8pt sans-serif }} }}\n"
        )
    return "".join(rules)


def front(app: Sphinx) -> str:
    """The title page and the contents."""
    version = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf8"), re.M)
    assert version is not None
    lines = [
        f'<p class="paper-title">{html.escape(app.config.html_title)}</p>',
        f'<p class="paper-author">{html.escape(app.config.author)}</p>',
        f"<p>Version {html.escape(version[1])}</p>",
        "<p>Text and figures: Creative Commons Attribution 4.0 International (CC BY 4.0).<br>"
        "Code: MIT licence.</p>",
    ]
    contents = app.builder._get_local_toctree(app.config.root_doc, collapse=False)
    contents = re.sub(r' (role="heading"|aria-level="2")', "", contents)  # no bookmarks for parts
    return (
        f'<div class="paper-front">{"".join(lines)}</div>\n'
        f'<nav class="paper-contents" aria-label="Contents"><h1>Contents</h1>{contents}</nav>\n'
    )


def share_handlers(app: Sphinx) -> None:
    """Give the builder "singlehtml" every handler of the format "html".

    sphinx-exercise registers handlers under the builder's name, which hides those that other
    extensions registered under the format's.
    """
    table = app.registry.translation_handlers
    if "singlehtml" in table:
        table["singlehtml"] = {**table.get("html", {}), **table["singlehtml"]}


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_builder(OnePage, override=True)
    app.connect("builder-inited", share_handlers)
    # Late: what other extensions put into the page has links too.
    app.connect("html-page-context", make_one_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
