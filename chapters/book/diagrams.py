"""The book's pictures of recurrent cells, all in one language.

Time runs from left to right. The thick line is the state's own way through the cell, on which it
is never multiplied by a matrix; the Elman network has no such line. A square box is a learned map
with its parameters: W multiplies the input, U the state, b is added, and so is a wire for which the
box has no matrix; its nonlinearity applies to the sum. p and v stand beside a wire and multiply
element by element the cell state that runs on it. A circle is an elementwise operation, a dot a
copy; two wires that run into one go on side by side. Where wires have to cross, one bridges the
other. All cells stand on one grid, so that each can be read as an edit of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from matplotlib.figure import Figure

from .drawing import BEND, GAUGE, LAYER_WIDTH, RADIUS, Drawing, Mark, Node, Point

# The grid that all cells share, in inches, so that one can be read as an edit of another. Rows: the
# bus of the inputs, the learned maps, what is computed from them, the lane of the state. Columns: a
# tap on the lane, the input, the boxes in the LSTM's letters, and where the output is put together.
# What keeps, as f does, stands in the column of f, and what shows, as o does, in that of o.
BUS, GATES, MIDDLE, UPPER, LANE = 0.98, 1.72, 2.55, 3.32, 3.98
X_TAP, X_IN, X_F, X_I, X_G, X_O, X_OUT = 0.84, 1.06, 1.42, 2.36, 3.3, 4.24, 5.36
BOTTOM, TOP, LEFT, RIGHT = 0.42, 4.38, 0.62, 5.9  # the frame
END = RIGHT + 0.5  # of the wires that leave it


def draw_cell(kind: str, **options: Any) -> Figure:
    """Draw one step of a cell, ``draw_cell("lstm", peephole=True)``.

    The options are those of the layer's class: ``forget_gate``, ``peephole`` and ``coupled`` of the
    LSTM, with ``projection`` for a ``proj_size`` above 0, ``reset`` of the GRU, ``version``,
    ``nonlinearity`` and ``highway`` of the SRU. A variant is drawn as an edit of the cell with the
    default options: what it adds is in the accent colour, what it takes away is faint and dashed.
    """
    return cell_drawing(kind, **options).figure


def cell_drawing(kind: str, **options: Any) -> Drawing:
    """The drawing behind ``draw_cell``, which also knows where a player may show values."""
    if kind not in CELLS:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, CELLS))}, got {kind!r}")
    draw, choices = CELLS[kind]
    for name, value in options.items():
        if name not in choices:
            known = ", ".join(choices) or "none"
            raise ValueError(f"{name}: not an option of draw_cell({kind!r}), which has: {known}")
        if value not in choices[name]:
            expected = " or ".join(map(repr, choices[name]))
            raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return draw(**{name: values[0] for name, values in choices.items()} | options)


def _elman() -> Drawing:
    # There is no lane above: the frame ends where nothing more comes.
    d = _cell(top=MIDDLE + 0.35)
    layer = d.layer(X_G, GATES, r"\tanh", "W  U  b", "h")
    d.wire((0.1, BUS), (X_G, BUS), layer.bottom)
    _input(d)
    d.wire(layer.top, (X_G, MIDDLE), (X_OUT, MIDDLE), (X_OUT, BUS), (END, BUS))
    _state(d, "h", BUS)
    return d


def _cell(variant: bool = False, top: float = TOP) -> Drawing:
    """An empty cell."""
    d = Drawing(RIGHT + 0.6, top + 0.05, variant=variant)
    d.frame(LEFT, BOTTOM, RIGHT, top)
    return d


def _lstm(forget_gate: bool, peephole: bool, coupled: bool, projection: bool) -> Drawing:
    if coupled and not forget_gate:
        raise ValueError("coupled: expected False together with forget_gate=False, got True")
    d = _cell(variant=peephole or coupled or projection or not forget_gate)
    has_f = forget_gate and not coupled
    own_f: Mark = "same" if has_f else "gone"

    # Every learned map sees x_t and h_{t-1}, on one bus.
    f = d.layer(X_F, GATES, r"\sigma", "W_f U_f b_f", "f", own_f)
    i = d.layer(X_I, GATES, r"\sigma", "W_i U_i b_i", "i")
    g = d.layer(X_G, GATES, r"\tanh", "W_g U_g b_g", "g")
    o = d.layer(X_O, GATES, r"\sigma", "W_o U_o b_o", "o")
    d.wire((0.1, BUS), (X_O, BUS), o.bottom)
    _input(d)
    for gate in (f, i, g) if has_f else (i, g):
        d.wire(d.dot(gate.x, BUS), gate.bottom)

    # c = f * c_prev + i * g
    times_i = d.operation(X_G, MIDDLE, "×")
    plus = d.operation(X_G, LANE, "+")
    d.wire(i.top, times_i.left)
    d.wire(g.top, times_i.bottom)
    d.wire(times_i.top, plus.bottom)
    d.wire(plus.right, (END, LANE), state=True)
    if forget_gate:
        times_f = d.operation(X_F, LANE, "×")
        d.wire((0.1, LANE), times_f.left, state=True)
        d.wire(times_f.right, plus.left, state=True)
    else:
        d.wire((0.1, LANE), plus.left, state=True)
    if coupled:
        one_minus = d.operation(X_F, UPPER - 0.3, "1-", "new")
        d.wire(d.dot(X_I, MIDDLE - BEND, "new"), one_minus.right, mark="new")
        d.wire(one_minus.top, times_f.bottom, mark="new")
        d.label(X_F + 0.08, UPPER + 0.12, "f_t", mark="new", ha="left")
    else:
        d.wire(f.top, times_f.bottom if forget_gate else (X_F, LANE - 0.05), mark=own_f)
        _gate_label(d, f, "f", own_f)

    # h = o * tanh(c)
    tanh = d.function(X_OUT, UPPER, r"\tanh")
    times_o = d.operation(X_OUT, MIDDLE, "×")
    d.wire(d.dot(X_OUT, LANE), tanh.top)
    d.wire(tanh.bottom, times_o.top)
    d.wire(o.top, times_o.left)
    out = times_o.bottom
    if projection:
        W_r = d.layer(X_OUT, GATES, "", "W_r", mark="new")
        d.wire(out, W_r.top, mark="new")
        d.label(X_OUT + 0.08, W_r.top[1] + 0.1, "m_t", mark="new", ha="left")
        out = W_r.bottom
    d.wire(out, (X_OUT, BUS), (END, BUS))

    if peephole:
        _peepholes(d, f, i, o, has_f, coupled)
    for gate, name in ((i, "i"), (g, "g"), (o, "o")):
        _gate_label(d, gate, name)
    _state(d, "c", LANE)
    _state(d, "h", BUS)
    return d


def _peepholes(d: Drawing, f: Node, i: Node, o: Node, has_f: bool, coupled: bool) -> None:
    """i and f look at the previous cell state, o at the new one."""

    def enter(gate: Node, name: str) -> Point:
        d.label(gate.x - 0.29, gate.top[1] + 0.1, f"p_{name}", mark="new", ha="right")
        return gate.x - 0.22, gate.top[1]  # beside the wire that leaves the box

    into_i, into_o, rail = enter(i, "i"), enter(o, "o"), MIDDLE - 0.12
    hops = () if coupled else ((f.x, rail),)
    start = d.dot(X_TAP, LANE, "new")
    d.wire(start, (X_TAP, rail), (into_i[0], rail), into_i, hops=hops, mark="new")
    d.wire(d.dot(into_o[0], LANE, "new"), into_o, mark="new")
    if has_f:
        into_f = enter(f, "f")
        d.wire(d.dot(into_f[0], rail, "new"), into_f, mark="new")


def _gru(reset: str, rest: Mark = "same", lit: Mark = "same") -> Drawing:
    """``rest`` is how to draw what the last equation does not name, ``lit`` how to draw z_t."""
    d = _cell(variant=reset == "before")
    # z keeps, as f does; the candidate is in two boxes, and the second has to wait for r.
    x_z, x_r, x_m, x_n = X_F, X_I, X_G, X_OUT
    rail_h, rail_x = 0.77, 0.57

    # The gates see x_t and h_{t-1} on one bus; the candidate takes them apart.
    z = d.layer(x_z, GATES, r"\sigma", "W_z U_z b_z", "z", lit)
    r = d.layer(x_r, GATES, r"\sigma", "W_r U_r b_r", "r", rest)
    n = d.layer(x_n, MIDDLE, r"\tanh", "W_n b_n", "n")
    d.wire(d.dot(X_TAP, BUS, rest), (x_r, BUS), r.bottom, mark=rest)
    d.wire(d.dot(x_z, BUS, rest), z.bottom, mark=rest)
    _input(d, hops=((X_IN, rail_h),), mark=rest)
    d.wire(d.dot(X_IN, rail_x, rest), (x_n, rail_x), n.bottom, mark=rest)

    # m: r and the product with U_n, in either order.
    if reset == "after":
        m = d.layer(x_m, GATES, "", "U_n b_m", "m", rest)
        times_r = d.operation(x_m, MIDDLE, "×", rest)
        d.wire(d.dot(X_TAP, LANE, rest), (X_TAP, rail_h), (x_m, rail_h), m.bottom, mark=rest)
        d.wire(m.top, times_r.bottom, mark=rest)
        d.wire(r.top, times_r.left, mark=rest)
        d.wire(times_r.right, n.left, mark=rest)
        _gate_label(d, r, "r", rest)
        _gate_label(d, m, "m", rest)
    else:
        m = d.layer(x_m, MIDDLE, "", "U_n b_m", "m", "new")
        times_r = d.operation(x_m, GATES, "×", "new")
        d.wire(d.dot(X_TAP, LANE), (X_TAP, rail_h), (x_m, rail_h), times_r.bottom)
        d.wire(r.right, times_r.left, mark="new")
        d.wire(times_r.top, m.bottom, mark="new")
        d.wire(m.right, n.left, mark="new")
        d.label((x_r + x_m + 0.25) / 2, GATES + 0.1, "r_t", mark="new")
        d.label((m.right[0] + n.left[0]) / 2, MIDDLE + 0.1, "m_t", mark="new")

    # h = (1 - z) * n + z * h_prev
    keep = d.operation(x_z, LANE, "×")
    plus = d.operation(x_n, LANE, "+")
    write = d.operation(x_n, UPPER, "×")
    one_minus = d.operation((x_z + x_n) / 2, UPPER, "1-")
    d.wire((0.1, LANE), keep.left, state=True)
    d.wire(keep.right, plus.left, state=True)
    d.wire(plus.right, (END, LANE), state=True)
    d.wire(z.top, keep.bottom, mark=lit)
    d.wire(d.dot(x_z, UPPER, lit), one_minus.left, mark=lit)
    d.wire(one_minus.right, write.left)
    d.wire(n.top, write.bottom)
    d.wire(write.top, plus.bottom)
    _gate_label(d, z, "z", lit)
    d.label(n.x + 0.08, n.top[1] + 0.1, "n_t", "n", ha="left")
    d.gauge("n", n.x - 0.12, n.top[1] + 0.04, ha="right")  # right of the wire ends the frame
    _state(d, "h", LANE)
    return d


def _sru(version: int, nonlinearity: str, highway: bool) -> Drawing:
    variant = version == 1 or nonlinearity == "tanh" or not highway
    d = _cell(variant)
    # r shows, as o does; that there is no box i says that f is coupled.
    x_f, x_u, x_r, x_out = X_F, X_G, X_O, X_OUT
    peephole: Mark = "same" if version == 2 else "gone"

    # The learned maps see x_t and nothing else: no state comes in below.
    f = d.layer(x_f, GATES, r"\sigma", "W_f b_f", "f")
    u = d.layer(x_u, GATES, "", "W_u", "g")  # the candidate's colour
    r = d.layer(x_r, GATES, r"\sigma", "W_r b_r", "r")
    d.wire((X_IN + BEND, BUS), (x_r, BUS), r.bottom)
    _input(d)
    for box in (f, u):
        d.wire(d.dot(box.x, BUS), box.bottom)

    # c = f * c_prev + (1 - f) * u
    keep = d.operation(x_f, LANE, "×")
    plus = d.operation(x_u, LANE, "+")
    write = d.operation(x_u, UPPER, "×")
    one_minus_f = d.operation((x_f + x_u) / 2, UPPER, "1-")
    d.wire((0.1, LANE), keep.left, state=True)
    d.wire(keep.right, plus.left, state=True)
    d.wire(plus.right, (END, LANE), state=True)
    d.wire(f.top, keep.bottom)
    d.wire(d.dot(x_f, UPPER), one_minus_f.left)
    d.wire(one_minus_f.right, write.left)
    d.wire(u.top, write.bottom)
    d.wire(write.top, plus.bottom)

    # v is a vector: the gates look at the previous cell state as through the LSTM's peepholes.
    rail = MIDDLE - 0.12
    into_f, into_r = ((gate.x - 0.22, gate.top[1]) for gate in (f, r))
    start, hops = d.dot(X_TAP, LANE, peephole), ((x_f, rail), (x_u, rail))
    d.wire(start, (X_TAP, rail), (into_r[0], rail), into_r, hops=hops, mark=peephole)
    d.wire(d.dot(into_f[0], rail, peephole), into_f, mark=peephole)
    for gate, name in ((f, "v_f"), (r, "v_r")):
        d.label(gate.x - 0.29, gate.top[1] + 0.1, name, mark=peephole, ha="right")

    # h = r * g(c) + (1 - r) * s
    times_r = d.operation(x_out, MIDDLE, "×")
    d.wire(r.top, times_r.left)
    if nonlinearity == "tanh":
        g = d.function(x_out, UPPER, r"\tanh", "new")
        d.wire(d.dot(x_out, LANE), g.top)
        d.wire(g.bottom, times_r.top)
    else:
        d.wire(d.dot(x_out, LANE), times_r.top)
    x_h = (x_out + RADIUS + RIGHT) / 2
    out = (x_h, GATES), (x_h, BUS), (END, BUS)
    if highway:
        plus_s = d.operation(x_out, GATES, "+")
        d.wire(times_r.bottom, plus_s.top)
        d.wire(plus_s.right, *out)
        _highway(d, plus_s.bottom, "same")
    else:
        d.wire(times_r.bottom, (x_out, GATES), *out)
        _highway(d, (x_out, GATES - 0.05), "gone")

    _gate_label(d, f, "f")
    d.label(u.x + 0.08, u.top[1] + 0.1, "u_t", "g", ha="left")
    d.gauge("u", u.x + 0.08, rail + 0.1, name="g")  # above the rail, beside the name is v_r
    _gate_label(d, r, "r")
    _state(d, "c", LANE)
    d.label(RIGHT + 0.25, BUS + 0.1, "h_t")  # and no h_{t-1}
    d.gauge("h", RIGHT + 0.25, BUS - 0.1 - GAUGE, ha="center")
    return d


def _highway(d: Drawing, end: Point, mark: Mark) -> None:
    """The SRU's input on its way past all boxes to the output, times 1 - r."""
    rail, y, x_minus = 0.66, 1.12, (X_O + LAYER_WIDTH / 2 + X_OUT - RADIUS) / 2
    one_minus = d.operation(x_minus, GATES, "1-", mark)
    times = d.operation(end[0], y, "×", mark)
    d.wire(d.dot(x_minus, MIDDLE, mark), one_minus.top, mark=mark)
    d.wire(one_minus.bottom, (x_minus, y), times.left, mark=mark)
    d.wire(d.dot(X_IN, rail, mark), (end[0], rail), times.bottom, mark=mark)
    d.wire(times.top, end, mark=mark)
    d.label(end[0] + 0.08, rail + 0.08, "s_t", mark=mark, ha="left")
    d.gauge("s", end[0] - 0.16, rail + 0.05, ha="right")


