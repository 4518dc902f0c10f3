"""Reproduce MapPool: classifiers on as many examples as it had, and the best one's filter on a generated CommonPool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.api import RunResult
from poolwright.conformance.commonpool import PREVALENCE, SEED, examples, write
from poolwright.conformance.reproduction import Reproduction, shipped_data, without_steps
from poolwright.core.files import write_atomically
from poolwright.core.results.conformance import PublishedNumber
from poolwright.core.rows import vector_array

NAME, TABLE = "mappool", "maps"
ROWS, SHARDS = 500_000, 10
EXAMPLES = {"train": 1_860, "validation": 1_240}
"""Examples of maps, and as many of others."""

PUBLISHED = {
    "mean": ("L2 distance to averaged embeddings", 0.967),
    "logistic": ("logistic regression", 0.979),
    "mlp": ("MLP of 3 x 256 units", 0.982),
    "svm": ("SVM, polynomial of degree 3", 0.985),
}
"""What MapPool calls each candidate, and its accuracy on the validation examples."""

PUBLISHED_PACE = 7_100
"""Rows per second and CPU, the upper end: ten billion rows in 50 hours on 10 CPUs are 5,600."""


def write_examples(path: Path) -> None:
    """Write the examples with their vectors as a Parquet file, once."""
    if path.exists():
        return
    tables = []
    for stream, (split, each) in enumerate(EXAMPLES.items(), start=1):
        vectors, is_map = examples(SEED, each, stream)
        names = np.where(is_map, "map", "other")
        uids = [f"{split}-{index:05d}" for index in range(len(names))]
        columns = {"uid": uids, "class": names.tolist(), "split": [split] * len(names)}
        tables.append(pa.table({**columns, "l14_img": vector_array(vectors)}))
    write_atomically(path, lambda file: pq.write_table(pa.concat_tables(tables), file))


def prepare(folder: Path, rows: int = ROWS) -> dict[str, Any]:
    """Write examples and pool; the recipe without embedding the examples, which need pictures."""
    write_examples(folder / "examples.parquet")
    write(folder / "commonpool", rows, SHARDS, ("l14_img", "l14_txt"))
    data = shipped_data(NAME)
    data["pools"]["pictures"] = {"read": "table", "path": "examples.parquet"}
    data["pools"]["commonpool"]["path"] = "commonpool"
    del data["models"], data["figures"]
    without_steps(data, "examples", "embed")
    return data


def compare(result: RunResult) -> tuple[PublishedNumber, ...]:
    """Read the comparison of classifiers, the share of rows kept, and the pace."""
    table = result.tables[TABLE]
    fitted = next(step for step in table.record.steps if step.verb == "classify")
    found = {row["candidate"]: row for row in table.state(fitted.index).tables["comparison"].to_pylist()}
    timings = table.timings()
    rows, kept = table.record.rows_in, table.record.rows_kept
    pace = rows / sum(timings["spent"].values())
    return (
        PublishedNumber("examples to train with, of either kind", 1_860, EXAMPLES["train"], fixed=True),
        PublishedNumber("examples to compare with, of either kind", 1_240, found["svm"]["rows"] / 2, fixed=True),
        *(
            PublishedNumber(f"accuracy of {words}", accuracy, found[kind]["accuracy"], note=_GENERATED)
            for kind, (words, accuracy) in PUBLISHED.items()
        ),
        PublishedNumber("share of the pool that is kept", 0.0075, kept / rows, note=_KEPT),
        PublishedNumber("rows filtered per second and CPU", PUBLISHED_PACE, pace, note=_PACE),
    )


_GENERATED = "of generated vectors, not of maps"
_KEPT = f"{PREVALENCE:.2%} of the generated rows are maps"
_PACE = f"reading, deciding, writing, on this machine of {os.cpu_count()} cores"

REPRODUCTION = Reproduction(
    NAME,
    "the card of sraimund/MapPool",
    f"Examples of the published number and {ROWS:,} rows of CommonPool, with vectors around 400 centres, stand for "
    "Pinterest's pictures and the ten billion rows.",
    prepare,
    compare,
)
