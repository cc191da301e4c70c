"""Bytes that are held between forward and backward.

Counted is memory, not arrays: two views of one buffer count once, and a view counts as much as the
buffer that it keeps alive. What the caller holds in any case is left out on both sides: the
parameters, x and the output. The cache of ``rnn_ref`` keeps the hidden states in the output itself.
PyTorch saves each step's beside the output, which is another copy of them, and they count; its
fused LSTM of float32 saves the output, and the workspace that the kernel leaves for its backward,
which counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.contestants import CELLS, EagerSRU, beside, draw


def memory(cell: str, T: int, N: int, H: int, dtype: str) -> dict[str, int]:
    """Bytes by contestant."""
    given = draw(CELLS[cell].layer(H, H), T, N, dtype)
    output, _, cache = given.layer.forward(given.params, given.x)
    modules = {"torch.nn": beside(cell, given)}
    if cell == "SRU":
        modules["eager torch"] = EagerSRU(given.params)
    saved = {name: saved_bytes(module, given.x) for name, module in modules.items()}
    held = held_bytes(cache, without=(given.x, *given.params))
    return {"rnn_ref": held - output.nbytes, **saved}


def held_bytes(tree: Any, without: Any = ()) -> int:
    """Of the buffers under the arrays in nested tuples, except those under ``without``."""
    others = {id(buffer) for buffer in _buffers(without)}
    held = {id(buffer): buffer.nbytes for buffer in _buffers(tree)}
    return sum(nbytes for key, nbytes in held.items() if key not in others)


def _buffers(tree: Any) -> Iterator[Any]:
    if isinstance(tree, tuple | list):
        for part in tree:
            yield from _buffers(part)
    elif isinstance(tree, np.ndarray):
        while isinstance(tree.base, np.ndarray):
            tree = tree.base
        yield tree


def saved_bytes(module: nn.Module, x: Any) -> int:
    """Of the storages that autograd holds after forward, but for those of parameters, x, output."""
    x = torch.tensor(x, requires_grad=True)
    saved: list[torch.Tensor] = []  # kept, so that no address is used twice

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = module(x)
    output = output[0] if isinstance(output, tuple) else output
    callers = {t.untyped_storage().data_ptr() for t in (*module.parameters(), x, output)}
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in saved}
    return sum(nbytes for address, nbytes in storages.items() if address not in callers)
