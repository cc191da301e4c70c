"""Plant a mistake in a layer's backward pass: the package's own source with one line changed."""

from __future__ import annotations

import sys
from typing import Any

from IPython.display import display

from rnn_ref import activations

from .source import source, source_html


def planted(layer_type: type, right: str, wrong: str) -> type:
    """A subclass of a cell's type whose ``_backward`` is the cell's own with one line changed.

    ``_backward`` is what ``backward`` calls after it has checked its arguments.

    Parameters
    ----------
    layer_type
        Such as :class:`rnn_ref.LSTM`. It stays as it is.
    right, wrong
        A piece of one line of ``layer_type._backward``, and what is to stand there instead. Beside
        the names of the layer's module ``wrong`` may use those of :mod:`rnn_ref.activations`.

    Returns
    -------
    type
        Takes the same arguments. Its attribute ``edit`` holds the whole line, before and after. Its
        ``backward`` wants a cache that its own ``forward`` made.

    Raises
    ------
    ValueError
        ``right`` is not exactly one piece of exactly one line, ``wrong`` is the same, or the layer
        has been planted with a mistake before.
    """
    if hasattr(layer_type, "edit"):
        raise ValueError(f"layer_type: expected a layer's own, got {layer_type.__name__}")
    code = source(layer_type._backward, docstrings=True)
    found = code.count(right) if right else 0
    if found != 1:
        name = f"{layer_type.__name__}._backward"
        raise ValueError(f"right: expected a piece that {name} has once, got {found} of {right!r}")
    if "\n" in right + wrong:
        raise ValueError(f"right, wrong: expected pieces of one line, got {right!r}, {wrong!r}")
    if wrong == right:
        raise ValueError(f"wrong: expected another text than right, got {wrong!r}")
    line = next(line for line in code.splitlines() if right in line)
    edit = line.strip(), line.replace(right, wrong).strip()
    scope = vars(activations) | vars(sys.modules[layer_type.__module__])
    exec(code.replace(right, wrong), scope)
    changed = {"_backward": scope["_backward"], "edit": edit, "__module__": layer_type.__module__}
    return type(f"Planted{layer_type.__name__}", (layer_type,), changed)


def show_edit(*planted_types: Any) -> None:
    """Display the line that :func:`planted` changed, ``-`` before and ``+`` after.

    Several of them make one listing, in which the comments that name equations become links.
    """
    code = "\n\n".join("- {}\n+ {}".format(*p.edit) for p in planted_types)
    places = dict.fromkeys(
        f"{base.__module__.replace('.', '/')}.py: {base.__name__}._backward"
        for base in (p.__base__ for p in planted_types)
    )
    display({"text/plain": code, "text/html": source_html(code, ", ".join(places))}, raw=True)
