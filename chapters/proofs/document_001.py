"""Checks of document 001: the GRU beside the RNN, with TensorFlow 1 code.

The faults of the code that have to do with shapes, names and derivatives are shown in PyTorch, one
by one, everything around the one at hand mended; those of TensorFlow itself in TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnn_ref import GRU, LSTM, SRU

from .ask import D, H, N, T, call, draw, draws, require_acting, require_not_acting, require_shape
from .registry import check


def get_variable(name: str, *shape: int) -> Tensor:
    """Random numbers, the same whenever the same name and shape are asked for."""
    return draw(*shape, seed=1 + sum(name.encode()))


# Lines 19 to 36: the subscripts


def subscripts_as_printed(W, x, h):
    """Lines 19, 20, 34 and 36: W(a, b) is the matrix with the subscript ab, and n the candidate."""
    return W("x", "h") @ x, W("h", "y") @ h, W("z", "x") @ x, W("x", "n") @ x, W("n", "h") @ h


def target_first(W, x, h):
    """The target's letter always before the source's."""
    return W("h", "x") @ x, W("y", "h") @ h, W("z", "x") @ x, W("n", "x") @ x, W("n", "h") @ h


@check("001-05", printed=subscripts_as_printed, corrected=target_first, fails="fits all products")
def one_order_of_the_subscripts(products):
    """A matrix (a, b), or always (b, a), must fit the vector that it multiplies."""
    sizes = {"x": D, "h": H, "n": H, "z": H, "y": 3}
    for order in (1, -1):

        def weight(*subscript: str, order: int = order) -> Tensor:
            return draw(*[sizes[letter] for letter in subscript][::order])

        try:
            return products(weight, draw(D), draw(H))
        except RuntimeError:
            continue
    raise AssertionError("neither order of the subscripts fits all products")


# Line 36: the candidate, and what line 55 says of it


def candidate_elementwise(W, U, b, x, h, r):
    r"""Line 36 with the sign :math:`\circ` as what it means elsewhere, the elementwise product."""
    return torch.tanh(W @ x + U * (r * h) + b)


def candidate(W, U, b, x, h, r):
    """The reset gate on the state, then the matrix product."""
    return torch.tanh(W @ x + U @ (r * h) + b)


def candidate_of_the_gated_input(W, U, b, x, h, r):
    """Line 55 on the reset gate: it keeps or drops the input."""
    return torch.tanh(r * (W @ x) + U @ h + b)


def candidate_of_the_input(W, U, b, x, h, r):
    """Line 55 on the candidate: it stores the input of this step."""
    return torch.tanh(W @ x + b)


def given(r: Tensor) -> dict[str, Tensor]:
    """What a candidate is computed from, with the reset gate ``r``."""
    drawn = draws({"W": (H, D), "U": (H, H), "b": (H,), "x": (D,), "h": (H,)})
    return drawn | {"r": r}


@check("001-06", printed=candidate_elementwise, corrected=candidate, fails=r"shape \(5, 5\)")
def is_a_vector(form):
    """The candidate has one entry for each unit."""
    require_shape(form(**given(draw(H))), (H,))


@check("001-11", printed=candidate_of_the_gated_input, corrected=candidate, fails="derivative in x")
def shut_reset_gate_drops_the_state(form):
    """Where r is 0, the input acts on the candidate and the old state does not."""
    inputs = given(torch.zeros(H, dtype=torch.float64))
    value = form(**inputs)
    require_acting(value, {"x": inputs["x"]})
    require_not_acting(value, {"h": inputs["h"]})


@check("001-12", printed=candidate_of_the_input, corrected=candidate, fails="no derivative in h, r")
def holds_input_and_state(form):
    """The input acts on the candidate, and so do the old state and the reset gate."""
    inputs = given(draw(H))
    require_acting(form(**inputs), {name: inputs[name] for name in "xhr"})


def product_with_the_old_state(z, n, h):
    """Line 55: the candidate and the old state, joined by the elementwise product."""
    return n * h


def average_with_the_old_state(z, n, h):
    """Line 37."""
    return (1 - z) * n + z * h


@check(
    "001-13",
    printed=product_with_the_old_state,
    corrected=average_with_the_old_state,
    fails="outside",
)
def lies_between(join):
    """Each entry of the new state lies between those of the candidate and of the old state."""
    z, n, h = torch.sigmoid(draw(H)), torch.tanh(draw(H, seed=1)), torch.tanh(draw(H, seed=2))
    new = join(z, n, h)
    between = (new >= torch.minimum(n, h)) & (new <= torch.maximum(n, h))
    assert between.all(), "entries of the new state outside of candidate and old state"


# Line 49: what vanishes


def in_the_weights(loss, U, h_0):
    """The gradient of the network."""
    return torch.autograd.grad(loss, U)[0]


def in_the_first_state(loss, U, h_0):
    """The part of the gradient that comes from far: it passes through the first state."""
    return torch.autograd.grad(loss, h_0)[0]


@check("001-10", printed=in_the_weights, corrected=in_the_first_state, fails="does not vanish")
def vanishes_over_many_steps(gradient):
    """In a plain RNN that contracts, it is a million times less after 60 steps than after 5."""

    def size(steps: int) -> Tensor:
        U, h_0 = draw(H, H), draw(H)
        state, shrink = h_0, 0.6 / torch.linalg.matrix_norm(U.detach(), 2)
        for k in range(steps):
            state = torch.tanh(shrink * U @ state + draw(H, seed=10 + k))
        return gradient((draw(H, seed=1) * state).sum(), U, h_0).norm()

    assert size(60) < 1e-6 * size(5), "the gradient does not vanish"


# Lines 67 to 85: the cell


def cell_as_printed(input_size, hidden_size):
    """Lines 67, 69, 74 and 83, as far as it gets."""
    W, b = get_variable("W", input_size, hidden_size), get_variable("b", hidden_size)
    z = torch.sigmoid(inputs @ W + b)
    return z * previous_hidden


def cell_with_arguments(input_size, hidden_size, inputs, previous_hidden):
    """The same lines of a cell that is given what it reads."""
    W, b = get_variable("W", input_size, hidden_size), get_variable("b", hidden_size)
    z = torch.sigmoid(inputs @ W + b)
    return z * previous_hidden


@check(
    "001-18",
    printed=cell_as_printed,
    corrected=cell_with_arguments,
    error=NameError,
    fails="name 'inputs' is not defined",
)
def has_what_it_reads(cell):
    """The cell runs on what its arguments give it, and depends on input and state."""
    read = {"inputs": draw(N, D), "previous_hidden": draw(N, H)}
    require_acting(call(cell, input_size=D, hidden_size=H, **read), read)


def gates_of_one_set(x, h):
    """Lines 69 to 77: one W, one U and one b. Here U multiplies the state."""
    W, U, b = get_variable("W", D, H), get_variable("U", H, H), get_variable("b", H)
    z = torch.sigmoid(x @ W + h @ U + b)
    r = torch.sigmoid(x @ W + h @ U + b)
    return z, r


def gates_of_two_sets(x, h):
    """One set for each gate."""
    z, r = (
        torch.sigmoid(
            x @ get_variable(f"W_{k}", D, H)
            + h @ get_variable(f"U_{k}", H, H)
            + get_variable(f"b_{k}", H)
        )
        for k in "zr"
    )
    return z, r


@check("001-20", printed=gates_of_one_set, corrected=gates_of_two_sets, fails="are the same")
def differ(gates):
    """The update gate is not the reset gate."""
    z, r = gates(draw(N, D), draw(N, H))
    assert not torch.equal(z, r), "z and r are the same numbers"


def recurrent_weight_as_printed(input_size, hidden_size):
    """Line 70."""
    return get_variable("U", input_size, hidden_size)


def recurrent_weight_of_the_state(input_size, hidden_size):
    """A row for each unit of the state that it multiplies."""
    return get_variable("U", hidden_size, hidden_size)


@check(
    "001-21",
    printed=recurrent_weight_as_printed,
    corrected=recurrent_weight_of_the_state,
    error=RuntimeError,
    fails="shapes cannot be multiplied",
)
def multiplies_the_state(weight):
    """The state times U is a state again."""
    require_shape(draw(N, H) @ weight(input_size=D, hidden_size=H), (N, H))


def gate_of_the_input(inputs, previous_hidden):
    """Lines 74 and 77."""
    W, U, b = get_variable("W", D, H), get_variable("U", D, H), get_variable("b", H)
    return torch.sigmoid(inputs @ W + inputs @ U + b)


def gate_of_input_and_state(inputs, previous_hidden):
    """Lines 34 and 35 for a batch of rows."""
    W, U, b = get_variable("W", D, H), get_variable("U", H, H), get_variable("b", H)
    return torch.sigmoid(inputs @ W + previous_hidden @ U + b)


@check(
    "001-22",
    printed=gate_of_the_input,
    corrected=gate_of_input_and_state,
    fails="no derivative in previous_hidden",
)
def reads_the_state(gate):
    """Input and state both act on a gate."""
    read = {"inputs": draw(N, D), "previous_hidden": draw(N, H)}
    require_acting(gate(**read), read)


def candidate_as_coded(r, inputs, previous_hidden):
    """Line 80."""
    W, U, b = get_variable("W", D, H), get_variable("U", D, H), get_variable("b", H)
    return torch.tanh(inputs @ W + (r * inputs) @ U + b)


def candidate_of_the_reset_state(r, inputs, previous_hidden):
    """Line 36 for a batch of rows."""
    W, U, b = get_variable("W", D, H), get_variable("U", H, H), get_variable("b", H)
    return torch.tanh(inputs @ W + (r * previous_hidden) @ U + b)


@check(
    "001-23",
    printed=candidate_as_coded,
    corrected=candidate_of_the_reset_state,
    error=RuntimeError,
    fails=r"size of tensor a \(5\) must match the size of tensor b \(4\)",
)
def resets_the_state(form):
    """The reset gate has one entry for each unit of what it multiplies, and all three act."""
    read = {"r": draw(N, H, seed=1), "inputs": draw(N, D), "previous_hidden": draw(N, H)}
    require_acting(form(**read), read)


# Lines 88 to 95: the loop over time


def gru_cell(x: Tensor | None = None, h: Tensor | None = None) -> Tensor:
    """A right cell. What its caller does not pass is a constant, as in the document a global."""
    x, h = (draw(N, D) if x is None else x), (draw(N, H) if h is None else h)
    z, r = gates_of_two_sets(x, h)
    return (1 - z) * candidate_of_the_reset_state(r, x, h) + z * h


def loop_without_state(inputs, hidden):
    """Line 93: each state is returned, and none passed on."""
    for x_t in inputs:
        hidden = gru_cell(x=x_t)
    return hidden


def loop_without_input(inputs, hidden):
    """Line 93: no step of the inputs is passed."""
    for _ in range(T):
        hidden = gru_cell(h=hidden)
    return hidden


def loop_from_zero(inputs, hidden):
    """Lines 90 to 92: at the first step the argument is replaced."""
    for i in range(T):
        if i == 0:
            hidden = torch.zeros(N, H, dtype=torch.float64)
        hidden = gru_cell(inputs[i], hidden)
    return hidden


def loop_of_undefined_length(inputs, hidden):
    """Line 90."""
    for i in range(sequence_length):
        hidden = gru_cell(inputs[i], hidden)
    return hidden


def loop(inputs, hidden):
    """Every step gets its input and the state of the step before."""
    for x_t in inputs:
        hidden = gru_cell(x_t, hidden)
    return hidden


@check("001-24", printed=loop_without_state, corrected=loop, fails="in step 1, step 2")
def remembers_every_step(network):
    """Each step's input acts on the last state."""
    steps = [draw(N, D, seed=k) for k in range(T)]
    last = network(torch.stack(steps), draw(N, H))
    require_acting(last, {f"step {k}": x_t for k, x_t in enumerate(steps, 1)})


