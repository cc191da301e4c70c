"""Layers made of layers, derived in chapter ``composition``: depth and direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array, _check_array, _check_named_tuple, _full_name
from .layer import Gradients, Layer

AnyLayer: TypeAlias = Layer[Any, Any, Any]
Parts: TypeAlias = tuple[Any, ...]  # one part for each layer of a stack


class StackCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Letters as in chapter ``composition``, :eq:`eq-composition-stack` and :eq:`eq-composition-mask`.

    Attributes
    ----------
    layer
        The stack that made it.
    x
        The input itself, not a copy, shape (T, N, D).
    caches
        The cache of each layer.
    masks
        The dropout masks between the layers, or None.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, LSTM, Stack
    >>> layer = Stack([LSTM(3, 5), GRU(5, 4)])
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> _, _, cache = layer.forward(params, np.ones((7, 2, 3)))
    >>> cache.caches[0].f.shape, cache.caches[1].z.shape
    ((7, 2, 5), (7, 2, 4))
    """

    layer: Any
    x: Array
    caches: Parts
    masks: tuple[Array, ...] | None


@dataclass(frozen=True)
class Stack(Layer[Parts, Parts, StackCache]):
    r"""Layers one above the other: each takes the output of the one below as its input.

    .. math::
        (y^{(k)}, s_T^{(k)}) = F^{(k)}(m^{(k-1)} \odot y^{(k-1)}, s_0^{(k)}; \theta^{(k)}),
        \qquad y^{(0)} = x, \quad k = 1, \dots, K

    F is ``forward`` of one layer, m a mask for dropout, 1 without. Chapter ``composition`` derives
    it and its gradient, :eq:`eq-composition-stack` to :eq:`eq-composition-mask-back`.

    Parameters, states and gradients are tuples with one entry for each layer, the lowest first.

    Attributes
    ----------
    layers
        Any layers, stacks and bidirectional ones included, the lowest first. The output of each has
        the size of the next one's input.

    Raises
    ------
    TypeError
        ``layers`` is no sequence of layers.
    ValueError
        It is empty, or an output does not have the size of the next input.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, LSTM, Stack
    >>> layer = Stack([LSTM(3, 5), GRU(5, 4)])
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, cache = layer.forward(params, np.ones((7, 2, 3)))
    >>> output.shape, final_state[0].c.shape, params[1].weight_ih.shape
    ((7, 2, 4), (2, 5), (12, 5))
    """

    layers: tuple[AnyLayer, ...]
    input_size: int = field(init=False, repr=False, compare=False)

    cache_types: ClassVar[tuple[type, ...]] = (StackCache,)

    def __post_init__(self) -> None:
        if isinstance(self.layers, Layer) or not isinstance(self.layers, Sequence):
            raise TypeError(f"layers: expected a sequence of layers, got {_full_name(self.layers)}")
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError("layers: expected at least one layer, got none")
        for k, layer in enumerate(self.layers):
            _check_layer(f"layers[{k}]", layer)
        for k, (lower, upper) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            if upper.input_size != lower.output_size:
                raise ValueError(
                    f"layers[{k + 1}]: expected input_size {lower.output_size}, the output of the "
                    f"layer below, got {upper.input_size}"
                )
        object.__setattr__(self, "input_size", self.layers[0].input_size)

    @property
    def output_size(self) -> int:
        """O of the highest layer."""
        return self.layers[-1].output_size

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Parts:
        return tuple(layer.init_params(rng, dtype) for layer in self.layers)

    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> Parts:
        return tuple(layer.zero_state(batch_size, dtype) for layer in self.layers)

    def step(self, params: Parts, x_t: Array, state: Parts) -> Parts:
        self._check_step(params, x_t, state)
        new: list[Any] = []
        for layer, p, s in zip(self.layers, params, state, strict=True):
            new.append(layer.step(p, x_t, s))  # (eq-composition-step)
            x_t = layer._output_of(new[-1])
        return tuple(new)

    def forward(
        self,
        params: Parts,
        x: Array,
        state: Parts | None = None,
        lengths: Array | None = None,
        masks: Sequence[Array] | None = None,
    ) -> tuple[Array, Parts, StackCache]:
        """As for every layer, with dropout between the layers.

        Parameters
        ----------
        params, x, state, lengths
            As for every layer.
        masks
            One array for each layer but the highest, which multiplies its output on the way up:
            shape (T, N, O), or (1, N, O) for one mask at all steps. For dropout its
            entries are 0 with probability q and 1/(1-q) else. None for no dropout.

        Returns
        -------
        tuple
            Output, final state and cache, as for every layer.
        """
        state = self._check_forward(params, x, state, lengths)
        if masks is not None:
            masks = self._check_masks(masks, x)
        return self._forward_rows(params, x, state, lengths, masks)

    def _forward_rows(
        self,
        params: Parts,
        x: Array,
        state: Parts,
        lengths: Array | None,
        masks: tuple[Array, ...] | None = None,
    ) -> tuple[Array, Parts, StackCache]:
        below, final, caches = x, [], []
        for k, layer in enumerate(self.layers):
            if k and masks is not None:
                below = masks[k - 1] * below  # (eq-composition-mask)
            # (eq-composition-stack)
            below, last, cache = layer._forward_rows(params[k], below, state[k], lengths)
            final.append(last)
            caches.append(cache)
        return below, tuple(final), StackCache(self, x, tuple(caches), masks)

    def _backward_rows(
        self, params: Parts, cache: StackCache, d_output: Array, d_final_state: Parts
    ) -> Gradients[Parts, Parts]:
        grads: list[Gradients[Any, Any]] = []
        d_below = d_output
        for k, layer in reversed(list(enumerate(self.layers))):
            d_above = d_below
            # (eq-composition-stack-back)
            grads.append(
                layer._backward_rows(params[k], cache.caches[k], d_above, d_final_state[k])
            )
            d_below = grads[-1].x
            if k and cache.masks is not None:
                d_below = cache.masks[k - 1] * d_below  # (eq-composition-mask-back)
        grads.reverse()
        return Gradients(tuple(g.params for g in grads), d_below, tuple(g.state for g in grads))

    def _output_of(self, state: Parts) -> Array:
        return self.layers[-1]._output_of(state[-1])

    def _check_params(self, params: Parts, where: str = "params") -> np.dtype[Any]:
        self._check_parts(where, params)
        named = zip(self.layers, params, strict=True)
        dtypes = [layer._check_params(p, f"{where}[{k}]") for k, (layer, p) in enumerate(named)]
        return _one_dtype(where, dtypes)

    def _check_state(self, name: str, state: Parts, batch_size: int, dtype: np.dtype[Any]) -> None:
        self._check_parts(name, state)
        for k, (layer, s) in enumerate(zip(self.layers, state, strict=True)):
            layer._check_state(f"{name}[{k}]", s, batch_size, dtype)

    def _check_parts(self, name: str, parts: object) -> None:
        if type(parts) is not tuple:
            raise TypeError(f"{name}: expected a tuple, got {type(parts).__name__}")
        if len(parts) != len(self.layers):
            raise ValueError(
                f"{name}: expected {len(self.layers)} parts, one for each layer, got {len(parts)}"
            )

    def _check_masks(self, masks: Sequence[Array], x: Array) -> tuple[Array, ...]:
        if not isinstance(masks, list | tuple):
            raise TypeError(f"masks: expected a list of arrays, got {type(masks).__name__}")
        if len(masks) != len(self.layers) - 1:
            raise ValueError(
                f"masks: expected {len(self.layers) - 1}, one for each layer but the highest, got "
                f"{len(masks)}"
            )
        T, N, _ = x.shape
        for k, (mask, layer) in enumerate(zip(masks, self.layers, strict=False)):
            one = isinstance(mask, np.ndarray) and mask.shape[:1] == (1,)
            steps = ("1", 1) if one else ("T", T)
            axes = (steps, ("N", N), ("O", layer.output_size))
            _check_array(f"masks[{k}]", mask, axes, x.dtype)
        return tuple(masks)


class ReverseCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Chapter ``composition``, :eq:`eq-composition-reversed-back`.

    Attributes
    ----------
    layer
        The layer that made it.
    x
        The input itself, not a copy, shape (T, N, D).
    reversed_layer
        Cache of the layer that is reversed; it runs from the last step to the first.
    lengths
        Number of steps of each row, or None.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Reverse
    >>> layer = Reverse(GRU(3, 5))
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((7, 2, 3)))
    >>> bool((cache.reversed_layer.h[1:] == output[::-1]).all())  # in the order of reading
    True
    """

    layer: Any
    x: Array
    reversed_layer: Any
    lengths: Array | None


@dataclass(frozen=True)
class Reverse(Layer[Any, Any, ReverseCache]):
    r"""A layer that reads each row from its end, with its output in the order of the input.

    .. math::
        (R x)_t = x_{\ell + 1 - t} \;\text{ for } t \le \ell, \qquad
        F^{\leftarrow}(x, s_0) = (R y, s_T), \quad (y, s_T) = F(R x, s_0)

    F is ``forward`` of the layer, R turns a row of :math:`\ell` steps around. Chapter
    ``composition`` derives it and its gradient, :eq:`eq-composition-reverse` to
    :eq:`eq-composition-reversed-back`.

    It starts at the last step of each row: the output at step t is what the layer has read from
    there down to t. Parameters, states and gradients are those of the layer; the initial state
    stands behind the last step, the final one before the first.

    Attributes
    ----------
    layer
        Any layer.

    Raises
    ------
    TypeError
        ``layer`` is no layer.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Reverse
    >>> layer = Reverse(GRU(3, 5))
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, _ = layer.forward(params, np.ones((7, 2, 3)))
    >>> bool((output[0] == final_state.h).all())
    True
    """

    layer: AnyLayer
    input_size: int = field(init=False, repr=False, compare=False)

    cache_types: ClassVar[tuple[type, ...]] = (ReverseCache,)

    def __post_init__(self) -> None:
        _check_layer("layer", self.layer)
        object.__setattr__(self, "input_size", self.layer.input_size)

    @property
    def output_size(self) -> int:
        """O of the layer."""
        return self.layer.output_size

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> Any:
        return self.layer.init_params(rng, dtype)

    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> Any:
        return self.layer.zero_state(batch_size, dtype)

    def step(self, params: Any, x_t: Array, state: Any) -> Any:
        """Refused: the first output needs the end of the sequence.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise _no_step(self)

    def _forward_rows(
        self, params: Any, x: Array, state: Any, lengths: Array | None
    ) -> tuple[Array, Any, ReverseCache]:
        # (eq-composition-reversed)
        output, final, cache = self.layer._forward_rows(params, reverse(x, lengths), state, lengths)
        return reverse(output, lengths), final, ReverseCache(self, x, cache, lengths)

    def _backward_rows(
        self, params: Any, cache: ReverseCache, d_output: Array, d_final_state: Any
    ) -> Gradients[Any, Any]:
        # (eq-composition-reversed-back)
        d_output = reverse(d_output, cache.lengths)
        grads = self.layer._backward_rows(params, cache.reversed_layer, d_output, d_final_state)
        return grads._replace(x=reverse(grads.x, cache.lengths))

    def _output_of(self, state: Any) -> Array:
        raise _no_step(self)

    def _check_params(self, params: Any, where: str = "params") -> np.dtype[Any]:
        return self.layer._check_params(params, where)

    def _check_state(self, name: str, state: Any, batch_size: int, dtype: np.dtype[Any]) -> None:
        self.layer._check_state(name, state, batch_size, dtype)


