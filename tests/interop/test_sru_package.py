"""SRU against the package of its authors: first the layout alone, then the package itself.

The tests marked ``sru_package`` import the package, which compiles C++ at its first import; that
is why they run on their own, with ``make sru``. The others hold a stand-in against the layout that
``rnn_ref.interop.sru`` documents.
"""

from __future__ import annotations

import dataclasses
import doctest
import itertools
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contract import TOLERANCE, assert_close, both_dtypes, case, errors
from torch.func import functional_call

import rnn_ref.interop.sru
from rnn_ref import SRU, highway_alpha, relative_error
from rnn_ref.interop.sru import from_sru, to_sru

ALPHA = highway_alpha(-0.7)  # not a number of float32
HIGHWAYS = {
    "W_s x": {"input_size": 3, "hidden_size": 5},
    "x": {"input_size": 4, "hidden_size": 4},
    "alpha x": {"input_size": 4, "hidden_size": 4, "alpha": ALPHA},
    "none": {"input_size": 3, "hidden_size": 5, "highway": False},
}
VARIANTS = {
    (version, g, s): SRU(version=version, nonlinearity=g, **HIGHWAYS[s])
    for version, g, s in itertools.product((1, 2), ("identity", "tanh"), HIGHWAYS)
}
each_layer = pytest.mark.parametrize(
    "layer", VARIANTS.values(), ids=[f"v{v},{g},{s}" for v, g, s in VARIANTS]
)


def storable(layer, dtype):
    """The layer with a factor that a cell of this dtype can store."""
    return dataclasses.replace(layer, alpha=float(np.dtype(dtype).type(layer.alpha)))


def interleaved(weight_ih, H):
    """The package's matrix as documented: column ``j * k + m`` is row j of block m."""
    k = len(weight_ih) // H
    return torch.stack([weight_ih[m * H + j] for j in range(H) for m in range(k)], dim=1)


def package_parameters(params, H, transposed):
    """The cell's parameters by name, from our parameters as tensors."""
    weight = interleaved(params.weight_ih, H)
    found = {"transform_module.weight": weight.T} if transposed else {"weight": weight}
    found["bias"] = params.bias_ih
    if params.weight_ph is not None:
        found["weight_c"] = params.weight_ph
    return found


def is_transposed(cell):
    """Whether it stores its matrix as version 3 of the package does."""
    return hasattr(cell, "transform_module")


def tensors(params):
    return type(params)(*(None if v is None else torch.tensor(v) for v in params))


def stand_in(layer, params, transposed=False, **changes):
    """The attributes of an SRUCell, of version 3 where its matrix is transposed."""
    by_name = package_parameters(tensors(params), layer.hidden_size, transposed)
    zeros = torch.zeros(2 * layer.hidden_size, dtype=by_name["bias"].dtype)
    attributes = {
        "input_size": layer.input_size,
        "hidden_size": layer.hidden_size,
        "has_skip_term": layer.highway,
        "rescale": True,
        "scale_x": torch.tensor([layer.alpha], dtype=zeros.dtype),
        "v1": layer.version == 1,
        "activation_type": int(layer.nonlinearity == "tanh"),
        "weight_c": by_name.get("weight_c", zeros),
        "bias": by_name["bias"],
        "training": True,
        "bidirectional": False,
        "layer_norm": None,
        "projection_size": 0,
        "dropout": 0.0,
        "rnn_dropout": 0.0,
    }
    if transposed:
        linear = torch.nn.Linear(*by_name["transform_module.weight"].T.shape, bias=False)
        linear.weight = torch.nn.Parameter(by_name["transform_module.weight"])
        attributes["transform_module"] = linear
    else:
        attributes |= {"weight": by_name["weight"], "custom_m": None}
    return SimpleNamespace(**attributes | changes)


def assert_same(found, layer, params):
    """``from_sru`` returned this very layer and these very numbers."""
    found_layer, found_params = found
    assert found_layer == layer
    for value, expected in zip(found_params, params, strict=True):
        if expected is None:
            assert value is None
        else:
            assert value.dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)


# The layout, without the package.


@both_dtypes
@pytest.mark.parametrize("transposed", [False, True], ids=["2.6", "3.0"])
@each_layer
def test_from_sru_reads_the_documented_layout(layer, transposed, dtype):
    layer = storable(layer, dtype)
    params = case(layer, dtype=dtype).params
    cell = stand_in(layer, params, transposed)
    found = from_sru(cell)
    assert_same(found, layer, params)
    for tensor in (cell.bias, cell.weight_c, getattr(cell, "weight", None)):
        for value in found[1]:
            if tensor is not None and value is not None:
                assert not np.shares_memory(value, tensor.numpy())


