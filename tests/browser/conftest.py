"""The browser and the server of the tests, and the table that they leave behind."""

from pathlib import Path

import built
import checks
import chromium
import pytest
from playwright.sync_api import expect, sync_playwright

expect.set_options(timeout=20_000)  # a busy machine is slow, not wrong
REPORT = built.ROOT / "_build" / "browser.md"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="folder for a picture of every page and view")


@pytest.fixture(scope="session")
def browser():
    if chromium.path() is None:
        pytest.fail("no chromium, chromium-browser or google-chrome on the PATH", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path(), args=chromium.ARGUMENTS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def base():
    """The address of the book on a server of this machine."""
    if not (built.HTML / "index.html").exists():
        pytest.fail("there is no _build/html; run `make book` first", pytrace=False)
    with built.serve(built.HTML) as address:
        yield address


@pytest.fixture
def page(browser, base):
    """An empty page; the addresses it is sent to begin at the book's."""
    with browser.new_context(base_url=base, viewport=checks.DESKTOP) as context:
        page = context.new_page()
        yield page


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the table page × check; works under xdist too."""
    rows = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            properties = dict(report.user_properties)
            if "page" in properties:
                rows[properties["page"]] = properties["row"]
    if not rows:
        return
    total = sum(path.stat().st_size for path in built.HTML.rglob("*") if path.is_file())
    heads = ["page", *checks.CHECKS[:-1], "lesser", "kB"]
    lines = [
        f"Pages: {len(rows)}, each in {len(checks.VIEWS)} views ({'; '.join(checks.VIEWS)})."
        f" The whole book: {total / 1e6:.1f} MB.",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(rows[name] for name in sorted(rows)),
    ]
    REPORT.write_text("\n".join(lines) + "\n", "utf8")
    terminalreporter.write_line("\n" + "\n".join(lines))
