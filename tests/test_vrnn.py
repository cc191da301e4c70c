"""The variational RNN: its bound and every gradient against autograd, and against exact truth."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from contract import TOLERANCE, assert_close, both_dtypes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.nn.functional import linear, softplus

from rnn_ref import (
    GRU,
    LSTM,
    SRU,
    VRNN,
    ElmanRNN,
    MLPParams,
    numerical_gradient,
    relative_error,
)
from rnn_ref.distributions import (
    bernoulli_nll,
    bernoulli_nll_slopes,
    gaussian_kl,
    gaussian_kl_slopes,
    gaussian_nll,
    gaussian_nll_slopes,
)
from rnn_ref.layer import Gradients
from rnn_ref.tree import map_arrays, named_arrays

D, Z, F, H = 3, 2, 4, 5
SIZES = {"input_size": D, "latent_size": Z, "feature_size": F}
MODELS = [
    VRNN(**SIZES, layer=LSTM(2 * F, H)),
    VRNN(**SIZES, layer=LSTM(2 * F, H), likelihood="bernoulli"),
    VRNN(**SIZES, layer=GRU(2 * F, H, reset="before"), depth=3),
    VRNN(**SIZES, layer=GRU(2 * F, H), likelihood="bernoulli", depth=2, std_floor=0.3),
    VRNN(**SIZES, layer=ElmanRNN(2 * F, H), std_floor=0.05),
    VRNN(**SIZES, layer=SRU(2 * F, H, alpha=1.3)),
]


def describe(model) -> str:
    cell = type(model.layer).__name__
    return f"{cell},{model.likelihood},depth={model.depth},floor={model.std_floor:g}"


# Several networks, a logarithm and a square deep, float32 has lost a digit more than in one cell.
BOUND_TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}

every_model = pytest.mark.parametrize("model", MODELS, ids=describe)
# With a cell that the transcription leaves out, and whose h is not of its hidden size.
PROJECTED = VRNN(**SIZES, layer=LSTM(2 * F, H, proj_size=2))
and_projected = pytest.mark.parametrize("model", [*MODELS, PROJECTED], ids=describe)


class VRNNCase(NamedTuple):
    """Random arguments of ``elbo`` and ``elbo_backward``."""

    params: Any
    x: np.ndarray
    noise: np.ndarray
    state: Any
    d_kl: np.ndarray
    d_nll: np.ndarray
    d_final_state: Any


def vrnn_case(model, seed=0, dtype=np.float64, T=4, N=2) -> VRNNCase:
    """Draw a case; nothing in it is zero, equal or square."""
    rng = np.random.default_rng(seed)

    def normal(*shape):
        return (0.7 * rng.standard_normal(shape)).astype(dtype)

    form = model.init_params(rng)
    states = [map_arrays(lambda s: normal(*s.shape), model.layer.zero_state(N)) for _ in range(2)]
    x = normal(T, N, model.input_size)
    return VRNNCase(
        params=map_arrays(lambda p: normal(*p.shape), form),
        x=x if model.likelihood == "gaussian" else (1 / (1 + np.exp(-2 * x))).astype(dtype),
        noise=normal(T, N, model.latent_size),
        state=states[0],
        d_kl=normal(T, N),
        d_nll=normal(T, N),
        d_final_state=states[1],
    )


# The oracle: the paper's equations in torch, with torch's own distributions and layers' steps.


def network(v, params, relu_output=False):
    for k, (W, b) in enumerate(zip(*params, strict=True)):
        v = linear(v, W, b)
        if relu_output or k < len(params.weights) - 1:
            v = torch.relu(v)
    return v


def recurrence(layer, params, u, state):
    """One step of the four cells; their own oracles are checked in their own tests."""
    if isinstance(layer, SRU):
        n = layer.hidden_size
        gates = [linear(u, W) for W in params.weight_ih.split(n)]
        v_f, v_r = params.weight_ph.split(n)
        b_f, b_r = params.bias_ih.split(n)
        f = torch.sigmoid(gates[1] + v_f * state.c + b_f)
        r = torch.sigmoid(gates[2] + v_r * state.c + b_r)
        c = f * state.c + (1 - f) * gates[0]
        skip = gates[3] if len(gates) == 4 else u
        return type(state)(r * c + (1 - r) * layer.alpha * skip, c)
    W, U, b, v = params[:4]
    if isinstance(layer, ElmanRNN):
        return type(state)(torch.tanh(linear(u, W, b) + linear(state.h, U, v)))
    if isinstance(layer, LSTM):
        i, f, g, o = (linear(u, W, b) + linear(state.h, U, v)).chunk(4, 1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return type(state)(torch.sigmoid(o) * torch.tanh(c), c)
    (a_r, a_z, a_n), (u_r, u_z, u_n) = (
        m.chunk(3, 1) for m in (linear(u, W, b), linear(state.h, U, v))
    )
    r, z = torch.sigmoid(a_r + u_r), torch.sigmoid(a_z + u_z)
    if layer.reset == "before":
        u_n = linear(r * state.h, U[2 * layer.hidden_size :], v[2 * layer.hidden_size :])
        r = 1.0
    return type(state)((1 - z) * torch.tanh(a_n + r * u_n) + z * state.h)


def transcription(model, params, x, noise, state):
    """(kl, nll, final state, the laws at each step) by torch.distributions."""
    law = torch.distributions

    def normal(a):
        mu, s = a.chunk(2, -1)
        # Beyond its threshold, 20 by default, torch's softplus is the identity: 2e-9 off.
        return law.Normal(mu, softplus(s, threshold=50.0) + model.std_floor)

    kl, nll, laws = [], [], []
    for x_t, noise_t in zip(x, noise, strict=True):
        h = state.h
        features = network(x_t, params.phi_x, relu_output=True)
        prior = normal(network(h, params.prior))
        posterior = normal(network(torch.cat([features, h], 1), params.encoder))
        z = posterior.loc + posterior.scale * noise_t
        z_features = network(z, params.phi_z, relu_output=True)
        decoded = network(torch.cat([z_features, h], 1), params.decoder)
        if model.likelihood == "gaussian":
            p_x = normal(decoded)
        else:
            p_x = law.Bernoulli(logits=decoded, validate_args=False)
        kl.append(law.kl_divergence(posterior, prior).sum(1))
        nll.append(-p_x.log_prob(x_t).sum(1))
        laws.append((prior, posterior, z, p_x))
        state = recurrence(model.layer, params.layer, torch.cat([features, z_features], 1), state)
    empty = x.new_zeros(0, x.shape[1])
    return (torch.stack(kl) if kl else empty), (torch.stack(nll) if nll else empty), state, laws


def tensors(tree, requires_grad=False):
    return map_arrays(
        lambda a: torch.tensor(a, dtype=torch.float64, requires_grad=requires_grad), tree
    )


def results(model, c: VRNNCase) -> dict[str, np.ndarray]:
    """Everything that elbo and elbo_backward return, by name."""
    run = model.elbo(c.params, c.x, c.noise, c.state)
    grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll, c.d_final_state)
    found = {"bound": run.bound, "kl": run.kl, "nll": run.nll}
    return found | named_arrays(run.final_state, "final.") | named_arrays(grads, "d.")


def autograd(model, c: VRNNCase) -> dict[str, np.ndarray]:
    params, x, state = tensors((c.params, c.x, c.state), requires_grad=True)
    kl, nll, final, _ = transcription(model, params, x, torch.tensor(c.noise).double(), state)
    upstream = tensors((c.d_kl, c.d_nll, c.d_final_state))
    loss = (kl * upstream[0]).sum() + (nll * upstream[1]).sum()
    for value, d in zip(final, upstream[2], strict=True):
        loss = loss + (value * d).sum()
    loss.backward()

    def grad(leaf):
        return np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.numpy()

    grads = Gradients(map_arrays(grad, params), grad(x), map_arrays(grad, state))
    found = {"bound": -(kl + nll).sum(0), "kl": kl, "nll": nll}
    found |= named_arrays(final, "final.")
    return {k: v.detach().numpy() for k, v in found.items()} | named_arrays(grads, "d.")


def errors(model, c: VRNNCase) -> dict[str, float]:
    ours, theirs = results(model, c), autograd(model, c)
    assert ours.keys() == theirs.keys()
    return {name: relative_error(ours[name], theirs[name]) for name in ours}


@every_model
@both_dtypes
def test_bound_and_all_gradients_match_autograd(model, dtype):
    for seed in range(3):
        found = errors(model, vrnn_case(model, seed, dtype, T=5, N=3))
        assert_close(found, BOUND_TOLERANCE[dtype])


@both_dtypes
def test_table_of_errors(dtype, record_property):
    """All models, 20 random cases each; the table stands at the end of pytest's output."""
    rows = {}
    for model in MODELS:
        worst: dict[str, float] = {}
        for seed in range(20):
            found = errors(model, vrnn_case(model, seed, dtype, T=7, N=3))
            assert_close(found, BOUND_TOLERANCE[dtype])  # NaN included, which max would lose
            for name, error in found.items():
                group = ".".join(name.replace("d.params", "d").split(".")[:2])
                worst[group] = max(worst.get(group, 0.0), error)
        rows[f"VRNN {describe(model)}"] = worst
    columns = dict.fromkeys(name for worst in rows.values() for name in worst)
    lines = [
        f"worst relative error of the VRNN against autograd in {np.dtype(dtype)}; 20 random cases "
        f"each, T=7, N=3, D={D}, Z={Z}, F={F}, H={H}; d.state of all initial states",
        f"{'model':40}" + "".join(f"{name:>11}" for name in columns),
    ]
    for name, worst in rows.items():
        cells = (f"{worst[k]:11.0e}" if k in worst else f"{'':>11}" for k in columns)
        lines.append(f"{name:40}" + "".join(cells))
    record_property("table", "\n".join(lines))


