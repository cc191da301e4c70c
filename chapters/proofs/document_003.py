"""Checks of document 003: the LSTM beside the GRU.

Where they are not the question, indices and primes are mended. The cells that are right, ``lstm``
and ``gru``, are those of ``rnn_ref``, with the document's one matrix on [h, x].
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np
import torch
from torch import Tensor, sigmoid, tanh

from rnn_ref import GRU, LSTM

from .ask import (
    D,
    H,
    N,
    T,
    draw,
    draws,
    require_acting,
    require_equal,
    require_gate,
    require_not_acting,
    require_shape,
)
from .registry import check

Params = Mapping[str, Tensor]
K = 7  # classes
SHUT, OPEN = torch.full((H,), -1e3).double(), torch.full((H,), 1e3).double()  # biases of a gate


def weights(letters: str) -> dict[str, Tensor]:
    """A matrix for [h, x] and a bias for each letter, as the document writes its blocks."""
    return draws({f"W_{k}": (H, H + D) for k in letters} | {f"b_{k}": (H,) for k in letters})


def affine(p: Params, k: str, h: Tensor, x: Tensor) -> Tensor:
    """W_k [h, x] + b_k."""
    return torch.cat([h, x], dim=1) @ p[f"W_{k}"].T + p[f"b_{k}"]


def lstm(p: Params, x: Tensor, h: Tensor, C: Tensor) -> tuple[Tensor, Tensor]:
    """The right cell, in the document's letters: the new C and h."""
    i, f, o = (sigmoid(affine(p, k, h, x)) for k in "ifo")
    C = f * C + i * tanh(affine(p, "g", h, x))
    return C, o * tanh(C)


def gru(p: Params, x: Tensor, h: Tensor) -> Tensor:
    """The right cell; the update gate writes, as in line 95."""
    z, r = (sigmoid(affine(p, k, h, x)) for k in "zr")
    return (1 - z) * h + z * tanh(affine(p, "h", r * h, x))


def inputs() -> dict[str, Tensor]:
    """The input, the hidden state and the cell state of one step."""
    return {"x": draw(N, D), "h": draw(N, H), "C": draw(N, H, seed=1)}


def sequence(steps: int = T, features: int = D) -> list[Tensor]:
    """The inputs of some steps."""
    return [draw(N, features, seed=t) for t in range(steps)]


def states(xs: list[Tensor]) -> Tensor:
    """The states of an Elman layer at all steps, for any number of features and steps."""
    W, U, h = draw(H, xs[0].shape[1]), draw(H, H), draw(N, H)
    return torch.stack([h := tanh(x @ W.T + h @ U.T) for x in xs])


# 003-01: the previous output as the current input


def output_as_input(xs, h, W, U, V):
    """Lines 7 and 28: from the second step on, the output takes the place of the input."""
    x = xs[0]
    for _ in xs:
        h = tanh(x @ W.T + h @ U.T)
        x = h @ V.T
    return h


def input_of_its_own(xs, h, W, U, V):
    """Each step reads its input and the state."""
    for x in xs:
        h = tanh(x @ W.T + h @ U.T)
    return h


@check(
    "003-01",
    printed=output_as_input,
    corrected=input_of_its_own,
    fails="no derivative in x_2, x_3",
)
def every_input_is_read(run):
    """The last state must depend on the input of every step."""
    xs = sequence()
    h = run(xs, draw(N, H), draw(H, D), draw(H, H), draw(D, H))
    require_acting(h, {f"x_{t}": x for t, x in enumerate(xs, 1)})


# 003-04: the GRU connects the hidden nodes directly


def direct_connection(p, x, h):
    """Line 19: the hidden nodes are connected directly, without gates."""
    return tanh(affine(p, "h", h, x))


@check("003-04", printed=direct_connection, corrected=gru, fails="no derivative in W_r, W_z")
def gates_act(cell):
    """The parameters of both gates must act on the new state."""
    p = weights("rzh")
    require_acting(cell(p, draw(N, D), draw(N, H)), p)


# 003-10 to 003-15: kinds of RNN


def one_result(xs):
    """Line 28: one output in the end."""
    return states(xs)[-1]


@check("003-10", printed=one_result, corrected=states, fails=r"shape \(2, 5\), not \(3, 2, 5\)")
def an_output_at_each_step(outputs):
    """A map from sequence to sequence, as in line 31, needs an output at each step."""
    require_shape(outputs(sequence()), (T, N, H))


