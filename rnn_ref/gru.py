"""The gated recurrent unit in both reset forms, derived in chapter ``gru``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from .activations import Activation, Function, Slope, choose
from .cell import Cell, RaggedCache, project, project_back, sum_outer
from .checks import Array
from .layer import Gradients


class GRUParams(NamedTuple):
    """Parameters of :class:`GRU`, named and laid out as in ``torch.nn.GRU``.

    Three blocks are stacked along the first axis in the order r, z, n.

    Attributes
    ----------
    weight_ih
        W_r, W_z, W_n stacked, shape (3H, D).
    weight_hh
        U_r, U_z, U_n stacked, shape (3H, H).
    bias_ih, bias_hh
        Shape (3H,). In the blocks r and z only their sum matters, b_r and b_z; the last block of
        ``bias_ih`` is b_n and the last block of ``bias_hh`` is b_m.
    """

    weight_ih: Array
    weight_hh: Array
    bias_ih: Array
    bias_hh: Array


class GRUState(NamedTuple):
    """State of :class:`GRU`.

    Attributes
    ----------
    h
        Hidden state, shape (N, H).
    """

    h: Array


class GRUCache(NamedTuple):
    """What ``forward`` keeps for ``backward``; change none of it in between.

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
    statistical machine translation". The chapter's equations are :eq:`eq-gru-reset` to
    :eq:`eq-gru-hidden`, and for the gradient :eq:`eq-gru-dh` to :eq:`eq-gru-dx`.

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

    Examples
    --------
    >>> import numpy as np
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
        (T, N, _), H = x.shape, self.hidden_size
        gates = project(x, params.weight_ih, params.bias_ih)  # W x + b, then r z n in place
        rz, (r, z, n) = gates[:, :, : 2 * H], np.split(gates, 3, axis=2)
        U_T, b_hh = params.weight_hh.T, params.bias_hh
        U_rz_T, U_n_T, b_rz, b_m = U_T[:, : 2 * H], U_T[:, 2 * H :], b_hh[: 2 * H], b_hh[2 * H :]
        m, h = np.empty((T, N, H), x.dtype), np.empty((T + 1, N, H), x.dtype)
        h[0], ((sigma, _), (phi, _)) = state.h, self._functions
        for t in range(T):
            if self.reset == "after":  # one product serves both gates and the candidate
                u = h[t] @ U_T + b_hh
                rz[t] += u[:, : 2 * H]
                sigma(rz[t], out=rz[t])
                m[t] = u[:, 2 * H :]
                n[t] += r[t] * m[t]
            else:  # the candidate's product has to wait for r
                rz[t] += h[t] @ U_rz_T + b_rz
                sigma(rz[t], out=rz[t])
                m[t] = (r[t] * h[t]) @ U_n_T + b_m
                n[t] += m[t]
            phi(n[t], out=n[t])
            np.subtract(h[t], n[t], out=h[t + 1])  # (1-z) n + z h = n + z (h - n)
            h[t + 1] *= z[t]
            h[t + 1] += n[t]
        return h[1:], GRUState(h[T].copy()), GRUCache(self, x, r, z, n, m, h)

    def _backward(
        self, params: GRUParams, cache: GRUCache, d_output: Array, d_final_state: GRUState
    ) -> Gradients[GRUParams, GRUState]:
        dh_next = d_final_state.h
        after, H = self.reset == "after", self.hidden_size
        W, U = params.weight_ih, params.weight_hh
        U_rz, U_n = U[: 2 * H], U[2 * H :]
        _, x, r, z, n, m, h_all = cache
        h_prev, ((_, sigma_slope), (_, phi_slope)) = h_all[:-1], self._functions
        # Every local derivative, for all steps in one pass: none of them waits for the recursion.
        h_by_an = (1.0 - z) * phi_slope(n)  # (eq-gru-h-by-an)
        h_by_az = (h_prev - n) * sigma_slope(z)  # (eq-gru-h-by-az)
        by_ar = (m if after else h_prev) * sigma_slope(r)  # (eq-gru-by-ar)
        # da is the gradient of the pre-activations' part W x + b, du that of the part U h + b. They
        # differ in the last block only: with the reset after, r stands between a_n and U_n h.
        da = np.empty((*x.shape[:2], 3 * H), x.dtype)
        da_r, da_z, da_n = np.split(da, 3, axis=2)
        du = np.empty_like(da) if after else da
        for t in reversed(range(len(x))):
            dh = d_output[t] + dh_next  # (eq-gru-dh)
            da_n[t] = dh * h_by_an[t]  # (eq-gru-da-n)
            da_z[t] = dh * h_by_az[t]  # (eq-gru-da-z)
            if after:
                da_r[t] = da_n[t] * by_ar[t]  # (eq-gru-da-r-after)
                du[t, :, : 2 * H] = da[t, :, : 2 * H]
                du[t, :, 2 * H :] = da_n[t] * r[t]  # (eq-gru-dm-after)
                dh_next = dh * z[t] + du[t] @ U  # (eq-gru-dh-prev-after)
            else:
                ds = da_n[t] @ U_n  # (eq-gru-ds-before)
                da_r[t] = ds * by_ar[t]  # (eq-gru-da-r-before)
                dh_next = dh * z[t] + ds * r[t]  # (eq-gru-dh-prev-before)
                dh_next += da[t, :, : 2 * H] @ U_rz  # (eq-gru-dh-prev-before)
        dW = sum_outer(da, x)  # (eq-gru-dw)
        if after:
            dU = sum_outer(du, h_prev)  # (eq-gru-du)
        else:
            dU_rz = sum_outer(da[:, :, : 2 * H], h_prev)  # (eq-gru-du)
            dU_n = sum_outer(da_n, r * h_prev)  # (eq-gru-du-n-before)
            dU = np.concatenate([dU_rz, dU_n])
        db_ih, db_hh = da.sum((0, 1)), du.sum((0, 1))  # (eq-gru-db)
        dx = project_back(da, W)  # (eq-gru-dx)
        return Gradients(GRUParams(dW, dU, db_ih, db_hh), dx, GRUState(dh_next))
