"""The converter beside the modules themselves: what they compute is the only oracle here.

Weights, biases and initial states are random, different and never 0, so that a wrong order of the
gates, of the directions or of the layers changes the output.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from functools import partial
from itertools import product

import numpy as np
import pytest
import torch
from contract import assert_close, both_dtypes
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import rnn_ref.interop.pytorch
from rnn_ref import (
    GRU,
    LSTM,
    SRU,
    Activation,
    Bidirectional,
    BidirectionalState,
    ElmanRNN,
    Stack,
    relative_error,
)
from rnn_ref.interop.pytorch import from_state_dict, from_torch, to_torch
from rnn_ref.tree import map_arrays, named_arrays

# Said once by a module in float32, at some call; the results are the same.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

NAMES = ("output", "h_n", "c_n")
TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
# The arguments of torch.nn, and the cell that they mean.
KINDS = {
    "RNN tanh": ("RNN", {"nonlinearity": "tanh"}, ElmanRNN, {}),
    "RNN relu": ("RNN", {"nonlinearity": "relu"}, ElmanRNN, {"nonlinearity": "relu"}),
    "GRU": ("GRU", {}, GRU, {}),
    "LSTM": ("LSTM", {}, LSTM, {}),
    "LSTM proj": ("LSTM", {"proj_size": 2}, LSTM, {"proj_size": 2}),
}
CELLS = [kind for kind in KINDS if kind != "LSTM proj"]
each_kind = pytest.mark.parametrize("kind", KINDS)
each_cell = pytest.mark.parametrize("kind", CELLS)


def torch_dtype(dtype):
    return getattr(torch, np.dtype(dtype).name)


def build(kind, D=3, H=5, seed=0, dtype=np.float64, cell=False, **options):
    """A module of ``torch.nn`` with random parameters."""
    name, more, _, _ = KINDS[kind]
    module = getattr(nn, name + "Cell" * cell)(D, H, **more, **options).to(torch_dtype(dtype))
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.tensor(0.5 * rng.standard_normal(p.shape)))
    return module


def expected_layer(kind, D=3, H=5, num_layers=1, bidirectional=False, **_):
    """What a module of these arguments is here."""
    _, _, cell, more = KINDS[kind]
    layers = []
    for _ in range(num_layers):
        half = cell(D, H, **more)
        layers.append(Bidirectional(half, half) if bidirectional else half)
        D = layers[-1].output_size
    return layers[0] if num_layers == 1 else Stack(layers)


def random_params(layer, seed=0, dtype=np.float64, bias=True):
    rng = np.random.default_rng(seed)

    def normal(like):
        return (0.5 * rng.standard_normal(like.shape)).astype(dtype)

    params = map_arrays(normal, layer.init_params(rng, dtype))
    if not bias:
        for name, array in named_arrays(params).items():
            array[...] *= not name.rpartition(".")[2].startswith("bias")
    return params


def arguments(module, seed=1, T=6, N=4):
    """Random x (T, N, D) and initial states in PyTorch's form, in the dtype of the module."""
    rng, directions = np.random.default_rng(seed), 1 + module.bidirectional
    sizes = [module.proj_size or module.hidden_size]
    sizes += [module.hidden_size] * (module.mode == "LSTM")
    dtype = str(module.weight_ih_l0.dtype).removeprefix("torch.")
    states = [(directions * module.num_layers, N, K) for K in sizes]
    return [
        rng.standard_normal(shape).astype(dtype) for shape in [(T, N, module.input_size), *states]
    ]


def theirs(module, x, *initial, lengths=None):
    """Output (T, N, O) and final states, as the module computes them."""
    T, tensors = len(x), [torch.tensor(s) for s in initial]
    x = torch.tensor(x.swapaxes(0, 1) if module.batch_first else x)
    if lengths is not None:
        x = pack_padded_sequence(x, torch.tensor(lengths), module.batch_first, enforce_sorted=False)
    with torch.no_grad():
        output, final = module(x, tuple(tensors) if len(tensors) > 1 else tensors[0])
    if lengths is not None:
        output, _ = pad_packed_sequence(output, module.batch_first, total_length=T)
    output = output.numpy().swapaxes(0, 1) if module.batch_first else output.numpy()
    final = final if isinstance(final, tuple) else (final,)
    return [output, *(s.numpy() for s in final)]


