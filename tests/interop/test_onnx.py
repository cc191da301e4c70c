"""RNN, GRU and LSTM of ONNX, beside implementations that share no code with ``rnn_ref``.

onnxruntime runs every feature of the operators, in float32 and with ``layout`` 0; the reference
evaluator of the package onnx runs float64 and ``layout`` 1, and few features. All weights, biases
and states are random: most of ONNX's own node tests have one constant for all weights, which the
order of the gates leaves as it is.
"""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
import warnings
from itertools import product

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from rnn_ref import (
    GRU,
    LSTM,
    SRU,
    Activation,
    Bidirectional,
    ElmanRNN,
    Reverse,
    Stack,
    relative_error,
)
from rnn_ref.interop.onnx import from_onnx, to_onnx
from rnn_ref.tree import flat, map_arrays, named_arrays

onnxruntime.set_default_logger_severity(4)  # it logs each refused model to stderr

# onnxruntime's tanh and sigmoid are polynomials, up to 6e-7 off, which the recurrence adds up.
FLOAT32, FLOAT64 = 1e-5, 1e-12
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUTS = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
CELLS = {"RNN": ElmanRNN, "GRU": GRU, "LSTM": LSTM}


# Models with one node, in ONNX's own terms: what from_onnx must read.


def normal(rng, *shape, dtype=np.float32):
    return (0.5 * rng.standard_normal(shape)).astype(dtype)


def arrays_of(op, rng, T=5, N=3, D=3, H=4, directions=1, dtype=np.float32, layout=0):
    """Random inputs of a node; those of index 4 and on are all optional."""
    G = GATES[op]
    shapes = {
        "X": (T, N, D),
        "W": (directions, G * H, D),
        "R": (directions, G * H, H),
        "B": (directions, 2 * G * H),
        "initial_h": (directions, N, H),
    }
    if op == "LSTM":
        shapes |= {"initial_c": (directions, N, H), "P": (directions, 3 * H)}
    if layout:
        for name in {"X", "initial_h", "initial_c"} & shapes.keys():
            shapes[name] = (shapes[name][1], shapes[name][0], shapes[name][2])
    found = {name: normal(rng, *shape, dtype=dtype) for name, shape in shapes.items()}
    return found | {"sequence_lens": rng.integers(1, T + 1, N).astype(np.int32)}


def model_of(op, arrays, held=(), opset=22, valid=True, **attributes):
    """A model with one node; the arrays named in ``held`` are initializers, the others inputs."""
    names = [name if name in arrays else "" for name in INPUTS]
    while not names[-1]:
        names.pop()
    outputs = ["Y", "Y_h"] + ["Y_c"] * (op == "LSTM")
    node = helper.make_node(op, names, outputs, name="cell", **attributes)
    element = helper.np_dtype_to_tensor_dtype(arrays["X"].dtype)
    values = {
        name: helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in arrays.items()
        if name not in held
    }
    results = [
        helper.make_tensor_value_info(name, element, [f"{name}{k}" for k in range(rank)])
        for name, rank in zip(outputs, (4, 3, 3), strict=False)
    ]
    graph = helper.make_graph(
        [node],
        "one node",
        list(values.values()),
        results,
        [numpy_helper.from_array(arrays[name], name) for name in held],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets)
    )
    if valid:
        onnx.checker.check_model(model, full_check=True)
    return model


def runtime(model, arrays):
    """All outputs by onnxruntime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    wanted = {value.name for value in session.get_inputs()}
    return session.run(None, {k: v for k, v in arrays.items() if k in wanted})


def run_node(model, arrays):
    """All outputs by the layer that from_onnx reads."""
    (node,) = from_onnx(model)
    given = {name: arrays[name] for name in node.inputs}
    return node.run(**given)


def worst_error(found, expected):
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    return max(error_of(a, b) for a, b in zip(found, expected, strict=True))


def error_of(ours, theirs):
    """The largest difference, relative to the largest value where that is above 1."""
    return float(np.abs(ours - theirs).max(initial=0) / np.abs(theirs).max(initial=1))


class Worst:
    """The worst error by group, for a table at the end of pytest's output."""

    def __init__(self, title, tolerance):
        self.title, self.tolerance, self.rows = title, tolerance, {}

    def add(self, group, error):
        worst, number = self.rows.get(group, (0.0, 0))
        self.rows[group] = max(worst, error), number + 1
        assert error <= self.tolerance, (group, error)

    def record(self, record_property):
        lines = [self.title] + [
            f"{group:24} {number:5} cases {worst:8.0e}"
            for group, (worst, number) in sorted(self.rows.items())
        ]
        record_property("table", "\n".join(lines))


# Continuous ones: where a function jumps, two roundings of its argument may fall on either side.
NUMBERS = {
    "Sigmoid": "",
    "Tanh": "",
    "Relu": "",
    "Affine": "ab",
    "LeakyRelu": "a",
    "ScaledTanh": "ab",
    "HardSigmoid": "ab",
    "Elu": "a",
    "Softsign": "",
    "Softplus": "",
}