@and_projected
@both_dtypes
def test_step_equals_elbo(model, dtype):
    c = vrnn_case(model, dtype=dtype)
    run, state = model.elbo(c.params, c.x, c.noise, c.state), c.state
    for t in range(len(c.x)):
        state, kl, nll = model.step(c.params, c.x[t], c.noise[t], state)
        for ours, expected in ((kl, run.kl[t]), (nll, run.nll[t]), (state.h, run.cache.h[t + 1])):
            assert relative_error(ours, expected) <= TOLERANCE[dtype] / 20
    assert relative_error(run.bound, -(run.kl + run.nll).sum(0)) <= TOLERANCE[dtype] / 20


@and_projected
def test_gradients_match_finite_differences(model):
    """Of each array, the derivative along one random direction."""
    c = vrnn_case(model)
    run = model.elbo(c.params, c.x, c.noise, c.state)
    grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll, c.d_final_state)

    def loss(params, x, state):
        run = model.elbo(params, x, c.noise, state)
        pairs = [(c.d_kl, run.kl), (c.d_nll, run.nll)]
        pairs += zip(c.d_final_state, run.final_state, strict=True)
        return float(sum(np.vdot(a, b) for a, b in pairs))

    at, rng = (c.params, c.x, c.state), np.random.default_rng(1)
    places, ours = named_arrays(at), named_arrays(tuple(grads))
    for name, value in places.items():
        direction = rng.standard_normal(value.shape)

        def moved(s, name=name, value=value, direction=direction):
            arrays = iter({**places, name: value + s * direction}.values())
            return loss(*map_arrays(lambda _: next(arrays), at))

        # A small step: across the kink of a rectifier there is no derivative.
        measured = numerical_gradient(moved, np.zeros(()), eps=1e-6)
        assert abs(np.vdot(ours[name], direction) - measured) < 1e-6 * max(1.0, abs(measured)), name


