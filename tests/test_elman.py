"""ElmanRNN against the contract."""

import pytest
import torch
from contract import Contract

from rnn_ref import ElmanRNN


class TestElmanRNN(Contract):
    layers = [ElmanRNN(3, 5, nonlinearity="tanh"), ElmanRNN(3, 5, nonlinearity="relu")]

    @staticmethod
    def transcription(layer, params, x, state):
        f = {"tanh": torch.tanh, "relu": torch.relu}[layer.nonlinearity]
        h, output = state.h, []
        for x_t in x:
            a = x_t @ params.weight_ih.T + params.bias_ih + h @ params.weight_hh.T + params.bias_hh
            h = f(a)
            output.append(h)
        return torch.stack(output) if output else h.new_zeros(0, *h.shape), [h]

    @staticmethod
    def torch_nn(layer):
        sizes = layer.input_size, layer.hidden_size
        return torch.nn.RNN(*sizes, nonlinearity=layer.nonlinearity, dtype=torch.float64)


def test_unknown_nonlinearity_is_refused():
    with pytest.raises(
        ValueError, match=r"nonlinearity: expected one of .*'tanh', 'relu'.*'sigmoid'"
    ):
        ElmanRNN(3, 5, nonlinearity="sigmoid")