@st.composite
def nodes(draw, op, direction):
    """Sizes, attributes and inputs of a node, and which of these the model holds."""
    directions = 1 + (direction == "bidirectional")
    attributes = {"direction": direction}
    if op == "GRU":
        attributes["linear_before_reset"] = draw(st.sampled_from([0, 1]))
    if op == "LSTM":
        attributes["input_forget"] = draw(st.sampled_from([0, 1]))
    if draw(st.booleans()):
        attributes["clip"] = draw(st.sampled_from([0.3, 0.75, 1.6]))
    if draw(st.booleans()):
        number = {"RNN": 1, "GRU": 2, "LSTM": 3}[op] * directions
        names = draw(st.lists(st.sampled_from(sorted(NUMBERS)), min_size=number, max_size=number))
        attributes["activations"] = names
        # With defaults for the last functions, where all that follow have them.
        alphas = [0.1 + 0.2 * k for k, name in enumerate(names) if "a" in NUMBERS[name]]
        betas = [0.5 - 0.1 * k for k, name in enumerate(names) if "b" in NUMBERS[name]]
        if not {"Affine", "ScaledTanh"} & set(names) and draw(st.booleans()):
            alphas, betas = alphas[:-1], betas[:-1]
        attributes |= {"activation_alpha": alphas} if alphas else {}
        attributes |= {"activation_beta": betas} if betas else {}
    T, N, D, H = (draw(st.integers(1, top)) for top in (6, 3, 4, 4))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    arrays = arrays_of(op, rng, T, N, D, H, directions)
    states = {"initial_h", "initial_c"} & arrays.keys()
    for name in ["B", "sequence_lens", "P", "initial_h", "initial_c"]:
        if name in arrays and draw(st.booleans()):
            del arrays[name]
    held = {"W", "R", "B", "P"} & arrays.keys()
    held |= draw(st.sampled_from([set(), {"sequence_lens"}])) & arrays.keys()
    held |= draw(st.sampled_from([set(), states])) & arrays.keys()
    return attributes | {"hidden_size": H}, arrays, held


def test_every_feature_matches_onnxruntime(record_property):
    worst = Worst("worst error of from_onnx against onnxruntime, float32", FLOAT32 / 5)

    @given(st.data())
    def check(op, direction, data):
        attributes, arrays, held = data.draw(nodes(op, direction))
        model = model_of(op, arrays, sorted(held), **attributes)
        error = worst_error(run_node(model, arrays), runtime(model, arrays))
        worst.add(f"{op} {direction}", error)

    for op, direction in product(GATES, ["forward", "reverse", "bidirectional"]):
        check(op, direction)
    worst.record(record_property)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("choice", ["ThresholdedRelu", *NUMBERS])
def test_each_activation_in_each_place(op, choice):
    """Beside plain ones, so that a function in the wrong place or another's number shows."""
    plain = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}[op]
    needs = "a" if choice == "ThresholdedRelu" else NUMBERS[choice]
    for place in range(2 * len(plain)):
        names = plain + plain
        names[place] = choice
        attributes = {"activations": names, "direction": "bidirectional", "hidden_size": 4}
        attributes |= {"activation_alpha": [0.35]} if "a" in needs else {}
        attributes |= {"activation_beta": [0.65]} if "b" in needs else {}
        arrays = arrays_of(op, np.random.default_rng(place), directions=2)
        model = model_of(op, arrays, ["W", "R", "B"], **attributes)
        (node,) = from_onnx(with_values(model, arrays, "P"))
        assert (
            worst_error(run_node(with_values(model, arrays, "P"), arrays), runtime(model, arrays))
            <= FLOAT32
        )
        cell = (node.layer.forward_layer, node.layer.backward_layer)[place // len(plain)]
        own = cell.nonlinearity if op == "RNN" else cell.activations[place % len(plain)]
        if "a" in needs:
            assert own.alpha == 0.35  # the shortest decimal of the float32
        if "b" in needs:
            assert own.beta == 0.65


def with_values(model, arrays, *names):
    """The same model with further inputs turned into initializers."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for name in names:
        if name in arrays:
            changed.graph.initializer.append(numpy_helper.from_array(arrays[name], name))
    return changed


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("RNN", {}),
        ("GRU", {"linear_before_reset": 0}),
        ("GRU", {"linear_before_reset": 1}),
        ("LSTM", {}),
    ],
    ids=["RNN", "GRU before", "GRU after", "LSTM"],
)
def test_float64_and_layout_match_the_reference_evaluator(op, attributes, layout):
    """Of what it does not ignore: biases, initial states, peepholes."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        arrays = arrays_of(op, rng, dtype=np.float64, layout=layout)
        del arrays["sequence_lens"]
        model = model_of(
            op,
            arrays,
            ["W", "R", "B", *["P"] * (op == "LSTM")],
            layout=layout,
            hidden_size=4,
            **attributes,
        )
        expected = ReferenceEvaluator(model).run(
            None, {k: arrays[k] for k in ("X", "initial_h", "initial_c") if k in arrays}
        )
        found = run_node(model, arrays)
        assert found[0].dtype == np.float64
        assert worst_error(found, [np.asarray(e) for e in expected]) <= FLOAT64


# ONNX's own node tests.

OFFICIAL = [
    "test_gru_batchwise",
    "test_gru_bidirectional",
    "test_gru_defaults",
    "test_gru_reverse",
    "test_gru_seq_length",
    "test_gru_with_initial_bias",
    "test_lstm_batchwise",
    "test_lstm_bidirectional",
    "test_lstm_defaults",
    "test_lstm_reverse",
    "test_lstm_with_initial_bias",
    "test_lstm_with_peepholes",
    "test_rnn_seq_length",
    "test_simple_rnn_batchwise",
    "test_simple_rnn_bidirectional",
    "test_simple_rnn_defaults",
    "test_simple_rnn_reverse",
    "test_simple_rnn_with_initial_bias",
]


@pytest.fixture(scope="module")
def official():
    """The cases by name. Importing these three files makes them; ``collect_testcases`` would make
    those of all operators, for a quarter of a minute.
    """
    cases = importlib.import_module("onnx.backend.test.case.node")
    for op in ("rnn", "gru", "lstm"):
        importlib.import_module(f"onnx.backend.test.case.node.{op}")
    return {
        case.name: case
        for case in cases._NodeTestCases
        if case.model.graph.node[0].op_type in GATES
    }


def run_official(case, change=lambda values: values):
    """Ours and the expected outputs of a case; ``change`` may spoil its weights."""
    (operator,) = case.model.graph.node
    ((inputs, expected),) = case.data_sets
    arrays = dict(zip((v.name for v in case.model.graph.input), inputs, strict=True))
    values = {name: arrays[name] for name in operator.input[1:] if name}
    (node,) = from_onnx(case.model, values=change(values))
    assert node.inputs == {"X": "X"} and set(node.outputs.values()) == {
        v.name for v in case.model.graph.output
    }
    found = dict(zip(("Y", "Y_h", "Y_c"), node.run(arrays["X"]), strict=False))
    return [found[name] for name in node.outputs], expected


def test_there_are_18_official_node_tests(official):
    assert sorted(official) == OFFICIAL and len(official) == 18


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_node_test(official, name):
    case = official[name]
    found, expected = run_official(case)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=case.rtol, atol=case.atol)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_official_node_tests_hardly_see_the_order_of_gates(official):
    """Why they are not enough: with the blocks in reverse order, one of twelve fails."""
    seen = []
    for name in [n for n in OFFICIAL if "rnn" not in n]:
        G = GATES["GRU" if "gru" in name else "LSTM"]

        def turned(values, G=G):
            blocks = {"W": G, "R": G, "B": 2 * G, "P": 3}
            return {
                k: np.concatenate(np.split(v, blocks[k], axis=1)[::-1], axis=1)
                if k in blocks
                else v
                for k, v in values.items()
            }

        found, expected = run_official(official[name], turned)
        if not all(np.allclose(a, b, rtol=1e-3) for a, b in zip(found, expected, strict=True)):
            seen.append(name)
    assert seen == ["test_gru_seq_length"]


