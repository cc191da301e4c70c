"""The exercises: enough of them, each with a solution that runs, and all of them on their page."""

import html
import re
from collections import Counter

import nbformat
import pytest
from exercises import CODE, all_exercises, exercises, first_words, list_markdown
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sources import CHAPTERS, HTML, ROOT, notebooks

EVERY = [(path, exercise) for path, found in all_exercises().items() for exercise in found]


def label(case) -> str:
    return case[1].label or case[1].title


@pytest.mark.parametrize("cell", ["elman", "lstm", "gru", "sru", "vrnn"])
def test_a_cell_has_at_least_five(cell):
    assert len(exercises(CHAPTERS / f"{cell}.ipynb")) >= 5


@pytest.mark.parametrize("case", EVERY, ids=label)
def test_an_exercise_has_one_solution_that_runs(case):
    """A derivation alone is not enough: what it arrives at has to be checked by code."""
    path, exercise = case
    assert exercise.label.startswith("ex-"), path.name
    assert len(exercise.solutions) == 1
    assert CODE in exercise.solutions[0]


def test_labels_are_unique():
    assert [label for label, n in Counter(e.label for _, e in EVERY).items() if n > 1] == []


def test_none_is_overlooked():
    """A second count, by another way, of every notebook in the folder."""
    for path in notebooks():
        cells = nbformat.read(path, as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        count = len(exercises(path))
        for directive in ("{exercise}", "{solution-start}", "{solution-end}"):
            assert text.count(directive) == count, (path.name, directive)
    listed = {path for path, _ in EVERY}
    assert {path for path in notebooks() if exercises(path)} <= listed


def test_the_list_names_every_exercise_once():
    text = list_markdown(all_exercises())
    assert re.findall(r"\{numref\}`(ex-[^`]+)`", text) == [e.label for _, e in EVERY]
    assert text.startswith(f"There are {len(EVERY)} exercises in ")


def test_the_built_page_links_every_exercise():
    """Two links to a page of the same name in another folder would be two different ones."""
    page = html.unescape((HTML / "reference" / "exercises.html").read_text("utf8"))
    for path, exercise in EVERY:
        target = path.relative_to(ROOT).with_suffix(".html").as_posix()
        assert page.count(f'href="../{target}#{exercise.label}"') == 1, exercise.label


def test_exercises_of_a_notebook(tmp_path):
    fence = "````"
    start = f"{fence}{{solution-start}} ex-a\n:class: dropdown\n{fence}\n\nIt is 1."
    cells = [
        new_markdown_cell(f"{fence}{{exercise}} Title\n:label: ex-a\n\nText.\n{fence}\n\n{start}"),
        new_code_cell("print(1)"),
        new_markdown_cell(f"{fence}{{solution-end}}\n{fence}"),
        new_markdown_cell("```{exercise}\n:label: ex-b\nHow many? Count.\n```\n\nNo solution."),
        new_code_cell("{exercise}"),
    ]
    path = tmp_path / "one.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    a, b = exercises(path)
    assert (a.label, a.title, a.solutions) == ("ex-a", "Title", (f"It is 1.\n{CODE}",))
    assert (b.label, b.title, b.solutions) == ("ex-b", "How many?", ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("**A counter.** Set the weights.", "A counter"),
        ("Find $b = 1. 5$ by hand.\nThen run it.", "Find $b = 1. 5$ by hand"),
        ("Which is larger? Why?", "Which is larger?"),
        ("Plant these: a; b. Then run.", "Plant these: a; b"),
        (f"Plant these: {'one more, ' * 20}end.", "Plant these"),
        ("no full stop", "no full stop"),
        ("", ""),
    ],
)
def test_first_words(text, words):
    assert first_words(text) == words