def types_as_printed(features, lengths_in, lengths_out):
    """Lines 28 to 31: the types by the number of features and by the lengths."""
    types = {"one-dimensional" if features == 1 else "two-dimensional"}
    return types | {"variable-length"} if len(set(lengths_in)) > 1 else types


def task_shapes(features, lengths_in, lengths_out):
    """The types by what goes in and comes out."""
    if set(lengths_out) == {1}:
        return {"many-to-one"}
    return {"aligned" if lengths_in == lengths_out else "encoder-decoder"}


@check("003-11", printed=types_as_printed, corrected=task_shapes, fails="variable-length at once")
def every_task_has_one_type(types):
    """Basic types must exclude each other, whatever the features and lengths of two sequences."""
    for features, lengths in product((1, D), [(3, 3), (3, 7)]):
        for lengths_out in [(1, 1), lengths, (2, 5)]:
            found = sorted(types(features, lengths, lengths_out))
            assert len(found) == 1, f"{' and '.join(found)} at once"


def forecasts_by_features(xs):
    """Line 29: one feature a step makes the model sequence-to-scalar."""
    outputs = states(xs) @ draw(H)
    return outputs[-1] if xs[0].shape[1] == 1 else outputs


def forecasts_at_each_step(xs):
    """What comes out does not depend on the number of features."""
    return states(xs) @ draw(H)


@check(
    "003-12",
    printed=forecasts_by_features,
    corrected=forecasts_at_each_step,
    fails=r"shape \(2,\), not \(3, 2\)",
)
def one_feature_allows_a_sequence(forecasts):
    """A forecast at each step must be possible for one feature as for several."""
    for features in (D, 1):
        require_shape(forecasts(sequence(T, features)), (T, N))


def sequence_to_sequence(xs):
    """Lines 30 and 31: class scores at each step."""
    return states(xs) @ draw(H, K)


def many_to_one(xs):
    """Class scores from the last state."""
    return states(xs)[-1] @ draw(H, K)


@check(
    "003-13",
    printed=sequence_to_sequence,
    corrected=many_to_one,
    fails=r"shape \(28, 2, 7\), not \(2, 7\)",
)
def an_image_has_one_label(scores):
    """An image, read by its 28 rows, must get one vector of class scores."""
    require_shape(scores(sequence(28, 28)), (N, K))


@check(
    "003-15",
    printed=sequence_to_sequence,
    corrected=many_to_one,
    fails=r"shape \(3, 2, 7\), not \(2, 7\)",
)
def texts_of_any_length_get_one_label(scores):
    """Texts of 3 and of 8 words must each get one vector of class scores."""
    for words in (3, 8):
        require_shape(scores(sequence(words)), (N, K))


# 003-16: the memory cell as a gate


def four_gates(p, x, h, C):
    """Lines 35 and 46: the memory cell among the gates."""
    return three_gates(p, x, h, C) | {"memory cell": lstm(p, x, h, C)[0]}


def three_gates(p, x, h, C):
    """The gates of an LSTM."""
    names = {"i": "input gate", "f": "forget gate", "o": "output gate"}
    return {name: sigmoid(affine(p, k, h, x)) for k, name in names.items()}


@check("003-16", printed=four_gates, corrected=three_gates, fails="memory cell not in")
def gates_are_fractions(gates):
    """What is called a gate must lie between 0 and 1."""
    for name, value in gates(weights("ifgo"), **inputs()).items():
        require_gate(value, name)


# 003-17: the output gate works for the next step


def gate_of_the_step_before(o, o_before, C):
    """Line 35: the gate decides for the next step."""
    return o_before * tanh(C)


def gate_of_the_same_step(o, o_before, C):
    """The gate decides for its own step."""
    return o * tanh(C)


@check(
    "003-17",
    printed=gate_of_the_step_before,
    corrected=gate_of_the_same_step,
    fails="no derivative in o_t",
)
def gate_acts_on_its_own_step(hidden):
    """The output gate must act on the hidden state of its own step."""
    o, o_before, C = (draw(N, H, seed=k) for k in range(3))
    require_acting(hidden(o, o_before, C), {"o_t": o})


# 003-18: fewer parameters because no cell state is kept


