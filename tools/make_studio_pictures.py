"""Draw the pictures of docs/studio.md: the studio on a demo run, with people who gave some verdicts.

    python tools/make_studio_pictures.py DEMO/run

Needs Playwright and /usr/bin/chromium. Writes docs/images/studio-*.png.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
from PIL import Image

from poolwright.annotation.queue.queue import Settings, make_queue
from poolwright.core.table import Table
from poolwright.inspect.audit_sample import draw_sample
from poolwright.run.run import open_run
from poolwright.studio.verifying.live import LiveQueue, SentVerdict
from poolwright.studio.verifying.open_queues import OpenQueues

IMAGES = Path(__file__).parent.parent / "docs" / "images"
PICTURES = ("grid", "one-dark", "queue", "estimates")
GUIDE = """# Drawn things

Say **yes** where the thing is the main thing of the picture, drawn in whatever style; a part of it is enough where you
are sure. Say **unsure** where you would have to guess.

## bird

With wings, a beak and two legs.

### Positive

![a bird](yes.jpg)

### Negative

![no bird](no.jpg)
"""


def main() -> None:
    run = Path(sys.argv[1]).resolve()
    for name in ("domains-8", "maps-accuracy"):
        shutil.rmtree(run / "verify" / name, ignore_errors=True)
    for path in run.glob("verdicts.sqlite*"):
        path.unlink()
    _ask(run)
    command = [sys.executable, "-m", "poolwright", "studio", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().split()[1]
        try:
            _draw(address)
        finally:
            server.terminate()


def _ask(run: Path) -> None:
    """Make two queues with the verdicts of four people."""
    table = Table(run / "tables" / "domains-8").read(["uid", "label", "text", "image_path"])
    rows = pa.table({"uid": table["uid"], "class": table["label"], "text": table["text"]})
    folder = run / "verify" / "domains-8"
    queue = make_queue(folder, Settings("domains-8", target=0.95, overlap=2), rows)
    (folder / "instructions").mkdir()
    (folder / "instructions/instructions.md").write_text(GUIDE, encoding="utf-8")
    root = Table(run / "tables" / "domains-8").image_root or ""
    for name, label in (("yes", "bird"), ("no", "house")):
        row = table["label"].to_pylist().index(label)
        Image.open(Path(root) / table["image_path"][row].as_py()).save(folder / f"instructions/{name}.jpg")
    sample, sheet = draw_sample(open_run(run), "maps", 300)
    about = pa.table(
        {"uid": [one.uid for one in sheet], "class": [""] * len(sheet), "text": [one.text for one in sheet]}
    )
    settings = Settings("maps", "sample", "Is it a map?", record=sample.record)
    make_queue(run / "verify" / "maps-accuracy", settings, about, sample)
    queues = OpenQueues(run)
    live = queues.queue(queue.name)
    live.make_gold([(uid, "positive") for uid in queue.uids[::9]], "owner")
    draw = np.random.default_rng(4)
    for name in list(queue.groups)[1:5]:
        for who, care in (("Anna", 0.995), ("Ben", 0.99), ("Chris", 0.6)):
            _say(live, who, care, name, 25 if who == "Chris" else 60, draw)
    decisions = queues.queue("maps-accuracy")
    kept = [stratum.kept for stratum in sample.strata]
    for uid, stratum in list(zip(sample.uids, sample.stratum, strict=True))[:230]:
        right = draw.random() < 0.97
        verdict = "positive" if kept[stratum] == right else "negative"
        decisions.say("Anna", [SentVerdict(uid, verdict, uuid.uuid4().hex, 1.1)])
    queues.stop()


def _say(live: LiveQueue, who: str, care: float, group: str, number: int, draw: Any) -> None:
    for card in live.take(who, number, group):
        verdict = "positive" if draw.random() < care else "negative"
        live.say(who, [SentVerdict(card.uid, verdict, uuid.uuid4().hex, float(draw.uniform(0.6, 1.6)))])


def _draw(address: str) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for theme in ("light", "dark"):
            wanted = {one.removesuffix("-dark") for one in PICTURES if one.endswith("-dark") == (theme == "dark")}
            context = browser.new_context(viewport={"width": 1280, "height": 760}, color_scheme=theme)
            page = context.new_page()
            page.goto(f"{address}/enter")
            page.fill("#name", "Dora")
            page.keyboard.press("Enter")
            page.wait_for_timeout(800)
            base = f"{address}/verify/domains-8"
            group = quote("bird")
            shots = [
                ("grid", f"{base}/grid?group={group}", ("ArrowRight", "ArrowRight", "Space", "ArrowDown", "u")),
                ("one", f"{base}/one?group={group}", ("y", "y", "n", "y")),
                ("queue", base, ()),
                ("estimates", f"{address}/verify/maps-accuracy/estimates?recall=5%25&precision=3%25", ()),
            ]
            for name, url, keys in (shot for shot in shots if shot[0] in wanted):
                page.goto(url)
                page.wait_for_timeout(900)
                for key in keys:
                    page.keyboard.press(key)
                    page.wait_for_timeout(150)
                page.wait_for_timeout(500)
                _save(page.screenshot(), IMAGES / f"studio-{name}{'-dark' if theme == 'dark' else ''}.png")
            context.close()
        browser.close()


def _save(data: bytes, path: Path) -> None:
    """Save a picture with few bytes, for a page of the docs."""
    import io

    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