# Models of other makers


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_a_model_that_pytorch_exported(kind):
    """Two layers, both directions: two nodes, whose initial states other nodes compute."""
    torch.manual_seed(3)
    module = getattr(torch.nn, kind)(3, 5, num_layers=2, bidirectional=True).eval()
    x, file = torch.randn(6, 1, 3), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older one; the other needs more
        torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"])
    nodes = from_onnx(onnx.load_from_string(file.getvalue()))
    assert len(nodes) == 2 and nodes[0].inputs["X"] == "x"
    layer = Stack([node.layer for node in nodes])
    assert layer == Stack([Bidirectional(CELLS[kind](D, 5), CELLS[kind](D, 5)) for D in (3, 10)])
    params = tuple(node.params for node in nodes)
    for name, value in named_arrays(params).items():
        depth, direction, field = name.split(".")
        theirs = f"{field}_l{depth}" + "_reverse" * (direction == "backward_layer")
        np.testing.assert_array_equal(value, getattr(module, theirs).detach().numpy())
    with torch.no_grad():
        expected = module(x)[0].numpy()
    assert relative_error(layer.forward(params, x.numpy())[0], expected) <= FLOAT32


def test_several_nodes_and_what_connects_them():
    """Held by initializers, Constant and Identity; in the main graph, a branch and a function."""
    rng = np.random.default_rng(0)
    weights = {k: v for k, v in arrays_of("GRU", rng).items() if k in "WRB"}
    constant = helper.make_node(
        "Constant", [], ["W"], value=numpy_helper.from_array(weights["W"], "")
    )
    same = helper.make_node("Identity", ["R_0"], ["R"])
    first = helper.make_node("GRU", ["x", "W", "R", "B"], ["", "a"], hidden_size=4)
    inner = helper.make_node("GRU", ["x", "W", "R", "", "", "h"], ["b"], name="inner")
    branch = helper.make_graph(
        [inner], "branch", [], [helper.make_tensor_value_info("b", TensorProto.FLOAT, None)]
    )
    decide = helper.make_node("If", ["yes"], ["c"], then_branch=branch, else_branch=branch)
    used = helper.make_node("Twice", ["x", "W", "R"], ["d"], domain="own")
    function = helper.make_function(
        "own",
        "Twice",
        ["x", "W", "R"],
        ["d"],
        [helper.make_node("GRU", ["x", "W", "R"], ["d"], linear_before_reset=1)],
        [helper.make_opsetid("", 22)],
    )
    graph = helper.make_graph(
        [constant, same, first, decide, used],
        "several",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "N", 3])],
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights["R"], "R_0"), numpy_helper.from_array(weights["B"], "B")],
    )
    opsets = [helper.make_opsetid("", 22), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets)
    found = from_onnx(model)
    assert [node.name for node in found][:3] == ["a", "inner", "inner"]
    assert [node.layer.reset for node in found] == ["before", "before", "before", "after"]
    assert found[0].outputs == {"Y_h": "a"} and found[0].inputs == {"X": "x"}
    assert found[1].inputs == {"X": "x", "initial_h": "h"}
    assert found[0].params.bias_ih.any() and not found[1].params.bias_ih.any()
    with pytest.raises(ValueError, match=r"^initial_h: expected an array.*'inner'.*tensor 'h'"):
        found[1].run(np.ones((2, 1, 3), np.float32))
    for node in found:
        np.testing.assert_array_equal(node.params.weight_ih, found[0].params.weight_ih)
    given = from_onnx(model, values={"h": np.ones((1, 2, 4), np.float32)})
    assert given[1].inputs == {"X": "x"} and given[1].state.h.shape == (2, 4)