def _input(d: Drawing, hops: tuple[Point, ...] = (), mark: Mark = "same") -> None:
    """x_t comes from below and runs into the bus."""
    d.wire((X_IN, 0.05), (X_IN, BUS), (X_IN + BEND, BUS), arrow=False, hops=hops, mark=mark)
    d.label(X_IN + 0.09, 0.14, "x_t", mark=mark, ha="left")
    d.gauge("x", X_IN + 0.38, 0.1)


def _gate_label(d: Drawing, gate: Node, name: str, mark: Mark = "same") -> None:
    """The gate's value, to the right of the wire that leaves the box."""
    d.label(gate.x + 0.08, gate.top[1] + 0.1, f"{name}_t", name, mark, ha="left")
    d.gauge(name, gate.x + (0.45 if name == "m" else 0.34), gate.top[1] + 0.07)


def _state(d: Drawing, name: str, y: float) -> None:
    """The names of a state on both sides of the cell."""
    d.label(0.3, y + 0.1, f"{name}_{{t-1}}")
    d.label(RIGHT + 0.25, y + 0.1, f"{name}_t")
    d.gauge(f"{name}-", 0.3, y - 0.1 - GAUGE, ha="center")
    d.gauge(name, RIGHT + 0.25, y - 0.1 - GAUGE, ha="center")


