"""What the search's index holds, and in which order. A browser runs the queries themselves."""

import runpy
from collections import Counter
from functools import cache

import pytest
import search
from book.register import register
from docutils import nodes
from sources import HTML, ROOT
from sphinx.search import js_index

LISTS = runpy.run_path(str(ROOT / "tests" / "browser" / "queries.py"))
QUERIES = LISTS["QUERIES"]


@cache
def index() -> dict:
    return js_index.loads((HTML / "searchindex.js").read_text("utf8"))


def pages_with(word: str) -> list[str]:
    """The pages of the index with a word, in its order; all of them for a word it leaves out."""
    if search.stem(word) in search.BookLanguage.stopwords:
        return index()["docnames"]
    return [index()["docnames"][i] for i in index()["terms"].get(search.stem(word), [])]


@pytest.mark.parametrize(("text", "words"), LISTS["WORDS"])
def test_a_text_is_split_into_words(text, words):
    assert search.words(text) == words


@pytest.mark.parametrize(("query", "page", "rank"), QUERIES)
def test_a_page_that_answers_has_all_words_of_the_query(query, page, rank):
    words = search.words(query)
    assert words and all(page in pages_with(word) for word in words)
    if len(words) == 1:
        assert page in pages_with(words[0])[:rank]


@pytest.mark.parametrize("term", register().glossary, ids=lambda term: term.english)
def test_a_chinese_term_finds_a_page_of_the_book(term):
    """Not only the glossary itself, where the book speaks of it at all."""
    english = search.words(term.english.partition(",")[0])
    spoken_of = {page for word in english for page in pages_with(word)} - {"chapters/errata"}
    for chinese in term.chinese.split("、"):
        pages = [set(pages_with(word)) for word in search.words(chinese)]
        assert not spoken_of or set.intersection(*pages) - {"chapters/errata"}, chinese


def test_the_index_is_small_and_of_words():
    assert (HTML / "searchindex.js").stat().st_size < 200_000
    assert [word for word in index()["terms"] if word.isdigit()] == []


def test_the_browser_knows_the_same_symbols():
    script = (HTML / "_static" / "language_data.js").read_text("utf8")
    assert search.BookLanguage.js_splitter_code in script


# The order of the pages


def page(*content: nodes.Node, name: str = "") -> search.Page:
    counts = search.count(nodes.section("", *content), Counter())
    return search.Page(counts, frozenset(search.stems(name)))


def text(words: str, node: type = nodes.paragraph) -> nodes.Element:
    return node("", "", nodes.Text(words))


OTHER = text("some other words")


@pytest.mark.parametrize(
    ("more", "less"),
    [
        (page(text("gate gate")), page(text("gate"), OTHER)),
        (page(text("gate")), page(text("gate"), *[OTHER] * 9)),
        (page(text("gate"), name="Gates"), page(text("gate gate"))),
        (page(text("Gates", nodes.title)), page(text("gate one"))),
        (page(text("gate")), page(text("gate", nodes.literal_block))),
        (page(text("gate")), page(nodes.container("", text("gate gate"), classes=["errata-of"]))),
    ],
    ids=["often", "share", "name", "heading", "code", "register"],
)
def test_a_page_that_is_more_about_a_word_comes_first(more, less):
    for pages in ({"a": more, "b": less}, {"b": more, "a": less}):
        weights = search.Weights(pages)
        first = weights.about("gate")[0]
        assert pages[first] is more


def test_a_term_is_more_than_its_words():
    apart, beside = page(text("forget this gate")), page(text("this forget gate"))
    weights = search.Weights({"a": apart, "b": beside})
    assert weights.about("forget gate") == ["b"]
    assert weights.best("forget gate") == ["b", "a"]


def test_the_index_is_written_with_the_first_page_first():
    class Env:
        search_pages = {"a": page(text("gate"), OTHER), "b": page(text("gate"))}

    data = {
        "docnames": ["a", "b"],
        "terms": {"gate": [0, 1], "other": 0, "output": [0, 1]},
        "titleterms": {"gate": 1, "name": 1},
    }
    text_of_index = search.RankedIndex(Env).dumps(data)
    written = js_index.loads(text_of_index)
    found = {word: written["terms"][word] for word in ("gate", "other", "output", "name", "门")}
    assert found == {"gate": [1, 0], "other": [0], "output": [0, 1], "name": [1], "门": [1, 0]}
    assert written["titleterms"] == {} and all(written["terms"].values())
    assert '"门":[1,0]' in text_of_index  # neither spaces nor escapes
