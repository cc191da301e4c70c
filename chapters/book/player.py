"""A cell that the reader plays: its diagram with the values of one step, and a slider over time.

``play(cache, reads)`` takes what a layer's ``forward`` kept. The page it makes needs nothing but
itself: data, style and script (player.css, player.js) are in it. Python draws the whole figure at
one step, which is what paper and a browser without scripts show; the script only puts the numbers
of another step in the same places.

One picture of a value serves the diagram and the strips over time: a bar. What lies between 0 and
1 grows from the floor of its place, anything else from the middle, up or down; so the sign does
not hang on a colour. The colour is the quantity's own, as everywhere in the book.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import accumulate
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from IPython.display import HTML

from rnn_ref import GRU, LSTM, SRU, VRNN, ElmanRNN

from .diagrams import CELLS, cell_drawing, vrnn_drawing
from .drawing import GAUGE, Drawing
from .style import INK

KINDS = {ElmanRNN: "elman", LSTM: "lstm", GRU: "gru", SRU: "sru", VRNN: "vrnn"}
NAMES = {"elman": "Elman network", "lstm": "LSTM", "gru": "GRU", "sru": "SRU", "vrnn": "VRNN"}
GATES = {"elman": "", "lstm": "ifo", "gru": "rz", "sru": "fr", "vrnn": ""}
BOUNDED = {"elman": "h", "lstm": "gh", "gru": "nh", "sru": "", "vrnn": "h"}  # by plus and minus 1
# What is compared with each other has one scale: a mean and what it is the mean of, two laws of z.
ALIKE = {
    "gru": [("n", "h-", "h")],
    "sru": [("u", "c-", "c")],
    "vrnn": [("mu_0", "mu_z", "z"), ("sigma_0", "sigma_z"), ("mu_x", "x")],
}
GREEK = {"mu": "μ", "sigma": "σ"}
POINTS = 72  # in an inch, and a unit of Matplotlib's SVG is a point
# Bars side by side in one gauge; between the gates there is room for few.
MOST = {"elman": 8, "lstm": 4, "gru": 4, "sru": 4, "vrnn": 4}
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Quantity:
    """A letter of the equations with its values over time, (T, number of entries)."""

    name: str
    label: str  # HTML
    values: np.ndarray
    entries: Sequence[int] | None  # their numbers in the vector, from 0; None for a single one
    color: str
    full: tuple[float, ...]  # for each entry, the value of a full bar
    signed: bool

    def entry_label(self, k: int) -> str:
        """The letter with its entry, as in h_{t,3}."""
        if self.entries is None:
            return self.label
        return self.label.replace("</sub>", f",{self.entries[k] + 1}</sub>")


def play(
    cache: Any,
    reads: Sequence[str],
    *,
    alt: str,
    marks: Sequence[str] | None = None,
    marked: str = "reads",
    over_time: Sequence[str] = (),
    units: Sequence[int] | None = None,
    extra: Mapping[str, np.ndarray] | None = None,
    start: int = 1,
    row: int = 0,
) -> HTML:
    """A figure of one cell that the reader plays step by step.

    ``cache`` is what ``forward`` (``elbo`` of the VRNN) returned, ``row`` the sequence in its
    batch. ``reads`` says in words what each step reads, ``marks`` in a sign or two (by default the
    same), in a line that begins with ``marked``. ``over_time`` names the quantities that are drawn
    over all steps, ``units`` the units of the layer that are shown (counted from 0, by default the
    first ones), ``extra`` quantities that are not the cell's, such as a readout, (T,) each.
    ``start`` is the step shown first, counted from 1, and ``alt`` describes the diagram to those
    who do not see it.
    """
    kind, drawing = _diagram(cache)
    T, hidden = len(cache.x), cache.h.shape[-1]
    marks = ["␣" if mark == " " else mark for mark in (reads if marks is None else marks)]
    units = range(min(hidden, 4)) if units is None else units
    _check(alt, T, reads, marks, extra or {}, start, row, cache.x.shape[1])
    if not 1 <= len(units) <= MOST[kind] or not all(0 <= unit < hidden for unit in units):
        expected = f"expected 1 to {MOST[kind]} units of 0 ... {hidden - 1}"
        raise ValueError(f"units: {expected}, got {list(units)}")

    quantities = _quantities(kind, cache, drawing, row, list(units))
    for name in over_time:
        if name not in quantities:
            known = ", ".join(q for q in quantities if not q.endswith("-"))
            raise ValueError(f"over_time: expected names out of {known}, got {name!r}")
    outside = {name: _outside(name, values) for name, values in (extra or {}).items()}
    everything = [*quantities.values(), *outside.values()]
    ends = accumulate(q.values.shape[1] for q in everything)
    first = {q.name: end - q.values.shape[1] for q, end in zip(everything, ends, strict=True)}
    table = np.hstack([q.values for q in everything])

    data = {
        "says": [f"Step {t} of {T}: {text}" for t, text in enumerate(reads, 1)],
        "marks": marks,
        "values": [[_short(value) for value in step] for step in table],
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", r"<\/")
    picture = _picture(drawing, quantities, first, marks[start - 1], start - 1)
    prefix = "p" + hashlib.sha256((picture + text).encode()).hexdigest()[:8] + "-"
    picture = re.sub(r'(id="|href="#)', rf"\g<1>{prefix}", picture)
    strips = [quantities[name] for name in over_time] + list(outside.values())
    return HTML(
        f'<div class="player" role="group" data-step="{start}" data-steps="{T}" '
        f'aria-label="{NAMES[kind]}, step by step" style="--steps:{T};--step:{start}">'
        f"<style>{_file('player.css')}</style>"
        f'<svg class="player-cell" role="img" aria-label="{escape(alt)}" {picture}</svg>'
        f"{_controls(T, start, data['says'][start - 1])}"
        f"{_over_time(strips, marks, marked)}"
        f"{_numbers(everything, start)}"
        f'<script class="player-data" type="application/json">{text}</script>'
        f"<script>{_file('player.js')}</script></div>"
    )


def _check(
    alt: str,
    T: int,
    reads: Sequence[str],
    marks: Sequence[str],
    extra: Mapping[str, np.ndarray],
    start: int,
    row: int,
    rows: int,
) -> None:
    if not alt.strip():
        raise ValueError("alt: expected a description of the picture, got nothing")
    if T < 1:
        raise ValueError("cache: expected at least one step, got T = 0")
    for name, texts in {"reads": reads, "marks": marks}.items():
        if len(texts) != T:
            raise ValueError(
                f"{name}: expected one text for each of T = {T} steps, got {len(texts)}"
            )
    for name, values in extra.items():
        if np.shape(values) != (T,):
            raise ValueError(
                f"extra[{name!r}]: expected shape (T,) = ({T},), got {np.shape(values)}"
            )
    if not 1 <= start <= T:
        raise ValueError(f"start: expected a step of 1 ... {T}, got {start!r}")
    if not 0 <= row < rows:
        raise ValueError(f"row: expected a row of 0 ... {rows - 1}, got {row!r}")


def _diagram(cache: Any) -> tuple[str, Drawing]:
    """The kind of cell that left this cache, and its drawing."""
    layer = getattr(cache, "layer", getattr(cache, "model", None))
    kind = KINDS.get(type(layer))
    if kind is None:
        known = ", ".join(layer_type.__name__ for layer_type in KINDS)
        raise TypeError(f"cache: expected that of {known}; got {type(cache).__name__}")
    if kind == "vrnn":
        return kind, vrnn_drawing()
    chosen = vars(layer) | {"projection": getattr(layer, "proj_size", 0) > 0}
    other = [name for name, values in CELLS[kind][1].items() if chosen[name] != values[0]]
    if other:  # the names of what a variant adds stand where the gauges would
        raise ValueError(f"cache: expected that of a layer with the default {', '.join(other)}")
    return kind, cell_drawing(kind)


def _quantities(
    kind: str, cache: Any, drawing: Drawing, row: int, units: list[int]
) -> dict[str, Quantity]:
    """What the drawing has a gauge for, in the drawing's order."""
    found = {}
    for gauge in drawing.gauges:
        name, T = gauge.quantity.rstrip("-"), len(cache.x)
        values = getattr(cache, name)
        if values is None or (name == "x" and values.shape[-1] > 4):
            continue  # a character's code has no length of its own
        if len(values) > T:  # a state, which begins with the initial one
            values = values[:-1] if gauge.quantity.endswith("-") else values[1:]
        values = values[:, row]
        of_layer = name == "h" if kind == "vrnn" else name != "x"
        entries = units if of_layer else list(range(values.shape[1]))[: MOST[kind]]
        gate = name in GATES[kind]
        found[gauge.quantity] = Quantity(
            gauge.quantity,
            _label(gauge.quantity),
            values[:, entries],
            None if values.shape[1] == 1 else entries,
            gauge.color,
            _full(getattr(cache, name)[:, row, entries], gate or name in BOUNDED[kind]),
            not gate and not name.startswith("sigma"),
        )
    for group in ALIKE.get(kind, []):
        full = tuple(map(max, *(found[name].full for name in group)))
        found |= {name: replace(found[name], full=full) for name in group}
    return found


