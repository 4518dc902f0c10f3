"""Exploring 10 million rows, kept and dropped: our view against DuckDB on the same Parquet files.

The recipe keeps a third of 10 million rows with captions. Both answer nine questions of a session, three times:
counts by facet under growing filters, a histogram, and pages sorted by two columns. The view is a process of its own
with its index ready, whose building is timed separately; DuckDB reads the pool with the outcome of every row joined, in
its own file format. Answers must be the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.timing import fresh_folder, measure, python

ROWS, FILES, TURNS = 10_000_000, 10, 3

RECIPE = """
recipe: 1
name: look
seed: 7
pools:
  metadata: {read: table, path: rows, keep: [uid, text, label, continent, similarity, width, taken_at]}
tables:
  chosen:
    from: metadata
    steps:
      - where: width >= 200
      - top: {by: similarity, n: 3_500_000}
"""

RUN = """
import sys
import numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from poolwright.api import run
work = Path(sys.argv[1])
table = run(work / "look.yaml", work / "run").tables["chosen"]
words = pa.array([None, *(f"{reason.verb}: {reason.words}" for reason in table.record.reasons)])
ledger = table.ledger()
starts = np.cumsum([0, *(part.rows or 0 for part in table.record.inputs)])
uids = pa.concat_tables([pq.read_table(path, columns=["uid"]) for path in sorted((work / "rows").glob("*.parquet"))])
positions = starts[np.asarray(ledger["part"])] + np.asarray(ledger["row"])
reasons = words.take(ledger["code"].combine_chunks())
pq.write_table(pa.table({"uid": uids["uid"].take(pa.array(positions)), "reason": reasons}), work / "reasons.parquet")
"""
"""Makes the table, and why each dropped row was dropped, by uid: DuckDB gets this in addition to the pool."""

BUILD = """
import sys
from pathlib import Path
from poolwright.inspect.views.build import build_index
from poolwright.run.run import open_run
build_index(open_run(Path(sys.argv[1])), "chosen")
"""

OURS = """
import json, sys
from pathlib import Path
from time import perf_counter
from poolwright.api import explore
from poolwright.inspect.views.clauses import Among, Between, Filter, HasOutcome
from poolwright.inspect.views.view import View
begun = perf_counter()
view = explore(sys.argv[1], "chosen")
some = Filter((Among("continent", ("Asia", "Africa")),))
more = some & Between("similarity", 0.24, None)
def counts(name, chosen):
    return [[value.name, value.rows] for value in view.facet(name, chosen, most=10).values]
def page(chosen, sort, descending, start=0):
    return [row["uid"] for row in view.read(view.page(chosen, sort, descending, start, 60).positions, ["uid"])]
answers = [counts(name, chosen) for chosen in (Filter(), some, more) for name in ("label", "drop reason")]
answers.append(list(view.histogram("similarity", more, bins=20, ends=(0.0, 0.5)).kept))
answers.append(page(more, "similarity", True))
answers.append(page(some & HasOutcome(False), "taken_at", False, 600))
seconds = perf_counter() - begun
print(json.dumps({"answers": answers, "seconds": seconds}))
"""

DUCKDB = """
import json, sys, duckdb
from time import perf_counter
db = duckdb.connect(sys.argv[1], read_only=True)
begun = perf_counter()
some = "continent in ('Asia', 'Africa')"
more = some + " and similarity >= 0.24::double"
def counts(name, chosen):
    found = db.sql(f"select {name}, count(*) n from r where {chosen} group by 1 order by n desc, 1 limit 10").fetchall()
    return [list(pair) for pair in found]
def page(chosen, sort, start=0):
    asked = f"select uid from r where {chosen} order by {sort}, uid limit 60 offset {start}"
    return [uid for uid, in db.sql(asked).fetchall()]
answers = [counts(name, chosen) for chosen in ("true", some, more) for name in ("label", "reason")]
bins = dict(db.sql(f"select least(19, greatest(0, floor(similarity / 0.5::double * 20)))::int b, count(*) from r "
                   f"where {more} and reason is null group by 1").fetchall())
