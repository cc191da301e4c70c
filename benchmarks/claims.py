"""Time of one training step of every cell, for chapter ``claims``.

    python -m benchmarks.claims

A training step is one forward and one backward pass of one layer, from a given gradient of its
output to the gradients of parameters and input; no optimizer. All cases run in one process, one
thread, turn by turn, so that whatever else the machine does meets them alike. Writes
``benchmarks/results/claims.json``, which the chapter shows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from benchmarks.contestants import draw, of_layer, of_module
from benchmarks.store import RESULTS, write
from benchmarks.timing import Step, heading, in_order, interleaved, progress, threads
from rnn_ref import GRU, LSTM, SRU, ElmanRNN
from rnn_ref.tree import flat

RESULT = RESULTS / "claims.json"
ROUNDS = 21
SHAPES = [(50, 16, 64), (100, 32, 128), (1000, 8, 64)]  # T, N and D = H
LENGTHS = [16, 64, 256, 1024]  # T of the comparison with attention, at N = 4
WIDTH, NARROW, HEADS = 64, 52, 4  # at width 52 attention has the parameters of the LSTM at 64


def reference_step(layer: Any, shape: tuple[int, int], dtype: str) -> tuple[Step, int]:
    """A training step of a layer of rnn_ref, and its number of parameters."""
    given = draw(layer, *shape, dtype)
    return of_layer(given, training=True), sum(p.size for p in flat(given.params))


def torch_step(module: nn.Module, shape: tuple[int, int, int], dtype: str) -> tuple[Step, int]:
    """The same of a module of torch.nn that keeps the shape of its input."""
    module.to(getattr(torch, dtype))
    x, d_output = torch.randn(2, *shape, dtype=getattr(torch, dtype)).numpy()
    step = of_module(module, x, d_output, training=True)
    return step, sum(p.numel() for p in module.parameters())


def cells() -> list[tuple[dict[str, Any], Step]]:
    """Each cell in each library, dtype and shape."""
    cases = []
    for T, N, H in SHAPES:
        wide = round(H * 2**0.5)  # where an SRU has the parameters of a GRU
        layers = {
            "Elman": ElmanRNN(H, H),
            "LSTM": LSTM(H, H),
            "GRU": GRU(H, H),
            "GRU, reset before": GRU(H, H, reset="before"),
            "SRU": SRU(H, H),
            "SRU, size of the GRU": SRU(wide, wide),
        }
        modules = {"Elman": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
        for dtype in ("float32", "float64"):
            of_all = [("rnn_ref", k, *reference_step(v, (T, N), dtype)) for k, v in layers.items()]
            for name, module in modules.items():
                of_all.append(("torch.nn", name, *torch_step(module(H, H), (T, N, H), dtype)))
            for library, name, step, parameters in of_all:
                case = {"library": library, "cell": name, "dtype": dtype, "T": T, "N": N, "H": H}
                cases.append((case | {"parameters": parameters}, step))
    return cases


def attention() -> list[tuple[dict[str, Any], Step]]:
    """A Transformer layer beside LSTM and GRU of torch.nn, over several lengths, float32."""
    cases = []
    for T in LENGTHS:
        for name, width, module in (
            ("LSTM", WIDTH, nn.LSTM(WIDTH, WIDTH)),
            ("GRU", WIDTH, nn.GRU(WIDTH, WIDTH)),
            *(
                ("Transformer", w, nn.TransformerEncoderLayer(w, HEADS, 4 * w, dropout=0.0))
                for w in (WIDTH, NARROW)
            ),
        ):
            step, parameters = torch_step(module, (T, 4, width), "float32")
            case = {"layer": name, "T": T, "N": 4, "width": width, "parameters": parameters}
            cases.append((case, step))
    return cases


def main() -> None:
    torch.manual_seed(0)
    with threads(1):
        tables = {"cells": cells(), "attention": attention()}
        cases = [c for table in tables.values() for c in table]
        seconds = interleaved([step for _, step in cases], progress(range(ROUNDS), "rounds"))
    for (case, _), taken in zip(cases, seconds, strict=True):
        case |= in_order(taken, factor=1000)
    result = heading(rounds=ROUNDS, unit="milliseconds")
    result |= {name: [case for case, _ in table] for name, table in tables.items()}
    write(RESULT, result)
    for case, _ in cases:
        print(*case.values())


if __name__ == "__main__":
    main()
