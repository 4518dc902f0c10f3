"""Admission of a pool: uids that repeat, of 200 million, against DuckDB's count of the distinct ones.

Both read the same Parquet files. Ours also says which rows repeat the uid of an earlier one. DuckDB counts, with the
same memory.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import fresh_folder, in_turn, python

ROWS = int(os.environ.get("ADMIT_ROWS", 200_000_000))
FILE_ROWS, REPEATED = 4_000_000, 1_000

OURS = """
import sys
from pathlib import Path
from poolwright.core.runtime.progress import Silent
from poolwright.pools.table import TablePool
from poolwright.run.admit import admit
from poolwright.run.batches import Flow
from poolwright.run.engine.local import LocalEngine
from poolwright.run.phase import Phase
from poolwright.run.plan import TablePlan
from poolwright.run.sources.source import pool_source, units_of
source = pool_source("rows", TablePool(path=sys.argv[1]))
plan, units = TablePlan("rows", source, (), ()), units_of(source, False)
phase = Phase(LocalEngine(), Silent(), "rows", "read", len(units), plan.resources)
print(admit(Flow(plan, Path(sys.argv[2]), units), phase).values["duplicate"])
"""

DUCKDB = """
import sys, duckdb
database = duckdb.connect(config={"memory_limit": "3GB", "temp_directory": sys.argv[2]})
found = database.sql(f"SELECT count(*) - count(DISTINCT uid) FROM read_parquet('{sys.argv[1]}/*.parquet')")
print(found.fetchall()[0][0])
"""


def run(work: Path) -> float:
    """Our wall time over DuckDB's; at most 2 is wanted. Prints both, and our peak memory."""
    rows, mine, theirs = work / f"rows-{ROWS}", work / "admit", work / "duckdb"
    make_rows(rows)
    used = in_turn({"duckdb": python(DUCKDB, rows, theirs), "poolwright": python(OURS, rows, mine)}, work, times=1)
    found = [(work / f"{name}.log").read_text().split()[-1] for name in used]
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.1f} s, {usage.cpu:.1f} s of processor time, peak {usage.peak / 1e9:.2f} GB")
    for folder in (mine, theirs):
        shutil.rmtree(folder, ignore_errors=True)
    if found != [str(REPEATED)] * 2:
        raise RuntimeError(f"{found} rows repeat a uid, and {REPEATED} should")
    return used["poolwright"].seconds / used["duckdb"].seconds


def make_rows(folder: Path) -> None:
    """Uids of 16 hex digits, in any order; the last few repeat the first. Done once."""
    if (folder / "done").exists():
        return
    fresh_folder(folder)
    for file, start in enumerate(range(0, ROWS, FILE_ROWS)):
        numbers = np.arange(start, min(start + FILE_ROWS, ROWS), dtype=np.uint64)
        if start + FILE_ROWS >= ROWS:
            numbers[-REPEATED:] = np.arange(REPEATED)
        table = pa.table({"uid": hex_digits(numbers * np.uint64(0x9E3779B97F4A7C15))})
        path = folder / f"part-{file:03d}.parquet"
        pq.write_table(table, path, row_group_size=500_000, use_dictionary=False, compression="zstd")
    (folder / "done").touch()


def hex_digits(numbers: np.ndarray) -> pa.Array:
    """Numbers, uint64 (n,), as strings of 16 hex digits."""
    halves = numbers.byteswap().view(np.uint8).reshape(-1, 8)
    nibbles = np.stack([halves >> 4, halves & 15], axis=2).reshape(-1)
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[nibbles]
    starts = np.arange(len(numbers) + 1, dtype=np.int32) * 16
    return pa.Array.from_buffers(pa.string(), len(numbers), [None, pa.py_buffer(starts), pa.py_buffer(digits)])