def ours(layer, params, x, *initial, lengths=None):
    """The same by the layer."""
    rows = zip(*initial, strict=True)

    def state_of(layer):
        if isinstance(layer, Stack):
            return tuple(map(state_of, layer.layers))
        if isinstance(layer, Bidirectional):
            return BidirectionalState(state_of(layer.forward_layer), state_of(layer.backward_layer))
        return layer.state_type(*next(rows))

    def states_in(state):
        if hasattr(state, "h"):
            return [state]
        return [inner for part in state for inner in states_in(part)]

    lengths = None if lengths is None else np.array(lengths)
    output, final, _ = layer.forward(params, x, state_of(layer), lengths)
    return [output, *(np.stack(arrays) for arrays in zip(*states_in(final), strict=True))]


def errors(module, layer, params, seed=1, T=6, N=4, lengths=None):
    """Relative error of output and final states, the layer's against the module's."""
    given = arguments(module, seed, T, N)
    found = ours(layer, params, *given, lengths=lengths)
    pairs = zip(found, theirs(module, *given, lengths=lengths), strict=True)
    return {k: relative_error(*pair) for k, pair in zip(NAMES, pairs, strict=False)}


def assert_identical(found, expected):
    """The same nesting, types, names and numbers."""
    assert type(found) is type(expected)
    a, b = named_arrays(found), named_arrays(expected)
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    if isinstance(found, tuple):
        assert [type(v) for v in found] == [type(v) for v in expected]


def assert_same_module(found, expected):
    """The same class with the same arguments and the same numbers."""
    assert repr(found) == repr(expected)
    for name in ("input_size", "hidden_size", "num_layers", "bidirectional", "proj_size", "mode"):
        assert getattr(found, name, None) == getattr(expected, name, None)
    a, b = found.state_dict(), expected.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype and torch.equal(a[name], b[name])


@st.composite
def configurations(draw):
    """Any module, and lengths for it."""
    D, H = draw(st.integers(1, 4)), draw(st.integers(3, 6))
    T, N = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    lengths = draw(st.none() | st.lists(st.integers(1, T), min_size=N, max_size=N))
    return {
        "kind": draw(st.sampled_from(list(KINDS))),
        "D": D if D != H else D - 1,
        "H": H,
        "num_layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "bias": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
    }, {"T": T, "N": N, "lengths": lengths, "seed": draw(st.integers(0, 2**32 - 1))}


# Modules


@both_dtypes
@given(configurations())
def test_from_torch_computes_the_same_and_comes_back(dtype, drawn):
    options, run = drawn
    module = build(**options, seed=run["seed"], dtype=dtype)
    layer, params = from_torch(module)
    assert layer == expected_layer(**options)
    assert {a.dtype for a in named_arrays(params).values()} == {np.dtype(dtype)}
    assert_close(errors(module, layer, params, **run), TOLERANCE[dtype])
    back = to_torch(layer, params, bias=options["bias"], batch_first=options["batch_first"])
    assert_same_module(back, module)


@both_dtypes
@given(configurations())
def test_to_torch_computes_the_same_and_comes_back(dtype, drawn):
    options, run = drawn
    layer, bias, batch_first = expected_layer(**options), options["bias"], options["batch_first"]
    params = random_params(layer, run["seed"], dtype, bias)
    module = to_torch(layer, params, bias=bias, batch_first=batch_first)
    assert (module.bias, module.batch_first, module.dropout) == (bias, batch_first, 0.0)
    assert_close(errors(module, layer, params, **run), TOLERANCE[dtype])
    found, back = from_torch(module)
    assert found == layer
    assert_identical(back, params)


