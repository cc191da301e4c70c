"""The variational recurrent network, a model built on any cell, derived in chapter ``vrnn``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import DTypeLike

from .activations import sigmoid, softplus, softplus_slope
from .cell import Cell
from .checks import (
    AnyAxis,
    Array,
    _check_array,
    _check_choice_of,
    _check_named_tuple,
    _check_positive,
    _check_rng,
    _check_size,
    _full_name,
)
from .distributions import (
    bernoulli_nll,
    bernoulli_nll_slopes,
    gaussian_kl,
    gaussian_kl_slopes,
    gaussian_nll,
    gaussian_nll_slopes,
)
from .layer import Gradients
from .mlp import MLP, MLPParams
from .tree import map_arrays

_Law: TypeAlias = tuple[Array, Array | None, Array | None]


class VRNNParams(NamedTuple):
    """Parameters of :class:`VRNN`.

    Chapter ``vrnn``, :eq:`eq-vrnn-phi-x` to :eq:`eq-vrnn-recurrence`.

    Attributes
    ----------
    phi_x, phi_z
        Feature extractors of x and of z.
    prior, encoder, decoder
        Networks of the three conditional laws. The output of a network that gives a normal law
        holds the means first and the pre-activations of the standard deviations after them.
    layer
        Parameters of the recurrent layer, in its own type.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, VRNN
    >>> rng = np.random.default_rng(0)
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(rng)
    >>> params.encoder.weights[0].shape, params.layer.weight_ih.shape  # the encoder reads F + H
    ((8, 13), (15, 16))
    """

    phi_x: MLPParams
    phi_z: MLPParams
    prior: MLPParams
    encoder: MLPParams
    decoder: MLPParams
    layer: Any


class VRNNCache(NamedTuple):
    """What ``elbo`` keeps for ``elbo_backward``; change none of it in between.

    Letters as in chapter ``vrnn``, :eq:`eq-vrnn-phi-x` to :eq:`eq-vrnn-recurrence`.

    Attributes
    ----------
    x, noise
        The arguments themselves, not copies, shapes (T, N, D) and (T, N, Z).
    phi_x, phi_z
        Features, shape (T, N, F).
    mu_0, sigma_0
        The prior's mean and standard deviation of z_t, shape (T, N, Z).
    mu_z, sigma_z
        The approximate posterior's, shape (T, N, Z).
    z
        Latent variables, shape (T, N, Z).
    mu_x
        The mean of x_t given z_t and the past, shape (T, N, D).
    sigma_x, logits
        Standard deviation of x_t (Gaussian) and logits (Bernoulli), shape (T, N, D); the one that
        the likelihood has no use for is None.
    h
        Hidden states, shape (T+1, N, H); ``h[t]`` has seen x and z of the first t steps.
    networks, steps
        Caches of the networks, and of the recurrent layer at each step.
    model
        The model that made this.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, VRNN
    >>> rng = np.random.default_rng(0)
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(rng)
    >>> run = model.elbo(params, np.ones((4, 6, 3)), noise=rng.standard_normal((4, 6, 2)))
    >>> run.cache.z.shape, run.cache.sigma_x.shape, run.cache.h.shape
    ((4, 6, 2), (4, 6, 3), (5, 6, 5))
    """

    x: Array
    noise: Array
    phi_x: Array
    phi_z: Array
    mu_0: Array
    sigma_0: Array
    mu_z: Array
    sigma_z: Array
    z: Array
    mu_x: Array
    sigma_x: Array | None
    logits: Array | None
    h: Array
    networks: dict[str, Any]
    steps: list[Any]
    model: VRNN


class Elbo(NamedTuple):
    r"""What :meth:`VRNN.elbo` returns, in nats, one number a row, not averaged.

    .. math::
        \mathrm{bound} = -\sum_{t=1}^{T} (\mathrm{kl}_t + \mathrm{nll}_t)

    Chapter ``vrnn``, :eq:`eq-vrnn-kl` to :eq:`eq-vrnn-bound`.

    Attributes
    ----------
    bound
        Lower bound of log p(x), shape (N,): minus the sum over time of kl and nll.
    kl
        KL divergence of the posterior from the prior at each step, shape (T, N).
    nll
        Minus log p(x_t | z_1 ... z_t, x_1 ... x_{t-1}) at each step, shape (T, N).
    final_state
        The layer's state after the last step.
    cache
        For :meth:`VRNN.elbo_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, VRNN
    >>> rng = np.random.default_rng(0)
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(rng)
    >>> run = model.elbo(params, np.ones((4, 6, 3)), noise=rng.standard_normal((4, 6, 2)))
    >>> bool(np.allclose(run.bound, -(run.kl + run.nll).sum(0)))
    True
    """

    bound: Array
    kl: Array
    nll: Array
    final_state: Any
    cache: VRNNCache


class Sample(NamedTuple):
    """What :meth:`VRNN.sample` returns.

    Chapter ``vrnn``, :eq:`eq-vrnn-joint`.

    Attributes
    ----------
    x
        Drawn sequences, shape (T, N, D).
    mu_x
        The mean that each x_t was drawn around, shape (T, N, D).
    z
        Latent variables, shape (T, N, Z).
    final_state
        The layer's state after the last step.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, VRNN
    >>> rng = np.random.default_rng(0)
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(rng)
    >>> drawn = model.sample(params, rng, steps=7, batch_size=2)
    >>> drawn.x.shape, drawn.z.shape
    ((7, 2, 3), (7, 2, 2))
    """

    x: Array
    mu_x: Array
    z: Array
    final_state: Any


class VRNNNetworks(NamedTuple):
    """The feed-forward networks of a :class:`VRNN`: sizes, no arrays.

    Chapter ``vrnn``, :eq:`eq-vrnn-phi-x` to :eq:`eq-vrnn-decoder`.

    Attributes
    ----------
    phi_x, phi_z, prior, encoder, decoder
        As in :class:`VRNNParams`.

    Examples
    --------
    >>> from rnn_ref import GRU, VRNN
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> model.networks.encoder.sizes, model.networks.prior.sizes  # two outputs of size Z = 2
    ((13, 8, 4), (5, 8, 4))
    """

    phi_x: MLP
    phi_z: MLP
    prior: MLP
    encoder: MLP
    decoder: MLP


@dataclass(frozen=True)
class VRNN:
    r"""A recurrent network with a latent variable at every step, and a bound on its likelihood.

    .. math::
        z_t &\sim N(\mu_{0,t}, \mathrm{diag}\,\sigma_{0,t}^2), \quad
        (\mu_{0,t}, \sigma_{0,t}) = \mathrm{prior}(h_{t-1}) \\
        x_t \mid z_t &\sim N(\mu_{x,t}, \mathrm{diag}\,\sigma_{x,t}^2), \quad
        (\mu_{x,t}, \sigma_{x,t}) = \mathrm{decoder}(\varphi_z(z_t), h_{t-1}) \\
        z_t \mid x_t &\sim N(\mu_{z,t}, \mathrm{diag}\,\sigma_{z,t}^2), \quad
        (\mu_{z,t}, \sigma_{z,t}) = \mathrm{encoder}(\varphi_x(x_t), h_{t-1}) \\
        h_t &= \mathrm{layer}([\varphi_x(x_t), \varphi_z(z_t)], h_{t-1})

    The first two lines with the last are the model, the third is the approximate posterior q. With
    ``likelihood="bernoulli"`` the decoder gives one logit for each entry of x_t in place of mean
    and standard deviation. Time is the first axis; each row is a sequence of its own; everything is
    summed over a sequence, and nothing is averaged. All arrays of one call share one dtype, float32
    or float64.

    Notes
    -----
    Chung et al. (2015), "A recurrent latent variable model for sequential data", equations (5) to
    (7), (9) and (11). The equations above are :eq:`eq-vrnn-phi-x` to :eq:`eq-vrnn-bound`
    of chapter ``vrnn``, the gradient is :eq:`eq-vrnn-kl-by-mu` to :eq:`eq-vrnn-dx`.

    Attributes
    ----------
    input_size, latent_size, feature_size
        D, Z and F: sizes of x_t, of z_t, and of the features and every network's inner layers.
    layer
        The recurrence: any cell of input size 2F whose state has an ``h``.
    likelihood
        "gaussian" with diagonal covariance, or "bernoulli" for x of 0 and 1. Grey levels between
        are taken, but then the bound is not one of a log-likelihood; samples are always 0 and 1.
    depth
        Layers with rectifier in each of the five networks, at least 1.
    std_floor
        Added to every standard deviation, positive: sigma = softplus(s) + std_floor.

    Raises
    ------
    TypeError
        An argument of a method has the wrong type or dtype; the message names it.
    ValueError
        An argument has the wrong shape or value; the message names it, what was expected and what
        was given.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn_ref import GRU, VRNN
    >>> rng = np.random.default_rng(0)
    >>> model = VRNN(input_size=3, latent_size=2, feature_size=8, layer=GRU(16, 5))
    >>> params = model.init_params(rng)
    >>> x, noise = rng.standard_normal((4, 6, 3)), rng.standard_normal((4, 6, 2))
    >>> bound, kl, nll, final_state, cache = model.elbo(params, x, noise)
    >>> bound.shape, kl.shape, nll.shape
    ((6,), (4, 6), (4, 6))
    >>> weight = np.full((4, 6), 1 / 6)             # the loss: minus the bound, averaged over rows
    >>> grads = model.elbo_backward(params, cache, d_kl=weight, d_nll=weight)
    >>> grads.params.encoder.weights[0].shape
    (8, 13)
    >>> model.sample(params, rng, steps=7, batch_size=2).x.shape
    (7, 2, 3)
    """

    input_size: int
    latent_size: int
    feature_size: int
    layer: Cell[Any, Any, Any]
    likelihood: Literal["gaussian", "bernoulli"] = "gaussian"
    depth: int = 1
    std_floor: float = 1e-4

    def __post_init__(self) -> None:
        for name in ("input_size", "latent_size", "feature_size", "depth"):
            _check_size(name, getattr(self, name), smallest=1)
        if not isinstance(self.layer, Cell):
            raise TypeError(f"layer: expected a rnn_ref.Cell, got {_full_name(self.layer)}")
        if "h" not in self.layer.state_type._fields:
            raise ValueError(f"layer: expected one whose state has an h, got {self.layer}")
        if self.layer.input_size != 2 * self.feature_size:
            raise ValueError(
                f"layer: expected input_size 2F={2 * self.feature_size}, the features of x and of "
                f"z side by side, got {self.layer.input_size}"
            )
        _check_choice_of("likelihood", self.likelihood, "gaussian", "bernoulli")
        object.__setattr__(self, "std_floor", _check_positive("std_floor", self.std_floor))

    @property
    def networks(self) -> VRNNNetworks:
        """The five networks with their sizes."""
        D, Z, F, H = self.input_size, self.latent_size, self.feature_size, self.layer.output_size
        inner = (F,) * self.depth
        return VRNNNetworks(
            phi_x=MLP((D, *inner), relu_output=True),
            phi_z=MLP((Z, *inner), relu_output=True),
            prior=MLP((H, *inner, 2 * Z)),
            encoder=MLP((F + H, *inner, 2 * Z)),
            decoder=MLP((F + H, *inner, 2 * D if self.likelihood == "gaussian" else D)),
        )

    def init_params(self, rng: np.random.Generator, dtype: DTypeLike = np.float64) -> VRNNParams:
        """Draw every parameter as ``torch.nn`` does by default.

        Parameters
        ----------
        rng
            Source of randomness; the draws are float64, then rounded to ``dtype``.
        dtype
            float64 or float32.

        Returns
        -------
        VRNNParams
            The model's parameters.
        """
        networks = self.networks._asdict().items()
        drawn = {name: network.init_params(rng, dtype) for name, network in networks}
        return VRNNParams(**drawn, layer=self.layer.init_params(rng, dtype))

    # The equations, once, for one step or all of them: the last axis is the vector's.

    def _gaussian(self, a: Array) -> tuple[Array, Array]:
        """Mean and standard deviation from a network's output."""
        mu, s = np.split(a, 2, axis=-1)
        return mu, softplus(s) + self.std_floor  # (eq-vrnn-sigma)

    def _gaussian_back(self, d_mu: Array, d_sigma: Array, sigma: Array) -> Array:
        """Gradient of a network's output from those of mean and standard deviation."""
        slope = softplus_slope(sigma - self.std_floor)
        return np.concatenate([d_mu, d_sigma * slope], axis=-1)  # (eq-vrnn-ds)

    def _law(self, a_x: Array) -> _Law:
        """mu_x, sigma_x and logits of x_t given z_t and the past, from the decoder's output."""
        if self.likelihood == "gaussian":
            return (*self._gaussian(a_x), None)
        return sigmoid(a_x), None, a_x

    def _nll(self, law: _Law, x: Array) -> Array:
        """Minus log p(x_t | z, past), summed over the entries of x_t."""
        mu_x, sigma_x, logits = law
        if sigma_x is None:
            each = bernoulli_nll(x, cast(Array, logits))
        else:
            each = gaussian_nll(x, mu_x, sigma_x)
        nll: Array = each.sum(-1)  # (eq-vrnn-nll)
        return nll

    def step(
        self, params: VRNNParams, x_t: Array, noise_t: Array, state: Any
    ) -> tuple[Any, Array, Array]:
        """One time step, literally the chapter's equations; slow, and the specification.

        Parameters
        ----------
        params
            The model's parameters.
        x_t
            Observation, shape (N, D).
        noise_t
            Standard normal noise, shape (N, Z).
        state
            The layer's previous state.

        Returns
        -------
        state : NamedTuple
            The layer's new state.
        kl, nll : Array
            The step's two terms of the bound, shape (N,).
        """
        dtype = self._check_params(params)
        _check_array("x_t", x_t, (("N", None), ("D", self.input_size)), dtype)
        _check_array("noise_t", noise_t, (("N", len(x_t)), ("Z", self.latent_size)), dtype)
        self.layer._check_state("state", state, len(x_t), dtype)
        nets, h_prev = self.networks, state.h
        phi_x, _ = nets.phi_x.forward(params.phi_x, x_t)  # (eq-vrnn-phi-x)
        a_0, _ = nets.prior.forward(params.prior, h_prev)  # (eq-vrnn-prior)
        a_z, _ = nets.encoder.forward(params.encoder, _beside(phi_x, h_prev))  # (eq-vrnn-encoder)
        mu_0, sigma_0 = self._gaussian(a_0)  # (eq-vrnn-sigma)
        mu_z, sigma_z = self._gaussian(a_z)  # (eq-vrnn-sigma)
        z = mu_z + sigma_z * noise_t  # (eq-vrnn-z)
        phi_z, _ = nets.phi_z.forward(params.phi_z, z)  # (eq-vrnn-phi-z)
        a_x, _ = nets.decoder.forward(params.decoder, _beside(phi_z, h_prev))  # (eq-vrnn-decoder)
        kl = gaussian_kl(mu_z, sigma_z, mu_0, sigma_0).sum(-1)  # (eq-vrnn-kl)
        nll = self._nll(self._law(a_x), x_t)  # (eq-vrnn-nll)
        state = self.layer.step(params.layer, _beside(phi_x, phi_z), state)  # (eq-vrnn-recurrence)
        return state, kl, nll

    def elbo(self, params: VRNNParams, x: Array, noise: Array, state: Any = None) -> Elbo:
        """The bound of each row's log-likelihood, from one draw of the latent variables.

        Parameters
        ----------
        params
            The model's parameters.
        x
            Observations, shape (T, N, D); T may be 0.
        noise
            Standard normal noise that the latent variables are made of, shape (T, N, Z), in x's
            dtype: ``rng.standard_normal((T, N, Z)).astype(x.dtype)``, drawn anew for every call.
        state
            The layer's initial state; zeros when absent.

        Returns
        -------
        Elbo
            The bound, its terms, the final state, and the cache for :meth:`elbo_backward`.
        """
        state = self._check_elbo(params, x, noise, state)
        nets, (T, N, _), dtype = self.networks, x.shape, x.dtype
        mu_z, sigma_z, z = (np.empty((T, N, self.latent_size), dtype) for _ in range(3))
        phi_z = np.empty((T, N, self.feature_size), dtype)
        h = np.empty((T + 1, N, self.layer.output_size), dtype)
        kept: dict[str, Any] = {"encoder": [], "phi_z": []}
        steps = []
        phi_x, kept["phi_x"] = nets.phi_x.forward(params.phi_x, x)
        h[0] = state.h
        for t in range(T):  # what the next h needs, and nothing else
            a_z, cache = nets.encoder.forward(params.encoder, _beside(phi_x[t], h[t]))
            kept["encoder"].append(cache)
            mu_z[t], sigma_z[t] = self._gaussian(a_z)
            z[t] = mu_z[t] + sigma_z[t] * noise[t]
            phi_z[t], cache = nets.phi_z.forward(params.phi_z, z[t])
            kept["phi_z"].append(cache)
            u = _beside(phi_x[t], phi_z[t])[None]
            _, state, cache = self.layer.forward(params.layer, u, state)
            steps.append(cache)
            h[t + 1] = state.h
        # Prior and decoder do not feed the recurrence: all steps at once.
        a_0, kept["prior"] = nets.prior.forward(params.prior, h[:-1])
        a_x, kept["decoder"] = nets.decoder.forward(params.decoder, _beside(phi_z, h[:-1]))
        (mu_0, sigma_0), law = self._gaussian(a_0), self._law(a_x)
        kl, nll = gaussian_kl(mu_z, sigma_z, mu_0, sigma_0).sum(-1), self._nll(law, x)
        bound = -(kl + nll).sum(0)  # (eq-vrnn-bound)
        mu_x, sigma_x, logits = law
        held = VRNNCache(
            x=x,
            noise=noise,
            phi_x=phi_x,
            phi_z=phi_z,
            mu_0=mu_0,
            sigma_0=sigma_0,
            mu_z=mu_z,
            sigma_z=sigma_z,
            z=z,
            mu_x=mu_x,
            sigma_x=sigma_x,
            logits=logits,
            h=h,
            networks=kept,
            steps=steps,
            model=self,
        )
        return Elbo(bound, kl, nll, state, held)

    def elbo_backward(
        self,
        params: VRNNParams,
        cache: VRNNCache,
        d_kl: Array,
        d_nll: Array,
        d_final_state: Any = None,
    ) -> Gradients[VRNNParams, Any]:
        """Gradients of any loss that depends on the bound's terms; the noise stays what it was.

        For minus the bound, averaged over the rows, both weights are 1/N everywhere. A smaller
        ``d_kl`` is an annealed KL term. A 0 in both masks a step of padding at the end of a row, if
        the padding is finite; ``bound`` and ``final_state`` of that row still count it.

        Parameters
        ----------
        params
            The parameters that ``elbo`` was given, unchanged: with others the gradients are wrong.
        cache
            The cache that ``elbo`` returned.
        d_kl, d_nll
            Gradient of the loss in ``kl`` and in ``nll``, shape (T, N).
        d_final_state
            Gradient of the loss in the final state; zeros when absent.

        Returns
        -------
        Gradients
            Of the parameters, the observations and the initial state.
        """
        d_state = self._check_backward(params, cache, d_kl, d_nll, d_final_state)
        nets, c, F = self.networks, cache, self.feature_size
        # The terms of the bound, and the two networks that only they read: all steps at once.
        d_mu_z, d_sigma_z, d_mu_0, d_sigma_0 = (
            d_kl[..., None] * slope  # (eq-vrnn-d-kl)
            for slope in gaussian_kl_slopes(c.mu_z, c.sigma_z, c.mu_0, c.sigma_0)
        )
        da_0 = self._gaussian_back(d_mu_0, d_sigma_0, c.sigma_0)  # (eq-vrnn-ds)
        kept = c.networks
        d_prior, dh = nets.prior.backward(params.prior, kept["prior"], da_0)  # (eq-vrnn-mlp-dv)
        dx, da_x = self._nll_back(c, d_nll[..., None])  # (eq-vrnn-d-nll)
        d_decoder, d_in = nets.decoder.backward(
            params.decoder, kept["decoder"], da_x
        )  # (eq-vrnn-mlp-dv)
        dphi_z, dh = d_in[..., :F], dh + d_in[..., F:]  # (eq-vrnn-dh)
        # What feeds the recurrence, step by step.
        dphi_x, no_output = np.empty_like(c.phi_x), np.zeros_like(c.h[:1])
        d_encoder, d_phi_z, d_layer = map_arrays(
            np.zeros_like, (params.encoder, params.phi_z, params.layer)
        )
        for t in reversed(range(len(c.x))):
            grads = self.layer.backward(
                params.layer, c.steps[t], no_output, d_state
            )  # (eq-vrnn-du)
            du = grads.x[0]
            d_layer = map_arrays(np.add, d_layer, grads.params)
            d, dz = nets.phi_z.backward(
                params.phi_z,
                kept["phi_z"][t],
                dphi_z[t] + du[:, F:],  # (eq-vrnn-dphi-z)
            )
            d_phi_z = map_arrays(np.add, d_phi_z, d)
            d_mu = d_mu_z[t] + dz  # (eq-vrnn-d-mu-z)
            d_sigma = d_sigma_z[t] + dz * c.noise[t]  # (eq-vrnn-d-sigma-z)
            da_z = self._gaussian_back(d_mu, d_sigma, c.sigma_z[t])  # (eq-vrnn-ds)
            d, d_in = nets.encoder.backward(
                params.encoder, kept["encoder"][t], da_z
            )  # (eq-vrnn-mlp-dv)
            d_encoder = map_arrays(np.add, d_encoder, d)
            dphi_x[t] = du[:, :F] + d_in[:, :F]  # (eq-vrnn-dphi-x)
            dh_t = grads.state.h + dh[t] + d_in[:, F:]  # (eq-vrnn-dh)
            d_state = grads.state._replace(h=dh_t)
        d_phi_x, d_in = nets.phi_x.backward(params.phi_x, kept["phi_x"], dphi_x)  # (eq-vrnn-mlp-dv)
        d_params = VRNNParams(d_phi_x, d_phi_z, d_prior, d_encoder, d_decoder, d_layer)
        return Gradients(d_params, dx + d_in, d_state)  # (eq-vrnn-dx)

    def _nll_back(self, cache: VRNNCache, d_nll: Array) -> tuple[Array, Array]:
        """Gradients of x and of the decoder's output through the likelihood."""
        if cache.sigma_x is None:
            logits = cast(Array, cache.logits)
            dx, da = (d_nll * s for s in bernoulli_nll_slopes(cache.x, logits))  # (eq-vrnn-d-nll)
            return dx, da
        slopes = gaussian_nll_slopes(cache.x, cache.mu_x, cache.sigma_x)
        dx, d_mu, d_sigma = (d_nll * slope for slope in slopes)  # (eq-vrnn-d-nll)
        return dx, self._gaussian_back(d_mu, d_sigma, cache.sigma_x)

    def sample(
        self,
        params: VRNNParams,
        rng: np.random.Generator,
        steps: int,
        batch_size: int = 1,
        state: Any = None,
    ) -> Sample:
        """Draw sequences from the model: z from the prior, x given z, step by step.

        Parameters
        ----------
        params
            The model's parameters.
        rng
            Source of randomness.
        steps
            T, at least 0.
        batch_size
            N, at least 1.
        state
            The layer's initial state of N rows, such as ``elbo``'s final one to go on where a
            sequence ends; zeros when absent.

        Returns
        -------
        Sample
            The sequences, their means, the latent variables and the final state.
        """
        dtype = self._check_params(params)
        _check_rng(rng)
        _check_size("steps", steps, smallest=0)
        _check_size("batch_size", batch_size, smallest=1)
        if state is None:
            state = self.layer.zero_state(batch_size, dtype)
        self.layer._check_state("state", state, batch_size, dtype)
        nets, N = self.networks, batch_size
        x, mu_x = (np.empty((steps, N, self.input_size), dtype) for _ in range(2))
        z = np.empty((steps, N, self.latent_size), dtype)
        for t in range(steps):
            h_prev = state.h
            a_0, _ = nets.prior.forward(params.prior, h_prev)
            mu_0, sigma_0 = self._gaussian(a_0)
            z[t] = mu_0 + sigma_0 * rng.standard_normal(mu_0.shape)
            phi_z, _ = nets.phi_z.forward(params.phi_z, z[t])
            a_x, _ = nets.decoder.forward(params.decoder, _beside(phi_z, h_prev))
            mu_x[t], sigma_x, _ = self._law(a_x)
            if sigma_x is None:
                x[t] = rng.random(a_x.shape) < mu_x[t]
            else:
                x[t] = mu_x[t] + sigma_x * rng.standard_normal(sigma_x.shape)
            phi_x, _ = nets.phi_x.forward(params.phi_x, x[t])
            state = self.layer.step(params.layer, _beside(phi_x, phi_z), state)
        return Sample(x, mu_x, z, state)

    def log_weights(self, params: VRNNParams, x: Array, noise: Array, state: Any = None) -> Array:
        r"""Logarithms of the importance weights :math:`p(x, z)/q(z \mid x)` of K draws of z.

        Their mean over draws is an unbiased estimate of the bound, the mean of the weights
        themselves one of p(x). Memory grows with K N T; for a large K, call it for a few draws at a
        time and concatenate. No gradient is computed. Rows that differ in length need calls of
        their own.

        Parameters
        ----------
        params
            The model's parameters.
        x
            Observations, shape (T, N, D).
        noise
            Standard normal noise, shape (K, T, N, Z).
        state
            The layer's initial state; zeros when absent.

        Returns
        -------
        Array
            Shape (K, N), in nats.
        """
        dtype = self._check_params(params)
        axes: tuple[AnyAxis, ...] = (("T", None), ("N", None), ("D", self.input_size))
        _check_array("x", x, axes, dtype)
        T, N, _ = x.shape
        axes = (("K", None), ("T", T), ("N", N), ("Z", self.latent_size))
        _check_array("noise", noise, axes, dtype)
        K = len(noise)
        state = self.layer.zero_state(N, dtype) if state is None else state
        self.layer._check_state("state", state, N, dtype)
        # K copies of every row, run as one batch.
        state = map_arrays(lambda s: np.tile(s, (K, 1)), state)
        rows = noise.swapaxes(0, 1).reshape(T, K * N, self.latent_size)
        run = self.elbo(params, np.tile(x, (1, K, 1)), rows, state)
        c = run.cache
        log_q = -gaussian_nll(c.z, c.mu_z, c.sigma_z).sum(-1)
        log_p = -gaussian_nll(c.z, c.mu_0, c.sigma_0).sum(-1)
        log_w = (log_p - run.nll - log_q).sum(0)  # (eq-vrnn-log-weight)
        by_draw: Array = log_w.reshape(K, N)
        return by_draw

    def importance_bound(
        self, params: VRNNParams, x: Array, noise: Array, state: Any = None
    ) -> Array:
        """A bound of log p(x) from K draws of z, on average tighter for a larger K.

        Parameters
        ----------
        params, x, state
            As in :meth:`log_weights`.
        noise
            Standard normal noise, shape (K, T, N, Z), K at least 1.

        Returns
        -------
        Array
            The logarithm of the mean weight, shape (N,), in nats (Burda et al., 2016).
        """
        log_w = self.log_weights(params, x, noise, state)
        if not len(log_w):
            raise ValueError("noise: expected K of at least 1, got 0")
        largest = log_w.max(0)
        mean = np.exp(log_w - largest).mean(0)
        bound: Array = largest + np.log(mean)  # (eq-vrnn-importance)
        return bound

    # Checks of the arguments.

    def _check_params(self, params: VRNNParams) -> np.dtype[Any]:
        _check_named_tuple("params", params, VRNNParams)
        dtype: np.dtype[Any] | None = None
        for name, network in self.networks._asdict().items():
            dtype = network.check_params(f"params.{name}", getattr(params, name), dtype)
        found = self.layer._check_params(params.layer, "params.layer")
        if found != dtype:
            raise TypeError(f"params.layer: expected {dtype}, as in params.phi_x, got {found}")
        return found

    def _check_elbo(self, params: VRNNParams, x: Array, noise: Array, state: Any) -> Any:
        dtype = self._check_params(params)
        _check_array("x", x, (("T", None), ("N", None), ("D", self.input_size)), dtype)
        T, N, _ = x.shape
        _check_array("noise", noise, (("T", T), ("N", N), ("Z", self.latent_size)), dtype)
        if self.likelihood == "bernoulli" and not ((x >= 0.0) & (x <= 1.0)).all():
            raise ValueError(
                'x: expected values in [0, 1] for likelihood="bernoulli", '
                f"got values from {x.min():g} to {x.max():g}"
            )
        if state is None:
            return self.layer.zero_state(N, dtype)
        self.layer._check_state("state", state, N, dtype)
        return state

    def _check_backward(
        self, params: VRNNParams, cache: VRNNCache, d_kl: Array, d_nll: Array, d_final_state: Any
    ) -> Any:
        dtype = self._check_params(params)
        _check_named_tuple("cache", cache, VRNNCache)
        if cache.model != self:
            raise ValueError(f"cache: expected one of {self}, got one of {cache.model}")
        T, N, _ = cache.x.shape
        _check_array("cache.x", cache.x, (("T", T), ("N", N), ("D", self.input_size)), dtype)
        for name, value in (("d_kl", d_kl), ("d_nll", d_nll)):
            _check_array(name, value, (("T", T), ("N", N)), dtype)
        if d_final_state is None:
            return self.layer.zero_state(N, dtype)
        self.layer._check_state("d_final_state", d_final_state, N, dtype)
        return map_arrays(np.copy, d_final_state)


def _beside(a: Array, b: Array) -> Array:
    """Two vectors as one: concatenated along the last axis."""
    return np.concatenate([a, b], axis=-1)
