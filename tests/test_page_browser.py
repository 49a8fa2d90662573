"""Pages in a real browser: sorting, filtering, playing, by keyboard alone, and how soon an index is there."""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_report import make_report

from sercache import audio
from sercache.record import Report
from sercache.report import index, page
from sercache.report.extras import PageExtras, VectorPlaces
from sercache.report.side_by_side import runs_tables

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium or Chrome on this machine"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="playwright is not installed"),
]
WILD = '<b onmouseover="alert(1)">loud</b><script>alert(2)</script>'
SECONDS = 0.4


@pytest.fixture(scope="module")
def report() -> Report:
    """A report of 30 utterances, one class of which is called by markup."""
    made = make_report(5, (0, 1))
    return dataclasses.replace(made, classes=(WILD, "neutral", "sadness"))


@pytest.fixture(scope="module")
def run_page(report: Report, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = tuple(dict.fromkeys(each.id for each in report.predictions))
    places = np.random.default_rng(0).normal(size=(len(ids), 2))
    tone = np.sin(np.arange(round(SECONDS * audio.OPUS_RATE)) * 0.2).astype(np.float32) / 4
    extras = PageExtras(
        {id: f"words of {id} {WILD}" for id in ids}, dict.fromkeys(ids[::2], audio.opus(tone)),
        (VectorPlaces("a map", ids, places),),
    )  # fmt: skip
    return page.write(report, tmp_path_factory.mktemp("page") / "run.html", extras=extras)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        flags = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        started = driver.chromium.launch(executable_path=BROWSER, args=flags)
        yield started
        started.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    """A tab that must neither report anything nor ask for anything beyond files and what the page itself holds."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, said = context.new_page(), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda fault: said.append(str(fault)))
    opened.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    opened.on(
        "request",
        lambda asked: said.append(asked.url) if asked.url.split(":")[0] in ("http", "https") else None,
    )
    yield opened
    context.close()
    assert said == []


def column(tab: Any, name: str) -> list[str]:
    """What the rows that are shown have under a heading, from top to bottom."""
    cells = tab.locator(f'#utterances tbody tr:not([hidden]) td[data-name="{name}"]')
    return [text.strip() for text in cells.all_text_contents()]


def until(tab: Any, expression: str) -> None:
    """Wait for what an expression says, asked from outside: the policy of the page allows no evaluation inside."""
    end = time.monotonic() + 20
    while not tab.evaluate(expression):
        assert time.monotonic() < end, expression
        time.sleep(0.02)


def show_all(tab: Any, address: Path) -> None:
    tab.goto(address.as_uri())
    tab.select_option('select[name="wrong"]', "")


def test_labels_with_markup_stay_text(tab: Any, run_page: Path) -> None:
    show_all(tab, run_page)
    assert WILD in column(tab, "true")
    assert tab.locator("b[onmouseover]").count() == 0
    assert tab.locator("section .confusion th", has_text="<b onmouseover").count() == 2
    assert tab.locator("circle, use").first.evaluate("mark => typeof mark.onmouseover") == "object"


def test_a_click_sorts_and_the_heading_says_how(tab: Any, run_page: Path) -> None:
    show_all(tab, run_page)
    head = tab.locator("#utterances th", has_text="p of true")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    found = [float(text) for text in column(tab, "p of true")]
    assert found == sorted(found, reverse=True)
    assert len(found) == 30
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(tab, "p of true")] == sorted(found)
    tab.locator("#utterances th", has_text="speaker").locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert column(tab, "speaker") == sorted(column(tab, "speaker"))


def test_rows_are_chosen_by_class_speaker_sound_and_words(tab: Any, run_page: Path) -> None:
    tab.goto(run_page.as_uri())
    wrong = column(tab, "wrong")
    assert wrong, "wrong ones are shown at first"
    assert not any(text.startswith("0 of") for text in wrong)
    assert f"{len(wrong)} of 30" in tab.locator("form.filters output").text_content()
    tab.select_option('select[name="wrong"]', "")
    tab.select_option('select[name="true"]', "1")
    assert set(column(tab, "true")) == {"neutral"}
    tab.select_option('select[name="speaker"]', "speaker 2")
    assert set(column(tab, "speaker")) == {"speaker 2"}
    tab.fill("form.filters input", "u4 WORDS")
    assert len(column(tab, "true")) == 1
    tab.click('form.filters button[type="reset"]')
    until(tab, "document.querySelector('#utterances tbody').rows.length === 30")
    tab.select_option('select[name="wrong"]', "")
    tab.select_option('select[name="sound"]', "1")
    assert len(column(tab, "true")) == 15


def test_a_clip_plays_to_its_end(tab: Any, run_page: Path) -> None:
    show_all(tab, run_page)
    button = tab.locator("button.play").first
    button.click()
    until(tab, "document.querySelector('audio').currentTime > 0.05")
    assert tab.evaluate("document.querySelector('audio').readyState") >= 2
    until(tab, "document.querySelector('audio').ended")
    assert abs(tab.evaluate("document.querySelector('audio').duration") - SECONDS) < 0.1
    assert button.get_attribute("aria-pressed") == "false"
    assert "by speaker" in tab.locator("#player span").text_content()


def test_the_keyboard_alone_sorts_chooses_and_plays(tab: Any, run_page: Path) -> None:
    tab.goto(run_page.as_uri())
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"

    def go_to(selector: str) -> None:
        for _ in range(200):
            tab.keyboard.press("Tab")
            if tab.evaluate("it => document.activeElement.matches(it)", selector):
                seen = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert seen == "solid", f"who goes to {selector} must see it"
                return
        pytest.fail(f"{selector} is not reached by Tab")

    go_to('input[type="radio"]')
    tab.keyboard.press("ArrowRight")
    assert tab.locator(".legend-1").is_visible()
    assert not tab.locator(".legend-0").is_visible()
    go_to('select[name="wrong"]')
    tab.keyboard.press("ArrowUp")
    assert len(column(tab, "true")) == 30
    go_to("#utterances th button")
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.closest('th').getAttribute('aria-sort')") == "ascending"
    go_to("button.play")
    tab.keyboard.press("Space")
    until(tab, "document.querySelector('audio').currentTime > 0.05")
    assert tab.evaluate("document.activeElement.matches('button.play')")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280, 1920])
def test_nothing_is_wider_than_the_window(tab: Any, run_page: Path, width: int, scheme: str) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.goto(run_page.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    pictures = tab.locator(".drawn").evaluate_all(
        "all => all.map(it => [it.offsetWidth, it.parentElement.clientWidth])"
    )
    assert len(pictures) == 4
    assert all(own <= room for own, room in pictures), "a picture is shown whole"
    light = tab.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]")
    assert light > 200 if scheme == "light" else light < 60


def test_an_index_of_200_runs_is_there_within_two_seconds(tab: Any, tmp_path: Path) -> None:
    one, names = make_report(2, (0,)), [f"run {k}" for k in range(200)]
    reports = [dataclasses.replace(one, options={"width": k}) for k in range(200)]
    links = {name: f"{name}.html" for name in names}
    path = tmp_path / "index.html"
    path.write_text(index.index_page(runs_tables(reports, names=names), links))
    tab.goto(path.as_uri())  # the browser is warm then
    began = time.perf_counter()
    tab.goto(path.as_uri(), wait_until="load")
    tab.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
    took = time.perf_counter() - began
    assert tab.locator("table.runs tbody tr").count() == 200
    assert took < 2, f"{took:.2f} s"
    tab.fill("form.filters input", "run 19")
    assert tab.locator("table.runs tbody tr:not([hidden])").count() == 12