CELLS: dict[str, tuple[Callable[..., Drawing], dict[str, tuple[Any, ...]]]] = {
    # the options of each cell, the default value first
    "elman": (_elman, {}),
    "lstm": (
        _lstm,
        {
            "forget_gate": (True, False),
            "peephole": (False, True),
            "coupled": (False, True),
            "projection": (False, True),
        },
    ),
    "gru": (_gru, {"reset": ("after", "before")}),
    "sru": (
        _sru,
        {"version": (2, 1), "nonlinearity": ("identity", "tanh"), "highway": (True, False)},
    ),
}


def draw_idea() -> Figure:
    """Draw the GRU with its last equation in the foreground, and in it z_t lit."""
    return _gru("after", rest="faded", lit="new").figure


def draw_legend() -> Figure:
    """Draw the symbols of all diagrams of cells, each with its meaning."""
    d = Drawing(RIGHT + 0.6, 2.85)
    top, bottom, below = 2.4, 0.9, 0.6
    x_1, x_2, x_3, x_4 = 0.85, 2.45, 4.05, 5.65

    def meaning(x: float, y: float, *lines: str) -> None:
        for k, line in enumerate(lines):
            words = rf"\mathrm{{{line}}}".replace(" ", r"\ ")
            d.label(x, y - below - 0.2 * k, words, size=12.5)

    d.layer(x_1, top, r"\sigma", "W U b")
    meaning(x_1, top, "learned map", "of x and h")
    d.function(x_2, top, r"\tanh")
    meaning(x_2, top, "function", "without weights")
    for dx, symbol in ((-0.42, "×"), (0, "+"), (0.42, "1-")):
        d.operation(x_3 + dx, top, symbol)
    meaning(x_3, top, "entry by entry")
    d.wire((x_4 - 0.6, top + 0.14), (x_4 + 0.6, top + 0.14), state=True)
    d.wire((x_4 - 0.6, top - 0.14), (x_4 + 0.6, top - 0.14))
    meaning(x_4, top, "lane of the state", "and other wires")

    d.wire((x_1 - 0.6, bottom), (x_1 + 0.6, bottom))
    d.wire(d.dot(x_1, bottom), (x_1, bottom + 0.36))
    meaning(x_1, bottom, "copy")
    d.wire((x_2, bottom - 0.3), (x_2, bottom + 0.36))
    d.wire((x_2 - 0.6, bottom), (x_2 + 0.6, bottom), hops=((x_2, bottom),))
    meaning(x_2, bottom, "no contact")
    d.wire((x_3 - 0.6, bottom), (x_3 + 0.6, bottom))
    d.wire((x_3, bottom - 0.36), (x_3, bottom), (x_3 + BEND, bottom), arrow=False)
    meaning(x_3, bottom, "side by side")
    new, gone = bottom + 0.14, bottom - 0.14
    d.wire((x_4 - 0.6, new), (x_4 + 0.6, new), mark="new")
    d.wire((x_4 - 0.6, gone), (x_4 + 0.6, gone), mark="gone")
    meaning(x_4, bottom, "added by the edit", "and taken away")
    return d.figure


