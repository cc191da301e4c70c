"""Code on a page links to the API.

* In a code cell, the first time a class, function or method of ``rnn_ref`` is used: what a name
  stands for follows from the imports and the assignments above it on the page. So it does in the
  source of a method that a cell shows, from the names of its module.
* The caption of such a listing, ``rnn_ref/gru.py: GRU.step``, links to the entry, or, where it is
  private, to its place in the module's source. An unknown name is a warning.

Nothing but ``rnn_ref`` itself is imported, so the pages do not depend on what else is installed.
"""

from __future__ import annotations

import ast
import html
import importlib
import re
from collections.abc import Callable
from functools import partial
from operator import itemgetter
from typing import Any

from api import defined_name
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

logger = logging.getLogger(__name__)

CELL = re.compile(
    r'(?P<before><div class="cell_input[^>]*>\s*<div class="highlight-[^>]*><div class="highlight">'
    r"<pre>)(?P<code>.*?)(?=</pre>)",
    re.S,
)
LISTING = re.compile(
    r'(?P<caption><div class="code-block-caption"><span class="caption-text"><code>'
    r"(?P<file>rnn_ref/[\w/]+)\.py: (?P<name>[\w.]+)</code></span></div>)"
    r'(?P<before><div class="highlight-[^>]*><div class="highlight"><pre>)(?P<code>.*?)(?=</pre>)',
    re.S,
)
PIECE = re.compile(r"<[^>]*>|&[^;]*;|[^<&]+")


class Uses(ast.NodeVisitor):
    """Where code uses what the API describes.

    A name stands for something of the package, written ``rnn_ref.gru.GRU``, or for an instance of a
    class, written ``rnn_ref.gru.GRU()``.
    """

    def __init__(self, known: dict[str, Any], names: dict[str, str]) -> None:
        self.known, self.names = known, names
        self.found: list[tuple[int, int, str, str]] = []  # line, end column in bytes, word, entry

    def meaning(self, node: ast.AST | None) -> str | None:
        """What an expression stands for, if that can be told."""
        match node:
            case ast.Name(id=name):
                return self.names.get(name)
            case ast.Attribute(value=value, attr=attr):
                owner = self.meaning(value)
                return self.member(owner, attr) if owner else None
            case ast.Call(func=func):
                called = self.meaning(func)
                is_class = called in self.known and self.known[called].objtype == "class"
                return f"{called}()" if is_class else None
        return None

    def member(self, owner: str, attr: str) -> str | None:
        """A module's or a class's, or that of a class from which it inherits."""
        owner = owner.removesuffix("()")
        name = defined_name(f"{owner}.{attr}")
        if name in self.known or owner not in self.known:
            return name
        module, _, cls = owner.rpartition(".")
        try:
            bases = getattr(importlib.import_module(module), cls).__mro__
        except (ImportError, AttributeError):  # PyTorch, which the book does not need
            return None
        names = (f"{base.__module__}.{base.__qualname__}.{attr}" for base in bases)
        return next((name for name in names if name in self.known), None)

    def use(self, node: ast.Name | ast.Attribute, word: str) -> None:
        entry = self.meaning(node)
        if entry in self.known and node.end_lineno and node.end_col_offset:
            self.found.append((node.end_lineno, node.end_col_offset, word, entry))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.use(node, node.id)
        else:  # it stands for something else from here on
            self.names.pop(node.id, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.visit(node.value)
        self.use(node, node.attr)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] == "rnn_ref":
                self.names[alias.asname or "rnn_ref"] = alias.name if alias.asname else "rnn_ref"

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            self.names.pop(name, None)
            if node.module and node.module.split(".")[0] == "rnn_ref":
                self.names[name] = entry = defined_name(f"{node.module}.{alias.name}")
                if entry in self.known:
                    end = alias.col_offset + len(alias.name)
                    self.found.append((alias.lineno, end, alias.name, entry))

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        meaning = self.meaning(node.value)
        for target in node.targets:
            self.visit(target)
            if isinstance(target, ast.Name) and meaning:
                self.names[target.id] = meaning

    def inside(self, *parts: Any) -> None:
        """Visit the parts of what has names of its own."""
        outside = self.names.copy()
        for part in parts:
            for child in part if isinstance(part, list) else filter(None, [part]):
                self.visit(child)
        self.names.clear()
        self.names.update(outside)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.names.pop(node.name, None)
        self.inside(node.decorator_list, node.args, node.returns, node.body)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.inside(node.args, node.body)

    def visit_arg(self, node: ast.arg) -> None:
        if node.annotation:
            self.visit(node.annotation)
        self.names.pop(node.arg, None)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> None:
        self.inside(node.generators, node.elt)

    visit_SetComp = visit_GeneratorExp = visit_ListComp

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self.inside(node.generators, node.key, node.value)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for part in (node.iter, node.target, *node.ifs):
            self.visit(part)

    def visit_For(self, node: ast.For) -> None:
        for part in (node.iter, node.target, *node.body, *node.orelse):
            self.visit(part)