def _outside(label: str, values: np.ndarray) -> Quantity:
    values = np.asarray(values)[:, None]
    return Quantity(
        label, escape(label), values, None, INK, _full(values), bool((values < 0).any())
    )


def _label(name: str) -> str:
    """The quantity as it stands in the equations, in HTML."""
    letter, _, of = name.rstrip("-").partition("_")
    index = f"{of},t" if of else "t−1" if name.endswith("-") else "t"
    return f"<i>{GREEK.get(letter, letter)}</i><sub>{index}</sub>"


def _full(values: np.ndarray, bounded: bool = False) -> tuple[float, ...]:
    """For each entry a round number that it never exceeds; 1 for all where they are bounded by 1.

    Round are 1, 2, 3, 4, 5, 6 and 8, times a power of ten.
    """
    largest = np.maximum(np.abs(values).max(0), 1e-3)
    if bounded and largest.max() <= 1:
        return (1.0,) * len(largest)
    powers = [10.0 ** np.floor(np.log10(v)) for v in largest]
    steps = (1, 2, 3, 4, 5, 6, 8, 10)
    pairs = zip(largest, powers, strict=True)
    return tuple(float(next(s * power for s in steps if s * power >= v)) for v, power in pairs)


def _short(value: float) -> float:
    """Two decimals, and no minus before a zero."""
    return round(float(value), 2) + 0.0


