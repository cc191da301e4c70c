"""The contract that every layer keeps, and what all layers share.

Letters of shapes: T time steps, N batch rows, D inputs, H hidden units, G gate blocks.
"""

from __future__ import annotations

import math
import numbers
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array: TypeAlias = NDArray[Any]
Axis: TypeAlias = tuple[str, int]  # a letter and its size
AnyAxis: TypeAlias = tuple[str, int | None]  # None where any size will do

P = TypeVar("P", bound=tuple[Any, ...])  # parameters, a NamedTuple
S = TypeVar("S", bound=tuple[Any, ...])  # state, a NamedTuple
C = TypeVar("C", bound=tuple[Any, ...])  # cache, a NamedTuple


class Gradients(NamedTuple, Generic[P, S]):
    """What ``backward`` returns. The gradient of a thing has the type and the shape of the thing.

    Attributes
    ----------
    params
        Gradient of every parameter.
    x
        Gradient of the input, shape (T, N, D).
    state
        Gradient of the initial state.
    """

    params: P
    x: Array
    state: S


@dataclass(frozen=True)
class Layer(ABC, Generic[P, S, C]):
    """A recurrent cell run over time: sizes and choices between variants, and no arrays.

    Every method is a pure function of its arguments. All arrays of one call share one dtype,
    float32 or float64, and so does every result.

    Attributes
    ----------
    input_size
        D, at least 1.
    hidden_size
        H, at least 1.

    Raises
    ------
    TypeError
        An argument of a method has the wrong type or dtype; the message names it.
    ValueError
        An argument has the wrong shape or value; the message names it, the shape expected (letters
        and numbers) and the shape given.
    """

    input_size: int
    hidden_size: int

    params_type: ClassVar[Any]
    state_type: ClassVar[Any]
    cache_type: ClassVar[Any]

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            _check_size(name, getattr(self, name), smallest=1)

    # What a cell supplies.

    @property
    @abstractmethod
    def gates(self) -> int:
        """G, the number of (H, .) blocks stacked in the weights."""

    @abstractmethod
    def step(self, params: P, x_t: Array, state: S) -> S:
        """One time step, literally the chapter's equations; slow, and the specification.

        Parameters
        ----------
        params
            The layer's parameters.
        x_t
            Input at one step, shape (N, D).
        state
            Previous state, each array of shape (N, H).

        Returns
        -------
        S
            The new state.
        """

    @abstractmethod
    def forward(
        self, params: P, x: Array, state: S | None = None, lengths: Array | None = None
    ) -> tuple[Array, S, C]:
        """Run the cell over a batch of sequences.

        Parameters
        ----------
        params
            The layer's parameters.
        x
            Input, shape (T, N, D); T may be 0.
        state
            Initial state; zeros when absent.
        lengths
            Not supported yet: anything but None raises NotImplementedError.

        Returns
        -------
        output : Array
            Hidden states h_1 ... h_T, shape (T, N, H). It shares memory with the cache.
        final_state : S
            The state after step T, a copy.
        cache : C
            For :meth:`backward`. It shares memory with ``x`` and ``output``: change neither before.
        """

    @abstractmethod
    def backward(
        self, params: P, cache: C, d_output: Array, d_final_state: S | None = None
    ) -> Gradients[P, S]:
        """Backpropagation through time: the chapter's gradients, summed over steps and rows.

        Parameters
        ----------
        params
            The parameters that ``forward`` was given.
        cache
            The cache that ``forward`` returned.
        d_output
            Gradient of the loss in the output, shape (T, N, H).
        d_final_state
            Gradient of the loss in the final state, on top of ``d_output[-1]``; zeros when absent.

        Returns
        -------
        Gradients
            Of the parameters, the input and the initial state.
        """

    # What every layer gets.

    def param_axes(self) -> dict[str, tuple[Axis, ...]]:
        """Names and shapes of the parameters, letters with sizes, in ``params_type``'s order."""
        D, H = ("D", self.input_size), ("H", self.hidden_size)
        GH = ("H" if self.gates == 1 else f"{self.gates}H", self.gates * self.hidden_size)
        return {"weight_ih": (GH, D), "weight_hh": (GH, H), "bias_ih": (GH,), "bias_hh": (GH,)}

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> P:
        r"""Draw every parameter from :math:`U(-1/\sqrt H, 1/\sqrt H)`, the default of ``torch.nn``.

        Parameters
        ----------
        rng
            Source of randomness; the draws are float64, then rounded to ``dtype``.
        dtype
            float64 or float32.

        Returns
        -------
        P
            The layer's parameters, a NamedTuple.
        """
        _check_rng(rng)
        dtype, bound = _float_dtype(dtype), self.hidden_size**-0.5
        return cast(
            P,
            self.params_type(
                **{
                    name: rng.uniform(-bound, bound, [size for _, size in axes]).astype(dtype)
                    for name, axes in self.param_axes().items()
                }
            ),
        )

    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> S:
        """The state of zeros, each array of shape (N, H).

        Parameters
        ----------
        batch_size
            N, at least 0.
        dtype
            float64 or float32.

        Returns
        -------
        S
            The layer's state, a NamedTuple.
        """
        _check_size("batch_size", batch_size, smallest=0)
        shape, dtype = (batch_size, self.hidden_size), _float_dtype(dtype)
        return cast(S, self.state_type(*(np.zeros(shape, dtype) for _ in self.state_type._fields)))

    # Checks of the arguments; a cell calls one of the first three at the top of its method.

    def _check_step(self, params: P, x_t: Array, state: S) -> None:
        dtype = self._check_params(params)
        _check_array("x_t", x_t, (("N", None), ("D", self.input_size)), dtype)
        self._check_state("state", state, x_t.shape[0], dtype)

    def _check_forward(self, params: P, x: Array, state: S | None, lengths: Array | None) -> S:
        if lengths is not None:
            raise NotImplementedError(
                "lengths: batches of sequences of different length are not supported yet; pass "
                "None and run rows of equal length together"
            )
        dtype = self._check_params(params)
        _check_array("x", x, (("T", None), ("N", None), ("D", self.input_size)), dtype)
        if state is None:
            return self.zero_state(x.shape[1], dtype)
        self._check_state("state", state, x.shape[1], dtype)
        return state

    def _check_backward(self, params: P, cache: C, d_output: Array, d_final_state: S | None) -> S:
        dtype = self._check_params(params)
        if not isinstance(cache, self.cache_type):
            raise TypeError(
                f"cache: expected the {self.cache_type.__name__} that forward returned, "
                f"got {type(cache).__name__}"
            )
        x = cast(Any, cache).x
        T, N, _ = x.shape
        _check_array("cache.x", x, (("T", T), ("N", N), ("D", self.input_size)), dtype)
        for field in self.state_type._fields:
            axes = (("T+1", T + 1), ("N", N), ("H", self.hidden_size))
            _check_array(f"cache.{field}", getattr(cache, field), axes, dtype)
        _check_array("d_output", d_output, (("T", T), ("N", N), ("H", self.hidden_size)), dtype)
        if d_final_state is None:
            return self.zero_state(N, dtype)
        self._check_state("d_final_state", d_final_state, N, dtype)
        # Copies: with T = 0 these very arrays would come back as the gradient of the initial state.
        return cast(S, self.state_type(*(d.copy() for d in d_final_state)))

    def _check_params(self, params: P, where: str = "params") -> np.dtype[Any]:
        _check_named_tuple(where, params, self.params_type)
        axes = self.param_axes()
        dtype: np.dtype[Any] | None = None  # the first parameter's, which all others must share
        for name, value in params._asdict().items():  # type: ignore[attr-defined]
            if name in axes:
                dtype = _check_array(f"{where}.{name}", value, axes[name], dtype)
            elif value is not None:
                raise ValueError(f"{where}.{name}: expected None, {self} has no such parameter")
        return cast("np.dtype[Any]", dtype)

    def _check_state(self, name: str, state: S, batch_size: int, dtype: np.dtype[Any]) -> None:
        _check_named_tuple(name, state, self.state_type)
        for field, value in zip(self.state_type._fields, state, strict=True):
            axes = (("N", batch_size), ("H", self.hidden_size))
            _check_array(f"{name}.{field}", value, axes, dtype)

    def _check_choice(self, name: str, *choices: object) -> None:
        _check_choice_of(name, getattr(self, name), *choices)


