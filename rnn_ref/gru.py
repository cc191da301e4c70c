"""The gated recurrent unit in both reset forms, derived in chapter ``gru``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from .activations import Activation, Function, Slope, choose, squash_blocks
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


class GRUParams(NamedTuple):
    """Parameters of :class:`GRU`, named and laid out as in ``torch.nn.GRU``.

    Three blocks are stacked along the first axis in the order r, z, n.

    Chapter ``gru``, :eq:`eq-gru-biases` to :eq:`eq-gru-n-before`.

    Attributes
    ----------
    weight_ih
        W_r, W_z, W_n stacked, shape (3H, D).
    weight_hh
        U_r, U_z, U_n stacked, shape (3H, H).
    bias_ih, bias_hh
        Shape (3H,). In the blocks r and z only their sum matters, b_r and b_z; the last block of
        ``bias_ih`` is b_n and the last block of ``bias_hh`` is b_m.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer = GRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> U_r, U_z, U_n = np.split(params.weight_hh, 3)
    >>> params.weight_hh.shape, U_n.shape
    ((15, 5), (5, 5))
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array


class GRUState(NamedTuple):
    """State of :class:`GRU`.

    Chapter ``gru``, :eq:`eq-gru-hidden`.

    Attributes
    ----------
    h
        Hidden state, shape (N, H).

    Examples
    --------
    >>> from rnn_ref import GRU
    >>> layer = GRU(input_size=3, hidden_size=5)
    >>> layer.zero_state(batch_size=2).h.shape
    (2, 5)
    """

    h: Array


class GRUCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

    Letters as in chapter ``gru``, :eq:`eq-gru-reset` to :eq:`eq-gru-hidden`.

    Attributes
    ----------
    layer
        The layer whose ``forward`` made it.
    x
        The input itself, not a copy, shape (T, N, D).
    r, z, n
        Reset gate, update gate and candidate, shape (T, N, H).
    m
        The state's part of the candidate's pre-activation, shape (T, N, H): ``U_n h_prev + b_m``
        with the reset after, ``U_n (r * h_prev) + b_m`` with the reset before.
    h
        Hidden states, shape (T+1, N, H); ``h[0]`` is the initial one and ``h[1:]`` is the output.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer = GRU(input_size=3, hidden_size=5)
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, _, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> cache.z.shape, cache.h.shape, bool((cache.h[1:] == output).all())
    ((4, 2, 5), (5, 2, 5), True)
    """

    layer: Any
    x: Array
    r: Array
    z: Array
    n: Array
    m: Array
    h: Array


@dataclass(frozen=True)
class GRU(Cell[GRUParams, GRUState, GRUCache]):
    r"""A state that is an average of itself and a candidate, with learned weights.

    .. math::
        r_t &= \sigma(W_r x_t + U_r h_{t-1} + b_r) \\
        z_t &= \sigma(W_z x_t + U_z h_{t-1} + b_z) \\
        n_t &= \tanh(W_n x_t + b_n + r_t \odot (U_n h_{t-1} + b_m)) \quad\text{(after), or} \\
        n_t &= \tanh(W_n x_t + b_n + U_n (r_t \odot h_{t-1}) + b_m) \quad\text{(before)} \\
        h_t &= (1-z_t) \odot n_t + z_t \odot h_{t-1}

    z keeps: where z is 1 the state stays. With ``reset="after"`` this is the same function as
    ``torch.nn.GRU``; "before" is ``linear_before_reset=0`` in ONNX, ``reset_after=False`` in Keras.
    No map of weights turns one into the other in general.

    Source: Cho et al. (2014), "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation". The equations are :eq:`eq-gru-reset` to
    :eq:`eq-gru-hidden` of chapter ``gru``, the gradient is :eq:`eq-gru-dh` to :eq:`eq-gru-dx`.

    Attributes
    ----------
    input_size, hidden_size
        D and H.
    reset
        "after": r scales the product with U_n; "before": r scales the state that U_n multiplies.
    activations
        The functions in the places of sigma (both gates) and tanh: names, or
        :class:`rnn_ref.Activation`.
    clip
        Cut what they are applied to off at plus and minus this number, as ONNX does; None for not.

    Raises
    ------
    TypeError, ValueError
        A size, a choice or ``clip`` is not as above; for the
        methods see :class:`rnn_ref.Layer`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU
    >>> layer = GRU(input_size=3, hidden_size=5, reset="after")
    >>> params = layer.init_params(np.random.default_rng(0))
    >>> output, final_state, cache = layer.forward(params, np.ones((4, 2, 3)))
    >>> output.shape, final_state.h.shape, cache.z.shape
    ((4, 2, 5), (2, 5), (4, 2, 5))
    """

    reset: Literal["after", "before"] = "after"
    activations: tuple[str | Activation, str | Activation] = ("sigmoid", "tanh")
    clip: float | None = None

    params_type: ClassVar[type] = GRUParams
    state_type: ClassVar[type] = GRUState
    cache_types: ClassVar[tuple[type, ...]] = (GRUCache, RaggedCache)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_choice("reset", "after", "before")
        self._check_activations(2)

    @property
    def gates(self) -> int:
        """G = 3, the blocks r, z and n."""
        return 3

    @property
    def _functions(self) -> tuple[tuple[Function, Slope], ...]:
        """Sigma and phi, each with its slope."""
        return tuple(choose(choice, self.clip) for choice in self.activations)

    def step(self, params: GRUParams, x_t: Array, state: GRUState) -> GRUState:
        self._check_step(params, x_t, state)
        W_r, W_z, W_n = np.split(params.weight_ih, 3)
        U_r, U_z, U_n = np.split(params.weight_hh, 3)
        b_r, b_z, _ = np.split(params.bias_ih + params.bias_hh, 3)  # (eq-gru-biases)
        b_n, b_m = np.split(params.bias_ih, 3)[2], np.split(params.bias_hh, 3)[2]  # (eq-gru-biases)
        (sigma, _), (phi, _) = self._functions
        h_prev = state.h
        r = sigma(x_t @ W_r.T + h_prev @ U_r.T + b_r)  # (eq-gru-reset)
        z = sigma(x_t @ W_z.T + h_prev @ U_z.T + b_z)  # (eq-gru-update)
        if self.reset == "after":
            m = h_prev @ U_n.T + b_m  # (eq-gru-m-after)
            n = phi(x_t @ W_n.T + b_n + r * m)  # (eq-gru-n-after)
        else:
            m = (r * h_prev) @ U_n.T + b_m  # (eq-gru-m-before)
            n = phi(x_t @ W_n.T + b_n + m)  # (eq-gru-n-before)
        h = (1.0 - z) * n + z * h_prev  # (eq-gru-hidden)
        return GRUState(h)

    def _forward(
        self, params: GRUParams, x: Array, state: GRUState
    ) -> tuple[Array, GRUState, GRUCache]:
        (T, N, _), H, after = x.shape, self.hidden_size, self.reset == "after"
        (sigma, _), (phi, _) = self.activations, self._functions[1]
        s, squash = squash_blocks([sigma, sigma], self.clip, N, H, x.dtype)
        s = np.concatenate([s, np.ones_like(s[:1])])  # n is dealt with by itself
        b, b_m = params.bias_ih.copy(), params.bias_hh[2 * H :]
        b[: 2 * H] += params.bias_hh[: 2 * H]
        a = project_by_step(x, params.weight_ih, b, s)  # s (W x + b), then r, z, n in place
        (r, z, n), U_T = a.swapaxes(0, 1), transposed(params.weight_hh, s, T)
        m, h = np.empty((T, N, H), x.dtype), np.empty((T + 1, N, H), x.dtype)
        u, v = np.empty((3, N, H), x.dtype), np.empty((N, H), x.dtype)
        u_rz, u_n, U_rz_T, U_n_T = u[:2], u[2], U_T[:2], U_T[2]
        h[0] = state.h
        for rz_t, r_t, z_t, n_t, m_t, h_prev, h_t in forwards(a[:, :2], r, z, n, m, h[:-1], h[1:]):
            if after:  # one product serves both gates and the candidate
                np.matmul(h_prev, U_T, out=u)
            else:
                np.matmul(h_prev, U_rz_T, out=u_rz)
            u_rz += rz_t
            squash(u_rz, rz_t)
            if not after:  # the candidate's product has to wait for r
                np.multiply(r_t, h_prev, out=v)
                np.dot(v, U_n_T, out=u_n)
            np.add(u_n, b_m, out=m_t)
            n_t += np.multiply(r_t, m_t, out=v) if after else m_t
            phi(n_t, out=n_t)
            np.subtract(h_prev, n_t, out=h_t)  # (1-z) n + z h = n + z (h - n)
            h_t *= z_t
            h_t += n_t
        return h[1:], GRUState(h[T].copy()), GRUCache(self, x, r, z, n, m, h)

    def _backward(
        self, params: GRUParams, cache: GRUCache, d_output: Array, d_final_state: GRUState
    ) -> Gradients[GRUParams, GRUState]:
        (T, N, _), H, after = cache.x.shape, self.hidden_size, self.reset == "after"
        W, U, x, h_prev = params.weight_ih, params.weight_hh, cache.x, cache.h[:-1]
        (_, sigma_slope), (_, phi_slope) = self._functions
        # Side by side the gradients of a_r, a_z, with the reset after of m, and of a_n. The first
        # three belong to the pre-activations' part U h + b, the first two and the last to the part
        # W x + b: the parts differ where r stands between a_n and U_n h.
        G = 4 if after else 3
        d = np.empty((T, N, G * H), x.dtype)
        da_r, da_rz, da_n, du = d[..., :H], d[..., : 2 * H], d[..., -H:], d[..., : 3 * H]
        blocks = d.reshape(T, N, G, H).swapaxes(1, 2)
        factors = blocks if after else blocks[:, 1:]  # what is a local derivative times dh
        dh_next = d_final_state.h
        dh, ds = np.empty_like(dh_next), np.empty_like(dh_next)
        for chunk in reversed(chunks(T, N * H)):
            r, z, n, m, h_p = (v[chunk] for v in (*cache[2:6], h_prev))
            h_by_an = (1.0 - z) * phi_slope(n)  # (eq-gru-h-by-an)
            h_by_az = (h_p - n) * sigma_slope(z)  # (eq-gru-h-by-az)
            by_ar = (m if after else h_p) * sigma_slope(r)  # (eq-gru-by-ar)
            h_by = [h_by_az, h_by_an]
            if after:
                h_by_ar = h_by_an * by_ar  # (eq-gru-da-r-after)
                h_by_m = h_by_an * r  # (eq-gru-dm-after)
                h_by = [h_by_ar, h_by_az, h_by_m, h_by_an]
            steps = (v[chunk] for v in (d_output, factors, du, da_n, da_r, da_rz))
            for h_by_t, by_ar_t, r_t, z_t, dout_t, d_t, du_t, da_n_t, da_r_t, da_rz_t in backwards(
                np.stack(h_by, axis=1), by_ar, r, z, *steps
            ):
                np.add(dout_t, dh_next, out=dh)  # (eq-gru-dh)
                np.multiply(h_by_t, dh, out=d_t)  # (eq-gru-da-n), (eq-gru-da-z)
                dh *= z_t  # (eq-gru-dh-prev-after), (eq-gru-dh-prev-before)
                if after:
                    np.matmul(du_t, U, out=dh_next)  # (eq-gru-dh-prev-after)
                else:
                    np.matmul(da_n_t, U[2 * H :], out=ds)  # (eq-gru-ds-before)
                    np.multiply(ds, by_ar_t, out=da_r_t)  # (eq-gru-da-r-before)
                    ds *= r_t  # (eq-gru-dh-prev-before)
                    dh += ds  # (eq-gru-dh-prev-before)
                    np.matmul(da_rz_t, U[: 2 * H], out=dh_next)  # (eq-gru-dh-prev-before)
                dh_next += dh  # (eq-gru-dh-prev-after), (eq-gru-dh-prev-before)
        dW = np.concatenate([sum_outer(da_rz, x), sum_outer(da_n, x)])  # (eq-gru-dw)
        if after:
            dU = sum_outer(du, h_prev)  # (eq-gru-du)
        else:
            dU_n = sum_outer(da_n, cache.r * h_prev)  # (eq-gru-du-n-before)
            dU = np.concatenate([sum_outer(da_rz, h_prev), dU_n])  # (eq-gru-du)
        db = sum_steps(d)  # (eq-gru-db)
        db_ih, db_hh = np.concatenate([db[: 2 * H], db[-H:]]), db[: 3 * H].copy()
        dx = project_back(da_rz, W[: 2 * H])  # (eq-gru-dx)
        dx += project_back(da_n, W[2 * H :])  # (eq-gru-dx)
        return Gradients(GRUParams(dW, dU, db_ih, db_hh), dx, GRUState(dh_next))
