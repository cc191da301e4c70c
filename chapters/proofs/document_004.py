"""Checks of document 004."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, sigmoid, tanh

from rnn_ref import GRU, SRU, ElmanRNN, Layer

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

os.environ.setdefault("KERAS_BACKEND", "torch")

GRU_SHAPES = dict.fromkeys(("W_z", "W_r", "W"), (H, H + D)) | dict.fromkeys(
    ("b_z", "b_r", "b"), (H,)
)
SRU_SHAPES = dict.fromkeys(("W_u", "W_f", "W_r", "W_s"), (H, D)) | dict.fromkeys(
    ("v_f", "v_r", "b_f", "b_r"), (H,)
)
Step = Callable[..., tuple[Tensor, Tensor]]


def cell_of_004(W_z, W_r, W, b_z, b_r, b, h, x, times=torch.mul, r=None):
    """Lines 65 to 80, and 97 to 112: one cell, printed for the GRU and for the SRU."""
    z = sigmoid(torch.cat([h, x], 1) @ W_z.T + b_z)
    r = sigmoid(torch.cat([h, x], 1) @ W_r.T + b_r) if r is None else r
    n = tanh(torch.cat([times(r, h), x], 1) @ W.T + b)
    return times(1 - z, h) + times(z, n)


def sru_as_printed(h: Tensor, x: Tensor, r: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Lines 97 to 112: the new state, which is the output too."""
    h = cell_of_004(**draws(GRU_SHAPES), h=h, x=x, r=r)
    return h, h


