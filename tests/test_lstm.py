"""LSTM and its variants against the contract."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from contract import Contract, case, torch_function

from rnn_ref import LSTM, Activation


class TestLSTM(Contract):
    layers = [
        LSTM(3, 5),
        LSTM(3, 5, peephole=True),
        LSTM(3, 5, coupled=True),
        LSTM(3, 5, forget_gate=False),
        LSTM(3, 5, peephole=True, coupled=True),
        LSTM(3, 5, peephole=True, forget_gate=False),
        LSTM(3, 5, proj_size=2),
        LSTM(3, 5, proj_size=4, peephole=True, coupled=True),
        LSTM(3, 5, activations=("hard_sigmoid", "softsign", "softplus"), clip=0.9),
        LSTM(3, 5, activations=("hard_sigmoid", "softsign", "tanh")),
        LSTM(3, 5, peephole=True, activations=("tanh", "sigmoid", "tanh")),
        LSTM(
            3,
            5,
            peephole=True,
            proj_size=2,
            activations=(Activation("scaled_tanh", 0.8, 0.5), "leaky_relu", "elu"),
            clip=1.2,
        ),
    ]

    @staticmethod
    def resized(layer, D, H):
        return replace(layer, input_size=D, hidden_size=H + layer.proj_size)

    @staticmethod
    def transcription(layer, params, x, state):
        H = layer.hidden_size
        (h, c), output = state, []
        sigma, phi = (torch_function(choice, layer.clip) for choice in layer.activations[:2])
        psi = torch_function(layer.activations[2])
        own_forget_gate = layer.forget_gate and not layer.coupled
        for x_t in x:
            a = x_t @ params.weight_ih.T + params.bias_ih + h @ params.weight_hh.T + params.bias_hh
            a_i, a_g, a_o = a[:, :H], a[:, -2 * H : -H], a[:, -H:]
            a_f = a[:, H : 2 * H]
            if layer.peephole:
                a_i = a_i + params.weight_ph[:H] * c
                a_f = a_f + params.weight_ph[H : 2 * H] * c
            i = sigma(a_i)
            f = sigma(a_f) if own_forget_gate else (1 - i if layer.coupled else 1)
            c = f * c + i * phi(a_g)
            if layer.peephole:
                a_o = a_o + params.weight_ph[-H:] * c
            h = sigma(a_o) * psi(c)
            if layer.proj_size:
                h = h @ params.weight_hr.T
            output.append(h)
        return torch.stack(output) if output else h.new_zeros(0, *h.shape), [h, c]

    @staticmethod
    def torch_nn(layer):
        sizes, P = (layer.input_size, layer.hidden_size), layer.proj_size
        if vars(layer) != vars(LSTM(*sizes, proj_size=P)):
            return None
        return torch.nn.LSTM(*sizes, proj_size=P, dtype=torch.float64)


def test_coupled_without_forget_gate_is_refused():
    with pytest.raises(ValueError, match=r"coupled: .*f = 1 - i or f = 1"):
        LSTM(3, 5, coupled=True, forget_gate=False)


def test_options_are_booleans():
    with pytest.raises(ValueError, match="peephole: expected one of"):
        LSTM(3, 5, peephole="yes")


def test_peephole_weights_of_a_layer_without_peepholes_are_refused():
    c = case(LSTM(3, 5, peephole=True))
    with pytest.raises(ValueError, match=r"params.weight_ph: expected None.*peephole=False"):
        LSTM(3, 5).forward(c.params, c.x)


@pytest.mark.parametrize("options", [{"coupled": True}, {"forget_gate": False}])
def test_variants_have_three_blocks(options):
    layer = LSTM(3, 5, peephole=True, **options)
    shapes = [v.shape for v in layer.init_params(np.random.default_rng(0))[:5]]
    assert shapes == [(15, 3), (15, 5), (15,), (15,), (10,)]


def test_cell_of_1997_adds_up():
    """With f = 1 the cell state is its initial value plus everything ever written."""
    layer = LSTM(3, 5, forget_gate=False)
    c = case(layer, T=6)
    _, final_state, cache = layer.forward(c.params, c.x, c.state)
    np.testing.assert_allclose(final_state.c, c.state.c + (cache.i * cache.g).sum(0), rtol=1e-13)
    assert (cache.f == 1).all()


def test_coupled_gates_sum_to_one():
    layer = LSTM(3, 5, coupled=True)
    c = case(layer)
    _, _, cache = layer.forward(c.params, c.x, c.state)
    np.testing.assert_allclose(cache.i + cache.f, 1.0, rtol=1e-15)


def test_constant_error_carousel():
    """With the input gate shut and f = 1, the gradient of c passes all steps unchanged."""
    layer = LSTM(3, 5, forget_gate=False)
    c = case(layer, T=50)
    params = c.params._replace(
        bias_ih=c.params.bias_ih + np.repeat([-1e3, 0.0, -1e3], 5)  # i = 0 and o = 0
    )
    _, _, cache = layer.forward(params, c.x, c.state)
    grads = layer.backward(params, cache, c.d_output, c.d_final_state)
    np.testing.assert_allclose(grads.state.c, c.d_final_state.c, rtol=1e-12)