def draw_unrolled(
    kind: str = "elman", steps: int = 3, task: str = "aligned", folded: bool = False
) -> Figure:
    """Draw a cell over time, with the inputs and outputs that a task asks for.

    The task is "aligned" (an output at every step), "many-to-one" (one after the last step) or
    "encoder-decoder" (two networks of ``steps`` steps: the second starts from the state in which
    the first one ends, and reads its own last output). ``folded`` adds the network as a loop.
    """
    _check_unrolled(kind, steps)
    tasks = ("aligned", "many-to-one", "encoder-decoder")
    if task not in tasks:
        raise ValueError(f"task: expected one of {', '.join(map(repr, tasks))}, got {task!r}")
    if folded and task != "aligned":
        raise ValueError(f"folded: expected False with task={task!r}, got True")
    if task == "encoder-decoder":
        return _encoder_decoder(kind, steps).figure
    start = 2.5 if folded else 0.1
    d = Drawing(start + 1.38 * steps + 0.6, 2.6 if folded else 2.3)
    if folded:
        _loop(d, kind)
    cells = [d.cell(start + 1.0 + 1.38 * k, 1.15, CLOSED[kind][0]) for k in range(steps)]
    _chain(d, kind, cells, ends=0.55)
    for t, cell in enumerate(cells, 1):
        _port(d, cell, f"x_{t}", up=False)
        if task == "aligned" or t == steps:
            _port(d, cell, f"y_{t}")
    return d.figure


