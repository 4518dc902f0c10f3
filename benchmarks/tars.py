"""WebDataset tars: writing a release against `tar` that copies the same files, and opening a pool of 1,000 tars.

The release reads 20,000 files of 30 kB (all 100,000 with POOLWRIGHT_BENCH_IMAGES=100000), checks and digests them, and
writes tars with captions and JSON, Parquet files of the rows, card and checksums, flushed to disk; `tar` writes the
files into one archive, and `sync` flushes it. The pool is opened in a new process with the indexes that a run has kept:
it reads the first samples of every tar, counts all samples and reads one picture of the last tar. Without an index, the
members of every tar have to be listed: Python's tarfile does that for comparison.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

from benchmarks.pictures import IMAGES, picture_table
from benchmarks.timing import fresh_folder, in_turn, python

TARS, SAMPLES = 1_000, 40

RELEASE = """
import shutil, sys
from pathlib import Path
from poolwright import Table
from poolwright.release.card.about import About
from poolwright.release.layouts.webdataset import WebDatasetLayout
shutil.rmtree(sys.argv[2], ignore_errors=True)
from poolwright.run.engine.local import LocalEngine
layout, about = WebDatasetLayout(figures=False), About(title="bench")
layout.write(Table(Path(sys.argv[1])), Path(sys.argv[2]), about, workers=LocalEngine())
"""
COPY = """
import subprocess, sys
subprocess.run(["tar", "cf", sys.argv[2], "-C", sys.argv[1], "."], check=True)
subprocess.run(["sync", sys.argv[2]], check=True)
"""
OPEN = """
import sys, time
from pathlib import Path
from poolwright.pools.webdataset.webdataset import WebDatasetPool
begun = time.perf_counter()
pool = WebDatasetPool(path=(sys.argv[1],)).keep_in(Path(sys.argv[2]))
pool.arrow_schema()
rows = sum(len(table) for part in pool.parts() for table in pool.read(part, [], 65536))
image = next(pool.read(pool.parts()[-1], ["image"], 1)).column("image")[0].as_py()
print(rows, len(image), time.perf_counter() - begun)
"""
LIST = """
import sys, tarfile, time
from pathlib import Path
begun = time.perf_counter()
keys = set()
for path in sorted(Path(sys.argv[1]).glob("*.tar")):
    with tarfile.open(path) as tar:
        keys.update(member.name.partition(".")[0] for member in tar)
print(len(keys), time.perf_counter() - begun)
"""


def run(work: Path, backend: str = "release") -> float:
    """Our rows/s of a release over those of tar; or, as 'open', our seconds to open a pool over 2."""
    return _open(work) if backend == "open" else _release(work)


def _release(work: Path) -> float:
    table = picture_table(work)
    commands = {
        "tar": python(COPY, work / "images", work / "copy.tar"),
        "poolwright": python(RELEASE, table, work / "out"),
    }
    used = in_turn(commands, work, times=1 if IMAGES > 50_000 else 3)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    return used["tar"].seconds / used["poolwright"].seconds


def _open(work: Path) -> float:
    if not (work / "tars" / f"{TARS - 1:05d}.tar").exists():
        fresh_folder(work / "tars")
        for shard in range(TARS):
            _write_tar(work / "tars" / f"{shard:05d}.tar", shard)
    commands = {
        "tarfile": python(LIST, work / "tars"),
        "poolwright": python(OPEN, work / "tars", work / "index"),
    }
    in_turn(commands, work, times=1)  # makes the indexes
    used = in_turn(commands, work)
    seconds = {name: float((work / f"{name}.log").read_text().split()[-1]) for name in used}
    for name in used:
        print(f"  {name}: {(work / f'{name}.log').read_text().strip()}")
    return seconds["poolwright"] / 2


def _write_tar(path: Path, shard: int) -> None:
    with tarfile.open(path, "w") as tar:
        for row in range(SAMPLES):
            key, about = f"{shard:05d}{row:04d}", {"url": f"http://a/{row}", "width": 640, "similarity": row / 7}
            files = {"jpg": bytes(3_000), "txt": b"a caption", "json": json.dumps(about).encode()}
            for extension, data in files.items():
                member = tarfile.TarInfo(f"{key}.{extension}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