def linked(code: str, uses: Uses, address: Callable[[str], str]) -> str:
    """Highlighted code in which the first use of each entry is a link."""
    text, at = "", []  # the code itself, and where in the HTML each of its characters stands
    for match in PIECE.finditer(code):
        if not match[0].startswith("<"):
            text += html.unescape(match[0])
            at += [match.start()] if match[0].startswith("&") else range(*match.span())
    try:
        uses.visit(ast.parse(text))
    except SyntaxError:  # what only IPython understands
        return code
    lines, first = [f"{line}\n" for line in text.split("\n")], {}
    for number, column, word, entry in sorted(uses.found):
        line = lines[number - 1].encode()[:column].decode()
        first.setdefault(entry, (sum(map(len, lines[: number - 1])) + len(line), word))
    for entry, (end, word) in sorted(first.items(), key=itemgetter(1), reverse=True):
        start, stop = at[end - len(word)], at[end - 1] + 1
        link = f'<a class="api-in-code" href="{address(entry)}">{word}</a>'
        code = code[:start] + link + code[stop:]
    return code


def entry_address(app: Sphinx, page: str, entry: str) -> str:
    """Of something that the API describes, seen from a page."""
    found = app.env.get_domain("py").objects[entry]  # type: ignore[attr-defined]
    return f"{app.builder.get_relative_uri(page, found.docname)}#{found.node_id}"


def source_address(app: Sphinx, page: str, module: str, name: str) -> str | None:
    """Of a private function in the source of its module."""
    try:
        tags = ModuleAnalyzer.for_module(module).find_tags()
    except PycodeError:
        return None
    where = app.builder.get_relative_uri(page, f"_modules/{module.replace('.', '/')}")
    return f"{where}#{name}" if name in tags and "._" in f".{name}" else None


def names_in_listing(module: str, name: str) -> dict[str, str]:
    """What the names of a module stand for, those of the package, and ``self`` in a method."""
    names = {}
    for word, value in vars(importlib.import_module(module)).items():
        where = getattr(value, "__module__", None) or ""
        if where.startswith("rnn_ref.") and hasattr(value, "__qualname__"):
            names[word] = f"{where}.{value.__qualname__}"
    owner, _, method = name.rpartition(".")
    return names | ({"self": f"{module}.{owner}()"} if method else {})


def link_code(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    if app.builder.name != "html" or doctree is None or "body" not in context:
        return
    known = app.env.get_domain("py").objects  # type: ignore[attr-defined]
    address = partial(entry_address, app, page)
    names: dict[str, str] = {}  # what they stand for goes on from cell to cell

    def cell(match: re.Match[str]) -> str:
        return match["before"] + linked(match["code"], Uses(known, names), address)

    def listing(match: re.Match[str]) -> str:
        module, name = match["file"].replace("/", "."), match["name"]
        entry = f"{module}.{name}"
        target = address(entry) if entry in known else source_address(app, page, module, name)
        if target is None:
            logger.warning("%s: a listing of what does not exist: %s", page, entry)
            return match[0]
        uses = Uses(known, names_in_listing(module, name))
        caption = match["caption"].replace("<code>", f'<code><a href="{target}">')
        caption = caption.replace("</code>", "</a></code>")
        return caption + match["before"] + linked(match["code"], uses, address)

    context["body"] = LISTING.sub(listing, CELL.sub(cell, context["body"]))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", link_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