@both_dtypes
def test_table_of_errors(dtype, record_property):
    """Each way, all depths, directions, biases and layouts, even and ragged; the worst of each."""
    rows, lengths = {}, [None, (3, 6, 1, 4)]
    for kind, depth, both, bias, first in product(KINDS, (1, 2, 3), *[(False, True)] * 3):
        options = {"num_layers": depth, "bidirectional": both}
        layer = expected_layer(kind, **options)
        module = build(kind, dtype=dtype, bias=bias, batch_first=first, **options)
        params = random_params(layer, 2, dtype, bias)
        made = to_torch(layer, params, bias=bias, batch_first=first)
        for way, of in (("from", (module, *from_torch(module))), ("to", (made, layer, params))):
            name = f"{kind:10}{depth:5}  {'both' if both else 'one':10}"
            worst = rows.setdefault(name, {})
            for seed, steps in product(range(2), lengths):
                found = errors(*of, seed=seed, lengths=steps)
                assert_close(found, TOLERANCE[dtype])
                for k, e in found.items():
                    k = f"{way} {k}"
                    worst[k] = max(worst.get(k, 0.0), e)
    columns = [f"{way} {k}" for way in ("from", "to") for k in NAMES]
    lines = [
        f"worst relative error of layers from and to torch.nn in {np.dtype(dtype)}; 16 runs each, "
        "T=6, N=4, D=3, H=5, P=2",
        "module    depth  directions" + "".join(f"{k:>13}" for k in columns),
    ]
    for name, worst in rows.items():
        cells = (f"{worst[k]:13.0e}" if k in worst else f"{'':13}" for k in columns)
        lines.append(f"{name:27}" + "".join(cells).rstrip())
    record_property("table", "\n".join(lines))


@both_dtypes
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@each_cell
def test_one_step_cells(kind, bias, dtype):
    """A cell of torch.nn is the layer's step, and comes back as a cell."""
    module = build(kind, dtype=dtype, bias=bias, cell=True)
    layer, params = from_torch(module)
    assert layer == expected_layer(kind)
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((6, 4, 3)).astype(dtype)
    state = map_arrays(
        lambda s: rng.standard_normal(s.shape).astype(dtype), layer.zero_state(4, dtype)
    )
    output, final, _ = layer.forward(params, xs, state)
    tensors = [torch.tensor(s) for s in state]
    found = {}
    for t, x in enumerate(xs):
        given = tuple(tensors) if len(tensors) > 1 else tensors[0]
        with torch.no_grad():
            new = module(torch.tensor(x), given)
        tensors, state = (
            list(new) if isinstance(new, tuple) else [new],
            layer.step(params, x, state),
        )
        found |= {
            f"{k}[{t}]": relative_error(a, b.numpy())
            for (k, a), b in zip(state._asdict().items(), tensors, strict=True)
        }
        found[f"output[{t}]"] = relative_error(output[t], tensors[0].numpy())
    found["final"] = max(relative_error(a, b.numpy()) for a, b in zip(final, tensors, strict=True))
    assert_close(found, TOLERANCE[dtype])
    assert_same_module(to_torch(layer, params, bias=bias, cell=True), module)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_bias_false_becomes_zeros(bidirectional):
    module = build("LSTM", num_layers=2, bias=False, bidirectional=bidirectional)
    layer, params = from_torch(module)
    biases = {k: v for k, v in named_arrays(params).items() if "bias" in k}
    assert len(biases) == 4 * (1 + bidirectional) and not any(b.any() for b in biases.values())
    assert len({id(b) for b in biases.values()}) == len(biases)
    # Without bias=False the module holds the zeros, and computes the same.
    with_zeros = to_torch(layer, params)
    assert with_zeros.bias and not with_zeros.bias_hh_l1.any()
    given = arguments(module)
    for a, b in zip(theirs(with_zeros, *given), theirs(module, *given), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
    back = "_reverse" * bidirectional
    with torch.no_grad():
        getattr(with_zeros, f"bias_hh_l1{back}")[2:4] = -0.5
    where = r"params\[1\]" + r"\.backward_layer" * bidirectional
    with pytest.raises(ValueError, match=rf"^{where}\.bias_hh: expected zeros .*got 2 other numb"):
        to_torch(*from_torch(with_zeros), bias=False)


def test_dropout():
    """It works in training mode between layers only; there it is refused."""
    module = build("GRU", num_layers=2, dropout=0.5)
    given = arguments(module)
    assert not np.array_equal(theirs(module, *given)[0], theirs(module, *given)[0])
    with pytest.raises(
        ValueError, match=r"^dropout: expected 0 in training mode, got 0\.5; .*eval"
    ):
        from_torch(module)
    layer, params = from_torch(module.eval())
    assert_close(errors(module, layer, params), 1e-12)
    assert to_torch(layer, params).dropout == 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it has no effect
        single = build("GRU", dropout=0.5)
    assert single.training
    assert_close(errors(single, *from_torch(single)), 1e-12)


def test_a_module_keeps_its_arrays_and_the_generator_its_state():
    module = build("LSTM", num_layers=2)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    layer, params = from_torch(module)
    map_arrays(lambda a: a.fill(7.0), params)
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())
    params = random_params(layer)
    expected = map_arrays(np.copy, params)
    generator = torch.random.get_rng_state()
    made = to_torch(layer, params)
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert made.training and all(p.requires_grad for p in made.parameters())
    with torch.no_grad():
        for p in made.parameters():
            p.fill_(7.0)
    assert_identical(params, expected)