@settings(max_examples=10)
@example((1, 1, 1, 1, 1, 1), 0)
@example((0, 2, 1, 3, 2, 2), 0)
@example((3, 0, 2, 1, 2, 2), 0)
@given(
    st.tuples(st.integers(0, 4), st.integers(0, 3), *(st.integers(1, 4) for _ in range(4))),
    st.integers(0, 99),
)
@every_model
def test_any_size(model, size, seed):
    T, N, D, Z, F, H = size
    layer = dataclasses.replace(model.layer, input_size=2 * F, hidden_size=H)
    sized = dataclasses.replace(
        model, input_size=D, latent_size=Z, feature_size=F, layer=layer, std_floor=0.05
    )
    assert_close(errors(sized, vrnn_case(sized, seed, T=T, N=N)), 1e-9)


@every_model
@both_dtypes
def test_types_and_dtypes_of_results(model, dtype):
    c = vrnn_case(model, dtype=dtype)
    run = model.elbo(c.params, c.x, c.noise, c.state)
    grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll, c.d_final_state)
    assert type(grads) is Gradients and type(grads.params) is type(c.params)
    assert type(run.final_state) is model.layer.state_type is type(grads.state)
    given, found = (c.params, c.x, c.state), (grads.params, grads.x, grads.state)
    assert named_arrays(given).keys() == named_arrays(found).keys()
    for like, value in zip(named_arrays(given).values(), named_arrays(found).values(), strict=True):
        assert value.dtype == dtype and value.shape == like.shape
    arrays = [run.bound, run.kl, run.nll, *named_arrays(tuple(run.cache[:-3])).values()]
    arrays += named_arrays(model.init_params(np.random.default_rng(0), dtype)).values()
    drawn = model.sample(c.params, np.random.default_rng(0), 3, 2)
    arrays += named_arrays(tuple(drawn)).values()
    arrays.append(model.importance_bound(c.params, c.x, c.noise[None], c.state))
    assert {a.dtype for a in arrays} == {np.dtype(dtype)}


@every_model
def test_defaults_are_zeros(model):
    c = vrnn_case(model)
    zeros = model.layer.zero_state(2)
    expected = results(model, c._replace(state=zeros, d_final_state=zeros))
    run = model.elbo(c.params, c.x, c.noise)
    np.testing.assert_array_equal(run.bound, expected["bound"])
    grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll)
    for name, value in named_arrays(grads, "d.").items():
        np.testing.assert_array_equal(value, expected[name])