def count_by_cell_state(layer):
    """Line 38: fewer parameters because no cell state is kept."""
    blocks = 4 if "c" in layer.state_type._fields else 3
    return blocks * H * (D + H + 2)


def count_by_blocks(layer):
    """Each gate and the candidate have a block of parameters."""
    return layer.gates * H * (D + H + 2)


@check("003-18", printed=count_by_cell_state, corrected=count_by_blocks, fails="not 165")
def counts_the_parameters(count):
    """The count must hold for the LSTM with coupled gates too, which keeps a cell state."""
    for layer in LSTM(D, H), GRU(D, H), LSTM(D, H, coupled=True):
        params = layer.init_params(np.random.default_rng(0))
        size = sum(p.size for p in params if p is not None)
        assert count(layer) == size, f"{count(layer)} parameters of {layer}, not {size}"


# 003-21: the GRU contains the cell state


def state_of_both(h, C):
    """Lines 43 and 45: LSTM and GRU contain both."""
    return {"h": h, "C": C}


def state_of_the_gru(h, C):
    """The GRU has one state."""
    return {"h": h}


@check("003-21", printed=state_of_both, corrected=state_of_the_gru, fails="no derivative in C")
def state_acts(state):
    """All that is called the state of a GRU must act on the next state."""
    x, h, C = inputs().values()
    require_acting(gru(weights("rzh"), x, h), state(h, C))


# 003-23, 003-28: indices


def argument_with_i(p, h, x, t):
    """Lines 53 and 70: the state of step i - 1 beside what has the index t."""
    return affine(p, "f", h[i - 1], x[t])


def argument_with_t(p, h, x, t):
    """One index."""
    return affine(p, "f", h[t - 1], x[t])


@check(
    "003-23",
    printed=argument_with_i,
    corrected=argument_with_t,
    error=NameError,
    fails="'i' is not defined",
)
def step_fixes_the_index(argument):
    """The number of the step must suffice to find the previous state."""
    h, x = draws({"0": (N, H), "1": (N, H)}), draws({"0": (N, D), "1": (N, D)})
    h, x = list(h.values()), list(x.values())
    require_acting(argument(weights("f"), h, x, t=1), {"h_0": h[0]})


def argument_without_a_step(p, h, x_t):
    """Lines 53 and 70: the input without an index."""
    return affine(p, "f", h, x)


def argument_at_the_step(p, h, x_t):
    """The input of the step."""
    return affine(p, "f", h, x_t)


@check(
    "003-28",
    printed=argument_without_a_step,
    corrected=argument_at_the_step,
    error=NameError,
    fails="'x' is not defined",
)
def reads_the_input_of_the_step(argument):
    """The input of the step, which the document introduces as x_t, must act."""
    x_t = draw(N, D)
    require_acting(argument(weights("f"), draw(N, H), x_t), {"x_t": x_t})


# 003-24, 003-36: symbols that no formula sets


def hidden_in_two_letters(p, xs, h_0, C_0):
    """Lines 70 to 78: h is read and H is set; primes left out."""
    h, H, C = {0: h_0}, {}, {0: C_0}
    for t, x in enumerate(xs, 1):
        C[t], H[t] = lstm(p, x, h[t - 1], C[t - 1])
    return H[t]


def hidden_in_primes(p, xs, h_0, C_0):
    """Lines 70 to 78: C and h are read, and C' and h' are set; H written as h."""
    h, h_prime, C, C_prime = {0: h_0}, {}, {0: C_0}, {}
    for t, x in enumerate(xs, 1):
        C_prime[t], h_prime[t] = lstm(p, x, h[t - 1], C[t - 1])
    return h_prime[t]


def hidden_closed(p, xs, h_0, C_0):
    """What is read is what has been set."""
    h, C = {0: h_0}, {0: C_0}
    for t, x in enumerate(xs, 1):
        C[t], h[t] = lstm(p, x, h[t - 1], C[t - 1])
    return h[t]


@check(
    "003-24",
    printed=hidden_in_two_letters,
    corrected=hidden_closed,
    error=KeyError,
    fails="KeyError: 1",
)
@check(
    "003-36", printed=hidden_in_primes, corrected=hidden_closed, error=KeyError, fails="KeyError: 1"
)
def recursion_closes(run):
    """Every state that a step reads must have been set by the step before."""
    xs, h, C = sequence(), draw(N, H), draw(N, H, seed=1)
    given = {"x_1": xs[0], "h_0": h, "C_0": C}
    require_acting(run(weights("ifgo"), xs, h, C), given)


