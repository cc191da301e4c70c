"""Stacks and both directions: beside ``torch.nn``, finite differences, and their parts by hand."""

from itertools import product

import numpy as np
import pytest
import torch
from contract import assert_close
from torch.func import functional_call
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnn_ref import (
    GRU,
    LSTM,
    SRU,
    Bidirectional,
    BidirectionalParams,
    BidirectionalState,
    ElmanRNN,
    Reverse,
    Stack,
    gradient_errors,
    numerical_gradients,
    relative_error,
)
from rnn_ref.compose import reverse
from rnn_ref.torch_module import TorchLayer
from rnn_ref.tree import flat, map_arrays, named_arrays

MIXED = Stack(
    [
        Bidirectional(LSTM(3, 5, peephole=True), GRU(3, 4)),
        Stack([ElmanRNN(9, 4), Reverse(SRU(4, 6))]),
        Bidirectional(SRU(6, 2), Stack([GRU(6, 3, reset="before"), LSTM(3, 2)])),
    ]
)
CAUSAL = Stack([LSTM(3, 5, peephole=True), Stack([ElmanRNN(5, 4), SRU(4, 6)]), GRU(6, 2)])


def case(layer, seed=0, T=5, N=3, dtype=np.float64):
    """Random params, x, state, d_output and d_final_state of any layer."""
    rng = np.random.default_rng(seed)

    def normal(like):
        return (0.7 * rng.standard_normal(like.shape)).astype(dtype)

    params = map_arrays(normal, layer.init_params(rng, dtype))
    state, d_final_state = (map_arrays(normal, layer.zero_state(N, dtype)) for _ in range(2))
    x, d_output = (normal(np.empty((T, N, K))) for K in (layer.input_size, layer.output_size))
    return params, x, state, d_output, d_final_state


# Beside torch.nn


CELLS = {
    "RNN": (ElmanRNN, {}),
    "LSTM": (LSTM, {}),
    "LSTM projected": (LSTM, {"proj_size": 2}),
    "GRU": (GRU, {}),
}


def stacked(cell, depth, bidirectional, H=5, **options):
    """The layer that ``torch.nn`` calls by num_layers and bidirectional."""
    layers, D = [], 3
    for _ in range(depth):
        one = cell(D, H, **options)
        layers.append(Bidirectional(one, one) if bidirectional else one)
        D = layers[-1].output_size
    return Stack(layers)


def torch_name(name: str) -> str:
    """Ours, "1.backward_layer.weight_ih", in torch's words, "weight_ih_l1_reverse"."""
    depth, *direction, field = name.split(".")
    return f"{field}_l{depth}" + "_reverse" * (direction == ["backward_layer"])


def torch_results(cell, layer, options, bias, lengths, params, x, state, d_output, d_final_state):
    """Output, final state and all gradients by autograd through ``torch.nn``."""
    bidirectional = isinstance(layer.layers[0], Bidirectional)
    build = getattr(torch.nn, {ElmanRNN: "RNN"}.get(cell, cell.__name__))
    module = build(3, 5, len(layer.layers), bias=bias, bidirectional=bidirectional, **options)
    module = module.double()

    def leaf(array):
        return torch.tensor(array, requires_grad=True)

    weights = {torch_name(k): leaf(v) for k, v in named_arrays(params).items()}
    weights = {k: v for k, v in weights.items() if bias or not k.startswith("bias")}
    states, x, T = {k: leaf(v) for k, v in named_arrays(state).items()}, leaf(x), len(x)
    # torch wants one array for all layers and directions, ours has one for each.
    fields = ["h", "c"] if cell is LSTM else ["h"]
    names = {f: [k for k in states if k.endswith(f".{f}")] for f in fields}
    initial = [torch.stack([states[k] for k in names[f]]) for f in fields]
    given = x
    if lengths is not None:
        given = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    initial = initial if cell is LSTM else initial[0]
    output, final = functional_call(module, weights, (given, initial))
    if lengths is not None:
        output, _ = pad_packed_sequence(output, total_length=T)
    final = final if cell is LSTM else [final]
    ends = {}
    for f, values in zip(fields, final, strict=True):
        ends |= zip(names[f], values, strict=True)
    loss = (output * torch.tensor(d_output)).sum()
    for k, d in named_arrays(d_final_state).items():
        loss = loss + (ends[k] * torch.tensor(d)).sum()
    loss.backward()
    found = {"output": output, "d_x": x.grad, **{f"final.{k}": v for k, v in ends.items()}}
    found |= {f"d_{k}_0": v.grad for k, v in states.items()}
    named = {torch_name(k): k for k in named_arrays(params)}
    found |= {f"d_{named[k]}": v.grad for k, v in weights.items()}
    return {k: v.detach().numpy() for k, v in found.items()}