@every_model
def test_arguments_are_left_alone_and_share_no_memory(model):
    c, again = vrnn_case(model), vrnn_case(model)
    first = results(model, c)
    given = named_arrays(tuple(c)).values()
    for value, expected in zip(given, named_arrays(tuple(again)).values(), strict=True):
        np.testing.assert_array_equal(value, expected)
    for name, value in first.items():
        assert not any(np.shares_memory(value, g) for g in given), name


@both_dtypes
def test_extreme_logits_give_finite_results(dtype):
    """Bernoulli from logits of ±1e4, where log(1 - sigmoid) would be log 0."""
    model = MODELS[1]
    c = vrnn_case(model, dtype=dtype)
    *_, last = c.params.decoder.biases
    last[:] = np.array([1e4, -1e4, 1e4], dtype)
    c.x[:] = np.array([1.0, 1.0, 0.0], dtype)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error")
        run = model.elbo(c.params, c.x, c.noise, c.state)
        grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll)
    np.testing.assert_allclose(run.nll, 2e4, rtol=1e-3)
    assert all(np.isfinite(g).all() for g in named_arrays(grads).values())


@every_model
@both_dtypes
def test_large_inputs_give_finite_results(model, dtype):
    params = model.init_params(np.random.default_rng(5), dtype)
    c = vrnn_case(model, dtype=dtype)
    x = np.sign(c.x - 0.1) * (1e4 if model.likelihood == "gaussian" else 1.0)
    x = np.clip(x, 0.0, None) if model.likelihood == "bernoulli" else x
    with warnings.catch_warnings(), np.errstate(over="raise", divide="raise", invalid="raise"):
        warnings.simplefilter("error")
        run = model.elbo(params, x.astype(dtype), c.noise)
        grads = model.elbo_backward(params, run.cache, c.d_kl, c.d_nll)
    assert np.isfinite(run.bound).all()
    assert all(np.isfinite(g).all() for g in named_arrays(grads).values())


# What autograd cannot vouch for: the probabilities themselves.


def retrace(model, params, drawn, state):
    """The cache of a pass over a sample, with the noise that makes q's z the drawn one."""
    first, noise = state, []
    for x_t, z_t in zip(drawn.x, drawn.z, strict=True):
        q = model.elbo(params, x_t[None], np.zeros_like(z_t)[None], state).cache
        noise.append((z_t - q.mu_z[0]) / q.sigma_z[0])
        state = model.elbo(params, x_t[None], noise[-1][None], state).final_state
    return model.elbo(params, drawn.x, np.array(noise), first)


@every_model
def test_samples_come_from_the_model(model):
    """Run over a sample with its own z, the model finds the means that x was drawn around."""
    c = vrnn_case(model)
    drawn = model.sample(c.params, np.random.default_rng(1), 5, batch_size=2, state=c.state)
    run = retrace(model, c.params, drawn, c.state)
    np.testing.assert_allclose(run.cache.mu_x, drawn.mu_x, rtol=1e-7)
    np.testing.assert_allclose(run.final_state.h, drawn.final_state.h, rtol=1e-7, atol=1e-9)


def test_samples_have_the_spread_of_the_model():
    """Standardised by the laws that they were drawn from, z and x are standard normal."""
    model, N = MODELS[0], 20_000
    c = vrnn_case(model, N=1)
    state = map_arrays(lambda s: np.repeat(s, N, 0), c.state)
    drawn = model.sample(c.params, np.random.default_rng(1), 2, batch_size=N, state=state)
    cache = retrace(model, c.params, drawn, state).cache
    e_z = (drawn.z - cache.mu_0) / cache.sigma_0
    e_x = (drawn.x - cache.mu_x) / cache.sigma_x
    for e in np.concatenate([e_z, e_x], axis=2):
        np.testing.assert_allclose(e.mean(0), 0.0, atol=0.03)
        np.testing.assert_allclose(e.T @ e / N, np.eye(Z + D), atol=0.04)


def test_bernoulli_samples_are_draws_of_their_means():
    model = MODELS[1]
    c = vrnn_case(model)
    drawn = model.sample(c.params, np.random.default_rng(1), 3, batch_size=20_000)
    assert set(np.unique(drawn.x)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.x.mean(1), drawn.mu_x.mean(1), atol=0.02)


def test_sampling_goes_on_where_it_stopped():
    model = MODELS[2]
    c = vrnn_case(model)
    whole = model.sample(c.params, np.random.default_rng(3), 6, 2, c.state)
    rng = np.random.default_rng(3)
    first = model.sample(c.params, rng, 2, 2, c.state)
    second = model.sample(c.params, rng, 4, 2, first.final_state)
    np.testing.assert_array_equal(whole.x, np.concatenate([first.x, second.x]))