@check("001-25", printed=loop_without_input, corrected=loop, fails="no derivative in inputs")
def reads_the_inputs(network):
    """The inputs act on the last state."""
    inputs = draw(T, N, D)
    require_acting(network(inputs, draw(N, H)), {"inputs": inputs})


@check("001-26", printed=loop_from_zero, corrected=loop, fails="no derivative in hidden")
def starts_from_the_given_state(network):
    """The initial state acts on the last one."""
    hidden = draw(N, H)
    require_acting(network(draw(T, N, D), hidden), {"hidden": hidden})


@check(
    "001-27",
    printed=loop_of_undefined_length,
    corrected=loop,
    error=NameError,
    fails="name 'sequence_length' is not defined",
)
def knows_its_length(network):
    """The loop runs on its arguments alone."""
    require_shape(network(draw(T, N, D), draw(N, H)), (N, H))


# Lines 97 to 105: the training


def last_state(hidden, W_hy, b_y):
    """Lines 95 and 100: the prediction is the state."""
    return hidden


def read_out(hidden, W_hy, b_y):
    """Line 20 for a batch of rows."""
    return hidden @ W_hy + b_y


@check("001-28", printed=last_state, corrected=read_out, fails="2 is out of reach")
def can_predict_two(predict):
    """Some weights and inputs, however large, give a prediction above 2."""
    hidden = loop(1e3 * draw(T, N, D), torch.zeros(N, H, dtype=torch.float64))
    largest = predict(hidden, 1e3 * draw(H, 3), draw(3)).max()
    assert largest > 2, "2 is out of reach"