# 003-25, 003-26: what the parts of an LSTM are


def parts_as_printed():
    """Line 50."""
    return ["input gate", "forget gate", "output gate"]


def four_blocks():
    """The affine blocks of an LSTM."""
    return ["input gate", "forget gate", "candidate", "output gate"]


@check("003-25", printed=parts_as_printed, corrected=four_blocks, fails="not .15, 4.")
def parts_use_all_weights(parts):
    """The parts, with a matrix each, must account for every row of an LSTM's input weights."""
    params = LSTM(D, H).init_params(np.random.default_rng(0))
    require_shape(params.weight_ih, (len(parts()) * H, D))


def input_gate_of_three_layers(p, x, h):
    """Line 52: three fully connected layers."""
    return torch.cat([affine(p, k, h, x) for k in "ifo"], dim=1)


def input_gate(p, x, h):
    """One affine map and a sigmoid."""
    return sigmoid(affine(p, "i", h, x))


@check(
    "003-26",
    printed=input_gate_of_three_layers,
    corrected=input_gate,
    fails=r"shape \(2, 15\), not \(2, 5\)",
)
def gates_the_candidate(gate):
    """The input gate must have one entry for each entry of the candidate that it multiplies."""
    p = weights("ifgo")
    x, h, _ = inputs().values()
    require_shape(gate(p, x, h), tanh(affine(p, "g", h, x)).shape)


# 003-29, 003-32: gates with a tanh


def forget_as_printed(p, x, h):
    """Line 53."""
    return tanh(affine(p, "f", h, x))


def forget_gate(p, x, h):
    """What belongs there."""
    return sigmoid(affine(p, "f", h, x))


def output_as_printed(p, x, h):
    """Line 54."""
    return tanh(affine(p, "h", h, x))


def output_gate(p, x, h):
    """What belongs there."""
    return sigmoid(affine(p, "o", h, x))


@check("003-29", printed=forget_as_printed, corrected=forget_gate, fails=r"gate not in \(0, 1\)")
@check("003-32", printed=output_as_printed, corrected=output_gate, fails=r"gate not in \(0, 1\)")
def gate_is_a_fraction(gate):
    """A gate must lie between 0 and 1, so that it cannot turn a sign."""
    x, h, _ = inputs().values()
    require_gate(gate(weights("fho"), x, h), "gate")


# 003-30, 003-31, 003-38: the formula of the cell, lines 70 and 71


def cell_as_printed(p, x, h, C):
    """Lines 70 and 71."""
    written = tanh(affine(p, "f", h, x)) * sigmoid(affine(p, "i", h, x))
    return written + sigmoid(affine(p, "g", h, x)) * C


def cell_with_its_letters(p, x, h, C):
    """The same with f at the forget gate and g at the candidate."""
    written = tanh(affine(p, "g", h, x)) * sigmoid(affine(p, "i", h, x))
    return written + sigmoid(affine(p, "f", h, x)) * C


def both_called_C_prime(p, x, h, C):
    """Line 53 and lines 70 and 71: two formulas for one symbol."""
    return [("C'", tanh(affine(p, "f", h, x))), ("C'", cell_as_printed(p, x, h, C))]


def named_apart(p, x, h, C):
    """The same formulas, each with a name of its own."""
    return [("candidate", tanh(affine(p, "f", h, x))), ("C", cell_as_printed(p, x, h, C))]


@check("003-30", printed=both_called_C_prime, corrected=named_apart, fails="C' off by")
def a_symbol_has_one_value(definitions):
    """Two definitions of one symbol must agree."""
    (first, value), (second, other) = definitions(weights("fig"), **inputs())
    if first == second:
        require_equal(value, other, first)


@check("003-31", printed=cell_as_printed, corrected=cell_with_its_letters, fails="C off by")
def the_bias_b_f_keeps(cell):
    """With the forget gate's bias large and the input gate's very negative, C must be kept."""
    given = inputs()
    require_equal(cell(weights("fig") | {"b_f": OPEN, "b_i": SHUT}, **given), given["C"], "C")


def formula_as_previous_state(p, x, h, C):
    """Line 73: what the formula gives is called a state of the step before."""
    return cell_with_its_letters(p, x, h, C)


