"""The Simple Recurrent Unit in both published forms, derived in chapter ``sru``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from .activations import sigmoid, sigmoid_slope, tanh, tanh_slope
from .cell import (
    Axis,
    Cell,
    RaggedCache,
    backwards,
    chunks,
    forwards,
    project,
    project_back,
    sum_outer,
    sum_steps,
)
from .checks import Array, _check_positive
from .layer import Gradients


class SRUParams(NamedTuple):
    """Parameters of :class:`SRU`. No matrix multiplies the state: there is no ``weight_hh``.

    Chapter ``sru``, :eq:`eq-sru-candidate` to :eq:`eq-sru-highway-matrix`.

    Attributes
    ----------
    weight_ih
        W_u, W_f, W_r stacked, shape (3H, D); with a highway and D != H also W_s, shape (4H, D).
    bias_ih
        b_f, b_r stacked, shape (2H,).
    weight_ph
        v_f, v_r stacked, shape (2H,); None in version 1.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import SRU
    >>> layer = SRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> W_u, W_f, W_r, W_s = np.split(params.weight_ih, 4)  # W_s, since D and H differ
    >>> params.weight_ih.shape, W_s.shape
    ((20, 3), (5, 3))
    """

    weight_ih: Array
    bias_ih: Array
    weight_ph: Array | None = None


class SRUState(NamedTuple):
    """State of :class:`SRU`.

    Chapter ``sru``, :eq:`eq-sru-cell` and :eq:`eq-sru-hidden`.

    Attributes
    ----------
    h
        The last output, shape (N, H). No later step reads it: where T is at least 1, the gradient
        in the initial h is 0. It is here so that the state of every layer holds its output.
    c
        Cell state, shape (N, H), all that the recurrence carries.

    Examples
    --------
    >>> from rnn_ref import SRU
    >>> layer = SRU(input_size=3, hidden_size=5)
    >>> h, c = layer.zero_state(batch_size=2)
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    h: Array
    c: Array


class SRUCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Letters as in chapter ``sru``, :eq:`eq-sru-candidate` to :eq:`eq-sru-hidden`.

    Attributes
    ----------
    layer
        The layer whose ``forward`` made it.
    x
        The input itself, not a copy, shape (T, N, D).
    u, f, r, s
        Candidate, forget gate, reset gate and highway term, shape (T, N, H).
    c
        Cell states, shape (T+1, N, H); ``c[0]`` is the initial one.
    g_c
        g(c), shape (T, N, H): tanh(c), or c itself.
    h
        Outputs, shape (T+1, N, H); ``h[0]`` is the initial one and ``h[1:]`` is the output.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import SRU
    >>> layer = SRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> cache.f.shape, cache.c.shape, bool((cache.h[1:] == output).all())
    ((4, 2, 5), (5, 2, 5), True)
    """

    layer: Any
    x: Array
    u: Array
    f: Array
    r: Array
    s: Array
    c: Array
    g_c: Array
    h: Array


@dataclass(frozen=True)
class SRU(Cell[SRUParams, SRUState, SRUCache]):
    r"""A recurrence without a matrix: each unit averages its own past and a candidate.

    .. math::
        u_t &= W_u x_t \\
        f_t &= \sigma(W_f x_t + v_f \odot c_{t-1} + b_f) \\
        r_t &= \sigma(W_r x_t + v_r \odot c_{t-1} + b_r) \\
        c_t &= f_t \odot c_{t-1} + (1-f_t) \odot u_t \\
        s_t &= \alpha x_t \quad\text{or, where } D \ne H,\quad \alpha W_s x_t \\
        h_t &= r_t \odot g(c_t) + (1-r_t) \odot s_t

    Version 1 has no v. All matrix products are of the input, so one product serves all steps and
    what is left of the loop over time is elementwise.

    Notes
    -----
    Lei et al. (2018), "Simple recurrent units for highly parallelizable recurrence"; version 1 is
    the first version of that paper, arXiv 1709.02755v1. The paper's g is the identity in version 2,
    either of the two in version 1. ``init_params`` draws as for every layer; the authors draw
    larger weights, of variance 1/D, and start with biases of 0.
    Where D != H the authors' package applies alpha not here but once, to the initial W_s. The
    equations are :eq:`eq-sru-candidate` to :eq:`eq-sru-hidden` of chapter ``sru``, the gradient is
    :eq:`eq-sru-dh` to :eq:`eq-sru-dx`.

    Attributes
    ----------
    input_size, hidden_size
        D and H.
    version
        2, or 1 for gates that do not see the cell state.
    nonlinearity
        g, "identity" or "tanh".
    highway
        False for s = 0: no path from the input around the cell.
    alpha
        Factor of the highway term, positive; see :func:`highway_alpha`.

    Raises
    ------
    TypeError, ValueError
        A size, a choice or ``alpha`` is not as above; for the
        methods see :class:`rnn_ref.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import SRU
    >>> layer = SRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> output.shape, final_state.c.shape, params.weight_ih.shape
    ((4, 2, 5), (2, 5), (20, 3))
    """

    version: Literal[1, 2] = 2
    nonlinearity: Literal["identity", "tanh"] = "identity"
    highway: bool = True
    alpha: float = 1.0

    params_type: ClassVar[type] = SRUParams
    state_type: ClassVar[type] = SRUState
    cache_types: ClassVar[tuple[type, ...]] = (SRUCache, RaggedCache)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("version", 1, 2)
        self._check_choice("nonlinearity", "identity", "tanh")
        self._check_choice("highway", True, False)
        object.__setattr__(self, "alpha", _check_positive("alpha", self.alpha))
        if self.alpha != 1.0 and not self.highway:
            raise ValueError(
                f"alpha: expected 1 together with highway=False, got {self.alpha}; "
                "there is no highway term to scale"
            )

    @property
    def _has_W_s(self) -> bool:
        """Whether the highway needs a matrix of its own."""
        return self.highway and self.input_size != self.hidden_size

    @property
    def gates(self) -> int:
        """G = 3, the blocks u, f and r, or 4 with s."""
        return 4 if self._has_W_s else 3

    def param_axes(self) -> dict[str, tuple[Axis, ...]]:
        """Names and shapes of the parameters; ``weight_ph`` only in version 2."""
        D, H, G = self.input_size, self.hidden_size, self.gates
        axes: dict[str, tuple[Axis, ...]] = {
            "weight_ih": ((f"{G}H", G * H), ("D", D)),
            "bias_ih": (("2H", 2 * H),),
        }
        if self.version == 2:
            axes["weight_ph"] = (("2H", 2 * H),)
        return axes

    def _peepholes(self, params: SRUParams) -> tuple[Array, Array]:
        """v_f, v_r; zeros in version 1."""
        if params.weight_ph is None:
            zeros = np.zeros(self.hidden_size, params.weight_ih.dtype)
            return zeros, zeros
        v_f, v_r = np.split(params.weight_ph, 2)
        return v_f, v_r

    def step(self, params: SRUParams, x_t: Array, state: SRUState) -> SRUState:
        self._check_step(params, x_t, state)
        W_u, W_f, W_r, *W_s = np.split(params.weight_ih, self.gates)
        b_f, b_r = np.split(params.bias_ih, 2)
        v_f, v_r = self._peepholes(params)
        c_prev = state.c
        u = x_t @ W_u.T  # (eq-sru-candidate)
        f = sigmoid(x_t @ W_f.T + v_f * c_prev + b_f)  # (eq-sru-forget)
        r = sigmoid(x_t @ W_r.T + v_r * c_prev + b_r)  # (eq-sru-reset)
        c = f * c_prev + (1.0 - f) * u  # (eq-sru-cell)
        g_c = tanh(c) if self.nonlinearity == "tanh" else c  # (eq-sru-g)
        if not self.highway:
            s = np.zeros_like(c)  # (eq-sru-no-highway)
        elif self._has_W_s:
            s = self.alpha * (x_t @ W_s[0].T)  # (eq-sru-highway-matrix)
        else:
            s = self.alpha * x_t  # (eq-sru-highway)
        h = r * g_c + (1.0 - r) * s  # (eq-sru-hidden)
        return SRUState(h, c)

    def _forward(
        self, params: SRUParams, x: Array, state: SRUState
    ) -> tuple[Array, SRUState, SRUCache]:
        (T, N, _), H, G = x.shape, self.hidden_size, self.gates
        # sigma(a) = tanh(a/2)/2 + 1/2: the inner half goes into the weights of f and r.
        scale = np.array([1.0, 0.5, 0.5, 1.0][:G], x.dtype).reshape(G, 1, 1)
        half = np.array(0.5, x.dtype)
        b = np.zeros(G * H, x.dtype)
        b[H : 3 * H] = params.bias_ih
        u, f, r, *s_of_W = project(x, params.weight_ih, b, scale)
        v_f, v_r = (half * v for v in self._peepholes(params))
        v_f, v = v_f + np.zeros((N, 1), x.dtype), np.empty((N, H), x.dtype)
        h, c = (np.empty((T + 1, N, H), x.dtype) for _ in range(2))
        h[0], c[0] = state
        s = self._highway(x, s_of_W[0] if s_of_W else None)
        g_c = np.empty((T, N, H), x.dtype) if self.nonlinearity == "tanh" else c[1:]

        def squash(a: Array) -> None:
            np.tanh(a, out=a)
            a *= half
            a += half

        for chunk in chunks(T, N * H):
            if self.version == 1:  # f waits for nothing: all steps of the chunk at once
                squash(f[chunk])
            for f_t, u_t, c_p, c_t in forwards(f[chunk], u[chunk], c[:-1][chunk], c[1:][chunk]):
                if self.version == 2:
                    np.multiply(v_f, c_p, out=v)
                    f_t += v
                    squash(f_t)
                np.subtract(c_p, u_t, out=c_t)  # f c + (1-f) u = u + f (c - u)
                c_t *= f_t
                c_t += u_t
            # Nothing below is read by a later step: all steps of the chunk at once again.
            r_now, s_now, h_now = r[chunk], s[chunk], h[1:][chunk]
            if self.version == 2:
                r_now += v_r * c[:-1][chunk]
            squash(r_now)
            if self.nonlinearity == "tanh":
                tanh(c[1:][chunk], out=g_c[chunk])
            np.subtract(g_c[chunk], s_now, out=h_now)  # r g + (1-r) s = s + r (g - s)
            h_now *= r_now
            h_now += s_now
        return h[1:], SRUState(h[T].copy(), c[T].copy()), SRUCache(self, x, u, f, r, s, c, g_c, h)

    def _highway(self, x: Array, s_of_W: Array | None) -> Array:
        """The highway term s for all steps; ``s_of_W`` holds ``W_s x`` where there is a W_s."""
        if not self.highway:  # a single 0, seen through a window of shape (T, N, H)
            return np.broadcast_to(np.zeros((), x.dtype), (*x.shape[:2], self.hidden_size))
        s = x if s_of_W is None else s_of_W
        return s if self.alpha == 1.0 else self.alpha * s

    def _backward(
        self, params: SRUParams, cache: SRUCache, d_output: Array, d_final_state: SRUState
    ) -> Gradients[SRUParams, SRUState]:
        (T, N, _), H, G = cache.x.shape, self.hidden_size, self.gates
        W, (v_f, v_r), c_prev = params.weight_ih, self._peepholes(params), cache.c[:-1]
        dh_next, dc_next = d_final_state
        da = np.empty((T, N, G * H), d_output.dtype)
        (du, da_f, da_r, *da_s), dx = np.split(da, G, axis=2), np.empty_like(cache.x)
        for chunk in reversed(chunks(T, N * H)):
            u, f, r, s, c_p, g_c = (v[chunk] for v in (*cache[2:6], c_prev, cache.g_c))
            dh = d_output[chunk]
            if chunk.stop == T:  # the last output is the final state's h too; no step reads an h
                dh = np.concatenate([dh[:-1], dh[-1:] + dh_next])  # (eq-sru-dh)
                dh_next = np.zeros_like(dh_next)
            # What does not wait for the recursion; sigma' = r (1-r), and the 1-r is in ds already.
            ds = dh * (1.0 - r)  # (eq-sru-ds)
            np.multiply(ds * r, g_c - s, out=da_r[chunk])  # (eq-sru-da-r)
            h_by_c = r * tanh_slope(g_c) if self.nonlinearity == "tanh" else r  # (eq-sru-h-by-c)
            c_by_af = (c_p - u) * sigmoid_slope(f)  # (eq-sru-c-by-af)
            c_by_c_prev = f + v_f * c_by_af  # (eq-sru-c-by-c-prev)
            through_r = v_r * da_r[chunk]  # (eq-sru-dc-prev)
            dc = dh * h_by_c  # (eq-sru-dc)
            dc[:-1] += through_r[1:]  # (eq-sru-dc)
            for dc_t, by_c_prev_t in backwards(dc, c_by_c_prev):
                dc_t += dc_next  # (eq-sru-dc)
                np.multiply(dc_t, by_c_prev_t, out=dc_next)  # (eq-sru-dc-prev)
            dc_next += through_r[0]  # (eq-sru-dc-prev)
            np.multiply(dc, c_by_af, out=da_f[chunk])  # (eq-sru-da-f)
            np.multiply(dc, 1.0 - f, out=du[chunk])  # (eq-sru-du)
            if self._has_W_s:
                da_s[0][chunk] = self.alpha * ds  # (eq-sru-dw)
            dx[chunk] = project_back(da[chunk], W)  # (eq-sru-dx)
            if self.highway and not self._has_W_s:
                dx[chunk] += self.alpha * ds  # (eq-sru-dx)
        dW = sum_outer(da, cache.x)  # (eq-sru-dw)
        db = sum_steps(da)[H : 3 * H].copy()  # (eq-sru-db)
        dv = None
        if self.version == 2:
            of_both = [np.einsum("tnh,tnh->h", d, c_prev) for d in (da_f, da_r)]  # (eq-sru-dv)
            dv = np.concatenate(of_both)  # (eq-sru-dv)
        return Gradients(SRUParams(dW, db, dv), dx, SRUState(dh_next, dc_next))


def highway_alpha(bias: float) -> float:
    r"""The highway's factor :math:`\alpha = \sqrt{1 + 2 e^b}`, as the authors' package sets it.

    It suits the start of training, where every b_r is ``bias``: the output then has the variance of
    the input if g(c) has it too. That takes weights of variance 1/D, as that package draws them;
    ``init_params`` draws a third of it where D = H. alpha does not follow b_r in training.

    Chapter ``sru`` derives it, :eq:`eq-sru-alpha`.

    Parameters
    ----------
    bias
        The initial value of b_r.

    Returns
    -------
    float
        For the field ``alpha`` of :class:`SRU`.

    Raises
    ------
    TypeError
        ``bias`` is not a number.
    ValueError
        ``bias`` is not finite, or so large that alpha overflows.

    Examples
    --------
    >>> from rnn_ref import highway_alpha
    >>> round(highway_alpha(0.0), 6)
    1.732051
    """
    if isinstance(bias, bool) or not isinstance(bias, float | int | np.number):
        raise TypeError(f"bias: expected a number, got {type(bias).__name__}")
    if not -math.inf < bias < 700.0:
        raise ValueError(f"bias: expected a finite number below 700, got {bias}")
    return math.sqrt(1.0 + 2.0 * math.exp(bias))
