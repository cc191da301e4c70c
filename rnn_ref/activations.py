"""The nonlinearities of the cells, stable for every finite input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from .checks import Array, _check_finite, _check_positive

Function: TypeAlias = Callable[..., Array]  # f(a, out=None)
Slope: TypeAlias = Callable[[Array], Array]  # f'(a) from the value f(a)


def sigmoid(a: Array, out: Array | None = None) -> Array:
    r"""Logistic function :math:`\sigma(a) = 1/(1+e^{-a}) = \tfrac12 + \tfrac12\tanh(a/2)`.

    The second form cannot overflow. Its error is below one unit in the last place of 1, which is
    what matters for a gate: gates multiply and add, so a gate of 1e-30 and a gate of 0 do the same.

    Chapter ``fast``, :eq:`eq-fast-tanh`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import sigmoid
    >>> sigmoid(np.array([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    out = np.empty_like(a) if out is None else out
    np.multiply(a, 0.5, out=out)
    np.tanh(out, out=out)
    out *= 0.5
    out += 0.5
    return out


def tanh(a: Array, out: Array | None = None) -> Array:
    r"""Hyperbolic tangent :math:`(e^a-e^{-a})/(e^a+e^{-a})`; NumPy's own, which cannot overflow.

    In a cell: :eq:`eq-elman-state` of chapter ``elman``.

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

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import tanh
    >>> tanh(np.array([-1e4, 0.0, 1e4]))
    array([-1.,  0.,  1.])
    """
    return np.tanh(a, out=out)


def relu(a: Array, out: Array | None = None) -> Array:
    r"""Rectifier :math:`\max(0, a)`.

    In a cell: :eq:`eq-elman-state` of chapter ``elman``.

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

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import relu
    >>> relu(np.array([-2.0, 0.0, 3.0]))
    array([0., 0., 3.])
    """
    return np.maximum(a, 0.0, out=out)


def softplus(a: Array) -> Array:
    r"""Smooth rectifier :math:`\log(1+e^a) = \max(0, a) + \log(1+e^{-|a|})`.

    The second form cannot overflow, and keeps the tail :math:`e^a` of very negative a.

    In a model: :eq:`eq-vrnn-sigma` of chapter ``vrnn``.

    Parameters
    ----------
    a
        Any shape.

    Returns
    -------
    Array
        Shape and dtype of ``a``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import softplus
    >>> softplus(np.array([-1e4, 0.0, 1e4])).round(6)
    array([0.00000e+00, 6.93147e-01, 1.00000e+04])
    """
    return np.maximum(a, 0.0) + np.log1p(np.exp(-np.abs(a)))


# The derivatives below take the function's *value*, not its argument: backward has the value
# in its cache. Passing the argument instead is a classic mistake, and so is applying them twice.


def sigmoid_slope(s: Array) -> Array:
    r"""Derivative of the logistic function from its value ``s = sigmoid(a)``: :math:`s(1-s)`.

    In a gradient: :eq:`eq-gru-da-z` of chapter ``gru``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import sigmoid_slope
    >>> sigmoid_slope(np.array([0.0, 0.5, 1.0]))
    array([0.  , 0.25, 0.  ])
    """
    return s * (1.0 - s)


def tanh_slope(y: Array) -> Array:
    r"""Derivative of tanh from its value ``y = tanh(a)``: :math:`1-y^2`.

    In a gradient: :eq:`eq-elman-slope` of chapter ``elman``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import tanh_slope
    >>> tanh_slope(np.array([-1.0, 0.0, 1.0]))
    array([0., 1., 0.])
    """
    return 1.0 - y * y


def relu_slope(y: Array) -> Array:
    """Derivative of the rectifier from its value: 1 where ``y > 0``, else 0 (as in PyTorch).

    In a gradient: :eq:`eq-elman-slope` of chapter ``elman``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import relu_slope
    >>> relu_slope(np.array([0.0, 3.0]))
    array([0., 1.])
    """
    return (y > 0.0).astype(y.dtype)


def softplus_slope(y: Array) -> Array:
    r"""Derivative of softplus from its value: :math:`\sigma(a) = 1-e^{-y}`.

    In a gradient: :eq:`eq-vrnn-ds` of chapter ``vrnn``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import softplus_slope
    >>> softplus_slope(np.log([1.0, 2.0]))
    array([0. , 0.5])
    """
    return -np.expm1(-y)


# Other nonlinearities, for cells in which they can be chosen; ONNX's names, formulas and defaults.


def _affine(a: Array, alpha: float, beta: float, out: Array | None = None) -> Array:
    out = np.multiply(a, alpha, out=out)
    out += beta
    return out


def _leaky_relu(a: Array, alpha: float, out: Array | None = None) -> Array:
    out = np.multiply(a, np.where(a > 0.0, 1.0, alpha).astype(a.dtype), out=out)
    return out


def _thresholded_relu(a: Array, alpha: float, out: Array | None = None) -> Array:
    return np.multiply(a, a > alpha, out=out)


def _scaled_tanh(a: Array, alpha: float, beta: float, out: Array | None = None) -> Array:
    out = np.multiply(a, beta, out=out)
    np.tanh(out, out=out)
    out *= alpha
    return out


def _hard_sigmoid(a: Array, alpha: float, beta: float, out: Array | None = None) -> Array:
    out = _affine(a, alpha, beta, out)
    return np.clip(out, 0.0, 1.0, out=out)


def _elu(a: Array, alpha: float, out: Array | None = None) -> Array:
    below = alpha * np.expm1(np.minimum(a, 0.0))
    out = np.maximum(a, 0.0, out=out)
    out += below
    return out


def _softsign(a: Array, out: Array | None = None) -> Array:
    return np.divide(a, 1.0 + np.abs(a), out=out)


def _softplus(a: Array, out: Array | None = None) -> Array:
    value = softplus(a)
    if out is None:
        return value
    out[...] = value
    return out


def _scaled_tanh_slope(y: Array, alpha: float, beta: float) -> Array:
    return np.zeros_like(y) if alpha == 0.0 else beta * (alpha - y * (y / alpha))


class _Kind(NamedTuple):
    f: Function
    slope: Callable[..., Array]
    defaults: dict[str, float]
    # Where alpha is negative the value no longer tells on which side of 0 the argument was.
    smallest_alpha: float = -np.inf


_KINDS = {
    "sigmoid": _Kind(sigmoid, sigmoid_slope, {}),
    "tanh": _Kind(np.tanh, tanh_slope, {}),
    "relu": _Kind(relu, relu_slope, {}),
    "affine": _Kind(
        _affine, lambda y, alpha, beta: np.full_like(y, alpha), {"alpha": 1.0, "beta": 0.0}
    ),
    "leaky_relu": _Kind(
        _leaky_relu,
        lambda y, alpha: np.where(y > 0.0, 1.0, alpha).astype(y.dtype),
        {"alpha": 0.01},
        0.0,
    ),
    "thresholded_relu": _Kind(
        _thresholded_relu, lambda y, alpha: (y != 0.0).astype(y.dtype), {"alpha": 1.0}
    ),
    "scaled_tanh": _Kind(_scaled_tanh, _scaled_tanh_slope, {"alpha": 1.0, "beta": 1.0}),
    "hard_sigmoid": _Kind(
        _hard_sigmoid,
        lambda y, alpha, beta: (alpha * ((y > 0.0) & (y < 1.0))).astype(y.dtype),
        {"alpha": 0.2, "beta": 0.5},
    ),
    "elu": _Kind(
        _elu,
        lambda y, alpha: np.where(y > 0.0, 1.0, y + alpha).astype(y.dtype),
        {"alpha": 1.0},
        0.0,
    ),
    "softsign": _Kind(_softsign, lambda y: (1.0 - np.abs(y)) ** 2, {}),
    "softplus": _Kind(_softplus, softplus_slope, {}),
}


@dataclass(frozen=True)
class Activation:
    """A nonlinearity with its parameters, to choose in a cell; the name alone takes the defaults.

    ONNX's names, formulas and defaults; chapter ``rosetta`` asks which of them each framework has.

    =================  =================================  ==========================
    name               f(a)                               defaults
    =================  =================================  ==========================
    sigmoid            1 / (1 + e^-a)
    tanh               tanh(a)
    relu               max(0, a)
    affine             alpha a + beta                     alpha 1, beta 0
    leaky_relu         a where a > 0, else alpha a        alpha 0.01
    thresholded_relu   a where a > alpha, else 0          alpha 1
    scaled_tanh        alpha tanh(beta a)                 alpha 1, beta 1
    hard_sigmoid       alpha a + beta, cut off at 0, 1    alpha 0.2, beta 0.5
    elu                a where a > 0, else alpha (e^a-1)  alpha 1
    softsign           a / (1 + abs(a))
    softplus           log(1 + e^a)
    =================  =================================  ==========================

    Attributes
    ----------
    name
        One of the above.
    alpha, beta
        Its parameters, finite; at least 0 for the alpha of leaky_relu and elu. The default of the
        function where None.

    Raises
    ------
    TypeError, ValueError
        The name is unknown, or a parameter is not one of the function's or not as above.

    Examples
    --------
    >>> from rnn_ref import GRU, Activation
    >>> layer = GRU(3, 5, activations=(Activation("hard_sigmoid", alpha=0.25), "tanh"))
    >>> layer.activations[0]
    Activation(name='hard_sigmoid', alpha=0.25, beta=0.5)
    """

    name: str
    alpha: float | None = None
    beta: float | None = None

    def __post_init__(self) -> None:
        if self.name not in _KINDS:
            raise ValueError(f"name: expected one of {', '.join(_KINDS)}, got {self.name!r}")
        kind = _KINDS[self.name]
        for parameter in ("alpha", "beta"):
            value = getattr(self, parameter)
            if parameter in kind.defaults:
                number = _check_finite(
                    parameter, kind.defaults[parameter] if value is None else value
                )
                if parameter == "alpha" and number < kind.smallest_alpha:
                    raise ValueError(f"alpha: expected at least 0 for {self.name}, got {number}")
                object.__setattr__(self, parameter, number)
            elif value is not None:
                raise ValueError(f"{parameter}: expected None, {self.name} has none, got {value}")


@cache
def choose(choice: str | Activation, clip: float | None = None) -> tuple[Function, Slope]:
    """The function of a choice, and its derivative from the value.

    A slope reads the value, as the cache holds it; see :eq:`eq-elman-slope` of chapter ``elman``.

    Parameters
    ----------
    choice
        A nonlinearity, or its name.
    clip
        Cut the argument off at plus and minus this number; None for not.

    Returns
    -------
    f : callable
        ``f(a, out=None)``.
    slope : callable
        ``slope(f(a))``, 0 where the argument was cut off.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import choose
    >>> f, slope = choose("tanh", clip=1.0)
    >>> value = f(np.array([0.0, 5.0]))  # tanh(0) and tanh(1)
    >>> value.round(4), slope(value)
    (array([0.    , 0.7616]), array([1., 0.]))
    """
    choice = Activation(choice) if isinstance(choice, str) else choice
    kind = _KINDS[choice.name]
    given = {name: getattr(choice, name) for name in kind.defaults}
    f, slope = (partial(kind.f, **given), partial(kind.slope, **given)) if given else kind[:2]
    return (f, slope) if clip is None else _clipped(f, slope, clip)


def squash_blocks(
    choices: Sequence[str | Activation], clip: float | None, N: int, H: int, dtype: DTypeLike
) -> tuple[Array, Callable[[Array, Array], object]]:
    r"""The functions of G stacked blocks as one function, at one stroke where that can be.

    Both :math:`\sigma(a)` and :math:`\tanh(a)` are :math:`s\tanh(sa) + 1 - s`, with
    :math:`s = \tfrac12` and with :math:`s = 1`. So one tanh serves all blocks that have one of the
    two. The inner s is a power of 2: it goes into the weights and biases that make a, once, and
    changes no rounding.

    Chapter ``fast``, :eq:`eq-fast-tanh`.

    Parameters
    ----------
    choices
        The choice of each block.
    clip
        As in :func:`choose`.
    N, H
        Rows and units of a block.
    dtype
        Of the pre-activations.

    Returns
    -------
    s : Array
        Shape (G, 1, 1): what the pre-activations are to be scaled with.
    squash : callable
        ``squash(a, out)``, from the scaled ones to the values, both of shape (G, N, H). It
        overwrites ``a``.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.activations import squash_blocks
    >>> s, squash = squash_blocks(["sigmoid", "tanh"], None, N=1, H=2, dtype=np.float64)
    >>> a, out = np.zeros((2, 1, 2)), np.empty((2, 1, 2))
    >>> squash(s * a, out)
    >>> out[:, 0]
    array([[0.5, 0.5],
           [0. , 0. ]])
    """
    s = np.ones((len(choices), 1, 1), dtype)
    if clip is not None or not {*choices} <= {"sigmoid", "tanh"}:
        functions = [choose(choice, clip)[0] for choice in choices]

        def each(a: Array, out: Array) -> None:
            for f, a_k, out_k in zip(functions, a, out, strict=True):
                f(a_k, out=out_k)

        return s, each
    if "sigmoid" not in choices:
        return s, np.tanh
    s[[choice == "sigmoid" for choice in choices]] = 0.5
    scale = s * np.ones((1, N, H), dtype)  # written out, because broadcasting takes longer
    shift = 1.0 - scale

    def together(a: Array, out: Array) -> None:
        np.tanh(a, out=a)
        a *= scale
        np.add(a, shift, out=out)

    return s, together


def _clipped(f: Function, slope: Slope, clip: float) -> tuple[Function, Slope]:
    def clipped(a: Array, out: Array | None = None) -> Array:
        return f(np.clip(a, -clip, clip), out=out)

    def clipped_slope(y: Array) -> Array:
        # No value but the two at the ends comes from beyond them. Where f has the same value inside
        # as well, it is flat there.
        low, high = f(np.array([-clip, clip], y.dtype))
        inside: Array = (y != low) & (y != high)
        return slope(y) * inside

    return clipped, clipped_slope


def _check_activation(name: str, choice: object) -> str | Activation:
    """Check a choice; return it in one form, the name where that says everything."""
    if isinstance(choice, str):
        if choice not in _KINDS:
            raise ValueError(f"{name}: expected one of {', '.join(_KINDS)}, got {choice!r}")
    elif not isinstance(choice, Activation):
        raise TypeError(f"{name}: expected a name or an Activation, got {type(choice).__name__}")
    elif choice == Activation(choice.name):
        return choice.name
    return choice


def _check_clip(clip: float | None) -> float | None:
    return None if clip is None else _check_positive("clip", clip)