@pytest.mark.parametrize(
    ("layer", "changes"),
    [
        (SRU(4, 4), {"rescale": False}),
        (SRU(3, 5), {"rescale": True}),
        (SRU(4, 4, highway=False), {"rescale": True}),
    ],
)
def test_scale_x_counts_only_where_the_package_reads_it(layer, changes):
    """``test_facts_of_the_package`` sees that the package reads it nowhere else."""
    params = case(layer).params
    changes |= {"scale_x": torch.tensor([ALPHA])}
    assert_same(from_sru(stand_in(layer, params, **changes)), layer, params)


def test_dropout_is_accepted_once_it_is_off():
    layer = SRU(3, 5)
    params = case(layer).params
    off = stand_in(layer, params, dropout=0.3, rnn_dropout=0.3, training=False)
    assert_same(from_sru(off), layer, params)


def ones(*shape):
    return torch.ones(*shape, dtype=torch.float64)


class Transform(torch.nn.Linear):
    """A module that may compute anything."""


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"bidirectional": True}, ValueError, "^bidirectional: .*one direction only"),
        ({"layer_norm": torch.nn.LayerNorm(4)}, ValueError, "^layer_norm: "),
        ({"projection_size": 2}, ValueError, "^projection_size: "),
        ({"custom_m": torch.nn.Linear(4, 12)}, ValueError, "^custom_m: "),
        ({"transform_module": Transform(4, 12, bias=False)}, ValueError, "^transform_module: "),
        ({"transform_module": torch.nn.Linear(4, 12)}, ValueError, r"^transform_module\.bias: "),
        ({"activation_type": 2}, ValueError, "^activation_type: "),
        ({"dropout": 0.3}, ValueError, r"^dropout: .*cell\.eval\(\) switches it off"),
        ({"rnn_dropout": 0.3}, ValueError, "^rnn_dropout: "),
        ({"v1": True}, ValueError, "^weight_c: expected zeros together with v1=True"),
        ({"scale_x": torch.tensor([0.0])}, ValueError, "^scale_x: expected a positive finite"),
        ({"scale_x": torch.tensor([np.nan])}, ValueError, "^scale_x: .*got nan"),
        ({"weight": ones(4, 16)}, ValueError, r"^weight: expected shape \(D=4, 3H=12\)"),
        ({"bias": ones(4)}, ValueError, r"^bias: expected shape \(2H=8,\)"),
        ({"weight_c": ones(16)}, ValueError, r"^weight_c: expected shape \(2H=8,\)"),
        ({"bias": ones(8).bfloat16()}, TypeError, r"^bias: .*got torch\.bfloat16"),
        ({"bias": ones(8).float()}, TypeError, "^bias: expected float64.*got float32"),
    ],
)
def test_from_sru_refuses(changes, error, message):
    layer = SRU(4, 4)
    with pytest.raises(error, match=message):
        from_sru(stand_in(layer, case(layer).params, **changes))


def test_from_sru_refuses_a_stack_and_says_what_to_take():
    cell = stand_in(SRU(4, 4), case(SRU(4, 4)).params)
    stack = SimpleNamespace(rnn_lst=[cell, cell], input_to_hidden=None)
    with pytest.raises(TypeError, match=r"from_sru\(module\.rnn_lst\[k\]\), k = 0 \.\.\. 1$"):
        from_sru(stack)
    stack.input_to_hidden = torch.nn.Linear(3, 4)
    with pytest.raises(TypeError, match="and its input_to_hidden comes before them"):
        from_sru(stack)


def test_from_sru_refuses_what_is_no_cell():
    with pytest.raises(
        TypeError, match=r"^cell: expected an SRUCell .*got LSTM, which lacks has_sk"
    ):
        from_sru(torch.nn.LSTM(3, 5))