def test_the_module_is_on_the_cpu_whatever_the_default_device():
    layer = GRU(np.int64(3), 5)
    params = random_params(layer)
    with torch.device("meta"):
        module = to_torch(layer, params)
    assert {p.device.type for p in module.parameters()} == {"cpu"}
    assert_identical(from_torch(module)[1], params)
    # Arrays need not lie as torch wants them.
    params = params._replace(weight_hh=params.weight_hh[::-1, ::-1])
    assert_close(errors(to_torch(layer, params), layer, params), 1e-12)


def test_stacks_that_torch_writes_otherwise():
    """One layer comes back without its stack, stacks in stacks as one; the numbers are the same."""
    one = Stack([LSTM(3, 5)])
    params = random_params(one)
    module = to_torch(one, params)
    assert_close(errors(module, one, params), 1e-12)
    layer, back = from_torch(module)
    assert layer == LSTM(3, 5)
    assert_identical(back, params[0])

    def both(D):
        return Bidirectional(GRU(D, 5), GRU(D, 5))

    nested = Stack([Stack([both(3), both(10)]), both(10), Stack([Stack([both(10)])])])
    params = random_params(nested)
    module = to_torch(nested, params)
    assert module.num_layers == 4
    assert_close(errors(module, nested, params), 1e-12)
    layer, back = from_torch(module)
    assert layer == Stack([both(3), both(10), both(10), both(10)])
    assert_identical(back, (*params[0], params[1], *params[2][0]))


def test_an_activation_may_be_named_or_built():
    for layer in (
        LSTM(3, 5, activations=(Activation("sigmoid"), "tanh", Activation("tanh"))),
        ElmanRNN(3, 5, nonlinearity=Activation("relu")),
    ):
        params = random_params(layer)
        module = to_torch(layer, params)
        assert_close(errors(module, layer, params), 1e-12)
        assert "Activation" not in repr(from_torch(module)[0])


def test_what_is_said_of_coupled_gates():
    """The error for coupled=True tells how to write it as an LSTM that torch has."""
    coupled, layer = LSTM(3, 5, coupled=True), LSTM(3, 5)
    params = random_params(coupled)

    def with_f(array):
        return np.concatenate([array[:5], -array[:5], array[5:]])

    written = map_arrays(with_f, params)
    x = np.random.default_rng(1).standard_normal((6, 4, 3))
    a, b = (cell.forward(p, x)[0] for cell, p in ((coupled, params), (layer, written)))
    assert relative_error(a, b) < 1e-12
    to_torch(layer, written)


def test_torch_refuses_rows_without_steps():
    """The layers take lengths of 0, as the converter's module says."""
    module = build("GRU")
    with pytest.raises(RuntimeError, match="greater than 0"):
        theirs(module, *arguments(module), lengths=(6, 0, 1, 3))


# State dicts