@every_model
def test_log_weights_are_the_ratio_of_densities(model):
    """log p(x, z) - log q(z | x) by torch.distributions."""
    c = vrnn_case(model)
    rng, K = np.random.default_rng(2), 3
    noise = rng.standard_normal((K, *c.noise.shape))
    ours = model.log_weights(c.params, c.x, noise, c.state)
    params, x, state = tensors((c.params, c.x, c.state))
    for k in range(K):
        *_, laws = transcription(model, params, x, torch.tensor(noise[k]), state)
        expected = sum(
            (p.log_prob(z) - q.log_prob(z)).sum(1) + p_x.log_prob(x_t).sum(1)
            for x_t, (p, q, z, p_x) in zip(x, laws, strict=True)
        )
        assert relative_error(ours[k], expected.numpy()) < 1e-12
    mean = torch.logsumexp(torch.tensor(ours), 0).numpy() - np.log(K)
    bound = model.importance_bound(c.params, c.x, noise, c.state)
    assert relative_error(bound, mean) < 1e-12


def test_importance_weights_of_any_size():
    """Log-weights near -1e5, whose exponentials are all 0, still give a finite bound."""
    model = MODELS[0]
    c = vrnn_case(model)
    noise = np.random.default_rng(2).standard_normal((4, *c.noise.shape))
    bound = model.importance_bound(c.params, c.x + 300.0, noise)
    log_w = model.log_weights(c.params, c.x + 300.0, noise)
    assert log_w.max() < -1e3 and np.isfinite(bound).all()
    assert (bound <= log_w.max(0)).all() and (bound >= log_w.max(0) - np.log(4.0)).all()


# The distributions, against torch's and against what they mean.


def laws(seed=0, n=50):
    rng = np.random.default_rng(seed)
    means, stds = rng.normal(size=(2, n)), np.exp(rng.normal(size=(2, n)))
    return means[0], stds[0], means[1], stds[1], rng


def test_kl_is_torch_s():
    mu_q, sigma_q, mu_p, sigma_p, _ = laws()
    law = torch.distributions.Normal
    q, p = law(*map(torch.tensor, (mu_q, sigma_q))), law(*map(torch.tensor, (mu_p, sigma_p)))
    expected = torch.distributions.kl_divergence(q, p).numpy()
    assert relative_error(gaussian_kl(mu_q, sigma_q, mu_p, sigma_p), expected) < 1e-14


def test_kl_is_the_expectation_of_the_log_ratio():
    """By Monte Carlo, within five standard errors; the reversed divergence is far outside."""
    mu_q, sigma_q, mu_p, sigma_p, rng = laws(n=6)
    z = mu_q + sigma_q * rng.standard_normal((200_000, 6))
    ratio = gaussian_nll(z, mu_p, sigma_p) - gaussian_nll(z, mu_q, sigma_q)
    error = ratio.std(0) / np.sqrt(len(z))
    assert (np.abs(ratio.mean(0) - gaussian_kl(mu_q, sigma_q, mu_p, sigma_p)) < 5 * error).all()
    reverse = gaussian_kl(mu_p, sigma_p, mu_q, sigma_q)
    assert (np.abs(ratio.mean(0) - reverse) > 20 * error).any()


def test_kl_is_zero_between_equals_and_positive_otherwise():
    mu_q, sigma_q, mu_p, sigma_p, _ = laws()
    np.testing.assert_array_equal(gaussian_kl(mu_q, sigma_q, mu_q, sigma_q), 0.0)
    assert (gaussian_kl(mu_q, sigma_q, mu_p, sigma_p) > 0.0).all()


def test_densities_integrate_to_one():
    x = np.linspace(-40.0, 40.0, 80_001)
    density = np.exp(-gaussian_nll(x, np.full_like(x, 0.7), np.full_like(x, 1.9)))
    assert abs(np.trapezoid(density, x) - 1.0) < 1e-12
    logit = laws()[0] * 5
    mass = sum(np.exp(-bernoulli_nll(np.full_like(logit, k), logit)) for k in (0.0, 1.0))
    np.testing.assert_allclose(mass, 1.0, rtol=1e-14)


