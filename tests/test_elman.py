"""ElmanRNN against the contract."""

import pytest
import torch
from contract import Contract, torch_function

from rnn_ref import Activation, ElmanRNN


class TestElmanRNN(Contract):
    layers = [
        ElmanRNN(3, 5, nonlinearity="tanh"),
        ElmanRNN(3, 5, nonlinearity="relu"),
        ElmanRNN(3, 5, clip=0.8),
        ElmanRNN(3, 5, nonlinearity="leaky_relu"),
        ElmanRNN(3, 5, nonlinearity=Activation("thresholded_relu", alpha=0.3)),
        ElmanRNN(3, 5, nonlinearity=Activation("affine", alpha=-0.7, beta=0.2), clip=1.1),
        ElmanRNN(3, 5, nonlinearity=Activation("elu", alpha=0.6)),
        ElmanRNN(3, 5, nonlinearity="sigmoid"),
    ]

    @staticmethod
    def transcription(layer, params, x, state):
        f = torch_function(layer.nonlinearity, layer.clip)
        h, output = state.h, []
        for x_t in x:
            a = x_t @ params.weight_ih.T + params.bias_ih + h @ params.weight_hh.T + params.bias_hh
            h = f(a)
            output.append(h)
        return torch.stack(output) if output else h.new_zeros(0, *h.shape), [h]

    @staticmethod
    def torch_nn(layer):
        if layer.nonlinearity not in ("tanh", "relu") or layer.clip:
            return None
        sizes = layer.input_size, layer.hidden_size
        return torch.nn.RNN(*sizes, nonlinearity=layer.nonlinearity, dtype=torch.float64)


def test_unknown_nonlinearity_is_refused():
    with pytest.raises(ValueError, match=r"nonlinearity: expected one of .*tanh, relu.*'sine'"):
        ElmanRNN(3, 5, nonlinearity="sine")
    with pytest.raises(TypeError, match="nonlinearity: expected a name or an Activation, got int"):
        ElmanRNN(3, 5, nonlinearity=1)
    with pytest.raises(ValueError, match="clip: expected a positive finite number, got 0"):
        ElmanRNN(3, 5, clip=0)
