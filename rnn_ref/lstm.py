"""Long short-term memory, derived in chapter ``lstm``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, cast

import numpy as np

from .activations import Activation, Function, Slope, choose, squash_blocks
from .cell import (
    Axis,
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
from .checks import Array, _check_size
from .layer import Gradients


class LSTMParams(NamedTuple):
    """Parameters of :class:`LSTM`, named and laid out as in ``torch.nn.LSTM``.

    The G gate blocks are stacked along the first axis in the order i, f, g, o; f is missing (G = 3)
    in the variants whose f is not learned.

    Chapter ``lstm``, :eq:`eq-lstm-biases` to :eq:`eq-lstm-output`, :eq:`eq-lstm-projection`.

    Attributes
    ----------
    weight_ih
        W_i, W_f, W_g, W_o stacked, shape (4H, D).
    weight_hh
        U_i, U_f, U_g, U_o stacked, shape (4H, H).
    bias_ih, bias_hh
        Two biases of shape (4H,) whose sum is b_i, b_f, b_g, b_o stacked.
    weight_ph
        Peephole weights p_i, p_f, p_o stacked, shape (3H,), or p_i, p_o where f is missing; None in
        a layer without peepholes.
    weight_hr
        Projection W_r, shape (P, H); None in a layer without. With it the blocks of ``weight_hh``
        have P columns.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> layer = LSTM(input_size=3, hidden_size=5, peephole=True)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> U_i, U_f, U_g, U_o = np.split(params.weight_hh, 4)
    >>> params.weight_hh.shape, U_f.shape, params.weight_ph.shape
    ((20, 5), (5, 5), (15,))
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array
    weight_ph: Array | None = None
    weight_hr: Array | None = None


class LSTMState(NamedTuple):
    """State of :class:`LSTM`, in PyTorch's order.

    Chapter ``lstm``, :eq:`eq-lstm-cell` and :eq:`eq-lstm-hidden`.

    Attributes
    ----------
    h
        Hidden state, shape (N, H), or (N, P) where it is projected.
    c
        Cell state, shape (N, H).

    Examples
    --------
    >>> from rnn_ref import LSTM
    >>> layer = LSTM(input_size=3, hidden_size=5, peephole=True)
    >>> h, c = layer.zero_state(batch_size=2)
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    h: Array
    c: Array


class LSTMCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Letters as in chapter ``lstm``, :eq:`eq-lstm-input` to :eq:`eq-lstm-projection`.

    Attributes
    ----------
    layer
        The layer whose ``forward`` made it.
    x
        The input itself, not a copy, shape (T, N, D).
    i, f, g, o
        Gates and candidate, shape (T, N, H). The 1997 cell's f is 1 everywhere.
    c
        Cell states, shape (T+1, N, H); ``c[0]`` is the initial one.
    tanh_c
        tanh of the cell states 1 ... T, or the function in its place, shape (T, N, H).
    m
        o times tanh_c, shape (T, N, H): what is projected, or h itself.
    h
        Hidden states, shape (T+1, N, H), or P for H; ``h[0]`` is the initial one and ``h[1:]`` is
        the output.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> layer = LSTM(input_size=3, hidden_size=5, peephole=True)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> cache.f.shape, cache.c.shape, bool((cache.o * cache.tanh_c == output).all())
    ((4, 2, 5), (5, 2, 5), True)
    """

    layer: Any
    x: Array
    i: Array
    f: Array
    g: Array
    o: Array
    c: Array
    tanh_c: Array
    m: Array
    h: Array


