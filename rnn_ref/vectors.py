"""Test vectors: small cases of every layer with their exact results, for other implementations.

``python -m rnn_ref.vectors OUT`` writes one ``.npz`` file for each case, and ``manifest.json``,
which says what is in them; chapter ``vectors`` shows how to use them. In Python :func:`cases` does.

The operands are multiples of 1/64, of at most 1 in size, so that 8-bit fixed point, float16 and
bfloat16 hold them exactly. The results are the layer's ``step``, the chapter's equations, evaluated
in decimal arithmetic of 50 digits and rounded once to float64; the gradients are the chain rule
applied to that very computation. Neither ``forward`` nor ``backward`` has a part in them, nor has
the processor's arithmetic: they are the same bits on every machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from decimal import (
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    localcontext,
)
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .activations import Activation
from .cell import Cell
from .checks import Array
from .compose import Bidirectional, BidirectionalState, Reverse, Stack, reverse
from .elman import ElmanRNN
from .gru import GRU
from .layer import Gradients, Layer
from .lstm import LSTM
from .sru import SRU
from .tree import filled, flat, map_arrays, named_arrays

AnyLayer: TypeAlias = Layer[Any, Any, Any]
Step: TypeAlias = Callable[[Any, Any, Array, Any], Any]  # cell, params, x_t, state -> state

FORMAT = 1  # goes up when a reader of the files would have to change
UNIT = 64  # every operand is an integer over this
STEPS, ROWS = 5, 2  # T, and N where all rows are of one length
DIGITS = 50

# How far a right implementation may be off, in each array: the largest difference over the largest
# value expected, or over 1 if that is smaller. Ten times what forward and backward do, or more.
TOLERANCES = {"float64": 1e-13, "float32": 2e-5}

# What no single array's meaning can say, for those who have the files alone.
CONVENTIONS = {
    "numbers": "little-endian, the last axis running fastest, behind a header of 128 bytes",
    "axes": "a weight is (units, inputs); in a layer of several, D and H are each cell's own",
    "stack": "layer 0 is the lowest; the output is the highest's",
    "bidirectional": "along the output's last axis the forward layer comes first",
    "backward": "a Reverse or a backward_layer reads each row from its own last step to its first; "
    "its output stands at the step that was read, its final state is the one after the first step",
    "lengths": "row n ends after lengths[n] steps, or T without lengths; a row of no steps ends in "
    "its initial state",
    "state": "zeros if there is none",
    "loss": "sum(output * d_output) + sum(final_state * d_final_state)",
}


class Case(NamedTuple):
    """A layer, what it is given and what it has to return.

    Chapter ``vectors`` says what each group catches.

    Attributes
    ----------
    name
        Of the case and its file: "lstm_peephole".
    group
        What the case is about: "lstm", "lengths" ...
    layer
        The layer.
    params
        Its parameters.
    x
        Input, shape (T, N, D). Behind the end of a row it is not 0.
    lengths
        Number of steps of each row, shape (N,), or None for T.
    state
        Initial state, or None for zeros.
    d_output, d_final_state
        Upstream gradients: of the output, shape (T, N, O), and of the final state.
    output, final_state
        What ``forward`` has to return.
    grads
        What ``backward`` has to return, a :class:`rnn_ref.Gradients`.

    Examples
    --------
    >>> from rnn_ref import vectors
    >>> case = next(vectors.cases("lstm"))
    >>> case.name, case.x.shape, case.output.shape, case.grads.params.weight_ih.shape
    ('lstm', (5, 2, 3), (5, 2, 4), (16, 3))
    """

    name: str
    group: str
    layer: Layer[Any, Any, Any]
    params: Any
    x: Array
    lengths: Array | None
    state: Any
    d_output: Array
    d_final_state: Any
    output: Array
    final_state: Any
    grads: Any


def cases(group: str | None = None) -> Iterator[Case]:
    """The cases, each computed when its turn comes.

    Chapter ``vectors`` says what each group catches.

    Parameters
    ----------
    group
        Only those of this group; all when absent.

    Yields
    ------
    Case
        A case; all its arrays are float64 but ``lengths``, int64.

    Raises
    ------
    ValueError
        There is no such group.

    Examples
    --------
    >>> from rnn_ref import vectors
    >>> for case in vectors.cases("gru"):
    ...     output, _, _ = case.layer.forward(case.params, case.x, case.state, case.lengths)
    ...     print(case.name, bool(abs(output - case.output).max() < 1e-13))
    gru True
    gru_reset_before True
    """
    if group is not None and group not in GROUPS:
        raise ValueError(f"group: expected one of {', '.join(GROUPS)}, got {group!r}")
    chosen = GROUPS if group is None else {group: GROUPS[group]}
    return (
        _case(name, group, *layer_and_lengths)
        for group, layers in chosen.items()
        for name, layer_and_lengths in layers.items()
    )


def write(folder: str | Path) -> list[Path]:
    """Write the files: one ``.npz`` for each case, and ``manifest.json``.

    The bytes of the ``.npz`` files are the same on every machine, at every time and from every
    supported version of Python and NumPy; those of the manifest too, in one version of the package.

    Chapter ``vectors`` reads them in ten lines.

    Parameters
    ----------
    folder
        Where to; it is made if need be. Files of the same names are replaced.

    Returns
    -------
    list of Path
        The files, the manifest last.

    Examples
    --------
    >>> import tempfile
    >>> from rnn_ref import vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = vectors.write(folder)
    >>> files[0].name, files[-1].name
    ('elman.npz', 'manifest.json')
    """
    from . import __version__

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written, entries = [], []
    for case in cases():
        arrays = _arrays(case)
        data = _npz(arrays)
        written.append(folder / f"{case.name}.npz")
        written[-1].write_bytes(data)
        entries.append(
            {
                "name": case.name,
                "group": case.group,
                "file": written[-1].name,
                "sha256": hashlib.sha256(data).hexdigest(),
                "layer": _described(case.layer),
                "sizes": _sizes(case),
                "arrays": _array_entries(case, arrays),
            }
        )
    manifest = {
        "format": "rnn_ref.vectors",
        "format_version": FORMAT,
        "package_version": __version__,
        "operands": f"integers over {UNIT}, of at most 1 in size; none is 0",
        "results": f"equations evaluated with {DIGITS} decimal digits, rounded once to float64",
        "error": "max |yours - expected| / max(1, max |expected|), in each array",
        "tolerances": TOLERANCES,
        "conventions": CONVENTIONS,
        "cases": entries,
    }
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    written.append(folder / "manifest.json")
    written[-1].write_bytes(text.encode("utf8"))  # no "\r\n" anywhere
    return written


def check(folder: str | Path) -> list[str]:
    """Compare the files in a folder with the checksums in its manifest.

    Chapter ``vectors`` says why the bytes can be the same everywhere.

    Parameters
    ----------
    folder
        Where :func:`write` wrote, or a copy.

    Returns
    -------
    list of str
        A line for each file that is missing or changed; empty if all is well.

    Examples
    --------
    >>> import tempfile
    >>> from rnn_ref import vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = vectors.write(folder)
    ...     files[0].unlink()
    ...     vectors.check(folder)
    ['elman.npz: missing']
    """
    folder, problems = Path(folder), []
    manifest = json.loads((folder / "manifest.json").read_text("utf8"))
    for case in manifest["cases"]:
        path = folder / case["file"]
        if not path.is_file():
            problems.append(f"{path.name}: missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != case["sha256"]:
            problems.append(f"{path.name}: not the file that the manifest describes")
    return problems


# The cases. The sizes of a cell differ, so that no array fits where it does not belong: T = 5,
# N = 2, D = 3, H = 4, or H = 6 and P = 4 with a projection. Rows of different length are 7 or 8.
# The exceptions are what the case is about: an SRU with D = H, upper layers of the size below.

_RAGGED = (3, 5, 1, 4, 2, 5, 4)  # not sorted; some rows end together
_EMPTY = (2, 0, 4, 1, 0, 3, 4, 2)  # two rows of no steps; none is as long as the buffer


def _cells(**options: Any) -> dict[str, AnyLayer]:
    """One plain cell of each kind."""
    return {
        "elman": ElmanRNN(3, 4, **options),
        "lstm": LSTM(3, 4, **options),
        "gru": GRU(3, 4, **options),
    }


def _elman(name: str, alpha: float | None = None, beta: float | None = None) -> ElmanRNN:
    return ElmanRNN(3, 4, nonlinearity=Activation(name, alpha, beta))


_LSTM_GRU = Bidirectional(LSTM(3, 4, peephole=True), GRU(3, 6, reset="before"))
_DEEP = Stack((_LSTM_GRU, ElmanRNN(10, 6), Bidirectional(SRU(6, 4), GRU(6, 3))))

_LAYERS: dict[str, dict[str, AnyLayer]] = {
    "elman": {"elman": ElmanRNN(3, 4), "elman_relu": ElmanRNN(3, 4, nonlinearity="relu")},
    "lstm": {"lstm": LSTM(3, 4)},
    "lstm variants": {
        "lstm_peephole": LSTM(3, 4, peephole=True),
        "lstm_coupled": LSTM(3, 4, coupled=True),
        "lstm_coupled_peephole": LSTM(3, 4, coupled=True, peephole=True),
        "lstm_no_forget_gate": LSTM(3, 4, forget_gate=False),
        "lstm_no_forget_gate_peephole": LSTM(3, 4, forget_gate=False, peephole=True),
    },
    "projection": {
        "lstm_projection": LSTM(3, 6, proj_size=4),
        "lstm_projection_peephole": LSTM(3, 6, proj_size=4, peephole=True),
    },
    "gru": {"gru": GRU(3, 4), "gru_reset_before": GRU(3, 4, reset="before")},
    "sru": {
        "sru": SRU(3, 4),
        "sru_square": SRU(4, 4, alpha=1.75),
        "sru_tanh": SRU(3, 4, nonlinearity="tanh", alpha=1.75),
        "sru_no_highway": SRU(3, 4, highway=False),
        "sru_version_1": SRU(3, 4, version=1),
        "sru_version_1_square": SRU(4, 4, version=1, nonlinearity="tanh", alpha=1.75),
        "sru_version_1_no_highway": SRU(3, 4, version=1, nonlinearity="tanh", highway=False),
    },
    "activations": {
        "elman_sigmoid": _elman("sigmoid"),
        "elman_affine": _elman("affine", 0.75, 0.125),
        "elman_leaky_relu": _elman("leaky_relu", 0.125),
        "elman_leaky_relu_default": _elman("leaky_relu"),
        "elman_thresholded_relu": _elman("thresholded_relu", 0.125),
        "elman_thresholded_relu_default": _elman("thresholded_relu"),
        "elman_scaled_tanh": _elman("scaled_tanh", 0.75, 1.5),
        "elman_hard_sigmoid": _elman("hard_sigmoid", 0.25, 0.375),
        "elman_hard_sigmoid_default": _elman("hard_sigmoid"),
        "elman_elu": _elman("elu", 0.5),
        "elman_elu_default": _elman("elu"),
        "elman_softsign": _elman("softsign"),
        "elman_softplus": _elman("softplus"),
        "gru_hard_sigmoid": GRU(3, 4, activations=("hard_sigmoid", "softsign")),
        "lstm_hard_sigmoid": LSTM(3, 4, activations=("hard_sigmoid", "tanh", "tanh")),
        "lstm_three": LSTM(3, 4, activations=("sigmoid", "softsign", "relu")),
        "lstm_three_peephole": LSTM(
            3, 4, peephole=True, activations=("hard_sigmoid", Activation("elu", 0.5), "softplus")
        ),
    },
    "clip": {
        "elman_clip": ElmanRNN(3, 4, clip=0.75),
        "gru_clip": GRU(3, 4, clip=0.75),
        "gru_reset_before_clip": GRU(3, 4, reset="before", clip=0.75),
        "lstm_clip": LSTM(3, 4, clip=0.5),
        "lstm_clip_peephole": LSTM(3, 4, clip=0.5, peephole=True),
    },
    "zero state": {f"{name}_zero_state": cell for name, cell in _cells().items()},
    "reverse": {f"{name}_reverse": Reverse(cell) for name, cell in _cells().items()},
    "bidirectional": {
        **{f"{name}_bidirectional": Bidirectional(cell, cell) for name, cell in _cells().items()},
        "mixed_bidirectional": _LSTM_GRU,
    },
    "stack": {
        "elman_stack": Stack((ElmanRNN(3, 4), ElmanRNN(4, 4), ElmanRNN(4, 4))),
        "lstm_stack": Stack((LSTM(3, 4), LSTM(4, 4))),
        "gru_stack": Stack((GRU(3, 4), GRU(4, 4))),
        "mixed_stack": Stack((LSTM(3, 6, peephole=True), GRU(6, 4, reset="before"), SRU(4, 7))),
        "mixed_stack_bidirectional": _DEEP,
    },
    "lengths": {
        "elman_lengths": ElmanRNN(3, 4),
        "lstm_lengths": LSTM(3, 4),
        "gru_lengths": GRU(3, 4),
        "sru_lengths": SRU(3, 4),
        "lstm_reverse_lengths": Reverse(LSTM(3, 4)),
        "gru_bidirectional_lengths": Bidirectional(GRU(3, 4), GRU(3, 4)),
        "mixed_stack_bidirectional_lengths": _DEEP,
        "lstm_empty_rows": LSTM(3, 4),
        "gru_bidirectional_empty_rows": Bidirectional(GRU(3, 4), GRU(3, 4)),
    },
}


def _lengths_of(name: str) -> tuple[int, ...] | None:
    ends = {"_lengths": _RAGGED, "_empty_rows": _EMPTY}
    return next((lengths for end, lengths in ends.items() if name.endswith(end)), None)


#: The groups, and in each the layer and the lengths of every case by its name.
GROUPS = {
    group: {name: (layer, _lengths_of(name)) for name, layer in layers.items()}
    for group, layers in _LAYERS.items()
}


def _case(name: str, group: str, layer: AnyLayer, lengths: tuple[int, ...] | None) -> Case:
    N = ROWS if lengths is None else len(lengths)
    ends = None if lengths is None else np.array(lengths, "<i8")
    zeros = layer.zero_state(N)
    params = _drawn_tree(f"{name}/params", layer.init_params(np.random.default_rng(0)))
    state = None if group == "zero state" else _drawn_tree(f"{name}/state", zeros)
    x = _drawn(f"{name}/x", (STEPS, N, layer.input_size))
    d_output = _drawn(f"{name}/d_output", (STEPS, N, layer.output_size))
    d_final_state = _drawn_tree(f"{name}/d_final_state", zeros)
    initial = zeros if state is None else state
    output, final, grads = _evaluated(layer, params, x, initial, ends, d_output, d_final_state)
    return Case(
        name, group, layer, params, x, ends, state, d_output, d_final_state, output, final, grads
    )


def _drawn(seed: str, shape: tuple[int, ...]) -> Array:
    """Multiples of 1/64, in size from 4/64 to 1, from a hash: no library's generator changes it."""
    for attempt in count():
        stream = hashlib.shake_256(f"{seed} {attempt}".encode())
        data = stream.digest(2 * int(np.prod(shape)))
        magnitude, sign = np.frombuffer(data, np.uint8).reshape(2, *shape).astype("<f8")
        number: Array = np.where(sign < 128, -1.0, 1.0) * (4.0 + magnitude % (UNIT - 3)) / UNIT
        if number.min() < 0.0 < number.max():  # four numbers may all have one sign
            return number
    raise AssertionError  # for mypy; count() has no end


