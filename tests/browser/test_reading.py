"""What a reader does on a page, by mouse and by keyboard."""

from urllib.parse import urlencode

import built
import checks
import chromium
import pytest
from playwright.sync_api import Locator, Page, expect
from queries import QUERIES, WORDS

CHAPTER = "chapters/fast.html"
SHORT = "genindex.html"  # what every page has can be tried on one without formulas


@pytest.fixture(params=["mouse", "keyboard"])
def press(request):
    """Press a button or a link: a click, or Enter where the keyboard has come to it."""

    def by_mouse(element):
        element.click()

    def by_keyboard(element):
        element.focus()
        expect(element).to_be_focused()
        assert element.evaluate("e => e.tabIndex") == 0, "the Tab key never comes here"
        element.page.keyboard.press("Enter")

    return {"mouse": by_mouse, "keyboard": by_keyboard}[request.param]


def opened(page: Page, name: str) -> Page:
    """The page, opened and typeset."""
    page.goto(name)
    page.wait_for_function(chromium.TYPESET)
    return page


def test_theme_switch(page, press):
    opened(page, SHORT)
    root, seen = page.locator("html"), {}
    for _ in range(3):
        press(page.locator("button.theme-switch-button:visible"))
        seen[root.get_attribute("data-mode")] = root.get_attribute("data-theme")
    assert seen == {"light": "light", "dark": "dark", "auto": "light"}
    page.emulate_media(color_scheme="dark")  # "auto" follows the system
    expect(root).to_have_attribute("data-theme", "dark")


def test_theme_is_remembered_on_the_next_page(page, press):
    opened(page, SHORT)
    root = page.locator("html")
    while root.get_attribute("data-mode") != "dark":
        press(page.locator("button.theme-switch-button:visible"))
    page.goto("search.html")
    expect(root).to_have_attribute("data-theme", "dark")


def test_solution_folds_out(page, press):
    opened(page, CHAPTER)
    solution = page.locator("div.solution.dropdown", has=page.locator("mjx-container")).first
    button = solution.locator("button.toggle-button")
    formula = solution.locator("mjx-container").first
    expect(formula).not_to_be_visible()
    press(button)
    expect(formula).to_be_visible()
    press(button)
    expect(formula).not_to_be_visible()


def test_folded_code_folds_out(page, press):
    opened(page, CHAPTER)
    folded = page.locator("main details").first
    press(folded.locator("summary"))
    expect(folded).to_have_attribute("open", "")


def test_keyboard_scrolls_what_was_folded(page):
    """On a phone code is wider than the screen; it is measured when it shows."""
    page.set_viewport_size(checks.PHONE)
    opened(page, CHAPTER)
    folded = page.locator("main details", has=page.locator("pre")).first
    folded.locator("summary").click()
    code = folded.locator("pre").first
    assert code.evaluate("e => e.scrollWidth > e.clientWidth")
    expect(code).to_have_js_property("tabIndex", 0)


def test_copy_button(page, press):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened(page, CHAPTER)
    block = page.locator("div.highlight:visible", has=page.locator("button.copybtn")).first
    block.hover()
    press(block.locator("button.copybtn"))
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.strip() == block.locator("pre").text_content().strip() != ""


def test_copy_button_shows_when_the_keyboard_comes_to_it(page):
    opened(page, CHAPTER)
    button = page.locator("div.highlight:visible button.copybtn").first
    button.focus()
    page.keyboard.press("Shift+Tab")
    expect(button).to_have_css("opacity", "0")
    page.keyboard.press("Tab")
    expect(button).to_be_focused()
    expect(button).to_have_css("opacity", "1")


def test_number_in_code_leads_to_its_equation(page, press):
    opened(page, "chapters/gru.html")
    number = page.locator("main a.eq-in-code:visible").first
    target = number.get_attribute("href").partition("#")[2]
    press(number)
    equation = page.locator(f"[id='{target}']")
    expect(equation).to_be_in_viewport()
    assert equation.locator(".eqno").text_content().startswith(f"({number.text_content()})")


