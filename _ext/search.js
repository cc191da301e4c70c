// What a reader types is split as the pages' words were, in search.py, which says the rules; the
// pages are put in order; the excerpts are of the text and not of TeX. SYMBOLS and COMMANDS, names
// by symbol and by TeX command, stand before. Sphinx's searchtools.js is loaded and calls all this.

function splitQuery(query) {
  const pairs = (run) =>
    run.length < 2 ? run : [...run.slice(1)].map((c, i) => run[i] + c).join(" ");
  return query
    .normalize("NFKC")
    .replace(/\\([A-Za-z]+)/g, (_, name) => ` ${COMMANDS[name.toLowerCase()] ?? ""} `)
    .replace(SYMBOL, (symbol) => ` ${SYMBOLS[symbol.toLowerCase()]} `)
    .replace(/_\{([^{}]*)\}/g, (_, index) => "_" + index.replace(/[^\p{L}\p{N}_]/gu, ""))
    .replace(/[\u3400-\u9fff]+/g, (run) => ` ${pairs(run)} `)
    .split(/[^\p{L}\p{N}_]+/u)
    .map((word) => word.replace(/^_+|_+$/g, ""))
    .filter((word) => word && !/^\p{N}+$/u.test(word));
}
const SYMBOL = new RegExp(Object.keys(SYMBOLS).join("|"), "gi");

// The pages with a word, most about it first; for an unknown one those with words that contain it.
function pagesAbout(word) {
  const terms = Search._index.terms;
  if (Object.hasOwn(terms, word)) return terms[word];
  const near = Object.keys(terms).filter((term) => term.includes(word));
  near.sort((a, b) => a.length - b.length);
  return [...new Set(near.flatMap((term) => terms[term]))];
}

// Of the pages with the most of the words: a score from the places in the words' lists, where rare
// words count more (reciprocal rank fusion). The first in all of them gets more than a title does.
Search.performTermsSearch = (searchTerms) => {
  const { docnames, filenames, terms, titles } = Search._index;
  const words = [...searchTerms];
  const lists = words.map(pagesAbout).filter((pages) => pages.length);
  const count = (page) => lists.filter((pages) => pages.includes(page)).length;
  const most = Math.max(1, ...titles.map((_, page) => count(page)));
  const found = [...titles.keys()].filter((page) => count(page) === most);
  const phrases = words.slice(1).map((word, i) => `${words[i]} ${word}`);
  lists.push(...phrases.filter((name) => Object.hasOwn(terms, name)).map((name) => terms[name]));
  const rarity = (pages) => Math.log(1 + titles.length / pages.length);
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const best = sum(lists.map(rarity));
  return found.map((page) => {
    const having = lists.filter((pages) => pages.includes(page));
    const score = sum(having.map((pages) => rarity(pages) / (1 + pages.indexOf(page))));
    return [docnames[page], titles[page], "", null, (20 * score) / best, filenames[page]];
  });
};

// Of the package's objects only those whose own name fits, and not all that a fitting class holds.
Scorer.objPrio = {};
const allObjects = Search.performObjectSearch;
Search.performObjectSearch = (...args) => allObjects(...args).filter((result) => result[4] > 0);

// What is marked, in the results and on the page that is opened, is what was typed.
const typed = () =>
  plain(new URLSearchParams(location.search).get("q") ?? "")
    .split(" ")
    .filter((word) => (word.length > 1 || word > "z") && !stopwords.includes(word));
const parsed = Search._parseQuery;
Search._parseQuery = (query) => {
  const [text, words, excluded, , objects] = parsed(query);
  localStorage.setItem("sphinx_highlight_terms", typed().join(" "));
  return [text, words, excluded, new Set(typed()), objects];
};

// A browser lets no page of files read another, so there are titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// An excerpt: text of the page, or of the section, around the words; code only if no text has them.
Search.makeSearchSummary = (html, keywords, anchor) => {
  const page = new DOMParser().parseFromString(html, "text/html");
  const part = (anchor && page.getElementById(anchor.slice(1))) || page.querySelector("article");
  const without = (selector) => {
    part.querySelectorAll(selector).forEach((element) => element.remove());
    return readable(part.textContent);
  };
  const all = without("script, style, h1, .headerlink, .eqno, details.hide > summary");
  const prose = without(".highlight, .output");
  const wanted = [typed().join(" "), ...typed(), ...[...keywords].map((word) => NAMES[word] ?? word)];
  const [text, at] = [prose, all]
    .flatMap((text) => wanted.map((words) => [text, text.toLowerCase().indexOf(words)]))
    .find(([, at]) => at >= 0) ?? [prose, 0];
  const start = at < 100 ? 0 : text.lastIndexOf(" ", at - 60) + 1;
  const summary = document.createElement("p");
  summary.className = "context";
  const excerpt = text.slice(start, start + 240).replace(/[\w-]*$/, "").trim();
  summary.textContent = `${start ? "… " : ""}${excerpt} …`;
  return summary;
};

// Text with symbols in place of TeX.
const NAMES = Object.fromEntries(Object.entries(SYMBOLS).map(([symbol, name]) => [name, symbol]));
const readable = (text) =>
  text
    .replace(/\\(begin|end)\{\w+\*?\}|\\[[\]()\\]|&/g, " ")
    .replace(/\\([A-Za-z]+) ?/g, (_, name) => NAMES[COMMANDS[name]] ?? COMMANDS[name] ?? "")
    .replace(/\\[^\w]|[{}]/g, "")
    .replace(/\s+/g, " ");
const plain = (text) => readable(text.normalize("NFKC").toLowerCase());
