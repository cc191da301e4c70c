"""The register of errors on the book's pages; the data are ``chapters/errata.yml``.

* ``{errata-register}`` lists every entry, folded, with its whole text, under a row of filters. Each
  has an anchor, so that ``{ref}`003-07 <err-003-07>``` links to it from any page.
* ``{errata-of} gru`` lists the entries that belong to a chapter, one line each, as links.
* ``{errata-documents}``, ``{errata-numbers}`` and ``{glossary-of-terms}`` are its tables.
* ``{not-errors}`` lists what looks wrong and is not, folded by document, each with an anchor.

The entries are written out as MyST Markdown and parsed like the rest of the page, so that formulas,
citations and links in them work, and a mistake in one is a warning.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).parents[1] / "chapters"))  # for `book`

from book.register import FILE, KINDS, SEVERITIES, Erratum, Register, anchor, register

PROOFS = {
    "check": "runs in `tests/errata`: as printed it fails, corrected it passes",
    "tensorflow": "runs in `tests/errata` where TensorFlow is installed: as printed it fails, "
    "corrected it passes",
    "source": "no check is possible; decided by the source",
}


class RegisterDirective(SphinxDirective):
    """A directive that writes Markdown from the register and has it parsed in place."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(FILE))
        register.cache_clear()
        container = nodes.container(classes=[self.name])
        lines = StringList(self.markdown(register()).splitlines(), source=str(FILE))
        self.state.nested_parse(lines, self.content_offset, container)
        return [container]

    def markdown(self, data: Register) -> str:
        raise NotImplementedError


class AllEntries(RegisterDirective):
    """Every entry, folded, with filters."""

    def run(self) -> list[nodes.Node]:
        (container,) = super().run()
        container["classes"].append("errata-list")
        return [nodes.raw("", filters(register()), format="html"), container]

    def markdown(self, data: Register) -> str:
        return "\n".join(entry_markdown(entry) for entry in data.errors)


def entry_markdown(entry: Erratum) -> str:
    """One entry as a folded card with an anchor."""
    title = f"`{entry.id}` {entry.title}"
    place = f"Document {entry.document}, {entry.place}; {entry.kind}, {entry.severity}"
    found = f"Found by {', '.join(entry.found)}" if entry.found else "Met in joining the lists"
    proof = PROOFS.get(entry.proof) or f"tried by experiment, {{ref}}`{entry.trial}`"
    on_lines = " ".join(f"line-{n}" for n in entry.lines)
    classes = f"erratum document-{entry.document} {entry.kind} {entry.severity} {on_lines}"
    return f"""
::::{{dropdown}} {title}
:class-container: {classes}
:name: {anchor(entry.id)}

*{place}. {found}. Chapter: [](/chapters/{entry.chapter}.ipynb).*

**Says.** {entry.says}

**Wrong because.** {entry.why}

**Right.** {entry.right}

**Source.** {entry.source}

**Proof.** {proof[0].upper()}{proof[1:]}.
::::
"""


def filters(data: Register) -> str:
    """A search field, a menu for each property, a line; the page's script makes them work."""
    menus = {
        "document": {f"document-{s.name}": s.name for s in data.documents},
        "kind": dict.fromkeys(KINDS),
        "severity": dict.fromkeys(SEVERITIES),
    }
    parts = [
        '<input type="search" placeholder="search the entries" aria-label="search the entries">'
    ]
    for name, values in menus.items():
        options = "".join(
            f'<option value="{css_class}">{text or css_class}</option>'
            for css_class, text in values.items()
        )
        parts.append(
            f'<select aria-label="{name}"><option value="">every {name}</option>{options}</select>'
        )
    parts.append('<input type="number" min="1" placeholder="line" aria-label="line">')
    parts.append('<button type="reset">clear</button><output aria-live="polite"></output>')
    script = (Path(__file__).parent / "errata.js").read_text("utf8")
    # Without scripts there is nothing to work the filters, and they stay hidden.
    return f'<form class="errata-filter" hidden>{"".join(parts)}</form><script>{script}</script>'


class OfChapter(RegisterDirective):
    """The entries of one chapter as links."""

    required_arguments = 1

    def markdown(self, data: Register) -> str:
        entries = data.of_chapter(self.arguments[0])
        if not entries:
            raise self.error(f"the register has no entry of chapter {self.arguments[0]!r}")
        rows = [
            f"- {{ref}}`{entry.id} <{anchor(entry.id)}>` ({entry.place}): {entry.title}"
            for entry in entries
        ]
        count = "1 entry" if len(rows) == 1 else f"{len(rows)} entries"
        head = f":::{{dropdown}} In the register: {count} of this page"
        return "\n".join([head, *rows, ":::"])


class Documents(RegisterDirective):
    """The documents, and by what to recognise their text."""

    def markdown(self, data: Register) -> str:
        rows = ["| document | subject | file | lines | SHA-256 begins |", "|---|---|---|---:|---|"]
        rows += [
            f"| {s.name} | {s.subject} | `{s.file}` | {s.lines} | `{s.sha256[:8]}` |"
            for s in data.documents
        ]
        return "\n".join(rows)


class Numbers(RegisterDirective):
    """How many entries of each document there are, by kind and severity."""

    def markdown(self, data: Register) -> str:
        documents = [s.name for s in data.documents]
        counts = Counter(
            (document, row)
            for e in data.errors
            for document in (e.document, "all")
            for row in (e.kind, e.severity, "all", f"by {e.proof}")
        )
        rows = ["| | " + " | ".join([*documents, "all"]) + " |"]
        rows.append("|---|" + "---:|" * (len(documents) + 1))
        names = {name: name for name in (*KINDS, *SEVERITIES)}
        proofs = {
            "by check": "decided by a check",
            "by tensorflow": "by a check in TensorFlow",
            "by trial": "by an experiment",
            "by source": "by the source alone",
        }
        for row, name in (names | {"all": "**all**"} | proofs).items():
            cells = [str(counts[document, row]) for document in (*documents, "all")]
            rows.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(rows)


class NotErrors(RegisterDirective):
    """What looks wrong and is not, folded by document."""

    def markdown(self, data: Register) -> str:
        rows = []
        for document in data.documents:
            entries = [e for e in data.not_errors if e.document == document.name]
            if not entries:
                continue
            rows.append(f"::::{{dropdown}} Document {document.name}: {len(entries)} places\n")
            for e in entries:
                place = e.place[0].upper() + e.place[1:]
                rows.append(f"({anchor(e.id)})=\n**{place}.** {e.says}\n: {e.why}\n")
            rows.append("::::\n")
        return "\n".join(rows)


class Glossary(RegisterDirective):
    """Terms in both languages."""

    def markdown(self, data: Register) -> str:
        rows = ["| English | Chinese | in the documents |", "|---|---|---|"]
        rows += [f"| {term.english} | {term.chinese} | {term.note} |" for term in data.glossary]
        return "\n".join(rows)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("errata-register", AllEntries)
    app.add_directive("errata-of", OfChapter)
    app.add_directive("errata-documents", Documents)
    app.add_directive("errata-numbers", Numbers)
    app.add_directive("not-errors", NotErrors)
    app.add_directive("glossary-of-terms", Glossary)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