def _drawn_tree(seed: str, form: Any) -> Any:
    return filled(form, [_drawn(f"{seed}.{k}", a.shape) for k, a in named_arrays(form).items()])


# The evaluation: every row alone, step by step.


def _run(
    layer: AnyLayer, params: Any, x: Array, state: Any, lengths: Array | None, step: Step
) -> tuple[Array, Any]:
    """Output and final state by nothing but the cells' ``step``."""
    if isinstance(layer, Stack):
        final = []
        for part, p, s in zip(layer.layers, params, state, strict=True):
            x, last = _run(part, p, x, s, lengths, step)
            final.append(last)
        return x, tuple(final)
    if isinstance(layer, Bidirectional):
        p, s = params, state
        back = Reverse(layer.backward_layer)
        ahead, last = _run(layer.forward_layer, p.forward_layer, x, s.forward_layer, lengths, step)
        behind, first = _run(back, p.backward_layer, x, s.backward_layer, lengths, step)
        return np.concatenate([ahead, behind], axis=2), BidirectionalState(last, first)
    if isinstance(layer, Reverse):
        x = reverse(x, lengths)
        output, last = _run(layer.layer, params, x, state, lengths, step)
        return reverse(output, lengths), last
    T, N, _ = x.shape
    output = np.zeros_like(x, shape=(T, N, layer.output_size))
    final_state = map_arrays(lambda s: s.copy(), state)
    for n in range(N):
        row = map_arrays(lambda s: s[n : n + 1], state)  # noqa: B023, called at once
        for t in range(T if lengths is None else lengths[n]):
            row = step(layer, params, x[t, n : n + 1], row)
            output[t, n] = row.h[0]
        for all_rows, one in zip(final_state, row, strict=True):
            all_rows[n] = one[0]
    return output, final_state


