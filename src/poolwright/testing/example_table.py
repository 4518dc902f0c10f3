"""Makes a small finished table with images, by a run, to try layouts on."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.table import Table

_LABELS = ("cat", "Häuser, alt", "a|b <i>", None)
_DROPPED = 3


def example_table(folder: Path, rows: int = 40) -> Table:
    """Make a table of rows with images, classes, splits, licences, nulls and vectors.

    Args:
        folder: an empty folder for the pool and the run.
        rows: rows that the table keeps; three more are dropped.

    Returns:
        A table with the columns uid, url, text, image_path, label, continent, license, author, taken_at, split,
        similarity, clip.
    """
    from poolwright.api import Recipe

    made = _rows(rows + _DROPPED)
    for number, path in enumerate(made.column("image_path").to_pylist()):
        (folder / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / path).write_bytes(_image(number))
    pq.write_table(made, folder / "rows.parquet")
    data: dict[str, Any] = {
        "recipe": 1,
        "name": "example",
        "seed": 1,
        "pools": {"rows": {"read": "table", "path": "rows.parquet", "images": "images"}},
        "tables": {"example": {"from": "rows", "steps": [{"top": {"by": "similarity", "n": rows}}]}},
    }
    result = Recipe.from_data(data, folder).run(folder / "run", workers=1)
    return result.tables["example"]


def _rows(count: int) -> pa.Table:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(count, 16)).astype(np.float32)
    numbers = range(count)
    return pa.table(
        {
            "uid": [f"row-{number:03d}" for number in numbers],
            "url": [f"https://example.org/{number}.jpg" for number in numbers],
            "text": [None if number % 5 == 0 else f"picture {number}, 'of' \"something\"" for number in numbers],
            "image_path": [f"{number // 10}/{number}.jpg" for number in numbers],
            "label": [_LABELS[number % len(_LABELS)] for number in numbers],
            "continent": [("Europe", "Africa")[number % 2] for number in numbers],
            "license": ["CC-BY-2.0" if number % 2 else "CC0-1.0" for number in numbers],
            "author": [f"Zoë {number}" for number in numbers],
            "taken_at": pa.array([number * 10**12 for number in numbers], pa.timestamp("us", tz="UTC")),
            "split": [("train", "train", "test")[number % 3] for number in numbers],
            "similarity": pa.array(0.2 + 0.001 * np.arange(count), pa.float32()),
            "clip": pa.array(list(vectors), pa.list_(pa.float32())),
        }
    )


def _image(number: int) -> bytes:
    """Make an image file that differs from that of any other number; every third is a PNG."""
    from PIL import Image

    draw, out = np.random.default_rng(number), io.BytesIO()
    pixels = draw.integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "PNG" if number % 3 == 2 else "JPEG")
    return out.getvalue()
