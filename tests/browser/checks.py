"""What is checked on a page: :func:`examine` opens it and returns what it found.

A page is opened once, because typesetting its formulas is what takes time, and then looked at
light and dark, as wide as a desktop and as a phone. Whatever can be folded out is folded out first.
"""

from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import chromium
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, ConsoleMessage, Page

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
VIEWS = {
    "light": (DESKTOP, "light"),
    "dark": (DESKTOP, "dark"),
    "phone": (PHONE, "light"),
    "phone, dark": (PHONE, "dark"),
}
CHECKS = ("requests", "console", "formulas", "images", "overflow", "axe", "size")
BUDGET = 2.2e6  # bytes of a page with everything that it loads, uncompressed

# What axe-core finds serious and stays: (rule, part of the element's HTML): reason.
LEFT: dict[tuple[str, str], str] = {}

# Colours that fade from one theme to the other would be measured half-way.
STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"
UNFOLD = """() => {
    document.querySelectorAll("details").forEach(e => e.open = true);
    document.querySelectorAll("button.toggle-button-hidden").forEach(e => e.click());
}"""
FORMULAS = """() => [
    document.querySelectorAll(".math").length,
    [...document.querySelectorAll(".math")]
        .filter(e => !e.querySelector("mjx-container")).map(e => "not typeset: " + e.textContent)
    .concat([...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
        .map(e => "with an error: " + (e.dataset.mjxError ?? e.textContent)))
]"""
IMAGES = """() => [
    document.images.length,
    [...document.images].filter(e => !e.complete || !e.naturalWidth).map(e => "broken: " + e.src)
    .concat([...document.images].filter(e => !e.alt.trim())
        .map(e => "without alternative text: " + e.src))
]"""
OVERFLOW = """() => {
    const wide = document.documentElement.scrollWidth - innerWidth;
    if (wide <= 0) return [];
    const scrolls = e => e !== document.body && (getComputedStyle(e).overflowX !== "visible"
        || e.parentElement && scrolls(e.parentElement));
    const out = [...document.querySelectorAll("body *")]
        .filter(e => e.getBoundingClientRect().right > innerWidth && !scrolls(e.parentElement));
    return [`${wide} px too wide: ` + (out.at(-1)?.outerHTML.slice(0, 120) ?? "")];
}"""
# axe-core looks at every element, and a formula has hundreds: twice as many as the rest of a
# chapter. It gets a box of the same size instead, which has a name, as the formula has its MathML.
BOX_FORMULAS = """() => {
    const formulas = [...document.querySelectorAll("mjx-container")];
    const sizes = formulas.map(e => e.firstElementChild.getBoundingClientRect());
    formulas.forEach((e, i) => {
        const box = document.createElement("span");
        box.setAttribute("role", "img");
        box.setAttribute("aria-label", e.textContent || "formula");
        box.style.cssText = `display: inline-block; width: ${sizes[i].width}px;`
            + `height: ${sizes[i].height}px`;
        e.replaceChildren(box);
    });
}"""
# Contrast takes axe-core 20 s on a long page, so it gets a few elements of each look: text of one
# colour, size and weight over the same grounds.
LOOKS = """() => {
    const grounds = new Map([[null, ""]]), looks = new Map();
    const ground = e => {
        if (!grounds.has(e)) {
            const s = getComputedStyle(e);
            const own = [s.backgroundColor, s.backgroundImage, s.opacity, s.filter].join();
            const plain = own === "rgba(0, 0, 0, 0),none,1,none";
            grounds.set(e, ground(e.parentElement) + (plain ? "" : own + ";"));
        }
        return grounds.get(e);
    };
    for (const e of document.body.querySelectorAll("*:not(mjx-container *)")) {
        if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
        if (!e.checkVisibility() || e.closest("mjx-container")) continue;
        const s = getComputedStyle(e);
        const look = [s.color, s.fontSize, s.fontWeight, ground(e)].join();
        if (!looks.has(look)) looks.set(look, []);
        if (looks.get(look).length < 3) looks.get(look).push(e);
    }
    return [...looks.values()].flat();
}"""
AXE = """async ([context, options]) => {
    const results = await axe.run(context, {
        resultTypes: ["violations"], preload: false, ...options});
    return results.violations.flatMap(v => v.nodes.map(n => ({
        rule: v.id, impact: n.impact, html: n.html.slice(0, 200), why: n.failureSummary})));
}"""
ALL_BUT_CONTRAST = {"rules": {"color-contrast": {"enabled": False}}}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