def _evaluated(
    layer: AnyLayer,
    params: Any,
    x: Array,
    state: Any,
    lengths: Array | None,
    d_output: Array,
    d_final_state: Any,
) -> tuple[Array, Any, Gradients[Any, Any]]:
    """Output, final state and gradients, rounded once."""
    tape: list[_Number] = []

    def leaf(array: Array) -> Array:
        numbers = np.array([_Number(Decimal(v), tape) for v in array.ravel().tolist()], object)
        return numbers.reshape(array.shape).view(_Exact)

    with localcontext(_context()):
        p, s, x_exact = map_arrays(leaf, params), map_arrays(leaf, state), leaf(x)
        output, final = _run(layer, p, x_exact, s, lengths, _exact_step)
        for values, slopes in zip(
            flat((output, final)), flat((d_output, d_final_state)), strict=True
        ):
            for value, slope in zip(values.ravel().tolist(), slopes.ravel().tolist(), strict=True):
                if isinstance(value, _Number):  # and not the 0 behind the end of a row
                    value.slope += Decimal(slope)
        for number in reversed(tape):
            for part, slope in number.parts:
                part.slope += slope * number.slope
        grads = Gradients(map_arrays(_slopes, p), _slopes(x_exact), map_arrays(_slopes, s))
        return _values(output), map_arrays(_values, final), grads


