"""MapPool's filter over a CommonPool of five million rows, as one `poolwright run`: examples, training, filter.

The pool has its vectors in `.npz` next to `.parquet`, 50 shards of 100,000 rows; the classifiers learn from the same
numbers of examples as MapPool's, whose published total rate on CommonPool is 5,600 to 7,100 rows per second and CPU.
The kept rows are compared with the truth of the generated pool.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from benchmarks.timing import Usage, measure, python
from poolwright.conformance.commonpool import SEED, GeneratedPool, write
from poolwright.conformance.mappool import PUBLISHED_PACE, write_examples
from poolwright.core.table import Table

ROWS, SHARDS = 5_000_000, 50

RECIPE = """
recipe: 1
name: commonpool
seed: 2024
pools:
  labelled: {{read: table, path: examples.parquet}}
  commonpool: {{read: commonpool, path: {pool}, vectors: [l14_img]}}
tables:
  examples: {{from: labelled}}
  maps:
    from: commonpool
    ledger: counts
    steps:
      - classify:
          with: l14_img
          examples: examples
          split: split
          positive: map
          candidates: [{candidates}]
          choose_by: accuracy
          keep: true
releases:
  - {{table: maps, layout: mappool, columns: {{l14_txt: null}}, to: release}}
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2], release=False)
"""


def run(work: Path) -> float:
    """Return rows per second and core over those that MapPool published."""
    made = write(work / "pool", ROWS, SHARDS, ("l14_img",), SEED)
    recipe = write_recipe(work, "pool", "mean, logistic, mlp, svm")
    used = measure(python(OURS, recipe, work / "run"), work / "poolwright.log")
    table = Table(work / "run" / "tables" / "maps")
    tell(table, made, used)
    each = made.rows / used.seconds / (os.cpu_count() or 1)
    print(f"  {each:,.0f} rows/s and core, training and all; MapPool's own: 5,600 to {PUBLISHED_PACE:,}")
    return each / PUBLISHED_PACE


def write_recipe(work: Path, pool: str, candidates: str) -> Path:
    """Examples like those of MapPool, and the recipe over them and a pool; returns its path."""
    write_examples(work / "examples.parquet")
    path = work / "recipe.yaml"
    path.write_text(RECIPE.format(pool=pool, candidates=candidates))
    return path


def tell(table: Table, made: GeneratedPool, used: Usage) -> None:
    """Print the rows kept, their precision, the time taken and its parts."""
    record, timings = table.record, table.timings()
    print(f"  {record.steps[-1].learned}")
    print(f"  {record.rows_kept:,} of {record.rows_in:,} rows kept; {made.maps:,} are maps; {right_of(table)}")
    print(f"  {used.seconds:.1f} s, {made.rows / used.seconds:,.0f} rows/s, peak {used.peak / 1e9:.2f} GB")
    print(f"  {shares_of(timings['spent'])}; training {timings['fits'][record.steps[-1].state_name]['seconds']} s")


def right_of(table: Table) -> str:
    """Precision of the kept rows, by the truth in the generated pool."""
    if "truth" not in table.schema.names:
        return "no truth kept"
    kept = table.read(["truth"]).column("truth").to_numpy()
    return f"{kept.sum():,} of the kept, precision {kept.mean():.3f}"


def shares_of(spent: Mapping[str, float]) -> str:
    """Shares of the workers' time: reading, computing, writing."""
    whole = sum(spent.values())
    computing = whole - spent["read"] - spent["write"]
    parts = {"reading": spent["read"], "computing": computing, "writing": spent["write"]}
    return ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in parts.items())