def training_as_printed(inputs, targets, hidden_size):
    """Lines 98, 100 and 101, with the network mended."""
    predictions = loop(inputs, hidden)
    return ((predictions - targets) ** 2).mean()


def training_with_arguments(inputs, targets, hidden):
    """The initial state is an argument; the sizes can be read from the arrays."""
    predictions = loop(inputs, hidden)
    return ((predictions - targets) ** 2).mean()


@check(
    "001-29",
    printed=training_as_printed,
    corrected=training_with_arguments,
    error=NameError,
    fails="name 'hidden' is not defined",
)
def has_what_it_passes_on(train):
    """The function runs on its arguments alone, and returns one loss."""
    arguments = {"inputs": draw(T, N, D), "targets": draw(N, H, seed=1), "hidden": draw(N, H)}
    require_shape(call(train, hidden_size=H, **arguments), ())


# The faults of TensorFlow


def names_of_tensorflow_1(hidden_size):
    """Lines 64, 68 and 71."""
    import tensorflow as tf

    with tf.variable_scope("gru_cell"):
        return tf.get_variable("b", [hidden_size], tf.float32, tf.zeros_initializer())


def names_of_tensorflow_2(hidden_size):
    """What TensorFlow 2 has in their place."""
    import tensorflow as tf

    return tf.Variable(tf.zeros_initializer()([hidden_size], tf.float32), name="b")