def _context() -> Context:
    return Context(
        prec=DIGITS,
        rounding=ROUND_HALF_EVEN,
        Emin=-999_999,
        Emax=999_999,
        traps=[InvalidOperation, DivisionByZero],
    )


def _values(array: Array) -> Array:
    """Rounded; the 0 behind the end of a row is a plain number."""
    found = [float(v.value) if isinstance(v, _Number) else v for v in array.ravel().tolist()]
    return np.array(found, "<f8").reshape(array.shape)


def _slopes(array: Array) -> Array:
    """Rounded, of the loss in the numbers of an operand."""
    return np.array([float(v.slope) for v in array.ravel().tolist()], "<f8").reshape(array.shape)


def _exact_step(cell: Any, params: Any, x_t: Array, state: Any) -> Any:
    """The cell's own ``step`` for arrays that its checks would refuse."""
    kind: Any = type("Unchecked", (type(cell),), {"_check_step": lambda *arguments: None})
    options = {f.name: getattr(cell, f.name) for f in fields(cell) if f.init}
    return kind(**options).step(params, x_t, state)


class _Number:
    """A decimal number that remembers what it was computed from, for the chain rule."""

    __slots__ = ("parts", "slope", "tape", "value")

    def __init__(
        self,
        value: Decimal,
        tape: list[_Number] | None = None,
        parts: tuple[tuple[_Number, Decimal], ...] = (),
    ) -> None:
        self.value, self.slope = value, Decimal(0)
        self.parts = [(part, slope) for part, slope in parts if part.tape is not None]
        # Of a constant it is None.
        self.tape: list[_Number] | None = self.parts[0][0].tape if self.parts else tape
        if self.parts and self.tape is not None:
            self.tape.append(self)

    @staticmethod
    def of(value: Any) -> _Number:
        return value if isinstance(value, _Number) else _Number(Decimal(value))

    def _map(self, value: Decimal, slope: Decimal) -> _Number:
        return _Number(value, None, ((self, slope),))

    def __add__(self, other: _Number) -> _Number:
        one = Decimal(1)
        return _Number(self.value + other.value, None, ((self, one), (other, one)))

    def __sub__(self, other: _Number) -> _Number:
        one = Decimal(1)
        return _Number(self.value - other.value, None, ((self, one), (other, -one)))

    def __mul__(self, other: _Number) -> _Number:
        parts = (self, other.value), (other, self.value)
        return _Number(self.value * other.value, None, parts)

    def __truediv__(self, other: _Number) -> _Number:
        quotient = self.value / other.value
        parts = (self, 1 / other.value), (other, -quotient / other.value)
        return _Number(quotient, None, parts)

    def __abs__(self) -> _Number:
        return self._map(abs(self.value), Decimal(1).copy_sign(self.value))

    def __neg__(self) -> _Number:
        return self._map(-self.value, Decimal(-1))

    def __lt__(self, other: _Number) -> bool:
        return self.value < other.value

    def __le__(self, other: _Number) -> bool:
        return self.value <= other.value

    def __gt__(self, other: _Number) -> bool:
        return self.value > other.value

    def __ge__(self, other: _Number) -> bool:
        return self.value >= other.value

    # What NumPy's functions of the same names call.

    def exp(self) -> _Number:
        value = self.value.exp()
        return self._map(value, value)

    def expm1(self) -> _Number:
        value = self.value.exp()
        return self._map(value - 1, value)

    def log1p(self) -> _Number:
        return self._map((1 + self.value).ln(), 1 / (1 + self.value))

    def tanh(self) -> _Number:
        small = (-2 * abs(self.value)).exp()
        value = ((1 - small) / (1 + small)).copy_sign(self.value)
        return self._map(value, 1 - value * value)