class Model(nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.encoder = nn.ModuleDict({"rnn": rnn, "norm": nn.LayerNorm(5)})
        self.head = nn.GRUCell(5, 2)


@each_kind
@pytest.mark.parametrize("form", ["tensors", "arrays"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "bias": False}])
def test_state_dicts_of_modules(kind, options, form):
    module = build(kind, dtype=np.float32, **options)
    expected, params = from_torch(module)
    nonlinearity = getattr(module, "nonlinearity", None)
    found = module.state_dict()
    inside = Model(module.float()).state_dict()
    if form == "arrays":
        found, inside = ({k: v.numpy() for k, v in d.items()} for d in (found, inside))
    for layer, read in (
        from_state_dict(found, nonlinearity=nonlinearity),
        from_state_dict(inside, prefix="encoder.rnn.", nonlinearity=nonlinearity),
    ):
        assert layer == expected
        assert_identical(read, params)
        assert not any(
            np.shares_memory(a, np.asarray(v))
            for a in named_arrays(read).values()
            for v in found.values()
        )


@each_cell
@pytest.mark.parametrize("bias", [True, False])
def test_state_dicts_of_cells(kind, bias):
    module = build(kind, cell=True, bias=bias)
    named = {f"head.{k}": v for k, v in module.state_dict().items()} | {"other": torch.zeros(2)}
    nonlinearity = getattr(module, "nonlinearity", None)
    layer, params = from_state_dict(named, prefix="head.", nonlinearity=nonlinearity)
    assert layer == expected_layer(kind)
    assert_identical(params, from_torch(module)[1])


def test_a_nonlinearity_is_needed_for_an_rnn_and_refused_elsewhere():
    rnn, gru = build("RNN relu").state_dict(), build("GRU").state_dict()
    assert from_state_dict(rnn, nonlinearity="relu")[0] == ElmanRNN(3, 5, "relu")
    assert from_state_dict(rnn, nonlinearity="tanh")[0] == ElmanRNN(3, 5, "tanh")
    with pytest.raises(ValueError, match=r"^nonlinearity: expected 'tanh' or 'relu', got None"):
        from_state_dict(rnn)
    with pytest.raises(ValueError, match=r"^nonlinearity: expected one of .*got 'softplus'"):
        from_state_dict(rnn, nonlinearity="softplus")
    with pytest.raises(ValueError, match=r"^nonlinearity: expected None .* a GRU, got 'tanh'"):
        from_state_dict(gru, nonlinearity="tanh")


def two_layers(kind="LSTM", **changes):
    named = build(kind, num_layers=2, bidirectional=True).state_dict()
    return {k: v for k, v in ({**named, **changes}).items() if v is not None}


ones = partial(torch.ones, dtype=torch.float64)


@pytest.mark.parametrize(
    ("state_dict", "error", "message"),
    [
        ([], TypeError, "^state_dict: expected a mapping, got builtins.list"),
        ({0: ones(20, 3)}, TypeError, "^state_dict: expected names, got a key that is no string"),
        ({}, ValueError, "^state_dict: .*got no weight_hh; the prefixes .*: none$"),
        (two_layers(weight_ih_l1=None), ValueError, "^state_dict: .*got no weight_ih_l1;"),
        (two_layers(bias_ih_l0_reverse=None), ValueError, "got no bias_ih_l0_reverse;"),
        (two_layers(weight_ih_l3=ones(20, 10)), ValueError, "got weight_ih_l3, which is none of"),
        (two_layers(weight_hr_l0=ones(2, 5)), ValueError, "got no weight_hr_l0_reverse"),
        (two_layers(weight_ih=ones(20, 3)), ValueError, "got weight_ih, which is none"),
        (two_layers(weight_ih_l0_mask=ones(20, 3)), ValueError, "got weight_ih_l0_mask, which is"),
        (two_layers(weight_hh_l0=ones(20)), ValueError, r"^weight_hh_l0: .*\(rows, columns\), got"),
        (two_layers(weight_hh_l0=ones(20, 0)), ValueError, r"^weight_hh_l0: .*got \(20, 0\)"),
        (
            two_layers(weight_hh_l0=ones(10, 5)),
            ValueError,
            r"^weight_hh_l0: .*H, 3H or 4H rows.*H=5",
        ),
        (two_layers(weight_hh_l0=ones(21, 5)), ValueError, r"^weight_hh_l0: .*got shape \(21, 5\)"),
        (two_layers(weight_ih_l0=ones(15, 3)), ValueError, r"^weight_ih_l0: .*4H=20, D=3\), got"),
        (two_layers(weight_ih_l0_reverse=ones(20, 4)), ValueError, r"_reverse: .*D=3\), got"),
        (two_layers(weight_ih_l1=ones(20, 5)), ValueError, r"^weight_ih_l1: .*D=10\), got"),
        (two_layers(weight_hh_l1=ones(16, 4)), ValueError, r"^weight_hh_l1: .*\(4H=20, H=5\), got"),
        (two_layers(bias_hh_l1_reverse=ones(5)), ValueError, r"_l1_reverse: .*\(4H=20,\), got"),
        (two_layers(weight_ih_l1=ones(20, 10).float()), TypeError, "^weight_ih_l1: .*float64.*32"),
        (two_layers(weight_hh_l0=ones(20, 5).half()), TypeError, "^weight_hh_l0: .*torch.float16"),
        (two_layers(bias_hh_l1=ones(20).bfloat16()), TypeError, "^bias_hh_l1: .*torch.bfloat16"),
        (two_layers(weight_ih_l0=np.ones((20, 3), int)), TypeError, "^weight_ih_l0: .*got int64"),
        (two_layers(bias_hh_l1=[1.0] * 20), TypeError, "^bias_hh_l1: expected a tensor or an arr"),
        (two_layers(bias_hh_l1=ones(20, device="meta")), ValueError, "^bias_hh_l1: .* meta, with"),
    ],
)
def test_from_state_dict_refuses(state_dict, error, message):
    with pytest.raises(error, match=message):
        from_state_dict(state_dict)


