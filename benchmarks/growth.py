"""How time and memory of a training step grow with T, N and H, one at a time.

One thread, float64. The exponent p of a power law is fitted by least squares of the logarithms over
the upper half of each range, where what does not grow weighs least.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.contestants import CELLS, beside, draw, of_layer, of_module
from benchmarks.memory import memory
from benchmarks.timing import interleaved

DTYPE = "float64"


class Sweep(NamedTuple):
    """A letter, its sizes, and the shape in the middle, of which it is changed."""

    letter: str
    sizes: tuple[int, ...]
    middle: tuple[int, int, int]


MIDDLE = 100, 16, 64  # T, N, H
SWEEPS = [
    Sweep("T", (25, 50, 100, 200, 400), MIDDLE),
    Sweep("N", (1, 2, 4, 8, 16, 32, 64), MIDDLE),
    Sweep("H", (16, 32, 64, 128, 256), MIDDLE),
]


def growth(cell: str, sweep: Sweep, rounds: int, turn: float) -> dict[str, Any]:
    """Milliseconds and bytes at each size of the range, and their exponents."""
    milliseconds: dict[str, list[float]] = {"rnn_ref": [], "torch.nn": []}
    held: dict[str, list[int]] = {"rnn_ref": [], "torch.nn": []}
    for size in sweep.sizes:
        shape = dict(zip("TNH", sweep.middle, strict=True)) | {sweep.letter: size}
        T, N, H = shape.values()
        given = draw(CELLS[cell].layer(H, H), T, N, DTYPE)
        module = of_module(beside(cell, given), given.x, given.d_output, training=True)
        seconds = interleaved([of_layer(given, training=True), module], range(rounds), turn)
        bytes_held = memory(cell, T, N, H, DTYPE)
        for name, taken in zip(milliseconds, seconds, strict=True):
            milliseconds[name].append(float(f"{1000 * statistics.median(taken):.4g}"))
            held[name].append(bytes_held[name])
    fitted = {
        quantity: {name: round(exponent(sweep.sizes, values), 3) for name, values in table.items()}
        for quantity, table in (("milliseconds", milliseconds), ("bytes", held))
    }
    row = {"cell": cell, "dtype": DTYPE, "letter": sweep.letter, "sizes": sweep.sizes}
    return row | {"milliseconds": milliseconds, "bytes": held, "exponents": fitted}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The p of ``value = constant * size ** p``, from the upper half of the sizes."""
    upper = len(sizes) // 2
    logs = ([math.log(v) for v in values[upper:]] for values in (sizes, values))
    return statistics.linear_regression(*logs).slope