def test_slopes_match_finite_differences():
    mu_q, sigma_q, mu_p, sigma_p, rng = laws(n=7)
    x = rng.uniform(size=7)
    pairs = [
        (gaussian_kl, gaussian_kl_slopes, (mu_q, sigma_q, mu_p, sigma_p)),
        (gaussian_nll, gaussian_nll_slopes, (x, mu_q, sigma_q)),
        (bernoulli_nll, bernoulli_nll_slopes, (x, 3 * mu_q)),
    ]
    for f, slopes, at in pairs:
        for k, slope in enumerate(slopes(*at)):

            def moved(a, f=f, at=at, k=k):
                return float(f(*at[:k], a, *at[k + 1 :]).sum())

            assert relative_error(slope, numerical_gradient(moved, at[k], eps=1e-4)) < 1e-9


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_bernoulli_is_stable(dtype):
    """At logits of ±1e4 the naive log(1 - sigmoid) is log 0."""
    logit = np.array([1e4, -1e4, 1e4, -1e4, 0.0], dtype)
    x = np.array([1.0, 0.0, 0.0, 1.0, 1.0], dtype)
    with np.errstate(all="raise", under="ignore"):
        nll, (_, slope) = bernoulli_nll(x, logit), bernoulli_nll_slopes(x, logit)
    np.testing.assert_allclose(nll, [0.0, 0.0, 1e4, 1e4, np.log(2.0)], rtol=1e-6)
    np.testing.assert_allclose(slope, [0.0, 0.0, 1.0, -1.0, -0.5], atol=1e-7)
    assert nll.dtype == slope.dtype == dtype


# The linear-Gaussian case: everything is known in closed form.


def linear_gaussian(A, B, C, sigma_0, sigma_x, posterior, std_floor=1e-9):
    """A VRNN of one latent number with mu_0 = A z_{t-1} + B x_{t-1} and mu_x = C z_t, exactly.

    Rectifiers carry a number as its positive and its negative part, v = relu(v) - relu(-v). The
    Elman network with relu, U = 0 and a selection as W keeps h = (x+, x-, z+, z-), and every inner
    layer copies two features and h. ``posterior`` is (k_x, k_z, k_p, sigma_z): q's mean is
    k_x x_t + k_z z_{t-1} + k_p x_{t-1}.
    """
    F, k_x, k_z, k_p, sigma_z = 6, *posterior
    model = VRNN(1, 1, F, ElmanRNN(2 * F, 4, nonlinearity="relu"), std_floor=std_floor)

    def head(width, row, sigma):
        """A network whose mean is the given row of (f+, f-, x+, x-, z+, z-)."""
        W = np.zeros((F, width))
        W[:2, :2] = np.eye(2) * (width > 4)
        W[2:, -4:] = np.eye(4)
        s = np.log(np.expm1(sigma - std_floor))
        return MLPParams((W, np.array([row, np.zeros(F)])), (np.zeros(F), np.array([0.0, s])))

    halves = MLPParams((np.eye(F)[:, :1] - np.eye(F)[:, 1:2],), (np.zeros(F),))
    select = np.zeros((4, 2 * F))
    select[[0, 1, 2, 3], [0, 1, F, F + 1]] = 1.0
    params = model.init_params(np.random.default_rng(0))._replace(
        phi_x=halves,
        phi_z=halves,
        prior=head(4, [0, 0, B, -B, A, -A], sigma_0),
        encoder=head(F + 4, [k_x, -k_x, k_p, -k_p, k_z, -k_z], sigma_z),
        decoder=head(F + 4, [C, -C, 0, 0, 0, 0], sigma_x),
    )
    return model, params._replace(
        layer=params.layer._replace(
            weight_ih=select, weight_hh=np.zeros((4, 4)), bias_ih=np.zeros(4), bias_hh=np.zeros(4)
        )
    )


def filtering_posterior(A, B, C, sigma_0, sigma_x):
    """p(z_t | z_{t-1}, x_{t-1}, x_t), as ``linear_gaussian`` takes it."""
    K = sigma_0**2 * C / (C**2 * sigma_0**2 + sigma_x**2)
    return K, (1 - K * C) * A, (1 - K * C) * B, sigma_0 * np.sqrt(1 - K * C)


def kalman_log_likelihood(A, B, C, sigma_0, sigma_x, x):
    """Exact log p(x) of one sequence, z_0 = x_0 = 0, by the Kalman filter."""
    mean, variance, total, previous = 0.0, 0.0, 0.0, 0.0
    for x_t in x:
        mean, variance = A * mean + B * previous, A * A * variance + sigma_0**2
        S, e = C * C * variance + sigma_x**2, x_t - C * mean
        total -= 0.5 * (np.log(2 * np.pi * S) + e * e / S)
        K = variance * C / S
        mean, variance, previous = mean + K * e, (1 - K * C) * variance, x_t
    return total


def exact_bound(model, params, x):
    """The expectation over the noise, exactly: the bound is quadratic in it.

    Over all sign patterns, noise of ±1 has the mean, the variances and the covariances of a
    standard normal law, so it has the same expectation of a quadratic.
    """
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=len(x))))
    rows = np.repeat(x[:, None, None], len(signs), 1)
    return model.elbo(params, rows, signs.T[:, :, None].copy()).bound.mean()


