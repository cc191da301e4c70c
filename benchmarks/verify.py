"""What is timed computes the same: every contestant with the cell of ``rnn_ref`` equals it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.contestants import CELLS, EagerSRU, Problem, beside, draw
from benchmarks.textbook import TEXTBOOK
from rnn_ref import relative_error
from rnn_ref.torch_module import TorchLayer

TOLERANCE = 1e-10  # relative, in float64

Results = dict[str, Any]  # arrays by name: output, x, and the parameters' names for gradients


def verify(cell: str, D: int = 4, H: int = 4) -> dict[str, float]:
    """The largest error of each contestant; an error is raised if it is above ``TOLERANCE``."""
    given = draw(CELLS[cell].layer(D, H), 5, 3, "float64")
    expected = of_rnn_ref(given)
    worst = {}
    for name, found in others(cell, given):
        if found.keys() != expected.keys():
            raise ValueError(f"{cell}, {name}: expected {list(expected)}, got {list(found)}")
        worst[name] = max(relative_error(found[key], expected[key]) for key in expected)
        if not worst[name] <= TOLERANCE:
            raise ValueError(f"{cell}, {name}: differs from rnn_ref by {worst[name]:.1e}")
    return worst


def of_rnn_ref(given: Problem) -> Results:
    layer, params, x, d_output = given
    output, _, cache = layer.forward(params, x)
    grads = layer.backward(params, cache, d_output)
    d_params = {name: d for name, d in grads.params._asdict().items() if d is not None}
    return {"output": output, "x": grads.x, **d_params}


def of_textbook(cell: str, given: Problem) -> Results:
    forward, back = TEXTBOOK[cell]
    output, cache = forward(given.params, given.x)
    d_params, dx = back(given.params, cache, given.d_output)
    return {"output": output, "x": dx, **d_params}


def of_module(module: nn.Module, given: Problem) -> Results:
    x = torch.tensor(given.x, requires_grad=True)
    named = {name.removesuffix("_l0"): p for name, p in module.named_parameters()}
    output, _ = module(x)
    dx, *grads = torch.autograd.grad(output, [x, *named.values()], torch.tensor(given.d_output))
    d_params = {name: d.numpy() for name, d in zip(named, grads, strict=True)}
    return {"output": output.detach().numpy(), "x": dx.numpy(), **d_params}


def others(cell: str, given: Problem) -> Iterator[tuple[str, Results]]:
    yield "textbook", of_textbook(cell, given)
    yield "TorchLayer", of_module(TorchLayer(given.layer, given.params), given)
    if not CELLS[cell].differs:
        yield "torch.nn", of_module(beside(cell, given), given)
    if cell == "SRU":
        yield "eager torch", of_module(EagerSRU(given.params), given)