def argument_as_previous_state(p, x, h, C):
    """The state of the step before is what the formula reads."""
    return C


@check(
    "003-38",
    printed=formula_as_previous_state,
    corrected=argument_as_previous_state,
    fails="depends on x_t",
)
def previous_state_precedes_the_input(previous):
    """A state of the step before cannot depend on the input of this one."""
    given = inputs()
    require_not_acting(previous(weights("fig"), **given), {"x_t": given["x"]})


# 003-33, 003-34: the steps of lines 61 to 65


def gates_computed_twice(p, x, h, C):
    """Lines 61 to 65, with weights I, F, O for the second time."""
    activations = [sigmoid(affine(p, k, h, x)) for k in "ifo"]  # steps a and b
    i_c, f_c, o_c = (sigmoid(affine(p, k, h, x)) for k in "IFO")  # step c
    C = f_c * C + i_c * tanh(affine(p, "g", h, x))
    return o_c * tanh(C)


def hidden(p, x, h, C):
    """The gates are computed once."""
    return lstm(p, x, h, C)[1]


@check("003-33", printed=gates_computed_twice, corrected=hidden, fails="no derivative in W_i, W_f")
def gates_of_step_b_act(step):
    """The gates that steps a and b compute must act on the new state."""
    p = weights("ifogIFO")
    require_acting(step(p, **inputs()), {f"W_{k}": p[f"W_{k}"] for k in "ifo"})


def hidden_from_a_candidate(p, x, h, C):
    """Lines 62, 64 and 65: both states have a candidate."""
    i, f, o = (sigmoid(affine(p, k, h, x)) for k in "ifo")
    C_new, h_new = tanh(affine(p, "g", h, x)), tanh(affine(p, "h", h, x))  # step d
    C, h = f * C + i * C_new, o * h_new
    return h


@check(
    "003-34", printed=hidden_from_a_candidate, corrected=hidden, fails="no derivative in W_g, b_g"
)
def candidate_of_the_cell_shows(step):
    """What a step writes into the cell must show in the hidden state of the same step."""
    p = weights("ifogh")
    require_acting(step(p, **inputs()), {k: p[k] for k in ("W_g", "b_g")})


# 003-39, 003-40: the formula of the hidden state, line 76


def output_gate_of_76(p, x, h):
    """Line 76, the second factor."""
    return sigmoid(affine(p, "o", sigmoid(affine(p, "i", h, x)), x))


@check("003-39", printed=output_gate_of_76, corrected=output_gate, fails="no derivative in h")
def output_gate_reads_the_state(gate):
    """The output gate must see the previous state, also where the input gate does not."""
    p = weights("io")
    x, h, _ = inputs().values()
    require_acting(gate(p | {"W_i": torch.zeros_like(p["W_i"])}, x, h), {"h": h})


def hidden_of_76(p, xs, h, C):
    """Lines 70, 71 and 76 over some steps."""
    for x in xs:
        i = sigmoid(affine(p, "i", h, x))
        C = cell_as_printed(p, x, h, C)
        h = tanh(affine(p, "h", i, x)) * sigmoid(affine(p, "o", i, x))
    return h


def hidden_of_the_lstm(p, xs, h, C):
    """The right cell over some steps."""
    for x in xs:
        C, h = lstm(p, x, h, C)
    return h


@check(
    "003-40",
    printed=hidden_of_76,
    corrected=hidden_of_the_lstm,
    fails="no derivative in W_f, W_g, b_f, b_g, C_0",
)
def memory_is_read(run):
    """The cell state and the blocks that serve it must act on the hidden state."""
    p, C = weights("figoh"), draw(N, H, seed=1)
    memory = {k: p[k] for k in ("W_f", "W_g", "b_f", "b_g")} | {"C_0": C}
    require_acting(run(p, sequence(), draw(N, H), C), memory)


# 003-41, 003-42: what line 81 says that a GRU is


def lstm_without_C(p, x, h):
    """Line 81: the LSTM with nothing kept in C, so that no forget gate is left."""
    i, o = sigmoid(affine(p, "i", h, x)), sigmoid(affine(p, "o", h, x))
    return o * tanh(i * tanh(affine(p, "g", h, x)))


