"""Small pools and recipes that run tests share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.api import Recipe
from poolwright.core.rows import vector_array

WIDTH, CLASSES = 16, 12

STEPS: list[dict[str, Any]] = [
    {"label": {"with": "embedding", "vocabulary": "classes.txt", "features": "features.npy"}},
    {"where": "similarity > 0.1"},
    {"top": {"by": "similarity", "fraction": 0.8}},
    {"drop_small": {"group": "continent", "below": "4%"}},
    {"largest": {"group": "label", "n": 8, "at_least": 5}},
    {"cap": {"group": "label", "n": 400}},
    {"split": {"ratios": {"train": 0.7, "test": 0.3}, "stratify": ["label"]}},
]


def make_rows(count: int, seed: int = 5) -> pa.Table:
    """Rows with vectors around class centres, long-tailed groups, unicode text, some nulls."""
    generator = np.random.default_rng(seed)
    centres = class_features()
    weights = 1.0 / np.arange(1, CLASSES + 1)
    chosen = generator.choice(CLASSES, count, p=weights / weights.sum())
    vectors = centres[chosen] + 0.8 * generator.standard_normal((count, WIDTH)) / np.sqrt(WIDTH)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16)
    continents = np.array(["Europe", "Asia", "Africa", "Südamerika", "Oceania"])
    places = generator.choice(5, count, p=[0.4, 0.3, 0.18, 0.1, 0.02])
    texts = [None if row % 17 == 0 else f"a picture Nr. {row} – 写真" for row in range(count)]
    return pa.table(
        {
            "uid": [f"row-{row:07d}" for row in range(count)],
            "text": texts,
            "continent": continents[places].tolist(),
            "width": generator.integers(10, 4000, count),
            "embedding": vector_array(vectors),
        }
    )


def class_features() -> np.ndarray:
    """Unit vectors of the classes, float32 (CLASSES, WIDTH)."""
    features = np.random.default_rng(3).standard_normal((CLASSES, WIDTH)).astype(np.float32)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def write_pool(folder: Path, table: pa.Table, parts: int = 6, row_group: int = 1000) -> None:
    """Write rows as `parts` parquet files below `folder/rows`, with the vocabulary and its features next to them."""
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    edges = np.linspace(0, table.num_rows, parts + 1).astype(int)
    for part in range(parts):
        piece = table.slice(edges[part], edges[part + 1] - edges[part])
        pq.write_table(piece, folder / "rows" / f"{part:03d}.parquet", row_group_size=row_group)
    (folder / "classes.txt").write_text("".join(f"class {index}\n" for index in range(CLASSES)))
    np.save(folder / "features.npy", class_features())


def recipe_data(steps: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """A recipe over the pool of `write_pool`, as data."""
    return {
        "recipe": 1,
        "name": "test",
        "seed": 7,
        "pools": {"rows": {"read": "table", "path": "rows"}},
        "tables": {"chosen": {"from": "rows", "steps": STEPS if steps is None else steps}},
        **more,
    }


def make_recipe(folder: Path, steps: list[dict[str, Any]] | None = None, **more: Any) -> Recipe:
    return Recipe.from_data(recipe_data(steps, **more), folder)


def final_files(run_folder: Path) -> dict[str, bytes]:
    """Every file of a run folder that must be the same from run to run, leftovers of writers and workers included."""
    varying = ("timings.json", "inputs.parquet", "run.lock", "run.lock.holder", "run.json")
    return {
        path.relative_to(run_folder).as_posix(): path.read_bytes()
        for path in sorted(run_folder.rglob("*"))
        if path.is_file() and path.name not in varying and path.parent != run_folder / "logs"
    }
