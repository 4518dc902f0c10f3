"""Exploring in a real browser: facets, ranges, search, lasso, groups, report; and not a word of trouble."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolwright import api
from poolwright.core.search_result import Query
from poolwright.inspect.search import SCORE, search, search_steps
from poolwright.inspect.views.clauses import Among, Between, Filter, HasOutcome, Picked
from poolwright.inspect.views.view import View
from poolwright.studio.exploring import views
from tests.conftest import MadeDemo
from tests.studio.made import serving

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")]


@pytest.fixture(scope="module")
def run(made_demo: MadeDemo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo, as exploring writes into its run folder."""
    folder = tmp_path_factory.mktemp("explored") / "demo"
    shutil.copytree(made_demo.folder / "demo", folder)
    return folder / "run"


@pytest.fixture(scope="module")
def view(run: Path) -> View:
    return api.explore(run, "classes")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def address(run: Path) -> Iterator[str]:
    with serving(run) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page = context.new_page()
    page.set_default_timeout(10_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("data:", address)) or said.append(request.url))
    yield page
    context.close()
    # Pictures of broken files are reported as such; drivers of machines without a GPU log their speed.
    assert [words for words in said if "404" not in words and "GL Driver" not in words] == []


def settled(page: Any, count: int) -> None:
    page.wait_for_function("rows => document.getElementById('count')?.textContent === rows", arg=f"{count:,}")


def test_facets_and_rows(page: Any, address: str, view: View) -> None:
    page.goto(f"{address}/explore/classes")
    settled(page, view.rows)
    page.evaluate("window.same = true")
    page.click(".facet[data-name=label] .value >> nth=0")
    first = view.facet("label").values[0]
    settled(page, first.rows)
    page.click(".ex-outcomes .dropped")
    chosen = Filter((Among("label", (first.name,)), HasOutcome(False)))
    settled(page, view.count(chosen).rows)
    assert page.locator(".pic:not(.lost)").count() == 0
    page.go_back()
    settled(page, first.rows)
    page.click(".chip")
    settled(page, view.rows)
    assert page.evaluate("window.same") is True
    assert page.locator(".pic").count() == 60
    page.evaluate("document.getElementById('scroll').scrollTo(0, 1e6)")
    page.wait_for_function("() => document.querySelectorAll('.pic').length === 120")
    page.select_option("#sort", "similarity")
    page.wait_for_function("() => new URLSearchParams(location.search).get('sort') === 'similarity'")
    page.wait_for_selector(f".pic >> nth=0 >> text={_least(view)}")


def _least(view: View) -> str:
    return f"{view.read(view.page(sort='similarity', size=1).positions, ['similarity'])[0]['similarity']:.3f}"


def test_a_row_and_its_story(page: Any, address: str, view: View) -> None:
    page.goto(f"{address}/explore/classes?out=dropped")
    page.click(".pic >> nth=1")
    page.wait_for_selector("#drawer .chapter.lost .wrong")
    position = view.page(Filter((HasOutcome(False),)), size=2).positions[1]
    row = view.read([position], ["uid", "drop reason"])[0]
    assert page.inner_text("#drawer .uid") == row["uid"]
    assert page.inner_text("#drawer .outcome") == row["drop reason"]
    page.keyboard.press("ArrowRight")
    page.wait_for_function("uid => document.querySelector('#drawer .uid').textContent !== uid", arg=row["uid"])
    page.keyboard.press("Escape")
    assert page.is_hidden("#drawer")
    page.goto(f"{address}/explore/classes?row={row['uid']}")
    page.wait_for_selector(f"#drawer >> text={row['uid']}")
    page.click("#drawer .like >> nth=0")
    page.wait_for_selector("#panel >> text=like")
    assert page.get_attribute(".pic >> nth=0", "data-at") == str(position)


def test_a_range_is_drawn(page: Any, address: str, view: View) -> None:
    page.goto(f"{address}/explore/classes")
    brush = page.locator(".number[data-name=similarity] .brush")
    brush.scroll_into_view_if_needed()
    box = brush.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + 8, steps=4)
    page.mouse.up()
    page.wait_for_selector(".chip")
    low, high = (
        float(page.evaluate(f"new URLSearchParams(location.search).get('{end}.similarity')")) for end in ("min", "max")
    )
    settled(page, view.count(Filter((Between("similarity", low, high),))).rows)
    column = view.column("similarity")
    assert column.low is not None
    assert column.high is not None
    assert (low - column.low) / (column.high - column.low) == pytest.approx(0.5, abs=0.02)
    page.fill(".number[data-name=similarity] [name=max]", "")
    page.click(".number[data-name=similarity] button")
    settled(page, view.count(Filter((Between("similarity", low),))).rows)


