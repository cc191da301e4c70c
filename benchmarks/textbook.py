"""The cells as a textbook programs them: one step at a time, one product for each gate.

What the speed of ``rnn_ref`` is compared with, not a second reference: ``verify`` holds it to
``rnn_ref``'s output and gradients before it is timed. Every forward takes parameters and x, starts
from a state of zeros, and returns the output and what its backward needs; every backward returns
the gradients of the parameters by name, and that of x. Input and state stand side by side in v, and
W holds the matrices for both, so that a gate is one product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Back = tuple[dict[str, Array], Array]


def sigmoid(a: Array) -> Array:
    return 1.0 / (1.0 + np.exp(-a))


def joined(params: Any) -> tuple[Array, Array]:
    """W for input and state side by side, and the sum of the two biases."""
    return np.hstack([params.weight_ih, params.weight_hh]), params.bias_ih + params.bias_hh


def apart(dW: list[Array], db_ih: list[Array], db_hh: list[Array], D: int) -> dict[str, Array]:
    """The gradients of the gates under the names of the parameters."""
    stacked = np.vstack(dW)
    return {
        "weight_ih": stacked[:, :D],
        "weight_hh": stacked[:, D:],
        "bias_ih": np.concatenate(db_ih),
        "bias_hh": np.concatenate(db_hh),
    }


# Elman


def elman(params: Any, x: Array) -> tuple[Array, Any]:
    W, b = joined(params)
    h = np.zeros((len(x) + 1, x.shape[1], len(W)), x.dtype)
    vs = []
    for t in range(len(x)):
        v = np.concatenate([x[t], h[t]], axis=1)
        h[t + 1] = np.tanh(np.dot(v, W.T) + b)
        vs.append(v)
    return h[1:], (x, vs, h)


def elman_back(params: Any, cache: Any, d_output: Array) -> Back:
    x, vs, h = cache
    W, b = joined(params)
    D = x.shape[2]
    dW, db, dx = np.zeros_like(W), np.zeros_like(b), np.zeros_like(x)
    dh_next = np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        dh = d_output[t] + dh_next
        da = dh * (1.0 - h[t + 1] ** 2)
        dW += np.dot(da.T, vs[t])
        db += da.sum(axis=0)
        dv = np.dot(da, W)
        dx[t], dh_next = dv[:, :D], dv[:, D:]
    return apart([dW], [db], [db], D), dx


# LSTM


def lstm(params: Any, x: Array) -> tuple[Array, Any]:
    W, b = joined(params)
    W_i, W_f, W_g, W_o = np.split(W, 4)
    b_i, b_f, b_g, b_o = np.split(b, 4)
    h = np.zeros((len(x) + 1, x.shape[1], len(W_i)), x.dtype)
    c = np.zeros_like(h)
    steps = []
    for t in range(len(x)):
        v = np.concatenate([x[t], h[t]], axis=1)
        i = sigmoid(np.dot(v, W_i.T) + b_i)
        f = sigmoid(np.dot(v, W_f.T) + b_f)
        g = np.tanh(np.dot(v, W_g.T) + b_g)
        o = sigmoid(np.dot(v, W_o.T) + b_o)
        c[t + 1] = f * c[t] + i * g
        h[t + 1] = o * np.tanh(c[t + 1])
        steps.append((v, i, f, g, o))
    return h[1:], (x, steps, c)


def lstm_back(params: Any, cache: Any, d_output: Array) -> Back:
    x, steps, c = cache
    W, _ = joined(params)
    W_i, W_f, W_g, W_o = np.split(W, 4)
    dW_i, dW_f, dW_g, dW_o = (np.zeros_like(W_i) for _ in range(4))
    db_i, db_f, db_g, db_o = (np.zeros(len(W_i), x.dtype) for _ in range(4))
    D, dx = x.shape[2], np.zeros_like(x)
    dh_next, dc_next = np.zeros_like(c[0]), np.zeros_like(c[0])
    for t in reversed(range(len(x))):
        v, i, f, g, o = steps[t]
        dh = d_output[t] + dh_next
        tanh_c = np.tanh(c[t + 1])
        dc = dc_next + dh * o * (1.0 - tanh_c**2)
        da_i = dc * g * i * (1.0 - i)
        da_f = dc * c[t] * f * (1.0 - f)
        da_g = dc * i * (1.0 - g**2)
        da_o = dh * tanh_c * o * (1.0 - o)
        dc_next = dc * f
        dW_i += np.dot(da_i.T, v)
        dW_f += np.dot(da_f.T, v)
        dW_g += np.dot(da_g.T, v)
        dW_o += np.dot(da_o.T, v)
        db_i += da_i.sum(axis=0)
        db_f += da_f.sum(axis=0)
        db_g += da_g.sum(axis=0)
        db_o += da_o.sum(axis=0)
        dv = np.dot(da_i, W_i) + np.dot(da_f, W_f) + np.dot(da_g, W_g) + np.dot(da_o, W_o)
        dx[t], dh_next = dv[:, :D], dv[:, D:]
    db = [db_i, db_f, db_g, db_o]
    return apart([dW_i, dW_f, dW_g, dW_o], db, db, D), dx


# GRU


def gru_after(params: Any, x: Array) -> tuple[Array, Any]:
    D, (W, b) = x.shape[2], joined(params)
    W_r, W_z, W_n = np.split(W, 3)
    b_r, b_z, _ = np.split(b, 3)
    b_n, b_m = np.split(params.bias_ih, 3)[2], np.split(params.bias_hh, 3)[2]
    h = np.zeros((len(x) + 1, x.shape[1], len(W_r)), x.dtype)
    steps = []
    for t in range(len(x)):
        v = np.concatenate([x[t], h[t]], axis=1)
        r = sigmoid(np.dot(v, W_r.T) + b_r)
        z = sigmoid(np.dot(v, W_z.T) + b_z)
        m = np.dot(h[t], W_n[:, D:].T) + b_m
        n = np.tanh(np.dot(x[t], W_n[:, :D].T) + b_n + r * m)
        h[t + 1] = (1.0 - z) * n + z * h[t]
        steps.append((v, r, z, n, m))
    return h[1:], (x, steps, h)


def gru_after_back(params: Any, cache: Any, d_output: Array) -> Back:
    x, steps, h = cache
    W, _ = joined(params)
    W_r, W_z, W_n = np.split(W, 3)
    dW_r, dW_z, dW_n = (np.zeros_like(W_r) for _ in range(3))
    db_r, db_z, db_n, db_m = (np.zeros(len(W_r), x.dtype) for _ in range(4))
    D, dx, dh_next = x.shape[2], np.zeros_like(x), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        v, r, z, n, m = steps[t]
        dh = d_output[t] + dh_next
        da_n = dh * (1.0 - z) * (1.0 - n**2)
        da_z = dh * (h[t] - n) * z * (1.0 - z)
        da_r = da_n * m * r * (1.0 - r)
        dm = da_n * r
        dW_r += np.dot(da_r.T, v)
        dW_z += np.dot(da_z.T, v)
        dW_n[:, :D] += np.dot(da_n.T, x[t])
        dW_n[:, D:] += np.dot(dm.T, h[t])
        db_r += da_r.sum(axis=0)
        db_z += da_z.sum(axis=0)
        db_n += da_n.sum(axis=0)
        db_m += dm.sum(axis=0)
        dv = np.dot(da_r, W_r) + np.dot(da_z, W_z)
        dx[t] = dv[:, :D] + np.dot(da_n, W_n[:, :D])
        dh_next = dv[:, D:] + np.dot(dm, W_n[:, D:]) + dh * z
    return apart([dW_r, dW_z, dW_n], [db_r, db_z, db_n], [db_r, db_z, db_m], D), dx


def gru_before(params: Any, x: Array) -> tuple[Array, Any]:
    W, b = joined(params)
    W_r, W_z, W_n = np.split(W, 3)
    b_r, b_z, b_n = np.split(b, 3)
    h = np.zeros((len(x) + 1, x.shape[1], len(W_r)), x.dtype)
    steps = []
    for t in range(len(x)):
        v = np.concatenate([x[t], h[t]], axis=1)
        r = sigmoid(np.dot(v, W_r.T) + b_r)
        z = sigmoid(np.dot(v, W_z.T) + b_z)
        v_n = np.concatenate([x[t], r * h[t]], axis=1)
        n = np.tanh(np.dot(v_n, W_n.T) + b_n)
        h[t + 1] = (1.0 - z) * n + z * h[t]
        steps.append((v, r, z, n, v_n))
    return h[1:], (x, steps, h)


def gru_before_back(params: Any, cache: Any, d_output: Array) -> Back:
    x, steps, h = cache
    W, _ = joined(params)
    W_r, W_z, W_n = np.split(W, 3)
    dW_r, dW_z, dW_n = (np.zeros_like(W_r) for _ in range(3))
    db_r, db_z, db_n = (np.zeros(len(W_r), x.dtype) for _ in range(3))
    D, dx, dh_next = x.shape[2], np.zeros_like(x), np.zeros_like(h[0])
    for t in reversed(range(len(x))):
        v, r, z, n, v_n = steps[t]
        dh = d_output[t] + dh_next
        da_n = dh * (1.0 - z) * (1.0 - n**2)
        da_z = dh * (h[t] - n) * z * (1.0 - z)
        dv_n = np.dot(da_n, W_n)
        ds = dv_n[:, D:]
        da_r = ds * h[t] * r * (1.0 - r)
        dW_r += np.dot(da_r.T, v)
        dW_z += np.dot(da_z.T, v)
        dW_n += np.dot(da_n.T, v_n)
        db_r += da_r.sum(axis=0)
        db_z += da_z.sum(axis=0)
        db_n += da_n.sum(axis=0)
        dv = np.dot(da_r, W_r) + np.dot(da_z, W_z)
        dx[t] = dv[:, :D] + dv_n[:, :D]
        dh_next = dv[:, D:] + ds * r + dh * z
    db = [db_r, db_z, db_n]
    return apart([dW_r, dW_z, dW_n], db, db, D), dx


# SRU, version 2 with a highway; D = H, so that the highway needs no matrix


def sru(params: Any, x: Array) -> tuple[Array, Any]:
    W_u, W_f, W_r = np.split(params.weight_ih, 3)
    b_f, b_r = np.split(params.bias_ih, 2)
    v_f, v_r = np.split(params.weight_ph, 2)
    c = np.zeros((len(x) + 1, *x.shape[1:]), x.dtype)
    h = np.zeros_like(x)
    steps = []
    for t in range(len(x)):
        u = np.dot(x[t], W_u.T)
        f = sigmoid(np.dot(x[t], W_f.T) + v_f * c[t] + b_f)
        r = sigmoid(np.dot(x[t], W_r.T) + v_r * c[t] + b_r)
        c[t + 1] = f * c[t] + (1.0 - f) * u
        h[t] = r * c[t + 1] + (1.0 - r) * x[t]
        steps.append((u, f, r))
    return h, (x, steps, c)


def sru_back(params: Any, cache: Any, d_output: Array) -> Back:
    x, steps, c = cache
    W_u, W_f, W_r = np.split(params.weight_ih, 3)
    v_f, v_r = np.split(params.weight_ph, 2)
    dW_u, dW_f, dW_r = (np.zeros_like(W_u) for _ in range(3))
    db_f, db_r, dv_f, dv_r = (np.zeros_like(v_f) for _ in range(4))
    dx, dc_next = np.zeros_like(x), np.zeros_like(c[0])
    for t in reversed(range(len(x))):
        u, f, r = steps[t]
        dh = d_output[t]
        dc = dc_next + dh * r
        da_r = dh * (c[t + 1] - x[t]) * r * (1.0 - r)
        da_f = dc * (c[t] - u) * f * (1.0 - f)
        du = dc * (1.0 - f)
        dc_next = dc * f + da_f * v_f + da_r * v_r
        dW_u += np.dot(du.T, x[t])
        dW_f += np.dot(da_f.T, x[t])
        dW_r += np.dot(da_r.T, x[t])
        db_f += da_f.sum(axis=0)
        db_r += da_r.sum(axis=0)
        dv_f += (da_f * c[t]).sum(axis=0)
        dv_r += (da_r * c[t]).sum(axis=0)
        dx[t] = np.dot(du, W_u) + np.dot(da_f, W_f) + np.dot(da_r, W_r) + dh * (1.0 - r)
    d_params = {
        "weight_ih": np.vstack([dW_u, dW_f, dW_r]),
        "bias_ih": np.concatenate([db_f, db_r]),
        "weight_ph": np.concatenate([dv_f, dv_r]),
    }
    return d_params, dx


TEXTBOOK: dict[str, tuple[Callable[..., tuple[Array, Any]], Callable[..., Back]]] = {
    "ElmanRNN": (elman, elman_back),
    "LSTM": (lstm, lstm_back),
    "GRU after": (gru_after, gru_after_back),
    "GRU before": (gru_before, gru_before_back),
    "SRU": (sru, sru_back),
}