class Findings(NamedTuple):
    """What is wrong with a page, by check, and what was counted on it."""

    wrong: dict[str, list[str]]
    counts: dict[str, int]


def examine(
    browser: Browser, base: str, folder: Path, name: str, pictures: Path | None = None
) -> Findings:
    """Open the page and look at it in every view; a picture of each goes into ``pictures``."""
    wrong: dict[str, list[str]] = {check: [] for check in CHECKS}
    loaded: dict[str, int] = {}

    def on_request(url: str) -> None:
        if url.startswith(base):
            path = folder / unquote(urlsplit(url).path).lstrip("/")
            loaded[url] = path.stat().st_size if path.is_file() else 0
        elif not url.startswith(("data:", "blob:")):
            wrong["requests"].append(url)

    def on_message(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong["console"].append(f"{message.text} {message.location['url']}")

    with browser.new_context(viewport=DESKTOP, color_scheme="light") as context:
        context.set_default_timeout(120_000)  # a busy machine is slow, not wrong
        page = context.new_page()
        page.on("request", lambda r: on_request(r.url))
        page.on("console", on_message)
        page.on("pageerror", lambda error: wrong["console"].append(str(error)))
        page.goto(base + name, wait_until="networkidle")
        page.wait_for_function(chromium.TYPESET)
        page.add_style_tag(content=STILL)
        page.evaluate(UNFOLD)
        formulas, wrong["formulas"] = page.evaluate(FORMULAS)
        images, wrong["images"] = page.evaluate(IMAGES)
        for view in VIEWS:
            show(page, view)
            wrong["overflow"] += [f"{view}: {line}" for line in page.evaluate(OVERFLOW)]
            if pictures:
                stem = name.removesuffix(".html").replace("/", "_")
                path = pictures / f"{stem}_{view.replace(', ', '_')}.png"
                page.screenshot(path=path, full_page=True)
        serious, lesser = violations(page)
        wrong["axe"] = serious
    size = sum(loaded.values())
    if size > BUDGET:
        wrong["size"].append(f"{size / 1e6:.2f} MB; at most {BUDGET / 1e6} MB")
    counts = {"formulas": formulas, "images": images, "lesser": lesser, "size": size}
    return Findings(wrong, counts)


def show(page: Page, view: str) -> None:
    """Show the open page in another view, and wait for what its scripts do then."""
    size, scheme = VIEWS[view]
    page.set_viewport_size(size)
    page.emulate_media(color_scheme=scheme)
    page.wait_for_timeout(400)  # the theme waits 0.3 s before it looks what can be scrolled


def violations(page: Page) -> tuple[list[str], int]:
    """What axe-core finds serious or critical; how much it finds moderate or minor.

    Contrast differs from view to view, what else it looks at only from width to width.
    """
    page.evaluate(BOX_FORMULAS)
    page.evaluate(AXE_SCRIPT)
    serious, lesser = [], 0
    for view, (_, scheme) in VIEWS.items():
        show(page, view)
        looks = page.evaluate_handle(LOOKS)
        found = page.evaluate(AXE, [{"include": looks}, CONTRAST])
        if scheme == "light":
            found += page.evaluate(AXE, [{"include": [["html"]]}, ALL_BUT_CONTRAST])
        for v in found:
            if v["impact"] not in ("serious", "critical"):
                lesser += 1
            elif not any(v["rule"] == rule and part in v["html"] for rule, part in LEFT):
                serious.append(f"{view}: {v['rule']}: {v['html']}: {v['why']}")
    return serious, lesser
