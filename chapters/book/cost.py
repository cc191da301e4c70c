"""Count what a computation costs: multiply-adds of matrix products, numbers kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_ref.tree import flat, map_arrays


def multiply_adds(run: Callable[..., Any], *trees: Any) -> int:
    """How many multiply-adds the matrix products of ``run(*trees)`` take.

    Every float array in the trees (tuples, nested) goes in as one that counts the products of which
    it, or what was computed from it, is part. At least one factor of each product has to be such
    an array: give parameters and caches, and all products of a layer are seen. Other functions
    that multiply matrices, such as ``np.dot``, raise TypeError: they would not be counted.
    """
    count = _Count()

    def watched(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return value
        counted = value.view(_Counted)
        counted.count = count
        return counted

    run(*(map_arrays(watched, tree) for tree in trees))
    return count.total


def numbers_kept(cache: Any, *apart: np.ndarray) -> int:
    """How many numbers a cache holds in memory of its own: arrays that share memory count once.

    What lies in the memory of the arrays ``apart``, such as the input, is left out.
    """
    known = {id(_owner(array)) for array in apart}
    owners = [_owner(v) for v in flat(cache) if isinstance(v, np.ndarray)]
    return sum(owner.size for owner in {id(o): o for o in owners if id(o) not in known}.values())


def _owner(array: np.ndarray) -> np.ndarray:
    """The array whose memory this one looks at."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


class _Count:
    total = 0


class _Counted(np.ndarray):
    """An array that counts the multiply-adds of its matrix products."""

    count: _Count | None = None

    def __array_finalize__(self, obj: Any) -> None:
        self.count = getattr(obj, "count", None)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        count = next(c for v in (*inputs, *(out or ())) if (c := getattr(v, "count", None)))
        plain = [np.asarray(v) for v in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(v) for v in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:  # one multiply-add for each entry of the result and inner index
            count.total += np.size(result) * plain[0].shape[-1]
        if out is not None:
            return out[0]
        if not isinstance(result, np.ndarray):
            return result
        counted = result.view(_Counted)
        counted.count = count
        return counted

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func in (np.dot, np.vdot, np.inner, np.outer, np.tensordot, np.einsum):
            raise TypeError(f"np.{func.__name__}: expected products by @, which are counted")
        return super().__array_function__(func, types, args, kwargs)
