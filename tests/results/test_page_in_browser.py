"""A report, driven in headless Chromium from the disk: nothing is fetched, everything can be pressed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gridrl.results.report import report
from tests.results.grids import NASTY, write_grid, write_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no Chromium is installed: this runs where one is on the PATH, as `.ci/run` installs it (apt-get install "
    "chromium)",
)

WAIT_MS = 60_000  # the machine may be busy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=WAIT_MS)
        yield found
        found.close()


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a file; at the end nothing may have been asked of anybody, and nothing may have been complained of."""
    asked: list[str] = []
    complaints: list[str] = []
    contexts = []

    def opened(file: Path, **options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.route(re.compile(r"^(?!file:)"), lambda route: route.abort())
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [url for url in asked if not url.startswith("file://")] == []
    assert len(asked) == len(contexts), "the page itself, and no other file"
    assert complaints == []


@pytest.fixture(scope="module")
def grid_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on six variants, one failed run and hostile texts."""
    data = tmp_path_factory.mktemp("grid")
    write_grid(data)
    return report(data, data / "a report ü.html", last=5, title=f"Six {NASTY}")


def shown_rows(page: Page) -> list[str]:
    return page.locator("#variants tbody tr:visible th").all_inner_texts()


def drawn(page: Page, chart: str) -> list[dict[str, Any]]:
    """What plotly draws in a chart."""
    traces: list[dict[str, Any]] = page.evaluate("(id) => document.getElementById(id).data", chart)
    return traces


def curves(page: Page) -> list[str]:
    """The names of the curves that are drawn, in order."""
    return [trace["name"] for trace in drawn(page, "curve-chart") if trace.get("name")]


BEST_FIRST = [
    "g_lr0.1_hid16-16",
    "g_lr0.01_hid16-16",
    "g_lr0.1_hid16",
    "g_lr0.1_hid8",
    "g_lr0.01_hid16",
    "g_lr0.01_hid8",
]


def test_the_table_is_sorted_by_mouse_and_keyboard(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report)
    assert shown_rows(page) == BEST_FIRST
    page.get_by_role("button", name="return per episode").click()
    assert shown_rows(page) == BEST_FIRST[::-1]
    header = page.locator("#variants thead th").nth(1)
    assert header.get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="lr", exact=True).focus()
    page.keyboard.press("Enter")
    assert shown_rows(page) == [
        *(name for name in BEST_FIRST[::-1] if "lr0.01" in name),
        *(name for name in BEST_FIRST[::-1] if "lr0.1" in name),
    ]
    assert header.get_attribute("aria-sort") is None


def test_filters_hide_rows_and_their_curves(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report)
    assert curves(page) == BEST_FIRST
    page.get_by_label("Words in a row").fill("hid16 0.01")
    assert shown_rows(page) == ["g_lr0.01_hid16-16", "g_lr0.01_hid16"]
    assert curves(page) == ["g_lr0.01_hid16-16", "g_lr0.01_hid16"]
    assert page.locator("#filter-count").inner_text() == "2 of 6 variants"
    page.locator("[data-key='ac_kwargs:hidden_sizes']").select_option("[16]")
    assert shown_rows(page) == ["g_lr0.01_hid16"]
    page.get_by_role("button", name="Clear").click()
    assert shown_rows(page) == BEST_FIRST
    page.get_by_label("Has runs").select_option("failed")
    assert shown_rows(page) == ["g_lr0.1_hid8"]
    page.get_by_label("Words in a row").fill("nothing like it")
    assert shown_rows(page) == curves(page) == []


def test_curves_are_switched_and_show_what_is_asked(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report)
    chip = page.get_by_role("button", name="g_lr0.1_hid16", exact=True)
    chip.click()
    assert chip.get_attribute("aria-pressed") == "false"
    assert curves(page) == [name for name in BEST_FIRST if name != "g_lr0.1_hid16"]
    chip.press("Enter")
    assert curves(page) == BEST_FIRST
    page.get_by_role("button", name="None", exact=True).click()
    assert curves(page) == []
    page.get_by_role("button", name="All", exact=True).click()
    assert len(drawn(page, "curve-chart")) == 6 + 18  # three seeds are few: a line for each
    page.locator("#curve-seeds").select_option("none")
    assert len(drawn(page, "curve-chart")) == 6
    best = drawn(page, "curve-chart")[0]
    assert (best["x"][:2], best["y"][:2]) == ([100, 200], [0, 317])
    page.locator("#curve-x").select_option("Time")
    assert drawn(page, "curve-chart")[0]["x"][:2] == [2, 4]
    page.locator("#curve-value").select_option("LossPi")
    assert drawn(page, "curve-chart")[0]["y"][:3] == [0, -1, -2]
    assert page.locator("#curve-x").input_value() == "TotalEnvInteracts"  # the loss is drawn over nothing else
    scores = drawn(page, "score-chart")[1]
    assert scores["x"][-1] == 317
    colors = [trace["line"]["color"] for trace in drawn(page, "curve-chart")]
    assert colors == scores["marker"]["color"][::-1]  # the same variant, the same colour
    assert len(set(colors)) == 6


def test_the_map_changes_with_what_is_chosen(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report)
    heat = drawn(page, "heat-chart")[0]
    assert [[round(cell, 1) for cell in row] for row in heat["z"]] == [[119, 208.5], [127, 217], [227, 317]]
    page.locator("#heat-x").select_option("ac_kwargs:hidden_sizes")
    assert page.get_by_text("Choose two different ones.").is_visible()
    page.locator("#heat-y").select_option("lr")
    assert not page.get_by_text("Choose two different ones.").is_visible()
    assert drawn(page, "heat-chart")[0]["z"] == [list(row) for row in zip(*heat["z"], strict=True)]
    page.locator("#heat-which").select_option("best")
    assert drawn(page, "heat-chart")[0]["z"][1][2] == 317


def test_a_failed_run_opens_its_log_and_runs_nothing_of_it(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report)
    failed = page.locator("details.failed-run")
    assert failed.count() == 1
    assert not failed.locator("pre").first.is_visible()
    failed.locator("summary").focus()
    page.keyboard.press("Enter")
    traceback, log = failed.locator("pre").all()
    assert f"ValueError: {NASTY}" in traceback.inner_text()
    assert log.inner_text().splitlines()[-1] == f"row 59 {NASTY}"
    page.wait_for_function("document.querySelector('pre.tail:last-of-type').scrollTop > 0")  # its event comes later
    assert page.title() == f"Six {NASTY}"
    assert NASTY in page.locator("#reproduce pre").inner_text()
    assert page.locator("main img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_a_program_that_got_into_the_page_would_not_run(grid_report: Path, browser: Browser, tmp_path: Path) -> None:
    """The page allows its own two programs by their hashes: escaping is not the only wall."""
    broken = tmp_path / "broken.html"
    attack = '<main><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'
    broken.write_text(grid_report.read_text().replace("<main>", attack))
    page = browser.new_page()
    page.goto(broken.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached", timeout=WAIT_MS)
    assert page.evaluate("window.hacked") is None
    page.close()


def test_it_is_dark_where_darkness_is_wanted(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report, color_scheme="dark")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == "rgb(20, 24, 29)"
    assert page.evaluate("document.getElementById('curve-chart').layout.paper_bgcolor") == "#14181d"
    dark = drawn(page, "curve-chart")[-6]["line"]["color"]
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-theme=light]")
    assert page.evaluate("document.getElementById('curve-chart').layout.paper_bgcolor") == "#fff"
    assert drawn(page, "curve-chart")[-6]["line"]["color"] == "#0072B2" != dark


def test_a_phone_scrolls_down_only(grid_report: Path, open_page: Open) -> None:
    width = 320
    page = open_page(grid_report, viewport={"width": width, "height": 700})
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    chart = page.locator("#curve-chart svg.main-svg").first.bounding_box()
    assert chart is not None
    assert chart["width"] <= width


def test_paper_is_white_and_shows_what_is_folded(grid_report: Path, open_page: Open) -> None:
    page = open_page(grid_report, color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.getElementById('curve-chart').layout.paper_bgcolor") == "#fff"
    assert page.locator("details.failed-run pre").first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.getElementById('curve-chart').layout.paper_bgcolor") == "#14181d"
    assert not page.locator("details.failed-run pre").first.is_visible()


def test_environments_do_not_share_an_axis(tmp_path: Path, open_page: Open) -> None:
    for env, level in (("Easy-v0", 500.0), ("Hard-v0", 5.0)):
        for lr in (0.1, 0.2):
            write_run(tmp_path, f"{env}-{lr}", 0, level=level + lr, env=env, variant={"lr": lr, "wide": lr > 0.1})
    page = open_page(report(tmp_path, tmp_path / "r.html"))
    assert curves(page) == ["Easy-v0-0.2", "Easy-v0-0.1"]
    easy = [trace["line"]["color"] for trace in drawn(page, "curve-chart")]
    page.locator("#curve-env").select_option("Hard-v0")
    assert curves(page) == ["Hard-v0-0.2", "Hard-v0-0.1"]
    assert [trace["line"]["color"] for trace in drawn(page, "curve-chart")] == easy
    page.locator("#heat-env").select_option("Hard-v0")
    assert drawn(page, "heat-chart")[0]["z"] == [[5.1, None], [None, 5.2]]


def test_without_rows_there_is_a_page_all_the_same(tmp_path: Path, open_page: Open) -> None:
    write_run(tmp_path, "a", 0, level=1.0, rows=0, state="failed", status={"error": "ImportError: no toy"})
    page = open_page(report(tmp_path, tmp_path / "r.html"))
    assert page.get_by_text("No run has a row with a score").is_visible()
    assert page.get_by_text("ImportError: no toy").is_visible()