def draw_backward(steps: int = 3) -> Figure:
    """Draw backpropagation through time in the Elman network: the unrolled picture, run backwards.

    A circle adds the two gradients that reach a state: one from the output at its own step, one
    from the next step.
    """
    _check_unrolled("elman", steps)
    pitch, y = 1.8, 1.15
    d = Drawing(0.95 + pitch * steps + 0.55, 2.4)
    cells = [d.cell(1.1 + pitch * k, y, rf"\delta_{k + 1}", width=0.62) for k in range(steps)]
    for t, cell in enumerate(cells, 1):
        plus = d.operation(cell.right[0] + 0.6, y, "+", "new")
        d.wire((plus.x, y + 0.88), plus.top, mark="new")
        d.wire(plus.left, cell.right, mark="new")
        d.wire(cell.bottom, (cell.x, cell.bottom[1] - 0.4), mark="new")
        d.label(plus.x, y + 0.97, rf"\mathrm{{d}}y_{t}")
        d.label(cell.right[0] + 0.25, y + 0.13, rf"\mathrm{{d}}h_{t}")
        d.label(cell.x + 0.07, cell.bottom[1] - 0.28, r"W^{\!\top}", ha="left")
        d.label(cell.x, cell.bottom[1] - 0.64, rf"\mathrm{{d}}x_{t}")
        source = cells[t].left if t < steps else (plus.right[0] + 0.5, y)
        d.wire(source, plus.right, mark="new")
        above = r"U^{\!\top}" if t < steps else rf"\mathrm{{d}}h_{t}^\mathrm{{fin}}"
        d.label((source[0] + plus.right[0]) / 2 + 0.04, y + 0.13, above)
    d.wire(cells[0].left, (0.35, y), mark="new")
    d.label(0.58, y + 0.13, r"U^{\!\top}")
    d.label(0.1, y - 0.06, r"\mathrm{d}h_0")
    return d.figure


