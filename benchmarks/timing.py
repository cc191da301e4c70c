"""What every measurement shares: the clock, the threads, and a description of the machine.

Nothing is compared that was not measured in one process, turn by turn, so that whatever else the
machine does meets all alike.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import threadpoolctl
import torch

import rnn_ref

Step = Callable[[], Any]
Item = TypeVar("Item")


def interleaved(
    steps: Sequence[Step], rounds: Iterable[Any], turn: float = 0.0
) -> list[list[float]]:
    """Seconds that a call of each step takes, one figure for every item of ``rounds``.

    In a round each step has one turn, of as many calls as last ``turn`` seconds. A first turn is
    not counted: it pays for what is done once, and for memory that the others have pushed out.
    """
    calls = [_calls(step, turn) for step in steps]
    for step, number in zip(steps, calls, strict=True):
        _timed(step, number)
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in rounds:
        for step, number, taken in zip(steps, calls, seconds, strict=True):
            taken.append(_timed(step, number) / number)
    return seconds


def _timed(step: Step, number: int) -> float:
    start = time.perf_counter()
    for _ in range(number):
        step()
    return time.perf_counter() - start


def _calls(step: Step, turn: float) -> int:
    """How many calls last that long; makes the call that is not counted."""
    one = _timed(step, 1)
    if one < 5 * turn:  # near the length of a turn, and the first call is not typical
        one = _timed(step, 1)
    return max(1, math.ceil(turn / one))


def quartiles(values: Iterable[float]) -> list[float]:
    """Lower quartile, median, upper quartile; four digits, which is more than is repeatable."""
    values = list(values)
    spread = statistics.quantiles(values, n=4, method="inclusive") if values[1:] else values * 3
    return [float(f"{value:.4g}") for value in spread]


@contextmanager
def threads(number: int) -> Iterator[dict[str, Any]]:
    """Let PyTorch and NumPy's BLAS have that many threads; gives what each says it has."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        with threadpoolctl.threadpool_limits(number, user_api="blas"):
            blas = [library["num_threads"] for library in _blas()]
            yield {"NumPy's BLAS": max(blas, default=None), "PyTorch": torch.get_num_threads()}
    finally:
        torch.set_num_threads(before)


def _blas() -> list[dict[str, Any]]:
    """The BLAS libraries that can be seen; PyTorch's is part of its own library and cannot."""
    return threadpoolctl.ThreadpoolController().select(user_api="blas").info()


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Processor, and the kernels that do the products on either side."""
    blas = [f"{b['prefix']} {b['version']}, kernels {b.get('architecture')}" for b in _blas()]
    return {
        "processor": processor(),
        "logical_processors": os.cpu_count(),
        "NumPy's BLAS": "; ".join(blas),
        "PyTorch's kernels": torch.backends.cpu.get_cpu_capability(),
    }


def heading(**more: Any) -> dict[str, Any]:
    """Machine in one line, versions and date, as each result starts; one thread."""
    return {
        "machine": f"{processor()}, {os.cpu_count()} logical processors, one thread used",
        "versions": versions(),
        "date": date.today().isoformat(),
        **more,
    }


def versions() -> dict[str, str]:
    return {
        "Python": platform.python_version(),
        "NumPy": np.__version__,
        "PyTorch": torch.__version__,
        "rnn_ref": rnn_ref.__version__,
    }


def in_order(seconds: list[float], factor: float = 1.0) -> dict[str, float]:
    """Median, least and most of the rounds."""
    of = {"median": statistics.median, "least": min, "most": max}
    return {name: round(factor * f(seconds), 3) for name, f in of.items()}


def progress(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items, with a line on stderr that says how far they have come.

    On a terminal it is one line that changes; elsewhere ten lines.
    """
    start, terminal = time.perf_counter(), sys.stderr.isatty()
    end = "\r" if terminal else "\n"
    for done, item in enumerate(items):
        if terminal or done % math.ceil(len(items) / 10) == 0:
            took = time.perf_counter() - start
            left = f", {took / done * (len(items) - done):.0f} s left" if done else ""
            line = f"[{'#' * (20 * done // len(items)):20}] {what}: {done} of {len(items)}{left}"
            print(f"{line:<70}", end=end, file=sys.stderr, flush=True)
        yield item
    line = f"{what}: {len(items)}, in {time.perf_counter() - start:.0f} s"
    print(f"{line:<70}", file=sys.stderr)
