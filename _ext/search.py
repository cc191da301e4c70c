"""What the search finds, and in which order.

Sphinx's own search, which works without a server, with three things of ours:

* Words: runs of Chinese are split into overlapping pairs of characters, symbols and TeX are read
  by name, so that "σ" and ``\\sigma`` are the same word, and numbers are left out. ``search.js``
  splits what a reader types in the same way.
* Order: the index lists the pages of each word by their weight in it (Okapi BM25), and
  ``search.js`` makes a score of the places. The index grows by nothing.
* Chinese terms find the chapters too, which are English: through the glossary of the register.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter, defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from errata import register
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.search import js_index
from sphinx.search.en import SearchEnglish

GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
)
SYMBOLS = dict(zip("αβγδεζηθικλμνξοπρστυφχψω", GREEK.split(), strict=True))
SYMBOLS |= {
    "∂": "partial",
    "∇": "nabla",
    "⊙": "odot",
    "∘": "circ",
    "∑": "sum",
    "∏": "prod",
    "⊤": "top",
    "×": "times",
}
# Commands of TeX that are read, by name; the others lay out.
COMMANDS = {name: name for name in SYMBOLS.values()} | {
    f"var{name}": name for name in GREEK.split()
}
COMMANDS |= {name: name for name in ("tanh", "exp", "log", "max", "min", "diag")}
COMMANDS |= {"pdi": "partial"}  # of mathjax3_config

SYMBOL = re.compile("|".join(SYMBOLS), re.I)
COMMAND = re.compile(r"\\([A-Za-z]+)")
SUBSCRIPT = re.compile(r"_\{([^{}]*)\}")
CHINESE = re.compile(r"[\u3400-\u9fff]+")


def words(text: str) -> list[str]:
    """The words of a text; ``splitQuery`` in search.js does the same."""
    text = unicodedata.normalize("NFKC", text)
    text = COMMAND.sub(lambda m: f" {COMMANDS.get(m[1].lower(), '')} ", text)
    text = SYMBOL.sub(lambda m: f" {SYMBOLS[m[0].lower()]} ", text)
    text = SUBSCRIPT.sub(lambda m: "_" + re.sub(r"\W", "", m[1]), text)
    text = CHINESE.sub(lambda m: f" {' '.join(pairs(m[0]))} ", text)
    found = (word.strip("_") for word in re.findall(r"\w+", text))
    return [word for word in found if word and not word.isdigit()]


def pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(max(len(run) - 1, 1))]


class BookLanguage(SearchEnglish):
    """English words, stemmed, Chinese pairs and the names of symbols."""

    lang = "book"
    language_name = "English and Chinese"
    js_splitter_code = (
        f"const SYMBOLS = {json.dumps(SYMBOLS)};\nconst COMMANDS = {json.dumps(COMMANDS)};\n"
        + (Path(__file__).parent / "search.js").read_text("utf8")
    )

    def split(self, input: str) -> list[str]:
        return words(input)


# The order of the pages

HEADING, CODE = 4, 0.2  # a word in a heading or in code counts as so many in the text
NAMED = 1.0  # added for a word of the page's title or address; other weights are below 2.2
LENGTH, SATURATION = 0.5, 1.2  # BM25's b and k1
# What speaks of other pages, or is not text: the register of errors, what code printed.
NOT_COUNTED = {"errata-register", "errata-of", "not-errors", "glossary-of-terms", "cell_output"}


@cache
def stem(word: str) -> str:
    return BookLanguage({}).stem(word).lower()


def stems(text: str) -> list[str]:
    return [stem(word) for word in words(text)]


@cache
def terms() -> dict[str, list[str]]:
    """The glossary: the first English name of each term, and its Chinese ones."""
    return {
        re.sub(r"\(.*?\)", "", term.english).split(",")[0]: term.chinese.split("、")
        for term in register().glossary
    }


@cache
def phrases() -> frozenset[str]:
    """Two words of a term beside each other, which the index lists like a word: "forget gate"."""
    return frozenset(" ".join(pair) for name in terms() for pair in pairwise(stems(name)))


def with_phrases(found: list[str]) -> list[str]:
    return found + [pair for pair in map(" ".join, pairwise(found)) if pair in phrases()]


def count(node: nodes.Node, counts: Counter[str], times: float = 1) -> Counter[str]:
    """How often the words and phrases stand on a page, added to ``counts``."""
    if isinstance(node, nodes.Text):
        for word in with_phrases(stems(node.astext())):
            counts[word] += times
    elif isinstance(node, nodes.Element) and NOT_COUNTED.isdisjoint(node.get("classes", ())):
        times = {nodes.title: HEADING, nodes.literal_block: CODE}.get(type(node), times)
        for child in node.children:
            count(child, counts, times)
    return counts


class Page(NamedTuple):
    """What is counted of a page."""

    counts: Counter[str]
    name: frozenset[str]  # the words of its title and its address


class Weights:
    """How much a page is about a word."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        lengths = {doc: page.counts.total() for doc, page in pages.items()}
        mean = sum(lengths.values()) / len(lengths)
        self.long = {doc: 1 - LENGTH + LENGTH * n / mean for doc, n in lengths.items()}

    def __call__(self, word: str, doc: str) -> float:
        page = self.pages[doc]
        n = page.counts[word]
        weight = n * (SATURATION + 1) / (n + SATURATION * self.long[doc])
        return weight + NAMED * (word in page.name)

    def about(self, word: str) -> list[str]:
        """The pages with a word, most about it first."""
        found = [doc for doc in self.pages if self(word, doc)]
        return sorted(found, key=lambda doc: (-self(word, doc), doc))

    def best(self, phrase: str) -> list[str]:
        """The three pages that are most about a phrase, as search.js finds them."""
        score: Counter[str] = Counter()
        for found in filter(None, map(self.about, with_phrases(stems(phrase)))):
            rarity = math.log(1 + len(self.pages) / len(found))
            score.update({doc: rarity / place for place, doc in enumerate(found, 1)})
        return sorted(score, key=lambda doc: (-score[doc], doc))[:3]


