"""Checks of document 000: an LSTM under the name RNN, a GRU, and the variational unit."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn_ref import GRU, VRNN
from rnn_ref.activations import sigmoid

from .ask import (
    D,
    H,
    N,
    T,
    draw,
    draws,
    require_acting,
    require_equal,
    require_not_acting,
    require_shape,
)
from .registry import check


def call(form: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    """Call a form with those of the values that its signature names."""
    return form(**{name: values[name] for name in inspect.signature(form).parameters})


# The variational view: one latent number z of three values, and an x of three values beside it

JOINT = draw(3, 3).detach().exp()
JOINT /= JOINT.sum()  # p(z, x): a row for each z, a column for each x
OBSERVED = JOINT[:, 1]  # p(z, x) for the x that came


def kl(q: Tensor, p: Tensor) -> Tensor:
    """KL(q || p) of two laws of finitely many values."""
    return (q * (q / p).log()).sum()


def bound(q: Tensor, observed: Tensor) -> Tensor:
    """E_q[log p(z, x) - log q(z)], the lower bound of log p(x)."""
    return (q * (observed / q).log()).sum()


def law_of_the_data(joint, x):
    """Lines 16 and 152: what q is to approximate."""
    return joint.sum(0)


def posterior(joint, x):
    """The law of z, given x."""
    return joint[:, x] / joint[:, x].sum()


@check("000-10", printed=law_of_the_data, corrected=posterior, fails="bound off by")
def closes_the_gap(aim):
    """A q that has reached its aim makes the bound equal to log p(x)."""
    require_equal(bound(aim(JOINT, 1), OBSERVED), OBSERVED.sum().log(), "bound")


# The cell called RNN


def block(x, back, c, W):
    """Lines 25 to 30 without biases; ``back`` is what the gates receive from the step before."""
    a_i, a_f, a_o, a_g = (torch.cat([x, back], 1) @ W).chunk(4, 1)
    c = a_f.sigmoid() * c + a_i.sigmoid() * a_g.tanh()
    return a_o.sigmoid() * c.tanh()


def cell_as_printed(x, i, h, c, W):
    """Lines 25 to 30: the previous input gate in all four places."""
    return block(x, i, c, W)


def cell_of_the_lstm(x, i, h, c, W):
    """The previous hidden state in its place."""
    return block(x, h, c, W)


def cell_of_the_rnn(x, i, h, c, W):
    """The plain recurrence, with the first of the four blocks of weights."""
    return (torch.cat([x, h], 1) @ W[:, :H]).tanh()


STEP = draws({"x": (N, D), "i": (N, H), "h": (N, H), "c": (N, H), "W": (D + H, 4 * H)})


@check("000-15", printed=cell_as_printed, corrected=cell_of_the_rnn, fails="depends on c")
def has_one_state(cell):
    """An RNN's next state is a function of the input and of the state before, and of no cell."""
    require_not_acting(cell(**STEP), {"c": STEP["c"]})


@check("000-17", printed=cell_as_printed, corrected=cell_of_the_lstm, fails="no derivative in h")
def feeds_the_state_back(cell):
    """At a fixed cell state, the previous hidden state acts on the next."""
    require_acting(cell(**STEP), {"h": STEP["h"]})


# The GRU


def candidate_as_printed(x, h, r, W, U):
    """Lines 43, 101 and 122: one matrix for the sum of gated state and input."""
    return ((r * h + x) @ U.T).tanh()


def candidate_of_the_gru(x, h, r, W, U):
    """A matrix for each."""
    return (x @ W.T + (r * h) @ U.T).tanh()


@check(
    "000-22",
    printed=candidate_as_printed,
    corrected=candidate_of_the_gru,
    fails="size of tensor a .* must match",
    error=RuntimeError,
)
def takes_an_input_of_any_size(candidate):
    """D differs from H, and both matrices act."""
    shapes = {"x": (N, D), "h": (N, H), "r": (N, H), "W": (H, D), "U": (H, H)}
    inputs = draws(shapes)
    require_acting(candidate(**inputs), inputs)


# The formulas of the variational unit


def law_of_one_step(p):
    """Line 55: q(h_t | x_t) is the whole product; here t = T = 3, and the path 0, 1 before."""
    return p[0][0, 0] * p[1][0, 1] * p[2][1, :]