def test_a_path_and_other_files(tmp_path):
    arrays = arrays_of("LSTM", np.random.default_rng(0))
    model = model_of(
        "LSTM", arrays, ["W", "R", "B", "P", "sequence_lens", "initial_h", "initial_c"]
    )
    expected = run_node(model, arrays)
    onnx.save(model, tmp_path / "model.onnx")
    onnx.save(
        model,
        tmp_path / "apart.onnx",
        save_as_external_data=True,
        size_threshold=0,
        location="weights",
    )
    for path in (tmp_path / "model.onnx", str(tmp_path / "apart.onnx")):
        for ours, theirs in zip(run_node(path, arrays), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    alone = onnx.load(tmp_path / "apart.onnx", load_external_data=False)
    with pytest.raises(ValueError, match=r"^node 'cell', W: .*another file"):
        from_onnx(alone)


def test_what_a_node_holds_has_the_layers_own_form():
    """State and lengths, whatever the layout; and one of h and c alone leaves the other zero."""
    for layout in (0, 1):
        arrays = arrays_of("LSTM", np.random.default_rng(0), directions=2, layout=layout)
        held = ["W", "R", "B", "P", "sequence_lens", "initial_h", "initial_c"]
        attributes = {"direction": "bidirectional", "layout": layout}
        (node,) = from_onnx(model_of("LSTM", arrays, held, **attributes))
        first = arrays["initial_c"][:, 1] if layout else arrays["initial_c"][1]
        np.testing.assert_array_equal(node.state.backward_layer.c, first)
        np.testing.assert_array_equal(node.lengths, arrays["sequence_lens"])
        assert node.batch_first is bool(layout)
        x = arrays["X"].swapaxes(0, 1) if layout else arrays["X"]
        output, final, _ = node.layer.forward(node.params, x, node.state, node.lengths)
        Y, Y_h, _ = node.run(arrays["X"])
        if layout:
            np.testing.assert_array_equal(Y.reshape(3, 5, 8), output.swapaxes(0, 1))
            np.testing.assert_array_equal(Y_h[:, 0], final.forward_layer.h)
        # Given ones take the place of those held.
        zeros = np.zeros_like(arrays["initial_h"])
        other = node.run(arrays["X"], np.full(3, 5), zeros, zeros)
        assert not np.allclose(other[0], Y)
        del arrays["initial_h"], held[5]
        (node,) = from_onnx(model_of("LSTM", arrays, held, **attributes))
        assert not node.state.forward_layer.h.any() and node.state.forward_layer.c.any()


# Writing


def activations_of(number, fine):
    """Strategy of that many; ``fine`` numbers are those of float32."""
    numbers = st.sampled_from([0.125, 0.5, 0.875] if fine else [0.1, 0.35, 0.9])
    ab = ["affine", "scaled_tanh", "hard_sigmoid"]
    one = st.one_of(
        st.sampled_from(["sigmoid", "tanh", "relu", "softsign", "softplus", "elu"]),
        st.builds(Activation, st.sampled_from(["leaky_relu", "elu"]), numbers),
        st.builds(Activation, st.sampled_from(ab), numbers, numbers),
    )
    return st.tuples(*[one] * number)


@st.composite
def cells(draw, D, H, fine):
    """A cell, and the same with other activations for the other direction."""
    kind = draw(st.sampled_from([ElmanRNN, GRU, LSTM]))
    choices = {"clip": draw(st.sampled_from([None, 0.5, 1.5]))}
    if kind is GRU:
        choices["reset"] = draw(st.sampled_from(["before", "after"]))
    if kind is LSTM:
        choices["peephole"], choices["coupled"] = draw(st.booleans()), draw(st.booleans())
    number = {ElmanRNN: 1, GRU: 2, LSTM: 3}[kind]
    both = []
    for _ in range(2):
        if draw(st.booleans()):
            a = draw(activations_of(number, fine))
            own = {"nonlinearity": a[0]} if kind is ElmanRNN else {"activations": a}
            both.append(kind(D, H, **choices, **own))
        else:
            both.append(kind(D, H, **choices))
    return both


@st.composite
def layers(draw, fine=False):
    """A cell, reversed or in both directions, or a stack of them, nested or not."""
    D, parts = draw(st.integers(1, 4)), []
    for _ in range(draw(st.integers(1, 3))):
        one, other = draw(cells(D, draw(st.integers(1, 4)), fine))
        parts.append(draw(st.sampled_from([one, Reverse(one), Bidirectional(one, other)])))
        D = parts[-1].output_size
    if len(parts) == 1:
        return draw(st.sampled_from([parts[0], Stack(parts)]))
    return draw(st.sampled_from([Stack(parts), Stack([Stack(parts[:-1]), parts[-1]])]))


def arguments(layer, rng, dtype=np.float32, T=5, N=3):
    def like(a):
        return normal(rng, *a.shape, dtype=dtype)

    params = map_arrays(like, layer.init_params(rng, dtype))
    state = map_arrays(like, layer.zero_state(N, dtype))
    return params, normal(rng, T, N, layer.input_size, dtype=dtype), state


def flattened(layer):
    if not isinstance(layer, Stack):
        return [layer]
    return [part for inner in layer.layers for part in flattened(inner)]


def packed(layer, state, directions_at=0):
    """States in ONNX's shapes, (directions, N, H), from the lowest layer up."""
    if isinstance(layer, Stack):
        pairs = zip(layer.layers, state, strict=True)
        return [a for part, s in pairs for a in packed(part, s, directions_at)]
    both = list(state) if isinstance(layer, Bidirectional) else [state]
    return [np.stack(fields, directions_at) for fields in zip(*both, strict=True)]


def assert_identical(found, expected):
    assert list(named_arrays(found)) == list(named_arrays(expected))
    for value, wanted in zip(flat(found), flat(expected), strict=True):
        assert value.dtype == wanted.dtype
        np.testing.assert_array_equal(value, wanted)


def assert_comes_back(model, layer, params, state, lengths, batch_first=False):
    """From the model come the same layers, and arrays that are identical."""
    nodes = from_onnx(model)
    assert [node.layer for node in nodes] == flattened(layer)
    for node in nodes:
        assert node.batch_first is batch_first
        if isinstance(lengths, np.ndarray):
            np.testing.assert_array_equal(node.lengths, lengths)
        else:
            assert node.lengths is None
            assert ("sequence_lens" in node.inputs) == (lengths == "input")
        if state is None or isinstance(state, str):
            assert node.state is None
            assert ("initial_h" in node.inputs) == (state == "input")
    assert flat(tuple(n.params for n in nodes)) != []
    for value, wanted in zip(flat(tuple(n.params for n in nodes)), flat(params), strict=True):
        assert value.dtype == wanted.dtype
        np.testing.assert_array_equal(value, wanted)
    for node, p in zip(nodes, parts_of(layer, params), strict=True):
        assert_identical(node.params, p)
        assert type(node.params) is type(p)
    if isinstance(state, tuple):
        for node, s in zip(nodes, parts_of(layer, state), strict=True):
            assert_identical(node.state, s)
            assert type(node.state) is type(s)


def parts_of(layer, tree):
    if not isinstance(layer, Stack):
        return [tree]
    pairs = zip(layer.layers, tree, strict=True)
    return [part for inner, sub in pairs for part in parts_of(inner, sub)]


def test_written_models_match_onnxruntime_and_come_back(record_property):
    worst = Worst("worst error of to_onnx against onnxruntime, float32", FLOAT32)
    kinds = st.sampled_from(["none", "input", "held"])

    @settings(max_examples=200)
    @given(layers(), kinds, kinds, st.integers(0, 999))
    def check(layer, how_state, how_lengths, seed):
        rng = np.random.default_rng(seed)
        params, x, state = arguments(layer, rng)
        lengths = rng.integers(1, 6, 3).astype(np.int32)
        s = {"none": None, "input": "input", "held": state}[how_state]
        n = {"none": None, "input": "input", "held": lengths}[how_lengths]
        model = to_onnx(layer, params, state=s, lengths=n)
        onnx.checker.check_model(model, full_check=True)
        feed = {"x": x, "sequence_lens": lengths}
        names = [v.name for v in model.graph.input if v.name.startswith("initial")]
        if names:
            feed |= zip(names, packed(layer, state), strict=True)
        output, final, _ = layer.forward(
            params, x, None if s is None else state, None if n is None else lengths
        )
        expected = runtime(model, feed)
        names = [v.name for v in model.graph.output]
        assert names[0] == "output" and all(name.startswith("final") for name in names[1:])
        depth = "one layer" if len(flattened(layer)) == 1 else "stack"
        worst.add(depth, worst_error([output, *packed(layer, final)], expected))
        assert_comes_back(model, layer, params, s, n)

    check()
    worst.record(record_property)


@settings(max_examples=60)
@given(layers(fine=True), st.booleans(), st.integers(0, 99))
def test_float64_comes_back(layer, batch_first, seed):
    rng = np.random.default_rng(seed)
    params, x, state = arguments(layer, rng, np.float64)
    lengths = rng.integers(0, 6, 3)
    model = to_onnx(layer, params, state=state, lengths=lengths, batch_first=batch_first)
    onnx.checker.check_model(model, full_check=True)
    assert_comes_back(model, layer, params, state, lengths, batch_first)
    # The nodes one after the other, by hand.
    value = x.swapaxes(0, 1) if batch_first else x
    finals = []
    for node in from_onnx(model):
        Y, *last = node.run(value)
        Y = Y if batch_first else Y.transpose(0, 2, 1, 3)
        value = np.ascontiguousarray(Y).reshape(*Y.shape[:2], -1)
        finals += last
    output, final, _ = layer.forward(params, x, state, lengths)
    assert_identical((value,), (output.swapaxes(0, 1) if batch_first else output,))
    assert_identical(tuple(finals), tuple(packed(layer, final, int(batch_first))))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        ElmanRNN(3, 4),
        GRU(3, 4, "before"),
        GRU(3, 4, "after"),
        LSTM(3, 4, peephole=True),
        Stack([LSTM(3, 4), GRU(4, 2), ElmanRNN(2, 5)]),
    ],
    ids=["RNN", "GRU before", "GRU after", "LSTM", "stack"],
)
def test_written_models_match_the_reference_evaluator(layer, batch_first):
    """In float64 and in both layouts."""
    for seed in range(5):
        params, x, state = arguments(layer, np.random.default_rng(seed), np.float64)
        model = to_onnx(layer, params, state="input", batch_first=batch_first)
        names = [v.name for v in model.graph.input if v.name != "x"]
        axis = int(batch_first)
        feed = dict(zip(names, packed(layer, state, axis), strict=True))
        feed["x"] = np.ascontiguousarray(x.swapaxes(0, 1)) if batch_first else x
        expected = ReferenceEvaluator(model).run(None, feed)
        output, final, _ = layer.forward(params, x, state)
        output = output.swapaxes(0, 1) if batch_first else output
        found = [output, *packed(layer, final, axis)]
        assert worst_error([np.ascontiguousarray(f) for f in found], expected) <= FLOAT64