SERIES = np.array([0.7, -1.1, 0.4, 1.9, -0.3])
LAW = {"B": -0.6, "C": 1.3, "sigma_0": 0.9, "sigma_x": 0.5}


def test_the_filter_is_the_joint_normal_law():
    """The oracle itself: x is jointly normal, with moments that follow from the recursion."""
    A, (B, C, sigma_0, sigma_x), T = 0.8, LAW.values(), len(SERIES)
    # (z, x) = M (z, x) + noise, strictly lower triangular in time.
    M = np.zeros((2 * T, 2 * T))
    for t in range(T):
        M[T + t, t] = C
        if t:
            M[t, t - 1], M[t, T + t - 1] = A, B
    spread = np.linalg.inv(np.eye(2 * T) - M) @ np.diag([sigma_0] * T + [sigma_x] * T)
    covariance = (spread @ spread.T)[T:, T:]
    expected = -0.5 * (
        np.linalg.slogdet(2 * np.pi * covariance)[1] + SERIES @ np.linalg.solve(covariance, SERIES)
    )
    assert abs(kalman_log_likelihood(A, **LAW, x=SERIES) - expected) < 1e-12


def test_the_bound_is_met_where_q_is_the_exact_posterior(record_property):
    """z_t acts on the future through x_t alone, so its exact posterior needs no future x."""
    model, params = linear_gaussian(A=0.0, **LAW, posterior=filtering_posterior(0.0, **LAW))
    truth = kalman_log_likelihood(0.0, **LAW, x=SERIES)
    gap = truth - exact_bound(model, params, SERIES)
    record_property("table", f"Kalman, q exact: log p(x) = {truth:.6f}, minus bound = {gap:.0e}")
    assert abs(gap) < 1e-9
    # p(x, z) / q(z | x) is p(x) whatever z: every draw has the same weight.
    noise = np.random.default_rng(0).standard_normal((7, 5, 1, 1))
    log_w = model.log_weights(params, SERIES[:, None, None], noise)
    np.testing.assert_allclose(log_w, truth, rtol=1e-9)


@pytest.mark.parametrize("A", [0.0, 0.8])
def test_the_bound_lies_below_log_p(A):
    rng, truth = np.random.default_rng(1), kalman_log_likelihood(A, **LAW, x=SERIES)
    best = filtering_posterior(A, **LAW)
    for _ in range(20):
        moved = (*(best[:3] + 0.3 * rng.standard_normal(3)), best[3] * np.exp(rng.normal() / 3))
        bound = exact_bound(*linear_gaussian(A, **LAW, posterior=moved), SERIES)
        assert bound < truth - 1e-3


def test_a_posterior_that_does_not_see_the_future_leaves_a_gap(record_property):
    """Where z_{t-1} acts on z_t, x_t says something of z_{t-1}; q(z_{t-1}) has not seen it."""
    A, best = 0.8, filtering_posterior(0.8, **LAW)
    truth = kalman_log_likelihood(A, **LAW, x=SERIES)
    model, params = linear_gaussian(A, **LAW, posterior=best)
    bound = exact_bound(model, params, SERIES)
    # More draws close it: E log(mean of K weights) rises with K, towards log p(x).
    noise = np.random.default_rng(0).standard_normal((64, 5, 500, 1))
    rows = np.repeat(SERIES[:, None, None], 500, 1)
    means = [model.importance_bound(params, rows, noise[:K]).mean() for K in (1, 4, 64)]
    by_draws = ", ".join(f"K={K}: {truth - m:.3f}" for K, m in zip((1, 4, 64), means, strict=True))
    record_property(
        "table",
        f"Kalman, q blind to the future: log p(x) = {truth:.6f}, minus bound = "
        f"{truth - bound:.6f} exactly; minus importance-weighted bound, 500 estimates: {by_draws}",
    )
    assert 0.01 < truth - bound < 1.0
    assert abs(means[0] - bound) < 0.2
    assert means[0] < means[1] < means[2] < truth + 0.02
    assert truth - means[2] < (truth - bound) / 5


# Bad input.


