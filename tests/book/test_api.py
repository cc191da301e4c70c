"""The API pages of the built book, and the links to them from code."""

import ast
import re
from functools import cache
from types import SimpleNamespace

import code_links
import nbformat
import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sources import HTML, notebooks, pages
from test_docs import MODULES, public

import rnn_ref

PAGES = [page for page in pages() if page.startswith("reference/api")]
LINK = re.compile(r'<a class="api-in-code" href="([^"]*)">(\w+)</a>')
CAPTION = re.compile(r'<span class="caption-text"><code><a href="([^"]*)">(rnn_ref/[^<]*)</a>')


@cache
def text(page):
    return (HTML / f"{page}.html").read_text("utf8")


@cache
def entries():
    """What the pages describe, by the name where it is defined: the page and the entry's HTML."""
    found = {}
    for page in PAGES:
        article = text(page).partition("</article>")[0]
        for part in re.split(r'(?=<dt class="sig sig-object py" id=")', article)[1:]:
            name = re.search(r'id="([^"]*)"', part)[1]
            assert name not in found, f"{name} is on two pages"
            found[name] = page, part
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_class_and_function_has_an_entry(name):
    assert {f"{name}.{k}" for k in public(name)} - entries().keys() == set()


@pytest.mark.parametrize("name", MODULES)
def test_every_entry_has_its_example_and_a_link_to_a_chapter(name):
    for entry in (f"{name}.{k}" for k in public(name)):
        html = entries()[entry][1]
        assert 'class="gp">&gt;&gt;&gt; </span>' in html, f"{entry}: no example"
        assert re.search(r'href="[./]*/chapters/\w+\.html', html), f"{entry}: no chapter"


@pytest.mark.parametrize(
    "name", ["ElmanRNN", "LSTM", "GRU", "SRU", "VRNN", "Stack", "Bidirectional"]
)
def test_a_class_has_its_equations_and_their_numbers(name):
    thing = getattr(rnn_ref, name)
    html = entries()[f"{thing.__module__}.{name}"][1]
    assert '<div class="math notranslate' in html
    assert len(re.findall(r'href="[./]*/chapters/\w+\.html#equation-[\w-]+"', html)) >= 2


def test_no_chapter_is_named_without_a_link():
    for page in PAGES:
        assert re.findall(r"[Cc]hapters?\s+<code", text(page)) == []


# Links from code. First what the built pages have, then the rules on code written for them.


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_what_a_chapter_imports_is_a_link(path):
    linked = {word for _, word in LINK.findall(text(f"chapters/{path.stem}"))}
    described = {name.rpartition(".")[2] for name in entries()}
    code = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
    imports = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if node.module.split(".")[0] == "rnn_ref"]
    assert {alias.name for node in ours for alias in node.names} & described <= linked


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_link_leads_to_what_it_names(path):
    for address, word in LINK.findall(text(f"chapters/{path.stem}")):
        word = {"algebra": "cell"}.get(word, word)  # imported under another name
        assert re.fullmatch(
            rf"\.\./reference/api/\w+\.html#(module-)?rnn_ref\.[\w.]*\b{word}", address
        )


def test_captions_link_to_the_entry_or_to_the_source():
    found = {shown: href for page in pages() for href, shown in CAPTION.findall(text(page))}
    assert found["rnn_ref/gru.py: GRU.step"] == "../reference/api/cells.html#rnn_ref.gru.GRU.step"
    assert found["rnn_ref/gru.py: GRU._backward"] == "../_modules/rnn_ref/gru.html#GRU._backward"
    assert 'id="GRU._backward"' in text("_modules/rnn_ref/gru")
    bare = r'<span class="caption-text"><code>rnn_ref/'
    assert [page for page in pages() if re.search(bare, text(page))] == []


KNOWN = {
    "rnn_ref.gru.GRU": "class",
    "rnn_ref.gru.GRU.step": "method",
    "rnn_ref.layer.Layer.forward": "method",
    "rnn_ref.torch_module.TorchLayer": "class",
    "rnn_ref.torch_module.TorchLayer.params": "method",
    "rnn_ref.activations.sigmoid": "function",
}


def links(code, names=None):
    """The entries that code links to, each with the word that is the link."""
    known = {name: SimpleNamespace(objtype=kind) for name, kind in KNOWN.items()}
    html = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True))
    made = code_links.linked(html, code_links.Uses(known, {} if names is None else names), str)
    assert re.sub("<[^>]*>", "", made) == re.sub("<[^>]*>", "", html)
    return [(word, entry) for entry, word in LINK.findall(made)]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("GRU(3, 5)", []),
        ("from rnn_ref import GRU", ["GRU"]),
        ("from rnn_ref import GRU as G\nG(3, 5)", ["GRU"]),
        ("from elsewhere import GRU", []),
        ("from rnn_ref.torch_module import TorchLayer", ["TorchLayer"]),
        ("import rnn_ref.activations\nrnn_ref.activations.sigmoid(a)", ["sigmoid"]),
        ("from rnn_ref import activations as f\nf.sigmoid(a)", ["sigmoid"]),
        ("from rnn_ref import GRU\nlayer = GRU(3, 5)\nlayer.forward(p, x)", ["GRU", "forward"]),
        ("from rnn_ref import GRU\nGRU(3, 5).step(p, x, s)", ["GRU", "step"]),
        ("from rnn_ref import GRU\nlayer = GRU(3, 5)\nlayer = 1\nlayer.forward", ["GRU"]),
        ("from rnn_ref import GRU\ndef f(GRU): GRU.step", ["GRU"]),
        ("from rnn_ref import GRU\n[GRU.step for GRU in l]\nGRU.step", ["GRU", "step"]),
        ("from rnn_ref import GRU\nfor GRU in l: GRU.step", ["GRU"]),
        (
            "from rnn_ref.torch_module import TorchLayer as T\nT(l, p).params()",
            ["TorchLayer", "params"],
        ),
        ('"σ"; from rnn_ref import GRU  # σ', ["GRU"]),
        ("from rnn_ref import (\n    GRU,\n)", ["GRU"]),
        ("%magic\nfrom rnn_ref import GRU", []),
    ],
)
def test_what_a_name_stands_for(code, found):
    assert [word for word, _ in links(code)] == found


def test_a_name_is_a_link_once_in_a_cell_and_goes_on_in_the_next():
    names = {}
    assert len(links("from rnn_ref import GRU\nlayer, other = GRU(3, 5), GRU(3, 6)", names)) == 1
    assert links("GRU(3, 7)", names) == [("GRU", "rnn_ref.gru.GRU")]