def sru(c: Tensor, x: Tensor, r: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The published cell: the new cell state, and the output."""
    p = draws(SRU_SHAPES)
    f = sigmoid(x @ p["W_f"].T + p["v_f"] * c + p["b_f"])
    r = sigmoid(x @ p["W_r"].T + p["v_r"] * c + p["b_r"]) if r is None else r
    c = f * c + (1 - f) * (x @ p["W_u"].T)
    return c, r * c + (1 - r) * (x @ p["W_s"].T)


def another_sequence(dx: Tensor) -> Tensor:
    """Of the derivatives in x (T, N, D), those in the other sequences of the batch."""
    return dx[:, 1:]


def earlier_steps(dx: Tensor) -> Tensor:
    """Those in the earlier steps of the first sequence."""
    return dx[:-1, 0]


@check("004-04", printed=another_sequence, corrected=earlier_steps, fails="has no influence")
def is_related_to_the_last_output(related: Callable[[Tensor], Tensor]) -> None:
    """What is said to be related in time acts on the last output of the first sequence."""
    x = draw(T, N, D)
    output, _ = torch.nn.GRU(D, H).double()(x)
    (dx,) = torch.autograd.grad(output[-1, 0].sum(), x)
    assert related(dx).any(), f"{related.__name__.replace('_', ' ')} has no influence"


@check("004-07", printed=lambda: 0.5, corrected=lambda: 1.5, fails="changes by a factor of 1.0")
def makes_training_unstable(weight: Callable[[], float]) -> None:
    """With this recurrent weight a parameter's gradient grows without bound with the length."""

    def gradient(steps):
        u, h = torch.tensor(weight(), dtype=torch.float64, requires_grad=True), 0.0
        for _ in range(steps):
            h = u * h + 1.0
        return float(torch.autograd.grad(h, u)[0])

    factor = gradient(100) / gradient(50)
    assert factor > 1e6, f"from 50 to 100 steps the gradient changes by a factor of {factor:.1f}"


def kept_by_the_gates(b_z: float = 0.0) -> Tensor:
    """Length of the gradient in the state of 100 steps ago: gates at work, or z held at b_z."""
    p = {name: 0.4 * value for name, value in draws(GRU_SHAPES).items()}
    p["b_z"] = p["b_z"] + b_z
    h = first = draw(1, H)
    for t in range(100):
        h = cell_of_004(**p, h=h, x=draw(1, D, seed=t))
    return torch.autograd.grad(h[0, 0], first)[0].norm()


@check(
    "004-14",
    printed=kept_by_the_gates,
    corrected=partial(kept_by_the_gates, b_z=-12.0),  # the update gate stays shut: z < 1e-4
    fails="of the gradient is left",
)
def keeps_a_gradient(left: Callable[[], Tensor]) -> None:
    """Half of a gradient is left after 100 steps."""
    assert left() > 0.5, f"{float(left()):.0e} of the gradient is left after 100 steps"


def gradient_of_a_gated_cell(clip: Callable[[Tensor], Tensor] = lambda g: g) -> Tensor:
    """Gradient in the candidate's bias after 50 steps of one unit, all zero but its weight 8."""
    zero, W = torch.zeros(1, 2).double(), torch.tensor([[8.0, 0.0]]).double()
    h = x = no_bias = torch.zeros(1, 1).double()
    b = torch.zeros(1).double().requires_grad_()
    for _ in range(50):
        h = cell_of_004(zero, zero, W, no_bias, no_bias, b, h, x)
    return clip(torch.autograd.grad(h.sum(), b)[0])


@check(
    "004-15",
    printed=gradient_of_a_gated_cell,
    corrected=partial(gradient_of_a_gated_cell, lambda g: g * min(1.0, 1 / float(g.norm()))),
    fails="length 3e\\+19",
)
def stays_small(gradient: Callable[[], Tensor]) -> None:
    """The gradient is no longer than 1."""
    length = float(gradient().norm())
    assert length <= 1 + 1e-12, f"a gradient of length {length:.0e}"


def candidate(r: Tensor | float, h: Tensor) -> Tensor:
    """Line 74."""
    p = draws(GRU_SHAPES)
    return tanh(torch.cat([r * h, draw(N, D)], 1) @ p["W"].T + p["b"])


def hidden_state(r: Tensor | float, h: Tensor) -> Tensor:
    """Line 80."""
    z = sigmoid(draw(N, H, seed=1))
    return (1 - z) * h + z * candidate(r, h)


@check("004-18", printed=hidden_state, corrected=candidate, fails="depends on h")
def is_reset(form: Callable[..., Tensor]) -> None:
    """With a reset gate of 0 nothing of the old state is left in it."""
    h = draw(N, H)
    require_not_acting(form(0.0, h), {"h": h})


@check(
    "004-20",
    printed=partial(cell_of_004, times=torch.add),
    corrected=partial(cell_of_004, times=torch.mul),
    fails="no derivative in W_z, b_z$",
)
def uses_all_parameters(cell: Callable[..., Tensor]) -> None:
    """Every parameter acts on the new state."""
    p = draws(GRU_SHAPES)
    require_acting(cell(**p, h=draw(N, H), x=draw(N, D)), p)


@check("004-22", printed=sru_as_printed, corrected=sru, fails="depends on r")
def resets_no_state(step: Step) -> None:
    """The SRU's reset gate acts on the output and not on what the recurrence carries."""
    r = draw(N, H, seed=1)
    state, output = step(draw(N, H), draw(N, D), r)
    require_acting(output, {"r": r})
    require_not_acting(state, {"r": r})


@check("004-23", printed=sru_as_printed, corrected=sru, fails="depends on the old state")
def passes_the_input_by_the_cell(step: Step) -> None:
    """With a reset gate of 0 the output is the highway: the input, and nothing of the state."""
    before, x = draw(N, H), draw(N, D)
    state, output = step(before, x, torch.zeros(N, H).double())
    require_acting(state, {"the old state": before})
    require_acting(output, {"the input": x})
    require_not_acting(output, {"the old state": before})


@check("004-24", printed=sru_as_printed, corrected=sru, fails="derivatives between units")
def keeps_the_units_apart(step: Step) -> None:
    """No matrix multiplies the state: a unit's new state depends on no other unit's old one."""
    x = draw(1, D)
    J = torch.autograd.functional.jacobian(lambda h: step(h[None], x)[0][0], draw(H))
    between = (J - torch.diag(J.diag())).abs().max()
    assert between == 0, f"derivatives between units up to {float(between):.1g}"


def candidate_as_printed(x: Tensor) -> Tensor:
    """Line 106, as lines 275 and 292 have it."""
    p = draws(GRU_SHAPES)
    return tanh(torch.cat([draw(N, H), x], 1) @ p["W"].T + p["b"])


def candidate_of_the_sru(x: Tensor) -> Tensor:
    """The published one."""
    return x @ draws(SRU_SHAPES)["W_u"].T


@check(
    "004-25",
    printed=candidate_as_printed,
    corrected=candidate_of_the_sru,
    fails="does not leave \\[-1, 1\\]",
)
def grows_with_the_input(form: Callable[[Tensor], Tensor]) -> None:
    """An input a hundred times as large makes a candidate outside of [-1, 1]."""
    assert form(100 * draw(N, D)).abs().max() > 1, "the candidate does not leave [-1, 1]"


def numbers(layer: Layer) -> int:
    """How many parameters a layer has."""
    return sum(p.size for p in layer.init_params(np.random.default_rng(0)))


def has_fewer_parameters(pair: Callable[[], tuple[Layer, Layer]]) -> None:
    """The first of two layers, said to be the simpler one, has fewer parameters."""
    simpler, other = pair()
    few, many = numbers(simpler), numbers(other)
    names = type(simpler).__name__, type(other).__name__
    assert few < many, f"{names[0]} has {few} parameters, {names[1]} {many}"


check(
    "004-27",
    printed=lambda: (GRU(H, H), SRU(H, H)),
    corrected=lambda: (SRU(H, H), GRU(H, H)),
    fails="GRU has 180 parameters, SRU 95",
)(has_fewer_parameters)


def listing(mask_zero: bool = False):
    """Lines 135 to 142 in small; as printed, the embedding makes no mask."""
    import keras

    model = keras.Sequential()
    model.add(keras.layers.Embedding(input_dim=50, output_dim=D, mask_zero=mask_zero))
    model.add(keras.layers.GRU(H, return_sequences=True))
    model.add(keras.layers.GRU(H))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
    model.build((None, None))
    for k, weight in enumerate(model.trainable_weights):  # Keras would draw others each time
        weight.assign(np.random.default_rng(k).normal(size=weight.shape))
    return model


@check(
    "004-29",
    printed=listing,
    corrected=partial(listing, mask_zero=True),
    fails="log-odds of the padded text off by",
)
def does_not_read_the_padding(model) -> None:
    """A text of three words gets the same verdict whether 2 or 6 zeros fill it up."""
    model, text = model(), np.array([[7, 11, 3]])
    few, many = (model(np.pad(text, ((0, 0), (0, n)))).detach() for n in (2, 6))
    require_equal(many.logit(), few.logit(), "log-odds of the padded text", tolerance=1e-3)


def fit_as_printed(model) -> None:
    """Line 145."""
    model.fit(X_train, y_train, epochs=10, batch_size=64)


def fit_after_loading(model) -> None:
    """Texts as rows of word indices, here drawn at random, and their labels."""
    X_train, y_train = np.random.default_rng(0).integers(1, 50, (8, 6)), np.arange(8) % 2
    model.fit(X_train, y_train, epochs=1, batch_size=64, verbose=0)


@check(
    "004-30", printed=fit_as_printed, corrected=fit_after_loading, fails="X_train", error=NameError
)
def trains(fit) -> None:
    """The model of the listing is updated."""
    model = listing()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Keras's own call of NumPy
        fit(model)
    assert int(model.optimizer.iterations) == 1


@check(
    "004-31",
    printed=lambda: np.array([["a", "good", "film"], ["a", "bad", "film"]]),
    corrected=lambda: np.array([[1, 2, 4], [1, 3, 4]]),
    fails="Invalid dtype",
    error=ValueError,
)
def can_be_embedded(text) -> None:
    """The layer turns it into a vector for each word."""
    import keras

    require_shape(keras.layers.Embedding(input_dim=50, output_dim=D)(text()), (2, 3, D))


def sru_of_keras(units: int, **options):
    """Line 156. The message is cut before the place of Keras on this machine."""
    try:
        from keras.layers import SRU
    except ImportError as error:
        raise ImportError(error.msg.partition(" (")[0]) from None
    return SRU(units, **options)


def sru_for_keras(units: int, **options):
    """A cell of one's own, without the vectors v, in the layer that Keras has for that."""
    import keras

    class Cell(keras.layers.Layer):
        state_size = output_size = units

        def build(self, shape):
            self.W = self.add_weight(shape=(shape[-1], 4 * units))
            self.b = self.add_weight(shape=(2 * units,), initializer="zeros")

        def call(self, x, states):
            u, f, r, s = keras.ops.split(keras.ops.matmul(x, self.W), 4, axis=1)
            b_f, b_r = keras.ops.split(self.b, 2)
            f, r = keras.ops.sigmoid(f + b_f), keras.ops.sigmoid(r + b_r)
            c = f * states[0] + (1 - f) * u
            return r * c + (1 - r) * s, [c]

    return keras.layers.RNN(Cell(), **options)


@check(
    "004-33",
    printed=sru_of_keras,
    corrected=sru_for_keras,
    fails="cannot import name 'SRU'",
    error=ImportError,
)
def can_be_stacked(layer) -> None:
    """Two of them, as in lines 161 and 162, make a state of each text."""
    x = np.ones((N, T, D), np.float32)
    require_shape(layer(H)(layer(H, return_sequences=True)(x)), (N, H))


check(
    "004-36",
    printed=lambda: (GRU(H, H), ElmanRNN(H, H)),  # gates are added
    corrected=lambda: (SRU(H, H), GRU(H, H)),  # the state's matrices are dropped
    fails="GRU has 180 parameters, ElmanRNN 60",
)(has_fewer_parameters)


def count_with_a_gru(presses: int) -> Tensor:
    """Two gates and a bounded mean: the candidate at its largest, any update gate."""
    h = torch.zeros(H).double()
    for t in range(presses):
        z = sigmoid(draw(H, seed=t))
        h = (1 - z) * h + z * torch.ones(H)
    return h


def count_with_the_lstm_of_1997(presses: int) -> Tensor:
    """Two gates and a sum: the input gate open, the output gate not needed for the cell."""
    c = torch.zeros(H).double()
    for _ in range(presses):
        i, g = sigmoid(torch.tensor(1e3)), tanh(torch.tensor(1e3))
        c = c + i * g
    return c


@check(
    "004-38",
    printed=count_with_a_gru,
    corrected=count_with_the_lstm_of_1997,
    fails="no further than 1 at",
)
def counts_with_two_gates(count: Callable[[int], Tensor]) -> None:
    """After 100 presses the state has come to 100."""
    reached = float(count(100).detach().max())
    assert abs(reached - 100) < 1e-9, f"two gates, and no further than {reached:.3g} at 100"


@check("004-43", printed=lambda: 1.0, corrected=lambda: 0.0, fails="depends on h")
def resets_fully(value: Callable[[], float]) -> None:
    """The reset gate's value of the highest degree of resetting hides the old state."""
    h = draw(N, H)
    require_not_acting(candidate(value(), h), {"h": h})


def sum_of_gates(z: Tensor, r: Tensor, n: Tensor, h: Tensor) -> Tensor:
    """Line 246: a linear combination of both gates and the candidate, with any coefficients."""
    return sum(draw(H, seed=k) * value for k, value in enumerate((z, r, n)))


def mean_of_states(z: Tensor, r: Tensor, n: Tensor, h: Tensor) -> Tensor:
    """Line 265."""
    return (1 - z) * h + z * n


@check("004-44", printed=sum_of_gates, corrected=mean_of_states, fails="no derivative in h")
def combines_old_and_new(form: Callable[..., Tensor]) -> None:
    """With the gates and the candidate given, the state reads the old state and not r."""
    given = {name: draw(N, H, seed=k) for k, name in enumerate("zrnh")}
    value = form(**given)
    require_acting(value, {name: given[name] for name in "znh"})
    require_not_acting(value, {"r": given["r"]})


@check(
    "004-45",
    printed=lambda: GRU(D, H, reset="before"),
    corrected=lambda: SRU(D, H),
    fails="reaches 4 others in one step",
)
def computes_as_an_sru(layer: Callable[[], Layer]) -> None:
    """In one step a change of one unit's state reaches the state of no other unit."""
    cell, rng = layer(), np.random.default_rng(0)
    params, x = cell.init_params(rng), rng.normal(size=(1, D))
    state = cell.state_type(*(rng.normal(size=(1, H)) for _ in cell.state_type._fields))
    changed = state._replace(**{state._fields[-1]: state[-1] + np.eye(H)[:1]})
    after, other = (cell.step(params, x, s)[-1] for s in (state, changed))
    reached = np.count_nonzero(after != other) - 1
    assert reached == 0, f"a change of one unit reaches {reached} others in one step"