def test_from_state_dict_refuses_a_projection_elsewhere_than_in_an_lstm():
    named = build("GRU").state_dict() | {"weight_hr_l0": ones(2, 5)}
    with pytest.raises(ValueError, match=r"^weight_hh_l0: expected 4H rows, with H=5 by .*_hr_l0"):
        from_state_dict(named)
    named = build("LSTM").state_dict() | {"weight_hr_l0": ones(5, 5)}
    with pytest.raises(ValueError, match=r"^proj_size: expected less than hidden_size 5, got 5"):
        from_state_dict(named)


def test_errors_name_what_the_state_dict_names():
    named = Model(build("LSTM", num_layers=2)).state_dict()
    with pytest.raises(
        ValueError, match=r"^encoder\.rnn\.weight_ih_l1: expected shape .*D=5\), got"
    ):
        from_state_dict(named | {"encoder.rnn.weight_ih_l1": ones(20, 3)}, prefix="encoder.rnn.")
    with pytest.raises(TypeError, match=r"^encoder\.rnn\.bias_hh_l1: .*got torch\.float16"):
        from_state_dict(named | {"encoder.rnn.bias_hh_l1": ones(20).half()}, prefix="encoder.rnn.")
    del named["encoder.rnn.bias_hh_l1"]
    with pytest.raises(ValueError, match=r"'encoder\.rnn\.', .*got no encoder\.rnn\.bias_hh_l1;"):
        from_state_dict(named, prefix="encoder.rnn.")


def test_a_wrong_prefix_is_told_the_right_ones():
    named = Model(build("LSTM")).state_dict()
    for prefix in ("", "encoder.", "encoder.rnn", "rnn."):
        with pytest.raises(ValueError, match=r"prefixes .* in it: 'encoder\.rnn\.', 'head\.'$"):
            from_state_dict(named, prefix=prefix)
    with pytest.raises(TypeError, match=r"^prefix: expected a string, got builtins.NoneType"):
        from_state_dict(named, prefix=None)


# What is refused


class Other(nn.LSTM):
    def forward(self, x, hx=None):
        return super().forward(-x, hx)


def hooked(register, **options):
    module = build("LSTM", **options)
    getattr(module, register)(lambda *_: None)
    return module


def replaced():
    module = build("GRU")
    module.forward = lambda x: x
    return module


def buffered():
    module = build("GRU")
    module.register_buffer("mask", torch.ones(15, 5))
    return module


def normalized():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated
        return nn.utils.weight_norm(build("LSTM"), "weight_hh_l0")


def parametrized():
    return nn.utils.parametrizations.weight_norm(build("LSTM"), "weight_hh_l0")