answers.append([bins.get(b, 0) for b in range(20)])
answers.append(page(more, "similarity desc"))
answers.append(page(some + " and reason is not null", "taken_at", 600))
print(json.dumps({"answers": answers, "seconds": perf_counter() - begun}))
"""

LOAD = """
import sys, duckdb
from pathlib import Path
Path(sys.argv[3]).unlink(missing_ok=True)
duckdb.connect(sys.argv[3]).sql(f'''create table r as
  select p.* replace (similarity::float as similarity), x.reason from
  (select *, row_number() over () - 1 as place from read_parquet('{sys.argv[1]}/*.parquet')) p
  left join read_parquet('{sys.argv[2]}') x using (uid)''')
"""


def run(work: Path) -> float:
    """Our seconds for the session over DuckDB's; at most 1 is wanted. Prints both, and the cost of the index."""
    make_rows(work / "rows")
    (work / "look.yaml").write_text(RECIPE)
    # In processes of their own, since what this one takes would count as theirs.
    measure(python(RUN, work), work / "run.log")
    fresh_folder(work / "run" / "explore")
    index = measure(python(BUILD, work / "run"), work / "index.log")
    loaded = measure(python(LOAD, work / "rows", work / "reasons.parquet", work / "rows.duckdb"), work / "load.log")
    size = sum(path.stat().st_size for path in (work / "run" / "explore").rglob("*") if path.is_file())
    print(f"  index: {index.seconds:.1f} s, peak {index.peak / 1e9:.2f} GB, {size / 1e9:.2f} GB on disk")
    print(f"  DuckDB's file: {loaded.seconds:.1f} s, peak {loaded.peak / 1e9:.2f} GB")
    commands = {"duckdb": python(DUCKDB, work / "rows.duckdb"), "poolwright": python(OURS, work / "run")}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(TURNS):
        said = {name: _ask(command, work / f"{name}.log", turn) for name, command in commands.items()}
        _check(said["poolwright"]["answers"], said["duckdb"]["answers"])
        for name in commands:
            seconds[name].append(said[name]["seconds"])
    print(f"  the first session: {seconds['poolwright'][0]:.2f} s")
    return min(seconds["poolwright"]) / min(seconds["duckdb"])


def _ask(command: list[str], log: Path, turn: int) -> dict[str, Any]:
    usage = measure(command, log)
    said: dict[str, Any] = json.loads(log.read_text().splitlines()[-1])
    print(f"  {log.stem} {turn + 1}: {said['seconds']:.2f} s for nine questions, peak {usage.peak / 1e9:.2f} GB")
    return said


def _check(ours: list[object], theirs: list[object]) -> None:
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine != other:
            raise RuntimeError(f"question {number} has two answers:\n{mine}\n{other}")


def make_rows(folder: Path) -> None:
    """Rows as of a pool of photographs, no two with one similarity or time; done once."""
    if (folder / "done").exists():
        return
    fresh_folder(folder)
    generator = np.random.default_rng(11)
    labels = pa.array([f"class {number:04d}" for number in range(1_000)])
    weights = 1.0 / np.arange(1, 1_001) ** 0.9
    continents = pa.array(["Europe", "North America", "Asia", "South America", "Africa", "Oceania"])
    # Distinct values, so that no order of ties can make two right answers.
    ranks, times = generator.permutation(ROWS), generator.permutation(ROWS)
    for file in range(FILES):
        rows = ROWS // FILES
        part = slice(file * rows, (file + 1) * rows)
        label = labels.take(pa.array(generator.choice(1_000, rows, p=weights / weights.sum())))
        uids = pa.array(np.char.zfill((np.arange(rows) + file * rows + 10**9).astype(str), 11))
        table = pa.table(
            {
                "uid": uids,
                "text": pc.binary_join_element_wise("a photo of ", label, " number ", uids, ""),
                "label": label,
                "continent": continents.take(
                    pa.array(generator.choice(6, rows, p=[0.36, 0.25, 0.2, 0.09, 0.07, 0.03]))
                ),
                "similarity": ranks[part] / (2.0 * ROWS),
                "width": generator.integers(100, 1_000, rows, dtype=np.int32),
                "taken_at": pa.array(10**15 + times[part] * 1_000_000, pa.timestamp("us")),
            }
        )
        pq.write_table(table, folder / f"part-{file:02d}.parquet", row_group_size=500_000)
    (folder / "done").touch()