def law_of_the_sequence(p):
    """The same product as the law of all three steps."""
    return torch.einsum("a,ab,bc->abc", p[0][0], p[1], p[2])


@check(
    "000-24", printed=law_of_one_step, corrected=law_of_the_sequence, fails="total probability off"
)
def is_a_law(product):
    """Summed over all arguments in front of the bar, a law gives 1."""
    p = draw(3, 2, 2).detach().softmax(-1)  # p(h_t | h_{t-1}, x_t) of a two-valued h, for each t
    require_equal(product(p).sum(), 1.0, "total probability")


def equality(log_p, right_side):
    """Line 56."""
    return torch.isclose(log_p, right_side)


def inequality(log_p, right_side):
    """A lower bound."""
    return log_p >= right_side


@check("000-26", printed=equality, corrected=inequality, fails="does not hold")
def holds_for_every_q(relation):
    """The relation of log p(x) and the bound, for ten laws q drawn at random."""
    for seed in range(10):
        q = draw(3, seed=seed).detach().softmax(0)
        value = bound(q, OBSERVED)
        assert relation(OBSERVED.sum().log(), value), (
            f"does not hold for log p = {OBSERVED.sum().log():.2f} and bound = {value:.2f}"
        )


def likelihood_of_one_step(start, step, emit, x):
    """Line 56, left: log p(x_t | h_t), here for t = T and h_T = 0."""
    return emit[0, x[-1]].log()


def likelihood_of_the_sequence(start, step, emit, x):
    """log p(x_1, ..., x_T), by the forward recursion."""
    alpha = start * emit[:, x[0]]
    for x_t in x[1:]:
        alpha = (alpha @ step) * emit[:, x_t]
    return alpha.sum().log()


@check(
    "000-27",
    printed=likelihood_of_one_step,
    corrected=likelihood_of_the_sequence,
    fails="left side off by",
)
def is_what_a_sum_over_all_steps_bounds(left_side):
    """With the exact posterior of a two-valued chain as q, the bound reaches the left side."""
    start, step, emit = (draw(*shape).detach().softmax(-1) for shape in ((2,), (2, 2), (2, 3)))
    x = (2, 0, 1)
    a, b, c = (emit[:, x_t] for x_t in x)
    observed = torch.einsum("i,ij,jk,i,j,k->ijk", start, step, step, a, b, c)
    require_equal(
        left_side(start, step, emit, x), bound(observed / observed.sum(), observed), "left side"
    )


def joint_minus_kl(q, prior, likelihood):
    """Line 56, right: the expectation of the joint law's logarithm, and the KL besides."""
    return (q * (likelihood * prior).log()).sum() - kl(q, prior)


def likelihood_minus_kl(q, prior, likelihood):
    """The prior once."""
    return (q * likelihood.log()).sum() - kl(q, prior)


@check("000-28", printed=joint_minus_kl, corrected=likelihood_minus_kl, fails="right side off by")
def is_tight_at_the_posterior(right_side):
    """With the exact posterior as q, the right side is log p(x)."""
    prior = JOINT.sum(1)
    value = right_side(OBSERVED / OBSERVED.sum(), prior, OBSERVED / prior)
    require_equal(value, OBSERVED.sum().log(), "right side")


def prior_as_printed(x, h, W, V):
    """Line 56: p(h_{t-1} | h_t), a law whose parameters are a function of the new state."""
    return (torch.cat([x, h], 1) @ W).tanh() @ V


def prior_of_the_vrnn(x, h, W, V):
    """A function of the state before."""
    return h @ V


@check("000-29", printed=prior_as_printed, corrected=prior_of_the_vrnn, fails="depends on x")
def has_not_seen_the_input(prior):
    """What q is compared with is known before x_t is."""
    inputs = draws({"x": (N, D), "h": (N, H), "W": (D + H, H), "V": (H, 2)})
    require_not_acting(prior(**inputs), {"x": inputs["x"]})


# The code, one fault at a time


def tanh(x):
    """Lines 72, 94 and 114."""
    with np.errstate(all="ignore"):
        return (np.exp(x) - np.exp(-x)) / (np.exp(x) + np.exp(-x))


@check("000-33", printed=tanh, corrected=np.tanh, fails="tanh off by nan")
def reaches_its_limits(function):
    """tanh is -1 and 1 far out."""
    require_equal(function(np.array([-1000.0, 0.3, 1000.0])), [-1.0, np.tanh(0.3), 1.0], "tanh")


