"""Finite differences: the check of a gradient that needs nothing but the forward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from .checks import Array, _full_name
from .layer import Gradients, Layer
from .tree import filled, flat, named_arrays

P = TypeVar("P", bound=tuple[Any, ...])
S = TypeVar("S", bound=tuple[Any, ...])


def numerical_gradient(f: Callable[[Array], float], a: Array, eps: float = 1e-4) -> Array:
    r"""Gradient of a scalar function by central differences of fourth order.

    .. math::
        f'(a) \approx \frac{8\,(f(a+\epsilon)-f(a-\epsilon)) -
        (f(a+2\epsilon)-f(a-2\epsilon))}{12\,\epsilon}

    The error is of order eps^4 plus rounding of order 1e-16 / eps: about 1e-11 relative for a
    smooth f of values near 1 at the default eps.

    Chapter ``wrong_gradients`` tries what the check finds and which step is right,
    :eq:`eq-wrong-step`.

    Parameters
    ----------
    f
        Maps an array of a's shape to a number. It has to use the array that it is given, and must
        not write into it.
    a
        Where to differentiate, float64, any shape; it is not changed.
    eps
        Step of the differences, in units of a.

    Returns
    -------
    Array
        The gradient, shape of a.

    Raises
    ------
    TypeError
        ``a`` is not float64, since in float32 the differences would be mostly rounding; or ``f``
        returns no number.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import numerical_gradient
    >>> numerical_gradient(lambda a: (a**3).sum(), np.array([1.0, 2.0])).round(9)
    array([ 3., 12.])
    """
    if not isinstance(a, np.ndarray) or a.dtype != np.float64:
        raise TypeError(f"a: expected a float64 array, got {getattr(a, 'dtype', type(a).__name__)}")
    gradient, moved = np.empty_like(a), a.copy()
    for index in np.ndindex(a.shape):
        value = {}
        for k in (-2, -1, 1, 2):
            moved[index] = a[index] + k * eps
            value[k] = _number(f(moved))
        moved[index] = a[index]
        gradient[index] = (8.0 * (value[1] - value[-1]) - (value[2] - value[-2])) / (12.0 * eps)
    return gradient


def _number(value: object) -> float:
    if isinstance(value, float | int | np.number | np.ndarray) and np.shape(value) == ():
        return float(value)
    raise TypeError(f"f: expected to return a number, got {type(value).__name__}")


def numerical_gradients(
    layer: Layer[P, S, Any],
    params: P,
    x: Array,
    state: S | None,
    d_output: Array,
    d_final_state: S | None = None,
    lengths: Array | None = None,
    eps: float = 1e-4,
) -> Gradients[P, S]:
    r"""What ``layer.backward`` should return, from ``layer.forward`` alone.

    .. math::
        L = \langle \mathrm{d}y, y \rangle + \langle \mathrm{d}s_T, s_T \rangle

    is the loss, ``sum(d_output * output) + sum(d_final_state * final_state)``, so its gradients in
    the output and in the final state are the two given arrays. Chapter ``elman`` shows the check
    running, chapter ``wrong_gradients`` what it finds.

    Parameters
    ----------
    layer
        Any layer of this package, or a subclass of one whose ``forward`` is your own. For other
        functions, or a model, use :func:`numerical_gradient` on one array at a time.
    params, x, state
        Where to differentiate, float64: the parameters, the input (T, N, D), the initial state
        (zeros for None).
    d_output, d_final_state
        Gradients of the loss in the output (T, N, O) and in the final state (zeros for None).
    lengths
        Number of steps of each row, as ``layer.forward`` takes it. The padding's entries in ``x``
        and ``d_output`` must be finite here, where ``forward`` and ``backward`` read none of them.
    eps
        Step of the differences.

    Returns
    -------
    Gradients
        Of the parameters, the input and the initial state. Costs four forward passes an entry.

    Raises
    ------
    TypeError, ValueError
        As ``layer.forward`` and ``layer.backward`` raise them.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, gradient_errors, numerical_gradients
    >>> rng, layer = np.random.default_rng(0), GRU(3, 5)
    >>> params = layer.init_params(rng)
    >>> x, d_output = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 5))
    >>> _, _, cache = layer.forward(params, x)
    >>> derived = layer.backward(params, cache, d_output)
    >>> measured = numerical_gradients(layer, params, x, None, d_output)
    >>> max(gradient_errors(derived, measured).values()) < 1e-8
    True
    """
    if not isinstance(layer, Layer):
        raise TypeError(
            f"layer: expected a rnn_ref.Layer, got {_full_name(layer)}; for a function of your own "
            "take numerical_gradient, one array at a time"
        )
    state = layer._check_forward(params, x, state, lengths)
    T, N, _ = x.shape
    d_final_state = layer._check_upstream(d_output, d_final_state, T, N, x.dtype)

    def loss(params: P, x: Array, state: S) -> float:
        output, final_state, _ = layer.forward(params, x, state, lengths)
        pairs = zip(flat((d_output, d_final_state)), flat((output, final_state)), strict=True)
        return float(sum(np.vdot(d, v) for d, v in pairs))

    def each(tree: Any, loss_of: Callable[[Any], float]) -> Any:
        """Differentiate by one array of a tree after the other."""
        arrays = flat(tree)

        def by(k: int) -> Array:
            def loss_of_array(a: Array) -> float:
                return loss_of(filled(tree, [*arrays[:k], a, *arrays[k + 1 :]]))

            return numerical_gradient(loss_of_array, arrays[k], eps)

        return filled(tree, map(by, range(len(arrays))))

    return Gradients(
        params=each(params, lambda p: loss(p, x, state)),
        x=numerical_gradient(lambda a: loss(params, a, state), x, eps),
        state=each(state, lambda s: loss(params, x, s)),
    )


def gradient_errors(actual: Gradients[P, S], expected: Gradients[P, S]) -> dict[str, float]:
    """The relative error of every array in two Gradients, by name.

    What :func:`relative_error` says of two arrays, said of all. Chapter ``wrong_gradients`` plants
    mistakes and reads them off these errors.

    Parameters
    ----------
    actual, expected
        Gradients of one layer, for instance from ``backward`` and from
        :func:`numerical_gradients`.

    Returns
    -------
    dict
        "params.weight_ih" ..., "x", "state.h" ...

    Raises
    ------
    TypeError
        They are not Gradients of the same layer.
    ValueError
        Two arrays differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, gradient_errors, numerical_gradients
    >>> rng, layer = np.random.default_rng(0), GRU(3, 5)
    >>> params = layer.init_params(rng)
    >>> x, d_output = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 5))
    >>> _, _, cache = layer.forward(params, x)
    >>> derived = layer.backward(params, cache, d_output)
    >>> measured = numerical_gradients(layer, params, x, None, d_output)
    >>> errors = gradient_errors(derived, measured)
    >>> [name for name, error in errors.items() if error > 1e-8], list(errors)[-2:]
    ([], ['x', 'state.h'])
    """
    ours, theirs = _by_name("actual", actual), _by_name("expected", expected)
    if ours.keys() != theirs.keys():
        raise TypeError(f"actual: expected gradients of {list(theirs)}, got {list(ours)}")
    return {name: relative_error(ours[name], theirs[name]) for name in ours}


def _by_name(name: str, grads: Any) -> dict[str, Array]:
    if not isinstance(grads, Gradients):
        raise TypeError(f"{name}: expected Gradients(params, x, state), got {type(grads).__name__}")
    return named_arrays(grads)


def relative_error(actual: Array, expected: Array) -> float:
    r"""Largest absolute difference over the largest absolute expected value.

    .. math::
        \max_k |a_k - e_k| \;/\; \max_k |e_k|

    One number for a whole array, so entries near 0 do not blow it up; 0.0 for equal arrays, empty
    ones included. Chapter ``wrong_gradients`` says what to allow.

    Parameters
    ----------
    actual, expected
        Arrays of one shape.

    Returns
    -------
    float
        The error; infinite where everything expected is 0 and something is not, NaN where a NaN is.

    Raises
    ------
    TypeError
        One is no array: a tuple, such as all parameters (see :func:`gradient_errors`), or a tensor
        of another framework.
    ValueError
        The shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import relative_error
    >>> round(relative_error(np.array([2.0, 0.1]), np.array([2.0, 0.0])), 9)
    0.05
    """
    given: dict[str, object] = {"actual": actual, "expected": expected}
    for name, value in given.items():
        if not isinstance(value, np.ndarray | np.generic | float | int):
            raise TypeError(f"{name}: expected an array, got {type(value).__name__}")
    if np.shape(actual) != np.shape(expected):
        raise ValueError(f"actual: expected shape {np.shape(expected)}, got {np.shape(actual)}")
    difference = float(np.max(np.abs(np.subtract(actual, expected)), initial=0.0))
    scale = float(np.max(np.abs(expected), initial=0.0))
    if difference == 0.0:
        return 0.0
    return difference / scale if scale != 0.0 else float("inf")