@check(
    "001-17",
    printed=names_of_tensorflow_1,
    corrected=names_of_tensorflow_2,
    error=AttributeError,
    fails="no attribute 'variable_scope'",
)
def exist_today(variable):
    """The names belong to the package that ``import tensorflow as tf`` gives."""
    require_shape(variable(H), (H,))


def variables_of_each_step(tf, steps):
    """Lines 68, 69, 90 and 93: the cell creates its weights at every step."""
    for _ in range(steps):
        with tf.variable_scope("gru_cell"):
            tf.get_variable("W", [D, H], tf.float32, tf.random_normal_initializer())


def variables_of_all_steps(tf, steps):
    """The same weights are found again."""
    for _ in range(steps):
        with tf.variable_scope("gru_cell", reuse=tf.AUTO_REUSE):
            tf.get_variable("W", [D, H], tf.float32, tf.random_normal_initializer())


@check(
    "001-19",
    printed=variables_of_each_step,
    corrected=variables_of_all_steps,
    error=ValueError,
    fails="Variable gru_cell/W already exists",
)
def share_the_weights(unroll):
    """Under TensorFlow 1, several steps share one weight."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default():
        unroll(tf, T)
        assert len(tf.trainable_variables()) == 1


def one_operation(tf, session, loss):
    """Lines 102 to 105."""
    optimizer = tf.train.AdamOptimizer()
    train_op = optimizer.minimize(loss)
    return train_op, loss


def updates(tf, session, loss):
    """The same, and then a loop that runs the operation."""
    train_op, loss = one_operation(tf, session, loss)
    session.run(tf.global_variables_initializer())
    for _ in range(3):
        session.run(train_op)
    return train_op, loss


@check("001-16", printed=one_operation, corrected=updates, fails="the weight has not moved")
def trains(train):
    """Under TensorFlow 1, a weight is another one afterwards."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default(), tf.Session() as session:
        weight = tf.get_variable("weight", initializer=2.0)
        session.run(weight.initializer)
        train(tf, session, tf.square(weight))
        assert session.run(weight) != 2, "the weight has not moved"


def an_optimizer_and_a_function(tf, first, second):
    """Line 108 on what comes back."""
    return isinstance(first, tf.train.Optimizer) and callable(second)


def an_operation_and_a_tensor(tf, first, second):
    """One update, not yet run, and the value of the loss."""
    return isinstance(first, tf.Operation) and isinstance(second, tf.Tensor)


@check(
    "001-31",
    printed=an_optimizer_and_a_function,
    corrected=an_operation_and_a_tensor,
    fails="comes back as Operation and Tensor",
)
def describes_what_comes_back(description):
    """The description fits what lines 102 to 105 return under TensorFlow 1."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default():
        pair = one_operation(tf, None, tf.square(tf.get_variable("weight", initializer=2.0)))
    kinds = " and ".join("Operation" if isinstance(p, tf.Operation) else "Tensor" for p in pair)
    assert description(tf, *pair), f"comes back as {kinds}"


# Lines 112 to 132: the claims about the GRU


def lstm_as_the_cheaper_cell():
    """Line 112: the LSTM as a remedy for the GRU's cost."""
    return LSTM


