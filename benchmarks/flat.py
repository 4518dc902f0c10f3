"""Cost per row of three kinds of work from 1 to 20 million rows; a figure of it goes to docs/images/flat.png.

`classify` decides by logistic regression, and `label` among 1,000 classes, on vectors of 64 numbers; `select` takes
the best three quarters, then at most 2,000 rows of each of 20,000 classes. The time of a run of 10,000 rows is taken
off each: it is that of starting, and of training.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import fresh_folder, measure, python
from poolwright.core.rows import vector_array

MILLIONS, FILE, WIDTH, CLASSES = (1, 5, 20), 1_000_000, 64, 1_000
SMALL, BATCH = 10_000, 100_000
STEPS = {
    "classify": "classify: {with: vector, examples: examples, split: split, positive: even, candidates: [logistic]}",
    "label": "label: {with: vector, vocabulary: classes.txt, features: classes.npy}",
    "select": "top: {by: score, fraction: 0.75}\n      - cap: {group: class, n: 2000}",
}
FIGURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "flat.png"

RECIPE = """
recipe: 1
name: flat
seed: 5
pools:
  rows: {{read: table, path: [{paths}]}}
  given: {{read: table, path: examples.parquet}}
tables:
  examples: {{from: given}}
  made:
    from: rows
    ledger: counts
    steps:
      - {step}
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""


def run(work: Path, millions: tuple[int, ...] = MILLIONS) -> float:
    """Return the cost per row of the most rows over that of the fewest, of the work where it grows most."""
    make_rows(work, max(millions))
    costs: dict[str, list[float]] = {}
    for name in STEPS:
        start = min(seconds_of(work, name, ["small.parquet"]) for _ in range(2))
        costs[name] = []
        for size in millions:
            taken = seconds_of(work, name, [f"rows/part-{part:02d}.parquet" for part in range(size)]) - start
            costs[name].append(taken / size)
            print(f"  {name}: {size} million rows: {taken:.1f} s, {taken / size:.2f} µs per row", flush=True)
    draw(millions, costs)
    return max(cost[-1] / cost[0] for cost in costs.values())


def seconds_of(work: Path, name: str, paths: list[str]) -> float:
    """Seconds of a run with one of the steps."""
    recipe = work / f"{name}.yaml"
    recipe.write_text(RECIPE.format(paths=", ".join(paths), step=STEPS[name]))
    command = python(OURS, recipe, work / "run")
    return measure(command, work / "poolwright.log").seconds


def make_rows(work: Path, files: int) -> None:
    """Write files of a million rows, classes and examples; done once."""
    folder = work / "rows"
    if (folder / f"done-{files}").exists():
        return
    fresh_folder(folder)
    draw_numbers = np.random.default_rng(3)
    centres = draw_numbers.standard_normal((CLASSES, WIDTH)).astype(np.float32)
    np.save(work / "classes.npy", centres / np.linalg.norm(centres, axis=1, keepdims=True))
    (work / "classes.txt").write_text("".join(f"class {number}\n" for number in range(CLASSES)))
    few = rows_of(2_000, draw_numbers, centres, "e")
    kinds = np.where(few.column("class").to_numpy() // 20 % 2 == 0, "even", "odd")
    split = np.where(np.arange(2_000) % 5 == 0, "validation", "train")
    examples = few.set_column(few.column_names.index("class"), "class", pa.array(kinds.tolist()))
    pq.write_table(examples.append_column("split", pa.array(split.tolist())), work / "examples.parquet")
    pq.write_table(rows_of(SMALL, draw_numbers, centres, "s"), work / "small.parquet")
    for number in range(files):
        path = folder / f"part-{number:02d}.parquet"
        with pq.ParquetWriter(path, few.schema, compression="none", use_dictionary=False) as writer:
            for start in range(0, FILE, BATCH):
                writer.write_table(rows_of(BATCH, draw_numbers, centres, f"{number:02d}-{start:07d}"))
    (folder / f"done-{files}").touch()


def rows_of(count: int, draw_numbers: np.random.Generator, centres: np.ndarray, name: str) -> pa.Table:
    """Unit vectors around the centres, with one of 20,000 classes and a score."""
    near = draw_numbers.integers(0, len(centres), count)
    vectors = centres[near] + draw_numbers.standard_normal((count, WIDTH)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pa.table(
        {
            "uid": [f"{name}-{row:06d}" for row in range(count)],
            "class": near * 20 + draw_numbers.integers(0, 20, count),
            "score": draw_numbers.random(count).astype(np.float32),
            "vector": vector_array(vectors.astype(np.float16)),
        }
    )


def draw(millions: tuple[int, ...], costs: dict[str, list[float]]) -> None:
    """Draw the figure of docs/scaling.md."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    for name, cost in costs.items():
        axes.plot(millions, cost, marker="o", label=name)
    axes.set(xlabel="million rows", ylabel="microseconds per row", ylim=(0, None), xticks=millions)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(FIGURE, dpi=110)
    plt.close(figure)