def test_wrong_arguments_are_refused():
    model = MODELS[0]
    c = vrnn_case(model)
    f32 = vrnn_case(model, dtype=np.float32)
    cache = model.elbo(c.params, c.x, c.noise, c.state).cache
    rng = np.random.default_rng(0)
    short = c.state._replace(h=c.state.h[:1])
    bernoulli, b = MODELS[1], vrnn_case(MODELS[1])
    listed = c.params.prior._replace(weights=list(c.params.prior.weights))
    shorter = c.params.prior._replace(weights=c.params.prior.weights[:1])
    wrong = c.params.prior._replace(biases=(c.params.prior.biases[0][1:], c.params.prior.biases[1]))

    def elbo(**change):
        arguments = {"params": c.params, "x": c.x, "noise": c.noise, "state": c.state}
        return lambda: model.elbo(**arguments | change)

    def backward(**change):
        arguments = {"params": c.params, "cache": cache, "d_kl": c.d_kl, "d_nll": c.d_nll}
        return lambda: model.elbo_backward(**arguments | change)

    def make(**change):
        return lambda: dataclasses.replace(model, **change)

    refused = [
        (elbo(x=c.x[:, :, 1:]), ValueError, r"x: .*\(T, N, D=3\), got \(4, 2, 2\)"),
        (elbo(x=c.x.tolist()), TypeError, "x: expected an array"),
        (elbo(x=f32.x), TypeError, "x: expected float64.*got float32"),
        (elbo(noise=c.noise[:-1]), ValueError, r"noise: .*\(T=4, N=2, Z=2\), got \(3, 2, 2\)"),
        (elbo(noise=c.noise[:, :1]), ValueError, "noise"),
        (elbo(state=short), ValueError, "state.h"),
        (elbo(state=c.state.h), TypeError, "state: expected LSTMState"),
        (elbo(params=tuple(c.params)), TypeError, "params: expected VRNNParams, got tuple"),
        (elbo(params=c.params._replace(layer=f32.params.layer)), TypeError, "params.layer"),
        (elbo(params=c.params._replace(prior=f32.params.prior)), TypeError, r"prior.weights\[0\]"),
        (elbo(params=c.params._replace(prior=shorter)), ValueError, "2 arrays.*got 1"),
        (elbo(params=c.params._replace(prior=wrong)), ValueError, r"biases\[0\]: .*\(out=4,\)"),
        (elbo(params=c.params._replace(prior=listed)), TypeError, "prior.weights: .*got list"),
        (elbo(params=c.params._replace(prior=None)), TypeError, "params.prior: expected MLPParams"),
        (backward(d_kl=c.d_kl[1:]), ValueError, r"d_kl: .*\(T=4, N=2\)"),
        (backward(d_nll=c.d_nll[:, 0]), ValueError, "d_nll"),
        (backward(d_nll=f32.d_nll), TypeError, "d_nll"),
        (backward(cache=None), TypeError, "cache: expected VRNNCache"),
        (backward(params=f32.params), TypeError, "cache.x"),
        (backward(d_final_state=short), ValueError, "d_final_state.h"),
        (
            lambda: dataclasses.replace(model, std_floor=0.5).elbo_backward(
                c.params, cache, c.d_kl, c.d_nll
            ),
            ValueError,
            "cache: expected one of VRNN.*got one of VRNN",
        ),
        (lambda: model.step(c.params, c.x, c.noise, c.state), ValueError, "x_t"),
        (lambda: model.step(c.params, c.x[0], c.noise[0, :1], c.state), ValueError, "noise_t"),
        (lambda: model.sample(c.params, 0, 3), TypeError, "rng"),
        (lambda: model.sample(c.params, rng, -1), ValueError, "steps: expected at least 0"),
        (lambda: model.sample(c.params, rng, 3, 0), ValueError, "batch_size"),
        (lambda: model.sample(c.params, rng, 3, 2, short), ValueError, "state.h"),
        (lambda: model.log_weights(c.params, c.x, c.noise), ValueError, r"noise: .*\(K, T=4"),
        (lambda: model.importance_bound(c.params, c.x, c.noise[None][:0]), ValueError, "K of"),
        (lambda: bernoulli.elbo(b.params, b.x + 1.0, b.noise), ValueError, r"x: .*\[0, 1\].*from"),
        (lambda: bernoulli.elbo(b.params, b.x * np.nan, b.noise), ValueError, r"x: .*\[0, 1\]"),
        (lambda: model.init_params(0), TypeError, "rng"),
        (lambda: model.init_params(rng, int), TypeError, "dtype"),
        (make(input_size=0), ValueError, "input_size"),
        (make(depth=0), ValueError, "depth"),
        (make(latent_size=2.0), TypeError, "latent_size"),
        (make(likelihood="poisson"), ValueError, "likelihood: expected one of"),
        (make(std_floor=0.0), ValueError, "std_floor: expected a positive"),
        (make(layer=LSTM(3, H)), ValueError, "layer: expected input_size 2F=8.*got 3"),
        (make(layer="gru"), TypeError, "layer: expected a rnn_ref.Cell, got builtins.str"),
    ]  # fmt: skip
    for call, error, message in refused:
        with pytest.raises(error, match=message):
            call()