EXPECTED = "^module: expected a torch.nn.RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell itself, got "


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: None, TypeError, EXPECTED + r"builtins\.NoneType$"),
        (lambda: nn.Linear(3, 5), TypeError, EXPECTED + r"torch.*Linear$"),
        (lambda: nn.LSTM, TypeError, EXPECTED + r"builtins\.type$"),
        (lambda: Other(3, 5), TypeError, r"test_pytorch\.Other; a subclass may compute something"),
        (parametrized, TypeError, "ParametrizedLSTM; a subclass"),
        (lambda: build("GRU").state_dict(), TypeError, "from_state_dict takes a state dict"),
        (lambda: Model(build("GRU")), TypeError, r"holds one at a time: encoder\.rnn, head$"),
        (lambda: LSTM(3, 5), TypeError, r"got rnn_ref\.lstm\.LSTM$"),
        (lambda: hooked("register_forward_hook"), ValueError, "^module: expected none with a hook"),
        (lambda: hooked("register_forward_pre_hook"), ValueError, "^module: expected none with a"),
        (replaced, ValueError, "^module: expected none with .* another forward in its place"),
        (normalized, ValueError, "^module: expected none with a hook"),
        (buffered, ValueError, "^state_dict: .*got mask, which is none of them"),
        (lambda: build("GRU").half(), TypeError, r"^weight_ih_l0: .*got torch\.float16"),
        (lambda: build("GRU", cell=True).bfloat16(), TypeError, r"^weight_ih: .*torch\.bfloat16"),
        (lambda: build("GRU").to("meta"), ValueError, "^weight_ih_l0: .*on the device meta"),
    ],
)
def test_from_torch_refuses(make, error, message):
    with pytest.raises(error, match=message):
        from_torch(make())


def test_hooks_of_backward_change_nothing():
    module = hooked("register_full_backward_hook")
    assert from_torch(module)[0] == LSTM(3, 5)


BOTH = Bidirectional(GRU(3, 5), GRU(3, 5))


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (
            GRU(3, 5, reset="before"),
            ValueError,
            "^layer.reset: expected 'after', got 'before'; .*no",
        ),
        (
            GRU(3, 5, clip=2.0),
            ValueError,
            r"^layer.clip: expected None, got 2\.0; torch.nn does not",
        ),
        (
            GRU(3, 5, activations=("hard_sigmoid", "tanh")),
            ValueError,
            r"^layer.activations: expected \('sigmoid', 'tanh'\), got \('hard_sigmoid', 'tanh'\); ",
        ),
        (LSTM(3, 5, peephole=True), ValueError, "^layer.peephole: expected False, got True; .*see"),
        (LSTM(3, 5, coupled=True), ValueError, "^layer.coupled: expected False, got True; .*same"),
        (LSTM(3, 5, forget_gate=False), ValueError, "^layer.forget_gate: expected True, got False"),
        (
            LSTM(3, 5, activations=("sigmoid", "tanh", Activation("scaled_tanh", 1.7, 0.7))),
            ValueError,
            r"^layer.activations: .*scaled_tanh.*1\.7.*torch.nn has no others",
        ),
        (
            ElmanRNN(3, 5, "softsign"),
            ValueError,
            "^layer.nonlinearity: expected 'tanh' or 'relu', ",
        ),
        (ElmanRNN(3, 5, clip=1.0), ValueError, "^layer.clip: "),
        (SRU(3, 5), TypeError, "^layer: expected ElmanRNN, LSTM or GRU, got SRU; torch.nn has no"),
        (
            Stack([GRU(3, 5), Stack([LSTM(5, 5)])]),
            TypeError,
            r"^layer\.layers\[1\]\.layers\[0\]: expected GRU, as below it, got LSTM; .*one kind",
        ),
        (Bidirectional(GRU(3, 5), LSTM(3, 5)), TypeError, r"^layer\.backward_layer: expected GRU"),
        (
            Bidirectional(GRU(3, 5), Stack([GRU(3, 5)])),
            TypeError,
            r"^layer\.backward_layer: expected ElmanRNN, LSTM or GRU, got Stack; .*this place",
        ),
        (
            Stack([GRU(3, 5), GRU(5, 4)]),
            ValueError,
            r"^layer\.layers\[1\]\.hidden_size: expected 5, as below it, got 4; .*one for all",
        ),
        (Bidirectional(GRU(3, 5), GRU(3, 4)), ValueError, r"^layer\.backward_layer\.hidden_size: "),
        (
            Stack([LSTM(3, 5, proj_size=2), LSTM(2, 5)]),
            ValueError,
            r"^layer\.layers\[1\]\.proj_size: expected 2, as below it, got 0",
        ),
        (
            Stack([ElmanRNN(3, 5), ElmanRNN(5, 5, "relu")]),
            ValueError,
            r"^layer\.layers\[1\]\.nonlinearity: expected 'tanh', as below it, got 'relu'",
        ),
        (
            Stack([BOTH, GRU(10, 5)]),
            ValueError,
            r"^layer\.layers\[1\]: expected both directions, as below it, got one direction",
        ),
        (
            Stack([GRU(3, 5), Bidirectional(GRU(5, 5), GRU(5, 5))]),
            ValueError,
            r"^layer\.layers\[1\]: expected one direction, as below it, got both directions",
        ),
    ],
)
def test_to_torch_refuses(layer, error, message):
    with pytest.raises(error, match=message):
        to_torch(layer, random_params(layer))


