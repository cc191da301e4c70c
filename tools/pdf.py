"""Print the whole book, a single page of HTML, as one PDF, and check what came out.

    python tools/pdf.py _build _build/recurrent-cells.pdf [--paper Letter]

Chromium prints twice: the first PDF tells on which pages the chapters begin, in the second the
contents say so. Needs the extra "pdf" and a Chromium on the PATH. It fails, and the PDF gets
another name, where a chapter's text differs from its page in the book, a formula is not typeset,
anything is wider than the paper, a heading has no bookmark, a link leads nowhere, or the page asks
another host for anything.
"""

from __future__ import annotations

import argparse
import html
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium

PAPER = {"A4": 210, "Letter": 216}  # width, mm
MARGIN = 18  # mm, as in _static/print.css
SLOW = 600_000  # ms

# A file beside the page is not beside the PDF.
UNLINK = """() => {
    for (const a of document.querySelectorAll("article a[href]"))
        if (!/^(#|https?:)/.test(a.getAttribute("href"))) a.removeAttribute("href");
}"""

# What is wider than the paper gets a smaller font, down to half; returned is how many got one.
SHRINK = """() => {
    const right = document.querySelector("article").getBoundingClientRect().right;
    const over = (e) => Math.max(e.matches("span") ? 0 : e.scrollWidth - e.clientWidth,
        e.getBoundingClientRect().right - right);
    const boxes = [...document.querySelectorAll("article :is(.math, table)")]
        .filter((e) => over(e) > 1);
    for (const box of boxes) {
        const before = parseFloat(getComputedStyle(box).fontSize);
        for (let size = before; over(box) > 1 && size > before / 2;)
            box.style.fontSize = `${(size *= 0.95)}px`;
    }
    return boxes.length;
}"""

STATE = """() => {
    const article = document.querySelector("article");
    const right = article.getBoundingClientRect().right + 1;
    const all = (selector) => [...article.querySelectorAll(selector)];
    const drawn = (text) => {
        const canvas = Object.assign(document.createElement("canvas"), {width: 40, height: 40});
        const context = canvas.getContext("2d");
        context.font = "30px sans-serif";
        context.fillText(text, 2, 32);
        return canvas.toDataURL();
    };
    return {
        formulas: all(".math").length,
        typeset: all("mjx-container").length,
        wrong: all("mjx-merror").map((e) => e.textContent),
        over: document.documentElement.scrollWidth - innerWidth,
        wide: all("p, pre, table, td, th, li, dt, dd, img, figure, div, code, .math, mjx-container")
            .filter((e) => e.getBoundingClientRect().right > right)
            .map((e) => `${e.localName}: ${e.textContent.trim().slice(0, 60)}`),
        broken: all("img").filter((e) => !e.naturalWidth).map((e) => e.src),
        dead: all('a[href^="#"]').map((e) => e.getAttribute("href"))
            .filter((href) => !document.getElementById(href.slice(1))),
        folded: all("details:not([open])").length,
        chapters: all("h1").length,
        headings: all("h1, h2, h3, h4, h5, h6").filter((e) => e.checkVisibility())
            .map((e) => e.innerText.replace(/\\s+/g, " ").trim()),
        chinese: drawn("\\u5bfc") !== drawn("\\u8bfb"),
    };
}"""

# Numbers of pages, by the id of what stands there, at the ends of the lines of the contents.
NUMBER = """(pages) => {
    for (const line of document.querySelectorAll(".paper-contents a")) {
        const number = line.querySelector(".page")
            ?? line.appendChild(document.createElement("span"));
        number.className = "page";
        number.textContent = pages[line.getAttribute("href").slice(1)] ?? "";
    }
}"""


def missing() -> list[str]:
    """What has to be installed first."""
    needs = [name for name in ("playwright", "pikepdf") if importlib.util.find_spec(name) is None]
    found = [f"no {name}: pip install '.[pdf]'" for name in needs]
    if chromium.path() is None:
        found.append("no Chromium on the PATH (Debian, Ubuntu: apt install chromium)")
    return found


def text(body: str) -> str:
    """What a reader reads, without what only the pages or only the single page have."""
    body = re.sub(r'<a class="headerlink".*?</a>|<span class="viewcode-link">.*?</span>', "", body)
    body = re.sub(r'<span class="eq-code">(?:<span>.*?</span>)*</span>', "", body)
    body = re.sub(r"<script.*?</script>", "", body, flags=re.S)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", body)).split())


def differences(build: Path) -> Iterator[str]:
    """Chapters whose text, the numbers in it too, differs from that of their page."""
    page = (build / "singlehtml" / "book.html").read_text("utf8")
    page = page[: page.index("</article>")]
    parts = re.split(r'<div class="paper-chapter" id="document-([^"]+)">', page)[1:]
    chapters = dict(zip(parts[::2], parts[1::2], strict=True))
    for name in list(chapters)[2:]:  # after the contents and the front page, which has its own
        there = (build / "html" / f"{name}.html").read_text("utf8")
        there = re.search(r"<article[^>]*>(.*)</article>", there, re.S)[1]
        if text(there) != text(chapters[name]):
            yield f"{name} reads otherwise than its page in {build / 'html'}"


