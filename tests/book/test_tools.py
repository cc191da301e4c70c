"""The tools find what they are there to find: one notebook, one formula, for each problem."""

import copy
import re

import equations
import mathjax
import nbformat
import notebooks as tool
import page_end
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SVG = '<?xml version="1.0" encoding="utf-8"?>\n<svg></svg>\n'
FIGURE = {"mystnb": {"image": {"alt": "A rising line"}, "figure": {"name": "f", "caption": "A.\n"}}}


def notebook(*cells):
    counted = 0
    for cell in cells:
        if cell.cell_type == "code" and cell.execution_count is None:
            counted += 1
            cell.execution_count = counted
    return tool.normalise(new_notebook(cells=[new_markdown_cell("# Title", id="title"), *cells]))


def check(tmp_path, nb):
    path = tmp_path / "chapter.ipynb"
    path.write_text(tool.text(nb), "utf8")
    return tool.check(path)


def printed(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def shown(**data):
    return new_output("display_data", data={key.replace("_", "/"): v for key, v in data.items()})


def figure(metadata=None):
    output = new_output("display_data", data={"image/svg+xml": SVG, "text/plain": "<Figure>"})
    return new_code_cell("plt.show()", outputs=[output], metadata=copy.deepcopy(metadata or {}))


def test_a_good_notebook_passes(tmp_path):
    nb = notebook(
        new_markdown_cell("```{math}\n:label: eq-a\n\\begin{aligned}a\\end{aligned}\n```"),
        new_code_cell("print(1)", outputs=[printed("1\n")]),
        figure(FIGURE),
    )
    assert check(tmp_path, nb) == []


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ([new_code_cell("a = 1", execution_count=7)], "expected 1"),
        ([new_code_cell("a", outputs=[printed("Warning", "stderr")])], "stored stderr"),
        (
            [new_code_cell("a", outputs=[new_output("error", ename="E", evalue="", traceback=[])])],
            "stored error E",
        ),
        ([new_code_cell("plt.plot(a);")], "ends with ';'"),
        ([new_code_cell("")], "empty"),
        ([new_code_cell("a", outputs=[printed("<A at 0x7f01abcdef>")])], "address"),
        ([new_code_cell("a", outputs=[printed("/home/me/a.py")])], "local path"),
        ([new_code_cell("a", outputs=[printed("1" * 30_000)])], "30000 characters"),
        ([figure({"mystnb": {"figure": {"caption": "A."}}})], "without alternative text"),
        ([figure({"mystnb": {"image": {"alt": "A line"}}})], "without caption"),
        ([new_markdown_cell("\\begin{align}\na &= b\n\\end{align}")], "bare \\begin{align}"),
    ],
)
def test_check_finds(tmp_path, cells, problem):
    found = check(tmp_path, notebook(*copy.deepcopy(cells)))
    assert len(found) == 1 and problem in found[0], found


def test_check_finds_cells_never_run(tmp_path):
    """The comparison of outputs passes over such cells without a word."""
    nb = notebook(new_code_cell("a = 1"))
    nb.cells[1].execution_count = None
    assert "run it" in check(tmp_path, nb)[0]


def test_check_finds_one_id_used_twice(tmp_path):
    nb = notebook(new_markdown_cell("a", id="a"), new_markdown_cell("b", id="b"))
    nb.cells[2].id = "a"
    assert check(tmp_path, nb) == ["two cells share an id"]


def test_check_finds_a_missing_title(tmp_path):
    nb = notebook()
    nb.cells = [new_markdown_cell("## Not a title", id="title")]
    assert "level-1 heading" in check(tmp_path, nb)[0]


def test_check_finds_what_is_not_normalised(tmp_path):
    nb = notebook(new_code_cell("a = 1", id="a"))
    nb.cells[1].metadata["collapsed"] = True
    assert "not normalised" in check(tmp_path, nb)[0]


def test_normalising_twice_changes_nothing():
    nb = notebook(new_code_cell("a  \n", outputs=[printed("1"), printed("2")]), figure(FIGURE))
    once = tool.text(nb)
    assert [out.text for out in nb.cells[1].outputs] == ["12"]
    assert tool.text(tool.normalise(nbformat.reads(once, as_version=4))) == once


def test_run_leaves_a_failing_notebook_alone(tmp_path):
    path = tmp_path / "chapter.ipynb"
    path.write_text(tool.text(notebook(new_code_cell("raise ValueError('no')", id="a"))), "utf8")
    before = path.read_text("utf8")
    assert "ValueError: no" in tool.run(path, timeout=60)[0]
    assert path.read_text("utf8") == before


@pytest.mark.parametrize(
    ("tex", "problem"),
    [
        (r"\frac{a}{b} \odot \mathrm{d}x \begin{aligned} a \\ b \end{aligned}", None),
        (r"\{ a \} \left( b \right) \langle c \rangle \lVert d \rVert", None),
        (r"\mymacro{a}", None),
        (r"\undefinedmacro{a}", r"unknown to MathJax: \undefinedmacro"),
        (r"\frac{a}{b", "braces"),
        (r"}{", "braces"),
        (r"\left( a", r"1 \left but 0 \right"),
        (r"\begin{aligned} a", r"1 \begin but 0 \end"),
    ],
)
def test_tex_problems(tex, problem):
    found = list(mathjax.tex_problems(tex, {"mymacro"}))
    assert [problem in line for line in found] == ([] if problem is None else [True])


