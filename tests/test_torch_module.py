"""TorchLayer and TorchVRNN: what torch's users do with a module."""

import copy
import io

import numpy as np
import pytest
import torch
from contract import case
from test_vrnn import describe, vrnn_case

from rnn_ref import GRU, LSTM, SRU, VRNN, ElmanRNN
from rnn_ref.torch_module import TorchLayer, TorchVRNN
from rnn_ref.tree import map_arrays, named_arrays

LAYERS = [ElmanRNN(3, 5), LSTM(3, 5, peephole=True), GRU(3, 5, reset="before"), SRU(3, 5)]
MODELS = [
    VRNN(3, 2, 4, layer=LSTM(8, 5)),
    VRNN(3, 2, 4, layer=GRU(8, 5), likelihood="bernoulli", depth=2),
]


@pytest.fixture(params=LAYERS, ids=lambda layer: type(layer).__name__)
def layer(request):
    return request.param


every_model = pytest.mark.parametrize("model", MODELS, ids=describe)


def tensors(c):
    state = type(c.state)(*map(torch.tensor, c.state))
    return torch.tensor(c.x), state


def test_same_numbers_as_the_layer(layer):
    c = case(layer)
    output, final_state = TorchLayer(layer, c.params)(*tensors(c))
    expected, expected_final, _ = layer.forward(c.params, c.x, c.state)
    np.testing.assert_array_equal(output.detach().numpy(), expected)
    assert type(final_state) is layer.state_type
    for value, like in zip(final_state, expected_final, strict=True):
        np.testing.assert_array_equal(value.detach().numpy(), like)


def test_same_gradients_as_the_layer(layer):
    """Every gradient lands on its own tensor, with an upstream gradient into each result."""
    c = case(layer)
    module = TorchLayer(layer, c.params)
    x, state = tensors(c)
    for leaf in (x, *state):
        leaf.requires_grad_()
    output, final_state = module(x, state)
    upstream = [torch.tensor(d) for d in (c.d_output, *c.d_final_state)]
    torch.autograd.backward([output, *final_state], upstream)
    _, _, cache = layer.forward(c.params, c.x, c.state)
    grads = layer.backward(c.params, cache, c.d_output, c.d_final_state)
    np.testing.assert_array_equal(x.grad.numpy(), grads.x)
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), getattr(grads.params, name))
    for leaf, expected in zip(state, grads.state, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), expected)


def test_an_optimizer_trains_it(layer):
    """Fit a random target; the loss has to fall by more than half, in float32."""
    rng = np.random.default_rng(0)
    module = TorchLayer(layer, layer.init_params(rng, np.float32))
    x, target = (torch.tensor(rng.uniform(size=(6, 4, k)), dtype=torch.float32) for k in (3, 5))
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=0.03), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = ((module(x)[0] - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_stacked_modules_pass_gradients_down():
    lower, upper = GRU(3, 4), LSTM(4, 5)
    c_lower, c_upper = case(lower, seed=1), case(upper, seed=2)
    modules = TorchLayer(lower, c_lower.params), TorchLayer(upper, c_upper.params)
    inputs = (torch.tensor(c_lower.x, requires_grad=True),)
    assert torch.autograd.gradcheck(lambda x: modules[1](modules[0](x)[0])[0], inputs)


def test_state_dict_round_trip(layer):
    c, other = case(layer, seed=1), case(layer, seed=2)
    module, loaded = TorchLayer(layer, c.params), TorchLayer(layer, other.params)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file))
    for name, value in loaded.params()._asdict().items():
        np.testing.assert_array_equal(value, getattr(c.params, name))


def test_params_and_copies_are_independent(layer):
    c, again = case(layer), case(layer)
    module = TorchLayer(layer, c.params)
    twin, params = copy.deepcopy(module), module.params()
    with torch.no_grad():
        module.weight_ih.add_(1.0)
    for source in (c.params, params, twin.params()):
        np.testing.assert_array_equal(source.weight_ih, again.params.weight_ih)


@pytest.mark.parametrize("victim", ["x", "output", "parameter"])
def test_writing_into_shared_memory_before_backward_is_refused(layer, victim):
    c = case(layer)
    module = TorchLayer(layer, c.params)
    x, state = tensors(c)
    output, _ = module(x, state)
    loss = (output * torch.tensor(c.d_output)).sum()
    with torch.no_grad():
        {"x": x, "output": output, "parameter": module.weight_ih}[victim].mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("loss", [torch.sum, lambda output: output.square().sum()])
def test_second_derivatives_are_refused(layer, loss):
    """With a linear loss too, where torch's own guard would let a Hessian of zeros pass."""
    c = case(layer)
    x = torch.tensor(c.x, requires_grad=True)
    module = TorchLayer(layer, c.params)
    with pytest.raises(RuntimeError, match="second derivatives are not available"):
        torch.autograd.grad(loss(module(x)[0]), x, create_graph=True)
    with pytest.raises(RuntimeError, match="second derivatives are not available"):
        torch.autograd.functional.hessian(lambda x: loss(module(x)[0]), x)


def test_strided_tensors_are_taken_as_they_are(layer):
    """A transposed (N, T, D) batch and an expanded upstream gradient need no ``contiguous()``."""
    c = case(layer)
    module = TorchLayer(layer, c.params)
    x = torch.tensor(np.ascontiguousarray(c.x.swapaxes(0, 1)), requires_grad=True)
    output, _ = module(x.transpose(0, 1))
    output.sum().backward()
    params, _, cache = c.params, *layer.forward(c.params, c.x)[1:]
    expected = layer.backward(params, cache, np.ones_like(c.d_output)).x
    np.testing.assert_allclose(x.grad.numpy().swapaxes(0, 1), expected, rtol=1e-10, atol=1e-13)