def destinations(pdf: Any) -> dict[str, int]:
    """The page, counted from 1, of everything that a link within the PDF leads to."""
    number = {page.objgen: n for n, page in enumerate(pdf.pages, 1)}
    return {name.removeprefix("/"): number[to[0].objgen] for name, to in pdf.Root.Dests.items()}


def bookmarks(parent: Any) -> Iterator[Any]:
    """All that stand below one, or below the root, in the order of their pages."""
    child = parent.get("/First")
    while child is not None:
        yield child
        yield from bookmarks(child)
        child = child.get("/Next")


def addresses(pdf: Any) -> set[str]:
    """Of other hosts; a link to a file of this machine would be one of them."""
    links = [link for page in pdf.pages for link in page.get("/Annots", [])]
    return {str(link.A.URI) for link in links if "/URI" in link.get("/A", {})}


def problems(state: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the page that was printed, and with the PDF."""
    if state["typeset"] < state["formulas"] or not state["formulas"]:
        yield f"{state['typeset']} of {state['formulas']} formulas typeset"
    says = {"wrong": "formula with an error", "wide": "wider than the paper", "dead": "dead link",
            "broken": "broken image", "outside": "asks for"}  # fmt: skip
    yield from (f"{message}: {what}" for key, message in says.items() for what in state[key])
    if state["over"] > 1:  # Chromium would make everything smaller
        yield f"{state['over']} px wider than the paper"
    if state["folded"]:
        yield f"{state['folded']} blocks folded"
    if state["moved"]:
        yield "the contents name pages of another run"
    if state["bookmarks"] != len(state["headings"]):
        yield f"{state['bookmarks']} bookmarks for {len(state['headings'])} headings"
    if state["pages"] < 5 * state["chapters"]:
        yield f"{state['pages']} pages for {state['chapters']} chapters"
    yield from (f"link to {uri}" for uri in state["addresses"] if not uri.startswith("http"))


def print_page(page: Any, source: Path, target: Path, paper: str) -> dict[str, Any]:
    """Print the page into a file; what was seen of it meanwhile."""
    from pikepdf import Pdf

    outside: list[str] = []
    here = ("file:", "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(here) else outside.append(r.url))
    page.emulate_media(media="print")
    page.goto(source.resolve().as_uri())
    page.wait_for_function(chromium.TYPESET)
    page.add_style_tag(content=f"@page {{ size: {paper} }}")
    page.evaluate(UNLINK)
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    state = {"shrunk": page.evaluate(SHRINK), "outside": outside} | page.evaluate(STATE)
    state["author"] = page.inner_text(".paper-author")
    # Twice: the first PDF tells on which pages the chapters begin.
    page.evaluate(NUMBER, {})
    page.pdf(path=target, prefer_css_page_size=True, print_background=True)
    with Pdf.open(target) as pdf:
        pages = destinations(pdf)
    page.evaluate(NUMBER, pages)
    page.pdf(path=target, prefer_css_page_size=True, print_background=True, outline=True,
             tagged=True)  # fmt: skip
    with Pdf.open(target) as pdf:
        state["moved"] = pages != destinations(pdf)
    return state


def finish(draft: Path, target: Path, state: dict[str, Any]) -> dict[str, Any]:
    """Sign the PDF and pack it; what was seen of it meanwhile.

    The time of printing goes, which would make every PDF another. The headings are written into
    the bookmarks once more: Chromium doubles the text of one that opens a page.
    """
    from pikepdf import Dictionary, ObjectStreamMode, Pdf

    with Pdf.open(draft) as pdf:
        title = str(pdf.docinfo["/Title"])
        pdf.docinfo = pdf.make_indirect(
            Dictionary(Title=title, Author=state["author"], Subject="CC BY 4.0; code: MIT")
        )
        marks = list(bookmarks(pdf.Root.Outlines))
        for mark, heading in zip(marks, state["headings"], strict=False):
            mark.Title = heading
        pdf.save(target, object_stream_mode=ObjectStreamMode.generate, deterministic_id=True)
        return {"pages": len(pdf.pages), "bookmarks": len(marks), "addresses": addresses(pdf)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path, help="_build, with html and singlehtml in it")
    parser.add_argument("target", type=Path, help="the PDF")
    parser.add_argument("--paper", choices=PAPER, default="A4")
    args = parser.parse_args()
    if found := missing():
        print(*(f"error: {line}" for line in found), sep="\n", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    args.target.unlink(missing_ok=True)
    draft = args.target.with_suffix(".draft.pdf")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=chromium.ARGUMENTS
        )
        width = round((PAPER[args.paper] - 2 * MARGIN) / 25.4 * 96)
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="light")
        page.set_default_timeout(SLOW)
        source = args.build / "singlehtml" / "book.html"
        state = print_page(page, source, draft, args.paper)
        browser.close()
    state |= finish(draft, args.target, state)
    draft.unlink()
    if not state["chinese"]:
        print("warning: no font has the Chinese characters (Debian: apt install fonts-noto-cjk)")
    if found := [*differences(args.build), *problems(state)]:
        args.target.rename(args.target.with_suffix(".wrong.pdf"))
        print(*(f"error: {line}" for line in found), sep="\n", file=sys.stderr)
        return 1
    size = args.target.stat().st_size / 1e6
    print(f"{args.target}: {state['pages']} pages, {size:.1f} MB; {state['formulas']} formulas, "
          f"{state['shrunk']} made smaller")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