ARRAYS = {
    name: draw(*shape, seed=seed).detach().numpy()
    for seed, (name, shape) in enumerate(
        {
            **dict.fromkeys(("Wii", "Wi", "Wo", "Wff"), (H, H)),
            **dict.fromkeys(("Wx", "Wxf"), (H, D)),
            **{"h": (H,), "x": (D,), "X": (N, T, D), "q": (N, T, H)},
            **dict.fromkeys(("f", "i", "g"), (N, H)),
        }.items()
    )
}
ARRAYS["b"] = {"i": ARRAYS["h"], "f": -ARRAYS["h"]}


def gates_as_printed(x, h, Wii, Wi, Wo, Wx, b):
    """Lines 74, 77 and 78, for one sequence."""
    i = sigmoid(np.dot(Wii, h) + np.dot(Wx, x) + b["i"])
    f = sigmoid(np.dot(Wff, h) + np.dot(Wxf, x) + b["f"])
    return f


def gates_with_their_weights(x, h, Wii, Wff, Wx, Wxf, b):
    """The weights handed over."""
    i = sigmoid(np.dot(Wii, h) + np.dot(Wx, x) + b["i"])
    f = sigmoid(np.dot(Wff, h) + np.dot(Wxf, x) + b["f"])
    return f


@check(
    "000-34",
    printed=gates_as_printed,
    corrected=gates_with_their_weights,
    fails="'Wff' is not defined",
    error=NameError,
)
def runs_on_its_arguments(form):
    """The signature names all that the body reads."""
    require_shape(call(form, ARRAYS), (H,))


def gru(X, Wzz, Wxz, Wz, Wrr, Wxr, Wr, Wrh, bz, br, b):
    """Lines 96 to 103 (and 116 to 123), with time first, D = H, and what cannot run mended."""
    h = torch.zeros_like(X[0])
    for x in X:
        z = (h @ Wzz.T + x @ Wxz.T + bz).sigmoid()
        r = (h @ Wrr.T + x @ Wxr.T + br).sigmoid()
        h_tilde = ((r * h + x) @ Wrh.T + b).tanh()
        h = (1 - z) * h + z * h_tilde
    return h


def gru_without_idle_arguments(X, Wzz, Wxz, Wrr, Wxr, Wrh, bz, br, b):
    """The same with neither ``Wz`` nor ``Wr``."""
    return gru(X, Wzz, Wxz, None, Wrr, Wxr, None, Wrh, bz, br, b)


MATRICES = dict.fromkeys(("Wzz", "Wxz", "Wz", "Wrr", "Wxr", "Wr", "Wrh"), (H, H))
GRU_INPUTS = draws({"X": (T, N, H), **MATRICES, **dict.fromkeys(("bz", "br", "b"), (H,))})


@check(
    "000-35", printed=gru, corrected=gru_without_idle_arguments, fails="no derivative in Wz, Wr$"
)
def uses_all_its_arguments(form):
    """Every argument of the signature acts on the last state."""
    names = inspect.signature(form).parameters
    require_acting(call(form, GRU_INPUTS), {name: GRU_INPUTS[name] for name in names})


def states_as_printed(X, Wii):
    """Lines 75, 97 and 117."""
    H = np.zeros((X.shape[0], X.shape[1], H.shape[2]))
    return H


def states_sized_by_a_weight(X, Wii):
    """The size from a matrix that has it."""
    return np.zeros((X.shape[0], X.shape[1], Wii.shape[0]))


@check(
    "000-36",
    printed=states_as_printed,
    corrected=states_sized_by_a_weight,
    fails="local variable 'H'",
    error=UnboundLocalError,
)
def makes_room_for_the_states(form):
    """A state for each sequence and step."""
    require_shape(call(form, ARRAYS), (N, T, H))


def product_as_printed(W, rows):
    """``np.dot(W, H[:, t-1, :])``."""
    return W @ rows


def product_of_each_row(W, rows):
    """``np.dot(H[:, t-1, :], W.T)``."""
    return rows @ W.T


@check("000-37", printed=product_as_printed, corrected=product_of_each_row, fails="on sequence 0$")
def keeps_sequences_apart(product):
    """N = H, so that both products exist: sequence 0 must not act on the result of the others."""
    rows = [draw(H, seed=k) for k in range(H)]
    result = product(draw(H, H), torch.stack(rows))
    require_not_acting(result[1:], {"sequence 0": rows[0]})