def test_numbers_of_attributes():
    """ONNX stores float32: kept exactly in float64, as shortest decimals in float32."""
    layer = GRU(3, 4, activations=("hard_sigmoid", Activation("elu", 0.3)), clip=0.7)
    p64, x, _ = arguments(layer, np.random.default_rng(0), np.float64)
    p32 = map_arrays(np.float32, p64)
    (node,) = from_onnx(to_onnx(layer, p32))
    assert node.layer == layer and node.layer.activations[0] == "hard_sigmoid"
    (node,) = from_onnx(
        to_onnx(layer, p32), values=dict(zip("WRB", weights_of(layer, p64), strict=True))
    )
    hard, elu = node.layer.activations
    assert (hard.alpha, hard.beta) == (float(np.float32(0.2)), 0.5)
    assert elu.alpha == float(np.float32(0.3)) and node.layer.clip == float(np.float32(0.7))
    for name, bad in (
        ("clip", GRU(3, 4, clip=0.7)),
        ("alpha of hard_sigmoid", GRU(3, 4, activations=("hard_sigmoid", "tanh"))),
        ("beta of affine", GRU(3, 4, activations=("sigmoid", Activation("affine", 0.5, 0.1)))),
    ):
        with pytest.raises(
            ValueError, match=f"^layer: {name}: expected a number of float32.*stores"
        ):
            to_onnx(bad, p64)
        to_onnx(bad, p32)
    with pytest.raises(ValueError, match=r"layers.1..layers.0.: clip: .*float32, .*got 1e.39.*inf"):
        nested = Stack([ElmanRNN(3, 4), Stack([ElmanRNN(4, 4, clip=1e39)])])
        to_onnx(nested, arguments(nested, np.random.default_rng(0))[0])
    # Written out even where they are the default, of which onnxruntime has another.
    layer = ElmanRNN(3, 4, "thresholded_relu")
    params, x, state = arguments(layer, np.random.default_rng(2))
    model = to_onnx(layer, params, state=state)
    output, _, _ = layer.forward(params, 3 * x, state)
    assert relative_error(output, runtime(model, {"x": 3 * x})[0]) <= FLOAT32


