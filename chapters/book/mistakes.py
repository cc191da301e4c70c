"""Classic mistakes of recurrent engines, planted one by one, and which test vectors notice them.

The engine is the literal one of :mod:`rnn_ref.vectors`: every row alone, step by step, in float64.
A mistake is an edit of its text or of a cell's ``step``, another choice of the cell's options, or
another reading of the parameters' blocks. Only outputs and final states are compared, which is what
an inference engine has.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from rnn_ref import GRU, LSTM, SRU, Activation, ElmanRNN, vectors
from rnn_ref.tree import named_arrays

RECURRENT = (ElmanRNN, LSTM, GRU)
ANY_CELL = (*RECURRENT, SRU)


class Mistake(NamedTuple):
    """One mistake.

    Attributes
    ----------
    name
        In a few words.
    cells
        The types of cell that it is made in.
    edits
        Pairs of texts, right and wrong: in ``step`` of those cells, or in the loop over rows and
        steps if ``running``.
    running
        The edits are in the engine's loop, ``rnn_ref.vectors._run``.
    change
        Other options for a cell: ``change(cell) -> cell``.
    read
        Other parameters for a cell: ``read(cell, params) -> params``.
    """

    name: str
    cells: tuple[type, ...] = ANY_CELL
    edits: tuple[tuple[str, str], ...] = ()
    running: bool = False
    change: Callable[[Any], Any] | None = None
    read: Callable[[Any, Any], Any] | None = None


def engine(mistake: Mistake | None = None) -> Callable[[vectors.Case], tuple[Any, Any]]:
    """An engine that makes the mistake, or none: ``engine(case) -> output, final_state``.

    Raises
    ------
    ValueError
        A text that the mistake replaces is not there.
    """
    m = mistake or Mistake("none")
    run = _edited(vectors._run, m.edits) if m.running else vectors._run
    steps = {
        cell: cell.step if m.running or cell not in m.cells else _edited(cell.step, m.edits)
        for cell in ANY_CELL
    }

    def step(cell: Any, params: Any, x_t: Any, state: Any) -> Any:
        wrong = type(cell) in m.cells
        literal = steps[type(cell)]
        if wrong and m.read:
            params = m.read(cell, params)
        if wrong and m.change:
            cell = m.change(cell)
        return literal(cell, params, x_t, state)

    def engine_of_case(case: vectors.Case) -> tuple[Any, Any]:
        state = case.state
        if state is None:
            state = case.layer.zero_state(case.x.shape[1])
        return run(case.layer, case.params, case.x, state, case.lengths, step)

    return engine_of_case


def error(case: vectors.Case, run: Callable[[vectors.Case], tuple[Any, Any]]) -> float:
    """How far an engine is from a case, as the manifest measures it; infinite where it fails."""
    try:
        output, final = run(case)
        given = named_arrays((output, final))
        expected = named_arrays((case.output, case.final_state))
        pairs = [(given[name], expected[name]) for name in expected]
        off = [np.abs(np.asarray(a) - b).max() / max(1.0, np.abs(b).max()) for a, b in pairs]
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
    ):  # arrays that do not fit: the engine stops
        return np.inf
    return np.inf if np.isnan(off).any() else float(max(off))


def errors(
    cases: Iterable[vectors.Case], mistakes: Iterable[Mistake] | None = None
) -> dict[str, dict[str, float]]:
    """How far each mistake moves each case.

    Parameters
    ----------
    cases
        The test vectors.
    mistakes
        ``MISTAKES`` when absent.

    Returns
    -------
    dict
        For each mistake, by the name of the case, its :func:`error`; only for the cases that have a
        cell of a type in which it is made.
    """
    cases, found = list(cases), {}
    for mistake in MISTAKES if mistakes is None else mistakes:
        run = engine(mistake)
        found[mistake.name] = {
            case.name: error(case, run)
            for case in cases
            if any(type(cell) in mistake.cells for _, cell in vectors._cells_of(case.layer))
        }
    return found


def noticed(
    errors_by_case: dict[str, float], tolerance: float = vectors.TOLERANCES["float32"]
) -> dict[str, tuple[int, int]]:
    """By group: how many cases notice one mistake, and how many have such a cell."""
    found = {}
    for group, cases in vectors.GROUPS.items():
        here = [errors_by_case[name] > tolerance for name in cases if name in errors_by_case]
        if here:
            found[group] = sum(here), len(here)
    return found


def _edited(function: Callable[..., Any], edits: tuple[tuple[str, str], ...]) -> Any:
    """A function with pieces of its text replaced, wherever they occur."""
    if not edits:
        return function
    code = textwrap.dedent(inspect.getsource(function))
    for right, wrong in edits:
        if right not in code:
            raise ValueError(f"edits: {function.__qualname__} has no {right!r}")
        code = code.replace(right, wrong)
    scope = dict(vars(sys.modules[function.__module__]))
    exec(code, scope)
    return scope[function.__name__]


# Readings of the parameters.


def _blocks(*order: int) -> Callable[[Any, Any], Any]:
    """Block k of what the engine takes is block ``order[k]`` of what the file has."""

    def read(cell: Any, params: Any) -> Any:
        if cell.gates != len(order):
            return params
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return params._replace(**{name: _take(getattr(params, name), order) for name in names})

    return read


def _take(stacked: Any, order: tuple[int, ...]) -> Any:
    blocks = np.split(stacked, len(order))
    return np.concatenate([blocks[k] for k in order])


def _peepholes(*order: int) -> Callable[[Any, Any], Any]:
    def read(cell: Any, params: Any) -> Any:
        if params.weight_ph is None or len(params.weight_ph) != len(order) * cell.hidden_size:
            return params
        return params._replace(weight_ph=_take(params.weight_ph, order))

    return read


def _sru_gates(cell: Any, params: Any) -> Any:
    order = (0, 2, 1, 3)[: cell.gates]
    params = params._replace(
        weight_ih=_take(params.weight_ih, order), bias_ih=_take(params.bias_ih, (1, 0))
    )
    return _peepholes(1, 0)(cell, params)


def _without(*names: str) -> Callable[[Any, Any], Any]:
    def read(cell: Any, params: Any) -> Any:
        given = {name: getattr(params, name, None) for name in names}
        return params._replace(**{k: 0.0 * v for k, v in given.items() if v is not None})

    return read


def _transposed(cell: Any, params: Any) -> Any:
    U = params.weight_hh
    if U.shape[1] != cell.hidden_size:
        return params
    return params._replace(weight_hh=np.concatenate([u.T for u in np.split(U, cell.gates)]))


def _by_columns(cell: Any, params: Any) -> Any:
    W = params.weight_ih
    return params._replace(weight_ih=np.ascontiguousarray(W.ravel().reshape(W.shape, order="F")))


def _forget_bias(cell: Any, params: Any) -> Any:
    if cell.gates != 4:
        return params
    H, b = cell.hidden_size, params.bias_ih.copy()
    b[H : 2 * H] += 1.0
    return params._replace(bias_ih=b)


# Other options.


def _functions(change: Callable[[Activation], Activation]) -> Callable[[Any], Any]:
    """Another function in each place of a cell."""

    def named(choice: Any) -> Activation:
        return change(Activation(choice) if isinstance(choice, str) else choice)

    def changed(cell: Any) -> Any:
        if isinstance(cell, ElmanRNN):
            return replace(cell, nonlinearity=named(cell.nonlinearity))
        return replace(cell, activations=tuple(map(named, cell.activations)))

    return changed


def _only(name: str, other: Activation) -> Callable[[Any], Any]:
    """One function taken for another."""
    return _functions(lambda f: other if f.name == name else f)


def _slope(f: Activation) -> Activation:
    return Activation(f.name, 1 / 6, f.beta) if f.name == "hard_sigmoid" else f


_SPAN = "T if lengths is None else lengths[n]"
_START = "row = map_arrays(lambda s: s[n : n + 1], state)"
_LSTM_PSI = "h = o * psi(c)"

MISTAKES = (
    # How the parameters are read.
    Mistake("blocks read as i, o, f, g (ONNX)", (LSTM,), read=_blocks(0, 2, 3, 1)),
    Mistake("blocks read as i, g, f, o", (LSTM,), read=_blocks(0, 2, 1, 3)),
    Mistake("blocks read as f, i, g, o", (LSTM,), read=_blocks(1, 0, 2, 3)),
    Mistake("blocks read as i, f, o, g", (LSTM,), read=_blocks(0, 1, 3, 2)),
    Mistake("blocks i, g, o read as i, o, g", (LSTM,), read=_blocks(0, 2, 1)),
    Mistake("blocks read as z, r, n (Keras, ONNX)", (GRU,), read=_blocks(1, 0, 2)),
    Mistake("gates f and r exchanged", (SRU,), read=_sru_gates),
    Mistake("peepholes read as i, o, f (ONNX)", (LSTM,), read=_peepholes(0, 2, 1)),
    Mistake("peepholes read as f, i, o", (LSTM,), read=_peepholes(1, 0, 2)),
    Mistake("peepholes i, o read as o, i", (LSTM,), read=_peepholes(1, 0)),
    Mistake("weight_hh transposed", RECURRENT, read=_transposed),
    Mistake("weight_ih read by columns", read=_by_columns),
    Mistake("bias_hh dropped", RECURRENT, read=_without("bias_hh")),
    Mistake("bias_ih dropped", read=_without("bias_ih")),
    Mistake("peepholes dropped", (LSTM, SRU), read=_without("weight_ph")),
    Mistake("1 added to the forget gate's bias", (LSTM,), read=_forget_bias),
    # The equations of one step.
    Mistake("no tanh of the cell state", (LSTM,), ((_LSTM_PSI, "h = o * c"),)),
    Mistake("o's peephole sees c_{t-1}", (LSTM,), (("p_o * c ", "p_o * c_prev "),)),
    Mistake("coupled: i = 1 - f", (LSTM,), (("f = 1.0 - i", "f, i = i, 1.0 - i"),)),
    Mistake(
        "one function for candidate and cell", (LSTM,), (("(psi, _) =", "_ ="), ("psi(", "phi("))
    ),
    Mistake("z inverted", (GRU,), (("(1.0 - z) * n + z * h_prev", "z * n + (1.0 - z) * h_prev"),)),
    Mistake(
        "other reset form",
        (GRU,),
        change=lambda cell: replace(cell, reset="before" if cell.reset == "after" else "after"),
    ),
    Mistake("bias b_m outside of r", (GRU,), (("+ r * m)", "+ r * (m - b_m) + b_m)"),)),
    Mistake("r ignored", (GRU,), (("+ r * m)", "+ m)"), ("(r * h_prev) @", "h_prev @"))),
    Mistake(
        "r sees c_t", (SRU,), (("h = r *", "r = sigmoid(x_t @ W_r.T + v_r * c + b_r); h = r *"),)
    ),
    Mistake("f inverted", (SRU,), (("f * c_prev + (1.0 - f) * u", "f * u + (1.0 - f) * c_prev"),)),
    Mistake("alpha ignored", (SRU,), change=lambda cell: replace(cell, alpha=1.0)),
    Mistake("no highway", (SRU,), (("(1.0 - r) * s", "0.0 * s"),)),
    Mistake("no tanh of the cell state (SRU)", (SRU,), (("tanh(c) if", "c if"),)),
    # Functions and clipping.
    Mistake("hard sigmoid of slope 1/6", RECURRENT, change=_functions(_slope)),
    Mistake(
        "hard sigmoid for sigmoid", RECURRENT, change=_only("sigmoid", Activation("hard_sigmoid"))
    ),
    Mistake("relu for tanh", RECURRENT, change=_only("tanh", Activation("relu"))),
    Mistake("alpha, beta ignored", RECURRENT, change=_functions(lambda f: Activation(f.name))),
    Mistake(
        "leaky relu of slope 0.3",
        RECURRENT,
        change=_functions(lambda f: Activation(f.name, 0.3) if f.name == "leaky_relu" else f),
    ),
    Mistake("clip ignored", RECURRENT, change=lambda cell: replace(cell, clip=None)),
    Mistake(
        "clip also before the cell's tanh",
        (LSTM,),
        ((_LSTM_PSI, "h = o * choose(self.activations[2], self.clip)[0](c)"),),
    ),
    # Rows, steps and states.
    Mistake(
        "lengths ignored",
        edits=((_SPAN, "T"), ("reverse(x, lengths)", "reverse(x)"), ("put, lengths)", "put)")),
        running=True,
    ),
    Mistake(
        "final state at step T",
        edits=(
            (_SPAN, "T"),
            ("= row.h[0]", "= row.h[0] if lengths is None or t < lengths[n] else 0.0"),
        ),
        running=True,
    ),
    Mistake("last output repeated to T", edits=(("output[t, n]", "output[t:, n]"),), running=True),
    Mistake(
        "initial state ignored", edits=((_START, _START.replace("s[", "0.0 * s[")),), running=True
    ),
    Mistake(
        "h_0 ignored",
        RECURRENT,
        edits=((_START, _START + "; row = row._replace(h=0.0 * row.h)"),),
        running=True,
    ),
    Mistake(
        "c_0 ignored",
        (LSTM, SRU),
        edits=((_START, _START + "; row = row if len(row) == 1 else row._replace(c=0.0 * row.c)"),),
        running=True,
    ),
    Mistake(
        "h and c exchanged in the final state",
        (LSTM, SRU),
        edits=(("return output, final_state", "return output, type(row)(*final_state[::-1])"),),
        running=True,
    ),
    Mistake(
        "every row starts from row 0's state",
        edits=((_START, _START.replace("n : n +", ":")),),
        running=True,
    ),
    Mistake(
        "state not reset between rows", edits=((_START, f"if n == 0: {_START}"),), running=True
    ),
    Mistake(
        "x read as (N, T, D)",
        edits=(("T, N, _ = x.shape", "T, N, D = x.shape; x = x.reshape(N, T, D).swapaxes(0, 1)"),),
        running=True,
    ),
    # Direction and depth.
    Mistake(
        "direction ignored",
        edits=(("x = reverse(x, lengths)", "pass"), ("reverse(output, lengths)", "output")),
        running=True,
    ),
    Mistake(
        "reversed output not turned back",
        edits=(("reverse(output, lengths)", "output"),),
        running=True,
    ),
    Mistake(
        "rows reversed with their padding",
        edits=(("reverse(x, lengths)", "reverse(x)"), ("put, lengths)", "put)")),
        running=True,
    ),
    Mistake("backward output first", edits=(("[ahead, behind]", "[behind, ahead]"),), running=True),
    Mistake(
        "directions' initial states exchanged",
        edits=(
            ("s.forward_layer, l", "s.other_layer, l"),
            ("s.backward_layer, l", "s.forward_layer, l"),
            ("s.other_layer, l", "s.backward_layer, l"),
        ),
        running=True,
    ),
    Mistake(
        "forward weights in both directions",
        edits=(("p.backward_layer, x", "p.forward_layer, x"),),
        running=True,
    ),
    Mistake(
        "backward final state from step T",
        edits=(("(last, first)", "(last, first._replace(h=behind[-1]))"),),
        running=True,
    ),
    Mistake(
        "layers' initial states exchanged",
        edits=(("params, state, strict", "params, state[::-1], strict"),),
        running=True,
    ),
)