class _Exact(np.ndarray[Any, Any]):
    """An array of :class:`_Number`; constants that meet it become such."""

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = (), **options: Any
    ) -> Any:
        numbers = [_NUMBERS(np.asarray(value, object)) for value in inputs]
        found = getattr(ufunc, method)(*numbers, **options)
        if out:
            out[0].view(np.ndarray)[...] = found
            return out[0]
        return found if found.dtype == bool else found.view(_Exact)


_NUMBERS = np.frompyfunc(_Number.of, 1, 1)


# The files.


def _arrays(case: Case) -> dict[str, Array]:
    """All arrays of a case by their names in the file."""
    found = named_arrays(case.params, "params.") | {"x": case.x}
    if case.lengths is not None:
        found["lengths"] = case.lengths
    found |= named_arrays(case.state, "state.")
    found |= {"output": case.output} | named_arrays(case.final_state, "final_state.")
    found |= {"d_output": case.d_output} | named_arrays(case.d_final_state, "d_final_state.")
    return found | named_arrays(case.grads, "grads.")


def _npz(arrays: dict[str, Array]) -> bytes:
    """What ``np.savez`` writes, without the time of day, and with nothing left to a library."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, everywhere
            archive.writestr(entry, _npy(array))
    return file.getvalue()


def _npy(array: Array) -> bytes:
    """The array in NumPy's format 1.0: little-endian, rows first."""
    kind = {"f": "<f8", "i": "<i8"}[array.dtype.kind]
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {array.shape}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    return start + array.astype(kind).tobytes()