def weights_of(layer, params):
    """W, R, B of a GRU by hand: z, r, h out of r, z, n."""
    order = [1, 0, 2]
    W, R, *b = (np.concatenate([np.split(v, 3)[k] for k in order]) for v in params)
    return W[None], R[None], np.concatenate(b)[None]


# What implementations do that the module's text mentions.


def test_facts_of_onnxruntime():
    rng = np.random.default_rng(1)

    def outputs(op, **attributes):
        arrays = arrays_of(op, np.random.default_rng(1))
        arrays = {k: arrays[k] for k in ("X", "W", "R", "B")}
        return arrays, model_of(op, arrays, "WRB", hidden_size=4, **attributes)

    # Defaults: 0 instead of 1 for ThresholdedRelu; 0 and 0 for two that have none.
    arrays, model = outputs("RNN", activations=["ThresholdedRelu"])
    (node,) = from_onnx(model)
    assert node.layer.nonlinearity == "thresholded_relu"
    assert Activation("thresholded_relu").alpha == 1.0
    assert onnx.defs.get_schema("ThresholdedRelu").attributes["alpha"].default_value.f == 1.0
    _, zero = outputs("RNN", activations=["ThresholdedRelu"], activation_alpha=[0.0])
    _, one = outputs("RNN", activations=["ThresholdedRelu"], activation_alpha=[1.0])
    assert worst_error(runtime(model, arrays), runtime(zero, arrays)) == 0
    assert worst_error(run_node(model, arrays), runtime(one, arrays)) <= FLOAT32
    assert worst_error(runtime(model, arrays), runtime(one, arrays)) > 0.1
    for name in ("Affine", "ScaledTanh"):
        arrays, model = outputs("RNN", activations=[name])
        assert not onnx.defs.has(name) and not runtime(model, arrays)[0].any()
        with pytest.raises(ValueError, match=f"activation_alpha: .*{name}, .*no default"):
            from_onnx(model)
    # At the threshold itself.
    arrays = {"X": np.ones((1, 1, 1)), "W": np.ones((1, 1, 1)), "R": np.ones((1, 1, 1))}
    arrays = {k: v.astype(np.float32) for k, v in arrays.items()}
    threshold = {"activations": ["ThresholdedRelu"], "activation_alpha": [1.0], "hidden_size": 1}
    model = model_of("RNN", arrays, "WR", **threshold)
    assert runtime(model, arrays)[0].item() == run_node(model, arrays)[0].item() == 0.0
    assert "x if x >= alpha" in onnx.defs.get_schema("RNN").doc
    # A row without steps: zeros instead of its initial state.
    for op in GATES:
        arrays = arrays_of(op, rng)
        arrays["sequence_lens"] = np.array([5, 0, 2], np.int32)
        held = ["W", "R", "B", "P"] if op == "LSTM" else ["W", "R", "B"]
        model = model_of(op, arrays, held, hidden_size=4)
        ours, theirs = run_node(model, arrays), runtime(model, arrays)
        np.testing.assert_array_equal(ours[1][0, 1], arrays["initial_h"][0, 1])
        assert not theirs[1][0, 1].any() and not ours[0][:, :, 1].any()
        rest = [[a[..., [0, 2], :] for a in found] for found in (ours, theirs)]
        assert worst_error(*rest) <= FLOAT32
        # Neither layout 1 nor float64.
        for dtype, layout in ((np.float32, 1), (np.float64, 0)):
            arrays = arrays_of(op, rng, dtype=dtype, layout=layout)
            model = model_of(op, arrays, held, hidden_size=4, layout=layout)
            with pytest.raises(Exception, match=r"layout_ == 0|NOT_IMPLEMENTED|not support double"):
                runtime(model, arrays)


def test_facts_of_the_reference_evaluator():
    """What it ignores, so that it can be no oracle there."""
    for op, ignored in (
        ("RNN", {"clip": 0.1}),
        ("GRU", {"clip": 0.1}),
        ("LSTM", {"clip": 0.1}),
        ("LSTM", {"input_forget": 1}),
        ("GRU", {"activations": ["Relu", "Relu"]}),
        ("LSTM", {"activations": ["Relu"] * 3}),
        ("GRU", {"sequence_lens": True}),
    ):
        arrays = arrays_of(op, np.random.default_rng(0))
        attributes = dict(ignored)
        if not attributes.pop("sequence_lens", False):
            del arrays["sequence_lens"]
        model = model_of(op, arrays, "WRB", hidden_size=4, **attributes)
        feed = {v.name: arrays[v.name] for v in model.graph.input}
        theirs = ReferenceEvaluator(model).run(None, feed)
        expected = runtime(model, feed)
        assert relative_error(np.asarray(theirs[1]), expected[1]) > 1e-2, (op, ignored)


# Refusals


