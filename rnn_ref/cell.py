"""What all cells share: their sizes and parameters, rows of different length, and algebra."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike

from .activations import _check_activation, _check_clip
from .checks import (
    Array,
    _check_array,
    _check_choice_of,
    _check_named_tuple,
    _check_rng,
    _check_size,
    _float_dtype,
)
from .layer import C, Gradients, Layer, P, S
from .tree import map_arrays

Axis: TypeAlias = tuple[str, int]  # a letter and its size


@dataclass(frozen=True)
class Cell(Layer[P, S, C]):
    r"""A layer that is a single recurrent cell run over time.

    Its G gates are blocks of rows, stacked in one matrix, so that one product serves all of them:

    .. math::
        a_t = W x_t + U h_{t-1} + b \in \mathbb{R}^{GH}

    Chapters ``elman``, ``lstm``, ``gru`` and ``sru`` derive one cell each (an SRU has no U).

    Attributes
    ----------
    input_size
        D, at least 1.
    hidden_size
        H, at least 1.

    Raises
    ------
    TypeError, ValueError
        A size is not an integer of at least 1; for the methods see :class:`rnn_ref.Layer`.

    Examples
    --------
    >>> from rnn_ref import LSTM
    >>> cell = LSTM(input_size=3, hidden_size=5)
    >>> cell.gates, cell.output_size, cell.state_axes()
    (4, 5, {'h': ('H', 5), 'c': ('H', 5)})
    >>> cell.param_axes()["weight_ih"]
    (('4H', 20), ('D', 3))
    """

    input_size: int
    hidden_size: int

    params_type: ClassVar[Any]
    state_type: ClassVar[Any]

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size"):
            _check_size(name, getattr(self, name), smallest=1)

    # What a cell supplies, beside ``step``.

    @property
    @abstractmethod
    def gates(self) -> int:
        """G, the number of (H, .) blocks stacked in the weights."""

    @abstractmethod
    def _forward(self, params: P, x: Array, state: S) -> tuple[Array, S, C]:
        """``forward`` for rows of one length and arguments that have been checked."""

    @abstractmethod
    def _backward(self, params: P, cache: C, d_output: Array, d_final_state: S) -> Gradients[P, S]:
        """``backward`` for what ``_forward`` returned and arguments that have been checked."""

    # What every cell gets.

    @property
    def output_size(self) -> int:
        """The size of h."""
        return self._output_axis[1]

    def _output_of(self, state: S) -> Array:
        return cast(Array, cast(Any, state).h)

    @property
    def _output_axis(self) -> Axis:
        return self.state_axes()["h"]

    def param_axes(self) -> dict[str, tuple[Axis, ...]]:
        """Names and shapes of the parameters, letters with sizes, in ``params_type``'s order."""
        D, H = ("D", self.input_size), ("H", self.hidden_size)
        GH = ("H" if self.gates == 1 else f"{self.gates}H", self.gates * self.hidden_size)
        return {"weight_ih": (GH, D), "weight_hh": (GH, H), "bias_ih": (GH,), "bias_hh": (GH,)}

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> P:
        _check_rng(rng)
        dtype, bound = _float_dtype(dtype), self.hidden_size**-0.5
        drawn = {
            name: rng.uniform(-bound, bound, [size for _, size in axes]).astype(dtype)
            for name, axes in self.param_axes().items()
        }
        return cast(P, self.params_type(**drawn))

    def state_axes(self) -> dict[str, Axis]:
        """Names of the state's arrays and the axis that each has beside N, in their order."""
        return dict.fromkeys(self.state_type._fields, ("H", self.hidden_size))

    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> S:
        _check_size("batch_size", batch_size, smallest=0)
        N, dtype, sizes = batch_size, _float_dtype(dtype), self.state_axes()
        return cast(S, self.state_type(*(np.zeros((N, K), dtype) for _, K in sizes.values())))

    # Rows of different length.

    def _forward_rows(
        self, params: P, x: Array, state: S, lengths: Array | None
    ) -> tuple[Array, S, Any]:
        if lengths is None:
            return self._forward(params, x, state)
        return _forward_spans(self, params, x, state, lengths)

    def _backward_rows(
        self, params: P, cache: Any, d_output: Array, d_final_state: S
    ) -> Gradients[P, S]:
        if isinstance(cache, RaggedCache):
            return _backward_spans(self, params, cache, d_output, d_final_state)
        # A copy, contiguous: the pass writes the gradient of each state over that of the next.
        return self._backward(params, cache, d_output, map_arrays(np.ndarray.copy, d_final_state))

    # Checks of the arguments.

    def _check_cache(self, cache: Any, dtype: np.dtype[Any]) -> None:
        super()._check_cache(cache, dtype)
        parts = [span.cache for span in cache.spans] if isinstance(cache, RaggedCache) else [cache]
        for part in parts:
            T, N, _ = part.x.shape
            for field, axis in self.state_axes().items():
                axes = (("T+1", T + 1), ("N", N), axis)
                _check_array(f"cache.{field}", getattr(part, field), axes, dtype)

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
        for field, axis in self.state_axes().items():
            _check_array(f"{name}.{field}", getattr(state, field), (("N", batch_size), axis), dtype)

    def _check_activations(self, number: int) -> None:
        """Check the fields ``activations``, of that many, and ``clip``."""
        given = cast(Any, self).activations
        if not isinstance(given, list | tuple) or len(given) != number:
            raise ValueError(f"activations: expected a tuple of {number}, got {given!r}")
        checked = [_check_activation(f"activations[{k}]", f) for k, f in enumerate(given)]
        object.__setattr__(self, "activations", tuple(checked))
        object.__setattr__(self, "clip", _check_clip(cast(Any, self).clip))

    def _check_choice(self, name: str, *choices: object) -> None:
        _check_choice_of(name, getattr(self, name), *choices)