@check("003-41", printed=lstm_without_C, corrected=gru, fails="no setting of the gates")
def state_can_be_carried(cell):
    """Some setting of the gates' biases must hand on the state unchanged."""
    p = weights("iogrzh")
    x, h, _ = inputs().values()
    settings = product((SHUT, OPEN), repeat=4)
    results = [
        cell(p | dict(zip(("b_i", "b_o", "b_r", "b_z"), s, strict=True)), x, h) for s in settings
    ]
    assert any(torch.allclose(r, h) for r in results), "no setting of the gates carries the state"


def gru_without_forgetting(p, x, h):
    """Line 81: no gate at the old state."""
    z, r = (sigmoid(affine(p, k, h, x)) for k in "zr")
    return h + z * tanh(affine(p, "h", r * h, x))


@check("003-42", printed=gru_without_forgetting, corrected=gru, fails="depends on h")
def state_can_be_forgotten(cell):
    """With the update gate at 1 and the reset gate at 0, nothing of the old state may remain."""
    x, h, _ = inputs().values()
    require_not_acting(cell(weights("rzh") | {"b_z": OPEN, "b_r": SHUT}, x, h), {"h": h})


# 003-45 to 003-48: the formula of the GRU, lines 95 and 96


def candidate_of_95(p, x, h):
    """Line 95, the tanh."""
    return tanh(affine(p, "z", h, x))


def candidate_with_reset(p, x, h):
    """The reset gate on the state that the candidate sees."""
    return tanh(affine(p, "h", sigmoid(affine(p, "r", h, x)) * h, x))


@check("003-45", printed=candidate_of_95, corrected=candidate_with_reset, fails="depends on h")
def candidate_can_be_reset(candidate):
    """With the reset gate at 0 the candidate must not see the old state."""
    x, h, _ = inputs().values()
    require_not_acting(candidate(weights("rzh") | {"b_r": SHUT}, x, h), {"h": h})


def blocks_as_printed(p, x, h):
    """Lines 95 and 96: the blocks by the letters of their weights."""
    r, n, s = (affine(p, k, h, x) for k in "rzh")
    return {"r": sigmoid(r), "z": tanh(n), "h": sigmoid(s)}


def blocks_of_the_gru(p, x, h):
    """The blocks with the letters of the literature."""
    r, z = (sigmoid(affine(p, k, h, x)) for k in "rz")
    return {"r": r, "z": z, "h": tanh(affine(p, "h", r * h, x))}


@check("003-46", printed=blocks_as_printed, corrected=blocks_of_the_gru, fails="z not in")
def letters_name_their_block(blocks):
    """The gates r and z must lie between 0 and 1, and the candidate must take both signs."""
    x, h, _ = inputs().values()
    found = blocks(weights("rzh"), x, h)
    require_gate(found["r"], "r")
    require_gate(found["z"], "z")
    assert (found["h"] < 0).any() and (found["h"] > 0).any(), "candidate of one sign"


def update_as_printed(p, x, h):
    """Lines 95 and 96."""
    r, n, s = (affine(p, k, h, x) for k in "rzh")
    return sigmoid(r) * tanh(n) + ((1 - sigmoid(r)) * C) * sigmoid(s)


def update_with_second_gate(p, x, h):
    """The same with h in the place of C."""
    r, n, s = (affine(p, k, h, x) for k in "rzh")
    return sigmoid(r) * tanh(n) + ((1 - sigmoid(r)) * h) * sigmoid(s)


def update_of_the_gru(p, x, h):
    """The same without the second gate."""
    r, n, _ = (affine(p, k, h, x) for k in "rzh")
    return sigmoid(r) * tanh(n) + (1 - sigmoid(r)) * h


@check(
    "003-47",
    printed=update_as_printed,
    corrected=update_with_second_gate,
    error=NameError,
    fails="'C' is not defined",
)
def old_state_has_a_direct_path(update):
    """Where the blocks do not see the old state (W = 0), it must still act on the new one."""
    p = {k: v if k[0] == "b" else torch.zeros_like(v) for k, v in weights("rzh").items()}
    x, h, _ = inputs().values()
    require_acting(update(p, x, h), {"h": h})


@check("003-48", printed=update_with_second_gate, corrected=update_of_the_gru, fails="state off by")
def shut_gate_keeps_the_state(update):
    """With the gate that writes at 0 the state must stay what it was."""
    x, h, _ = inputs().values()
    require_equal(update(weights("rzh") | {"b_r": SHUT}, x, h), h, "state")