def changed(op="LSTM", held="WRBP", opset=22, arrays=None, **attributes):
    drawn = arrays_of(op, np.random.default_rng(0))
    drawn = {k: drawn[k] for k in ("X", "W", "R", "B", *["P"] * (op == "LSTM"))} | (arrays or {})
    drawn = {k: v for k, v in drawn.items() if v is not None}
    model = model_of(op, drawn, valid=False, hidden_size=4)
    model.opset_import[0].version = opset
    node = model.graph.node[0]
    for name, value in attributes.items():
        for old in [a for a in node.attribute if a.name == name]:
            node.attribute.remove(old)
        node.attribute.append(helper.make_attribute(name, value))
    for name in held:
        if name in drawn:
            model.graph.initializer.append(numpy_helper.from_array(drawn[name], name))
    return model


def f32(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (7, TypeError, r"^model: expected an onnx\.ModelProto or a path, got builtins\.int"),
        (changed(opset=6), ValueError, "^model: expected operator set 7 or newer, got 6"),
        (changed(held="RBP"), ValueError, "^node 'cell', W: .*tensor 'W'.*values={'W': array}"),
        (changed(held="WRB"), ValueError, "^node 'cell', P: .*tensor 'P'"),
        (changed(dropout=0.5), ValueError, "^node 'cell', attribute dropout: expected one of act"),
        (changed("GRU", input_forget=1), ValueError, "attribute input_forget: .*linear_before_re"),
        (changed("RNN", linear_before_reset=1), ValueError, "attribute linear_before_reset: "),
        (changed(output_sequence=1), ValueError, "attribute output_sequence: "),
        (changed(hidden_size=5), ValueError, r"^node 'cell', R: .*\(directions=1, 4H=20, H=5\)"),
        (changed(hidden_size=4.0), TypeError, "^node 'cell', hidden_size: expected int, got float"),
        (changed(direction="both"), ValueError, "direction: expected one of .*got 'both'"),
        (changed(direction="bidirectional"), ValueError, r"R: .*directions=2.*got \(1, 16, 4\)"),
        (changed(layout=2), ValueError, "layout: expected one of .0, 1., got 2"),
        (changed(clip=0.0), ValueError, "^node 'cell', clip: expected a positive finite number"),
        (changed(activations=["Tanh"]), ValueError, "activations: expected 3, .* got 1: Tanh"),
        (changed("RNN", activations=["Relu"] * 2), ValueError, "activations: expected 1, .*got 2"),
        (changed("RNN", activations=["Gelu"]), ValueError, "activations: .*Softplus, got 'Gelu'"),
        (
            changed("RNN", activations=["LeakyRelu"], activation_alpha=[-0.5]),
            ValueError,
            "^node 'cell', activations, LeakyRelu: alpha: expected at least 0",
        ),
        (
            changed("RNN", activations=["ScaledTanh"], activation_alpha=[0.5]),
            ValueError,
            "activation_beta: expected a number for ScaledTanh, .*no default",
        ),
        (
            changed("GRU", activations=["Tanh", "Elu"], activation_alpha=[0.5, 0.3]),
            ValueError,
            "activation_alpha: expected at most 1 numbers, since they are consumed in order.*got 2",
        ),
        (
            changed(arrays={"W": f32(1, 12, 3)}, held="WRBP"),
            ValueError,
            r"^node 'cell', W: expected shape \(directions=1, 4H=16, D\), got \(1, 12, 3\)",
        ),
        (changed(arrays={"B": f32(1, 16)}), ValueError, r"B: .*8H=32\), got \(1, 16\)"),
        (changed(arrays={"P": f32(1, 16)}), ValueError, r"P: .*3H=12\), got \(1, 16\)"),
        (
            changed(arrays={"B": np.ones((1, 32))}),
            TypeError,
            "^node 'cell', B: expected float32.*got float64",
        ),
        (
            changed("GRU", arrays={"R": np.ones((1, 12, 4), np.float16)}),
            TypeError,
            "R: expected float32 or float64, got float16",
        ),
        (
            changed(
                arrays={"initial_h": f32(1, 3, 4), "initial_c": f32(1, 3, 4)},
                held=["W", "R", "B", "P", "initial_h"],
            ),
            ValueError,
            "initial_c: expected values in the model.*'initial_c'",
        ),
        (
            changed(
                arrays={"initial_h": f32(1, 3, 4), "initial_c": f32(1, 2, 4)},
                held=["W", "R", "B", "P", "initial_h", "initial_c"],
            ),
            ValueError,
            r"initial_c: .*\(directions=1, N=3, H=4\), got \(1, 2, 4\)",
        ),
        (
            changed(
                arrays={"sequence_lens": np.array([1, -1], np.int32)},
                held=["W", "R", "B", "P", "sequence_lens"],
            ),
            ValueError,
            "^node 'cell', sequence_lens: expected from 0, got from -1 to 1",
        ),
    ],
)
def test_from_onnx_refuses(model, error, message):
    with pytest.raises(error, match=message):
        from_onnx(model)


def test_from_onnx_refuses_more():
    relu = helper.make_node("Relu", ["x"], ["y"])
    graph = helper.make_graph([relu], "none", [], [])
    with pytest.raises(ValueError, match=r"^model: expected a node RNN, GRU or LSTM, got Relu"):
        from_onnx(helper.make_model(graph))
    model = changed()
    with pytest.raises(ValueError, match=r"^values: .*\(B, P, R, W\), got V"):
        from_onnx(model, values={"V": f32(1)})
    with pytest.raises(TypeError, match=r"^values: expected arrays by name, got list"):
        from_onnx(model, values=[f32(1)])
    with pytest.raises(TypeError, match=r"^node 'cell', W: expected an array.*got list"):
        from_onnx(model, values={"W": [1.0]})
    del model.graph.node[0].input[2:]
    with pytest.raises(ValueError, match=r"^node 'cell', R: expected a tensor, got none"):
        from_onnx(model)
    model = changed("GRU")
    model.graph.node[0].input.extend(["", "", "W"])
    with pytest.raises(
        ValueError, match=r"^node 'cell', input: expected X, W, .*initial_h, got mo"
    ):
        from_onnx(model)