def draw_layers(kind: str, steps: int = 3, masks: bool = False) -> Figure:
    """Draw two layers over time: a "stack", or the two directions of a "bidirectional" layer.

    In the stack the upper layer reads the outputs of the lower one, ``masks`` adds what dropout
    multiplies them by. In the bidirectional layer both read the input, the upper one from its end,
    and the two outputs of a step go on side by side.
    """
    if kind not in ("stack", "bidirectional"):
        raise ValueError(f"kind: expected 'stack' or 'bidirectional', got {kind!r}")
    if masks and kind != "stack":
        raise ValueError(f"masks: expected False with kind={kind!r}, got True")
    _check_unrolled("gru", steps)
    return (_stack(steps, masks) if kind == "stack" else _both_directions(steps)).figure


def _stack(steps: int, masks: bool) -> Drawing:
    pitch, low, high = 1.5, 1.1, 2.9
    d = Drawing(pitch * steps + 0.85, 4.25)
    for k, (y, color) in enumerate(((low, "c"), (high, "g")), 1):
        cells = [d.cell(1.2 + pitch * t, y, f"F^{{({k})}}", name=color) for t in range(steps)]
        _states(d, cells, f"h^{{({k})}}")
        for t, cell in enumerate(cells, 1):
            _port(d, cell, f"y^{{(2)}}_{t}" if k == 2 else f"x_{t}", up=k == 2)
            if k == 2:
                below, middle = (cell.x, low + cell.height / 2), (low + high) / 2
                above = cell.bottom
                d.label(cell.x + 0.08, below[1] + 0.12, f"y^{{(1)}}_{t}", ha="left")
                if masks:
                    times = d.operation(cell.x, middle + 0.12, "×", "new")
                    d.wire(below, times.bottom)
                    d.wire((cell.x - 0.45, times.y), times.left, mark="new")
                    d.label(cell.x - 0.5, times.y - 0.05, f"m_{t}", mark="new", ha="right")
                    below = times.top
                d.wire(below, above)
    return d


def _both_directions(steps: int) -> Drawing:
    pitch, low, high, shift = 1.9, 1.3, 2.75, 0.85
    d = Drawing(pitch * steps + 1.05, 4.2)
    ahead = [d.cell(1.15 + pitch * t, low, r"F^{\rightarrow}", 0.74, "c") for t in range(steps)]
    back = [d.cell(a.x + shift, high, r"F^{\leftarrow}", 0.74, "f") for a in ahead]
    for t, (a, b) in enumerate(zip(ahead, back, strict=True), 1):
        split, join = 0.5, high + 0.83
        d.wire((a.x, 0.28), a.bottom)
        d.label(a.x, 0.06, f"x_{t}")
        d.wire(d.dot(a.x, split), (b.x, split), b.bottom, hops=((b.x, low),))
        d.wire(a.top, (a.x, join), (b.x, join), arrow=False, hops=((a.x, high),))
        d.wire(b.top, (b.x, join + 0.25))
        d.label(b.x, join + 0.33, f"y_{t}")
    _states(d, ahead, r"h^{\rightarrow}", extra=shift - 0.32)
    _states(d, back, r"h^{\leftarrow}", backward=True)
    return d


def _states(
    d: Drawing, cells: list[Node], name: str, backward: bool = False, extra: float = 0.0
) -> None:
    """A layer's states between its cells; ``backward`` runs from the right, and counts down."""
    starts = [cells[0].left[0] - (0.85 if backward else 0.5)] + [cell.right[0] for cell in cells]
    stops = [cell.left[0] for cell in cells] + [cells[-1].right[0] + 0.45 + extra]
    y = cells[0].y
    for t, (a, b) in enumerate(zip(starts, stops, strict=True)):
        d.wire(*(((b, y), (a, y)) if backward else ((a, y), (b, y))), state=True)
        x = a + 0.24 if t else b - (0.68 if backward else 0.3)
        d.label(x, y + 0.12, f"{name}_{{{t + backward}}}")


def _check_unrolled(kind: str, steps: int) -> None:
    if kind not in CLOSED:
        raise ValueError(f"kind: expected one of {', '.join(map(repr, CLOSED))}, got {kind!r}")
    if not isinstance(steps, int) or not 1 <= steps <= 5:
        raise ValueError(f"steps: expected an int from 1 to 5, got {steps!r}")


