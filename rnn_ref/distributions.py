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

    Chapter ``vrnn``, :eq:`eq-vrnn-kl-gaussian`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import gaussian_kl
    >>> one = np.ones(3)
    >>> gaussian_kl(2 * one, one, 0 * one, one)
    array([2., 2., 2.])
    """
    ratio, shift = sigma_q / sigma_p, (mu_q - mu_p) / sigma_p
    return 0.5 * (ratio * ratio + shift * shift - 1.0) - np.log(ratio)  # (eq-vrnn-kl-gaussian)


def gaussian_kl_slopes(
    mu_q: Array, sigma_q: Array, mu_p: Array, sigma_p: Array
) -> tuple[Array, Array, Array, Array]:
    r"""Partial derivatives of :func:`gaussian_kl` in its four arguments.

    .. math::
        \frac{\mu_q - \mu_p}{\sigma_p^2}, \quad \frac{\sigma_q}{\sigma_p^2} - \frac{1}{\sigma_q},
        \quad -\frac{\mu_q - \mu_p}{\sigma_p^2}, \quad
        \frac{1}{\sigma_p} - \frac{\sigma_q^2 + (\mu_q - \mu_p)^2}{\sigma_p^3}

    Chapter ``vrnn``, :eq:`eq-vrnn-kl-by-mu` to :eq:`eq-vrnn-kl-by-sigma-p`.

    Parameters
    ----------
    mu_q, sigma_q, mu_p, sigma_p
        As of :func:`gaussian_kl`.

    Returns
    -------
    by_mu_q, by_sigma_q, by_mu_p, by_sigma_p : Array
        Of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import gaussian_kl_slopes
    >>> by_mu_q, *_ = gaussian_kl_slopes(*np.array([2.0, 1.0, 0.0, 1.0]))
    >>> float(by_mu_q)
    2.0
    """
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

    Chapter ``vrnn``, :eq:`eq-vrnn-nll-gaussian`.

    Parameters
    ----------
    x, mu, sigma
        Value, mean and standard deviation, of one shape.

    Returns
    -------
    Array
        Of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import gaussian_nll
    >>> gaussian_nll(np.array([0.0, 2.0]), np.zeros(2), np.ones(2)).round(6)
    array([0.918939, 2.918939])
    """
    e = (x - mu) / sigma
    return 0.5 * math.log(2.0 * math.pi) + np.log(sigma) + 0.5 * e * e  # (eq-vrnn-nll-gaussian)


def gaussian_nll_slopes(x: Array, mu: Array, sigma: Array) -> tuple[Array, Array, Array]:
    r"""Partial derivatives of :func:`gaussian_nll` in its three arguments.

    .. math::
        \frac{x-\mu}{\sigma^2}, \quad -\frac{x-\mu}{\sigma^2}, \quad
        \frac{1}{\sigma} - \frac{(x-\mu)^2}{\sigma^3}

    Chapter ``vrnn``, :eq:`eq-vrnn-nll-by-mu` and :eq:`eq-vrnn-nll-by-sigma`.

    Parameters
    ----------
    x, mu, sigma
        As of :func:`gaussian_nll`.

    Returns
    -------
    by_x, by_mu, by_sigma : Array
        Of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import gaussian_nll_slopes
    >>> by_x, by_mu, by_sigma = gaussian_nll_slopes(*np.array([2.0, 0.0, 1.0]))
    >>> float(by_x), float(by_mu), float(by_sigma)
    (2.0, -2.0, -3.0)
    """
    e = (x - mu) / sigma
    by_x = e / sigma  # (eq-vrnn-nll-by-mu)
    by_sigma = (1.0 - e * e) / sigma  # (eq-vrnn-nll-by-sigma)
    return by_x, -by_x, by_sigma


def bernoulli_nll(x: Array, logit: Array) -> Array:
    r"""Negative log-probability of x in {0, 1} where :math:`P(x=1)=\sigma(a)`, in nats.

    .. math::
        -x\log\sigma(a) - (1-x)\log(1-\sigma(a)) = \mathrm{softplus}(a) - x a

    The right side takes no logarithm of a probability, so it cannot meet log 0.

    Chapter ``vrnn``, :eq:`eq-vrnn-nll-bernoulli`.

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

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import bernoulli_nll
    >>> bernoulli_nll(np.array([1.0, 1.0]), np.array([0.0, -1e4])).round(6)
    array([6.93147e-01, 1.00000e+04])
    """
    nll: Array = softplus(logit) - x * logit  # (eq-vrnn-nll-bernoulli)
    return nll


def bernoulli_nll_slopes(x: Array, logit: Array) -> tuple[Array, Array]:
    r"""Partial derivatives of :func:`bernoulli_nll` in x and in the logit a.

    .. math::
        -a, \qquad \sigma(a) - x

    Chapter ``vrnn``, :eq:`eq-vrnn-nll-by-logit`.

    Parameters
    ----------
    x, logit
        As of :func:`bernoulli_nll`.

    Returns
    -------
    by_x, by_logit : Array
        Of that shape.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref.distributions import bernoulli_nll_slopes
    >>> by_x, by_logit = bernoulli_nll_slopes(np.array([1.0]), np.array([0.0]))
    >>> by_logit
    array([-0.5])
    """
    return -logit, sigmoid(logit) - x  # (eq-vrnn-nll-by-logit)
