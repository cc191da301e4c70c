"""Evaluate a layer as if every result were stored in a short number format.

The layer's own code runs in float64; arrays of type :class:`Rounded` round what each of NumPy's
functions returns. A matrix product is rounded once, at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnn_ref import vectors
from rnn_ref.tree import map_arrays

SUMS = {np.add, np.subtract, np.matmul}
CHOICES = {np.maximum, np.minimum, np.negative, np.abs}


def floating(bits: int, smallest: int = -1000) -> Callable[[Any, np.ndarray], np.ndarray]:
    """Rounding to so many significant bits, the hidden one included, with that least exponent."""

    def rounding(ufunc: Any, values: np.ndarray) -> np.ndarray:
        _, exponent = np.frexp(values)
        unit = np.maximum(exponent, smallest) - bits
        return np.ldexp(np.rint(np.ldexp(values, -unit)), unit)

    return rounding


def fixed(fraction_bits: int) -> Callable[[Any, np.ndarray], np.ndarray]:
    """Rounding of products and functions to multiples of 2^-fraction_bits; sums are exact.

    So does an accelerator whose accumulators are wide. No value is too large: how many integer
    bits a design needs is a separate question.
    """

    def rounding(ufunc: Any, values: np.ndarray) -> np.ndarray:
        if ufunc in SUMS:
            return values
        return np.ldexp(np.rint(np.ldexp(values, fraction_bits)), -fraction_bits)

    return rounding


FORMATS = {
    "float32": floating(24, -125),
    "fixed, 1/4096": fixed(12),
    "float16": floating(11, -13),
    "bfloat16": floating(8, -125),
    "fixed, 1/64": fixed(6),
}


class Rounded(np.ndarray):
    """A float64 array whose every further result is rounded; see :func:`rounded`."""

    rounding: Any = None

    def __array_finalize__(self, source: Any) -> None:
        self.rounding = getattr(source, "rounding", None)

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        plain = [v.view(np.ndarray) if isinstance(v, Rounded) else v for v in inputs]
        found = getattr(ufunc, method)(*plain, **options)
        if isinstance(found, np.ndarray) and found.dtype == np.float64:
            found = found if ufunc in CHOICES else self.rounding(ufunc, found)
        if out:
            out[0].view(np.ndarray)[...] = found
            return out[0]
        if not isinstance(found, np.ndarray) or found.dtype == bool:
            return found
        found = found.view(Rounded)
        found.rounding = self.rounding
        return found


def rounded(case: vectors.Case, rounding: Callable[[Any, np.ndarray], np.ndarray]) -> vectors.Case:
    """The case with parameters, input and state that round whatever is computed from them.

    Parameters
    ----------
    case
        A test vector.
    rounding
        One of ``FORMATS``, or another result of :func:`floating` or :func:`fixed`.

    Returns
    -------
    Case
        For an engine of :mod:`book.mistakes`.
    """

    def view(array: np.ndarray) -> np.ndarray:
        result = array.copy().view(Rounded)
        result.rounding = rounding
        return result

    state = case.state
    if state is None:
        state = case.layer.zero_state(case.x.shape[1])
    return case._replace(
        params=map_arrays(view, case.params), x=view(case.x), state=map_arrays(view, state)
    )
