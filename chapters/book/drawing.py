"""The alphabet of the book's diagrams: wires, learned layers, elementwise operations, labels.

A drawing is measured in inches with the origin at the lower left, so that type and line widths,
which are points, keep their proportion to the boxes in every picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot
from typing import Literal

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Patch, PathPatch, Polygon
from matplotlib.path import Path

from .style import COLORS, INK

Point = tuple[float, float]
# How a part of a variant compares with the base diagram; "faded" is there but not talked about.
Mark = Literal["same", "new", "gone", "faded"]

ACCENT = "#c4124a"  # what a variant changes
FAINT = "#9a9a9a"  # what a variant takes away
FADED = "#c9c9c9"  # what a picture leaves in the background
GROUND = "#f2f4f6"  # inside of a cell

LAYER_WIDTH, LAYER_HEIGHT = 0.86, 0.66
RADIUS = 0.15  # of an operation's circle
BEND = 0.12  # radius of a wire's corner
HOP = 0.075  # radius of the little bridge where two wires cross
ARROW = 0.11  # length of an arrowhead
GAUGE = 0.26  # height of a gauge


@dataclass(frozen=True)
class Node:
    """A box's place and size; its ports are where wires end."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        """Middle of the left side."""
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        """Middle of the right side."""
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        """Middle of the upper side."""
        return self.x, self.y + self.height / 2

    @property
    def bottom(self) -> Point:
        """Middle of the lower side."""
        return self.x, self.y - self.height / 2


@dataclass(frozen=True)
class Gauge:
    """Where a player shows the values of a quantity: beside its name, where the picture has room.

    ``x`` is the gauge's left end, middle or right end, as ``ha`` says; ``y`` is its lower edge.
    """

    quantity: str  # the letter in the cache; "h-" and "c-" are the previous state's
    x: float
    y: float
    ha: str
    color: str