def test_register_of_errors_is_filtered_by_keyboard(page):
    opened(page, "chapters/errata.html")
    entries = page.locator("details.erratum")
    total = entries.count()
    search = page.locator("form.errata-filter input[type=search]")
    search.focus()
    page.keyboard.type("forget")
    shown = page.locator("details.erratum:visible")
    expect(entries.filter(visible=True)).not_to_have_count(total)
    texts = shown.evaluate_all("all => all.map(e => e.textContent.toLowerCase())")
    assert texts and all("forget" in text for text in texts)
    expect(page.locator("form.errata-filter output")).to_have_text(
        f"{len(texts)} of {total} entries"
    )


def test_register_of_errors_is_filtered_by_mouse(page):
    opened(page, "chapters/errata.html")
    entries = page.locator("details.erratum:visible")
    total = entries.count()
    menu = page.locator("form.errata-filter select").first
    value = menu.locator("option").nth(1).get_attribute("value")
    menu.select_option(value)
    classes = entries.evaluate_all("all => all.map(e => e.className.split(' '))")
    assert 0 < len(classes) < total and all(value in names for names in classes)
    page.locator("form.errata-filter [type=reset]").click()
    expect(entries).to_have_count(total)


def test_link_to_an_error_opens_it(page):
    opened(page, "chapters/errata.html")
    entry = page.locator("details.erratum").nth(50)
    target = entry.evaluate("e => (e.id ? e : e.querySelector('[id]') ?? e.closest('[id]')).id")
    page.goto("about:blank")
    opened(page, f"chapters/errata.html#{target}")
    expect(page.locator("details.erratum[open]")).to_have_count(1)
    expect(page.locator(f"[id='{target}']")).to_be_in_viewport()


def found(page: Page) -> list[str]:
    """The pages that the search has found, in order."""
    expect(page.locator("#search-results p.search-summary")).to_contain_text("found")
    links = page.locator("#search-results ul.search > li > a")
    names = links.evaluate_all("all => all.map(e => e.pathname.slice(1).replace('.html', ''))")
    return list(dict.fromkeys(names))


@pytest.mark.parametrize(("query", "name", "rank"), QUERIES)
def test_search_finds(page, query, name, rank):
    page.goto("search.html?" + urlencode({"q": query}))
    assert name in found(page)[:rank]


def test_search_splits_a_query_as_the_index_was(page):
    page.goto("search.html")
    split = page.evaluate("texts => texts.map(text => splitQuery(text))", [t for t, _ in WORDS])
    assert split == [words for _, words in WORDS]


def test_search_from_a_page(page, press):
    page.goto(SHORT)
    press(page.locator("button.search-button-field"))
    expect(page.locator("#pst-search-dialog input[type=search]")).to_be_focused()
    page.keyboard.type("peephole")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=peephole")
    first = found(page)[0]
    press(page.locator("#search-results ul.search > li > a").first)
    page.wait_for_url(f"**/{first}.html*")


def test_search_has_a_shortcut(page):
    page.goto(SHORT)
    page.keyboard.press("Control+k")
    expect(page.locator("#pst-search-dialog input[type=search]")).to_be_focused()


def test_skip_link_comes_first(page):
    opened(page, SHORT)
    page.keyboard.press("Tab")
    expect(page.locator("#pst-skip-link a")).to_be_focused()
    page.keyboard.press("Enter")
    assert page.url.endswith("#main-content")


def test_contents_on_a_phone(page, press):
    page.set_viewport_size(checks.PHONE)
    opened(page, SHORT)
    link = page.locator("#pst-primary-sidebar-modal a", has_text="The gated recurrent unit")
    expect(link).not_to_be_visible()
    press(page.locator("button.primary-toggle"))
    expect(link).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(link).not_to_be_visible()
    press(page.locator("button.primary-toggle"))
    press(link)
    page.wait_for_url("**/chapters/gru.html")


def test_notebook_is_there_to_download(page, press):
    opened(page, CHAPTER)
    press(page.locator(".dropdown-download-buttons > button"))
    link = page.locator("a.btn-download-source-button")
    expect(link).to_be_visible()
    notebook = page.request.get(link.evaluate("e => e.href")).json()
    assert notebook["nbformat"] == 4


PLAYED = [f"chapters/{cell}.html" for cell in ("elman", "lstm", "gru", "sru", "vrnn")]