@dataclass(frozen=True)
class LSTM(Cell[LSTMParams, LSTMState, LSTMCache]):
    r"""A cell state that is kept and added to, and gates that decide how much.

    .. math::
        i_t &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f_t &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        g_t &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
        o_t &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o) \\
        h_t &= o_t \odot \tanh(c_t)

    Without peepholes the p are 0, and the layer is the same function as ``torch.nn.LSTM``.

    Sources: Hochreiter and Schmidhuber (1997), "Long short-term memory" (no forget gate; its two
    squashing functions were 2 tanh(x/2) and tanh(x/2), here tanh, as everywhere today); Gers,
    Schmidhuber and Cummins (2000), "Learning to forget" (f); Gers, Schraudolph and Schmidhuber
    (2002), "Learning precise timing with LSTM recurrent networks" (peepholes); Greff et al. (2017),
    "LSTM: a search space odyssey" (coupling); Sak, Senior and Beaufays (2014), "Long short-term
    memory based recurrent neural network architectures" (projection). The gradient is the full one,
    as in Graves and Schmidhuber (2005), "Framewise phoneme classification with bidirectional LSTM";
    the paper of 1997 truncates it. The equations are :eq:`eq-lstm-input`
    to :eq:`eq-lstm-hidden` of chapter ``lstm``, with a projection :eq:`eq-lstm-projection`; the
    gradient is :eq:`eq-lstm-dh` to :eq:`eq-lstm-dx`.

    Attributes
    ----------
    input_size, hidden_size
        D and H.
    peephole
        The gates see the cell state: i and f the previous one, o the new one.
    coupled
        f = 1 - i instead of a forget gate of its own.
    forget_gate
        False for the cell of 1997: f = 1.
    proj_size
        P, less than H: the hidden state is projected, h = W_r (o * tanh(c)), so that U and what
        reads the output get smaller; 0 for no projection.
    activations
        The functions in the places of sigma (the gates), of the candidate's tanh and of the cell
        state's: names, or :class:`rnn_ref.Activation`.
    clip
        Cut what the first two are applied to off at plus and minus this number, as ONNX does; None
        for not.

    Raises
    ------
    TypeError, ValueError
        A size, a choice or ``clip`` is not as above, or two
        of them exclude each other; for the methods see :class:`rnn_ref.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import LSTM
    >>> layer = LSTM(input_size=3, hidden_size=5, peephole=True)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> output.shape, final_state.c.shape, params.weight_ph.shape
    ((4, 2, 5), (2, 5), (15,))
    """

    peephole: bool = False
    coupled: bool = False
    forget_gate: bool = True
    proj_size: int = 0
    activations: tuple[str | Activation, ...] = ("sigmoid", "tanh", "tanh")
    clip: float | None = None

    params_type: ClassVar[type] = LSTMParams
    state_type: ClassVar[type] = LSTMState
    cache_types: ClassVar[tuple[type, ...]] = (LSTMCache, RaggedCache)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("peephole", "coupled", "forget_gate"):
            self._check_choice(name, True, False)
        _check_size("proj_size", self.proj_size, smallest=0)
        if self.proj_size >= self.hidden_size:
            raise ValueError(
                f"proj_size: expected less than hidden_size {self.hidden_size}, got "
                f"{self.proj_size}"
            )
        self._check_activations(3)
        if self.coupled and not self.forget_gate:
            raise ValueError(
                "coupled: expected False together with forget_gate=False, got True; a cell "
                "has either f = 1 - i or f = 1"
            )

    @property
    def _learns_f(self) -> bool:
        """Whether f is a gate with weights of its own."""
        return self.forget_gate and not self.coupled

    @property
    def gates(self) -> int:
        """G = 4, or 3 where there is no forget gate to learn."""
        return 4 if self._learns_f else 3

    def param_axes(self) -> dict[str, tuple[Axis, ...]]:
        """Names and shapes; ``weight_ph`` only with peepholes, ``weight_hr`` with a projection."""
        axes, H = super().param_axes(), self.hidden_size
        axes["weight_hh"] = (axes["weight_hh"][0], self._output_axis)
        if self.peephole:
            gates = self.gates - 1  # all blocks but g
            axes["weight_ph"] = ((f"{gates}H", gates * H),)
        if self.proj_size:
            axes["weight_hr"] = (self._output_axis, ("H", H))
        return axes

    def state_axes(self) -> dict[str, Axis]:
        """The sizes of h, which is H, or P where it is projected, and of c, which is H."""
        H = ("H", self.hidden_size)
        return {"h": ("P", self.proj_size) if self.proj_size else H, "c": H}

    @property
    def _functions(self) -> tuple[tuple[Function, Slope], ...]:
        """sigma, phi and psi, each with its slope; what psi is applied to is not clipped."""
        sigma, phi, psi = self.activations
        return choose(sigma, self.clip), choose(phi, self.clip), choose(psi)

    def _by_gate(self, blocks: Iterable[Array]) -> tuple[Array, Array, Array, Array]:
        """The blocks i, f, g, o of G; that of f is empty where f is not learned."""
        i, *f, g, o = blocks
        return i, f[0] if f else i[:0], g, o

    def _peepholes(self, params: LSTMParams) -> tuple[Array, Array, Array]:
        """p_i, p_f, p_o; zeros in a layer without, and p_f empty where f is not learned."""
        if params.weight_ph is None:
            zeros = np.zeros(self.hidden_size, params.weight_ih.dtype)
            return zeros, zeros, zeros
        p = np.split(params.weight_ph, self.gates - 1)
        return p[0], p[1] if self._learns_f else p[0][:0], p[-1]

    def step(self, params: LSTMParams, x_t: Array, state: LSTMState) -> LSTMState:
        self._check_step(params, x_t, state)
        W_i, W_f, W_g, W_o = self._by_gate(np.split(params.weight_ih, self.gates))
        U_i, U_f, U_g, U_o = self._by_gate(np.split(params.weight_hh, self.gates))
        b_i, b_f, b_g, b_o = self._by_gate(
            np.split(params.bias_ih + params.bias_hh, self.gates)
        )  # (eq-lstm-biases)
        p_i, p_f, p_o = self._peepholes(params)
        (sigma, _), (phi, _), (psi, _) = self._functions
        h_prev, c_prev = state
        i = sigma(x_t @ W_i.T + h_prev @ U_i.T + p_i * c_prev + b_i)  # (eq-lstm-input)
        if self.coupled:
            f = 1.0 - i  # (eq-lstm-coupled)
        elif self.forget_gate:
            f = sigma(x_t @ W_f.T + h_prev @ U_f.T + p_f * c_prev + b_f)  # (eq-lstm-forget)
        else:
            f = np.ones_like(i)  # (eq-lstm-1997)
        g = phi(x_t @ W_g.T + h_prev @ U_g.T + b_g)  # (eq-lstm-candidate)
        c = f * c_prev + i * g  # (eq-lstm-cell)
        o = sigma(x_t @ W_o.T + h_prev @ U_o.T + p_o * c + b_o)  # (eq-lstm-output)
        h = o * psi(c)  # (eq-lstm-hidden)
        if params.weight_hr is not None:
            h = h @ params.weight_hr.T  # (eq-lstm-projection)
        return LSTMState(h, c)

    def _forward(
        self, params: LSTMParams, x: Array, state: LSTMState
    ) -> tuple[Array, LSTMState, LSTMCache]:
        (T, N, _), H, G = x.shape, self.hidden_size, self.gates
        (sigma, phi, _), (psi, _) = self.activations, self._functions[2]
        peephole, coupled = self.peephole, self.coupled
        E = G - 1 if peephole else G  # blocks that do not wait for c_t: a peephole of o does
        kinds = [*[sigma] * (G - 2), phi, sigma]
        s, squash = squash_blocks(kinds[:E], self.clip, N, H, x.dtype)
        if peephole:
            s_o, squash_o = squash_blocks(kinds[E:], self.clip, N, H, x.dtype)
            s = np.concatenate([s, s_o])
            p = cast(Array, params.weight_ph).reshape(G - 1, 1, H) * np.delete(s, G - 2, 0)
        # One array for all gates: s (W x + b) at first, turned into i, f, g, o in place.
        a = project_by_step(x, params.weight_ih, params.bias_ih + params.bias_hh, s)
        i, f, g, o = self._by_gate(a.swapaxes(0, 1))
        U_T, W_r = transposed(params.weight_hh, s, T), params.weight_hr
        h, c = (np.empty((T + 1, N, K), x.dtype) for K in (self.output_size, H))
        h[0], c[0] = state
        tanh_c, u = (np.empty((K, N, H), x.dtype) for K in (T, G))
        v = np.empty((N, H), x.dtype)
        m = h[1:] if W_r is None else np.empty_like(tanh_c)
        if coupled:
            f = np.empty_like(tanh_c)
        elif not self.forget_gate:  # a single 1, seen through a window of shape (T, N, H)
            f = np.broadcast_to(np.ones((), x.dtype), tanh_c.shape)
        for a_t, i_t, f_t, g_t, o_t, c_p, c_t, tanh_c_t, m_t, h_p, h_t in forwards(
            a, i, f, g, o, c[:-1], c[1:], tanh_c, m, h[:-1], h[1:]
        ):
            np.matmul(h_p, U_T, out=u)
            a_t += u
            if peephole:
                a_t[: G - 2] += p[:-1] * c_p
                squash(a_t[:E], a_t[:E])
            else:
                squash(a_t, a_t)
            if coupled:
                np.subtract(1.0, i_t, out=f_t)
            np.multiply(f_t, c_p, out=c_t)
            np.multiply(i_t, g_t, out=v)
            c_t += v
            if peephole:
                a_t[E:] += p[-1] * c_t
                squash_o(a_t[E:], a_t[E:])
            psi(c_t, out=tanh_c_t)
            np.multiply(o_t, tanh_c_t, out=m_t)
            if W_r is not None:
                np.matmul(m_t, W_r.T, out=h_t)
        final_state = LSTMState(h[T].copy(), c[T].copy())
        return h[1:], final_state, LSTMCache(self, x, i, f, g, o, c, tanh_c, m, h)

    def _backward(
        self, params: LSTMParams, cache: LSTMCache, d_output: Array, d_final_state: LSTMState
    ) -> Gradients[LSTMParams, LSTMState]:
        (T, N, _), H, G = cache.x.shape, self.hidden_size, self.gates
        W, U, W_r, x = params.weight_ih, params.weight_hh, params.weight_hr, cache.x
        h_prev, c_prev, c = cache.h[:-1], cache.c[:-1], cache.c[1:]
        (_, sigma_slope), (_, phi_slope), (_, psi_slope) = self._functions
        dh_next, dc_next = d_final_state
        dh, dc, v = np.empty_like(dh_next), np.empty_like(dc_next), np.empty_like(dc_next)
        dm = dh if W_r is None else np.empty_like(dc)
        dh_all = d_output if W_r is None else np.empty_like(cache.h[1:])
        da = np.empty((T, N, G * H), x.dtype)
        blocks = da.reshape(T, N, G, H).swapaxes(1, 2)
        for chunk in reversed(chunks(T, N * H)):
            i, f, g, o, c_p, tanh_c = (a[chunk] for a in (*cache[2:6], c_prev, cache.tanh_c))
            h_by_ao = tanh_c * sigma_slope(o)  # (eq-lstm-h-by-ao)
            h_by_c = o * psi_slope(tanh_c)  # (eq-lstm-h-by-c)
            c_by_ai = (g - c_p if self.coupled else g) * sigma_slope(i)  # (eq-lstm-c-by-ai)
            c_by_af = c_p * sigma_slope(f)  # (eq-lstm-c-by-af)
            c_by_ag = i * phi_slope(g)  # (eq-lstm-c-by-ag)
            c_by_c_prev = f
            if self.peephole:
                p_i, p_f, p_o = self._peepholes(params)
                h_by_c += p_o * h_by_ao  # (eq-lstm-dc)
                c_by_c_prev = f + p_i * c_by_ai  # (eq-lstm-dc-prev)
                if self._learns_f:
                    c_by_c_prev += p_f * c_by_af  # (eq-lstm-dc-prev)
            c_by_a = [c_by_ai, c_by_af, c_by_ag] if self._learns_f else [c_by_ai, c_by_ag]
            local = h_by_ao, h_by_c, np.stack(c_by_a, axis=1), c_by_c_prev
            shared = (a[chunk] for a in (d_output, dh_all, blocks[:, -1], blocks[:, :-1], da))
            for by_ao, by_c, by_a, keep, dout_t, dh_t, da_o_t, da_t, row_t in backwards(
                *local, *shared
            ):
                np.add(dout_t, dh_next, out=dh)  # (eq-lstm-dh)
                if W_r is not None:
                    dh_t[...] = dh
                    np.matmul(dh, W_r, out=dm)  # (eq-lstm-dm)
                np.multiply(dm, by_ao, out=da_o_t)  # (eq-lstm-da-o)
                np.multiply(dm, by_c, out=v)  # (eq-lstm-dc)
                np.add(dc_next, v, out=dc)  # (eq-lstm-dc)
                np.multiply(by_a, dc, out=da_t)  # (eq-lstm-da-i), (eq-lstm-da-f), (eq-lstm-da-g)
                np.multiply(dc, keep, out=dc_next)  # (eq-lstm-dc-prev)
                np.dot(row_t, U, out=dh_next)  # (eq-lstm-dh-prev)
        dW = sum_outer(da, x)  # (eq-lstm-dw)
        dU = sum_outer(da, h_prev)  # (eq-lstm-du)
        db = sum_steps(da)  # (eq-lstm-db)
        dx = project_back(da, W)  # (eq-lstm-dx)
        dp = None
        if self.peephole:
            *da_if, _, da_o = blocks.swapaxes(0, 1)
            seen = [*((d, c_prev) for d in da_if), (da_o, c)]
            dp = np.concatenate([(d * s).sum((0, 1)) for d, s in seen])  # (eq-lstm-dp)
        dW_r = None if W_r is None else sum_outer(dh_all, cache.m)  # (eq-lstm-dw-r)
        d_params = LSTMParams(dW, dU, db, db.copy(), dp, dW_r)
        return Gradients(d_params, dx, LSTMState(dh_next, dc_next))