def _encoder_decoder(kind: str, steps: int) -> Drawing:
    pitch, between, y, text = 0.9, 0.55, 1.6, CLOSED[kind][0]
    half = pitch * steps
    d = Drawing(2 * half + between + 0.45, 2.75)
    encoder = [d.cell(0.9 + pitch * k, y, text, width=0.66) for k in range(steps)]
    decoder = [d.cell(cell.x + half + between, y, text, width=0.66) for cell in encoder]
    _chain(d, kind, encoder + decoder, ends=0.4, final=False)
    for t, (first, second) in enumerate(zip(encoder, decoder, strict=True), 1):
        _port(d, first, f"x_{t}", up=False)
        _port(d, second, f"y_{t - 1}", up=False)
        _port(d, second, f"y_{t}")
    for cells, name in ((encoder, "encoder"), (decoder, "decoder")):
        d.wire((cells[0].left[0], 0.38), (cells[-1].right[0], 0.38), arrow=False)
        d.label((cells[0].x + cells[-1].x) / 2, 0.12, rf"\mathrm{{{name}}}")
    return d


def _chain(d: Drawing, kind: str, cells: list[Node], ends: float, final: bool = True) -> None:
    """The states between cells, before the first and after the last; long wires bear a name."""
    starts = [cells[0].left[0] - ends] + [cell.right[0] for cell in cells]
    stops = [cell.left[0] for cell in cells] + [cells[-1].right[0] + ends]
    for name, height, thick in CLOSED[kind][1]:
        y = cells[0].y + height
        for t, (a, b) in enumerate(zip(starts, stops, strict=True)):
            if final or t < len(cells):
                d.wire((a, y), (b, y), state=thick)
                if b - a > 0.35:
                    d.label((a + b) / 2 - 0.04, y + 0.08, f"{name}_{t}")


def _port(d: Drawing, cell: Node, text: str, up: bool = True) -> None:
    """An output upwards or an input from below."""
    if up:
        d.wire(cell.top, (cell.x, cell.top[1] + 0.4))
        d.label(cell.x, cell.top[1] + 0.49, text)
    else:
        d.wire((cell.x, cell.bottom[1] - 0.4), cell.bottom)
        d.label(cell.x, cell.bottom[1] - 0.62, text)


def _loop(d: Drawing, kind: str) -> None:
    """The network as it is defined: one cell, to which its own state comes back."""
    cell = d.cell(0.9, 1.15, CLOSED[kind][0])
    _port(d, cell, "x_t", up=False)
    for k, (name, height, thick) in enumerate(CLOSED[kind][1]):
        y, out, top = cell.y + height, 0.22 + 0.17 * k, cell.top[1] + 0.22 + 0.32 * k
        left, right = cell.left[0] - out, cell.right[0] + out
        back = [(right, y), (right, top), (left, top), (left, y), (cell.left[0], y)]
        d.wire((cell.right[0], y), *back, state=thick)
        d.label(cell.x, top + 0.07, name)
    if name == "h":
        start = d.dot(right - BEND, y)
    else:  # the output is not a state
        y = cell.y - 0.25
        start = cell.right[0], y
    d.wire(start, (right + 0.45, y))
    d.label(right + 0.24, y + 0.1, "y_t")
    d.label(2.3, cell.y - 0.06, "=")


# The word on a closed cell, and its states: name, height on the cell, whether the wire is thick.
CLOSED: dict[str, tuple[str, list[tuple[str, float, bool]]]] = {
    "elman": (r"\mathrm{Elman}", [("h", 0.0, False)]),
    "lstm": (r"\mathrm{LSTM}", [("c", 0.17, True), ("h", -0.25, False)]),
    "gru": (r"\mathrm{GRU}", [("h", 0.0, True)]),
    "sru": (r"\mathrm{SRU}", [("c", 0.17, True)]),  # no step reads the h of another one
}


def draw_vrnn(part: str = "all") -> Figure:
    """Draw one step of the variational RNN, or one of its four parts with the rest faded.

    The part is "all", "prior" (what to expect of z_t), "encoder" (inference of z_t), "decoder"
    (generation of x_t) or "recurrence"; the layout is always the same. A large circle is a random
    variable, grey where it is observed. The closed cell is a layer of the book.
    """
    return vrnn_drawing(part).figure


