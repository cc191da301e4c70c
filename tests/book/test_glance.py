"""The page of all cells: every card is whole, and its formulas are those that the page counts."""

import re

import nbformat
import pytest
from book.diagrams import CELLS
from sources import CHAPTERS

NOTEBOOK = nbformat.read(CHAPTERS / "glance.ipynb", as_version=4)
TEXT = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "markdown")
CODE = "\n".join(cell.source for cell in NOTEBOOK.cells if cell.cell_type == "code")
CARDS = dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^#{2,3} |\Z)", TEXT, re.M | re.S))
FACTS = ["Package", "Elsewhere", "Parameters", "Multiply-adds", "Kept"]
FACTS += ["Gradient", "Derived", "Source"]


@pytest.mark.parametrize("title", CARDS)
def test_a_card_is_whole(title):
    card = CARDS[title]
    assert "```{math}" in card and ":label:" not in card
    assert re.findall(r"^(\S+)\n: \S", card, re.M) == FACTS
    assert re.search(r"^Derived\n: .*\{eq\}", card, re.M)


@pytest.mark.parametrize("title", CARDS)
def test_the_formulas_of_a_card_are_counted(title):
    """The cells' counted formulas stand in one list of the page, in the order of the cards."""
    # A formula that may break between two lines stands in two pieces.
    card = CARDS[title].replace("$ $+\\,", " +")
    formulas = [
        re.search(rf"^{fact}\n: \$([^$]+)\$", card, re.M)[1]
        for fact in ("Parameters", "Multiply-adds", "Kept")
    ]
    if title == "VRNN":
        assert all(f'value("{formula}"' in CODE for formula in formulas)
    else:
        number = list(CARDS).index(title)
        counted = re.findall(r'"([^"$]+)", "([^"]+)", "([^"]+)"\),', CODE)
        assert list(counted[number]) == formulas


def test_every_option_has_a_card():
    """Each value of each option is drawn at least once."""
    drawn = re.findall(r'^draw_cell\("(\w+)"(?:, (\w+)=([^)]+))?\)', CODE, re.M)
    for kind, (_, choices) in CELLS.items():
        assert (kind, "", "") in drawn
        edits = {
            (kind, name, repr(v).replace("'", '"')) for name, c in choices.items() for v in c[1:]
        }
        assert edits <= set(drawn)
    assert len(CARDS) == len(drawn) + 1  # the VRNN
