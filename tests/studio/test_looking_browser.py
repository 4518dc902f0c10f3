"""Galleries, samples, several runs, and a frame in a real browser: by keyboard, and on a narrow screen."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.responses import HTMLResponse

from poolwright import api
from poolwright.inspect.views.repeats import repeats
from poolwright.inspect.views.tags import read_tag
from poolwright.studio.access import make_access
from poolwright.studio.app import create_app
from poolwright.studio.rooted import Framed
from poolwright.studio.runs import Runs
from tests.conftest import MadeDemo
from tests.studio.made import listening, make_run

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")]

NARROW = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        started = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@contextlib.contextmanager
def opened(chromium: Any, address: str) -> Iterator[Any]:
    """A page that must not report errors."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page = context.new_page()
    page.set_default_timeout(15_000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    yield page
    context.close()
    assert [words for words in said if "404" not in words and "GL Driver" not in words] == []


def narrow(page: Any) -> bool:
    """Whether nothing scrolls sideways on a narrow screen."""
    page.set_viewport_size(NARROW)
    fits: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.set_viewport_size({"width": 1280, "height": 800})
    return fits


def test_galleries_and_samples_of_several_runs(chromium: Any, made_demo: MadeDemo, tmp_path: Path) -> None:
    shutil.copytree(made_demo.folder / "demo", tmp_path / "all" / "demo")
    make_run(tmp_path / "all" / "runs", 6)
    view = api.explore(tmp_path / "all" / "demo" / "run", "at-random")
    leaks = repeats(view, "duplicate_group", "random_split")
    app = Runs(tmp_path / "all", make_access(tmp_path / "key", "127.0.0.1"))
    with listening(app) as port, opened(chromium, f"http://127.0.0.1:{port}") as page:
        page.goto(f"http://127.0.0.1:{port}/")
        assert page.locator("article.run").count() == 2
        assert narrow(page)
        page.click("article.run >> text=at-random")
        page.wait_for_selector(".pic")
        base = "/run/demo-run/explore/"
        page.select_option("#ex-table", "classes")
        page.wait_for_url(f"**{base}classes")
        page.goto(f"http://127.0.0.1:{port}{base}at-random/galleries")
        page.wait_for_function(
            "() => [...document.querySelectorAll('.ex-strip img')].some((one) => one.naturalWidth > 20)"
        )
        assert narrow(page)
        page.click(".ex-gallery:has-text('‘random_split’'):has-text('equal ‘duplicate_group’') a.main")
        assert page.inner_text("#groups") == str(len(leaks))
        assert page.locator(".ex-gallery").count() == min(24, len(leaks))
        assert narrow(page)
        page.click("text=copy step")
        page.wait_for_selector("#say >> text=copied")
        (step,) = yaml.safe_load(page.evaluate("navigator.clipboard.readText()"))
        assert step["split"]["group"] == "duplicate_group"
        page.click("text=show rows")
        page.wait_for_function(
            "rows => document.getElementById('count')?.textContent === rows", arg=f"{len(leaks.positions)}"
        )
        page.goto(f"http://127.0.0.1:{port}{base}classes")
        page.focus(".ex-draw summary")
        page.keyboard.press("Enter")
        for keys in ("Tab", "b", "Tab", "Control+a", "2", "4", "Enter"):
            page.keyboard.press(keys)
        page.wait_for_function("() => document.getElementById('count')?.textContent === '24'")
        assert "balance: label" in page.get_attribute("text=copy step", "data-copy")
        assert narrow(page)
        page.click("text=all runs")
        page.wait_for_selector("article.run")


def test_many_runs_are_folded_and_found(chromium: Any, tmp_path: Path) -> None:
    made = make_run(tmp_path, 6)
    for number in (1, 2, 3, 10, 20):
        shutil.copytree(made, tmp_path / "all" / f"p{number}" / "run")
    app = Runs(tmp_path / "all", make_access(tmp_path / "key", "127.0.0.1"))
    with listening(app) as port, opened(chromium, f"http://127.0.0.1:{port}") as page:
        page.goto(f"http://127.0.0.1:{port}/")
        assert [one.split("/")[0] for one in page.locator("article.run h2 .mono").all_inner_texts()] == [
            "p1", "p2", "p3", "p10", "p20",
        ]  # fmt: skip
        assert page.locator("article.run details[open]").count() == 0
        assert narrow(page)
        page.click("[data-filter]")
        page.keyboard.type("KEPT p2")
        assert page.locator("article.run:visible").count() == 2
        page.keyboard.type("0")
        page.click("article.run:visible summary")
        page.click("article.run:visible td a")
        page.wait_for_url("**/run/p20-run/explore/kept")
        page.wait_for_selector(".pic")


def test_a_frame_of_another_site(chromium: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path, 6)
    framed = Framed(create_app(run, make_access(run, "127.0.0.1")), "Anna")
    with listening(framed) as port, opened(chromium, f"http://127.0.0.1:{port}") as page:
        url = f"http://127.0.0.1:{port}{framed.root}/explore/kept"
        notebook = HTMLResponse(
            f'<link rel="icon" href="data:,"><iframe src="{url}" width="1000" height="700"></iframe>'
        )
        with listening(notebook) as other:
            page.goto(f"http://localhost:{other}/")  # another site than 127.0.0.1
            frame = page.frame_locator("iframe")
            frame.locator(".facet[data-name=class] .value >> nth=0").click()
            frame.locator("#count >> text=/^3$/").wait_for()
            frame.locator("[name=word]").fill("odd")
            frame.locator(".ex-tag button >> nth=0").click()
            frame.locator("#tag-said >> text=3 rows got the tag odd").wait_for()
            drawn = "image => image.decode().then(() => image.naturalWidth)"
            assert frame.locator(".pic img").first.evaluate(drawn) == 60
    assert {row.by for row in read_tag(run, "odd")} == {"Anna"}
