"""Pictures of layers made of layers: every cell and name is there, nonsense is refused."""

import pytest
from book import draw_layers
from matplotlib.patches import FancyBboxPatch


@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize(
    ("kind", "masks"), [("stack", False), ("stack", True), ("bidirectional", False)]
)
def test_layers_have_two_cells_a_step_and_all_names(kind, masks, steps):
    axes = draw_layers(kind, steps, masks).axes[0]
    assert sum(isinstance(patch, FancyBboxPatch) for patch in axes.patches) == 2 * steps
    names = [text.get_text().strip("$") for text in axes.texts]
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
