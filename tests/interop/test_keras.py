"""The converters from and to Keras against Keras itself, on its torch backend.

Keras multiplies matrices of float64 in float32 wherever it does so by ``ops.matmul``, except on
TensorFlow. Its float64 layers are compared twice: as they are, and with TensorFlow's value in the
one table that says so, which makes the same code compute in float64 throughout.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as K
from keras.src.backend.common import dtypes

from rnn_ref import GRU, LSTM, SRU, Activation, Bidirectional, ElmanRNN, Reverse, Stack
from rnn_ref.interop.keras import from_keras, lengths_from_mask, to_keras
from rnn_ref.tree import filled, flat, map_arrays, named_arrays

# Variable.__array__ of Keras 3.15 and Tensor.__array__ lack the argument copy= of NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EXACT, ROUNDED, SINGLE = "float64", "float64 as Keras runs it", "float32"
TOLERANCE = {EXACT: 1e-12, ROUNDED: 2e-6, SINGLE: 1e-5}
DTYPE = {EXACT: np.float64, ROUNDED: np.float64, SINGLE: np.float32}


@contextlib.contextmanager
def precision(mode):
    """Let ``ops.matmul`` keep float64, as on TensorFlow, where the mode says so."""
    with pytest.MonkeyPatch.context() as patch:
        if mode == EXACT:
            patch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
        yield


# Running Keras.


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def tensor(value):
    return keras.ops.convert_to_tensor(value, dtype=value.dtype.name)


def keras_state(layer, state):
    """Our state as Keras's list."""
    if isinstance(layer, Reverse):
        return keras_state(layer.layer, state)
    if isinstance(layer, Bidirectional):
        parts = zip((layer.forward_layer, layer.backward_layer), state, strict=True)
        return [entry for part in parts for entry in keras_state(*part)]
    if isinstance(layer, Stack):
        return [keras_state(*part) for part in zip(layer.layers, state, strict=True)]
    return [tensor(value) for value in state]


def run_keras(theirs, layer, x, state, lengths):
    """Output (T, N, O) and flat final states of a layer of Keras that returns both."""
    mask = None if lengths is None else np.arange(len(x)) < lengths[:, None]
    mask = None if mask is None else keras.ops.convert_to_tensor(mask)
    initial = None if state is None else keras_state(layer, state)
    output, *final = theirs(tensor(x.swapaxes(0, 1)), initial_state=initial, mask=mask)
    output = array(output).swapaxes(0, 1)
    if isinstance(layer, Reverse):  # Keras leaves the order of reading
        output = output[::-1]
    return output, [array(value) for value in keras.tree.flatten(final)]


def worst_error(theirs, layer, params, x, state, lengths):
    """The largest error of the output and of every final state.

    Relative to the largest number expected, or to 1: where a sum of numbers of that size all but
    cancels, nothing more can be asked.
    """
    expected, expected_final = run_keras(theirs, layer, x, state, lengths)
    output, final, _ = layer.forward(params, x, state, lengths)
    assert output.dtype == expected.dtype == x.dtype
    pairs = [(output, expected), *zip(flat(final), expected_final, strict=True)]
    errors = []
    for ours, other in pairs:
        assert ours.shape == other.shape and np.isfinite(other).all()
        errors.append(np.abs(ours - other).max() / max(1.0, np.abs(other).max()))
    return max(errors)


def random_like(rng, tree, dtype):
    return map_arrays(lambda a: (0.7 * rng.standard_normal(a.shape)).astype(dtype), tree)


def arguments(rng, layer, dtype, T=5, N=3, initial=True, ragged=False):
    """Input, initial state and lengths; rows of length 0 and T among them where N allows it."""
    x = (0.7 * rng.standard_normal((T, N, layer.input_size))).astype(dtype)
    state = random_like(rng, layer.zero_state(N, dtype), dtype) if initial else None
    lengths = rng.permutation([T, 0, *rng.integers(0, T + 1, N)][:N]) if ragged else None
    return x, state, lengths


def random_params(rng, layer, dtype):
    return random_like(rng, layer.init_params(rng, dtype), dtype)


def summed(layer, params):
    """What comes back from Keras: one bias where it has one."""
    if isinstance(layer, Reverse):
        return summed(layer.layer, params)
    if isinstance(layer, Bidirectional):
        parts = zip((layer.forward_layer, layer.backward_layer), params, strict=True)
        return type(params)(*(summed(*part) for part in parts))
    if isinstance(layer, Stack):
        return tuple(summed(*part) for part in zip(layer.layers, params, strict=True))
    if isinstance(layer, GRU) and layer.reset == "after":
        return params
    total = params.bias_ih + params.bias_hh
    return params._replace(bias_ih=total, bias_hh=np.zeros_like(total))


def assert_same_arrays(found, expected):
    found, expected = named_arrays(found), named_arrays(expected)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value, err_msg=name)


# What is drawn. The names of activations are Keras's, with what they are here.

