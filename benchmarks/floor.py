"""The time below which a layer on NumPy's BLAS cannot come: its matrix products and nothing else.

Each product writes into memory that is already there, and reads the same operands each time, so
that they stay in the processor's cache. NumPy can do one product in several forms, whose times
differ with the shape; a short trial takes the fastest for each product by itself, although a layer
has to settle on layouts that fit together. So this is a lower bound and no layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product, repeat
from typing import Any, NamedTuple

import numpy as np

from benchmarks.timing import Step, interleaved
from rnn_ref import GRU


class Product(NamedTuple):
    """``times`` products of A, shape (rows, inner), and B, shape (inner, columns).

    The gates are blocks along ``axis``: of W^T and U^T the columns, of da U what is summed over.
    """

    name: str
    times: int
    rows: int
    inner: int
    columns: int
    gates: int
    axis: str

    @property
    def multiply_adds(self) -> int:
        return self.times * self.rows * self.inner * self.columns


def products(layer: Any, T: int, N: int, training: bool) -> list[Product]:
    """What ``forward``, or ``forward`` and ``backward``, of a layer cannot do without."""
    D, H, G = layer.input_size, layer.hidden_size, layer.gates
    needed = [Product("x W^T", 1, T * N, D, G * H, G, "columns")]
    state = _state_products(layer)
    needed += [Product(f"{s} {U}^T", T, N, H, g * H, g, "columns") for s, U, g in state]
    if training:
        needed += [Product(f"da {U}", T, N, g * H, H, g, "inner") for _, U, g in state]
        needed += [Product("dW", 1, G * H, T * N, D, G, "rows")]
        needed += [Product(f"d{U}", 1, g * H, T * N, H, g, "rows") for _, U, g in state]
        needed += [Product("dx", 1, T * N, G * H, D, G, "inner")]
    return needed


def _state_products(layer: Any) -> list[tuple[str, str, int]]:
    """What the state's matrices multiply, their name, and the number of their gates."""
    if "weight_hh" not in layer.param_axes():
        return []
    if isinstance(layer, GRU) and layer.reset == "before":  # the second waits for r
        return [("h", "U_rz", 2), ("(r h)", "U_n", 1)]
    return [("h", "U", layer.gates)]


def floor(
    layer: Any, T: int, N: int, dtype: str, threads: int, training: bool
) -> tuple[Step, dict[str, str]]:
    """A step that does these products, and the form chosen for each by name."""
    needed = products(layer, T, N, training)
    alike = {p.name: p._replace(name="", times=min(p.times, 2)) for p in needed}  # one trial
    chosen = {name: fastest(p, dtype, threads) for name, p in alike.items()}
    calls = [(p.times, forms(p, dtype)[chosen[p.name]]) for p in needed]

    def step() -> None:
        for times, call in calls:
            for _ in repeat(None, times):
                call()

    return step, chosen


@cache
def fastest(needed: Product, dtype: str, threads: int) -> str:
    """The name of the fastest form; ``threads`` tells the trials apart, and is set already."""
    candidates = forms(needed, dtype)
    seconds = interleaved(list(candidates.values()), range(2), turn=1e-3)
    return min(zip(map(min, seconds), candidates, strict=True))[1]


def forms(needed: Product, dtype: str) -> dict[str, Step]:
    """The ways in which NumPy can do one product, by name."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((needed.rows, needed.inner)).astype(dtype)
    B = rng.standard_normal((needed.inner, needed.columns)).astype(dtype)
    # The large products, done once, are packed anew inside BLAS: fewer forms are enough.
    turned = (False, True) if needed.times > 1 else (False,)
    return dict(_dot_forms(A, B, turned)) | dict(_gate_forms(A, B, needed))


def _dot_forms(A: Any, B: Any, turned: tuple[bool, ...]) -> Iterator[tuple[str, Step]]:
    """A B, or turned to B^T A^T, each operand in memory as it is or transposed."""
    for turn, flip_A, flip_B in product(turned, (False, True), (False, True)):
        a, b = (_stored(M, flip) for M, flip in ((A, flip_A), (B, flip_B)))
        left, right = (b.T, a.T) if turn else (a, b)
        out = np.empty((len(left), right.shape[1]), A.dtype)
        name = "dot: B^T A^T" if turn else "dot: A B"
        flipped = [letter for letter, flip in (("A", flip_A), ("B", flip_B)) if flip]
        if flipped:
            name += f", {' and '.join(flipped)} stored transposed"
        yield name, partial(np.dot, left, right, out)


def _stored(M: Any, transposed: bool) -> Any:
    return np.ascontiguousarray(M.T).T if transposed else M


def _gate_forms(A: Any, B: Any, needed: Product) -> Iterator[tuple[str, Step]]:
    """One product for each gate, the gates in the first axis."""
    G = needed.gates
    if G == 1:
        return
    name = "matmul: gates in front"
    if needed.axis == "columns":  # (N, H) (G, H, H) -> (G, N, H)
        yield name, _matmul(A, np.stack(np.split(B, G, axis=1)))
    elif needed.axis == "rows":  # (G, H, TN) (TN, D) -> (G, H, D)
        yield name, _matmul(np.stack(np.split(A, G)), B)
    else:  # (G, N, H) (G, H, H) -> (G, N, H), summed over G
        a, b = np.stack(np.split(A, G, axis=1)), np.stack(np.split(B, G))
        parts, out = np.empty((G, len(A), B.shape[1]), A.dtype), np.empty_like(A @ B)

        def summed() -> Any:
            np.matmul(a, b, out=parts)
            return np.add.reduce(parts, axis=0, out=out)

        yield name, summed


def _matmul(a: Any, b: Any) -> Callable[[], Any]:
    return partial(np.matmul, a, b, out=np.empty_like(a @ b))
