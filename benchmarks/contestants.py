"""The cells that are measured, and whom beside.

Every contestant is a step: a function without arguments that runs forward alone, or forward and
backward, from a given gradient of the output to those of the parameters and of the input. All of
one case have the same parameters (where they have the same cell), input and gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks.floor import floor
from benchmarks.textbook import TEXTBOOK
from benchmarks.timing import Step
from rnn_ref import GRU, LSTM, SRU, ElmanRNN
from rnn_ref.interop.onnx import to_onnx
from rnn_ref.interop.pytorch import to_torch
from rnn_ref.torch_module import TorchLayer


class Kind(NamedTuple):
    """A cell, the module of torch.nn that it is compared with, and how that differs from it."""

    layer: Callable[[int, int], Any]
    module: type[nn.Module]
    differs: str = ""


CELLS = {
    "ElmanRNN": Kind(ElmanRNN, nn.RNN),
    "LSTM": Kind(LSTM, nn.LSTM),
    "GRU after": Kind(partial(GRU, reset="after"), nn.GRU),
    "GRU before": Kind(partial(GRU, reset="before"), nn.GRU, "the other form, reset after"),
    "SRU": Kind(SRU, nn.LSTM, "another cell, torch.nn has no SRU"),
}


class Problem(NamedTuple):
    """A layer with parameters, an input, and a gradient of its output."""

    layer: Any
    params: Any
    x: Any
    d_output: Any


def draw(layer: Any, T: int, N: int, dtype: str) -> Problem:
    rng = np.random.default_rng(0)
    params = layer.init_params(rng, dtype)
    x, d_output = (
        rng.standard_normal((T, N, size)).astype(dtype)
        for size in (layer.input_size, layer.output_size)
    )
    return Problem(layer, params, x, d_output)


def contestants(
    cell: str, T: int, N: int, H: int, dtype: str, threads: int, training: bool
) -> tuple[dict[str, Step], dict[str, str]]:
    """Those of one case by name, and the forms of the floor's products."""
    given = draw(CELLS[cell].layer(H, H), T, N, dtype)
    bound, forms = floor(given.layer, T, N, dtype, threads, training)
    steps = {
        "rnn_ref": of_layer(given, training),
        "torch.nn": of_module(beside(cell, given), given.x, given.d_output, training),
        "floor": bound,
        "textbook": of_textbook(cell, given, training),
    }
    if cell == "SRU":
        eager = EagerSRU(given.params)
        steps["eager torch"] = of_module(eager, given.x, given.d_output, training)
        steps["rnn_ref LSTM"] = of_layer(draw(LSTM(H, H), T, N, dtype), training)
    if training:
        module = TorchLayer(given.layer, given.params)
        steps["TorchLayer"] = of_module(module, given.x, given.d_output, training)
    elif dtype == "float32" and cell != "SRU":  # the rest it cannot run
        steps["onnxruntime"] = of_onnxruntime(given, threads)
    return steps, forms


def of_layer(given: Problem, training: bool) -> Step:
    layer, params, x, d_output = given

    def forward() -> None:
        layer.forward(params, x)

    def forward_and_backward() -> None:
        _, _, cache = layer.forward(params, x)
        layer.backward(params, cache, d_output)

    return forward_and_backward if training else forward


def beside(cell: str, given: Problem) -> nn.Module:
    """The module of torch.nn: with the layer's parameters, or if it differs, with its own."""
    kind, layer = CELLS[cell], given.layer
    if kind.differs:
        return kind.module(layer.input_size, layer.hidden_size).to(_torch(given.x.dtype))
    return to_torch(layer, given.params)


def of_module(module: nn.Module, x: Any, d_output: Any, training: bool) -> Step:
    """A module returns its output, or that and a state."""
    x, d_output = torch.tensor(x, requires_grad=training), torch.tensor(d_output)
    leaves = [*module.parameters(), x]

    def forward() -> None:
        with torch.no_grad():
            module(x)

    def forward_and_backward() -> None:
        output = module(x)
        output = output[0] if isinstance(output, tuple) else output
        torch.autograd.grad(output, leaves, d_output)

    return forward_and_backward if training else forward


def of_textbook(cell: str, given: Problem, training: bool) -> Step:
    forward, back = TEXTBOOK[cell]
    _, params, x, d_output = given

    def forward_and_backward() -> None:
        _, cache = forward(params, x)
        back(params, cache, d_output)

    return forward_and_backward if training else partial(forward, params, x)


def of_onnxruntime(given: Problem, threads: int) -> Step:
    """Forward, of the model that ``to_onnx`` writes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = to_onnx(given.layer, given.params).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return partial(session.run, ["output"], {"x": given.x})


class EagerSRU(nn.Module):
    """The SRU of version 2 with D = H, as one writes it in PyTorch, differentiated by autograd.

    What does not wait for the state is outside the loop, as in ``rnn_ref``.
    """

    def __init__(self, params: Any) -> None:
        super().__init__()
        for name, value in params._asdict().items():
            self.register_parameter(name, nn.Parameter(torch.tensor(value)))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        b_f, b_r = self.bias_ih.chunk(2)
        v_f, v_r = self.weight_ph.chunk(2)
        u, f, r = (x @ self.weight_ih.T).chunk(3, dim=-1)
        f = f + b_f
        c = [torch.zeros_like(x[0])]
        for u_t, f_t in zip(u.unbind(), f.unbind(), strict=True):
            f_t = torch.sigmoid(f_t + v_f * c[-1])
            c.append(u_t + f_t * (c[-1] - u_t))
        c_all = torch.stack(c)
        r = torch.sigmoid(r + b_r + v_r * c_all[:-1])
        return x + r * (c_all[1:] - x), c[-1]


def _torch(dtype: Any) -> torch.dtype:
    return getattr(torch, np.dtype(dtype).name)