def _file(name: str) -> str:
    return (HERE / name).read_text("utf8").strip()


def _picture(
    drawing: Drawing, quantities: dict[str, Quantity], first: dict[str, int], mark: str, step: int
) -> str:
    """The inside of the diagram's <svg>, its attributes first: the drawing, then its gauges."""
    width, height = drawing.figure.get_size_inches() * POINTS
    parts = []
    for gauge in drawing.gauges:
        x, y = gauge.x * POINTS, height - gauge.y * POINTS
        if gauge.quantity in quantities:
            quantity, k = quantities[gauge.quantity], first[gauge.quantity]
            parts.append(_gauge(quantity, k, x, y, gauge.ha, step))
        elif gauge.quantity == "x":
            parts.append(f'<text x="{x:.1f}" y="{y - 5:.1f}">{escape(mark)}</text>')
    size = f'viewBox="0 0 {width:.1f} {height:.1f}" style="max-width:{1.15 * width:.0f}px"'
    return f"{size}>{_svg(drawing)}{''.join(parts)}"


def _gauge(quantity: Quantity, k: int, x: float, y: float, ha: str, step: int) -> str:
    """One bar for each entry, in a frame whose lower edge is at y."""
    number, high = quantity.values.shape[1], GAUGE * POINTS
    unit = min(8.5, 26 / number) if number <= MOST["gru"] else 32 / number
    wide = unit * number
    x -= {"left": 0, "center": wide / 2, "right": wide}[ha]
    full = high / 2 if quantity.signed else high
    bars = "".join(
        f'<path data-k="{k + j}" data-full="{quantity.full[j]:g}" '
        f'd="M{unit * j + 0.4:.1f} 0h{unit - 0.8:.1f}v{-full:.1f}h{0.8 - unit:.1f}z" '
        f'style="transform:scaleY({_short(value) / quantity.full[j]:.3f})"/>'
        for j, value in enumerate(quantity.values[step])
    )
    return (
        f'<g class="gauge" transform="translate({x:.1f} {y - high + full:.1f})" '
        f'fill="{quantity.color}" stroke="{quantity.color}">'
        f'<rect x="-1" y="{-full - 1:.1f}" width="{wide + 2:.1f}" height="{high + 2:.1f}" '
        f'rx="1.5"/>'
        f'{bars}<path class="zero" d="M-1 0h{wide + 2:.1f}"/></g>'
    )