class Drawing:
    """A figure to draw on, without axes.

    ``variant`` marks a diagram that is an edit of another one: its quantities are drawn in ink, so
    that the accent of what is new stands alone. All text is TeX, without the dollar signs.
    """

    def __init__(self, width: float, height: float, *, variant: bool = False) -> None:
        # Not from pyplot: a notebook shows it once, as the value of a cell, and none stays open.
        self.figure = Figure(figsize=(width, height), facecolor="none", layout="none")
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, width), ylim=(0, height))
        self.axes.set_axis_off()
        self.variant = variant
        self.gauges: list[Gauge] = []  # not drawn here; book.player fills them

    def frame(self, left: float, bottom: float, right: float, top: float) -> None:
        """The inside of a cell; what crosses its border is the cell's input or output."""
        self._box(Node((left + right) / 2, (bottom + top) / 2, right - left, top - bottom), 0.14)

    def layer(
        self, x: float, y: float, symbol: str, weights: str, name: str = "", mark: Mark = "same"
    ) -> Node:
        r"""A square box: a learned map, its nonlinearity above and its parameters below.

        ``symbol`` is ``\sigma``, ``\tanh`` or empty for a linear map; ``weights`` names the
        parameters, "W_f U_f b_f"; ``name`` is the quantity it computes and gives the colour.
        """
        node = Node(x, y, LAYER_WIDTH, LAYER_HEIGHT)
        self._box(node, 0.05, self._color(name, mark), mark)
        ink = self._color("", mark)
        weights = weights.replace(" ", r"\,")
        if symbol:
            self._text(x, y + 0.07, symbol, ink, size=17)
            self._text(x, y - 0.2, weights, ink, size=12.5)
        else:
            self._text(x, y - 0.06, weights, ink, size=14)
        return node

    def cell(
        self, x: float, y: float, text: str, width: float = 0.9, name: str = "", mark: Mark = "same"
    ) -> Node:
        """A whole cell, closed: the frame with its inside hidden."""
        node = Node(x, y, width, 0.86)
        box, color = self._box(node, 0.14), self._color(name, mark)
        box.set(ec=color, lw=1.2, fc=_tint(color) if name and mark == "same" else GROUND)
        self._text(x, y - 0.06, text, self._color("", mark), size=14)
        return node

    def variable(
        self, x: float, y: float, text: str, observed: bool = False, mark: Mark = "same"
    ) -> Node:
        """A large circle: a random variable, grey where it is observed."""
        color, ground = self._color("", mark), GROUND if mark == "faded" else "#dadee2"
        fill = ground if observed else "white"
        self.axes.add_patch(Circle((x, y), 0.27, fc=fill, ec=color, lw=1.2, zorder=4))
        self._text(x, y - 0.05, text, color, size=16)
        return Node(x, y, 0.54, 0.54)

    def function(self, x: float, y: float, symbol: str, mark: Mark = "same") -> Node:
        """A round-ended box: an elementwise function without parameters."""
        node = Node(x, y, 0.64, 0.34)
        self._box(node, 0.17, self._color("", mark), mark)
        self._text(x, y - 0.055, symbol, self._color("", mark), size=14)
        return node

    def operation(self, x: float, y: float, symbol: str, mark: Mark = "same") -> Node:
        """A circle: "×", "+" or "1-", element by element."""
        color = self._color("", mark)
        circle = Circle((x, y), RADIUS, fc="white", ec=color, lw=1.2, ls=_dashes(mark), zorder=4)
        self.axes.add_patch(circle)
        # Drawn, not set: a typed sign does not sit in the middle of its circle.
        strokes = {
            "×": [(-0.055, -0.055, 0.055, 0.055), (-0.055, 0.055, 0.055, -0.055)],
            "+": [(-0.08, 0, 0.08, 0), (0, -0.08, 0, 0.08)],
            "1-": [(0.01, 0, 0.095, 0)],
        }[symbol]
        for x0, y0, x1, y1 in strokes:
            self.axes.plot([x + x0, x + x1], [y + y0, y + y1], color=color, lw=1.4, zorder=5)
        if symbol == "1-":
            self._text(x - 0.05, y - 0.055, "1", color, size=12)
        return Node(x, y, 2 * RADIUS, 2 * RADIUS)

    def dot(self, x: float, y: float, mark: Mark = "same") -> Point:
        """Where a wire is copied."""
        dot = Circle((x, y), 0.038, color=self._color("", mark), lw=0, zorder=_zorder(3, mark))
        self.axes.add_patch(dot)
        return x, y

    def label(
        self,
        x: float,
        y: float,
        text: str,
        name: str = "",
        mark: Mark = "same",
        ha: str = "center",
        size: float = 16,
    ) -> None:
        """The name of the quantity on a wire, with its baseline at ``y``."""
        self._text(x, y, text, self._color(name, mark), size=size, ha=ha)

    def gauge(self, quantity: str, x: float, y: float, ha: str = "left", name: str = "") -> None:
        """Keep a place for the values of a quantity; ``name`` gives the colour, if not itself."""
        color = COLORS.get(name or quantity.rstrip("-"), INK)
        self.gauges.append(Gauge(quantity, x, y, ha, color))

    def wire(
        self,
        *points: Point,
        arrow: bool = True,
        state: bool = False,
        hops: tuple[Point, ...] = (),
        mark: Mark = "same",
    ) -> None:
        """A line through the points, its corners rounded; ``state`` draws it thicker.

        Two points that are neither level nor above each other are joined by going up or down first.
        At each of ``hops`` the wire bridges another one that it has nothing to do with.
        """
        corners = _with_elbows(points)
        color = self._color("", mark)
        if arrow:
            (x0, y0), tip = corners[-2:]
            length = hypot(tip[0] - x0, tip[1] - y0)
            u, v = (tip[0] - x0) / length, (tip[1] - y0) / length
            base = tip[0] - ARROW * u, tip[1] - ARROW * v
            wing = 0.042 * (1.15 if state else 1)
            triangle = [
                tip,
                (base[0] - wing * v, base[1] + wing * u),
                (base[0] + wing * v, base[1] - wing * u),
            ]
            self.axes.add_patch(Polygon(triangle, color=color, lw=0, zorder=_zorder(3, mark)))
            corners[-1] = tip[0] - 0.8 * ARROW * u, tip[1] - 0.8 * ARROW * v
        self.axes.add_patch(
            PathPatch(
                _rounded(corners, hops),
                fc="none",
                ec=color,
                lw=2.2 if state else 1.3,
                ls=_dashes(mark),
                capstyle="butt",
                zorder=_zorder(2, mark),
            )
        )

    def _color(self, name: str, mark: Mark) -> str:
        if mark != "same":
            return {"new": ACCENT, "gone": FAINT, "faded": FADED}[mark]
        return INK if self.variant or not name else COLORS[name]

    def _box(self, node: Node, rounding: float, color: str = "", mark: Mark = "same") -> Patch:
        """A box; the cell's own frame has no ``color``."""
        x, y = node.left[0], node.bottom[1]
        style = f"round,pad=0,rounding_size={rounding}"
        box = FancyBboxPatch((x, y), node.width, node.height, boxstyle=style)
        if color:
            ground = {"gone": "none", "faded": "white"}.get(mark, _tint(color))
            box.set(fc=ground, ec=color, lw=1.2, zorder=4)
        else:
            box.set(fc=GROUND, ec="#c3c8cd", lw=1.0, zorder=0)  # under what is faded, too
        box.set_linestyle(_dashes(mark))
        self.axes.add_patch(box)
        return box

    def _text(
        self, x: float, y: float, text: str, color: str, size: float, ha: str = "center"
    ) -> None:
        font = {"fontsize": size, "math_fontfamily": "cm"}
        self.axes.text(x, y, f"${text}$", color=color, ha=ha, va="baseline", zorder=5, **font)


