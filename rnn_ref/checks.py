"""The checks of arguments that all layers and models share, with their messages."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
AnyAxis: TypeAlias = tuple[str, int | None]  # a letter and its size, None where any will do


def _float_dtype(dtype: DTypeLike, name: str = "dtype") -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError:  # a dtype of another framework, for one
        raise TypeError(f"{name}: expected float32 or float64, got {dtype!r}") from None
    if found not in (np.float32, np.float64):
        raise TypeError(f"{name}: expected float32 or float64, got {found}")
    return found


def _check_size(name: str, value: object, smallest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if value < smallest:
        raise ValueError(f"{name}: expected at least {smallest}, got {value}")


def _check_rng(rng: object) -> None:
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: expected a numpy.random.Generator, got {_full_name(rng)}")


def _full_name(value: object) -> str:
    """The type with its module, for where another package has one of the same name."""
    return f"{type(value).__module__}.{type(value).__name__}"


def _check_choice_of(name: str, value: object, *choices: object) -> None:
    # 1 == True, but where one of them is a choice the other is a mistake.
    if value not in choices or isinstance(value, bool) != isinstance(choices[0], bool):
        raise ValueError(f"{name}: expected one of {choices}, got {value!r}")


def _check_positive(name: str, value: object) -> float:
    """Check for a positive finite number; return it as Python's float, which keeps float32."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if not 0.0 < float(value) < math.inf:
        raise ValueError(f"{name}: expected a positive finite number, got {value}")
    return float(value)


def _check_finite(name: str, value: object) -> float:
    """Check for a finite number; return it as Python's float, which keeps float32."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: expected a number, got {type(value).__name__}")
    if not math.isfinite(value):
        raise ValueError(f"{name}: expected a finite number, got {value}")
    return float(value)


def _check_named_tuple(name: str, value: object, expected: type) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{name}: expected {expected.__name__}, got {type(value).__name__}")


def _check_array(
    name: str, value: object, axes: Sequence[AnyAxis], dtype: np.dtype[Any] | None
) -> np.dtype[Any]:
    """Check type, dtype (float32 or float64 where None is wanted) and shape; return the dtype."""
    if not isinstance(value, np.ndarray):
        wanted, given = _letters(axes), type(value).__name__
        raise TypeError(f"{name}: expected an array of shape {wanted}, got {given}")
    if dtype is None:
        dtype = _float_dtype(value.dtype, name)
    if value.dtype != dtype:
        raise TypeError(f"{name}: expected {dtype}, the dtype of the parameters, got {value.dtype}")
    fits = len(axes) == value.ndim
    for (_, size), given_size in zip(axes, value.shape, strict=False):
        fits = fits and (size is None or size == given_size)
    if not fits:
        raise ValueError(f"{name}: expected shape {_letters(axes)}, got {value.shape}")
    return dtype


def _letters(axes: Sequence[AnyAxis]) -> str:
    """A shape for a message: "(T, N=2, D=3)"."""
    wanted = ", ".join(letter if size is None else f"{letter}={size}" for letter, size in axes)
    return f"({wanted},)" if len(axes) == 1 else f"({wanted})"


def _check_lengths(lengths: object, T: int, N: int) -> None:
    if not isinstance(lengths, np.ndarray) or lengths.dtype.kind not in "iu":
        is_array = isinstance(lengths, np.ndarray)
        given = lengths.dtype if is_array else type(lengths).__name__  # type: ignore[attr-defined]
        raise TypeError(f"lengths: expected an array of integers of shape (N={N},), got {given}")
    if lengths.shape != (N,):
        hint = "; x is (T, N, D), time first" if lengths.shape == (T,) else ""
        raise ValueError(f"lengths: expected shape (N={N},), got {lengths.shape}{hint}")
    if N and not 0 <= lengths.min() <= lengths.max() <= T:
        raise ValueError(
            f"lengths: expected from 0 to T={T}, got from {lengths.min()} to {lengths.max()}"
        )
