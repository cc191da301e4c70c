"""Look at the built book in a real browser: check every page, and take its picture.

    python tools/browser.py _build/html SCREENSHOTS [chapters/gru.html ...]

Each page is opened light, dark and as wide as a phone (390 px). Reported is a page that asks
another host for anything, logs an error, leaves a formula untypeset or typesets one with an error,
shows a broken image, or scrolls sideways. Needs the extra "browser" and a Chromium on the PATH.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import sys
import threading
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

VIEWS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (390, "light")}
# Chromium's own calls home would otherwise be the only requests that leave the machine.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
STATE = """() => ({
    formulas: document.querySelectorAll("article .math").length,
    typeset: document.querySelectorAll("article mjx-container").length,
    wrong: [...document.querySelectorAll("mjx-merror")].map(e => e.textContent),
    broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src),
    overflow: document.documentElement.scrollWidth - window.innerWidth,
})"""
TYPESET = "() => !window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


def serve(root: Path) -> str:
    """Serve the book from a free port of this machine, for as long as the program runs."""
    handler = functools.partial(Quiet, directory=str(root))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def problems(page: Page, url: str, base: str) -> tuple[list[str], int]:
    """Open a page; what is wrong with it, and its number of formulas."""
    found: list[str] = []
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith((base, "data:", "blob:"))
            else found.append(f"asks for {r.url}")
        ),
    )
    page.on("console", lambda m: found.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.goto(url, wait_until="networkidle")
    page.wait_for_function(TYPESET)
    state = page.evaluate(STATE)
    if state["typeset"] < state["formulas"]:
        found.append(f"{state['typeset']} of {state['formulas']} formulas typeset")
    found += [f"formula with an error: {text}" for text in state["wrong"]]
    found += [f"broken image: {src}" for src in state["broken"]]
    if state["overflow"] > 0:
        found.append(f"{state['overflow']} px wider than the window")
    return found, state["formulas"]


def look(browser: Browser, base: str, name: str, shots: Path) -> int:
    """One page in all views; the number of problems."""
    bad = 0
    for view, (width, scheme) in VIEWS.items():
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        found, formulas = problems(page, base + name, base)
        print(f"{name:36} {view:6} {formulas:4} formulas  {'; '.join(found) or 'ok'}", flush=True)
        stem = name.removesuffix(".html").replace("/", "_")
        page.screenshot(path=shots / f"{stem}_{view}.png", full_page=True)
        context.close()
        bad += len(found)
    return bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", type=Path, help="the built book, _build/html")
    parser.add_argument("shots", type=Path, help="folder for the pictures")
    parser.add_argument("pages", nargs="*", help="default: chapters and reference")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("error: no chromium on the PATH", file=sys.stderr)
        return 2
    args.shots.mkdir(parents=True, exist_ok=True)
    everything = [*args.root.glob("chapters/*.html"), *args.root.glob("reference/*.html")]
    names = args.pages or sorted(path.relative_to(args.root).as_posix() for path in everything)
    base = serve(args.root)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        bad = sum(look(browser, base, name, args.shots) for name in names)
        browser.close()
    print(f"{len(names)} pages in {len(VIEWS)} views, {bad} problems; pictures in {args.shots}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