def _dashes(mark: Mark) -> str | tuple[float, tuple[float, float]]:
    return (0, (3, 2)) if mark == "gone" else "solid"


def _zorder(level: float, mark: Mark) -> float:
    """What is faded goes under all wires."""
    return level - 1.5 if mark == "faded" else level


def _tint(color: str) -> tuple[float, ...]:
    """A light shade of ``color``; white for ink."""
    return (1.0, 1.0, 1.0) if color == INK else tuple(0.88 + 0.12 * v for v in to_rgb(color))


def _with_elbows(points: tuple[Point, ...]) -> list[Point]:
    corners = [points[0]]
    for x, y in points[1:]:
        x0, y0 = corners[-1]
        if abs(x - x0) > 1e-9 and abs(y - y0) > 1e-9:
            corners.append((x0, y))
        corners.append((x, y))
    return corners


def _toward(a: Point, b: Point, distance: float) -> Point:
    """The point at ``distance`` from a on the way to b."""
    length = hypot(b[0] - a[0], b[1] - a[1])
    return a[0] + (b[0] - a[0]) * distance / length, a[1] + (b[1] - a[1]) * distance / length


def _rounded(corners: list[Point], hops: tuple[Point, ...]) -> Path:
    vertices, codes = [corners[0]], [Path.MOVETO]

    def add(code: int, *points: Point) -> None:
        vertices.extend(points)
        codes.extend([code] * len(points))

    for k in range(1, len(corners)):
        a, b = corners[k - 1], corners[k]
        for hop in sorted((p for p in hops if _between(a, p, b)), key=lambda p: _distance(a, p)):
            start, end = _toward(hop, a, HOP), _toward(hop, b, HOP)
            # A half circle to the left of a wire that goes up, above one that goes sideways.
            side = (-1.33 * HOP, 0.0) if abs(a[0] - b[0]) < 1e-9 else (0.0, 1.33 * HOP)
            add(Path.LINETO, start)
            add(
                Path.CURVE4,
                (start[0] + side[0], start[1] + side[1]),
                (end[0] + side[0], end[1] + side[1]),
                end,
            )
        if k + 1 < len(corners):
            c = corners[k + 1]
            rest = 1 if k + 2 == len(corners) else 2  # a bend may use up the last piece of a wire
            r = min(BEND, _distance(a, b) / 2, _distance(b, c) / rest)
            add(Path.LINETO, _toward(b, a, r))
            add(Path.CURVE3, b, _toward(b, c, r))
        else:
            add(Path.LINETO, b)
    return Path(vertices, codes)


def _distance(a: Point, b: Point) -> float:
    return hypot(b[0] - a[0], b[1] - a[1])


def _between(a: Point, p: Point, b: Point) -> bool:
    return abs(_distance(a, p) + _distance(p, b) - _distance(a, b)) < 1e-9
