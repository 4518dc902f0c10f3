"""Draw docs/images/report.png, the picture of the README: the demo's report, photographed.

    poolwright demo && python tools/make_picture.py demo/run/report.html

Needs playwright with a Chromium, or one that is installed.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

OUT = Path(__file__).resolve().parent.parent / "docs" / "images" / "report.png"
MARGIN = 24
SHEET = (84, 566)
"""Top and bottom, in pixels, of what is shown of the contact sheet: two classes."""


def main() -> None:
    report = Path(sys.argv[1]).resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{report.as_uri()}#t2")
        page.evaluate("document.querySelectorAll('details.fold').forEach(fold => { fold.open = true; })")
        funnel, sheet = _shot(page, "#t2-funnel"), _shot(page, "#t2-kept")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        browser.close()
    sheet = sheet.crop((0, SHEET[0], sheet.width, SHEET[1]))
    size = (funnel.width + 2 * MARGIN, funnel.height + sheet.height + 3 * MARGIN)
    picture = Image.new("RGB", size, tuple(int(part) for part in paper.strip("rgb()").split(",")))
    picture.paste(funnel, (MARGIN, MARGIN))
    picture.paste(sheet, (MARGIN, 2 * MARGIN + funnel.height))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(OUT, optimize=True)


def _shot(page: Page, selector: str) -> Image.Image:
    section = page.locator(selector)
    section.scroll_into_view_if_needed()
    page.wait_for_timeout(500)  # thumbnails are decoded when they come into view
    return Image.open(io.BytesIO(section.screenshot())).convert("RGB")


if __name__ == "__main__":
    main()
