"""A small pool whose truth is known, a recipe that asks people about it, and its instructions, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from poolwright.api import Recipe

CLASSES = ("boat", "cat", "dog")
ROWS = 72


def write_pool(folder: Path, rows: int = ROWS, labels: dict[str, str] | None = None) -> dict[str, str]:
    """Write `rows.parquet`; returns the true class of every row. One label in four is wrong.

    Args:
        labels: other labels by uid.
    """
    draw = np.random.default_rng(0)
    truth = {f"r{row:03d}": CLASSES[row % 3] for row in range(rows)}
    label = {uid: (name if number % 4 else "cat") for number, (uid, name) in enumerate(truth.items())}
    label |= labels or {}
    table = pa.table(
        {
            "uid": list(truth),
            "label": [label[uid] for uid in truth],
            "bucket": [row // 3 % 2 for row in range(rows)],
            "similarity": draw.random(rows).round(2).astype(np.float32),
            "url": [f"https://example.org/{uid}.jpg" for uid in truth],
            "text": [f"a picture, № {row} 🙂" for row in range(rows)],
        }
    )
    pq.write_table(table, folder / "rows.parquet")
    return truth


def labels_of(folder: Path) -> dict[str, str]:
    table = pq.read_table(folder / "rows.parquet")
    return dict(zip(table["uid"].to_pylist(), table["label"].to_pylist(), strict=True))


def recipe(
    folder: Path, name: str = "recipe.yaml", before: list[Any] | None = None, verb: str = "verify", **parameters: Any
) -> Recipe:
    """A recipe with a step that asks people over these rows, written to the folder and loaded."""
    steps = [*(before or []), {verb: {"class": "label", **parameters}}]
    data = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": steps}},
    }
    (folder / name).write_text(yaml.safe_dump(data, sort_keys=False))
    return Recipe.load(folder / name)


def write_instructions(folder: Path, classes: tuple[str, ...] = CLASSES, text: str = "Look *closely*.") -> Path:
    """Write `instructions.md` with a picture for and against each class; the names of the files have blanks."""
    (folder / "pictures").mkdir(exist_ok=True)
    page = f"# What is wanted\n\n{text}\n"
    for index, name in enumerate(classes):
        page += f"\n## {name}\n\nA {name}, <b>whole</b>, for 5$ or {{less}}.\n"
        for kind in ("positive", "negative"):
            file = f"pictures/{name} {kind}.png"
            Image.new("RGB", (24, 18), (40 * index, 200 if kind == "positive" else 40, 90)).save(folder / file)
            page += f"\n### {kind.title()}\n\n![{kind} of {name}](<{file}>)\n"
    path = folder / "instructions.md"
    path.write_text(page, encoding="utf-8")
    return path