FUNCTIONS = {
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "relu": "relu",
    "linear": "affine",
    "leaky_relu": Activation("leaky_relu", 0.2),
    "hard_sigmoid": Activation("hard_sigmoid", 1 / 6, 0.5),
    "elu": "elu",
    "softplus": "softplus",
    "softsign": "softsign",
}
AS_LAYERS = {  # by the class, its arguments
    ("LeakyReLU", "negative_slope", 0.01): "leaky_relu",
    ("LeakyReLU", "negative_slope", 0.35): Activation("leaky_relu", 0.35),
    ("ELU", "alpha", 0.6): Activation("elu", 0.6),
    ("ReLU", "threshold", 0.25): Activation("thresholded_relu", 0.25),
    ("ReLU", "threshold", 0.0): Activation("thresholded_relu", 0.0),
}
# Bounded: with others a state can grow beyond measure in a few steps, and its errors with it.
GATES = ["sigmoid", "hard_sigmoid", "softsign"]
sizes = st.integers(1, 4)


@st.composite
def cells(draw, D=None):
    D, H = draw(sizes) if D is None else D, draw(sizes)
    phi = draw(st.sampled_from([*FUNCTIONS.values(), *AS_LAYERS.values()]))
    kind = draw(st.sampled_from([ElmanRNN, LSTM, GRU]))
    if kind is ElmanRNN:
        return ElmanRNN(D, H, phi)
    sigma = FUNCTIONS[draw(st.sampled_from(GATES))]
    if kind is LSTM:
        return LSTM(D, H, activations=(sigma, phi, phi))
    return GRU(D, H, draw(st.sampled_from(["after", "before"])), (sigma, phi))


@st.composite
def stacks(draw, D=None, depth=None):
    depth = draw(st.integers(2, 3)) if depth is None else depth
    layers = [draw(cells(D))]
    while len(layers) < depth:
        layers.append(draw(cells(layers[-1].output_size)))
    return Stack(tuple(layers))


@st.composite
def bidirectionals(draw):
    """Of one number of states, as Keras needs it; the cells themselves need not be of one kind."""
    if draw(st.booleans()):
        first = draw(stacks())
        return Bidirectional(first, draw(stacks(first.input_size, len(first.layers))))
    first = draw(cells())
    same = cells(first.input_size).filter(lambda c: isinstance(c, LSTM) == isinstance(first, LSTM))
    return Bidirectional(first, draw(same))


any_layer = st.one_of(
    cells(), stacks(), st.one_of(cells(), stacks()).map(Reverse), bidirectionals()
)


@settings(max_examples=100)
@given(
    layer=any_layer,
    mode=st.sampled_from([EXACT, EXACT, ROUNDED, SINGLE]),
    seed=st.integers(0, 2**32 - 1),
    T=st.integers(1, 6),
    N=sizes,
    initial=st.booleans(),
    ragged=st.booleans(),
)
def test_to_keras_computes_the_same_and_comes_back(layer, mode, seed, T, N, initial, ragged):
    rng = np.random.default_rng(seed)
    params = random_params(rng, layer, DTYPE[mode])
    theirs = to_keras(layer, params)
    x, state, lengths = arguments(rng, layer, DTYPE[mode], T, N, initial, ragged)
    with precision(mode):
        assert worst_error(theirs, layer, params, x, state, lengths) < TOLERANCE[mode]
    found, back = from_keras(theirs)
    assert found == layer
    assert_same_arrays(back, summed(layer, params))
    # The second time nothing changes any more.
    again, twice = from_keras(to_keras(found, back))
    assert again == found
    assert_same_arrays(twice, back)


# The other way: a layer as Keras users write it.


def activation(name, dtype):
    if isinstance(name, str):
        return name
    kind, argument, value = name
    return getattr(K, kind)(**{argument: value, "dtype": dtype})


@st.composite
def keras_arguments(draw):
    """Name of the cell and its arguments, and those that change nothing; but the dtype."""
    kind = draw(st.sampled_from(["SimpleRNN", "LSTM", "GRU"]))
    given = {
        "units": draw(sizes),
        "activation": draw(st.sampled_from([*FUNCTIONS, *AS_LAYERS])),
        "use_bias": draw(st.booleans()),
        "kernel_regularizer": draw(st.sampled_from([None, "l2"])),
        "bias_constraint": draw(st.sampled_from([None, "non_neg"])),
        "seed": draw(st.sampled_from([None, 3])),
    }
    if kind != "SimpleRNN":
        given["recurrent_activation"] = draw(st.sampled_from(GATES))
        given["implementation"] = draw(st.sampled_from([1, 2]))
    if kind == "LSTM":
        given["unit_forget_bias"] = draw(st.booleans())
    if kind == "GRU":
        given["reset_after"] = draw(st.booleans())
    return kind, given


def make_keras(kind, given, dtype, **more):
    given = given | {"activation": activation(given["activation"], dtype)}
    return getattr(K, kind)(**given, **more, dtype=dtype)


FORMS = ["layer", "RNN", "list", "backwards", "Bidirectional", "Bidirectional of lists"]