# Rows of different length. Between two ends of rows the batch is an ordinary one, of those rows
# that go on: a span. A cell never meets a padded step, so what stands there cannot leak.


class Span(NamedTuple):
    """Steps in which the same rows are running.

    Between two ends of rows the batch is an ordinary one, :eq:`eq-composition-span` of chapter
    ``composition``.

    Attributes
    ----------
    steps
        Which steps.
    rows
        Which rows, integers.
    cache
        The cell's own cache of these steps and rows.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer, lengths = GRU(3, 5), np.array([7, 4, 4])
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> _, _, cache = layer.forward(params, np.ones((7, 3, 3)), lengths=lengths)
    >>> steps, rows, part = cache.spans[0]  # until the first row ends
    >>> steps, rows.tolist(), part.h.shape
    (slice(0, 4, None), [0, 1, 2], (5, 3, 5))
    """

    steps: slice
    rows: Array
    cache: Any


class RaggedCache(NamedTuple):
    """What ``forward`` keeps for ``backward`` of rows of different length.

    Chapter ``composition`` derives the gradient, :eq:`eq-composition-span-back` and
    :eq:`eq-composition-span-sum`.

    Attributes
    ----------
    layer
        The cell that made it.
    x
        The input itself, not a copy, shape (T, N, D).
    spans
        The cell's caches of the spans, in the order of time.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer, lengths = GRU(3, 5), np.array([7, 4, 4])
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> _, _, cache = layer.forward(params, np.ones((7, 3, 3)), lengths=lengths)
    >>> [(span.steps, span.rows.tolist()) for span in cache.spans]
    [(slice(0, 4, None), [0, 1, 2]), (slice(4, 7, None), [0])]
    """

    layer: Any
    x: Array
    spans: tuple[Span, ...]


def _forward_spans(
    cell: Cell[P, S, Any], params: P, x: Array, state: S, lengths: Array
) -> tuple[Array, S, RaggedCache]:
    output = np.zeros((*x.shape[:2], cell.output_size), x.dtype)
    current = map_arrays(np.copy, state)  # each row's latest state, its final one once it has ended
    spans, start = [], 0
    for end in np.unique(lengths[lengths > 0]).tolist():
        steps, rows = slice(start, end), np.flatnonzero(lengths >= end)
        before = _of_rows(current, rows)
        # (eq-composition-span)
        output[steps, rows], after, cache = cell._forward(params, x[steps, rows], before)
        _set_rows(current, rows, after)
        spans.append(Span(steps, rows, cache))
        start = end
    return output, current, RaggedCache(cell, x, tuple(spans))


