"""The studio's first look at 10 million rows, and how long its page waits for an answer.

A real studio is asked over HTTP, as by a browser. The first look is the time from starting `poolwright studio`, without
an index, to a page that shows rows. Then a studio is started anew, and asked every kind of question seven times, each
about another value, so that nothing but the kernel's page cache is warm; and once more with the same values. The ratio
of `first_look` is that time over 30 s, that of `first_look-questions` the median of the slowest kind over 100 ms.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from tests.studio.made import Browser

from benchmarks import timing
from benchmarks.timing import fresh_folder, measure, python

ROWS, FILES, LABELS = 10_000_000, 10, 1_000
FIRST_LOOK, QUESTION = 30.0, 0.1
COUNTRIES = tuple(f"{first}{second}" for first in "ABCDEFGHIJ" for second in "KLMNOPQRST")

RECIPE = """
recipe: 1
name: look
seed: 7
pools:
  metadata: {read: table, path: rows}
tables:
  chosen:
    from: metadata
    steps:
      - where: width >= 200
      - where: country != 'AK'
      - top: {by: score, n: 3_500_000}
"""
RUN = """
import sys
from poolwright.api import run
run(sys.argv[1], sys.argv[2])
"""

Pairs = Sequence[tuple[str, object]]


def questions() -> dict[str, list[tuple[str, Pairs]]]:
    """Seven questions of each kind: a part of the page, and its parameters."""
    labels = [f"class {number:04d}" for number in (3, 0, 41, 7, 120, 999, 12)]
    countries = [COUNTRIES[number] for number in (1, 5, 17, 33, 50, 71, 99)]
    reasons = ["where: the expression is not true", "top: not among the best"]
    ends = [0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.45]
    return {
        "rows, all": [("", [])] * 7,
        "rows by label": [("", [("is.label", label)]) for label in labels],
        "rows by reason": [("", [("is.drop reason", one)]) for one in reasons],
        "rows by range": [("", [("min.score", end)]) for end in ends],
        "rows, page N": [("/rows", [("start", 600 * 4**number)]) for number in range(7)],
        "rows, page N by country": [("/rows", [("is.country", one), ("start", 60_000)]) for one in countries],
        "rows sorted": [("", [("sort", "score"), ("down", "1"), ("is.label", label)]) for label in labels],
        "words": [("", [("has", f"number {number}")]) for number in (7, 4411, 90210, 123, 31337, 12, 55)],
        "labels of a country": [("/facet", [("name", "label"), ("is.country", one)]) for one in countries],
        "countries of a label": [("/facet", [("name", "country"), ("is.label", one)]) for one in labels],
        "reasons of a country": [("/facet", [("name", "drop reason"), ("is.country", one)]) for one in countries],
        "histogram": [("/number", [("name", "score"), ("is.country", one)]) for one in countries],
        "all facets": [("/facets", [("is.country", one)]) for one in countries],
    }


def run(work: Path, backend: str = "") -> float:
    """The first look over 30 s, or with 'questions' the slowest kind of question over 100 ms; at most 1.

    Args:
        work: folder of the data.
        backend: '' or 'questions'.
    """
    prepare(work)
    if not backend:
        return first_look(work) / FIRST_LOOK
    with studio(work / "run") as browser:
        _usable(browser)
    medians = []
    with studio(work / "run") as browser:
        for kind, asked in questions().items():
            fresh, again = ([_ask(browser, *one) for one in asked] for _ in range(2))
            medians.append(float(np.median(fresh)))
            shown = [1_000 * value for value in (fresh[0], medians[-1], max(fresh), float(np.median(again)))]
            print("  {}: first {:.0f}, median {:.0f}, worst {:.0f}, again {:.0f} ms".format(kind, *shown))
    return max(medians) / QUESTION


def prepare(work: Path) -> None:
    """Make the rows, and the table of them; done once."""
    if (work / "run" / "tables" / "chosen" / "table.json").exists():
        return
    make_rows(fresh_folder(work / "rows"))
    (work / "look.yaml").write_text(RECIPE)
    measure(python(RUN, work / "look.yaml", work / "run"), work / "run.log")


def first_look(work: Path) -> float:
    """Seconds from the start of a studio without an index to a page of rows."""
    shutil.rmtree(work / "run" / "explore", ignore_errors=True)
    begun = time.perf_counter()
    with studio(work / "run") as browser:
        _usable(browser)
        seconds = time.perf_counter() - begun
        facets = _ask(browser, "/facets", [])
    size = sum(path.stat().st_size for path in (work / "run" / "explore").rglob("*") if path.is_file())
    print(f"  first page after {seconds:.1f} s, its facets {facets:.2f} s later, {size / 1e9:.2f} GB on disk")
    return seconds


@contextmanager
def studio(run: Path) -> Iterator[Browser]:
    """A studio in a process of its own, and a browser in it."""
    command = [sys.executable, "-m", "poolwright", "studio", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield Browser(int(server.stdout.readline().split()[1].rpartition(":")[2]), "benchmark")
            used = _memory(server.pid)
            timing.PEAKS["poolwright"] = max(timing.PEAKS.get("poolwright", 0), used["VmHWM"])
            print(f"  peak {used['VmHWM'] / 1e9:.2f} GB with mapped files, {used['RssAnon'] / 1e9:.2f} GB without now")
        finally:
            server.terminate()


def _memory(pid: int) -> Mapping[str, int]:
    """Peak resident memory and the memory that is no file, in bytes, as Linux names them."""
    lines = [line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if words[-1] == "kB"}


def _usable(browser: Browser) -> None:
    """Ask for the page until it shows rows, ten times a second."""
    while True:
        status, _, body = browser.get("/explore/chosen")
        assert status == 200, body[-500:]
        if b'id="facets"' in body:
            return
        time.sleep(0.1)


def _ask(browser: Browser, part: str, parameters: Pairs) -> float:
    begun = time.perf_counter()
    status, _, body = browser.get(f"/explore/chosen{part}?{urlencode(parameters)}")
    seconds = time.perf_counter() - begun
    if status != 200 or b"ex-trouble" in body:
        raise RuntimeError(f"{part} {parameters}: {status} {body[-500:]!r}")
    return seconds


def make_rows(folder: Path) -> None:
    """Rows as of a pool of photographs on the web."""
    generator = np.random.default_rng(11)
    labels = pa.array([f"class {number:04d}" for number in range(LABELS)])
    countries, weights = pa.array(COUNTRIES), 1.0 / np.arange(1, LABELS + 1) ** 0.9
    rows = ROWS // FILES
    for file in range(FILES):
        label = labels.take(pa.array(generator.choice(LABELS, rows, p=weights / weights.sum())))
        numbers = pa.array(np.arange(rows) + file * rows).cast(pa.string())
        uids = pc.utf8_lpad(numbers, 11, "0")
        few = weights[: len(COUNTRIES)] / weights[: len(COUNTRIES)].sum()
        url = pc.binary_join_element_wise("https://photos.example.org/", uids, ".jpg", "")
        columns = {
            "uid": uids,
            "url": url,
            "text": pc.binary_join_element_wise("a photo of ", label, " number ", numbers, ""),
            "label": label,
            "country": countries.take(pa.array(generator.choice(len(COUNTRIES), rows, p=few))),
            "score": generator.random(rows, np.float32) / 2,
            "year": generator.integers(1990, 2026, rows, dtype=np.int32),
            "width": generator.integers(100, 1_000, rows, dtype=np.int32),
        }
        pq.write_table(pa.table(columns), folder / f"part-{file:02d}.parquet", row_group_size=500_000)
