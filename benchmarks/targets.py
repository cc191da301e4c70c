"""What the package is to reach, in one table, and whether it does. Standard library alone."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

DTYPES = "float32", "float64"
CELLS = "ElmanRNN", "LSTM", "GRU after", "GRU before", "SRU"


class Target(NamedTuple):
    """``rnn_ref`` divided by ``against`` is to be at most the cell's limit in float32 and float64.

    ``quantity`` is the time of "training" (forward and backward) or "forward", one thread, or
    "memory". The figure is the geometric mean over all shapes, or the largest of them, with H and N
    at least as given.
    """

    quantity: str
    against: str
    limits: dict[str, tuple[float, float]]
    over: str = "geometric mean"
    least_H: int = 0
    least_N: int = 0

    def takes(self, T: int, N: int, H: int) -> bool:
        """Whether the figure is over this shape, too."""
        return self.least_N <= N and self.least_H <= H


def alike(*cells: str, limit: float) -> dict[str, tuple[float, float]]:
    return dict.fromkeys(cells, (limit, limit))


OF_TORCH = {
    "ElmanRNN": (0.33, 0.42),
    "LSTM": (1.3, 0.50),
    "GRU after": (0.40, 0.50),
    "SRU": (0.75, 0.25),  # of torch.nn.LSTM
}
TARGETS = [
    Target("training", "torch.nn", OF_TORCH),
    Target("training", "rnn_ref LSTM", alike("SRU", limit=0.4), "largest", least_H=256),
    Target("training", "floor", alike(*CELLS, limit=1.4), "largest", least_H=128, least_N=32),
    Target("forward", "torch.nn", alike("ElmanRNN", "GRU after", limit=1.0)),
    Target("memory", "torch.nn", alike("ElmanRNN", "LSTM", "GRU after", limit=1.0), "largest"),
]


def summary(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target with its figure and a verdict: "met", "missed", or "not measured"."""
    return [row for target in TARGETS for row in _rows(target, result)]


def _rows(target: Target, result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    about = target._asdict()
    for cell, limits in about.pop("limits").items():
        for dtype, limit in zip(DTYPES, limits, strict=True):
            found = ratios(result, cell, dtype, target.quantity, target.against).items()
            figure = _over(target.over, [ratio for shape, ratio in found if target.takes(*shape)])
            judged = {"figure": figure, "limit": limit, "verdict": verdict(figure, limit)}
            yield {"cell": cell, "dtype": dtype, **about, **judged}


def verdict(figure: float | None, limit: float) -> str:
    if figure is None:
        return "not measured"
    return "met" if figure <= limit else "missed"


def _over(how: str, values: list[float]) -> float | None:
    if not values:
        return None
    return max(values) if how == "largest" else statistics.geometric_mean(values)


def ratios(
    result: dict[str, Any], cell: str, dtype: str, quantity: str, against: str, threads: int = 1
) -> dict[tuple[int, int, int], float]:
    """``rnn_ref`` divided by another column, by shape (T, N, H); medians where it is time."""
    found = {}
    for row in result["memory" if quantity == "memory" else "cases"]:
        if (row["cell"], row["dtype"]) != (cell, dtype):
            continue
        shape = row["T"], row["N"], row["H"]
        if quantity == "memory":
            if against in row["bytes"]:
                found[shape] = row["bytes"]["rnn_ref"] / row["bytes"][against]
        elif (row["pass"], row["threads"]) == (quantity, threads) and against in row["ratio"]:
            found[shape] = row["ratio"][against][1]
    return found


def geometric_mean(
    result: dict[str, Any], cell: str, dtype: str, quantity: str, against: str, threads: int = 1
) -> float | None:
    """Of these ratios; None where there are none."""
    found = ratios(result, cell, dtype, quantity, against, threads)
    return _over("geometric mean", list(found.values()))