def _backward_spans(
    cell: Cell[P, S, Any], params: P, cache: RaggedCache, d_output: Array, d_final_state: S
) -> Gradients[P, S]:
    d_params, dx = map_arrays(np.zeros_like, params), np.zeros_like(cache.x)
    d_state = map_arrays(np.ndarray.copy, d_final_state)
    for steps, rows, part in reversed(cache.spans):
        d_after = _of_rows(d_state, rows)
        # (eq-composition-span-back)
        grads = cell._backward(params, part, d_output[steps, rows], d_after)
        d_params = map_arrays(np.add, d_params, grads.params)  # (eq-composition-span-sum)
        dx[steps, rows] = grads.x
        _set_rows(d_state, rows, grads.state)
    return Gradients(d_params, dx, d_state)


def _of_rows(state: S, rows: Array) -> S:
    return map_arrays(lambda s: s[rows], state)


def _set_rows(state: S, rows: Array, values: S) -> None:
    for s, v in zip(state, values, strict=True):
        s[rows] = v


# Algebra that every cell uses, for all gates at a time. Chapter ``fast`` derives and times it.


def project(x: Array, W: Array, b: Array, s: Array) -> Array:
    r"""The input's part of every pre-activation, for all steps, in one matrix product.

    .. math::
        a_{g,t} = s_g\,(W_g x_t + b_g), \qquad g = 1, \dots, G

    Nothing on the input side waits for the recurrence, so the loop over time need not do it, see
    :eq:`eq-fast-inputs` of chapter ``fast``. The bias is the weight of one more input, which is 1.

    Parameters
    ----------
    x
        Input, shape (T, N, D).
    W, b
        Weights and biases of all gates, shapes (GH, D) and (GH,).
    s
        Scale of each gate, shape (G, 1, 1).

    Returns
    -------
    Array
        Shape (G, T, N, H).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import project
    >>> x, W, b = np.ones((4, 2, 3)), np.ones((10, 3)), np.ones(10)  # G = 2, H = 5
    >>> a = project(x, W, b, s=np.ones((2, 1, 1)))
    >>> a.shape, float(a[0, 0, 0, 0])
    ((2, 4, 2, 5), 4.0)
    """
    return _project(x, transposed(np.concatenate([W, b[:, None]], axis=1), s, len(x)))


def project_by_step(x: Array, W: Array, b: Array, s: Array) -> Array:
    """What :func:`project` computes, with the steps first.

    At one step all gates together lie in one piece, for one call (chapter ``fast``).

    Parameters
    ----------
    x, W, b, s
        As of :func:`project`.

    Returns
    -------
    Array
        Shape (T, G, N, H).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import project_by_step
    >>> x, W, b = np.ones((4, 2, 3)), np.ones((10, 3)), np.ones(10)
    >>> project_by_step(x, W, b, s=np.ones((2, 1, 1))).shape
    (4, 2, 2, 5)
    """
    W_b = transposed(np.concatenate([W, b[:, None]], axis=1), s, len(x))
    (T, N, _), (G, _, H) = x.shape, W_b.shape
    a = np.empty((T, G, N, H), x.dtype)
    for chunk in chunks(T, N, 256):  # rows enough for BLAS, few enough for the cache
        a[chunk] = _project(x[chunk], W_b).swapaxes(0, 1)
    return a


def _project(x: Array, W_b: Array) -> Array:
    (T, N, D), (G, _, H) = x.shape, W_b.shape
    x_1 = np.ones((T, N, D + 1), x.dtype)
    x_1[:, :, :D] = x
    a = np.matmul(x_1.reshape(T * N, D + 1), W_b)
    return cast(Array, a.reshape(G, T, N, H))


def transposed(W: Array, s: Array, T: int) -> Array:
    """Each gate's block of weights, scaled and transposed, for T products ``v @ block``.

    BLAS is slower, several times where N is small, when it has to read a matrix across its rows; so
    where the steps are many it is copied, once. And one product a gate leaves every gate in one
    piece, where one with all weights would interleave them (chapter ``fast``).

    Parameters
    ----------
    W
        Weights of all gates, shape (GH, K).
    s
        Scale of each gate, shape (G, 1, 1).
    T
        Number of steps that will use it.

    Returns
    -------
    Array
        Shape (G, K, H).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import transposed
    >>> W = np.arange(12.0).reshape(4, 3)  # G = 2, H = 2
    >>> blocks = transposed(W, s=np.ones((2, 1, 1)), T=50)
    >>> blocks.shape, bool((blocks[1] == W[2:].T).all())
    ((2, 3, 2), True)
    """
    H = len(W) // len(s)
    blocks = (W.reshape(len(s), H, W.shape[1]) * s).swapaxes(1, 2)
    return np.ascontiguousarray(blocks) if T >= 8 else blocks


