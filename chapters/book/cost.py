"""Count what a computation costs: matrix products, their multiply-adds, numbers kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from rnn_ref.tree import flat, map_arrays


def multiply_adds(run: Callable[..., Any], *trees: Any) -> int:
    """How many multiply-adds the matrix products of ``run(*trees)`` take.

    Every float array in the trees (tuples, nested) goes in as one that counts the products of which
    it, or what was computed from it, is part. At least one factor of each product has to be such
    an array: give parameters and caches, and all products of a layer are seen. A product with a
    vector counts nothing: it is a sum, such as ``rnn_ref.cell.sum_steps`` takes over the steps.
    Other functions that multiply matrices, such as ``np.tensordot``, raise TypeError: they would
    not be counted.
    """
    return _counted(run, trees).multiply_adds


def matrix_products(run: Callable[..., Any], *trees: Any) -> int:
    """How often ``run(*trees)`` calls for a matrix product; those of a whole stack are one call.

    The rest is as for :func:`multiply_adds`.
    """
    return _counted(run, trees).products


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
    products = 0
    multiply_adds = 0

    def add(self, left: np.ndarray, right: np.ndarray, result: Any) -> None:
        if left.ndim > 1 and right.ndim > 1:
            self.products += 1
            # One multiply-add for each entry of the result and inner index.
            self.multiply_adds += np.size(result) * left.shape[-1]


def _counted(run: Callable[..., Any], trees: tuple[Any, ...]) -> _Count:
    count = _Count()

    def watched(value: Any) -> Any:
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return value
        return _watched(value, count)

    # np.ascontiguousarray would return a plain array, whose products are not seen.
    with patch.object(np, "ascontiguousarray", partial(np.asanyarray, order="C")):
        run(*(map_arrays(watched, tree) for tree in trees))
    return count


def _watched(value: Any, count: _Count) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    value = value.view(_Counted)
    value.count = count
    return value


class _Counted(np.ndarray):
    """An array that counts its matrix products."""

    count: _Count | None = None

    def __array_finalize__(self, obj: Any) -> None:
        self.count = getattr(obj, "count", None)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any
    ) -> Any:
        arrays = (v for v in (*inputs, *(out or ())) if isinstance(v, _Counted))
        count = next(v.count for v in arrays if v.count)
        plain = [np.asarray(v) for v in inputs]
        if out is not None:
            kwargs["out"] = tuple(np.asarray(v) for v in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        if ufunc is np.matmul:
            count.add(*plain, result)
        return _watched(result, count) if out is None else out[0]

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        count = self.count
        if func is np.dot:
            plain = [np.asarray(v) for v in (*args, *kwargs.values())]  # with out= as the third
            result = np.dot(*plain)
            count.add(*plain[:2], result)
            return kwargs["out"] if "out" in kwargs else _watched(result, count)
        if func in (np.vdot, np.inner, np.outer, np.tensordot):
            raise TypeError(f"np.{func.__name__}: expected products by @, which are counted")
        if func is np.einsum and len(set(args[0].partition("->")[0].split(","))) != 1:
            raise TypeError(f"np.einsum: expected factors with the same axes, got {args[0]!r}")
        # What is newly made, as by np.concatenate, does not count by itself.
        return _watched(super().__array_function__(func, types, args, kwargs), count)
