"""Where the book's parts are, for the tests beside this file."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = ROOT / "chapters"
PACKAGE = ROOT / "rnn_ref"
HTML = ROOT / "_build" / "html"

LABEL = re.compile(r"\((eq-[a-z0-9-]+)\)")


def pages() -> list[str]:
    """The pages that _toc.yml names, the root first, without endings."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    return [toc["root"], *(entry["file"] for part in toc["parts"] for entry in part["chapters"])]


def notebooks() -> list[Path]:
    return sorted(CHAPTERS.glob("*.ipynb"))


def defined_equations() -> dict[str, list[str]]:
    """Where each equation label is defined: label -> names of chapters."""
    found = defaultdict(list)
    for path in notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for label in re.findall(r"^\s*:label:\s*(eq-\S+)\s*$", cell.source, re.M):
                    found[label].append(path.stem)
    return dict(found)


def comment_labels(code: str) -> Iterator[tuple[int, str]]:
    """Line number and label for every label in a comment."""
    for number, line in enumerate(code.splitlines(), 1):
        _, hash_sign, comment = line.partition("#")
        if hash_sign:
            for label in LABEL.findall(comment):
                yield number, label


# The rule that every computing line of a cell's equations names its equation.

# Functions that provide memory, a view or a function, and compute nothing.
NO_QUANTITY = {
    "empty",
    "empty_like",
    "zeros",
    "zeros_like",
    "range",
    "len",
    "broadcast_to",
    "choose",
}
# Functions that compute, wherever they come from: NumPy's, the package's own and methods of arrays.
COMPUTING = {"add", "subtract", "multiply", "divide", "dot", "matmul", "einsum", "sum", "ones_like"}
COMPUTING |= {"project", "project_back", "sum_outer", "sum_steps"}
COMPUTING |= {"gaussian_kl", "_gaussian", "_gaussian_back", "_nll", "_nll_back"}
COMPUTING |= {"forward", "backward"}  # of the networks and the layer inside a model
# A cell's functions, which can be chosen, and their slopes.
COMPUTING |= {"f", "sigma", "phi", "psi", "sigma_slope", "phi_slope", "psi_slope", "slope_of"}


STATEMENTS = ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr


def unlabelled(code: str, activations: set[str]) -> list[tuple[int, str]]:
    """Lines of ``step`` and of the backward pass that compute a quantity and name no equation.

    Only a class that has both methods is a cell, whose second one is ``_backward``, or a model,
    whose second one is ``elbo_backward``. A line computes if it does arithmetic on arrays or
    calls a function that does, which ``np.add(a, b, out=c)`` is even where nothing is assigned;
    arithmetic inside an index, and about the size of new memory, is not meant, and neither is a
    line that only gives a name to a part of something.
    """
    lines = code.splitlines()
    labelled = {number for number, _ in comment_labels(code)}
    found = []
    for cls in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ClassDef)):
        methods = {node.name: node for node in cls.body if isinstance(node, ast.FunctionDef)}
        backward = methods.keys() & {"_backward", "elbo_backward"}
        if "step" not in methods or not backward:
            continue
        for name in ("step", *backward):
            for node in ast.walk(methods[name]):
                if not isinstance(node, STATEMENTS):
                    continue
                computes = isinstance(node, ast.AugAssign) or _computes(node.value, activations)
                if computes and labelled.isdisjoint(range(node.lineno, node.end_lineno + 1)):
                    found.append((node.lineno, lines[node.lineno - 1].strip()))
    return sorted(found)


def _computes(node: ast.AST | None, activations: set[str]) -> bool:
    match node:
        case None:
            return False
        case ast.BinOp() | ast.UnaryOp(op=ast.USub()):
            return True
        case ast.Subscript(value=value):  # not the index
            return _computes(value, activations)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), keywords=keywords):
            if name in NO_QUANTITY:
                return False
            if name in COMPUTING | activations or any(k.arg == "out" for k in keywords):
                return True
    return any(_computes(child, activations) for child in ast.iter_child_nodes(node))