def cells_out_of_nothing(f, i, g):
    """Line 81."""
    for t in range(T):
        C = f * C[:, t - 1, :] + i * g
    return C


def cells_of_one_step(f, i, g):
    """Line 81 with a beginning."""
    C = np.zeros((N, T, H))
    for t in range(T):
        C = f * C[:, t - 1, :] + i * g
    return C


def cells_of_all_steps(f, i, g):
    """Begun, and written to its own place."""
    C = np.zeros((N, T, H))
    for t in range(T):
        C[:, t, :] = f * C[:, t - 1, :] + i * g
    return C


@check(
    "000-38",
    printed=cells_out_of_nothing,
    corrected=cells_of_all_steps,
    fails="local variable 'C'",
    error=UnboundLocalError,
)
@check(
    "000-39",
    printed=cells_of_one_step,
    corrected=cells_of_all_steps,
    fails="too many indices",
    error=IndexError,
)
def has_a_cell_state_at_every_step(form):
    """A cell state for each sequence and step."""
    require_shape(call(form, ARRAYS), (N, T, H))


def vrnn_as_printed(X, noise):
    """Lines 116 to 123: nothing is drawn, so there is nothing to do with the noise."""
    return gru(**{**GRU_INPUTS, "X": torch.tensor(X)}).detach().numpy()


def vrnn_of_the_book(X, noise):
    """The VRNN of ``rnn_ref``."""
    model = VRNN(input_size=H, latent_size=2, feature_size=3, layer=GRU(6, H))
    params = model.init_params(np.random.default_rng(0))
    return model.elbo(params, X, noise).final_state.h


@check("000-40", printed=vrnn_as_printed, corrected=vrnn_of_the_book, fails="same states for every")
def reads_a_latent_variable(unit):
    """Another draw of the latent variables gives other states."""
    X, first, second = (draw(T, N, size).detach().numpy() for size in (H, 2, 2))
    assert not np.allclose(unit(X, first), unit(X, second + 1)), "same states for every draw"


def factor_as_printed(a):
    """Line 124: ``q[:, t, :] = np.prod(...)``; a holds the sum of both exponents."""
    return a.exp().prod().expand(a.shape)


def factor_of_each_sequence(a):
    """A product over the units alone."""
    return a.exp().prod(dim=-1)


@check(
    "000-41", printed=factor_as_printed, corrected=factor_of_each_sequence, fails="on sequence 0$"
)
def belongs_to_one_sequence(factor):
    """Sequence 0 must not act on the q of the others."""
    rows = [draw(H, seed=k) for k in range(N)]
    require_not_acting(factor(torch.stack(rows))[1:], {"sequence 0": rows[0]})


def q_as_printed(h, a_z, a_r):
    """Line 124, for one unit: both pre-activations, and no variable that q were the law of."""
    return np.exp(a_z) * np.exp(a_r) * np.ones_like(h)


def q_of_an_encoder(h, a_z, a_r):
    """A normal density whose mean and standard deviation are two outputs of a network."""
    sigma = np.log1p(np.exp(a_r))
    return np.exp(-((h - a_z) ** 2) / (2 * sigma**2)) / (sigma * np.sqrt(2 * np.pi))


@check("000-42", printed=q_as_printed, corrected=q_of_an_encoder, fails="integral off by")
def is_a_density(q):
    """It integrates to 1 over the variable that it is the law of."""
    h = np.linspace(-20, 20, 4001)
    require_equal(np.trapezoid(q(h, 0.4, -0.7), h), 1.0, "integral")


def before_as_printed(written):
    """Lines 123 and 124 in the first step of a sequence of one: ``t - 1`` is -1."""
    H, t = np.zeros((N, 1, written.shape[1])), 0
    H[:, t, :] = written
    return H[:, t - 1, :]


def before_in_a_row_of_its_own(written):
    """The initial state stored in front of the others."""
    H, t = np.zeros((N, 2, written.shape[1])), 0
    H[:, t + 1, :] = written
    return H[:, t, :]


@check(
    "000-43",
    printed=before_as_printed,
    corrected=before_in_a_row_of_its_own,
    fails="reads the state just written",
)
def reads_the_state_before(form):
    """Before the first step the state is 0, also where the first step is the last."""
    assert not form(ARRAYS["f"]).any(), "reads the state just written"