class RankedIndex(type(js_index)):
    """The format of searchindex.js: one list of pages for each word, most about it first."""

    def __init__(self, env: BuildEnvironment) -> None:
        self.env = env

    def dumps(self, data: dict[str, Any]) -> str:
        weights = Weights(self.env.search_pages)
        # Words of titles are Sphinx's second list; with weights one list says it all.
        listed: dict[str, list[int]] = defaultdict(list)
        for word, found in [*data["terms"].items(), *data["titleterms"].items()]:
            listed[word] += [found] if isinstance(found, int) else found
        ranked = {word: weights.about(word) for word in {*listed, *phrases()}}
        for english, chinese in terms().items():
            best = weights.best(english)
            for pair in words(" ".join(chinese)):
                ranked[pair] = ranked.get(pair, []) + best
        number = {doc: i for i, doc in enumerate(data["docnames"])}
        everything = {
            word: list(dict.fromkeys([*map(number.__getitem__, docs), *sorted(listed[word])]))
            for word, docs in ranked.items()
            if docs or word in listed
        }
        data = data | {"terms": everything, "titleterms": {}}
        text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return self.PREFIX + text + self.SUFFIX


# Sphinx's events


def count_page(app: Sphinx, doctree: nodes.document) -> None:
    title = next(doctree.findall(nodes.title), nodes.title()).astext()
    name = frozenset(stems(f"{title} {app.env.docname.rpartition('/')[2]}"))
    search_pages(app.env)[app.env.docname] = Page(count(doctree, Counter()), name)


def search_pages(env: BuildEnvironment) -> dict[str, Page]:
    """What is counted, kept with the environment for the pages that are not read again."""
    if not hasattr(env, "search_pages"):
        env.search_pages = {}
    return env.search_pages


def forget_page(app: Sphinx, env: BuildEnvironment, doc: str) -> None:
    search_pages(env).pop(doc, None)


def merge_pages(app: Sphinx, env: BuildEnvironment, docs: list[str], other: Any) -> None:
    search_pages(env).update({doc: search_pages(other)[doc] for doc in docs})


def rank_index(app: Sphinx) -> None:
    if app.builder.name == "html":
        app.builder.indexer_format = RankedIndex(app.env)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(BookLanguage)
    app.connect("builder-inited", rank_index)
    app.connect("doctree-read", count_page)
    app.connect("env-purge-doc", forget_page)
    app.connect("env-merge-info", merge_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