def test_to_torch_refuses_a_choice_that_it_does_not_know():
    """A field that a cell may get later is no field of torch.nn."""

    @dataclasses.dataclass(frozen=True)
    class Later(GRU):
        zoneout: float = 0.0

    kinds = rnn_ref.interop.pytorch._CELLS
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(kinds, Later, "GRU")
        layer = Later(3, 5, zoneout=0.5)
        with pytest.raises(
            ValueError, match=r"^layer.zoneout: expected 0.0, got 0.5; torch.nn has"
        ):
            to_torch(layer, random_params(layer))
    with pytest.raises(TypeError, match=r"^layer: expected ElmanRNN, LSTM or GRU, got Later"):
        to_torch(Later(3, 5), random_params(layer))


def test_to_torch_refuses_arguments():
    layer, both = LSTM(3, 5), Stack([GRU(3, 5), GRU(5, 5)])
    params, projected = random_params(layer), LSTM(3, 5, proj_size=2)
    refused = [
        (("LSTM", params), {}, TypeError, "^layer: expected a rnn_ref.Layer, got builtins.str"),
        (
            (layer, random_params(GRU(3, 5))),
            {},
            TypeError,
            "^params: expected LSTMParams, got GRUP",
        ),
        ((layer, random_params(LSTM(4, 5))), {}, ValueError, r"^params\.weight_ih: expected shape"),
        ((both, random_params(both)[:1]), {}, ValueError, "^params: expected 2 parts"),
        ((layer, params), {"bias": 0}, ValueError, "^bias: expected one of"),
        ((layer, params), {"batch_first": None}, ValueError, "^batch_first: expected one of"),
        ((layer, params), {"cell": "yes"}, ValueError, "^cell: expected one of"),
        (
            (layer, params),
            {"bias": False},
            ValueError,
            r"^params\.bias_ih: expected zeros .*got 20",
        ),
        ((layer, params), {"cell": True, "batch_first": True}, ValueError, "^cell: .*batch_first"),
        ((both, random_params(both)), {"cell": True}, ValueError, r"^cell: .*True with Stack\("),
        ((BOTH, random_params(BOTH)), {"cell": True}, ValueError, r"^cell: .*True with Bidirectio"),
        ((projected, random_params(projected)), {"cell": True}, ValueError, "^cell: .*proj_size=2"),
    ]
    for arguments, options, error, message in refused:
        with pytest.raises(error, match=message):
            to_torch(*arguments, **options)


def test_import_needs_numpy_alone_and_to_torch_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "before = set(sys.modules)\n"
        "from rnn_ref.interop.pytorch import GRU, from_state_dict, to_torch\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names)))\n"
        "import numpy\n"
        "layer = GRU(3, 5)\n"
        "params = layer.init_params(numpy.random.default_rng(0))\n"
        "named = {f'{k}_l0': v for k, v in params._asdict().items()}\n"
        "assert from_state_dict(named)[0] == layer\n"
        "to_torch(layer, params)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['numpy', 'rnn_ref']"
    assert done.returncode != 0 and "pip install 'rnn-ref[torch]'" in done.stderr
