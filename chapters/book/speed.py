"""The chapter ``fast``: versions of one cell from the literal to the fast, and a count of calls.

The cell is the GRU with the reset after. A forward takes parameters, x of shape (T, N, D) and h0 of
shape (N, H), and returns what its cache holds: r, z, n, m of shape (T, N, H) and h of shape
(T+1, N, H). A backward takes parameters, x, these five, and the gradient of the output, and returns
the gradients of the parameters, of x and of h0. So every forward fits every backward. ``STAIRS``
pairs them so that a pair differs from the one before in one respect. The last is the package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeAlias
from unittest.mock import patch

import numpy as np

from rnn_ref import GRU, GRUParams, GRUState, activations, cell, elman, gru, lstm, sru
from rnn_ref.cell import backwards, forwards
from rnn_ref.tree import map_arrays

Array: TypeAlias = np.ndarray[Any, Any]
Kept: TypeAlias = tuple[Array, Array, Array, Array, Array]
Back: TypeAlias = tuple[GRUParams, Array, Array]


def sigmoid(a: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-a))


def empty_cache(x: Array, h0: Array) -> Kept:
    """Room for r, z, n, m and h."""
    (T, N, _), H = x.shape, h0.shape[1]
    r, z, n, m = np.empty((4, T, N, H), x.dtype)
    h = np.empty((T + 1, N, H), x.dtype)
    h[0] = h0
    return r, z, n, m, h


def biases(params: GRUParams) -> tuple[Array, Array, Array, Array]:
    """b_r, b_z, b_n and b_m."""
    b_r, b_z, _ = np.split(params.bias_ih + params.bias_hh, 3)
    return b_r, b_z, np.split(params.bias_ih, 3)[2], np.split(params.bias_hh, 3)[2]


# Forward


def forward_literal(params: GRUParams, x: Array, h0: Array) -> Kept:
    W_r, W_z, W_n = np.split(params.weight_ih, 3)
    U_r, U_z, U_n = np.split(params.weight_hh, 3)
    b_r, b_z, b_n, b_m = biases(params)
    r, z, n, m, h = empty_cache(x, h0)
    for t in range(len(x)):
        r[t] = sigmoid(x[t] @ W_r.T + h[t] @ U_r.T + b_r)
        z[t] = sigmoid(x[t] @ W_z.T + h[t] @ U_z.T + b_z)
        m[t] = h[t] @ U_n.T + b_m
        n[t] = np.tanh(x[t] @ W_n.T + b_n + r[t] * m[t])
        h[t + 1] = (1.0 - z[t]) * n[t] + z[t] * h[t]
    return r, z, n, m, h


def forward_inputs(params: GRUParams, x: Array, h0: Array) -> Kept:
    U_r, U_z, U_n = np.split(params.weight_hh, 3)
    b_r, b_z, b_n, b_m = biases(params)
    r, z, n, m, h = empty_cache(x, h0)
    b = np.concatenate([b_r, b_z, b_n])
    a_r, a_z, a_n = np.split(x @ params.weight_ih.T + b, 3, axis=2)  # all steps
    for t in range(len(x)):
        r[t] = sigmoid(a_r[t] + h[t] @ U_r.T)
        z[t] = sigmoid(a_z[t] + h[t] @ U_z.T)
        m[t] = h[t] @ U_n.T + b_m
        n[t] = np.tanh(a_n[t] + r[t] * m[t])
        h[t + 1] = (1.0 - z[t]) * n[t] + z[t] * h[t]
    return r, z, n, m, h


def forward_stacked(params: GRUParams, x: Array, h0: Array) -> Kept:
    H, U = h0.shape[1], params.weight_hh
    b_r, b_z, b_n, b_m = biases(params)
    r, z, n, m, h = empty_cache(x, h0)
    a = x @ params.weight_ih.T + np.concatenate([b_r, b_z, b_n])
    for t in range(len(x)):
        u = h[t] @ U.T  # (N, 3H): all blocks
        rz = sigmoid(a[t, :, : 2 * H] + u[:, : 2 * H])
        r[t], z[t] = rz[:, :H], rz[:, H:]
        m[t] = u[:, 2 * H :] + b_m
        n[t] = np.tanh(a[t, :, 2 * H :] + r[t] * m[t])
        h[t + 1] = (1.0 - z[t]) * n[t] + z[t] * h[t]
    return r, z, n, m, h


def by_gate(M: Array) -> Array:
    """The stacked blocks, each transposed, in a contiguous copy: (3H, K) -> (3, K, H)."""
    H = len(M) // 3
    return np.ascontiguousarray(M.reshape(3, H, M.shape[1]).swapaxes(1, 2))


def inputs_by_gate(x: Array, W: Array, b: Array) -> Array:
    """W x + b for all steps, one gate after the other: (3, T, N, H)."""
    T, N, D = x.shape
    a = x.reshape(T * N, D) @ by_gate(W)
    a += b.reshape(3, 1, len(b) // 3)
    return a.reshape(3, T, N, len(b) // 3)


def forward_layout(params: GRUParams, x: Array, h0: Array) -> Kept:
    b_r, b_z, b_n, b_m = biases(params)
    _, _, _, m, h = empty_cache(x, h0)
    U_T = by_gate(params.weight_hh)
    a = inputs_by_gate(x, params.weight_ih, np.concatenate([b_r, b_z, b_n]))
    r, z, n = a
    for t in range(len(x)):
        u = h[t] @ U_T  # (3, N, H): every block in one piece
        a[:2, t] = sigmoid(a[:2, t] + u[:2])
        m[t] = u[2] + b_m
        n[t] = np.tanh(n[t] + r[t] * m[t])
        h[t + 1] = (1.0 - z[t]) * n[t] + z[t] * h[t]
    return r, z, n, m, h


def halved(M: Array) -> Array:
    """Stacked weights or biases with the blocks of r and z times 1/2."""
    return np.concatenate([0.5 * M[: 2 * (len(M) // 3)], M[2 * (len(M) // 3) :]])


def forward_tanh(params: GRUParams, x: Array, h0: Array) -> Kept:
    b_r, b_z, b_n, b_m = biases(params)
    _, _, _, m, h = empty_cache(x, h0)
    U_T, b = by_gate(halved(params.weight_hh)), np.concatenate([b_r, b_z, b_n])
    a = inputs_by_gate(x, halved(params.weight_ih), halved(b))
    r, z, n = a
    half = x.dtype.type(0.5)
    for t in range(len(x)):
        u = h[t] @ U_T
        a[:2, t] = half * np.tanh(a[:2, t] + u[:2]) + half
        m[t] = u[2] + b_m
        n[t] = np.tanh(n[t] + r[t] * m[t])
        h[t + 1] = n[t] + z[t] * (h[t] - n[t])
    return r, z, n, m, h


def forward_in_place(params: GRUParams, x: Array, h0: Array) -> Kept:
    b_r, b_z, b_n, b_m = biases(params)
    _, _, _, m, h = empty_cache(x, h0)
    U_T, b = by_gate(halved(params.weight_hh)), np.concatenate([b_r, b_z, b_n])
    a = inputs_by_gate(x, halved(params.weight_ih), halved(b))
    r, z, n = a
    half = np.array(0.5, x.dtype)
    u, v = np.empty((3, *h0.shape), x.dtype), np.empty_like(h0)
    u_rz, u_n, rz = u[:2], u[2], a[:2].swapaxes(0, 1)
    for rz_t, r_t, z_t, n_t, m_t, h_p, h_t in forwards(rz, r, z, n, m, h[:-1], h[1:]):
        np.matmul(h_p, U_T, out=u)
        np.add(u_rz, rz_t, out=u_rz)
        np.tanh(u_rz, out=u_rz)
        np.multiply(u_rz, half, out=u_rz)
        np.add(u_rz, half, out=rz_t)
        np.add(u_n, b_m, out=m_t)
        np.multiply(r_t, m_t, out=v)
        np.add(n_t, v, out=n_t)
        np.tanh(n_t, out=n_t)
        np.subtract(h_p, n_t, out=h_t)
        np.multiply(h_t, z_t, out=h_t)
        np.add(h_t, n_t, out=h_t)
    return r, z, n, m, h


# Backward


def backward_literal(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    r, z, n, m, h = kept
    W, U = (np.split(p, 3) for p in params[:2])
    grads, dx = GRUParams(*map(np.zeros_like, params)), np.empty_like(x)
    dW, dU, db_ih, db_hh = (np.split(d, 3) for d in grads)  # views: blocks r, z, n
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = d_output[t] + dh_next
        da_n = dh * (1.0 - z[t]) * (1.0 - n[t] * n[t])
        da_z = dh * (h[t] - n[t]) * z[t] * (1.0 - z[t])
        da_r = da_n * m[t] * r[t] * (1.0 - r[t])
        dm = da_n * r[t]
        for k, (da, du) in enumerate([(da_r, da_r), (da_z, da_z), (da_n, dm)]):
            dW[k] += da.T @ x[t]
            dU[k] += du.T @ h[t]
            db_ih[k] += da.sum(0)
            db_hh[k] += du.sum(0)
        dx[t] = da_r @ W[0] + da_z @ W[1] + da_n @ W[2]
        dh_next = dh * z[t] + da_r @ U[0] + da_z @ U[1] + dm @ U[2]
    return grads, dx, dh_next


def weight_gradients(params: GRUParams, x: Array, h: Array, d: Array) -> tuple[GRUParams, Array]:
    """From the gradients of a_r, a_z, m and a_n, side by side in d of shape (T, N, 4H)."""
    (T, N, D), H = x.shape, h.shape[2]
    rows = d.reshape(T * N, 4 * H)
    du, da = rows[:, : 3 * H], np.concatenate([rows[:, : 2 * H], rows[:, 3 * H :]], axis=1)
    dW = da.T @ x.reshape(T * N, D)
    dU = du.T @ h[:-1].reshape(T * N, H)
    dx = (da @ params.weight_ih).reshape(T, N, D)
    return GRUParams(dW, dU, da.sum(0), du.sum(0)), dx


def backward_sums(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    r, z, n, m, h = kept
    U_r, U_z, U_n = np.split(params.weight_hh, 3)
    d = np.empty((*x.shape[:2], 4 * h.shape[2]), x.dtype)
    da_r, da_z, dm, da_n = np.split(d, 4, axis=2)
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = d_output[t] + dh_next
        da_n[t] = dh * (1.0 - z[t]) * (1.0 - n[t] * n[t])
        da_z[t] = dh * (h[t] - n[t]) * z[t] * (1.0 - z[t])
        da_r[t] = da_n[t] * m[t] * r[t] * (1.0 - r[t])
        dm[t] = da_n[t] * r[t]
        dh_next = dh * z[t] + da_r[t] @ U_r + da_z[t] @ U_z + dm[t] @ U_n
    return *weight_gradients(params, x, h, d), dh_next


def backward_stacked(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    (r, z, n, m, h), U = kept, params.weight_hh
    d = np.empty((*x.shape[:2], 4 * h.shape[2]), x.dtype)
    da_r, da_z, dm, da_n = np.split(d, 4, axis=2)
    du = d[:, :, : 3 * h.shape[2]]  # a_r, a_z and m side by side
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = d_output[t] + dh_next
        da_n[t] = dh * (1.0 - z[t]) * (1.0 - n[t] * n[t])
        da_z[t] = dh * (h[t] - n[t]) * z[t] * (1.0 - z[t])
        da_r[t] = da_n[t] * m[t] * r[t] * (1.0 - r[t])
        dm[t] = da_n[t] * r[t]
        dh_next = dh * z[t] + du[t] @ U
    return *weight_gradients(params, x, h, d), dh_next


def backward_ahead(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    (r, z, n, m, h), U = kept, params.weight_hh
    (T, N, H), h_prev = r.shape, h[:-1]
    d = np.empty((T, N, 4 * H), x.dtype)
    by_block, du = d.reshape(T, N, 4, H).swapaxes(1, 2), d[:, :, : 3 * H]
    by_an = (1.0 - z) * (1.0 - n * n)  # all steps, and so are the next three
    by_az = (h_prev - n) * z * (1.0 - z)
    by_ar = by_an * m * r * (1.0 - r)
    local = np.stack([by_ar, by_az, by_an * r, by_an], axis=1)  # (T, 4, N, H)
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(T)):
        dh = d_output[t] + dh_next
        by_block[t] = local[t] * dh
        dh_next = dh * z[t] + du[t] @ U
    return *weight_gradients(params, x, h, d), dh_next


def backward_in_place(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    (r, z, n, m, h), U = kept, params.weight_hh
    (T, N, H), h_prev = r.shape, h[:-1]
    d = np.empty((T, N, 4 * H), x.dtype)
    by_block, du = d.reshape(T, N, 4, H).swapaxes(1, 2), d[:, :, : 3 * H]
    by_an = (1.0 - z) * (1.0 - n * n)
    by_az = (h_prev - n) * z * (1.0 - z)
    by_ar = by_an * m * r * (1.0 - r)
    local = np.stack([by_ar, by_az, by_an * r, by_an], axis=1)
    dh, dh_next = np.empty_like(h[0]), np.zeros_like(h[0])
    for local_t, z_t, dout_t, d_t, du_t in backwards(local, z, d_output, by_block, du):
        np.add(dout_t, dh_next, out=dh)
        np.multiply(local_t, dh, out=d_t)
        np.multiply(dh, z_t, out=dh)
        np.matmul(du_t, U, out=dh_next)
        np.add(dh_next, dh, out=dh_next)
    return *weight_gradients(params, x, h, d), dh_next


# The package


def _layer(x: Array, h: Array) -> GRU:
    return GRU(x.shape[-1], h.shape[-1])


def forward_package(params: GRUParams, x: Array, h0: Array) -> Kept:
    _, _, cache = _layer(x, h0).forward(params, x, GRUState(h0))
    return cache[2:]


def backward_package(params: GRUParams, x: Array, kept: Kept, d_output: Array) -> Back:
    layer = _layer(x, kept[4])
    grads = layer.backward(params, gru.GRUCache(layer, x, *kept), d_output)
    return grads.params, grads.x, grads.state.h


STAIRS: dict[str, tuple[Callable[..., Kept], Callable[..., Back]]] = {
    "literal": (forward_literal, backward_literal),
    "inputs": (forward_inputs, backward_literal),
    "sums": (forward_inputs, backward_sums),
    "stacked": (forward_stacked, backward_stacked),
    "layout": (forward_layout, backward_stacked),
    "tanh": (forward_tanh, backward_stacked),
    "ahead": (forward_tanh, backward_ahead),
    "in place": (forward_in_place, backward_in_place),
    "package": (forward_package, backward_package),
}


# How often NumPy is called


class Call(NamedTuple):
    """A function of NumPy that was applied to arrays."""

    name: str
    multiply_adds: int = 0  # of a matrix product


def numpy_calls(run: Callable[..., Any], *trees: Any) -> list[Call]:
    """The functions of NumPy that compute in ``run(*trees)``, in their order.

    Every array in the trees (tuples, nested) goes in as one that tells of each function applied to
    it, operators included, and hands this on to the result; and so do the arrays that the cells'
    modules and this one make while it runs. Views, and putting values into a slice, do not count.
    """
    seen: list[Call] = []
    array, original = np.ndarray, np  # the name np is another's while ``run`` runs

    class Telling(array):  # type: ignore[misc, valid-type]
        def __array_ufunc__(
            self, ufunc: Any, method: str, *inputs: Any, out: Any = None, **kwargs: Any
        ) -> Any:
            shape = np.shape(inputs[0]) if ufunc is original.matmul else (0,)
            if out is not None:
                kwargs["out"] = tuple(v.view(array) for v in out)
            plain = [v.view(array) if isinstance(v, array) else v for v in inputs]
            result = getattr(ufunc, method)(*plain, **kwargs)
            seen.append(Call(ufunc.__name__, shape[-1] * np.size(result)))
            return telling(result) if out is None else out[0]

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
            before = len(seen)
            result = super().__array_function__(function, types, args, kwargs)
            if function.__name__ in {"dot", "einsum", "concatenate", "stack"}:
                del seen[before:]  # what it called in its turn
                inner = np.shape(args[0])[-1] if function is original.dot else 0
                seen.append(Call(function.__name__, inner * np.size(result)))
            return telling(result)

    makers = {"array", "ascontiguousarray", "empty", "empty_like", "ones", "zeros", "zeros_like"}

    class Numpy:
        """NumPy itself, but for the arrays that it makes."""

        def __getattr__(self, name: str) -> Any:
            found = getattr(original, name)
            if name not in makers:
                return found
            return lambda *args, **kwargs: telling(found(*args, **kwargs))

    def telling(value: Any) -> Any:
        return value.view(Telling) if type(value) is array else value

    modules = (elman, lstm, gru, sru, cell, activations, sys.modules[__name__])
    with ExitStack() as stack:
        for module in modules:
            stack.enter_context(patch.object(module, "np", Numpy()))
        run(*(map_arrays(telling, tree) for tree in trees))
    return seen


def calls_a_step(run: Callable[..., Any], trees: Callable[[int], tuple[Any, ...]]) -> int:
    """How many of these calls one time step costs; ``trees(T)`` gives the arguments for T steps."""
    one, two = (len(numpy_calls(run, *trees(T))) for T in (10, 20))
    per_step, rest = divmod(two - one, 10)
    if rest:
        raise ValueError(f"expected the same number of calls in every step, got {one} and {two}")
    return per_step