def _svg(drawing: Drawing) -> str:
    """A drawing as the inside of an <svg>, without what only a file needs."""
    file = io.BytesIO()
    drawing.figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(file.getvalue())
    used = set(re.findall(r'href="#([^"]+)"', file.getvalue().decode()))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.endswith(("metadata", "style", "clipPath")):
                parent.remove(child)  # the style would reach all of the page
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
        attributes.pop("clip-path", None)
        if attributes.get("id") not in used:
            attributes.pop("id", None)
        element.attrib.clear()
        element.attrib.update({name: _rounded(value) for name, value in attributes.items()})
    inside = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    return re.sub(r">\s+<", "><", inside)


def _rounded(text: str) -> str:
    """Hundredths of a point; but a glyph is scaled by 1/64, which a hundredth would not be."""

    def short(match: re.Match[str]) -> str:
        value = float(match[0])
        return f"{value:.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 else f"{value:.4g}"

    return re.sub(r"\s+", " ", re.sub(r"-?\d+\.\d{4,}", short, text)).strip()


def _controls(T: int, start: int, says: str) -> str:
    """Hidden as long as there is no script to work them."""
    buttons = "".join(
        f'<button type="button" data-do="{do}" aria-label="{label}">{sign}</button>'
        for do, label, sign in (
            # U+FE0E: as text, not as a coloured picture
            ("previous", "Previous step", "◀\ufe0e"),
            ("play", "Play", "Play"),
            ("next", "Next step", "▶\ufe0e"),
        )
    )
    return (
        f'<div class="player-controls" hidden>{buttons}</div><output>{escape(says)}</output>'
        f'<div class="player-time"><span class="player-slider" hidden>step</span>'
        f'<div class="player-slider" hidden><input type="range" min="1" max="{T}" value="{start}" '
        f'step="1" aria-label="Step" aria-valuetext="{escape(says)}"></div>'
    )


def _over_time(strips: list[Quantity], marks: Sequence[str], marked: str) -> str:
    """What is read at each step, a strip of bars for each entry, and the cursor over all."""
    rows = "".join(
        f"<span>{quantity.entry_label(k)}</span>{_strip(quantity, k)}"
        for quantity in strips
        for k in range(quantity.values.shape[1])
    )
    read = "".join(f"<span>{escape(mark)}</span>" for mark in marks)
    scales: dict[str, list[str]] = {}
    for q in strips:
        sign, same = "±" if q.signed else "", len(set(q.full)) == 1
        for k, full in enumerate(q.full[:1] if same else q.full):
            scales.setdefault(f"{sign}{full:g}", []).append(q.label if same else q.entry_label(k))
    full = "; ".join(f"{scale} for {', '.join(labels)}" for scale, labels in scales.items())
    return (
        f'<span>{escape(marked)}</span><div class="player-reads">{read}</div>{rows}'
        f'<div class="player-cursor"></div></div>'
        f'<p class="player-scales">A full bar is {full}.</p>'
    )


def _strip(quantity: Quantity, k: int) -> str:
    """The values of one entry at all steps, in a box as wide as there are steps and 20 high."""
    floor, full = (10, 10) if quantity.signed else (20, 20)
    bars = "".join(
        f"M{t + 0.06:g} {floor}h.88v{-full * value / quantity.full[k]:.1f}h-.88z"
        for t, value in enumerate(quantity.values[:, k])
    )
    return (
        f'<svg class="player-strip" viewBox="0 0 {len(quantity.values)} 20" '
        f'preserveAspectRatio="none" aria-hidden="true"><path fill="{quantity.color}" d="{bars}"/>'
        f'<path class="zero" d="M0 {floor}H{len(quantity.values)}"/></svg>'
    )


def _numbers(everything: list[Quantity], start: int) -> str:
    rows = "".join(
        f'<tr><th scope="row">{quantity.entry_label(k)}</th><td>{_short(value):.2f}</td></tr>'
        for quantity in everything
        for k, value in enumerate(quantity.values[start - 1])
    )
    rows = rows.replace("<td>-", "<td>−")
    return (
        '<details class="player-numbers"><summary>The numbers of this step</summary>'
        f"<table><tbody>{rows}</tbody></table></details>"
    )