def vrnn_drawing(part: str = "all") -> Drawing:
    """The drawing behind ``draw_vrnn``, which also knows where a player may show values."""
    if part not in ("all", *VRNN_PARTS):
        known = ", ".join(map(repr, ("all", *VRNN_PARTS)))
        raise ValueError(f"part: expected one of {known}, got {part!r}")

    def used(letters: str) -> Mark:
        """How to draw what the parts with these initials use."""
        return "same" if part == "all" or part[0] in letters else "faded"

    d = _cell()
    x_p, x_e, x_phi, x_d, x_r = X_F, X_I, X_G - 0.06, X_O, X_OUT
    bus, nets, row_x, row_z, rail = BUS, GATES, 2.78, LANE, UPPER

    def network(x: float, name: str) -> Node:
        color, mark = VRNN_PARTS[name], used(name[0])
        box = d.layer(x, nets, "", rf"\mathrm{{{name}}}", color, mark)
        d.wire(d.dot(x, bus, mark), box.bottom, mark=mark)
        return box

    prior, encoder = network(x_p, "prior"), network(x_e, "encoder")
    decoder = network(x_d, "decoder")
    cell = d.cell(x_r, bus, r"\mathrm{cell}", 0.86, VRNN_PARTS["recurrence"], used("r"))
    phi_x = d.layer(x_phi, row_x, "", r"\varphi_x", mark=used("er"))
    phi_z = d.layer(x_phi, row_z, "", r"\varphi_z", mark=used("dr"))
    z = d.variable(x_e, row_z, "z_t", mark=used("pedr"))
    x = d.variable(x_d - 0.04, row_x, "x_t", observed=True, mark=used("edr"))

    # All four parts read the previous state; a piece of the bus is for those that are still ahead.
    for a, b, ahead in ((0.1, x_p, "pedr"), (x_p, x_e, "edr"), (x_e, x_d, "dr")):
        d.wire((a, bus), (b, bus), arrow=False, mark=used(ahead))
    d.wire((x_d, bus), cell.left, mark=used("r"))
    d.wire(cell.right, (END, bus), mark=used("r"))
    d.label(0.3, bus + 0.1, "h_{t-1}")
    d.label(RIGHT + 0.25, bus + 0.1, "h_t", mark=used("r"))

    # z_t: expected by the prior, inferred by the encoder
    def distribution(x: float, y: float, of: str, name: str, ha: str = "left") -> None:
        color, mark = VRNN_PARTS[name], used(name[0])
        d.label(x, y, rf"\mu_{{{of},t}}\;\sigma_{{{of},t}}", color, mark, ha)

    d.wire(prior.top, (x_p, row_z), z.left, mark=used("p"))
    d.wire(encoder.top, z.bottom, mark=used("e"))
    distribution(x_p + 0.08, prior.top[1] + 0.12, "0", "prior")
    distribution(x_e + 0.08, rail + 0.1, "z", "encoder")

    # x_t: read by the encoder and the recurrence, generated by the decoder
    x_in = x_e + 0.24
    d.wire(x.left, phi_x.right, mark=used("er"))
    d.wire(phi_x.left, (x_in, row_x), (x_in, encoder.top[1]), mark=used("e"))
    d.wire((x.x, decoder.top[1]), x.bottom, mark=used("d"))
    distribution(x.x - 0.08, decoder.top[1] + 0.12, "x", "decoder", ha="right")

    # What the decoder and the recurrence read of z_t and x_t
    z_in, split = x_d + 0.33, (x_d + 0.33, row_z)
    d.wire(z.right, phi_z.left, mark=used("dr"))
    d.wire(phi_z.right, split, arrow=False, mark=used("dr"))
    d.wire(d.dot(*split, used("d")), (z_in, decoder.top[1]), mark=used("d"))
    d.wire(split, (x_r + 0.2, row_z), (x_r + 0.2, cell.top[1]), mark=used("r"))
    end = x_r - 0.2, cell.top[1]
    d.wire(phi_x.top, (x_phi, rail), (end[0], rail), end, hops=((z_in, rail),), mark=used("r"))

    d.gauge("h-", 0.32, bus - 0.1 - GAUGE, ha="center")
    d.gauge("h", 6.1, bus - 0.1 - GAUGE, ha="center")
    for of, name, x0, y in (
        ("0", "prior", x_p + 0.12, prior.top[1] + 0.37),
        ("z", "encoder", x_e - 0.65, rail - 0.1),
    ):
        d.gauge(f"mu_{of}", x0, y, name=VRNN_PARTS[name])
        d.gauge(f"sigma_{of}", x0 + (0.37 if of == "0" else 0.3), y, name=VRNN_PARTS[name])
    for of, x0 in (("mu_x", x.x + 0.07), ("sigma_x", x.x + 0.22)):
        d.gauge(of, x0, decoder.top[1] + 0.09, name=VRNN_PARTS["decoder"])
    d.gauge("z", x_e - 0.3, row_z - 0.1 - GAUGE, ha="right", name="h")
    d.gauge("x", (phi_x.right[0] + x.left[0]) / 2, row_x + 0.06, ha="center")
    return d


# The parts of the VRNN and the colours of what they compute; their initials differ.
VRNN_PARTS = {"prior": "f", "encoder": "i", "decoder": "g", "recurrence": "c"}
