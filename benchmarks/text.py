"""One large text file read by several workers: a CSV, or a CSV packed by gzip, cut between rows.

The same recipe reads 3 million rows with one worker and with one per core, in new processes; where the file is cut is
known from an earlier run, and kept next to it. The tables are the same bytes.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from benchmarks.timing import in_turn, python

ROWS = int(os.environ.get("POOLWRIGHT_BENCH_ROWS", 3_000_000))

RECIPE = """
recipe: 1
name: text
pools: {{metadata: {{read: table, path: {file}, types: {{similarity: double}}}}}}
tables: {{wide: {{from: metadata, steps: [{{where: "width > 100"}}]}}}}
"""
OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


def run(work: Path, backend: str = "csv") -> float:
    """Seconds of one worker over those of one per core; `backend` 'gz' packs the file by gzip."""
    file = _file(work, packed=backend == "gz")
    recipe = work / f"{backend}.yaml"
    recipe.write_text(RECIPE.format(file=file.name))
    commands = {
        f"{workers}-workers": python(OURS, recipe, work / f"run-{workers}", str(workers))
        for workers in (1, os.cpu_count() or 1)
    }
    in_turn(commands, work, times=1)  # finds the cuts
    used = in_turn(commands, work, times=2)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    one, several = (sorted((work / f"run-{name[0]}" / "tables" / "wide").glob("part-*.parquet")) for name in used)
    if [part.read_bytes() for part in one] != [part.read_bytes() for part in several]:
        raise RuntimeError("the tables differ")
    return used["1-workers"].seconds / list(used.values())[-1].seconds


def _file(work: Path, packed: bool) -> Path:
    plain, zipped = work / "rows.csv", work / "rows.csv.gz"
    if not plain.exists():
        numbers = np.random.default_rng(16)
        rows = {
            "uid": pa.array((np.arange(ROWS) + 10**10).astype(str)),
            "url": pa.array([f"http://photos.example.org/{row % 977}/{row:09d}.jpg" for row in range(ROWS)]),
            "text": pa.array([f"a photo of thing {row % 9_973}, seen from afar" for row in range(ROWS)]),
            "width": numbers.integers(64, 4_000, ROWS),
            "similarity": np.round(numbers.random(ROWS), 6),
        }
        pacsv.write_csv(pa.table(rows), plain)
    if packed and not zipped.exists():
        with plain.open("rb") as source, gzip.open(zipped, "wb", compresslevel=4) as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return zipped if packed else plain
