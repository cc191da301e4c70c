"""What chapter ``fast`` shows beside ``speed.json``: its staircase, and where the time goes.

    python -m benchmarks.stairs

takes about two minutes, one thread, and writes ``benchmarks/results/stairs.json``. Beside
machine, versions, date and rounds this holds the following. Every time is the processor's time for
this process, which has one thread, and the shortest of the rounds: whatever else the machine does
can only lengthen it.

``stairs``
    A row for each ``dtype`` and shape ``T``, ``N``, ``H`` (D = H): by version of the GRU in
    ``chapters/book/speed.py``, milliseconds of ``forward`` and of ``training``, which is forward
    and backward; ``step``, the method of that name in a loop, has no backward.
``calls``
    Microseconds of single calls of NumPy, by the number of elements, float32.
``layouts``
    Microseconds of the product of a state (N, H) with the recurrent matrices of three gates, by the
    way in which these lie in memory.
``widths``
    A row for each ``cell``, ``dtype`` and ``H``: milliseconds of a training step of ``rnn_ref`` and
    of its matrix products alone. The rows H = 1 have N = 1 as well: what is left is the calls.
``fused``
    A row for each ``pass`` and shape: milliseconds of ``torch.nn.LSTM`` in float32 with and
    without oneDNN, and of ``rnn_ref``; ``nodes`` says which the first and the second left for
    autograd.
``allocator``
    A row for each ``version`` (of the GRU; or the SRU) and ``setting`` of glibc, at the largest
    shape in float32, each process anew: milliseconds of a training step, and its page faults.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.contestants import draw, of_layer, of_module
from benchmarks.floor import floor
from benchmarks.store import RESULTS, ROOT, write
from benchmarks.timing import Step, heading, progress, threads
from rnn_ref import GRU, LSTM, SRU, GRUState
from rnn_ref.interop.pytorch import to_torch

sys.path.append(str(ROOT / "chapters"))  # for `book`
from book.speed import STAIRS, by_gate

RESULT = RESULTS / "stairs.json"
ROUNDS, TURN = 9, 5e-3
DTYPES = "float32", "float64"
SHAPES = [(50, 1, 32), (100, 32, 256)]
LAYOUTS = [(1, 32), (8, 64), (16, 64), (32, 128), (32, 256)]  # N, H
FUSED = [(50, 1, 32), (100, 16, 64), (100, 32, 128), (100, 32, 256), (1000, 8, 64)]
ELEMENTS = [1, 10, 100, 1000, 10_000, 100_000]
WIDTHS, STEPS, ROWS = [8, 16, 32, 64, 128, 256, 512], 100, 16
# glibc is to take large arrays from its own memory, and to give none of that back to the system.
KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**25), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
SETTINGS: dict[str, dict[str, str]] = {"as it is": {}, "keeps its memory": KEEP}


def least(steps: dict[str, Step], factor: float) -> dict[str, float]:
    """The shortest time of each step, in units of which one second has ``factor``."""
    number = {}
    for name, step in steps.items():
        step()  # a first call is not typical
        number[name] = math.ceil(TURN / max(timed(step, 1), 1e-6))
    rounds = [
        {name: timed(step, number[name]) for name, step in steps.items()} for _ in range(ROUNDS)
    ]
    return {name: digits(factor * min(taken[name] for taken in rounds)) for name in steps}


def timed(step: Step, number: int) -> float:
    """Seconds of a call, from so many."""
    start = time.process_time()
    for _ in range(number):
        step()
    return (time.process_time() - start) / number


def digits(value: float) -> float:
    """Four of them, which is more than is repeatable."""
    return float(f"{value:.4g}")


def stairs(dtype: str, T: int, N: int, H: int) -> dict[str, Any]:
    layer, params, x, _ = draw(GRU(H, H), T, N, dtype)
    h0 = np.zeros((N, H), dtype)

    def step() -> None:
        state = GRUState(h0)
        for x_t in x:
            state = layer.step(params, x_t, state)

    alone: dict[str, Step] = {"step": step}
    alone |= {name: partial(forward, params, x, h0) for name, (forward, _) in STAIRS.items()}
    both = {name: training_step(name, dtype, T, N, H) for name in STAIRS}
    row = {"dtype": dtype, "T": T, "N": N, "H": H}
    return row | {"forward": least(alone, 1e3), "training": least(both, 1e3)}


def calls(elements: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    a, b, out = rng.standard_normal((3, elements)).astype("float32")
    one = np.ones((1, 1), "float32")
    steps: dict[str, Step] = {
        "add": lambda: np.add(a, b, out=out),
        "tanh": lambda: np.tanh(a, out=out),
        "add, new array": lambda: np.add(a, b),
    }
    if elements == 1:
        product = one.copy()
        steps["matmul"] = lambda: np.matmul(one, one, out=product)
    return {"elements": elements, "microseconds": least(steps, 1e6)}


def layouts(dtype: str, N: int, H: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    h, U = (rng.standard_normal((rows, H)).astype(dtype) for rows in (N, 3 * H))
    blocks = by_gate(U)
    side, front = np.empty((N, 3 * H), dtype), np.empty((3, N, H), dtype)
    steps: dict[str, Step] = {
        "h @ U.T": partial(np.matmul, h, U.T, out=side),
        "h @ copy of U.T": partial(np.matmul, h, np.ascontiguousarray(U.T), out=side),
        "h @ blocks": partial(np.matmul, h, blocks, out=front),
    }
    return {"dtype": dtype, "N": N, "H": H, "microseconds": least(steps, 1e6)}


def widths(cell: type, dtype: str, H: int) -> dict[str, Any]:
    N = 1 if H == 1 else ROWS
    given = draw(cell(H, H), STEPS, N, dtype)
    bound, _ = floor(given.layer, STEPS, N, dtype, 1, training=True)
    steps = {"rnn_ref": of_layer(given, training=True), "floor": bound}
    row = {"cell": cell.__name__, "dtype": dtype, "T": STEPS, "N": N, "H": H}
    return row | {"milliseconds": least(steps, 1e3)}


def fused(training: bool, T: int, N: int, H: int) -> dict[str, Any]:
    given = draw(LSTM(H, H), T, N, "float32")
    module = to_torch(given.layer, given.params)
    run = of_module(module, given.x, given.d_output, training)
    steps: dict[str, Step] = {
        "oneDNN": run,
        "without": partial(without_onednn, run),
        "rnn_ref": of_layer(given, training),
    }
    row = {"pass": "training" if training else "forward", "T": T, "N": N, "H": H}
    return row | {"milliseconds": least(steps, 1e3)}


def without_onednn(run: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the switch warns of devices that are not there
        with torch.backends.mkldnn.flags(enabled=False):
            return run()


def nodes() -> dict[str, str]:
    """The node behind the output of an LSTM, with and without oneDNN."""

    def node(module: nn.Module, dtype: torch.dtype) -> str:
        return str(module.to(dtype)(torch.zeros(3, 2, 4, dtype=dtype))[0].grad_fn.name())

    return {
        "LSTM float32": node(nn.LSTM(4, 5), torch.float32),
        "LSTM float32, without oneDNN": without_onednn(partial(node, nn.LSTM(4, 5), torch.float32)),
        "LSTM float64": node(nn.LSTM(4, 5), torch.float64),
        "GRU float32": node(nn.GRU(4, 5), torch.float32),
    }


def training_step(version: str, dtype: str, T: int, N: int, H: int) -> Step:
    """Of the SRU, or of a version of the GRU."""
    if version == "SRU":
        return of_layer(draw(SRU(H, H), T, N, dtype), training=True)
    _, params, x, d_output = draw(GRU(H, H), T, N, dtype)
    h0 = np.zeros((N, H), dtype)
    forward, back = STAIRS[version]
    return lambda: back(params, x, forward(params, x, h0), d_output)


def faults_and_time(version: str) -> dict[str, Any]:
    """In this process: page faults of one training step, and its time."""
    step = training_step(version, "float32", *SHAPES[-1])
    for _ in range(3):
        step()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 5
    return {"faults": faults, "milliseconds": least({"step": step}, 1e3)["step"]}


def allocator(version: str, rounds: int = 2) -> list[dict[str, Any]]:
    """Each setting in processes of its own, in turn; of them the one with the shortest time."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, setting in SETTINGS.items():
            command = [sys.executable, "-m", "benchmarks.stairs", "--faults", version]
            environment = os.environ | setting
            printed = subprocess.check_output(command, cwd=ROOT, env=environment, text=True)
            found[name].append(json.loads(printed))
    rows = []
    for name, results in found.items():
        best = min(results, key=lambda result: result["milliseconds"])
        rows.append({"version": version, "setting": name, **best})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stairs")
    parser.add_argument("--faults", metavar="VERSION", help="print one result of `allocator`")
    given = parser.parse_args()
    with threads(1):
        if given.faults:
            print(json.dumps(faults_and_time(given.faults)))
            return
        result = heading(rounds=ROUNDS, settings=SETTINGS, nodes=nodes())
        grid: dict[str, list[Callable[[], Any]]] = {
            "stairs": [partial(stairs, d, *shape) for d in DTYPES for shape in SHAPES],
            "calls": [partial(calls, n) for n in ELEMENTS],
            "layouts": [partial(layouts, d, *s) for d in DTYPES for s in LAYOUTS],
            "widths": [
                partial(widths, c, d, H) for c in (GRU, SRU) for d in DTYPES for H in [1, *WIDTHS]
            ],
            "fused": [partial(fused, p, *shape) for p in (True, False) for shape in FUSED],
        }
        for name, rows in grid.items():
            result[name] = [row() for row in progress(rows, name)]
    versions = progress(["tanh", "ahead", "package", "SRU"], "allocator")
    result["allocator"] = [row for version in versions for row in allocator(version)]
    write(RESULT, result)


if __name__ == "__main__":
    main()
