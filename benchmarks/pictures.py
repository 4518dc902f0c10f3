"""A table of JPEG files of 30 kB each, for benchmarks that release them."""

from __future__ import annotations

import io
import os
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
        fresh_folder(work / "images")
        space = io.BytesIO()
        Image.new("RGB", (64, 64), (90, 60, 30)).save(space, "JPEG")
        start, draw = space.getvalue(), np.random.default_rng(0)
        paths = [f"{number // 1_000:03d}/{number:06d}.jpg" for number in range(IMAGES)]
        for path in paths:
            (work / "images" / path).parent.mkdir(exist_ok=True)
            (work / "images" / path).write_bytes(start + draw.bytes(IMAGE_BYTES - len(start)))
        rows = {"uid": paths, "image_path": paths, "text": [f"a caption of {path}" for path in paths]}
        pq.write_table(pa.table(rows), work / "rows.parquet")
        pools = {"files": {"read": "table", "path": "rows.parquet", "images": "images"}}
        data = {"recipe": 1, "name": "bench", "pools": pools, "tables": {"all": {"from": "files"}}}
        Recipe.from_data(data, work).run(work / "run")
    return work / "run" / "tables" / "all"