class BidirectionalParams(NamedTuple):
    """Parameters of :class:`Bidirectional`.

    Chapter ``composition``, :eq:`eq-composition-bidirectional`.

    Attributes
    ----------
    forward_layer, backward_layer
        Of each layer, in its own type.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Bidirectional
    >>> layer = Bidirectional(GRU(3, 5), GRU(3, 4))
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> params.forward_layer.weight_ih.shape, params.backward_layer.weight_ih.shape
    ((15, 3), (12, 3))
    """

    forward_layer: Any
    backward_layer: Any


class BidirectionalState(NamedTuple):
    """State of :class:`Bidirectional`.

    Chapter ``composition``, :eq:`eq-composition-bidirectional`.

    Attributes
    ----------
    forward_layer
        Of the forward layer: the initial one stands before the first step, the final one after the
        last.
    backward_layer
        Of the backward layer, in its own type: the initial one stands behind the last step, the
        final one before the first.

    Examples
    --------
    >>> from rnn_ref import GRU, Bidirectional
    >>> layer = Bidirectional(GRU(3, 5), GRU(3, 4))
    >>> state = layer.zero_state(batch_size=2)
    >>> state.forward_layer.h.shape, state.backward_layer.h.shape
    ((2, 5), (2, 4))
    """

    forward_layer: Any
    backward_layer: Any


class BidirectionalCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Chapter ``composition``, :eq:`eq-composition-bidirectional-split`.

    Attributes
    ----------
    layer
        The layer that made it.
    x
        The input itself, not a copy, shape (T, N, D).
    forward_layer, backward_layer
        Cache of each layer; that of the backward layer is a :class:`ReverseCache`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Bidirectional
    >>> layer = Bidirectional(GRU(3, 5), GRU(3, 4))
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> _, _, cache = layer.forward(params, np.ones((7, 2, 3)))
    >>> cache.forward_layer.z.shape, cache.backward_layer.reversed_layer.z.shape
    ((7, 2, 5), (7, 2, 4))
    """

    layer: Any
    x: Array
    forward_layer: Any
    backward_layer: ReverseCache


@dataclass(frozen=True)
class Bidirectional(Layer[BidirectionalParams, BidirectionalState, BidirectionalCache]):
    r"""Two layers over the same input, one from each end, their outputs side by side.

    .. math::
        y_t = (y_t^{\rightarrow}, y_t^{\leftarrow}), \qquad
        (y^{\rightarrow}, s^{\rightarrow}) = F^{\rightarrow}(x, s_0^{\rightarrow}), \quad
        (y^{\leftarrow}, s^{\leftarrow}) = F^{\leftarrow}(x, s_0^{\leftarrow})

    Chapter ``composition`` derives it and its gradient, :eq:`eq-composition-bidirectional` to
    :eq:`eq-composition-bidirectional-dx`.

    The backward layer reads each row from its end, as in :class:`Reverse`.

    Source: Schuster and Paliwal (1997), "Bidirectional recurrent neural networks".

    Attributes
    ----------
    forward_layer, backward_layer
        Two layers of the same input size; they need not be of one kind.

    Raises
    ------
    TypeError
        One of them is no layer.
    ValueError
        Their input sizes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, Bidirectional
    >>> layer = Bidirectional(GRU(3, 5), GRU(3, 4))
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> lengths = np.array([7, 4])
    >>> output, final_state, _ = layer.forward(params, np.ones((7, 2, 3)), lengths=lengths)
    >>> output.shape, final_state.backward_layer.h.shape
    ((7, 2, 9), (2, 4))
    """

    forward_layer: AnyLayer
    backward_layer: AnyLayer
    input_size: int = field(init=False, repr=False, compare=False)

    cache_types: ClassVar[tuple[type, ...]] = (BidirectionalCache,)

    def __post_init__(self) -> None:
        _check_layer("forward_layer", self.forward_layer)
        _check_layer("backward_layer", self.backward_layer)
        D = self.forward_layer.input_size
        if self.backward_layer.input_size != D:
            raise ValueError(
                f"backward_layer: expected input_size {D}, that of the forward layer, got "
                f"{self.backward_layer.input_size}"
            )
        object.__setattr__(self, "input_size", D)

    @property
    def output_size(self) -> int:
        """The sum of both layers'."""
        return self.forward_layer.output_size + self.backward_layer.output_size

    def init_params(
        self, rng: np.random.Generator, dtype: DTypeLike = np.float64
    ) -> BidirectionalParams:
        return BidirectionalParams(*(layer.init_params(rng, dtype) for layer in self._both))

    def zero_state(self, batch_size: int, dtype: DTypeLike = np.float64) -> BidirectionalState:
        return BidirectionalState(*(layer.zero_state(batch_size, dtype) for layer in self._both))

    def step(
        self, params: BidirectionalParams, x_t: Array, state: BidirectionalState
    ) -> BidirectionalState:
        """Refused: the backward layer needs the end of the sequence first.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise _no_step(self)

    @property
    def _both(self) -> tuple[AnyLayer, AnyLayer]:
        return self.forward_layer, Reverse(self.backward_layer)

    def _forward_rows(
        self,
        params: BidirectionalParams,
        x: Array,
        state: BidirectionalState,
        lengths: Array | None,
    ) -> tuple[Array, BidirectionalState, BidirectionalCache]:
        ahead, back = (
            layer._forward_rows(p, x, s, lengths)
            for layer, p, s in zip(self._both, params, state, strict=True)
        )
        output = np.concatenate([ahead[0], back[0]], axis=2)  # (eq-composition-bidirectional)
        final = BidirectionalState(ahead[1], back[1])
        return output, final, BidirectionalCache(self, x, ahead[2], back[2])

    def _backward_rows(
        self,
        params: BidirectionalParams,
        cache: BidirectionalCache,
        d_output: Array,
        d_final_state: BidirectionalState,
    ) -> Gradients[BidirectionalParams, BidirectionalState]:
        # (eq-composition-bidirectional-split)
        d_both = np.split(d_output, [self.forward_layer.output_size], axis=2)
        caches = cache.forward_layer, cache.backward_layer
        ahead, back = (
            layer._backward_rows(p, c, d, d_state)
            for layer, p, c, d, d_state in zip(
                self._both, params, caches, d_both, d_final_state, strict=True
            )
        )
        return Gradients(
            BidirectionalParams(ahead.params, back.params),
            ahead.x + back.x,  # (eq-composition-bidirectional-dx)
            BidirectionalState(ahead.state, back.state),
        )

    def _output_of(self, state: BidirectionalState) -> Array:
        raise _no_step(self)

    def _check_params(self, params: BidirectionalParams, where: str = "params") -> np.dtype[Any]:
        _check_named_tuple(where, params, BidirectionalParams)
        named = zip(params._fields, self._both, params, strict=True)
        dtypes = [layer._check_params(p, f"{where}.{name}") for name, layer, p in named]
        return _one_dtype(where, dtypes)

    def _check_state(
        self, name: str, state: BidirectionalState, batch_size: int, dtype: np.dtype[Any]
    ) -> None:
        _check_named_tuple(name, state, BidirectionalState)
        for part, layer, s in zip(state._fields, self._both, state, strict=True):
            layer._check_state(f"{name}.{part}", s, batch_size, dtype)


def reverse(x: Array, lengths: Array | None = None) -> Array:
    """Turn each row around within its length; what stands behind it stays where it is.

    The R of :eq:`eq-composition-reverse` in chapter ``composition``.

    Parameters
    ----------
    x
        Shape (T, N, K).
    lengths
        Number of steps of each row, integers of shape (N,); T for every row when absent.

    Returns
    -------
    Array
        A copy, shape (T, N, K). Twice gives x back.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.compose import reverse
    >>> x = np.arange(8).reshape(4, 2, 1)
    >>> reverse(x, lengths=np.array([4, 2]))[:, :, 0].T  # the two rows
    array([[6, 4, 2, 0],
           [3, 1, 5, 7]])
    """
    if lengths is None:
        return x[::-1].copy()
    t = np.arange(len(x))[:, None]
    source = np.where(t < lengths, lengths - 1 - t, t)  # (eq-composition-reverse)
    return x[source, np.arange(x.shape[1])]


def _no_step(layer: AnyLayer) -> NotImplementedError:
    return NotImplementedError(f"step: {layer} reads every sequence from its end; use forward")


def _check_layer(name: str, layer: object) -> None:
    if not isinstance(layer, Layer):
        raise TypeError(f"{name}: expected a rnn_ref.Layer, got {_full_name(layer)}")


def _one_dtype(where: str, dtypes: Sequence[np.dtype[Any]]) -> np.dtype[Any]:
    if len(set(dtypes)) > 1:
        found = ", ".join(sorted({str(dtype) for dtype in dtypes}))
        raise TypeError(f"{where}: expected one dtype in all layers, got {found}")
    return dtypes[0]
