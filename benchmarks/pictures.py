"""A table of JPEG files of 30 kB each, for benchmarks that release them."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.timing import fresh_folder
from poolwright.api import Recipe

IMAGES, IMAGE_BYTES = int(os.environ.get("POOLWRIGHT_BENCH_IMAGES", 20_000)), 30_000
"""20,000 pictures, or as many as POOLWRIGHT_BENCH_IMAGES says."""


def picture_table(work: Path) -> Path:
    """Return the folder of a finished table of pictures below one folder per thousand, with captions; make it once."""
    if not (work / "run" / "tables" / "all" / "table.json").exists():
        paths = write_pictures(work / "images", IMAGES, IMAGE_BYTES)
        rows = {"uid": paths, "image_path": paths, "text": [f"a caption of {path}" for path in paths]}
        pq.write_table(pa.table(rows), work / "rows.parquet")
        pools = {"files": {"read": "table", "path": "rows.parquet", "images": "images"}}
        data = {"recipe": 1, "name": "bench", "pools": pools, "tables": {"all": {"from": "files"}}}
        Recipe.from_data(data, work).run(work / "run")
    return work / "run" / "tables" / "all"


def write_pictures(folder: Path, count: int, size: int, photos: Sequence[bytes] = ()) -> list[str]:
    """Write JPEG files of `size` bytes, all different, to a new folder, and return their paths below it.

    Args:
        photos: what they show, in turn; default a small plain picture.
    """
    fresh_folder(folder)
    space = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 60, 30)).save(space, "JPEG")
    starts, draw = photos or [space.getvalue()], np.random.default_rng(0)
    paths = [f"{number // 1_000:03d}/{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        start = starts[number % len(starts)]
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(start + draw.bytes(size - len(start)))
    return paths
