"""What the checks ask of a form: does every parameter act, what depends on what, is it the same?

The arrays are random, asymmetric and nowhere zero, and T, N, D and H differ, so that no shape fits
by accident. Forms are functions of PyTorch tensors, because the questions are about derivatives.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

T, N, D, H = 3, 2, 4, 5


def draw(*shape: int, seed: int = 0) -> Tensor:
    """Random normal numbers in float64 that can be differentiated; another seed, other numbers."""
    rng = np.random.default_rng([seed, *shape])
    return torch.tensor(rng.normal(size=shape), requires_grad=True)


def draws(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> dict[str, Tensor]:
    """One random array for each name."""
    return {name: draw(*shape, seed=seed + 1 + k) for k, (name, shape) in enumerate(shapes.items())}


def acting(value: Tensor, inputs: Mapping[str, Tensor]) -> set[str]:
    """The inputs in which ``value`` has a derivative that is not zero everywhere."""
    weight = torch.tensor(np.random.default_rng(99).normal(size=value.shape))
    if not value.requires_grad:
        return set()
    loss, asked = (value * weight).sum(), list(inputs.values())
    grads = torch.autograd.grad(loss, asked, retain_graph=True, allow_unused=True)
    return {name for name, g in zip(inputs, grads, strict=True) if g is not None and g.any()}


def require_acting(value: Tensor, inputs: Mapping[str, Tensor]) -> None:
    """Every one of the inputs must act on the value."""
    dead = [name for name in inputs if name not in acting(value, inputs)]
    assert not dead, f"no derivative in {', '.join(dead)}"


def require_not_acting(value: Tensor, inputs: Mapping[str, Tensor]) -> None:
    """None of the inputs may act on the value."""
    found = [name for name in inputs if name in acting(value, inputs)]
    assert not found, f"depends on {', '.join(found)}"


def require_shape(value: Any, shape: Sequence[int]) -> None:
    """The value must have this shape."""
    assert tuple(value.shape) == tuple(shape), f"shape {tuple(value.shape)}, not {tuple(shape)}"


def require_equal(found: Any, expected: Any, what: str = "value", tolerance: float = 1e-10) -> None:
    """Both must agree, relative to the largest entry of what is expected."""
    found, expected = (torch.as_tensor(a).detach().numpy() for a in (found, expected))
    require_shape(found, expected.shape)
    off = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert off <= tolerance, f"{what} off by {off:.1g} of the largest"


def require_gate(value: Tensor, name: str) -> None:
    """Every entry of a gate must lie between 0 and 1."""
    assert bool(((value > 0) & (value < 1)).all()), f"{name} not in (0, 1)"


def call(form: Callable[..., Any], **given: Any) -> Any:
    """Call a form with those of the given arguments that it takes; forms can differ in them."""
    return form(**{name: given[name] for name in inspect.signature(form).parameters})
