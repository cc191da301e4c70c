"""The sources of the book fit together: contents, notebooks, equation labels."""

import ast
import re

import nbformat
import pytest
from sources import (
    CHAPTERS,
    LABEL,
    PACKAGE,
    ROOT,
    comment_labels,
    defined_equations,
    notebooks,
    pages,
    unlabelled,
)

MODULES = sorted(PACKAGE.glob("*.py"))


def activations() -> set[str]:
    tree = ast.parse((PACKAGE / "activations.py").read_text("utf8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_contents_and_files_agree():
    listed = [page for page in pages() if page.startswith("chapters/")]
    assert len(set(listed)) == len(listed), "_toc.yml names a chapter twice"
    assert set(listed) == {f"chapters/{path.stem}" for path in notebooks()}


def test_other_pages_exist():
    others = [page for page in pages() if not page.startswith("chapters/")]
    assert {page for page in others if not (ROOT / f"{page}.md").exists()} == set()


def test_a_chapter_has_one_source():
    """A Markdown file beside a notebook of the same name would compete with it."""
    stems = {path.stem for path in notebooks()}
    assert {path.name for path in CHAPTERS.glob("*.md") if path.stem in stems} == set()


def test_equation_labels_are_unique():
    places = defined_equations()
    assert {label: where for label, where in places.items() if len(where) > 1} == {}


def test_every_labelled_equation_has_a_proper_label():
    """Other labels, such as ``lstm-cell``, could not be named in a comment of the code."""
    wrong = []
    for path in notebooks():
        for cell in nbformat.read(path, as_version=4).cells:
            for label in re.findall(r"\{math\}[^\n]*\n\s*:label:\s*(\S+)", cell.source):
                if not re.fullmatch(r"eq-[a-z0-9-]+", label):
                    wrong.append((path.name, label))
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_labels_in_code_are_defined(module):
    code, places = module.read_text("utf8"), defined_equations()
    used = {label for _, label in comment_labels(code)} | set(re.findall(r":eq:`([^`]+)`", code))
    assert sorted(used - places.keys()) == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_labels_in_code_are_well_formed(module):
    """A comment that means a label and misses the form would never become a link."""
    wrong = []
    for line in module.read_text("utf8").splitlines():
        comment = line.partition("#")[2]
        meant = len(re.findall(r"eq[-_ ](?=\w)", comment))
        if meant and meant != len(re.findall(r"\(eq-[a-z0-9-]+\)", comment)):
            wrong.append(line.strip())
    assert wrong == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_computing_line_of_a_cell_names_its_equation(module):
    assert unlabelled(module.read_text("utf8"), activations()) == []


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "sru", "vrnn"])
def test_the_rule_sees_both_passes_of_every_cell(name):
    """Without its labels, lines of ``step`` and of the backward pass are found in each."""
    bare = LABEL.sub("", (PACKAGE / f"{name}.py").read_text("utf8"))
    found = " ".join(line for _, line in unlabelled(bare, activations()))
    assert "dx" in found and ("h = " in found or "state = " in found)
    assert len(unlabelled(bare, activations())) >= 10


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "sru"])
def test_the_rule_sees_what_is_written_into_a_buffer(name):
    """Without its labels, every line of the backward pass with an ``out=`` is found."""
    bare = LABEL.sub("", (PACKAGE / f"{name}.py").read_text("utf8"))
    lines = bare.partition("def _backward(")[2].splitlines()
    written = {line.strip() for line in lines if "out=" in line}
    assert written and written <= {line for _, line in unlabelled(bare, activations())}


CELL = """
class Cell:
    def step(self, params, x_t, state):
        W_r, W_z = np.split(params.weight_ih[2 * H :], 2)
        h_prev = state.h
        {step}
        return State(h)

    def _backward(self, params, cache, d_output, d_final_state):
        da = np.empty((T, N, 3 * H))
        for t in reversed(range(T)):
            {backward}
        return Gradients(da)
"""


@pytest.mark.parametrize(
    ("step", "backward", "lines"),
    [
        ("h = tanh(a)  # (eq-a)", "da[t] = dh * s[t]  # (eq-b) (eq-c)", []),
        ("h = tanh(a)", "da[t] = dh[2 * t]", ["h = tanh(a)"]),
        ("h = tanh(a)  # see eq-a", "da[t] += dh", ["h = tanh(a)  # see eq-a", "da[t] += dh"]),
        ("h = np.split(b + c, 2)[0]", "dW = sum_outer(da, x)",
         ["h = np.split(b + c, 2)[0]", "dW = sum_outer(da, x)"]),
        ("h = a", "da[t] = -dh", ["da[t] = -dh"]),
        ("h = np.add(a, b)", "np.multiply(dh, s_t, out=da_t)",
         ["h = np.add(a, b)", "np.multiply(dh, s_t, out=da_t)"]),
        ("tanh(a, h)", "np.cos(dh, out=da_t)", ["tanh(a, h)", "np.cos(dh, out=da_t)"]),
        ("self._check(x_t)", "np.dot(dh, U, out=dh)  # (eq-a)", []),
    ],
)  # fmt: skip
def test_the_rule_sees_a_missing_label(step, backward, lines):
    found = unlabelled(CELL.format(step=step, backward=backward), {"tanh"})
    assert [line for _, line in found] == lines