def test_a_search_and_its_threshold(page: Any, address: str, view: View) -> None:
    result = search(view, Query("a red car", column="clip"))
    found = view.with_column(SCORE, result.scores)
    page.goto(f"{address}/explore/classes")
    page.keyboard.press("/")
    page.keyboard.type("a red car")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel")
    settled(page, result.rows)
    best = found.page(sort=SCORE, descending=True, size=3).positions
    shown = [page.get_attribute(f".pic >> nth={index}", "data-at") for index in range(3)]
    assert shown == [str(position) for position in best]
    page.evaluate("window.slider = document.getElementById('cut')")
    page.evaluate("slider.value = 800; slider.dispatchEvent(new Event('input', { bubbles: true }))")
    page.wait_for_function("() => new URLSearchParams(location.search).has('cut')")
    cut = float(page.evaluate("new URLSearchParams(location.search).get('cut')"))
    above = found.count(Filter((Between(SCORE, cut),)))
    settled(page, above.rows)
    assert page.evaluate("slider === document.getElementById('cut')")
    assert page.inner_text(".ex-outcomes .kept b") == f"{above.kept:,}"
    first = page.inner_text(".facet[data-name=label] .value >> nth=0")
    label = found.facet("label", Filter((Between(SCORE, cut),))).values[0]
    assert first.split("\n")[0] == label.name
    assert f"{label.rows:,}" in first
    page.fill("#cut-number", "0.5")
    page.press("#cut-number", "Enter")
    settled(page, found.count(Filter((Between(SCORE, 0.5),))).rows)
    page.click("text=copy step")
    page.wait_for_selector("#say >> text=copied")
    assert page.evaluate("navigator.clipboard.readText()") == search_steps(view, result, 0.5)


def test_a_lasso(page: Any, address: str, view: View) -> None:
    page.goto(f"{address}/explore/classes/map?by=label")
    page.wait_for_function("() => document.getElementById('map').dataset.drawn > 0")
    assert page.is_hidden("#map-wait")
    assert page.locator("#legend button").count() == 13
    page.click("#legend button >> nth=0")
    box = page.locator("#map").bounding_box()
    corners = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1))]
    page.keyboard.press("l")
    page.mouse.move(corners[0][0] + 3, corners[0][1] + 3)
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(x, y, steps=3)
    page.mouse.up()
    first = view.facet("label").values[0]
    page.wait_for_selector(f"#picked h3 >> text={first.rows} rows")
    with page.expect_download() as download:
        page.click("#picked >> text=uids.txt")
    uids = Path(download.value.path()).read_text().split()
    assert uids == list(view.uids(Filter((Among("label", (first.name,)),))))
    page.click("#picked >> text=show rows")
    page.wait_for_selector("#count")
    settled(page, first.rows)
    name = page.evaluate("new URLSearchParams(location.search).get('sel')")
    assert list(view.uids(Filter((Picked(name),)))) == uids


def test_the_point_under_the_pointer_is_shown(page: Any, address: str) -> None:
    page.goto(f"{address}/explore/classes/map")
    page.wait_for_function("() => document.getElementById('map').dataset.drawn > 0")
    box = page.locator("#map").bounding_box()
    for step in range(200):
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.002 * step), box["y"] + box["height"] / 2)
        if step % 5 == 0:
            page.wait_for_timeout(90)
        if page.is_visible("#tip"):
            break
    page.wait_for_function("() => document.querySelector('#tip b').textContent.length > 0")
    page.wait_for_function("() => document.querySelector('#tip img').naturalWidth > 0")
    before = page.evaluate("document.getElementById('map').dataset.drawn")
    page.mouse.wheel(0, -300)
    page.wait_for_function("before => document.getElementById('map').dataset.drawn > before", arg=before)


def test_two_groups(page: Any, address: str, view: View) -> None:
    page.goto(f"{address}/explore/classes")
    page.click(".ex-outcomes .kept")
    settled(page, view.kept)
    page.click(".ex-actions >> text=compare")
    page.wait_for_selector(".ex-side-b")
    assert page.inner_text(".ex-side-a header b >> nth=1") == f"{view.kept:,}"
    assert page.inner_text(".ex-side-b header b >> nth=1") == f"{view.rows - view.kept:,}"
    assert page.locator(".diff").count() > 4
    page.select_option(".ex-side-b select", label="car")
    page.wait_for_selector(".ex-side-b .chip >> text=label: car")
    wanted = view.count(Filter((HasOutcome(False), Among("label", ("car",))))).rows
    assert page.inner_text(".ex-side-b header b >> nth=1") == f"{wanted:,}"


def test_the_report_in_its_frame(page: Any, address: str) -> None:
    page.goto(address)
    page.click("nav >> text=Report")
    frame = page.frame_locator("iframe")
    frame.locator("h1").wait_for()
    assert frame.locator("#overview").is_visible()
    frame.locator("nav.side a[href='#t1']").click()
    frame.locator("#t1-funnel").wait_for()
    inner = next(one for one in page.frames if one.url.endswith("#t1"))
    assert inner.evaluate("self.origin") == "null"
    for reach in ("parent.document.title", "document.cookie", "localStorage.length"):
        assert inner.evaluate(
            f"(() => {{ try {{ {reach}; return 'reached'; }} catch (error) {{ return error.name; }} }})()"
        ) == ("SecurityError")


def test_a_table_that_is_still_read_shows_itself(
    browser: Any, run: Path, view: View, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run.parent, tmp_path / "demo", ignore=shutil.ignore_patterns("explore"))
    go, build = threading.Event(), views.build_index

    def slowly(*given: Any) -> None:
        go.wait(10)
        build(*given)

    monkeypatch.setattr(views, "AT_ONCE", 10)
    monkeypatch.setattr(views, "build_index", slowly)
    with serving(tmp_path / "demo" / "run") as (port, _):
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/explore/classes")
        assert page.is_visible("#wait progress")
        go.set()
        settled(page, view.rows)
        page.close()


def test_the_dark_side_has_contrast(page: Any, address: str) -> None:
    page.goto(f"{address}/explore/classes")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert _lightness(light) > 200
    assert _lightness(dark) < 50
    assert _lightness(page.evaluate("getComputedStyle(document.querySelector('.value')).color")) > 180


def _lightness(colour: str) -> float:
    return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(", "))) / 3