# Algebra that every cell uses.


def project(x: Array, W: Array, b: Array) -> Array:
    """``W x_t + b`` for all steps in one matrix product: (T, N, D), (GH, D), (GH,) -> (T, N, GH).

    Nothing on the input side waits for the recurrence, so the loop over time need not do it.
    """
    T, N, D = x.shape
    a = x.reshape(T * N, D) @ W.T
    a += b
    return a.reshape(T, N, W.shape[0])


def project_back(da: Array, W: Array) -> Array:
    """``W^T da_t`` for all steps in one matrix product: (T, N, GH), (GH, D) -> (T, N, D)."""
    T, N, GH = da.shape
    return (da.reshape(T * N, GH) @ W).reshape(T, N, W.shape[1])


def sum_outer(da: Array, v: Array) -> Array:
    """Sum of the outer products ``da_t v_t^T`` over steps and rows, in one matrix product.

    (T, N, GH), (T, N, K) -> (GH, K): the gradient of a weight that is used at every step.
    """
    return da.reshape(-1, da.shape[-1]).T @ v.reshape(-1, v.shape[-1])


# The checks themselves.


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
    number = float(value)
    if not 0.0 < number < math.inf:
        raise ValueError(f"{name}: expected a positive finite number, got {value}")
    return number


def _check_named_tuple(name: str, value: object, expected: type) -> None:
    if not isinstance(value, expected):
        raise TypeError(f"{name}: expected {expected.__name__}, got {type(value).__name__}")


def _check_array(
    name: str, value: object, axes: Sequence[AnyAxis], dtype: np.dtype[Any] | None
) -> np.dtype[Any]:
    """Check type, dtype (float32 or float64 where None is wanted) and shape; return the dtype."""
    wanted = ", ".join(letter if size is None else f"{letter}={size}" for letter, size in axes)
    wanted = f"({wanted},)" if len(axes) == 1 else f"({wanted})"
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{name}: expected an array of shape {wanted}, got {type(value).__name__}")
    if dtype is None:
        dtype = _float_dtype(value.dtype, name)
    if value.dtype != dtype:
        raise TypeError(f"{name}: expected {dtype}, the dtype of the parameters, got {value.dtype}")
    fits = value.ndim == len(axes) and all(
        size is None or size == given for (_, size), given in zip(axes, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name}: expected shape {wanted}, got {value.shape}")
    return dtype
