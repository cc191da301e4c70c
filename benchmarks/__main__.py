"""The speed of the package beside PyTorch, onnxruntime, a textbook, and its own matrix products.

    python -m benchmarks              everything, in about ten minutes
    python -m benchmarks --quick      tiny shapes and few rounds, in seconds
    python -m benchmarks --only GRU   the cells with that in their names

The complete run writes ``benchmarks/results/speed.json`` and ``speed.svg``; ``--quick`` and
``--only`` write nothing unless ``--out`` says where. ``report`` describes the file. For every cell,
dtype, number of threads, pass and shape:

rnn_ref
    The layer, and what everything else is compared with.
torch.nn
    Its module of that size. For the GRU with reset before that is the other form, reset after, and
    for the SRU an LSTM.
floor
    The matrix products that the layer cannot avoid, and nothing else; see ``floor``.
TorchLayer
    The layer as a module of torch; training only.
textbook
    One step at a time and one product for each gate; see ``textbook``.
onnxruntime
    The model that ``to_onnx`` writes; forward and float32 only, and no SRU.
eager torch
    For the SRU: its equations in PyTorch, differentiated by autograd.
rnn_ref LSTM
    For the SRU: the layer LSTM.

Training is forward and backward, from a given gradient of the output to the gradients of the
parameters and of the input, without an optimizer. Forward alone is under ``no_grad`` in PyTorch;
``rnn_ref`` makes its cache all the same.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

# OpenBLAS's second thread waits for more work awake, 2^26 ticks of the clock unless told otherwise.
# On two processors a turn of PyTorch's that followed one of NumPy's took up to 20 times as long.
# 2^20 ticks, less than a millisecond, are still longer than from one product of a layer to the
# next. Read once, when NumPy loads its BLAS.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")

import onnxruntime

from benchmarks import report, store, timing
from benchmarks.contestants import CELLS, contestants
from benchmarks.growth import SWEEPS, Sweep, growth
from benchmarks.memory import memory
from benchmarks.targets import DTYPES, summary
from benchmarks.verify import verify

THREADS = 1, 2


class Plan(NamedTuple):
    """How much is measured: shapes T, N, H with D = H; seconds of a turn."""

    shapes: list[tuple[int, int, int]]
    sweeps: list[Sweep]
    rounds: int
    turn: float


COMPLETE = Plan(
    shapes=[(50, 1, 32), (100, 16, 64), (100, 32, 128), (100, 32, 256), (1000, 8, 64)],
    sweeps=SWEEPS,
    rounds=9,
    turn=2e-2,
)
QUICK = Plan(
    shapes=[(4, 1, 3), (6, 2, 8)],
    sweeps=[Sweep(s.letter, (2, 3, 4), (3, 2, 4)) for s in SWEEPS],
    rounds=3,
    turn=0.0,
)


def measure(plan: Plan, cells: Sequence[str]) -> dict[str, Any]:
    """The whole result, as ``report`` describes it."""
    for cell in cells:
        verify(cell)
    result: dict[str, Any] = {
        "machine": timing.machine(),
        "versions": timing.versions() | {"onnxruntime": onnxruntime.__version__},
        "date": date.today().isoformat(),
        "rounds": plan.rounds,
        "threads": {},
        "compared": {cell: compared(cell) for cell in cells},
        "cases": [],
    }
    for threads in THREADS:
        with timing.threads(threads) as had:
            result["threads"][str(threads)] = had | {"onnxruntime": threads}
            grid = list(product(cells, DTYPES, plan.shapes, (False, True)))
            for cell, dtype, shape, training in timing.progress(grid, f"threads: {threads}"):
                result["cases"].append(case(plan, cell, dtype, threads, training, shape))
    with timing.threads(1):
        result["memory"] = [
            {"cell": cell, "dtype": dtype, "T": T, "N": N, "H": H}
            | {"bytes": memory(cell, T, N, H, dtype)}
            for cell, dtype, (T, N, H) in product(cells, DTYPES, plan.shapes)
        ]
        grid = list(product(cells, plan.sweeps))
        result["growth"] = [
            growth(cell, sweep, (plan.rounds + 1) // 2, plan.turn)
            for cell, sweep in timing.progress(grid, "growth")
        ]
    result["summary"] = summary(result)
    return result


def compared(cell: str) -> str:
    """The module of torch.nn beside a cell, and how it differs."""
    kind = CELLS[cell]
    name = f"torch.nn.{kind.module.__name__}"
    return f"{name}, {kind.differs}" if kind.differs else name


def case(
    plan: Plan, cell: str, dtype: str, threads: int, training: bool, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """One row of ``cases``."""
    T, N, H = shape
    steps, forms = contestants(cell, T, N, H, dtype, threads, training)
    taken = timing.interleaved(list(steps.values()), range(plan.rounds), plan.turn)
    seconds = dict(zip(steps, taken, strict=True))
    ours = seconds["rnn_ref"]
    return {
        "cell": cell,
        "dtype": dtype,
        "threads": threads,
        "pass": "training" if training else "forward",
        "T": T,
        "N": N,
        "H": H,
        "milliseconds": {k: timing.quartiles(1000 * s for s in v) for k, v in seconds.items()},
        "ratio": {
            name: timing.quartiles(a / b for a, b in zip(ours, theirs, strict=True))
            for name, theirs in seconds.items()
            if name != "rnn_ref"
        },
        "floor": forms,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="tiny shapes, few rounds")
    parser.add_argument("--only", metavar="CELL", default="", help=f"of {', '.join(CELLS)}")
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--out", type=Path, help="the JSON file to write, and a plot beside it")
    given = parser.parse_args(arguments)
    cells = [cell for cell in CELLS if given.only.lower() in cell.lower()]
    if not cells:
        parser.error(f"--only: expected a part of {', '.join(CELLS)}, got {given.only}")
    plan = QUICK if given.quick else COMPLETE
    if given.rounds is not None:
        plan = plan._replace(rounds=given.rounds)
    complete = not (given.quick or given.only)
    out = given.out or (store.SPEED if complete else None)
    result = measure(plan, cells)
    if out is not None:
        store.write(out, result)
        report.plot(result, out.with_suffix(".svg"))
    print(report.tables(result))


if __name__ == "__main__":
    main()
