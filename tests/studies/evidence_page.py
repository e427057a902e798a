"""The report in a real browser: drawn, silent, usable by keyboard, readable for everybody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.studies.study import Figure

SECTION = "page"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SCREEN = {"width": 1100, "height": 1400}
# What is left of A4 between the margins, upright and on its side, in CSS pixels.
PAPER = {"width": 672, "height": 900}
WIDE_PAPER = {"width": 971, "height": 600}
MOST_MEGABYTES = 3.0
TAB_STOPS = 40
PATIENCE = 240_000  # milliseconds, where the machine has other work
GRAVE = ("serious", "critical")

_CHARTS = """() => {
  const boxes = [...document.querySelectorAll("svg")].map(each => each.getBoundingClientRect());
  return [boxes.length, boxes.filter(box => box.width > 0 && box.height > 0).length];
}"""
_CUT = """wide => [...document.querySelectorAll(".scroll")]
  .filter(each => !wide === !each.querySelector(":scope > table.wide"))
  .filter(each => each.offsetParent && each.scrollWidth > each.clientWidth + 1)
  .map(each => each.getAttribute("aria-label"))"""
_LOST = """() => [...document.querySelectorAll("a[href^='#']")]
  .map(each => each.getAttribute("href").slice(1))
  .filter(each => !document.getElementById(each))"""
_FOCUSED = """() => {
  const here = document.activeElement;
  return [...document.querySelectorAll("*")].indexOf(here);
}"""


def figures(report: Path) -> Iterator[Figure]:
    """Yield what a browser finds on a page.

    Args:
        report: The HTML file.
    """
    size = report.stat().st_size / 1e6
    yield Figure(SECTION, "size of the page", size, MOST_MEGABYTES, at_most=True, unit="MB")
    with _browser() as browser:
        yield from _drawn(browser, report)
        yield from _keyboard(browser, report)
        for scheme, media in (("light", "screen"), ("dark", "screen"), ("light", "print")):
            name = "print" if media == "print" else scheme
            yield _violations(browser, report, name, color_scheme=scheme, media=media)
        yield from _paper(browser, report)


def pictures(report: Path, folder: Path, scheme: str = "light") -> list[Path]:
    """Write the page as pictures, one a screen, and return their paths.

    Args:
        report: The HTML file.
        folder: Where they are written.
        scheme: "light" or "dark".
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with _browser() as browser:
        page = _open(browser, report, color_scheme=scheme)
        height = page.evaluate("document.documentElement.scrollHeight")
        for number, top in enumerate(range(0, height, SCREEN["height"] - 50)):
            page.evaluate(f"window.scrollTo(0, {top})")
            written.append(folder / f"{scheme}-{number:03d}.png")
            page.screenshot(path=written[-1])
    return written


def _open(browser: Any, report: Path, **options: Any) -> Any:
    context = browser.new_context(**{"viewport": SCREEN, "reduced_motion": "reduce", **options})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(report.resolve().as_uri(), wait_until="load")
    return page


@contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        raise SystemExit(f"no browser: install one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def _drawn(browser: Any, report: Path) -> Iterator[Figure]:
    address = report.resolve().as_uri()
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(viewport=SCREEN)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address, wait_until="load")
    charts, drawn = page.evaluate(_CHARTS)
    lost = page.evaluate(_LOST)
    page.close()
    yield _none("lines in the browser's console", said)
    yield _none("requests besides the page itself", [url for url in asked if url != address])
    yield Figure(SECTION, "charts", charts, 1)
    yield Figure(SECTION, "charts not drawn", charts - drawn, 0, at_most=True)
    yield _none("links that lead nowhere", lost)
    bare = _open(browser, report, java_script_enabled=False)
    boxes = [chart.bounding_box() for chart in bare.locator("svg").all()]
    undrawn = [box for box in boxes if not box or not box["width"] or not box["height"]]
    yield _none("charts not drawn without script", undrawn)
    bare.close()


def _keyboard(browser: Any, report: Path) -> Iterator[Figure]:
    page = _open(browser, report)
    stops = []
    for _ in range(TAB_STOPS):
        page.keyboard.press("Tab")
        stops.append(page.evaluate(_FOCUSED))
    caught = [stop for before, stop in pairwise(stops) if stop == before]
    yield _none(f"of {TAB_STOPS} presses of Tab, such that led nowhere", caught)
    silent, hovered = [], []
    for plot in page.locator(".plot").all():
        name = plot.locator(".scroll").first.get_attribute("aria-label")
        plot.locator(".scroll").first.focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        if ": " not in plot.locator(".readout").inner_text():
            silent.append(name)
        page.keyboard.press("Escape")
        # A bar of nothing has no place for a pointer: keys and the table tell it.
        marks = plot.locator("svg [data-line], svg .trace").all()
        next(mark for mark in marks if _has_extent(mark)).hover(force=True)
        if ": " not in plot.locator(".readout").inner_text():
            hovered.append(name)
    yield _none("charts whose figures no arrow key tells", silent)
    yield _none("charts whose figures no pointer tells", hovered)
    buttons = page.locator(".legend button")
    wrong = []
    for index in range(min(buttons.count(), 12)):
        buttons.nth(index).click()
        if buttons.nth(index).get_attribute("aria-pressed") != "false":
            wrong.append(index)
    yield _none("entries of legends that put nothing away", wrong)
    before = page.evaluate("getComputedStyle(document.body).color")
    page.locator(".tools button").first.click()
    after = page.evaluate("getComputedStyle(document.body).color")
    yield _none("switches of the theme without effect", [] if before != after else [before])
    page.close()


def _has_extent(mark: Any) -> bool:
    box = mark.bounding_box()
    return bool(box and box["width"] and box["height"])


def _violations(browser: Any, report: Path, name: str, *, color_scheme: str, media: str) -> Figure:
    from axe_core_python.sync_playwright import Axe

    page = _open(browser, report, color_scheme=color_scheme)
    page.emulate_media(media=media, color_scheme=color_scheme)
    # Selectors of what passes would take most of the time.
    found = Axe().run(page, options={"resultTypes": ["violations"]})["violations"]
    page.close()
    grave = [
        f"{each['id']}: {each['nodes'][0]['target']}" for each in found if each["impact"] in GRAVE
    ]
    return _none(f"grave violations found by axe-core, {name}", grave)


def _paper(browser: Any, report: Path) -> Iterator[Figure]:
    page = _open(browser, report, viewport=PAPER)
    page.emulate_media(media="print")
    cut = page.evaluate(_CUT, False)
    page.set_viewport_size(WIDE_PAPER)
    yield _none("tables wider than their sheet", cut + page.evaluate(_CUT, True))
    page.close()


def _none(name: str, found: list[Any]) -> Figure:
    return Figure(SECTION, name, len(found), 0, at_most=True, note="; ".join(map(str, found[:5])))
