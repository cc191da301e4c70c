"""The Elman network, derived in chapter ``elman``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .activations import Activation, _check_activation, _check_clip, choose, squash_blocks
from .cell import (
    Cell,
    RaggedCache,
    backwards,
    chunks,
    forwards,
    project_back,
    project_by_step,
    sum_outer,
    sum_steps,
    transposed,
)
from .checks import Array
from .layer import Gradients


class ElmanParams(NamedTuple):
    """Parameters of :class:`ElmanRNN`, named and laid out as in ``torch.nn.RNN``.

    Chapter ``elman``, :eq:`eq-elman-preactivation` and :eq:`eq-elman-bias`.

    Attributes
    ----------
    weight_ih
        W, shape (H, D).
    weight_hh
        U, shape (H, H).
    bias_ih, bias_hh
        Two biases of shape (H,) whose sum is the b of the equations.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import ElmanRNN
    >>> layer = ElmanRNN(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> params.weight_ih.shape, params.weight_hh.shape, params.bias_ih.shape
    ((5, 3), (5, 5), (5,))
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array


class ElmanState(NamedTuple):
    """State of :class:`ElmanRNN`.

    Chapter ``elman``, :eq:`eq-elman-state`.

    Attributes
    ----------
    h
        Hidden state, shape (N, H).

    Examples
    --------
    >>> from rnn_ref import ElmanRNN
    >>> layer = ElmanRNN(input_size=3, hidden_size=5)
    >>> layer.zero_state(batch_size=2).h.shape
    (2, 5)
    """

    h: Array


class ElmanCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Letters as in chapter ``elman``.

    Attributes
    ----------
    layer
        The layer whose ``forward`` made it.
    x
        The input itself, not a copy, shape (T, N, D).
    h
        Hidden states, shape (T+1, N, H); ``h[0]`` is the initial state and ``h[1:]`` is the output.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import ElmanRNN
    >>> layer = ElmanRNN(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> cache.h.shape, bool((cache.h[1:] == output).all())
    ((5, 2, 5), True)
    """

    layer: Any
    x: Array
    h: Array


@dataclass(frozen=True)
class ElmanRNN(Cell[ElmanParams, ElmanState, ElmanCache]):
    r"""The simple recurrent network: one nonlinear map of the input and the previous state.

    .. math::
        a_t = W x_t + U h_{t-1} + b, \qquad h_t = f(a_t), \quad f = \tanh \text{ or } \max(0, \cdot)

    Same function as ``torch.nn.RNN``. Sources: Elman (1990), "Finding structure in time"; for the
    gradient, Werbos (1990), "Backpropagation through time: what it does and how to do it". The
    equations are :eq:`eq-elman-preactivation` and :eq:`eq-elman-state` of chapter ``elman``, the
    gradient is :eq:`eq-elman-dh` to :eq:`eq-elman-dx`.

    Attributes
    ----------
    input_size, hidden_size
        D and H.
    nonlinearity
        f: "tanh", "relu", or another :class:`rnn_ref.Activation` or its name.
    clip
        Cut a off at plus and minus this number before f, as ONNX does; None for not.

    Raises
    ------
    TypeError, ValueError
        A size, ``nonlinearity`` or ``clip`` is not as above; for the
        methods see :class:`rnn_ref.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import ElmanRNN
    >>> layer = ElmanRNN(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> output.shape, final_state.h.shape
    ((4, 2, 5), (2, 5))
    """

    nonlinearity: str | Activation = "tanh"
    clip: float | None = None

    params_type: ClassVar[type] = ElmanParams
    state_type: ClassVar[type] = ElmanState
    cache_types: ClassVar[tuple[type, ...]] = (ElmanCache, RaggedCache)

    def __post_init__(self) -> None:
        super().__post_init__()
        nonlinearity = _check_activation("nonlinearity", self.nonlinearity)
        object.__setattr__(self, "nonlinearity", nonlinearity)
        object.__setattr__(self, "clip", _check_clip(self.clip))

    @property
    def gates(self) -> int:
        """G = 1, a single block."""
        return 1

    def step(self, params: ElmanParams, x_t: Array, state: ElmanState) -> ElmanState:
        self._check_step(params, x_t, state)
        f, _ = choose(self.nonlinearity, self.clip)
        W, U = params.weight_ih, params.weight_hh
        b = params.bias_ih + params.bias_hh  # (eq-elman-bias)
        a = x_t @ W.T + state.h @ U.T + b  # (eq-elman-preactivation)
        h = f(a)  # (eq-elman-state)
        return ElmanState(h)

    def _forward(
        self, params: ElmanParams, x: Array, state: ElmanState
    ) -> tuple[Array, ElmanState, ElmanCache]:
        (T, N, _), H = x.shape, self.hidden_size
        s, squash = squash_blocks([self.nonlinearity], self.clip, N, H, x.dtype)
        a = project_by_step(x, params.weight_ih, params.bias_ih + params.bias_hh, s)
        U_T = transposed(params.weight_hh, s, T)[0]
        h, u = np.empty((T + 1, N, H), x.dtype), np.empty((1, N, H), x.dtype)
        h[0] = state.h
        for a_t, h_prev, h_t in forwards(a, h[:-1], h[1:, None]):
            np.dot(h_prev, U_T, out=u[0])
            u += a_t
            squash(u, h_t)
        return h[1:], ElmanState(h[T].copy()), ElmanCache(self, x, h)

    def _backward(
        self, params: ElmanParams, cache: ElmanCache, d_output: Array, d_final_state: ElmanState
    ) -> Gradients[ElmanParams, ElmanState]:
        (T, N, _), dh_next = cache.x.shape, d_final_state.h
        W, U = params.weight_ih, params.weight_hh
        x, h_prev, h = cache.x, cache.h[:-1], cache.h[1:]
        _, slope_of = choose(self.nonlinearity, self.clip)
        dh, da = np.empty_like(dh_next), np.empty_like(h)
        for chunk in reversed(chunks(T, N * self.hidden_size)):
            slope = slope_of(h[chunk])  # (eq-elman-slope)
            for dout_t, slope_t, da_t in backwards(d_output[chunk], slope, da[chunk]):
                np.add(dout_t, dh_next, out=dh)  # (eq-elman-dh)
                np.multiply(dh, slope_t, out=da_t)  # (eq-elman-da)
                np.dot(da_t, U, out=dh_next)  # (eq-elman-dh-prev)
        dW = sum_outer(da, x)  # (eq-elman-dw)
        dU = sum_outer(da, h_prev)  # (eq-elman-du)
        db = sum_steps(da)  # (eq-elman-db)
        dx = project_back(da, W)  # (eq-elman-dx)
        return Gradients(ElmanParams(dW, dU, db, db.copy()), dx, ElmanState(dh_next))