def project_back(da: Array, W: Array) -> Array:
    r"""The gradient of the input, for all steps in one matrix product.

    .. math::
        \mathrm{d}x_t = W^\top \delta_t

    The second of :eq:`eq-fast-sums` in chapter ``fast``.

    Parameters
    ----------
    da
        Gradients of the pre-activations, shape (T, N, GH).
    W
        Weights, shape (GH, D).

    Returns
    -------
    Array
        Shape (T, N, D).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import project_back
    >>> project_back(np.ones((4, 2, 10)), np.ones((10, 3))).shape
    (4, 2, 3)
    """
    T, N, GH = da.shape
    return (da.reshape(T * N, GH) @ W).reshape(T, N, W.shape[1])


def sum_outer(da: Array, v: Array) -> Array:
    r"""The gradient of a weight that is used at every step, in one matrix product.

    .. math::
        \mathrm{d}W = \sum_{t,n} \delta_{t,n}\, v_{t,n}^\top

    The first of :eq:`eq-fast-sums` in chapter ``fast``. Of many terms BLAS sums the transposed
    products faster, which are the same numbers.

    Parameters
    ----------
    da
        Gradients of the pre-activations, shape (T, N, GH).
    v
        What the weight multiplies, shape (T, N, K).

    Returns
    -------
    Array
        Shape (GH, K).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import sum_outer
    >>> da, v = np.ones((4, 2, 10)), np.ones((4, 2, 3))
    >>> sum_outer(da, v).shape, float(sum_outer(da, v)[0, 0])  # 4 steps of 2 rows
    ((10, 3), 8.0)
    """
    da, v = da.reshape(-1, da.shape[-1]), v.reshape(-1, v.shape[-1])
    return da.T @ v if len(v) < 1024 else np.ascontiguousarray((v.T @ da).T)


def sum_steps(da: Array) -> Array:
    r"""The gradient of a bias: the sum over steps and rows.

    .. math::
        \mathrm{d}b = \sum_{t,n} \delta_{t,n}

    The bias is the weight of an input that is 1, :eq:`eq-fast-bias` of chapter ``fast``.

    Parameters
    ----------
    da
        Gradients of the pre-activations, shape (T, N, GH).

    Returns
    -------
    Array
        Shape (GH,).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import sum_steps
    >>> sum_steps(np.ones((4, 2, 3)))
    array([8., 8., 8.])
    """
    da = da.reshape(-1, da.shape[-1])
    return np.ones(len(da), da.dtype) @ da


def forwards(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Step by step through arrays (T, ...), from the first to the last (chapter ``fast``).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import forwards
    >>> x, h = np.arange(3), np.zeros(3)
    >>> for x_t, h_t in forwards(x, h[:, None]):
    ...     h_t[...] = 2 * x_t  # the rows are views
    >>> h
    array([0., 2., 4.])
    """
    return zip(*arrays, strict=True)


def backwards(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Step by step through arrays (T, ...), from the last to the first (chapter ``fast``).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.cell import backwards
    >>> [int(x_t) for (x_t,) in backwards(np.arange(3))]
    [2, 1, 0]
    """
    return zip(*(a[::-1] for a in arrays), strict=True)


def chunks(T: int, size: int, most: int = 2**15) -> list[slice]:
    """Chunks of the T steps, of at most ``most`` numbers where a step has ``size`` of them.

    What the recursion does not have to deliver is computed for a whole chunk at once: in few calls,
    and used while it is still in the processor's cache (chapter ``fast``).

    Examples
    --------
    >>> from rnn_ref.cell import chunks
    >>> chunks(T=5, size=100, most=250)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    length = max(1, most // max(1, size))
    return [slice(start, min(start + length, T)) for start in range(0, T, length)]
