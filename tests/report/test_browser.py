"""The page in a real browser: no errors, no requests, something to see, tabs that work."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from poolwright.report.page import write_report
from tests.report.made import make_table, photos
from tests.report.test_page import LOST, STEPS, TOP, TableView, coloured, some_dropped

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no {CHROMIUM}")]


@pytest.mark.parametrize("width", [1280, 360])
def test_page_opens_without_a_word(width: int, tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    rows = photos(600, classes=60, text=['<script>document.title = "broken"</script>'] * 600)
    table = make_table(tmp_path / "kept", rows, steps=STEPS, lost=LOST, states=TOP)
    path = write_report([TableView(table, coloured, some_dropped)], tmp_path / "report.html", "world")
    said: list[str] = []
    asked: list[str] = []
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        assert page.title() == "world: report"
        assert page.is_visible("#overview")
        assert page.is_hidden("#t1")
        page.click("nav.side a[href='#t1']")
        assert page.is_visible("#t1-funnel")
        assert page.is_hidden("#overview")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.hover("#t1-funnel .funnel rect.kept >> nth=0")
        assert "kept: " in page.inner_text("#tip")
        assert page.is_hidden("#t1-steps ol.steps")
        page.goto(f"{path.as_uri()}#t1-steps")
        assert page.is_visible("#t1-steps ol.steps")
        page.goto(f"{path.as_uri()}#t1-funnel")
        assert page.evaluate("document.documentElement.scrollHeight") < 2500
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
    assert len(shot.getcolors(1 << 24) or []) > 50
