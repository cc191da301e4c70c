"""The nonlinearities of the cells, stable for every finite input."""

from __future__ import annotations

import numpy as np

from .checks import Array


def sigmoid(a: Array, out: Array | None = None) -> Array:
    r"""Logistic function :math:`\sigma(a) = 1/(1+e^{-a}) = \tfrac12 + \tfrac12\tanh(a/2)`.

    The second form cannot overflow. Its error is below one unit in the last place of 1, which is
    what matters for a gate: gates multiply and add, so a gate of 1e-30 and a gate of 0 do the same.

    Parameters
    ----------
    a
        Pre-activation, any shape.
    out
        Array to write into, may be ``a`` itself; a new one when absent.

    Returns
    -------
    Array
        Shape and dtype of ``a``.
    """
    out = np.empty_like(a) if out is None else out
    np.multiply(a, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


def tanh(a: Array, out: Array | None = None) -> Array:
    r"""Hyperbolic tangent :math:`(e^a-e^{-a})/(e^a+e^{-a})`; NumPy's own, which cannot overflow.

    Parameters
    ----------
    a
        Pre-activation, any shape.
    out
        Array to write into, may be ``a`` itself; a new one when absent.

    Returns
    -------
    Array
        Shape and dtype of ``a``.
    """
    return np.tanh(a, out=out)


def relu(a: Array, out: Array | None = None) -> Array:
    r"""Rectifier :math:`\max(0, a)`.

    Parameters
    ----------
    a
        Pre-activation, any shape.
    out
        Array to write into, may be ``a`` itself; a new one when absent.

    Returns
    -------
    Array
        Shape and dtype of ``a``.
    """
    return np.maximum(a, 0.0, out=out)


def softplus(a: Array) -> Array:
    r"""Smooth rectifier :math:`\log(1+e^a) = \max(0, a) + \log(1+e^{-|a|})`.

    The second form cannot overflow, and keeps the tail :math:`e^a` of very negative a.

    Parameters
    ----------
    a
        Any shape.

    Returns
    -------
    Array
        Shape and dtype of ``a``.
    """
    return np.maximum(a, 0.0) + np.log1p(np.exp(-np.abs(a)))


# The derivatives below take the function's *value*, not its argument: backward has the value
# in its cache. Passing the argument instead is a classic mistake, and so is applying them twice.


def sigmoid_slope(s: Array) -> Array:
    r"""Derivative of the logistic function from its value ``s = sigmoid(a)``: :math:`s(1-s)`."""
    return s * (1.0 - s)


def tanh_slope(y: Array) -> Array:
    r"""Derivative of tanh from its value ``y = tanh(a)``: :math:`1-y^2`."""
    return 1.0 - y * y


def relu_slope(y: Array) -> Array:
    """Derivative of the rectifier from its value: 1 where ``y > 0``, else 0 (as in PyTorch)."""
    return (y > 0.0).astype(y.dtype)


def softplus_slope(y: Array) -> Array:
    r"""Derivative of softplus from its value: :math:`\sigma(a) = 1-e^{-y}`."""
    return -np.expm1(-y)