def test_wrong_arguments_are_refused(layer):
    c = case(layer)
    module = TorchLayer(layer, c.params)
    x, state = tensors(c)
    refused = [
        (lambda: module(c.x), TypeError, "x: expected a Tensor, got ndarray"),
        (lambda: module(x[0]), ValueError, r"x: expected shape \(T, N, D=3\), got \(2, 3\)"),
        (lambda: module(x[:, :, :2]), ValueError, "x: expected shape"),
        (lambda: module(x.float()), TypeError, "x: expected float64"),
        (lambda: module(x, c.state), TypeError, "state.h: expected a Tensor, got ndarray"),
        (lambda: module(x, tuple(state)), TypeError, "state: expected .*State, got tuple"),
        (lambda: module(x[:, :1], state), ValueError, r"state.h: expected shape \(N=1, H=5\)"),
        (
            lambda: module(x.to("meta")),
            ValueError,
            "x: expected a tensor on the CPU, got one on meta",
        ),
        (lambda: TorchLayer(layer, tuple(c.params)), TypeError, "params: expected"),
        (lambda: TorchLayer(torch.nn.GRU(3, 5), None), TypeError, r"got torch\.nn.*GRU"),
        (lambda: module.to("meta")(x), ValueError, "weight_ih: expected a tensor on the CPU"),
    ]
    for call, error, message in refused:
        with pytest.raises(error, match=message):
            call()


def test_repr_shows_the_layer(layer):
    assert repr(layer) in repr(TorchLayer(layer, case(layer).params))


# The VRNN.


def model_tensors(c, requires_grad=False):
    x, noise = torch.tensor(c.x, requires_grad=requires_grad), torch.tensor(c.noise)
    return x, noise, map_arrays(lambda s: torch.tensor(s, requires_grad=requires_grad), c.state)


@every_model
def test_vrnn_has_the_model_s_numbers_and_gradients(model):
    c = vrnn_case(model)
    module, (x, noise, state) = TorchVRNN(model, c.params), model_tensors(c, requires_grad=True)
    kl, nll, final_state = module(x, noise, state)
    run = model.elbo(c.params, c.x, c.noise, c.state)
    assert type(final_state) is model.layer.state_type
    for value, expected in zip(
        (kl, nll, *final_state), (run.kl, run.nll, *run.final_state), strict=True
    ):
        np.testing.assert_array_equal(value.detach().numpy(), expected)
    upstream = [torch.tensor(d) for d in (c.d_kl, c.d_nll, *c.d_final_state)]
    torch.autograd.backward([kl, nll, *final_state], upstream)
    grads = model.elbo_backward(c.params, run.cache, c.d_kl, c.d_nll, c.d_final_state)
    np.testing.assert_array_equal(x.grad.numpy(), grads.x)
    assert noise.grad is None
    expected = named_arrays(grads.params)
    assert {name for name, _ in module.named_parameters()} == expected.keys()
    for name, parameter in module.named_parameters():
        np.testing.assert_array_equal(parameter.grad.numpy(), expected[name])
    for leaf, value in zip(state, grads.state, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), value)


@every_model
def test_vrnn_is_trained_by_an_optimizer(model):
    """Minus the bound of 32 rows falls, in float32."""
    rng = np.random.default_rng(0)
    module = TorchVRNN(model, model.init_params(rng, np.float32))
    x, noise = torch.tensor(rng.uniform(size=(6, 32, 3))).float(), torch.randn(60, 6, 32, 2)
    optimizer, losses = torch.optim.Adam(module.parameters(), lr=0.02), []
    for draw in noise:
        optimizer.zero_grad()
        kl, nll, _ = module(x, draw)
        loss = (kl + nll).sum(0).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3


@every_model
def test_vrnn_state_dict_and_copies(model):
    c, other = vrnn_case(model, seed=1), vrnn_case(model, seed=2)
    module, loaded = TorchVRNN(model, c.params), TorchVRNN(model, other.params)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file))
    with torch.no_grad():
        module.encoder.weights.get_parameter("0").add_(1.0)
    params = loaded.params()
    assert type(params) is type(c.params)
    for name, value in named_arrays(params).items():
        np.testing.assert_array_equal(value, named_arrays(c.params)[name])


@every_model
def test_vrnn_refuses_wrong_arguments(model):
    c = vrnn_case(model)
    module, (x, noise, state) = TorchVRNN(model, c.params), model_tensors(c)
    refused = [
        (lambda: module(c.x, noise), TypeError, "x: expected a Tensor, got ndarray"),
        (lambda: module(x, c.noise), TypeError, "noise: expected a Tensor, got ndarray"),
        (lambda: module(x[0], noise), ValueError, r"x: expected shape \(T, N, D=3\)"),
        (lambda: module(x, noise[:1]), ValueError, r"noise: expected shape \(T=4, N=2, Z=2\)"),
        (lambda: module(x.float(), noise), TypeError, "x: expected float64"),
        (lambda: module(x, noise.to("meta")), ValueError, "noise: expected a tensor on the CPU"),
        (lambda: module(x, noise, tuple(state)), TypeError, "state: expected .*State, got tuple"),
        (lambda: TorchVRNN(model, tuple(c.params)), TypeError, "params: expected VRNNParams"),
        (lambda: TorchVRNN(GRU(3, 5), None), TypeError, r"model: expected .*VRNN, got .*GRU"),
    ]
    for call, error, message in refused:
        with pytest.raises(error, match=message):
            call()
    x.requires_grad_()
    with pytest.raises(RuntimeError, match="second derivatives are not available"):
        torch.autograd.grad(module(x, noise)[0].square().sum(), x, create_graph=True)
    assert repr(model) in repr(module)