class Env:
    """As much of Sphinx's environment as resolving an equation takes."""

    class Math:
        equations = {"eq-a": ("chapters/gru", 1), "eq-b": ("chapters/gru", 2)}

    toc_fignumbers = {
        "chapters/gru": {"displaymath": {"equation-eq-a": (5, 1), "equation-eq-b": (5, 2)}}
    }

    def get_domain(self, name):
        return self.Math


class App:
    env = Env()

    class config:
        math_numfig = numfig = True
        root_doc = "chapters/intro"

    class builder:
        name = "html"

        @staticmethod
        def get_relative_uri(page, target):
            return "" if page == target else f"../{target}.html"


def linked(body, page="chapters/gru"):
    context = {"body": body}
    equations.link_equations(App(), page, "page.html", context, None)
    return context["body"]


def comment(text):
    return f'<span class="n">h</span>  <span class="c1">{text}</span>'


def test_every_label_of_a_comment_becomes_a_link():
    body = linked(comment("# (eq-a) (eq-b), see there"), page="_modules/rnn_ref/gru")
    assert '>5.1</a>) (<a class="eq-in-code" href="../chapters/gru.html#equation-eq-b">5.2' in body
    assert body.endswith(", see there</span>") and "eq-line" not in body


def numbered(label, number):
    return (
        f'<div class="math" id="equation-{label}">\n<span class="eqno">({number})'
        f'<a class="headerlink" href="#equation-{label}">#</a></span>\\[h\\]</div>'
    )


def defined(name):
    return f'<span class="k">def</span> <span class="nf">{name}</span>'


def test_an_equation_leads_back_to_its_lines_by_function():
    a, both = f"    {comment('# (eq-a)')}", f"    {comment('# (eq-a), (eq-b)')}"
    code = ["<pre>" + defined("step"), a, defined("_backward"), both, a, comment("# (eq-b)")]
    body = linked("\n".join([numbered("eq-a", "5.1"), numbered("eq-b", "5.2"), *code, "</pre>"]))
    back = re.findall(r'<a href="#([^"]*)" title="([^"]*)" aria-label="\2">([^<]*)</a>', body)
    assert back == [
        ("code-eq-a-1", "Equation (5.1) in step", "step"),
        ("code-eq-a-2", "Equation (5.1) in _backward", "_backward"),
        ("code-eq-a-3", "Equation (5.1) in _backward, line 2", "2"),
        ("code-eq-b-1", "Equation (5.2) in _backward", "_backward"),
        ("code-eq-b-2", "Equation (5.2) in code", "code"),
    ]
    anchors = [re.findall(r'class="eq-line" id="code-([^"]*)"', line) for line in body.split("\n")]
    assert anchors[4:10] == [[], ["eq-a-1"], [], ["eq-a-2", "eq-b-1"], ["eq-a-3"], ["eq-b-2"]]


def test_a_listing_does_not_take_the_name_of_the_one_before():
    code = [f"<pre>{defined('step')}</pre>", f"<pre>  {comment('# (eq-a)')}</pre>"]
    assert ">code</a>" in linked("\n".join([numbered("eq-a", "5.1"), *code]))


def test_one_page_of_everything_has_addresses_of_its_own(monkeypatch):
    monkeypatch.setattr(App.builder, "name", "singlehtml")
    monkeypatch.setitem(
        App.env.toc_fignumbers,
        "chapters/intro",
        {"chapters/gru/displaymath": {"equation-eq-a": (5, 1)}},
    )
    body = linked(numbered("eq-a", "5.1") + "\n" + comment("# (eq-a)"), page="chapters/intro")
    assert 'href="#equation-eq-a">5.1</a>)' in body and "eq-line" not in body


def test_an_unknown_label_is_a_warning(monkeypatch):
    said = []
    monkeypatch.setattr(equations.logger, "warning", lambda text, *args: said.append(text % args))
    assert "(eq-nowhere)" in linked(comment("# (eq-a) (eq-nowhere)"))
    assert said == ["chapters/gru: code names an unknown equation: eq-nowhere"]


@pytest.mark.parametrize(
    ("file", "repository", "links"),
    [
        (
            "chapters/gru.ipynb",
            "https://github.com/o/n",
            {
                "../_sources/chapters/gru.ipynb": "Notebook (download)",
                "../_modules/rnn_ref/gru": "Source of rnn_ref/gru.py",
                "https://github.com/o/n/blob/main/chapters/gru.ipynb": "Source in the repository",
            },
        ),
        ("reference/zh.md", "", {"../_sources/reference/zh.md": "Text in Markdown (download)"}),
        ("", "https://github.com/o/n", {}),  # the page of search results
    ],
)
def test_what_a_page_ends_with(monkeypatch, file, repository, links):
    monkeypatch.setattr(App.config, "repository", repository, raising=False)
    monkeypatch.setattr(App.env, "_viewcode_modules", {"rnn_ref.gru": ()}, raising=False)
    context = {"sourcename": file, "pathto": lambda target, resource=0: f"../{target}"}
    page_end.end_page(App(), file, "page.html", context, None)
    assert {link.url: link.text for link in context["page_end"]} == links
    assert [link.download for link in context["page_end"]][:1] == ([True] if file else [])
