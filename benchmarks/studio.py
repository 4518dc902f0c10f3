"""20 annotators at 2 verdicts per second each on one studio: how long the slowest of 100 verdicts takes to be stored.

Each annotator works as a browser does: asks for rows ahead, loads their pictures, and sends a verdict every half
second; each verdict is on disk when the studio answers. The ratio is the 99th percentile of that answer over 150
ms. The annotators are threads of one process on the same machine, so their own work is in the figure.
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
from PIL import Image
from tests.studio.made import Browser, ask, make_run, new_key

from benchmarks.timing import fresh_folder

PEOPLE, PER_SECOND, SECONDS, WANTED = 20, 2.0, 30.0, 0.150
ROWS, SIZE = 2_400, (1024, 768)

Times = dict[str, list[float]]


def run(work: Path) -> float:
    folder = fresh_folder(work)
    photographs = [photograph(index) for index in range(64)]
    photos = {f"u{index:04d}": photographs[index % 64] for index in range(ROWS)}
    made = make_run(folder, ROWS, ("all",), **photos)
    ask(made, rule="all")
    times: Times = defaultdict(list)
    with subprocess.Popen(
        [sys.executable, "-m", "poolwright", "studio", str(made), "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline().split()[1].rpartition(":")[2])
        people = [threading.Thread(target=annotator, args=(port, number, times)) for number in range(PEOPLE)]
        for person in people:
            person.start()
        for person in people:
            person.join()
        server.terminate()
    for name, found in times.items():
        p50, p99 = np.percentile(found, [50, 99]) * 1000
        print(
            f"  {name}: {len(found)} requests, median {p50:.0f} ms, p99 {p99:.0f} ms, worst {max(found) * 1000:.0f} ms"
        )
    return float(np.percentile(times["verdict"], 99)) / WANTED


def photograph(index: int) -> bytes:
    """A JPEG of about 150 kB: smooth colours with noise."""
    draw = np.random.default_rng(index)
    coarse = draw.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(picture + draw.integers(-8, 9, (SIZE[1], SIZE[0], 1)), 0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=85)
    return out.getvalue()


def annotator(port: int, number: int, times: Times) -> None:
    """One person for SECONDS; pictures are loaded at the same time, as a browser does."""
    browser, loader = Browser(port, f"person {number}"), Browser(port, f"person {number}")
    time.sleep(number / PEOPLE / PER_SECOND)
    ahead: list[str] = []
    end, due = time.monotonic() + SECONDS, time.monotonic()
    loading: list[threading.Thread] = []
    while (now := time.monotonic()) < end:
        if now < due:
            time.sleep(due - now)
        due += 1 / PER_SECOND
        if len(ahead) < 8:
            begun = time.perf_counter()
            fresh = [card["uid"] for card in browser.take("kept", 12 - len(ahead), have=ahead)]
            times["take"].append(time.perf_counter() - begun)
            ahead += fresh
            if loading:
                loading.pop().join()
            loading.append(threading.Thread(target=load, args=(loader, fresh, times)))
            loading[0].start()
        key = new_key()
        answer = {"uid": ahead.pop(0), "verdict": "positive", "key": key, "seconds": 0.5}
        begun = time.perf_counter()
        browser.ask("/verify/kept/say", {"act": key, "answers": [answer]})
        times["verdict"].append(time.perf_counter() - begun)
    for thread in loading:
        thread.join()


def load(loader: Browser, uids: list[str], times: Times) -> None:
    for uid in uids:
        begun = time.perf_counter()
        status, _, _ = loader.get("/picture?" + urlencode({"table": "kept", "uid": uid, "edge": 1280}))
        assert status == 200
        times["picture"].append(time.perf_counter() - begun)