def _sizes(case: Case) -> dict[str, int]:
    layer, (T, N, D) = case.layer, case.x.shape
    sizes = {"T": T, "N": N, "D": D, "O": layer.output_size}
    if isinstance(layer, Cell):
        sizes |= {"H": layer.hidden_size, "G": layer.gates}
    if isinstance(layer, LSTM) and layer.proj_size:
        sizes["P"] = layer.proj_size
    return sizes


def _described(value: Any) -> Any:
    """A layer, an activation or an option for the manifest."""
    if isinstance(value, Layer):
        options = {f.name: getattr(value, f.name) for f in fields(value) if f.init}  # type: ignore[arg-type]
        found = {"class": type(value).__name__}
        for name, option in options.items():
            if name in ("nonlinearity", "activations") and not isinstance(value, SRU):
                option = _activations(option)
            found[name] = _described(option)
        return found
    if isinstance(value, Activation):
        parameters = {"alpha": value.alpha, "beta": value.beta}
        return {"name": value.name, **{k: v for k, v in parameters.items() if v is not None}}
    return list(map(_described, value)) if isinstance(value, tuple) else value


def _activations(choice: Any) -> Any:
    """The same, with the default parameters written out."""
    if isinstance(choice, tuple):
        return tuple(map(_activations, choice))
    return Activation(choice) if isinstance(choice, str) else choice