def test_numbers_that_no_function_takes_mean_nothing():
    """And RNN's default of two functions is accepted in one direction, written out."""
    (node,) = from_onnx(changed(activation_alpha=[0.5], activation_beta=[0.1]))
    assert node.layer == LSTM(3, 4, peephole=True)
    (node,) = from_onnx(changed("RNN", activations=["Tanh", "Tanh"]))
    assert node.layer == ElmanRNN(3, 4)
    (node,) = from_onnx(changed("GRU", activations=["sigmoid", "RELU"]))
    assert node.layer.activations == ("sigmoid", "relu")


def test_run_refuses():
    (node,) = from_onnx(changed("GRU"))
    x = f32(5, 3, 3)
    for arguments, error, message in (
        ((x[0],), ValueError, r"^X: expected shape \(T, N, D=3\), got \(3, 3\)"),
        ((x.astype(float),), TypeError, "^X: expected float32"),
        ((x, [5, 5, 5]), TypeError, "^sequence_lens: expected an array of integers"),
        ((x, np.array([6, 5, 5])), ValueError, "^sequence_lens: .*0 to T=5, got from 5 to 6"),
        ((x, np.array([5, 5])), ValueError, r"^sequence_lens: .*\(N=3,\), got \(2,\)"),
        ((x, None, f32(1, 2, 4)), ValueError, r"^initial_h: .*\(directions=1, N=3, H=4\), got"),
        ((x, None, None, f32(1, 3, 4)), ValueError, "^initial_c: .*GRU has no c"),
    ):
        with pytest.raises(error, match=message):
            node.run(*arguments)
    (node,) = from_onnx(changed("GRU", layout=1))
    with pytest.raises(ValueError, match=r"^X: expected shape \(N, T, D=3\)"):
        node.run(x[..., :2])
    with pytest.raises(ValueError, match=r"^initial_h: .*\(N=5, directions=1, H=4\)"):
        node.run(x, None, f32(1, 5, 4))


PLAIN = LSTM(3, 5)


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (torch.nn.LSTM(3, 5), TypeError, "^layer: expected a rnn_ref.Layer, got LSTM"),
        (SRU(3, 5), ValueError, "^layer: expected ElmanRNN, GRU or LSTM, .*got SRU"),
        (LSTM(3, 5, proj_size=2), ValueError, "^layer: proj_size: ONNX's LSTM has no projection"),
        (LSTM(3, 5, forget_gate=False), ValueError, "^layer: forget_gate: ONNX's LSTM has a forg"),
        (Reverse(Stack([PLAIN])), ValueError, r"^layer: .*got Reverse\(layer=Stack"),
        (Bidirectional(PLAIN, GRU(3, 5)), ValueError, "^layer: both.*one kind, got LSTM and GRU"),
        (
            Bidirectional(PLAIN, LSTM(3, 4)),
            ValueError,
            "^layer: hidden_size: both.*got|share it, 5",
        ),
        (
            Bidirectional(GRU(3, 5), GRU(3, 5, "before")),
            ValueError,
            "^layer: reset: both directions of a node share it, got after and before",
        ),
        (
            Stack([PLAIN, Stack([LSTM(5, 4, clip=1), SRU(4, 4)])]),
            ValueError,
            r"^layer\.layers\[1\]\.layers\[1\]: expected ElmanRNN",
        ),
    ],
)
def test_to_onnx_refuses_layers(layer, error, message):
    params = (
        None if isinstance(layer, torch.nn.Module) else arguments(layer, np.random.default_rng())[0]
    )
    with pytest.raises(error, match=message):
        to_onnx(layer, params)


def test_to_onnx_refuses_arguments():
    params, _, state = arguments(PLAIN, np.random.default_rng(0))
    for changes, error, message in (
        ({"params": tuple(params)}, TypeError, "^params: expected LSTMParams, got tuple"),
        ({"state": "zeros"}, TypeError, '^state: expected None, "input" or a state .*got str'),
        ({"state": state[:1]}, TypeError, "^state: expected LSTMState, got tuple"),
        (
            {"state": state._replace(c=f32(2, 5))},
            ValueError,
            r"^state\.c: .*N=3, H=5.*got \(2, 5\)",
        ),
        ({"lengths": [3, 3, 3]}, TypeError, r"^lengths: .*integers of shape \(N,\), got list"),
        ({"lengths": "yes"}, TypeError, "^lengths: .*got str"),
        (
            {"lengths": np.array([[1]])},
            ValueError,
            r"^lengths: expected shape \(N,\), got \(1, 1\)",
        ),
        ({"lengths": np.array([1, -2])}, ValueError, "^lengths: expected from 0, got from -2 to 1"),
        (
            {"state": state, "lengths": np.array([1, 2])},
            ValueError,
            r"^lengths: expected shape \(N=3,\), got \(2,\)",
        ),
        ({"batch_first": 1}, TypeError, "^batch_first: expected a bool, got int"),
    ):
        with pytest.raises(error, match=message):
            to_onnx(**{"layer": PLAIN, "params": params} | changes)


def test_import_needs_numpy_alone_and_says_what_to_install():
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "before = set(sys.modules)\n"
        "from rnn_ref.interop.onnx import from_onnx, to_onnx\n"
        "from rnn_ref import GRU\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names)))\n"
        "import numpy\n"
        "layer = GRU(3, 5)\n"
        "for call in (lambda: from_onnx('a'), lambda: to_onnx(layer, layer.init_params("
        "numpy.random.default_rng(0)))):\n"
        "    try: call()\n"
        "    except ModuleNotFoundError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *errors = done.stdout.splitlines()
    assert first == "['numpy', 'rnn_ref']"
    assert len(errors) == 2 and all("pip install 'rnn-ref[onnx]'" in error for error in errors)
