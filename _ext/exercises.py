"""The list of all exercises, made from the notebooks at every build.

``{exercise-list}`` lists them by chapter, in the order of ``_toc.yml``: number, link and title, or
the first words where an exercise has no title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[1]
CODE = "<code cell>"
LONG = 100  # characters; above, a first sentence is cut

EXERCISE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{exercise\}(?P<title>[^\n]*)\n"
    r"(?P<options>(?::[^\n]*\n)*)(?P<text>.*?)^(?P=fence)[ ]*$",
    re.M | re.S,
)
SOLUTION = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{solution-start\}[ ]*(?P<label>\S+)[ ]*\n"
    r"(?::[^\n]*\n)*\s*^(?P=fence)[ ]*$(?P<text>.*?)^(?:`{3,}|:{3,})\{solution-end\}",
    re.M | re.S,
)


class Exercise(NamedTuple):
    """One exercise of a notebook."""

    label: str  # "" where it has none
    title: str
    solutions: tuple[str, ...]  # what stands between start and end; code cells as CODE


def exercises(path: Path) -> list[Exercise]:
    """The exercises of a notebook, in order."""
    cells = nbformat.read(path, as_version=4).cells
    text = "\n".join(cell.source if cell.cell_type == "markdown" else CODE for cell in cells)
    solutions: dict[str, list[str]] = {}
    for match in SOLUTION.finditer(text):
        solutions.setdefault(match["label"], []).append(match["text"].strip())
    found = []
    for match in EXERCISE.finditer(text):
        option = re.search(r"^:label:\s*(\S+)", match["options"], re.M)
        label = option[1] if option else ""
        title = match["title"].strip() or first_words(match["text"])
        found.append(Exercise(label, title, tuple(solutions.get(label, ()))))
    return found


def first_words(text: str) -> str:
    """What an exercise begins with: its words in bold or else its first sentence.

    Of a long sentence only what stands before its first colon or semicolon.
    """
    line = " ".join(text.split("\n\n")[0].split())
    if bold := re.match(r"\*\*(.+?)\.?\*\*", line):
        return bold[1]
    sentence = _until(line, r"[.?!]")
    return sentence if len(sentence) <= LONG else _until(sentence, r"[:;]")


def _until(line: str, mark: str) -> str:
    """The line up to a mark before a space that is not inside a formula; of marks only ? stays."""
    for match in re.finditer(rf"{mark}(?=\s|$)", line):
        before = line[: match.start()]
        if before.count("$") % 2 == 0:
            return before + match[0].strip(".!:;")
    return line


def listed_notebooks(toc: dict[str, Any]) -> Iterator[Path]:
    """The notebooks that _toc.yml names, in its order, those below others included."""
    for entry in [{"file": toc["root"]}, *toc.get("parts", [])]:
        yield from _notebooks(entry)


def _notebooks(entry: dict[str, Any]) -> Iterator[Path]:
    path = ROOT / f"{entry.get('file', '')}.ipynb"
    if "file" in entry and path.exists():
        yield path
    for key in ("chapters", "sections"):
        for inner in entry.get(key, []):
            yield from _notebooks(inner)


def all_exercises() -> dict[Path, list[Exercise]]:
    """By notebook; those without exercises are left out."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf8"))
    by_notebook = {path: exercises(path) for path in listed_notebooks(toc)}
    return {path: found for path, found in by_notebook.items() if found}


def list_markdown(by_notebook: dict[Path, list[Exercise]]) -> str:
    """A paragraph with the count, and a list for each chapter."""
    total = sum(map(len, by_notebook.values()))
    rows = [f"There are {total} exercises in {len(by_notebook)} chapters.", ""]
    for path, found in by_notebook.items():
        page = path.relative_to(ROOT).as_posix()
        rows += [f"**[](/{page})**", ""]
        rows += [f"- {{numref}}`{e.label}`: {e.title}" for e in found]
        rows.append("")
    return "\n".join(rows)


class ExerciseList(SphinxDirective):
    """All exercises of the book, with their number."""

    def run(self) -> list[nodes.Node]:
        by_notebook = all_exercises()
        # A chapter without exercises may get one, so all are watched, and the contents too.
        toc_file = ROOT / "_toc.yml"
        for path in (toc_file, *listed_notebooks(yaml.safe_load(toc_file.read_text("utf8")))):
            self.env.note_dependency(str(path))
        container = nodes.container(classes=["exercise-list"])
        lines = StringList(list_markdown(by_notebook).splitlines(), source="the exercises")
        self.state.nested_parse(lines, self.content_offset, container)
        return [container]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("exercise-list", ExerciseList)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
