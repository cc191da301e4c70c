"""Checks of document 002."""

import os

import numpy as np
import torch

from .ask import (
    D,
    H,
    N,
    acting,
    draw,
    draws,
    require_acting,
    require_equal,
    require_gate,
)
from .registry import check

# Line 9: input, hidden and output layer, joined by recursion


def recurrent_layers_as_described():
    """All three layers of line 9."""
    return {"x", "h", "y"}


def recurrent_layers_of_the_equations():
    """The one layer whose old value stands in lines 13 and 14."""
    return {"h"}


def rnn(p, x, h):
    """Lines 13 and 14, right."""
    h = torch.tanh(h @ p["W_hh"].T + x @ p["W_xh"].T + p["b_h"])
    return h, h @ p["W_hy"].T + p["b_y"]


@check(
    "002-04",
    printed=recurrent_layers_as_described,
    corrected=recurrent_layers_of_the_equations,
    fails="the next step does not read x, y",
)
def the_next_step_reads(layers):
    """What a step leaves behind, each with the others held fixed, acts on the next step or not."""
    p = draws({"W_hh": (H, H), "W_xh": (H, D), "W_hy": (D, H), "b_h": (H,), "b_y": (D,)})
    x = draw(N, D)
    h, y = rnn(p, x, draw(N, H))
    past = {k: v.detach().requires_grad_() for k, v in {"x": x, "h": h, "y": y}.items()}
    following = torch.cat(rnn(p, draw(N, D, seed=1), past["h"]), dim=1)
    unread = sorted(layers() - acting(following, past))
    assert not unread, f"the next step does not read {', '.join(unread)}"


# Lines 46 to 77: gates of the LSTM and of the GRU


def parameters(gates):
    """W_x and W_h and b for each of the gates, in the letters of lines 52 to 55 and 70 to 72."""
    shapes = {"W_x": (H, D), "W_h": (H, H), "b_": (H,)}
    return draws({k + gate: shape for gate in gates for k, shape in shapes.items()})


def affine(p, gate, x, h):
    """The argument of a gate or of a candidate, for rows."""
    return x @ p[f"W_x{gate}"].T + h @ p[f"W_h{gate}"].T + p[f"b_{gate}"]


def lstm(p, x, h, c):
    """Lines 52 to 57, right."""
    q = {gate: torch.sigmoid(affine(p, gate, x, h)) for gate in "ifo"}
    q["g"] = torch.tanh(affine(p, "g", x, h))
    q["c"] = q["f"] * c + q["i"] * q["g"]
    return q


def four_gates(q):
    """Lines 46 and 162: the fourth is the cell state, called mask gate."""
    return {name: q[name] for name in "ifoc"}


def three_gates(q):
    """Without the cell state."""
    return {name: q[name] for name in "ifo"}


@check("002-13", printed=four_gates, corrected=three_gates, fails="c_t not in")
def gates_are_shares(gates):
    """Every gate of the LSTM lies between 0 and 1."""
    q = lstm(parameters("ifgo"), draw(N, D), draw(N, H), draw(N, H, seed=1))
    for name, value in gates(q).items():
        require_gate(value, f"{name}_t")


def activation_functions():
    """Lines 18 and 43: sigma is the activation function, whichever."""
    return torch.sigmoid, torch.tanh, torch.relu


def logistic_function():
    """What sigma must be in a gate."""
    return (torch.sigmoid,)


@check(
    "002-14",
    printed=activation_functions,
    corrected=logistic_function,
    fails="tanh of a_t not in",
)
def any_sigma_makes_a_gate(sigmas):
    """Whatever the definition of sigma allows must make a gate of lines 52, 53, 55, 70 and 71."""
    a = affine(parameters("z"), "z", draw(N, D), draw(N, H))
    for sigma in sigmas():
        require_gate(sigma(a), f"{sigma.__name__} of a_t")


def input_gates_as_printed(q):
    """Line 61: i_t is the input gate, and g_t is the input gate."""
    return {name: q[name] for name in "ig"}


def input_gate(q):
    """i_t alone."""
    return {"i": q["i"]}


check(
    "002-15",
    printed=input_gates_as_printed,
    corrected=input_gate,
    fails="g_t not in",
)(gates_are_shares)


def candidate_of_line_72(p, x, h, z, r):
    """As printed, r is not used."""
    return torch.tanh(affine(p, "n", x, (1 - z) * h))


def candidate_with_reset(p, x, h, z, r):
    """With r where line 72 has 1 - z."""
    return torch.tanh(affine(p, "n", x, r * h))


def gru(p, x, h, candidate):
    """Lines 70 to 73; n stands for the letter h with a tilde."""
    z, r = torch.sigmoid(affine(p, "z", x, h)), torch.sigmoid(affine(p, "r", x, h))
    n = candidate(p, x, h, z, r)
    return {"z": z, "r": r, "n": n, "h": (1 - z) * h + z * n}


def candidate_of_line_77(q):
    """Line 77 calls r_t the candidate gate; lines 64 and 162 list it with the update gate."""
    return q["r"]


def candidate_of_line_73(q):
    """The quantity beside the old state in line 73."""
    return q["n"]


@check(
    "002-16",
    printed=candidate_of_line_77,
    corrected=candidate_of_line_73,
    fails="what replaces the state is off",
)
def replaces_the_state(candidate):
    """The candidate is what the state becomes where the update gate is open."""
    p = parameters("zrn")
    q = gru({**p, "b_z": p["b_z"] + 1e3}, draw(N, D), draw(N, H), candidate_with_reset)
    require_equal(candidate(q), q["h"], "what replaces the state is")


@check(
    "002-17",
    printed=candidate_of_line_72,
    corrected=candidate_with_reset,
    fails="no derivative in W_xr, W_hr, b_r$",
)
def every_parameter_acts(candidate):
    """No weight and no bias of the GRU is without influence on its state."""
    p = parameters("zrn")
    require_acting(gru(p, draw(N, D), draw(N, H), candidate)["h"], p)


# Lines 96 to 105, and the same with LSTM and GRU: the listings


def model_of_the_listing():
    """Lines 96 to 102, with the shape of the input said in the way of Keras 3."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((10, 1)), layers.SimpleRNN(units=64, return_sequences=True), layers.Dense(1)]
    )
    model.compile(optimizer="adam", loss="mse")
    return model


def fit_as_printed(model):
    """Line 105, for one epoch: x_train and y_train occur here for the first time."""
    model.fit(x_train, y_train, epochs=1, batch_size=32, verbose=0)


def fit_with_data(model):
    """The same, with data: ten steps of a wave, and the ten that are one step later."""
    waves = np.sin(np.arange(11) + np.arange(6)[:, None])[:, :, None]
    x_train, y_train = waves[:, :-1], waves[:, 1:]
    model.fit(x_train, y_train, epochs=1, batch_size=32, verbose=0)


@check("002-20", printed=fit_as_printed, corrected=fit_with_data, fails="x_train", error=NameError)
def trains(fit):
    """The last statement of the listing runs, and leaves the model trained for one epoch."""
    model = model_of_the_listing()
    fit(model)
    assert model.optimizer.iterations == 1