def sru_as_the_cheaper_cell():
    """A cell that does cost less."""
    return SRU


@check(
    "001-33",
    printed=lstm_as_the_cheaper_cell,
    corrected=sru_as_the_cheaper_cell,
    fails="1.33 times the parameters of the GRU",
)
def costs_less_than_the_gru(proposed):
    """Fewer parameters at the same sizes; a step multiplies by each weight once."""

    def parameters(layer: Any) -> int:
        params = layer(64, 64).init_params(np.random.default_rng(0))
        return sum(p.size for p in params if p is not None)

    ratio = parameters(proposed()) / parameters(GRU)
    assert ratio < 1, f"{ratio:.2f} times the parameters of the GRU"


def transformer(width: int) -> torch.nn.Module:
    """Line 112's second example of a recurrent structure: a layer of a Transformer's encoder."""
    return torch.nn.TransformerEncoderLayer(width, 1, 8, dropout=0, dtype=torch.float64)


def lstm(width: int) -> torch.nn.Module:
    """Its first example."""
    return torch.nn.LSTM(width, width, dtype=torch.float64)


@check("001-36", printed=transformer, corrected=lstm, fails="reversing the past changes nothing")
def recurs(structure):
    """A state is carried from step to step: what was read in another order is another past."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer, x = structure(D), draw(T, N, D)
    other = torch.cat([x[:-1].flip(0), x[-1:]])

    def last(sequence: Tensor) -> Tensor:
        value = layer(sequence)
        return (value[0] if isinstance(value, tuple) else value)[-1]

    assert not torch.allclose(last(x), last(other)), "reversing the past changes nothing"


def vanishes_with_two_gates(gates, keep):
    """Lines 128 and 132: the gradient vanishes because there are only two gates."""
    return gates < 3


def vanishes_with_a_shut_path(gates, keep):
    """It vanishes where the gate on the state's path (z, or f of the LSTM) is shut."""
    return keep < 0


@check(
    "001-39",
    printed=vanishes_with_two_gates,
    corrected=vanishes_with_a_shut_path,
    fails="GRU with z open: the gradient does not vanish",
)
def predicts_the_gradient(rule):
    """Tried on a GRU and an LSTM over 50 steps, with the keeping gate open and shut."""
    for layer, gates, block, letter in ((GRU(D, H), 2, 1, "z"), (LSTM(D, H), 3, 1, "f")):
        for keep, word in ((8.0, "open"), (-8.0, "shut")):
            rng = np.random.default_rng(0)
            params = layer.init_params(rng)
            params.bias_ih[block * H : (block + 1) * H] = keep
            _, final, cache = layer.forward(params, rng.normal(size=(50, N, D)))
            ones = type(final)(*(np.ones_like(s) for s in final))
            back = layer.backward(params, cache, np.zeros((50, N, H)), ones).state
            vanished = max(np.abs(s).max() for s in back) < 1e-6
            what = "vanishes" if vanished else "does not vanish"
            case = f"{type(layer).__name__} with {letter} {word}"
            assert rule(gates, keep) == vanished, f"{case}: the gradient {what}"


def only_tanh_taken_out(x, sigma: Callable[[Tensor], Tensor]):
    """Line 128 makes tanh the GRU's means against what is not linear: here it is left out."""
    z, r, n = (x @ get_variable(f"W_{k}", D, H) for k in "zrn")
    z, r, h = sigma(z), sigma(r), get_variable("h", H)
    return (1 - z) * (n + (r * h) @ get_variable("U_n", H, H)) + z * h


def tanh_and_gates_taken_out(x, sigma: Callable[[Tensor], Tensor]):
    """Without tanh, and with gates that do not move."""
    return only_tanh_taken_out(x, lambda a: torch.full_like(a, 0.5))


@check(
    "001-40",
    printed=only_tanh_taken_out,
    corrected=tanh_and_gates_taken_out,
    fails="not affine",
)
def is_affine_in_the_input(step):
    """What is left of the GRU's step is an affine map: f(a + b) - f(a) - f(b) + f(0) = 0."""
    a, b = draw(D), draw(D, seed=1)
    f = [step(v, torch.sigmoid) for v in (a + b, a, b, 0 * a)]
    defect = (f[0] - f[1] - f[2] + f[3]).abs().max()
    assert defect < 1e-12, "the step without tanh is not affine"
