"""GRU in both reset forms against the contract."""

import numpy as np
import pytest
import torch
from contract import Contract, case, torch_function

from rnn_ref import GRU, Activation


class TestGRU(Contract):
    layers = [
        GRU(3, 5, reset="after"),
        GRU(3, 5, reset="before"),
        GRU(3, 5, activations=("hard_sigmoid", "softsign"), clip=0.9),
        GRU(3, 5, reset="before", activations=(Activation("hard_sigmoid", 0.3, 0.4), "elu")),
        GRU(3, 5, activations=("tanh", "sigmoid")),
    ]

    @staticmethod
    def transcription(layer, params, x, state):
        W_r, W_z, W_n = params.weight_ih.chunk(3)
        U_r, U_z, U_n = params.weight_hh.chunk(3)
        b_r, b_z, b_n = params.bias_ih.chunk(3)
        v_r, v_z, v_n = params.bias_hh.chunk(3)
        sigma, phi = (torch_function(choice, layer.clip) for choice in layer.activations)
        h, output = state.h, []
        for x_t in x:
            r = sigma(x_t @ W_r.T + b_r + h @ U_r.T + v_r)
            z = sigma(x_t @ W_z.T + b_z + h @ U_z.T + v_z)
            if layer.reset == "after":
                candidate = phi(x_t @ W_n.T + b_n + r * (h @ U_n.T + v_n))
            else:
                candidate = phi(x_t @ W_n.T + b_n + (r * h) @ U_n.T + v_n)
            h = z * h + (1 - z) * candidate
            output.append(h)
        return torch.stack(output) if output else h.new_zeros(0, *h.shape), [h]

    @staticmethod
    def torch_nn(layer):
        if vars(layer) != vars(GRU(layer.input_size, layer.hidden_size)):
            return None
        return torch.nn.GRU(layer.input_size, layer.hidden_size, dtype=torch.float64)


def test_unknown_reset_form_is_refused():
    with pytest.raises(ValueError, match=r"reset: expected one of .*'after', 'before'"):
        GRU(3, 5, reset="v3")


def test_the_two_reset_forms_differ():
    after, before = GRU(3, 5, reset="after"), GRU(3, 5, reset="before")
    c = case(after)
    difference = (
        after.forward(c.params, c.x, c.state)[0] - before.forward(c.params, c.x, c.state)[0]
    )
    assert np.abs(difference).max() > 0.05


def test_the_two_reset_forms_agree_where_r_is_one():
    after, before = GRU(3, 5, reset="after"), GRU(3, 5, reset="before")
    c = case(after)
    open_reset = np.repeat([1e3, 0.0, 0.0], 5)
    params = c.params._replace(bias_ih=c.params.bias_ih + open_reset)
    a, b = (layer.forward(params, c.x, c.state)[0] for layer in (after, before))
    np.testing.assert_allclose(a, b, rtol=1e-13)


def test_z_keeps():
    """z = 1 keeps the state for ever; z = 0 leaves nothing of it but the candidate."""
    layer = GRU(3, 5)
    c = case(layer)
    keep = c.params._replace(bias_ih=c.params.bias_ih + np.repeat([0.0, 1e3, 0.0], 5))
    write = c.params._replace(bias_ih=c.params.bias_ih - np.repeat([0.0, 1e3, 0.0], 5))
    np.testing.assert_allclose(layer.forward(keep, c.x, c.state)[0][-1], c.state.h, rtol=1e-13)
    output, _, cache = layer.forward(write, c.x, c.state)
    np.testing.assert_allclose(output, cache.n, rtol=1e-13)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_bias_gradients(reset):
    """r and z see the sum of both biases; n tells them apart, but only with the reset after."""
    layer = GRU(3, 5, reset=reset)
    c = case(layer)
    _, _, cache = layer.forward(c.params, c.x, c.state)
    d = layer.backward(c.params, cache, c.d_output).params
    np.testing.assert_array_equal(d.bias_ih[:10], d.bias_hh[:10])
    assert np.array_equal(d.bias_ih[10:], d.bias_hh[10:]) == (reset == "before")