@pytest.mark.parametrize("lengths", [None, (3, 5, 1, 4)], ids=["even", "ragged"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize(
    ("kind", "depth", "bidirectional"), list(product(CELLS, [1, 2, 3], [False, True]))
)
def test_forward_and_all_gradients_match_torch_nn(kind, depth, bidirectional, bias, lengths):
    cell, options = CELLS[kind]
    layer = stacked(cell, depth, bidirectional, **options)
    params, x, state, d_output, d_final_state = c = case(layer, N=4)
    if not bias:
        zero = {k: 0 * v if "bias" in k else v for k, v in named_arrays(params).items()}
        values = iter(zero.values())
        params = map_arrays(lambda _: next(values), params)
        c = (params, *c[1:])
    theirs = torch_results(cell, layer, options, bias, lengths, *c)
    lengths = None if lengths is None else np.array(lengths)
    output, final_state, cache = layer.forward(params, x, state, lengths)
    grads = layer.backward(params, cache, d_output, d_final_state)
    ours = {"output": output, "d_x": grads.x}
    ours |= named_arrays(final_state, "final.")
    ours |= {f"d_{k}_0": v for k, v in named_arrays(grads.state).items()}
    ours |= {f"d_{k}": v for k, v in named_arrays(grads.params).items() if bias or "bias" not in k}
    assert ours.keys() == theirs.keys()
    assert_close({k: relative_error(ours[k], theirs[k]) for k in ours}, 1e-10)


# Any layers, nested


@pytest.mark.parametrize("lengths", [None, (3, 0, 5)], ids=["even", "ragged"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("layer", [MIXED, CAUSAL], ids=["mixed", "causal"])
def test_gradients_match_finite_differences(layer, masked, lengths):
    c, lengths = case(layer), None if lengths is None else np.array(lengths)
    if masked:
        layer = Masked(layer.layers)
    _, _, cache = layer.forward(c[0], c[1], c[2], lengths)
    ours = layer.backward(c[0], cache, c[3], c[4])
    assert_close(gradient_errors(ours, numerical_gradients(layer, *c, lengths)), 1e-9)


class Masked(Stack):
    """A stack that always drops the same units."""

    def forward(self, params, x, state=None, lengths=None):
        return super().forward(params, x, state, lengths, masks_of(self, x))


def masks_of(stack, x):
    rng = np.random.default_rng(1)
    shapes = [(*x.shape[:2], layer.output_size) for layer in stack.layers[:-1]]
    shapes[0] = (1, *shapes[0][1:])  # one mask at all steps
    return [rng.choice([0.0, 2.0], shape) for shape in shapes]


def test_a_mask_multiplies_what_goes_up():
    layer = Stack([LSTM(3, 5), GRU(5, 4)])
    params, x, state, *_ = case(layer)
    mask = np.random.default_rng(1).choice([0.0, 2.0], (5, 3, 5))
    below, lower, _ = layer.layers[0].forward(params[0], x, state[0])
    above, upper, _ = layer.layers[1].forward(params[1], mask * below, state[1])
    output, final_state, _ = layer.forward(params, x, state, masks=[mask])
    np.testing.assert_array_equal(output, above)
    for value, expected in zip(flat(final_state), flat((lower, upper)), strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("layer", [MIXED, CAUSAL], ids=["mixed", "causal"])
def test_rows_of_different_length_are_rows_alone(layer):
    params, x, state, *_ = case(layer, N=4)
    lengths = np.array([3, 5, 0, 2])
    padding = np.arange(5)[:, None] >= lengths
    x[padding] = np.nan
    output, final_state, _ = layer.forward(params, x, state, lengths)
    assert not output[padding].any()
    for row, end in enumerate(lengths):
        n = slice(row, row + 1)
        initial = map_arrays(lambda s, n=n: s[n], state)
        alone, final, _ = layer.forward(params, x[:end, n], initial)
        assert relative_error(output[:end, n], alone) < 1e-12
        for value, expected in zip(flat(final_state), flat(final), strict=True):
            assert relative_error(value[n], expected) < 1e-12


def test_step_equals_forward():
    params, x, state, *_ = case(CAUSAL)
    output, final_state, _ = CAUSAL.forward(params, x, state)
    for x_t, expected in zip(x, output, strict=True):
        state = CAUSAL.step(params, x_t, state)
        assert relative_error(state[-1].h, expected) < 1e-12
    for value, expected in zip(flat(state), flat(final_state), strict=True):
        assert relative_error(value, expected) < 1e-12
    params, x, state, *_ = case(MIXED)
    with pytest.raises(NotImplementedError, match="from its end"):
        MIXED.step(params, x[0], state)


def test_the_backward_layer_reads_from_the_end():
    layer = Bidirectional(GRU(3, 5), LSTM(3, 4))
    params, x, state, *_ = case(layer)
    output, final_state, _ = layer.forward(params, x, state)
    alone, final, _ = LSTM(3, 4).forward(
        params.backward_layer, x[::-1].copy(), state.backward_layer
    )
    np.testing.assert_array_equal(output[:, :, 5:], alone[::-1])
    for value, expected in zip(final_state.backward_layer, final, strict=True):
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("lengths", [None, (3, 0, 5)], ids=["even", "ragged"])
def test_a_reversed_layer_is_the_backward_layer(lengths):
    """All results those of the backward half, and turned around twice the layer itself."""
    lengths = None if lengths is None else np.array(lengths)
    layer = Reverse(LSTM(3, 4))
    params, x, state, d_output, d_final_state = case(layer)
    output, final_state, cache = layer.forward(params, x, state, lengths)
    grads = layer.backward(params, cache, d_output, d_final_state)

    ahead = GRU(3, 5)
    both = Bidirectional(ahead, LSTM(3, 4))
    p_both, s_both = (
        kind(one, two)
        for kind, one, two in (
            (BidirectionalParams, case(ahead)[0], params),
            (BidirectionalState, case(ahead)[2], state),
        )
    )
    o_both, f_both, c_both = both.forward(p_both, x, s_both, lengths)
    d_final = BidirectionalState(ahead.zero_state(3), d_final_state)
    d_both = np.concatenate([np.zeros((5, 3, 5)), d_output], axis=2)
    g_both = both.backward(p_both, c_both, d_both, d_final)
    expected = (o_both[:, :, 5:], f_both.backward_layer, g_both.params.backward_layer)
    expected += (g_both.x, g_both.state.backward_layer)
    for value, wanted in zip(flat((output, final_state, *grads)), flat(expected), strict=True):
        assert relative_error(value, np.ascontiguousarray(wanted)) < 1e-14

    twice, _, _ = Reverse(layer).forward(params, x, state, lengths)
    np.testing.assert_array_equal(twice, LSTM(3, 4).forward(params, x, state, lengths)[0])
    with pytest.raises(NotImplementedError, match="from its end"):
        layer.step(params, x[0], state)


def test_reverse():
    x = np.arange(12.0).reshape(4, 3, 1)
    turned = reverse(x, np.array([2, 4, 0]))[:, :, 0]
    np.testing.assert_array_equal(turned.T, [[3, 0, 6, 9], [10, 7, 4, 1], [2, 5, 8, 11]])
    np.testing.assert_array_equal(reverse(x), x[::-1])


@pytest.mark.parametrize(
    ("layer", "first"),
    [
        (
            Stack([Bidirectional(LSTM(3, 2), GRU(3, 2)), ElmanRNN(4, 2)]),
            "0.forward_layer.weight_ih",
        ),
        (Reverse(LSTM(3, 2)), "weight_ih"),
    ],
    ids=["stack", "reverse"],
)
def test_gradcheck_through_torch(layer, first):
    params, x, state, *_ = case(layer, T=3, N=2)
    module, lengths = TorchLayer(layer, params), torch.tensor([3, 1])
    names = [name for name, _ in module.named_parameters()]
    assert names[0] == first
    state = map_arrays(torch.tensor, state)
    assert torch.equal(
        module(torch.tensor(x))[0], module(torch.tensor(x), lengths=torch.full((2,), 3))[0]
    )

    def run(x, *weights):
        arguments = (x, state, lengths)
        output, final_state = functional_call(
            module, dict(zip(names, weights, strict=True)), arguments
        )
        return output, *flat(final_state)

    leaves = [torch.tensor(x, requires_grad=True)]
    leaves += [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(run, leaves)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_types_of_results(dtype):
    params, x, state, d_output, d_final_state = case(MIXED, dtype=dtype)
    output, final_state, cache = MIXED.forward(params, x, lengths=np.array([2, 5, 0]))
    grads = MIXED.backward(params, cache, d_output)
    for value, like in [(final_state, state), (grads.params, params), (grads.state, d_final_state)]:
        assert list(named_arrays(value)) == list(named_arrays(like))
        assert isinstance(value, type(like))
    assert {a.dtype for a in flat((output, final_state, grads))} == {np.dtype(dtype)}


def test_wrong_arguments_are_refused():
    stack, both = Stack([LSTM(3, 5), GRU(5, 4)]), Bidirectional(LSTM(3, 5), GRU(3, 4))
    params, x, state, d_output, _ = case(stack)
    p_both, _, s_both, *_ = case(both)
    _, _, cache = stack.forward(params, x)
    mask = np.ones((5, 3, 5))

    def run(**change):
        return lambda: stack.forward(**{"params": params, "x": x} | change)

    f32 = map_arrays(lambda a: a.astype(np.float32), params[1])
    before, crossed = Stack([LSTM(3, 5), GRU(5, 4, "before")]), BidirectionalState(*s_both[::-1])
    refused = [
        (lambda: Stack([]), ValueError, "layers: expected at least one"),
        (lambda: Stack(LSTM(3, 5)), TypeError, "layers: expected a sequence of layers, got .*LSTM"),
        (lambda: Stack([LSTM(3, 5), "GRU"]), TypeError, r"layers\[1\]: expected a rnn_ref.Layer"),
        (lambda: Stack([LSTM(3, 5), GRU(4, 4)]), ValueError, r"layers\[1\]: .*size 5,.* got 4"),
        (lambda: Bidirectional(LSTM(3, 5), GRU(4, 4)), ValueError, "backward_layer: .*3,.* got 4"),
        (lambda: Bidirectional(None, GRU(4, 4)), TypeError, "forward_layer: expected a rnn_ref"),
        (lambda: Reverse(GRU), TypeError, "layer: expected a rnn_ref.Layer"),
        (
            lambda: Reverse(GRU(3, 5)).forward(params, x),
            TypeError,
            "params: expected GRUParams, got tuple",
        ),
        (
            lambda: Reverse(GRU(3, 5)).forward(case(GRU(3, 5))[0], x, state[0]),
            TypeError,
            "state: expected GRUState",
        ),
        (
            lambda: Reverse(stack).backward(params, cache, d_output),
            TypeError,
            "cache: expected the ReverseCache",
        ),
        (run(params=list(params)), TypeError, "params: expected a tuple, got list"),
        (run(params=params[:1]), ValueError, "params: expected 2 parts, one for each layer, got 1"),
        (run(params=params[::-1]), TypeError, r"params\[0\]: expected LSTMParams, got GRUParams"),
        (run(params=(params[0], f32)), TypeError, "params: expected one dtype.*float32, float64"),
        (run(state=state[0]), TypeError, "state: expected a tuple, got LSTMState"),
        (run(state=state[::-1]), TypeError, r"state\[0\]: expected LSTMState"),
        (run(x=x[:, :, 1:]), ValueError, "x: expected shape"),
        (run(masks=mask), TypeError, "masks: expected a list of arrays, got ndarray"),
        (run(masks=[mask, mask]), ValueError, "masks: expected 1, .* got 2"),
        (run(masks=[mask[:2]]), ValueError, r"masks\[0\]: .*\(T=5, N=3, O=5\), got \(2, 3, 5\)"),
        (run(masks=[mask > 0]), TypeError, r"masks\[0\]: expected float64.*got bool"),
        (
            lambda: stack.backward(params, None, d_output),
            TypeError,
            "cache: expected the Stack",
        ),
        (lambda: stack.backward(params, cache, d_output[1:]), ValueError, r"d_output: .*O=4"),
        (
            lambda: before.backward(params, cache, d_output),
            ValueError,
            "cache: expected one made by",
        ),
        (lambda: both.forward(params, x), TypeError, "params: expected BidirectionalParams"),
        (lambda: both.forward(p_both, x, state), TypeError, "state: expected BidirectionalState"),
        (
            lambda: both.forward(p_both, x, crossed),
            TypeError,
            "state.forward_layer: expected LSTM",
        ),
        (
            lambda: both.forward(p_both._replace(backward_layer=f32), x),
            ValueError,
            "params.backward_layer.weight_ih",
        ),
    ]
    for call, error, message in refused:
        with pytest.raises(error, match=message):
            call()