@settings(max_examples=100)
@given(
    form=st.sampled_from(FORMS),
    drawn=st.lists(keras_arguments(), min_size=4, max_size=4),
    D=sizes,
    mode=st.sampled_from([EXACT, EXACT, ROUNDED, SINGLE]),
    seed=st.integers(0, 2**32 - 1),
    T=st.integers(1, 6),
    N=sizes,
    initial=st.booleans(),
    ragged=st.booleans(),
    unroll=st.booleans(),
)
def test_from_keras_computes_the_same_and_goes_back(
    form, drawn, D, mode, seed, T, N, initial, ragged, unroll
):
    dtype = np.dtype(DTYPE[mode]).name
    # Keras 3.15 cannot unroll backwards with a mask on the torch backend.
    unroll = unroll and not (ragged and form in FORMS[3:])
    options = {
        "return_sequences": True,
        "return_state": True,
        "zero_output_for_mask": True,
        "unroll": unroll,
    }
    backwards = options | {"go_backwards": True}

    def one(k, options):
        return make_keras(*drawn[k], dtype, **options)

    def several(first, options):
        cells = [make_keras(f"{kind}Cell", a, dtype) for kind, a in drawn[first : first + 2]]
        return K.RNN(K.StackedRNNCells(cells, dtype=dtype), **options, dtype=dtype)

    if form == "layer":
        theirs = one(0, options)
    elif form == "RNN":
        cell = make_keras(f"{drawn[0][0]}Cell", drawn[0][1], dtype)
        theirs = K.RNN(cell, **options, dtype=dtype)
    elif form == "list":
        theirs = several(0, options)
    elif form == "backwards":
        theirs = one(0, backwards)
    elif form == "Bidirectional":
        drawn[1] = (drawn[0][0], drawn[1][1] if drawn[0][0] == drawn[1][0] else drawn[0][1])
        theirs = K.Bidirectional(one(0, options), backward_layer=one(1, backwards), dtype=dtype)
    else:
        theirs = K.Bidirectional(
            several(0, options), backward_layer=several(2, backwards), dtype=dtype
        )
    theirs.build((None, None, D))
    rng = np.random.default_rng(seed)
    weights = [0.7 * rng.standard_normal(w.shape) for w in theirs.get_weights()]
    theirs.set_weights([w.astype(dtype) for w in weights])
    layer, params = from_keras(theirs)
    assert layer.input_size == D
    x, state, lengths = arguments(rng, layer, DTYPE[mode], T, N, initial, ragged)
    with precision(mode):
        assert worst_error(theirs, layer, params, x, state, lengths) < TOLERANCE[mode]
    # Every weight goes back where it was; where use_bias was False there are zeros now.
    back = to_keras(layer, params)
    found = iter(back.get_weights())
    for cell in all_cells(theirs):
        for value in cell.get_weights() + ([] if cell.use_bias else [None]):
            kept = next(found)
            assert kept.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(kept, 0.0 if value is None else value)
    assert list(found) == []
    if not any(cell.use_bias for cell in all_cells(theirs)):
        without = to_keras(layer, params, use_bias=False)
        for kept, value in zip(without.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(kept, value)


def all_cells(theirs):
    """The cells of a layer of Keras, in the order of its weights."""
    if hasattr(theirs, "forward_layer"):
        return all_cells(theirs.forward_layer) + all_cells(theirs.backward_layer)
    if hasattr(theirs, "cell"):
        return all_cells(theirs.cell)
    if hasattr(theirs, "cells"):
        return [cell for part in theirs.cells for cell in all_cells(part)]
    return [theirs]


# Details of the layout and of the functions.


def built(layer, D=3):
    layer.build((None, None, D))
    return layer


def drawn(layer, dtype=np.float64, seed=0):
    return random_params(np.random.default_rng(seed), layer, dtype)


def filled_keras(layer, D=3, seed=0):
    """A built layer of Keras whose weights, biases among them, are random."""
    rng = np.random.default_rng(seed)
    layer = built(layer, D)
    layer.set_weights([0.7 * rng.standard_normal(w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(
    ("layer", "order"),
    [
        (ElmanRNN(3, 5), "a"),
        (LSTM(3, 5), "ifgo"),
        (GRU(3, 5), "zrn"),
        (GRU(3, 5, reset="before"), "zrn"),
    ],
)
def test_to_keras_writes_the_documented_layout(layer, order, dtype):
    """Said once more, block by block, with the names of the gates."""
    ours = {ElmanRNN: "a", LSTM: "ifgo", GRU: "rzn"}[type(layer)]
    params = drawn(layer, dtype)

    def by_gate(stacked):
        return dict(zip(ours, np.split(stacked, len(ours)), strict=True))

    W, U, b, d = map(by_gate, params[:4])
    cell = to_keras(layer, params).cell
    kernel, recurrent, bias = cell.get_weights()
    np.testing.assert_array_equal(kernel, np.hstack([W[gate].T for gate in order]))
    np.testing.assert_array_equal(recurrent, np.hstack([U[gate].T for gate in order]))
    if layer == GRU(3, 5):
        expected = [np.hstack([side[gate] for gate in order]) for side in (b, d)]
    else:
        expected = np.hstack([b[gate] + d[gate] for gate in order])
    np.testing.assert_array_equal(bias, expected)
    assert {kernel.dtype, recurrent.dtype, bias.dtype} == {np.dtype(dtype)}
    assert cell.kernel.path.startswith(cell.path.split("/")[0])


def test_converted_arrays_are_copies():
    theirs = filled_keras(K.GRU(5, dtype="float64"))
    _, params = from_keras(theirs)
    before = [value.copy() for value in flat(params)]
    theirs.set_weights([0.0 * w for w in theirs.get_weights()])
    assert_same_arrays(params, filled(params, before))
    layer = LSTM(3, 5)
    params = drawn(layer)
    theirs = to_keras(layer, params)
    kept = theirs.get_weights()
    for value in flat(params):
        value[...] = 0.0
    for value, expected in zip(theirs.get_weights(), kept, strict=True):
        np.testing.assert_array_equal(value, expected)
        assert expected.any()


@pytest.mark.parametrize("mode", [EXACT, SINGLE])
@pytest.mark.parametrize("name", [*FUNCTIONS, *AS_LAYERS], ids=str)
def test_every_activation_in_every_place(name, mode):
    """Both ways, also in gates where it has no business; two steps, since some grow quickly."""
    dtype, ours = DTYPE[mode], {**FUNCTIONS, **AS_LAYERS}[name]
    for expected in (
        ElmanRNN(3, 5, ours),
        LSTM(3, 5, activations=("sigmoid", ours, ours)),
        LSTM(3, 5, activations=(ours, "tanh", "tanh")),
        GRU(3, 5, activations=("sigmoid", ours)),
        GRU(3, 5, reset="before", activations=(ours, "tanh")),
    ):
        functions = ["recurrent_activation", "activation"]
        choices = [ours] if type(expected) is ElmanRNN else expected.activations[:2]
        given = {
            k: activation(name, np.dtype(dtype).name) if choice == ours else choice
            for k, choice in zip(functions[-len(choices) :], choices, strict=True)
        }
        if type(expected) is GRU:
            given["reset_after"] = expected.reset == "after"
        kind = {ElmanRNN: K.SimpleRNN, LSTM: K.LSTM, GRU: K.GRU}[type(expected)]
        options = {"return_sequences": True, "return_state": True}
        theirs = filled_keras(kind(5, **given, **options, dtype=np.dtype(dtype).name))
        layer, params = from_keras(theirs)
        assert layer == expected
        arguments_ = arguments(np.random.default_rng(1), layer, dtype, T=2)
        with precision(mode):
            assert worst_error(theirs, layer, params, *arguments_) < TOLERANCE[mode]
            back = to_keras(layer, params)
            assert worst_error(back, layer, params, *arguments_) < TOLERANCE[mode]


def test_activations_come_back_by_name_where_that_says_everything():
    for choice, expected in (
        (Activation("tanh"), "tanh"),
        (Activation("leaky_relu", 0.01), "leaky_relu"),
        (Activation("elu", 1.0), "elu"),
        (Activation("thresholded_relu"), "thresholded_relu"),
    ):
        layer = ElmanRNN(3, 5, choice)
        assert from_keras(to_keras(layer, drawn(layer)))[0] == ElmanRNN(3, 5, expected)
    # What Keras says in two ways.
    relu = filled_keras(K.SimpleRNN(5, activation=K.ReLU(negative_slope=0.3)))
    assert from_keras(relu)[0].nonlinearity == Activation("leaky_relu", 0.3)
    none = filled_keras(K.SimpleRNN(5, activation=None))
    assert from_keras(none)[0].nonlinearity == "affine"


def test_unit_forget_bias_is_an_initial_value_and_in_the_bias():
    theirs = built(K.LSTM(5, unit_forget_bias=True))
    _, params = from_keras(theirs)
    np.testing.assert_array_equal(params.bias_ih, np.repeat([0.0, 1.0, 0.0, 0.0], 5))
    assert not params.bias_hh.any()


def test_what_keras_returns():
    """``return_sequences`` and ``return_state`` select; the final state holds what they leave."""
    both = filled_keras(K.Bidirectional(K.LSTM(5, dtype="float64"), dtype="float64"))
    layer, params = from_keras(both)
    rng = np.random.default_rng(2)
    x, _, lengths = arguments(rng, layer, np.float64, N=4, initial=False, ragged=True)
    lengths = np.maximum(lengths, 1)
    mask = np.arange(len(x)) < lengths[:, None]
    with precision(EXACT):
        expected = array(both(tensor(x.swapaxes(0, 1)), mask=keras.ops.convert_to_tensor(mask)))
    output, final, _ = layer.forward(params, x, None, lengths)
    h = np.hstack([final.forward_layer.h, final.backward_layer.h])
    np.testing.assert_allclose(h, expected, rtol=0, atol=1e-12)
    assert np.abs(output[lengths - 1, np.arange(4)] - expected).max() > 0.01
    # What to_keras returns is chosen there, or later.
    for layer in (LSTM(3, 5), Stack((GRU(3, 5), LSTM(5, 4))), Bidirectional(GRU(3, 5), GRU(3, 4))):
        params = drawn(layer)
        last = to_keras(layer, params, return_sequences=False, return_state=False)
        assert array(last(tensor(x.swapaxes(0, 1)))).shape == (4, layer.output_size)
        sequence = to_keras(layer, params, return_state=False)
        assert array(sequence(tensor(x.swapaxes(0, 1)))).shape == (4, 5, layer.output_size)
        assert_same_arrays(from_keras(last)[1], summed(layer, params))


def test_layers_of_a_model_with_masking():
    """Masking, two bidirectional layers, a GRU: the model converted layer by layer."""
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            K.Masking(-1.0),
            K.Bidirectional(K.LSTM(5, return_sequences=True)),
            K.Bidirectional(K.GRU(4, return_sequences=True, reset_after=False)),
            K.GRU(2, return_sequences=True),
        ]
    )
    rng = np.random.default_rng(4)
    model.set_weights([0.7 * rng.standard_normal(w.shape) for w in model.get_weights()])
    x, _, lengths = arguments(rng, LSTM(3, 5), np.float32, N=4, initial=False, ragged=True)
    x[np.arange(len(x))[:, None] >= lengths] = -1.0
    batch_major = x.swapaxes(0, 1)
    mask = array(model.layers[0].compute_mask(tensor(batch_major)))
    np.testing.assert_array_equal(lengths_from_mask(mask), lengths)
    layers, params = zip(*(from_keras(part) for part in model.layers[1:]), strict=True)
    output, _, _ = Stack(layers).forward(params, x, None, lengths_from_mask(mask))
    expected = array(model(tensor(batch_major))).swapaxes(0, 1)
    steps = mask.T[:, :, None]
    np.testing.assert_allclose(output, np.where(steps, expected, 0.0), rtol=0, atol=1e-5)


def test_cells_and_lists_of_them():
    cells = [K.LSTMCell(5, dtype="float64"), K.GRUCell(4, dtype="float64")]
    stacked = K.StackedRNNCells(cells, dtype="float64")
    stacked.build((None, 3))
    layer, params = from_keras(stacked)
    assert layer == Stack((LSTM(3, 5), GRU(5, 4)))
    one, one_params = from_keras(cells[1])
    assert one == GRU(5, 4)
    assert_same_arrays(one_params, params[1])
    around, around_params = from_keras(K.RNN(stacked, dtype="float64"))
    assert around == layer
    assert_same_arrays(around_params, params)
    # A list in a list, and a list of one cell: Keras runs the latter without a mask only.
    inner = Stack((LSTM(3, 5), GRU(5, 4)))
    layer = Stack((inner, ElmanRNN(4, 2)))
    assert from_keras(to_keras(layer, drawn(layer)))[0] == layer
    single = filled_keras(K.RNN([K.GRUCell(5)]))
    assert from_keras(single)[0] == Stack((GRU(3, 5),))


# Refusals.


def tanh_of_my_own(x):
    return keras.ops.tanh(x)


class MyLSTM(K.LSTM):
    """May compute anything."""


REFUSED = {
    "stateful": (lambda: K.LSTM(5, stateful=True), r"^layer\.stateful: .*Set stateful=False"),
    "dropout": (lambda: K.GRU(5, dropout=0.3), r"^layer\.cell\.dropout: expected 0, got 0\.3"),
    "recurrent_dropout": (
        lambda: K.SimpleRNN(5, recurrent_dropout=0.2),
        r"^layer\.cell\.recurrent_dropout: expected 0, got 0\.2",
    ),
    "dropout below": (
        lambda: K.Bidirectional(K.RNN([K.GRUCell(4), K.LSTMCell(5, dropout=0.5)])),
        r"^layer\.forward_layer\.cell\.cells\[1\]\.dropout: expected 0, got 0\.5",
    ),
    "activation": (
        lambda: K.LSTM(5, activation="gelu"),
        r"^layer\.cell\.activation: expected one of tanh, sigmoid.* got gelu;",
    ),
    "recurrent_activation": (
        lambda: K.GRU(5, recurrent_activation="relu6"),
        r"^layer\.cell\.recurrent_activation: .* got relu6;",
    ),
    "own activation": (
        lambda: K.SimpleRNN(5, activation=tanh_of_my_own),
        r"^layer\.cell\.activation: .* got tanh_of_my_own;",
    ),
    "max_value": (
        lambda: K.SimpleRNN(5, activation=K.ReLU(max_value=6.0)),
        r"^layer\.cell\.activation: .* got .*ReLU .*'max_value': 6\.0",
    ),
    "slope and threshold": (
        lambda: K.SimpleRNN(5, activation=K.ReLU(negative_slope=0.1, threshold=1.0)),
        r"^layer\.cell\.activation: .*either a negative_slope or a threshold",
    ),
    "negative elu": (
        lambda: K.SimpleRNN(5, activation=K.ELU(alpha=-0.5)),
        r"^layer\.cell\.activation: .*ELU with alpha at least 0.*'alpha': -0\.5",
    ),
    **{
        f"merge_mode {mode}": (
            lambda mode=mode: K.Bidirectional(K.GRU(5), merge_mode=mode),
            f"^layer\\.merge_mode: expected 'concat', got {mode!r}; .*side by side",
        )
        for mode in ("sum", "mul", "ave", None)
    },
    "forward backwards": (
        lambda: K.Bidirectional(K.GRU(5, go_backwards=True), backward_layer=K.GRU(5)),
        r"^layer\.forward_layer\.go_backwards: ",
    ),
}


@pytest.mark.parametrize(("make", "message"), REFUSED.values(), ids=REFUSED)
def test_from_keras_refuses(make, message):
    layer = make()
    layer.build((2, None, 3))
    with pytest.raises(ValueError, match=message):
        from_keras(layer)


REFUSED_TYPES = {
    "Dense": (lambda: K.Dense(5), "^layer: expected .* got keras.*Dense$"),
    "subclass": (lambda: MyLSTM(5), r"^layer: expected .*no subclass .*got .*MyLSTM$"),
    "ConvLSTM1D": (lambda: K.ConvLSTM1D(5, 2), "^layer: expected .*ConvLSTM1D$"),
    "cell": (lambda: K.RNN([K.GRUCell(5), MyCell(4)]), r"^layer\.cell\.cells\[1\]: .*MyCell$"),
    "mixed_float16": (
        lambda: built(K.LSTM(5, dtype="mixed_float16")),
        r"^layer\.cell\.dtype_policy: expected to compute in float32.*got float16",
    ),
    "float16": (
        lambda: built(K.LSTM(5, recurrent_initializer="ones", dtype="float16")),
        r"^layer\.cell\.kernel: expected float32 or float64, got float16",
    ),
    "Bidirectional": (
        lambda: built(K.Bidirectional(K.LSTM(5, dtype="float64"))),
        r"^layer\.dtype_policy: expected to compute in float64.*got float32",
    ),
    "list": (
        lambda: built(K.RNN([K.GRUCell(5, dtype="float64")] * 2, dtype="float64"), 5),
        r"^layer\.cell\.dtype_policy: expected to compute in float64.*got float32",
    ),
    "RNN": (
        lambda: built(K.RNN(K.GRUCell(5, dtype="float64"))),
        r"^layer\.dtype_policy: expected to compute in float64.*got float32",
    ),
    "activation": (
        lambda: built(K.GRU(5, activation=K.LeakyReLU(0.1), dtype="float64")),
        r"^layer\.cell\.activation\.dtype_policy: expected to compute in float64",
    ),
    "two dtypes": (
        lambda: built(K.RNN([K.GRUCell(5, dtype="float64"), K.GRUCell(5)])),
        "^layer.*: expected one dtype in all layers, got float32, float64",
    ),
}


class MyCell(K.GRUCell):
    """May compute anything."""


@pytest.mark.parametrize(("make", "message"), REFUSED_TYPES.values(), ids=REFUSED_TYPES)
def test_from_keras_refuses_types(make, message):
    layer = make()
    if not layer.built and not isinstance(layer, K.ConvLSTM1D):
        layer.build((None, None, 3))
    with pytest.raises(TypeError, match=message):
        from_keras(layer)


def test_from_keras_wants_a_built_layer_and_says_how():
    for layer in (K.LSTM(5), K.Bidirectional(K.LSTM(5)), K.RNN([K.GRUCell(5), K.GRUCell(4)])):
        with pytest.raises(ValueError, match=r"cell.*: expected to be built.*build\(\(None, None"):
            from_keras(layer)
        layer.build((None, None, 3))
        from_keras(layer)
    layer = K.LSTM(5)
    layer(np.ones((2, 4, 3), np.float32))
    assert from_keras(layer)[0] == LSTM(3, 5)


def test_the_remedies_in_the_messages():
    x = np.ones((2, 4, 3), np.float32)
    theirs = K.LSTM(5, dropout=0.3, recurrent_dropout=0.3, stateful=True, return_sequences=True)
    first = array(theirs(x))
    theirs(x)
    theirs.stateful = False
    theirs.cell.dropout = theirs.cell.recurrent_dropout = 0.0
    np.testing.assert_array_equal(array(theirs(x)), first)
    np.testing.assert_array_equal(array(theirs(x, training=True)), first)
    layer, params = from_keras(theirs)
    output, final, _ = layer.forward(params, x.swapaxes(0, 1))
    np.testing.assert_allclose(output.swapaxes(0, 1), first, rtol=0, atol=1e-6)
    # The stored state as ours: what a stateful layer went on from.
    state = filled(final, [array(value) for value in theirs.states])
    assert not np.array_equal(state.h, final.h)


TO_REFUSED = {
    "peephole": (LSTM(3, 5, peephole=True), r"^layer\.peephole: .*no peepholes"),
    "coupled": (LSTM(3, 5, coupled=True), r"^layer\.coupled: "),
    "forget_gate": (LSTM(3, 5, forget_gate=False), r"^layer\.forget_gate: "),
    "proj_size": (LSTM(3, 5, proj_size=2), r"^layer\.proj_size: "),
    "psi": (
        LSTM(3, 5, activations=("sigmoid", "tanh", "relu")),
        r"^layer\.activations: .*one activation for both",
    ),
    "clip": (Stack((GRU(3, 5), GRU(5, 4, clip=2.0))), r"^layer\.layers\[1\]\.clip: "),
    "clip, backward": (
        Bidirectional(GRU(3, 5), GRU(3, 5, clip=2.0)),
        r"^layer\.backward_layer\.clip: ",
    ),
    "clip, reversed": (Reverse(ElmanRNN(3, 5, clip=1.0)), r"^layer\.layer\.clip: "),
    "hard_sigmoid": (
        GRU(3, 5, activations=("hard_sigmoid", "tanh")),
        r"^layer\.activations\[0\]: .*no .*alpha=0\.2.*of this name it has .*alpha=0\.1666",
    ),
    "affine": (
        ElmanRNN(3, 5, Activation("affine", 2.0)),
        r"^layer\.nonlinearity: .*of this name it has .*alpha=1\.0, beta=0\.0",
    ),
    "scaled_tanh": (
        GRU(3, 5, activations=("sigmoid", "scaled_tanh")),
        r"^layer\.activations\[1\]: .*scaled_tanh",
    ),
    "threshold": (
        ElmanRNN(3, 5, Activation("thresholded_relu", -1.0)),
        r"^layer\.nonlinearity: .*threshold of its ReLU is at least 0",
    ),
    "list of one": (Stack((GRU(3, 5),)), r"^layer\.layers: expected at least 2, got 1; .*mask"),
    "states": (
        Bidirectional(LSTM(3, 5), GRU(3, 5)),
        r"^layer: expected as many states forward as backward, got 2 and 1",
    ),
}


@pytest.mark.parametrize(("layer", "message"), TO_REFUSED.values(), ids=TO_REFUSED)
def test_to_keras_refuses(layer, message):
    with pytest.raises(ValueError, match=message):
        to_keras(layer, drawn(layer))


def test_to_keras_refuses_types_and_arguments():
    for layer, message in (
        (SRU(3, 5), "^layer: expected an ElmanRNN, .* got rnn_ref.sru.SRU"),
        (Stack((Bidirectional(GRU(3, 5), GRU(3, 5)), GRU(10, 4))), r"^layer\.layers\[0\]: "),
        (Bidirectional(Reverse(GRU(3, 5)), GRU(3, 5)), r"^layer\.forward_layer: .*Reverse"),
        (Bidirectional(GRU(3, 5), Reverse(GRU(3, 5))), r"^layer\.backward_layer: .*Reverse"),
        (Reverse(Reverse(GRU(3, 5))), r"^layer\.layer: .*Reverse"),
        (Reverse(SRU(3, 5)), r"^layer\.layer: expected .*SRU"),
    ):
        with pytest.raises(TypeError, match=message):
            to_keras(layer, layer.init_params(np.random.default_rng(0)))
    layer = GRU(3, 5)
    with pytest.raises(ValueError, match=r"^params\.weight_ih: expected shape \(3H=15, D=3\)"):
        to_keras(layer, drawn(GRU(4, 5)))
    with pytest.raises(TypeError, match=r"^params: expected GRUParams, got LSTMParams"):
        to_keras(layer, drawn(LSTM(3, 5)))
    with pytest.raises(ValueError, match=r"^use_bias: expected True, since bias_ih of GRU"):
        to_keras(layer, drawn(layer), use_bias=False)
    for name in ("use_bias", "return_sequences", "return_state"):
        with pytest.raises(ValueError, match=f"^{name}: expected one of"):
            to_keras(layer, drawn(layer), **{name: 1})


def test_to_keras_sees_when_the_backend_rounds(monkeypatch):
    """As JAX does with float64 unless told otherwise."""
    assign = keras.Variable.assign

    def rounded(self, value):
        return assign(self, np.asarray(value).astype(np.float32).astype(np.float64))

    monkeypatch.setattr(keras.Variable, "assign", rounded)
    layer = GRU(3, 5)
    with pytest.raises(ValueError, match=r"^params: Keras's backend torch does not keep numbers"):
        to_keras(layer, drawn(layer))
    assert_same_arrays(
        from_keras(to_keras(layer, drawn(layer, np.float32)))[1], drawn(layer, np.float32)
    )


def test_random_states_are_left_alone():
    layer = Bidirectional(GRU(3, 5), GRU(3, 5))
    params = drawn(layer)
    before = random.getstate(), torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    to_keras(layer, params)
    assert random.getstate() == before[0]
    assert torch.equal(torch.random.get_rng_state(), before[1])
    np.testing.assert_array_equal(np.random.get_state()[1], before[2])  # noqa: NPY002


def test_lengths_from_mask():
    lengths = np.array([3, 0, 4, 1])
    mask = np.arange(4) < lengths[:, None]
    np.testing.assert_array_equal(lengths_from_mask(mask), lengths)
    assert lengths_from_mask(np.ones((2, 0), bool)).tolist() == [0, 0]
    assert lengths_from_mask(np.ones((0, 2), bool)).tolist() == []
    mask[2, 1] = False
    with pytest.raises(ValueError, match=r"^mask: .*False at step 1 and True at step 3 of row 2"):
        lengths_from_mask(mask)
    with pytest.raises(ValueError, match=r"^mask: .*False at step 0 and True at step 1 of row 0"):
        lengths_from_mask(np.array([[False, True]]))
    with pytest.raises(TypeError, match=r"^mask: expected an array of booleans.*got int64"):
        lengths_from_mask(np.ones((2, 3), np.int64))
    with pytest.raises(TypeError, match=r"^mask: .*got torch\.Tensor"):
        lengths_from_mask(torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"^mask: expected shape \(N, T\), got \(3,\)"):
        lengths_from_mask(np.ones(3, bool))


# Facts of Keras that the documentation and the refusals state.


def test_facts_of_keras():
    x, mask = np.ones((2, 4, 3)), np.array([[True] * 4, [True, True, False, False]])
    # Float64 in float32, but for LSTM and the GRU with the reset after, without a mask.
    for layer, masked, exact in (
        (LSTM(3, 5), False, True),
        (GRU(3, 5), False, True),
        (LSTM(3, 5), True, False),
        (GRU(3, 5), True, False),
        (GRU(3, 5, reset="before"), False, False),
        (ElmanRNN(3, 5), False, False),
        (Stack((GRU(3, 5), LSTM(5, 4))), False, False),
    ):
        params = drawn(layer)
        lengths = np.array([5, 2, 0]) if masked else None
        given = arguments(np.random.default_rng(0), layer, np.float64)[:2]
        error = worst_error(to_keras(layer, params), layer, params, *given, lengths)
        assert error < 1e-12 if exact else 1e-9 < error < 1e-6
    # A wrapper without dtype= rounds to float32.
    assert K.Bidirectional(K.LSTM(5, dtype="float64"))(x).dtype == torch.float32
    assert K.RNN([K.GRUCell(5, dtype="float64")], dtype="float64").cell.compute_dtype == "float32"
    # A list of one LSTM cell and a mask.
    one = K.RNN(K.StackedRNNCells([K.LSTMCell(5)]))
    one(x)
    with pytest.raises(IndexError):
        one(x, mask=mask)
    # Both directions, of different kinds: half of three states each; of different sizes: the shape.
    both = K.Bidirectional(
        K.LSTM(5, return_state=True),
        backward_layer=K.GRU(4, return_state=True, go_backwards=True),
    )
    output, *states = both(x)
    assert tuple(output.shape) == (2, 9) and len(states) == 3
    assert both.compute_output_shape((2, 4, 3))[0] == (2, 10)
    with pytest.raises((IndexError, ValueError, TypeError)):
        both(x, initial_state=states)
    # The output behind the end of a row is repeated, or 0; backwards it comes first.
    for zero, expected in ((False, "repeated"), (True, "zero")):
        output = array(
            filled_keras(K.GRU(5, return_sequences=True, zero_output_for_mask=zero))(x, mask=mask)
        )
        assert np.array_equal(output[1, 3], output[1, 1] if expected == "repeated" else np.zeros(5))
    back = filled_keras(K.GRU(5, return_sequences=True, go_backwards=True))
    assert not array(back(x, mask=mask))[1, :2].any()


def test_different_kinds_in_both_directions_are_read():
    """Keras can run them from its zero state, and no other."""
    both = K.Bidirectional(
        K.LSTM(5, return_state=True, return_sequences=True),
        backward_layer=K.GRU(4, return_state=True, return_sequences=True, go_backwards=True),
    )
    layer, params = from_keras(filled_keras(both))
    given = arguments(np.random.default_rng(0), layer, np.float32, initial=False)
    assert worst_error(both, layer, params, *given) < TOLERANCE[SINGLE]


# The table, the import, the examples.

GROUPS = {
    "SimpleRNN": ElmanRNN(3, 5),
    "SimpleRNN relu": ElmanRNN(3, 5, "relu"),
    "LSTM": LSTM(3, 5),
    "LSTM hard_sigmoid, softsign": LSTM(
        3, 5, activations=(Activation("hard_sigmoid", 1 / 6), "softsign", "softsign")
    ),
    "GRU reset after": GRU(3, 5),
    "GRU reset before": GRU(3, 5, reset="before"),
    "GRU go_backwards": Reverse(GRU(3, 5)),
    "RNN of LSTM, GRU, SimpleRNN": Stack((LSTM(3, 5), GRU(5, 4), ElmanRNN(4, 2))),
    "Bidirectional LSTM": Bidirectional(LSTM(3, 5), LSTM(3, 4)),
    "Bidirectional GRU reset before": Bidirectional(
        GRU(3, 5, reset="before"), GRU(3, 4, reset="before")
    ),
    "Bidirectional of lists": Bidirectional(
        Stack((GRU(3, 5), LSTM(5, 4))), Stack((LSTM(3, 4), ElmanRNN(4, 2)))
    ),
}


def test_table_of_errors(record_property):
    seeds, columns = 5, list(itertools.product(TOLERANCE, (False, True)))
    lines = [
        f"worst error against Keras {keras.__version__} on torch, of output and final states, "
        f"{seeds} random cases each, T=5, N=3;\n"
        "relative to the largest number or 1; float64: with matrix products in float64 as on "
        "TensorFlow, and as they are;\nragged: rows of different length",
        f"{'layer':32}"
        + "".join(
            f"{mode.replace(' as Keras runs it', ' (32)') + (' ragged' if ragged else ''):>20}"
            for mode, ragged in columns
        ),
    ]
    for name, layer in GROUPS.items():
        worst = dict.fromkeys(columns, 0.0)
        for mode in TOLERANCE:
            for seed in range(seeds):
                rng = np.random.default_rng(seed)
                params = random_params(rng, layer, DTYPE[mode])
                theirs = to_keras(layer, params)
                for ragged in (False, True):
                    given = arguments(rng, layer, DTYPE[mode], ragged=ragged)
                    with precision(mode):
                        error = worst_error(theirs, layer, params, *given)
                    assert error < TOLERANCE[mode], (name, mode, ragged)
                    worst[mode, ragged] = max(worst[mode, ragged], error)
        lines.append(f"{name:32}" + "".join(f"{worst[column]:20.0e}" for column in columns))
    record_property("table", "\n".join(lines))


def test_import_needs_numpy_alone_and_says_what_to_install():
    code = (
        "import sys; sys.modules['keras'] = sys.modules['torch'] = None\n"
        "before = set(sys.modules)\n"
        "from rnn_ref.interop.keras import from_keras, to_keras\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names)))\n"
        "import numpy, rnn_ref\n"
        "layer = rnn_ref.GRU(3, 5)\n"
        "params = layer.init_params(numpy.random.default_rng(0))\n"
        "for convert in (lambda: from_keras(layer), lambda: to_keras(layer, params)):\n"
        "    try:\n"
        "        convert()\n"
        "    except ModuleNotFoundError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    first, *messages = done.stdout.splitlines()
    assert first == "['numpy', 'rnn_ref']"
    assert len(messages) == 2
    assert all("pip install 'rnn-ref[keras,torch]'" in message for message in messages)