def product_of_one_part(e, state, inputs, bias):
    """Line 125: the exponential times the first of three terms."""
    return (e * state + inputs + bias).sum()


def product_of_the_sum(e, state, inputs, bias):
    """As line 124 groups them."""
    return (e * (state + inputs + bias)).sum()


@check("000-44", printed=product_of_one_part, corrected=product_of_the_sum, fails="value off by")
def needs_the_pre_activation_only(form):
    """What one term of the pre-activation gains and another loses does not matter."""
    e, state, inputs, bias = (draw(N, H, seed=k).detach() for k in range(4))
    value = form(e.exp(), state, inputs, bias)
    require_equal(form(e.exp(), state + 1, inputs - 1, bias), value)


def entropy_by_dot(q):
    """Line 125."""
    return np.dot(q, np.log(q))


def entropy_by_sum(q):
    """A sum of elementwise products."""
    return np.sum(q * np.log(q))


@check(
    "000-45",
    printed=entropy_by_dot,
    corrected=entropy_by_sum,
    fails="shapes .* not aligned",
    error=ValueError,
)
def is_one_number(entropy):
    """q log q, added up."""
    require_shape(entropy(np.exp(ARRAYS["q"])), ())


def entropy_of_all_steps(q, t):
    """Line 125, with ``np.dot`` mended."""
    with np.errstate(all="ignore"):
        return np.sum(q * np.log(q))


def entropy_of_the_step(q, t):
    """The step that has been computed."""
    return np.sum(q[:, t] * np.log(q[:, t]))


@check("000-46", printed=entropy_of_all_steps, corrected=entropy_of_the_step, fails="nan at the")
def is_finite_from_the_first_step(entropy):
    """q is filled for t = 0 and zero after."""
    q = np.zeros((N, T, H))
    q[:, 0] = 0.3
    assert np.isfinite(entropy(q, 0)), f"{entropy(q, 0)} at the first step"


def last_term(terms):
    """Lines 125 and 126: assigned afresh in every step, returned after the last."""
    for term in terms:
        log_p = term
    return log_p


def sum_of_terms(terms):
    """As line 56 has it."""
    log_p = 0.0
    for term in terms:
        log_p = log_p + term
    return log_p


@check("000-47", printed=last_term, corrected=sum_of_terms, fails="no derivative in step 0, step 1")
def counts_every_step(form):
    """The terms of all steps act on the result."""
    terms = {f"step {t}": draw(seed=t) for t in range(T)}
    require_acting(form(list(terms.values())), terms)


def log_p_as_printed(x, rng):
    """Line 125 for one step, with what cannot run mended; x is one of the terms."""
    a_z, state, W = rng.normal(size=(N, H)), rng.normal(size=(N, H)), rng.normal(size=(H, D))
    inputs = x @ W.T
    q = np.prod(np.exp(a_z + state + inputs))
    return np.sum(np.exp(a_z) * state + inputs) - q * np.log(q)


def log_p_of_the_vrnn(x, rng):
    """The bound of ``rnn_ref`` for an x of zeros and ones."""
    model = VRNN(D, latent_size=2, feature_size=3, layer=GRU(6, H), likelihood="bernoulli")
    params = model.init_params(rng)
    return model.elbo(params, x[None], rng.normal(size=(1, N, 2))).bound.sum()


@check(
    "000-48", printed=log_p_as_printed, corrected=log_p_of_the_vrnn, fails="a probability above 1"
)
def is_a_log_probability(log_p):
    """Of zeros and ones, no probability exceeds 1, and no logarithm of one 0; 20 draws."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        value = log_p((rng.random((N, D)) < 0.5).astype(float), rng)
        assert value <= 0, f"log p = {value:.1f}, a probability above 1"


# What the document says about networks


def vanilla_rnn(X, Wrh, Wxr, b):
    """The plain recurrence, of which line 152 is true."""
    h = torch.zeros_like(X[0])
    for x in X:
        h = (h @ Wrh.T + x @ Wxr.T + b).tanh()
    return h


@check("000-53", printed=gru, corrected=vanilla_rnn, fails="depends on Wzz, Wrr, bz, br")
def has_no_gates(unit):
    """Neither recurrent weights nor biases of gates act on the states."""
    gates = {name: GRU_INPUTS[name] for name in ("Wzz", "Wrr", "bz", "br")}
    require_not_acting(call(unit, GRU_INPUTS), gates)