def test_to_sru_refuses():
    def arguments(layer, dtype=np.float64):
        return layer, case(layer, dtype=dtype).params

    with pytest.raises(TypeError, match=r"^layer: expected SRU, got GRU"):
        to_sru(*arguments(rnn_ref.GRU(3, 5)))
    with pytest.raises(ValueError, match=r"^params\.weight_ih: expected shape \(4H=20, D=3\)"):
        to_sru(SRU(3, 5), case(SRU(4, 5)).params)
    with pytest.raises(ValueError, match=r"^alpha: expected 1 with D=3 != H=5, got 1\.5"):
        to_sru(*arguments(SRU(3, 5, alpha=1.5)))
    with pytest.raises(
        ValueError, match=r"^alpha: expected a number of float32.*got 1\.41"
    ) as caught:
        to_sru(*arguments(SRU(4, 4, alpha=ALPHA), np.float32))
    # What the message promises: the rounded factor is the one that float32 computes with anyway.
    rounded = float(np.float32(ALPHA))
    assert f"with alpha={rounded!r}" in str(caught.value)
    c = case(SRU(4, 4, alpha=ALPHA), dtype=np.float32)
    same = (SRU(4, 4, alpha=a).forward(c.params, c.x, c.state)[0] for a in (ALPHA, rounded))
    np.testing.assert_array_equal(*same)


def test_import_needs_numpy_alone_and_to_sru_says_what_to_install():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['sru'] = None\n"
        "before = set(sys.modules)\n"
        "from rnn_ref.interop.sru import SRU, to_sru\n"
        "found = {m.partition('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(found - set(sys.stdlib_module_names)))\n"
        "import numpy\n"
        "layer = SRU(3, 5)\n"
        "to_sru(layer, layer.init_params(numpy.random.default_rng(0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "['numpy', 'rnn_ref']"
    assert done.returncode != 0 and "pip install 'rnn-ref[sru]'" in done.stderr


# The package itself.


@pytest.fixture(scope="module")
def sru():
    """The package; its import warns of a missing CUDA and of a deprecated torch.jit.script."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sru
    return sru


def python_loop(cell):
    """The package's loop in Python, which it takes, with a warning, to compute gradients."""

    def run(params, x, state):
        by_name = package_parameters(params, cell.hidden_size, is_transposed(cell))
        with pytest.warns(UserWarning, match="Running SRU on CPU with grad_enabled=True"):
            output, c = functional_call(cell, by_name, (x, state.c))
        return output, [output[-1], c]

    return run


def compiled(cell, c):
    """The package's compiled loop, which it takes when no gradient is wanted; without a warning."""
    with torch.no_grad():
        output, final = cell(torch.tensor(c.x), torch.tensor(c.state.c))
    return output.numpy(), final.numpy()


@pytest.mark.sru_package
def test_forward_and_all_gradients_match_the_package(sru, record_property):
    """In float64 all results against autograd through its Python loop, in float32 its C++."""
    seeds, T, N = 20, 7, 3
    rows: dict[str, dict[str, float]] = {}
    for (version, g, s), layer in VARIANTS.items():
        worst = rows.setdefault(f"{version:>7}  {g:10}{s:8}", {})
        cell = to_sru(layer, case(layer).params)
        for seed in range(seeds):
            found = errors(layer, python_loop(cell), case(layer, seed, T=T, N=N))
            assert_close(found, TOLERANCE[np.float64])

            single = storable(layer, np.float32)
            c = case(single, seed, np.float32, T, N)
            output, final, _ = single.forward(c.params, c.x, c.state)
            theirs = compiled(to_sru(single, c.params), c)
            of_cpp = {
                "output, C++": relative_error(output, theirs[0]),
                "c, C++": relative_error(final.c, theirs[1]),
            }
            assert_close(of_cpp, TOLERANCE[np.float32])
            for name, error in (found | of_cpp).items():
                worst[name] = max(worst.get(name, 0.0), error)
    columns = list(dict.fromkeys(name for worst in rows.values() for name in worst))
    lines = [
        f"worst relative error of SRU against the package sru {sru.__version__}, "
        f"{seeds} random cases each, T={T}, N={N}, D=H=4 or D=3, H=5:\n"
        "in float64 against its loop in Python, with autograd; "
        "columns C++: in float32 against its compiled loop",
        "version  g         highway " + "".join(f"{name:>13}" for name in columns),
    ]
    for row, worst in rows.items():
        cells = (f"{worst[name]:13.0e}" if name in worst else f"{'':>13}" for name in columns)
        lines.append(row + "".join(cells))
    record_property("table", "\n".join(lines))


