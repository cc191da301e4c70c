"""The feed-forward networks inside a model: affine maps with rectifiers between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import DTypeLike

from .activations import relu, relu_slope
from .cell import sum_outer
from .checks import (
    Array,
    _check_array,
    _check_choice_of,
    _check_named_tuple,
    _check_rng,
    _check_size,
    _float_dtype,
)


class MLPParams(NamedTuple):
    """Parameters of :class:`MLP`, one entry an affine map, laid out as in ``torch.nn.Linear``.

    Chapter ``vrnn``, :eq:`eq-vrnn-mlp`.

    Attributes
    ----------
    weights
        Each of shape (out, in).
    biases
        Each of shape (out,).

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import MLP
    >>> params = MLP(sizes=(3, 8, 2)).init_params(np.random.default_rng(0))
    >>> [W.shape for W in params.weights], [b.shape for b in params.biases]
    ([(8, 3), (2, 8)], [(8,), (2,)])
    """

    weights: tuple[Array, ...]
    biases: tuple[Array, ...]


@dataclass(frozen=True)
class MLP:
    r"""Affine maps with rectifiers between them, the last one with or without.

    .. math::
        v_k = \rho_k(W_k v_{k-1} + b_k), \qquad \rho_k(a) = \max(0, a) \text{ or } a

    Chapter ``vrnn``, :eq:`eq-vrnn-mlp`; its gradient is :eq:`eq-vrnn-mlp-da` to
    :eq:`eq-vrnn-mlp-dv`.

    Attributes
    ----------
    sizes
        Sizes of the input, of the layers between, and of the output; at least two.
    relu_output
        Whether the last map has a rectifier too.

    Raises
    ------
    TypeError, ValueError
        ``sizes`` or ``relu_output`` is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import MLP
    >>> network = MLP(sizes=(3, 8, 2))
    >>> params = network.init_params(np.random.default_rng(0))
    >>> output, cache = network.forward(params, np.ones((4, 5, 3)))
    >>> d_params, d_v = network.backward(params, cache, np.ones_like(output))
    >>> output.shape, d_v.shape, [W.shape for W in d_params.weights]
    ((4, 5, 2), (4, 5, 3), [(8, 3), (2, 8)])
    """

    sizes: tuple[int, ...]
    relu_output: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, tuple) or len(self.sizes) < 2:
            raise ValueError(f"sizes: expected a tuple of at least two sizes, got {self.sizes!r}")
        for k, size in enumerate(self.sizes):
            _check_size(f"sizes[{k}]", size, smallest=1)
        _check_choice_of("relu_output", self.relu_output, True, False)

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> MLPParams:
        r"""Draw from :math:`U(-1/\sqrt{\mathrm{in}}, 1/\sqrt{\mathrm{in}})`, torch's default.

        Parameters
        ----------
        rng
            Source of randomness; the draws are float64, then rounded to ``dtype``.
        dtype
            float64 or float32.

        Returns
        -------
        MLPParams
            Of the sizes of this network.
        """
        _check_rng(rng)
        dtype, weights, biases = _float_dtype(dtype), [], []
        for n_in, n_out in zip(self.sizes, self.sizes[1:], strict=False):
            bound = n_in**-0.5
            weights.append(rng.uniform(-bound, bound, (n_out, n_in)).astype(dtype))
            biases.append(rng.uniform(-bound, bound, n_out).astype(dtype))
        return MLPParams(tuple(weights), tuple(biases))

    def check_params(
        self, name: str, params: MLPParams, dtype: np.dtype[Any] | None
    ) -> np.dtype[Any]:
        """Check type, dtype and shapes of the parameters, called ``name``; return their dtype."""
        _check_named_tuple(name, params, MLPParams)
        maps = len(self.sizes) - 1
        for field, values in params._asdict().items():
            if not isinstance(values, tuple):
                found = type(values).__name__
                raise TypeError(f"{name}.{field}: expected a tuple of arrays, got {found}")
            if len(values) != maps:
                wanted = f"{maps} arrays, one for each affine map"
                raise ValueError(f"{name}.{field}: expected {wanted}, got {len(values)}")
        for k, (W, b) in enumerate(zip(*params, strict=True)):
            n_in, n_out = self.sizes[k : k + 2]
            axes = (("out", n_out), ("in", n_in))
            dtype = _check_array(f"{name}.weights[{k}]", W, axes, dtype)
            _check_array(f"{name}.biases[{k}]", b, axes[:1], dtype)
        return cast("np.dtype[Any]", dtype)

    def forward(self, params: MLPParams, v: Array) -> tuple[Array, list[Array]]:
        """Map the last axis of v.

        Parameters
        ----------
        params
            The network's parameters.
        v
            Input, shape (..., in).

        Returns
        -------
        output : Array
            Shape (..., out).
        cache : list of Array
            The input of every map and the output, for :meth:`backward`.
        """
        values = [v]
        for k, (W, b) in enumerate(zip(*params, strict=True)):
            a = values[-1] @ W.T + b  # (eq-vrnn-mlp)
            values.append(relu(a, out=a) if self._rectified(k) else a)
        return values[-1], values

    def backward(
        self, params: MLPParams, cache: list[Array], d_output: Array
    ) -> tuple[MLPParams, Array]:
        """Gradients of the parameters, summed over all leading axes, and of the input.

        Parameters
        ----------
        params
            The parameters that ``forward`` was given.
        cache
            What ``forward`` returned.
        d_output
            Gradient of the loss in the output, shape (..., out).

        Returns
        -------
        d_params : MLPParams
            Gradient of the parameters.
        d_v : Array
            Gradient of the input, shape (..., in).
        """
        d_weights, d_biases, d = [], [], d_output
        for k in reversed(range(len(params.weights))):
            da = d * relu_slope(cache[k + 1]) if self._rectified(k) else d  # (eq-vrnn-mlp-da)
            d_weights.append(sum_outer(da, cache[k]))  # (eq-vrnn-mlp-dw)
            d_biases.append(da.sum(tuple(range(da.ndim - 1))))  # (eq-vrnn-mlp-dw)
            d = da @ params.weights[k]  # (eq-vrnn-mlp-dv)
        return MLPParams(tuple(d_weights[::-1]), tuple(d_biases[::-1])), d

    def _rectified(self, k: int) -> bool:
        """Whether map k has a rectifier."""
        return self.relu_output or k < len(self.sizes) - 2
