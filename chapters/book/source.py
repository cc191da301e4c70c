"""Show the package's own source in a chapter, so that no second implementation is needed."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from html import escape
from pathlib import Path
from typing import Any

from IPython.display import display
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def show_source(*objects: Any, docstrings: bool = False) -> None:
    """Display the source of functions, methods or classes, with comments but without docstrings.

    Each object becomes one listing, as Sphinx would set it: the book's style sheet colours it, its
    copy button serves it, and a comment such as ``# (eq-gru-reset)`` becomes a link.
    """
    for obj in objects:
        code = source(obj, docstrings=docstrings)
        display({"text/plain": code, "text/html": source_html(code, _place(obj))}, raw=True)


def source(obj: Any, *, docstrings: bool = False) -> str:
    """The dedented source of ``obj`` as text."""
    code = textwrap.dedent(inspect.getsource(_unwrap(obj))).rstrip()
    return code if docstrings else _without_docstrings(code)


def source_html(code: str, caption: str = "") -> str:
    """``code`` coloured by classes, inside the elements in which Sphinx wraps a listing."""
    block = highlight(code, PythonLexer(), HtmlFormatter(cssclass="highlight")).strip()
    block = f'<div class="highlight-python notranslate">{block}</div>'
    if not caption:
        return block
    caption = f'<span class="caption-text"><code>{escape(caption)}</code></span>'
    caption = f'<div class="code-block-caption">{caption}</div>'
    return f'<div class="literal-block-wrapper docutils container">{caption}{block}</div>'


def _unwrap(obj: Any) -> Any:
    """The function behind a property or a decorator; anything else as it is."""
    return inspect.unwrap(obj.fget if isinstance(obj, property) else obj)


def _place(obj: Any) -> str:
    """Where ``obj`` is written: "rnn_ref/gru.py: GRU.step"."""
    obj = _unwrap(obj)
    if inspect.ismodule(obj):
        return obj.__name__.replace(".", "/") + ".py"
    package = sys.modules[obj.__module__.partition(".")[0]]
    file = inspect.getsourcefile(obj)
    if file is None or not getattr(package, "__file__", None):
        return obj.__qualname__
    path = Path(file).relative_to(Path(package.__file__).parents[1])
    return f"{path.as_posix()}: {obj.__qualname__}"


def _without_docstrings(code: str) -> str:
    """``code`` without docstrings. The lines are cut out, not printed anew: comments stay."""
    lines: list[str | None] = list(code.splitlines())
    holders = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    for node in ast.walk(ast.parse(code)):
        # A docstring that is all there is stays, because a body must not be empty.
        if isinstance(node, holders) and ast.get_docstring(node) is not None and len(node.body) > 1:
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            while last < len(lines) and not (lines[last] or "").strip():
                last += 1  # the blank lines after it go with it
            lines[first:last] = [None] * (last - first)
    return "\n".join(line for line in lines if line is not None)
