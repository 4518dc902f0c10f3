"""The report of a run over 1 million rows against a plain summary of the same rows by DuckDB and matplotlib.

Half of the rows are kept, with labels, continents, sizes and two splits. The summary counts the rows of each value of
the columns of text and draws a histogram of each number, of all rows and of the kept ones, as one PNG for each column
in an HTML page; it says nothing of steps, reasons, states and inputs. Both start anew, imports included.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import in_turn, python
from poolwright.api import Recipe

ROWS, LABELS = 1_000_000, 1_000

REPORT = """
import sys
from poolwright.api import report
report(sys.argv[1], sys.argv[2])
"""
SUMMARY = """
import base64, io, sys
import duckdb
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
sources = {"all": sys.argv[1], "kept": sys.argv[2] + "/part-*.parquet"}
pages = []
for column, is_number in {"label": False, "continent": False, "width": True, "similarity": True}.items():
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4))
    for axis, (name, path) in zip(axes, sources.items()):
        key = f"round({column} / (max({column}) over () / 50.0))" if is_number else column
        counts = f"select key, count(*) from (select {key} as key from '{path}') group by key order by count(*) desc"
        found = duckdb.sql(f"{counts} limit 50").fetchall()
        axis.bar([str(value) for value, _ in found], [count for _, count in found])
        axis.set_title(f"{column}, {name}")
    out = io.BytesIO()
    figure.savefig(out)
    pages.append(f'<img src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">')
open(sys.argv[3], "w").write("\\n".join(pages))
"""


def run(work: Path) -> float:
    """Time of the plain summary over that of our report."""
    if not (work / "run" / "tables" / "chosen" / "table.json").exists():
        _make(work)
    commands = {
        "summary": python(SUMMARY, work / "rows.parquet", work / "run" / "tables" / "chosen", work / "summary.html"),
        "poolwright": python(REPORT, work / "run", work / "report.html"),
    }
    used = in_turn(commands, work)
    for name, usage in used.items():
        print(f"  {name}: {usage.seconds:.2f} s, peak {usage.peak / 1e9:.2f} GB")
    return used["summary"].seconds / used["poolwright"].seconds


def _make(work: Path) -> None:
    draw = np.random.default_rng(0)
    labels = np.array([f"class {number}" for number in range(LABELS)])
    continents = np.array(["Africa", "Americas", "Asia", "Europe", "Oceania"])
    rows = {
        "uid": [f"{number:032x}" for number in range(ROWS)],
        "label": labels[np.minimum(draw.geometric(0.005, ROWS), LABELS) - 1],
        "continent": continents[draw.integers(0, len(continents), ROWS)],
        "width": draw.integers(100, 2_000, ROWS),
        "similarity": draw.random(ROWS, np.float32),
    }
    pq.write_table(pa.table(rows), work / "rows.parquet")
    steps = [{"where": "width >= 200"}, {"top": {"by": "similarity", "n": ROWS // 2}}]
    steps.append({"split": {"ratios": {"train": 0.9, "test": 0.1}}})
    pools = {"rows": {"read": "table", "path": "rows.parquet"}}
    tables = {"chosen": {"from": "rows", "steps": steps}}
    Recipe.from_data({"recipe": 1, "name": "bench", "seed": 7, "pools": pools, "tables": tables}, work).run(
        work / "run"
    )
