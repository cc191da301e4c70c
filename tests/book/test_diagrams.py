"""Pictures of cells stand on one grid; those of layers have every cell and name."""

from itertools import product

import pytest
from book import draw_cell, draw_layers, draw_vrnn
from book.diagrams import CELLS, GATES, LEFT, MIDDLE, RIGHT, X_F, X_G, X_I, X_O, X_OUT
from book.drawing import LAYER_WIDTH
from matplotlib.patches import FancyBboxPatch

VARIANTS = [
    (kind, dict(zip(choices, values, strict=True)))
    for kind, (_, choices) in CELLS.items()
    for values in product(*choices.values())
    if not {("forget_gate", False), ("coupled", True)} <= set(zip(choices, values, strict=True))
]


def boxes(figure):
    return [p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]


@pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=str)
def test_cells_are_edits_of_one_diagram(kind, options):
    """The same frame, and every learned map in one of its columns and rows."""
    figure = draw_cell(kind, **options)
    assert figure.get_figwidth() == draw_vrnn().get_figwidth()
    frame, *rest = boxes(figure)
    assert (frame.get_x(), frame.get_x() + frame.get_width()) == pytest.approx((LEFT, RIGHT))
    learned = [box for box in rest if box.get_width() == LAYER_WIDTH]
    assert learned
    for box in learned:
        x, y = box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2
        assert any(x == pytest.approx(column) for column in (X_F, X_I, X_G, X_O, X_OUT))
        assert any(y == pytest.approx(row) for row in (GATES, MIDDLE))


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize(
    ("kind", "masks"), [("stack", False), ("stack", True), ("bidirectional", False)]
)
def test_layers_have_two_cells_a_step_and_all_names(kind, masks, steps):
    figure = draw_layers(kind, steps, masks)
    assert len(boxes(figure)) == 2 * steps
    names = [text.get_text().strip("$") for text in figure.axes[0].texts]
    assert len(set(names)) == len(names) - 2 * (steps - 1)  # a cell's name stands at every step
    for t in range(1, steps + 1):
        assert f"x_{t}" in names
        assert (f"m_{t}" in names) == masks
    first, last = (
        ("{0}", f"{{{steps + 1}}}") if kind == "bidirectional" else ("{0}", f"{{{steps}}}")
    )
    assert any(name.startswith("h^") and name.endswith(f"_{first}") for name in names)
    assert any(name.startswith("h^") and name.endswith(f"_{last}") for name in names)


def test_wrong_arguments_are_refused():
    for arguments, message in [
        (("deep",), "kind: expected 'stack' or 'bidirectional', got 'deep'"),
        (("bidirectional", 3, True), "masks: expected False with kind='bidirectional', got True"),
        (("stack", 6), "steps: expected an int from 1 to 5, got 6"),
    ]:
        with pytest.raises(ValueError, match=message):
            draw_layers(*arguments)