def shown(player: Locator) -> tuple[object, ...]:
    """The step that a figure shows: its number, what is read, the heights of its bars."""
    bars = player.locator("[data-k]").evaluate_all("all => all.map(e => e.style.transform)")
    slider = player.locator("input[type=range]")
    step, text = player.get_attribute("data-step"), player.locator("output").text_content()
    assert slider.input_value() == step
    assert slider.get_attribute("aria-valuetext") == text.strip()
    return int(step), text, *bars


@pytest.mark.parametrize("name", PLAYED)
def test_figure_is_played_by_keyboard(page, name):
    opened(page, name)
    for player in page.locator(".player[data-ready]").all():
        last = int(player.get_attribute("data-steps"))
        player.locator("input[type=range]").focus()
        page.keyboard.press("Home")
        steps = [shown(player)]
        for _ in range(2):
            page.keyboard.press("ArrowRight")
            steps.append(shown(player))
        assert [step[0] for step in steps] == [1, 2, 3] and len(set(steps)) == 3
        page.keyboard.press("ArrowLeft")
        assert shown(player) == steps[1]
        page.keyboard.press("End")
        assert shown(player)[0] == last
        player.get_by_role("button", name="Next step").focus()
        page.keyboard.press("Enter")  # there is no step after the last
        assert shown(player)[0] == last
        player.get_by_role("button", name="Previous step").focus()
        page.keyboard.press("Space")
        assert shown(player)[0] == last - 1


@pytest.mark.parametrize("name", PLAYED)
def test_figure_is_played_by_mouse(page, name):
    opened(page, name)
    for player in page.locator(".player[data-ready]").all():
        last = int(player.get_attribute("data-steps"))
        for element, end in ((player.locator("input[type=range]"), last), (reads(player), 1)):
            element.scroll_into_view_if_needed()
            box = element.bounding_box()
            x = box["x"] + (box["width"] - 4 if end == last else 4)
            page.mouse.click(x, box["y"] + box["height"] / 2)
            assert shown(player)[0] == end
        player.get_by_role("button", name="Next step").click()
        assert shown(player)[0] == 2
        player.get_by_role("button", name="Play").click()
        expect(player).to_have_attribute("data-step", "3")
        player.get_by_role("button", name="Pause").click()
        table = player.locator("table")
        expect(table).not_to_be_visible()
        player.locator("summary").click()
        expect(table).to_be_visible()
        before = table.inner_text()
        player.get_by_role("button", name="Previous step").click()
        assert table.inner_text() != before


def reads(player: Locator) -> Locator:
    """The row that shows what is read over time."""
    return player.locator(".player-reads, .player-strip").first


def test_figures_without_scripts(browser, base):
    """One step is shown, and nothing that could not be used."""
    with browser.new_context(base_url=base, java_script_enabled=False) as context:
        page = context.new_page()
        for name in PLAYED:
            page.goto(name)
            player = page.locator(".player").first
            expect(player.locator("svg").first).to_be_visible()
            expect(player.locator("output")).to_be_visible()
            expect(player.locator("input[type=range]")).not_to_be_visible()
            expect(player.get_by_role("button")).to_have_count(0)


def test_what_is_folded_is_on_paper(page):
    """Unfolded before it is printed, and at once: code that fades in would be blank."""
    opened(page, CHAPTER)
    page.emulate_media(media="print")
    opacities = page.evaluate("""() => {
        dispatchEvent(new Event("beforeprint"));
        const folded = [...document.querySelectorAll("main details *")];
        return folded.map(e => e.checkVisibility() ? getComputedStyle(e).opacity : "hidden");
    }""")
    assert len(opacities) > 50 and set(opacities) <= {"1", "hidden"}
    assert opacities.count("1") > 50


def test_chapter_from_the_disk(browser):
    """Without a server: the formulas are typeset, the console is empty."""
    errors = []
    with browser.new_context(viewport=checks.DESKTOP) as context:
        page = context.new_page()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        opened(page, (built.HTML / CHAPTER).as_uri())
        formulas, wrong = page.evaluate(checks.FORMULAS)
    assert formulas > 100
    assert wrong == errors == []