@pytest.mark.sru_package
@both_dtypes
@each_layer
def test_to_sru_writes_the_documented_layout_and_comes_back(sru, layer, dtype):
    layer = storable(layer, dtype)
    params = case(layer, dtype=dtype).params
    before = torch.random.get_rng_state()
    cell = to_sru(layer, params)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert type(cell) is sru.SRUCell
    stored = cell.state_dict()
    written = package_parameters(tensors(params), layer.hidden_size, is_transposed(cell))
    for name, expected in written.items():
        assert stored[name].dtype == expected.dtype
        assert torch.equal(stored[name], expected)
    assert_same(from_sru(cell), layer, params)


@pytest.mark.sru_package
@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("D", [3, 4])
def test_a_stack_that_the_package_made(sru, v1, D):
    """Its own initial values, other biases, two layers; ours run one after the other."""
    torch.manual_seed(5)
    stack = sru.SRU(D, 4, num_layers=2, rescale=True, highway_bias=-0.7, v1=v1, dropout=0.3)
    with torch.no_grad():
        for cell in stack.rnn_lst:
            cell.bias.uniform_(-1, 1)
    stack.eval()
    x, c_0 = torch.randn(5, 3, D), torch.randn(2, 3, 4)
    with torch.no_grad():
        expected, expected_c = stack(x, c_0)
    output = x.numpy()
    for k, cell in enumerate(stack.rnn_lst):
        layer, params = from_sru(cell)
        # Where D = H, alpha is the factor of the formula, to the precision of the stored float32.
        alpha = highway_alpha(-0.7) if layer.input_size == 4 else 1.0
        assert layer == SRU(layer.input_size, 4, version=1 if v1 else 2, alpha=layer.alpha)
        assert abs(layer.alpha / alpha - 1) < 1e-7
        state = layer.zero_state(3, np.float32)._replace(c=c_0[k].numpy())
        output, final, _ = layer.forward(params, output, state)
        assert relative_error(final.c, expected_c[k].numpy()) < TOLERANCE[np.float32]
    assert relative_error(output, expected.numpy()) < TOLERANCE[np.float32]


@pytest.mark.sru_package
def test_from_sru_refuses_cells_of_the_package(sru):
    """The properties carry the names under which ``from_sru`` looks for them."""
    own = "transform_module" if sru.__version__.startswith("3") else "custom_m"
    for arguments, message in (
        ({"bidirectional": True}, "^bidirectional: "),
        ({"layer_norm": True}, "^layer_norm: "),
        ({"projection_size": 2}, "^projection_size: "),
        ({"dropout": 0.3}, "^dropout: "),
        ({own: torch.nn.Sequential(torch.nn.Linear(3, 20))}, f"^{own}: "),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a module without reset_parameters
            stack = sru.SRU(3, 5, **arguments)
        with pytest.raises(ValueError, match=message):
            from_sru(stack.rnn_lst[0])
        with pytest.raises(TypeError, match="cell: expected an SRUCell, got a stack of them"):
            from_sru(stack)
    before = sru.SRU(3, 5, proj_input_to_hidden_first=True)
    with pytest.raises(TypeError, match="its input_to_hidden comes before them"):
        from_sru(before)


@pytest.mark.sru_package
def test_facts_of_the_package(sru):
    """What the converter and the chapter say of it."""

    def output(cell, x):
        with torch.no_grad():
            return cell(x)[0]

    # scale_x is a float32 number, and read only with rescale and a skip term where D = H.
    for D, change, counts in (
        (4, {}, True),
        (4, {"rescale": False}, False),
        (4, {"has_skip_term": False}, False),
        (3, {}, False),
    ):
        cell = sru.SRUCell(D, 4, **{"rescale": True} | change)
        assert cell.scale_x.dtype == torch.float32
        x = torch.randn(5, 2, D)
        expected = output(cell, x)
        cell.scale_x.mul_(2.0)
        assert torch.equal(output(cell, x), expected) is not counts
    # The compiled loop knows float32 only.
    with pytest.raises(RuntimeError, match="expected scalar type Float but found Double"):
        output(sru.SRUCell(3, 5).double(), torch.ones(4, 2, 3, dtype=torch.float64))
    # Version 1 leaves v at 0, and does not learn it.
    v = sru.SRUCell(3, 5, v1=True).weight_c
    assert not v.any() and not v.requires_grad


@pytest.mark.sru_package
def test_examples(sru):
    failed, attempted = doctest.testmod(rnn_ref.interop.sru, globs={})
    assert attempted >= 8 and failed == 0
