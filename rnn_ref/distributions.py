"""Distances and likelihoods of the variational RNN with their partial derivatives, elementwise.

The derivations stand in chapter ``vrnn``. Nothing here is summed: the sum over the entries of a
vector is the caller's, and so is the shape. A standard deviation is a standard deviation, never a
variance or its logarithm.
"""

from __future__ import annotations

import math

import numpy as np

from .activations import sigmoid, softplus
from .checks import Array


def gaussian_kl(mu_q: Array, sigma_q: Array, mu_p: Array, sigma_p: Array) -> Array:
    r"""Kullback-Leibler divergence :math:`KL(q\,\|\,p)` of two normal laws, in nats.

    .. math::
        \log\frac{\sigma_p}{\sigma_q} + \frac{\sigma_q^2 + (\mu_q-\mu_p)^2}{2\sigma_p^2} - \frac12

    Parameters
    ----------
    mu_q, sigma_q
        Mean and standard deviation of q, the law that the expectation is taken over.
    mu_p, sigma_p
        Mean and standard deviation of p, of one shape with the others.

    Returns
    -------
    Array
        The divergence of each entry, at least 0 up to rounding.
    """
    ratio, shift = sigma_q / sigma_p, (mu_q - mu_p) / sigma_p
    return 0.5 * (ratio * ratio + shift * shift - 1.0) - np.log(ratio)  # (eq-vrnn-kl-gaussian)


def gaussian_kl_slopes(
    mu_q: Array, sigma_q: Array, mu_p: Array, sigma_p: Array
) -> tuple[Array, Array, Array, Array]:
    """Partial derivatives of :func:`gaussian_kl` in its four arguments, in their order."""
    shift = (mu_q - mu_p) / sigma_p
    by_mu_q = shift / sigma_p  # (eq-vrnn-kl-by-mu)
    by_sigma_q = sigma_q / sigma_p / sigma_p - 1.0 / sigma_q  # (eq-vrnn-kl-by-sigma-q)
    ratio = sigma_q / sigma_p
    by_sigma_p = (1.0 - ratio * ratio - shift * shift) / sigma_p  # (eq-vrnn-kl-by-sigma-p)
    return by_mu_q, by_sigma_q, -by_mu_q, by_sigma_p


def gaussian_nll(x: Array, mu: Array, sigma: Array) -> Array:
    r"""Negative log-density of a normal law, in nats.

    .. math::
        \tfrac12\log 2\pi + \log\sigma + \frac{(x-\mu)^2}{2\sigma^2}

    Parameters
    ----------
    x, mu, sigma
        Value, mean and standard deviation, of one shape.

    Returns
    -------
    Array
        Of that shape.
    """
    e = (x - mu) / sigma
    return 0.5 * math.log(2.0 * math.pi) + np.log(sigma) + 0.5 * e * e  # (eq-vrnn-nll-gaussian)


def gaussian_nll_slopes(x: Array, mu: Array, sigma: Array) -> tuple[Array, Array, Array]:
    """Partial derivatives of :func:`gaussian_nll` in x, mu and sigma."""
    e = (x - mu) / sigma
    by_x = e / sigma  # (eq-vrnn-nll-by-mu)
    by_sigma = (1.0 - e * e) / sigma  # (eq-vrnn-nll-by-sigma)
    return by_x, -by_x, by_sigma


def bernoulli_nll(x: Array, logit: Array) -> Array:
    r"""Negative log-probability of x in {0, 1} where :math:`P(x=1)=\sigma(a)`, in nats.

    .. math::
        -x\log\sigma(a) - (1-x)\log(1-\sigma(a)) = \mathrm{softplus}(a) - x a

    The right side takes no logarithm of a probability, so it cannot meet log 0.

    Parameters
    ----------
    x
        0 or 1, or a value between, as a grey level that is no draw.
    logit
        a, of the same shape.

    Returns
    -------
    Array
        Of that shape.
    """
    nll: Array = softplus(logit) - x * logit  # (eq-vrnn-nll-bernoulli)
    return nll


def bernoulli_nll_slopes(x: Array, logit: Array) -> tuple[Array, Array]:
    """Partial derivatives of :func:`bernoulli_nll` in x and the logit."""
    return -logit, sigmoid(logit) - x  # (eq-vrnn-nll-by-logit)
