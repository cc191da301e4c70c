"""Arrays inside nested tuples, such as the parameters of a model, by name and back.

The parameters and states of chapter ``composition``'s layers, and of chapter ``vrnn``'s model, are
such trees: what is done to one array is done to all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from .checks import Array

Tree = TypeVar("Tree")  # an array, None, or a tuple or NamedTuple of trees


def named_arrays(tree: Any, prefix: str = "") -> dict[str, Array]:
    """The arrays of a tree by name, depth first; what is None has no name.

    Chapter ``wrong_gradients`` lines up all gradients of a layer with it.

    Parameters
    ----------
    tree
        Tuples and NamedTuples, nested, of arrays and None.
    prefix
        Put before every name.

    Returns
    -------
    dict
        Fields' names and positions joined by dots: "prior.weights.0".

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> from rnn_ref.tree import named_arrays
    >>> list(named_arrays(GRU(3, 5).init_params(np.random.default_rng(0)), "params."))
    ['params.weight_ih', 'params.weight_hh', 'params.bias_ih', 'params.bias_hh']
    """
    if tree is None:
        return {}
    if not isinstance(tree, tuple):
        return {prefix.removesuffix("."): tree}
    found: dict[str, Array] = {}
    for name, value in zip(field_names(tree), tree, strict=True):
        found |= named_arrays(value, f"{prefix}{name}.")
    return found


def map_arrays(f: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply ``f`` to the arrays that stand in the same place of trees of one form.

    Chapter ``composition`` adds up the gradients of pieces with it.

    Parameters
    ----------
    f
        Takes one array of each tree, returns an array.
    tree, others
        The trees.

    Returns
    -------
    Tree
        Of the form of the first.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.tree import map_arrays
    >>> layer = LSTM(3, 5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> smaller = map_arrays(lambda p: 0.5 * p, params)  # an LSTMParams; weight_ph stays None
    >>> bool((smaller.bias_ih == params.bias_ih / 2).all()), smaller.weight_ph is None
    (True, True)
    """
    if tree is None:
        return tree
    if not isinstance(tree, tuple):
        return cast(Tree, f(tree, *others))
    rest = cast("tuple[tuple[Any, ...], ...]", others)
    values = [map_arrays(f, *parts) for parts in zip(tree, *rest, strict=True)]
    return cast(Tree, _like(tree, values))


def flat(tree: Any) -> list[Any]:
    """The arrays of a tree in one list, depth first.

    Chapter ``composition`` compares the states and gradients of stacks with it.

    Parameters
    ----------
    tree
        Tuples and NamedTuples, nested, of arrays and None.

    Returns
    -------
    list
        Of its arrays; None is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.tree import flat
    >>> [s.shape for s in flat((LSTM(3, 5).zero_state(2), None))]
    [(2, 5), (2, 5)]
    """
    return list(named_arrays(tree).values())


def filled(form: Tree, arrays: Iterable[Any]) -> Tree:
    """The tree of the form of ``form`` whose :func:`flat` list is ``arrays``.

    Chapter ``vrnn`` puts a tree together in this way, with one of its arrays moved.

    Parameters
    ----------
    form
        A tree; its arrays are not read.
    arrays
        As many as it has.

    Returns
    -------
    Tree
        Of the form of ``form``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> from rnn_ref.tree import filled
    >>> state = filled(LSTM(3, 5).zero_state(2), [np.ones((2, 5)), np.zeros((2, 5))])
    >>> type(state).__name__, float(state.h[0, 0])
    ('LSTMState', 1.0)
    """
    rest = iter(arrays)
    return map_arrays(lambda _: next(rest), form)


def field_names(tree: tuple[Any, ...]) -> Iterable[str]:
    """Names of the parts of a tuple: a NamedTuple's fields, or positions.

    A cell's parameters have names, those of a stack positions (chapter ``composition``).

    Examples
    --------
    >>> from rnn_ref import LSTMState
    >>> from rnn_ref.tree import field_names
    >>> list(field_names(LSTMState(h=None, c=None))), list(field_names((None, None)))
    (['h', 'c'], ['0', '1'])
    """
    return getattr(tree, "_fields", None) or map(str, range(len(tree)))


def _like(tree: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    """A tuple of the type of ``tree``."""
    return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
