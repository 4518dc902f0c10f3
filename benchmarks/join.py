"""One million labels joined to 20 million metadata rows, against one DuckDB query.

Both read the same Parquet files and write all rows, with nulls for those without a label, to Parquet. The ratio is of
equal work: compressed by zstd, as our tables are. That over DuckDB's default, snappy, is printed as well. Ours also
checks that uids are unique and that no label contradicts another, counts the rows and the labels without a match, and
digests what it reads and writes. The labels must be the same.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import fresh_folder, in_turn, python

ROWS, FILES, LABELS, UNMET = 20_000_000, 8, 1_000_000, 50_000

RECIPE = """
recipe: 1
name: join
pools:
  metadata: {read: table, path: rows}
  labels: {read: table, path: labels.parquet}
tables:
  labelled:
    from: metadata
    steps:
      - join: {with: labels, on: uid, columns: [label, score]}
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""

DUCKDB = """
import sys, duckdb
work, out, codec = sys.argv[1:]
duckdb.sql(f'''
COPY (
  SELECT rows.*, labels.label, labels.score
  FROM read_parquet('{work}/rows/*.parquet') rows LEFT JOIN read_parquet('{work}/labels.parquet') labels USING (uid)
) TO '{out}' (FORMAT parquet, COMPRESSION {codec})''')
"""

SUMMARY = "SELECT count(*), count(label), sum(hash(uid, label, score)) FROM read_parquet('{}')"


def run(work: Path) -> float:
    """Our wall time over DuckDB's; at most 2 is wanted. Prints both, and our peak memory."""
    make_rows(work)
    recipe = work / "join.yaml"
    recipe.write_text(RECIPE)
    out = work / "duckdb.parquet"
    peers = {f"duckdb-{codec}": python(DUCKDB, work, out, codec) for codec in ("snappy", "zstd")}
    used = in_turn({**peers, "poolwright": python(OURS, recipe, work / "run")}, work)
    ours = duckdb.sql(SUMMARY.format(work / "run" / "tables" / "labelled" / "part-*.parquet")).fetchall()
    theirs = duckdb.sql(SUMMARY.format(out)).fetchall()
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    print(f"  rows and labels: {ours} and {theirs}")
    if ours != theirs:
        raise RuntimeError("the two joins differ")
    for name in peers:
        print(f"  our time over that of {name}: {used['poolwright'].seconds / used[name].seconds:.2f}")
    return used["poolwright"].seconds / used["duckdb-zstd"].seconds


def make_rows(work: Path) -> None:
    """Metadata, and labels of a random twentieth, in another order; some labels are of no row. Done once."""
    if (work / "rows" / "done").exists():
        return
    fresh_folder(work / "rows")
    generator = np.random.default_rng(16)
    for file in range(FILES):
        rows = ROWS // FILES
        table = pa.table(
            {
                "uid": uids(np.arange(rows) + file * rows),
                "country": pa.array(["FR", "DE", "JP", "KE", "BR"]).take(pa.array(generator.integers(0, 5, rows))),
                "width": generator.integers(64, 4_000, rows).astype(np.int32),
                "similarity": (0.24 + 0.05 * generator.standard_normal(rows)).astype(np.float32),
            }
        )
        pq.write_table(table, work / "rows" / f"part-{file:02d}.parquet", row_group_size=500_000)
    numbers = np.append(generator.choice(ROWS, LABELS - UNMET, replace=False), ROWS + np.arange(UNMET))
    classes = pa.array([f"n{index:08d} class {index}" for index in range(1_000)])
    labels = {
        "uid": uids(generator.permutation(numbers)),
        "label": classes.take(pa.array(generator.integers(0, 1_000, LABELS))),
        "score": generator.random(LABELS).astype(np.float32),
    }
    pq.write_table(pa.table(labels), work / "labels.parquet")
    (work / "rows" / "done").touch()


def uids(numbers: np.ndarray) -> pa.Array:
    """Uids of 11 digits, (n,)."""
    return pa.array((numbers + 10**10).astype(str))