def _array_entries(case: Case, arrays: dict[str, Array]) -> dict[str, Any]:
    """Axes in letters, shape, dtype and meaning of every array."""
    known: dict[str, tuple[str, tuple[str, ...]]] = {
        "x": ("input, never read behind the end of a row", ("T", "N", "D")),
        "lengths": ("number of steps of each row", ("N",)),
        "output": ("output, 0 behind the end of a row", ("T", "N", "O")),
        "d_output": ("gradient of the loss in output", ("T", "N", "O")),
        "grads.x": ("gradient of the loss in x", ("T", "N", "D")),
    }
    for prefix, cell in _cells_of(case.layer):
        for name, axes in cell.param_axes().items():
            letters = tuple(letter for letter, _ in axes)
            full = f"params.{prefix}{name}"
            known[full] = (_meaning(cell, name), letters)
            known[f"grads.{full}"] = (f"gradient of the loss in {full}", letters)
        for name, (letter, _) in cell.state_axes().items():
            word = {"h": "hidden state", "c": "cell state"}[name]
            full = f"{prefix}{name}"
            known |= {
                f"state.{full}": (f"initial {word}", ("N", letter)),
                f"final_state.{full}": (f"{word} of each row after its last step", ("N", letter)),
                f"d_final_state.{full}": (
                    f"gradient of the loss in final_state.{full}, on top of d_output's",
                    ("N", letter),
                ),
                f"grads.state.{full}": (
                    f"gradient of the loss in the initial {word}",
                    ("N", letter),
                ),
            }
    return {
        name: {
            "axes": list(known[name][1]),
            "shape": list(array.shape),
            "dtype": {"f": "float64", "i": "int64"}[array.dtype.kind],
            "meaning": known[name][0],
        }
        for name, array in arrays.items()
    }


def _cells_of(layer: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The cells in a layer, with the prefix of their arrays' names; D and H are each cell's own."""
    if isinstance(layer, Stack):
        for k, part in enumerate(layer.layers):
            yield from _cells_of(part, f"{prefix}{k}.")
    elif isinstance(layer, Bidirectional):
        yield from _cells_of(layer.forward_layer, f"{prefix}forward_layer.")
        yield from _cells_of(layer.backward_layer, f"{prefix}backward_layer.")
    elif isinstance(layer, Reverse):
        yield from _cells_of(layer.layer, prefix)
    else:
        yield prefix, layer


def _meaning(cell: Any, name: str) -> str:
    """What is stacked in a parameter, in the letters of the class's equations."""
    if isinstance(cell, SRU):
        return {
            "weight_ih": "W_u, W_f, W_r" + ", W_s" * (cell.gates == 4) + " stacked",
            "bias_ih": "b_f, b_r stacked",
            "weight_ph": "v_f, v_r stacked",
        }[name]
    blocks = {1: [""], 3: ["_r", "_z", "_n"], 4: ["_i", "_f", "_g", "_o"]}[cell.gates]
    if isinstance(cell, LSTM) and cell.gates == 3:
        blocks = ["_i", "_g", "_o"]
    stacked = " stacked" if len(blocks) > 1 else ""
    if name == "bias_hh" and isinstance(cell, GRU):
        return "recurrent bias, stacked alike; its last block is b_m"
    return {
        "weight_ih": ", ".join(f"W{block}" for block in blocks) + stacked,
        "weight_hh": ", ".join(f"U{block}" for block in blocks) + stacked,
        "bias_ih": ", ".join(f"b{block}" for block in blocks) + stacked + ", of the input side",
        "bias_hh": "recurrent bias, stacked alike, added to bias_ih",
        "weight_ph": ", ".join(f"p{block}" for block in blocks if block != "_g") + " stacked",
        "weight_hr": "projection W_r",
    }[name]


def main(arguments: list[str]) -> int:
    """``python -m rnn_ref.vectors OUT``, or ``--check OUT`` to compare with the checksums.

    Chapter ``vectors`` begins with it.

    Parameters
    ----------
    arguments
        The command line without the program.

    Returns
    -------
    int
        0, or 1 where a check finds something, or 2 for wrong arguments.

    Examples
    --------
    >>> import tempfile
    >>> from rnn_ref import vectors
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = vectors.write(folder)
    ...     status = vectors.main(["--check", folder])
    every file is as the manifest says
    """
    match arguments:
        case ["--check", folder]:
            problems = check(folder)
            print("\n".join(problems) or "every file is as the manifest says")
            return bool(problems)
        case [folder] if not folder.startswith("-"):
            written = write(folder)
            print(f"{len(written) - 1} cases and {written[-1].name} in {folder}")
            return 0
    print("usage: python -m rnn_ref.vectors [--check] FOLDER", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
