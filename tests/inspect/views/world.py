"""A finished run to look around in, and its rows joined by plain PyArrow."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tests.run.pools import STEPS, make_recipe, make_rows, write_pool

from poolwright import api
from poolwright.core.files import remove
from poolwright.core.table import Table
from poolwright.inspect.views.build import build_index, index_folder
from poolwright.inspect.views.view import View
from poolwright.run.run import Run, open_run

ROWS = 3_000
SMALL = 264
"""Rows of a chunk in tests: many chunks, and the last one is not full."""


def pool_rows(count: int = ROWS) -> pa.Table:
    """Rows with ties, nulls, NaN, times, booleans, and every type that a column may have."""
    rows, places = make_rows(count), np.arange(count)
    score = np.round(np.sin(places), 2)
    score[places % 13 == 0] = np.nan
    more = {
        "score": pa.array(score, mask=places % 11 == 0),
        "half": np.cos(places).astype(np.float16),
        "year": pa.array(2000 + places % 9, pa.int16(), mask=places % 7 == 0),
        "taken_at": pa.array(10**15 + places * 3_600_000_000 * 5, pa.timestamp("us")),
        "day": pa.array((places % 400).astype(np.int32)).cast(pa.date32()),
        "colour": pa.array(places % 3 == 0, mask=places % 10 == 0),
        "tags": pa.array([["a", str(place)] for place in places]),
        "kind": pa.array([f"k{place % 5}" for place in places]).dictionary_encode(),
    }
    for name, values in more.items():
        rows = rows.append_column(name, pa.array(values))
    return rows


@dataclass(frozen=True)
class World:
    """A run, its pool, and what became of every row.

    Attributes:
        rows: of the pool, in the order of positions: kept ones, then dropped ones, with `reason` (null where kept)
            and `label`, `similarity` as the step `label` gives them.
    """

    folder: Path
    run: Run
    table: Table
    rows: pa.Table

    def view(self, chunk_rows: int = SMALL) -> View:
        """The view, its index built with chunks of that size."""
        remove(index_folder(self.table))
        build_index(self.run, self.table.name, chunk_rows=chunk_rows)
        return View(self.run, self.table.name)


def make_world(folder: Path, rows: pa.Table | None = None, parts: int = 5, steps: list[dict] | None = None) -> World:
    rows = pool_rows() if rows is None else rows
    write_pool(folder, rows, parts)
    api.run(make_recipe(folder, STEPS if steps is None else steps), folder / "run")
    run = open_run(folder / "run")
    table = run.table("chosen")
    return World(folder, run, table, _joined(folder, table, rows))


def _joined(folder: Path, table: Table, rows: pa.Table) -> pa.Table:
    ledger = table.ledger().to_pydict()
    starts = np.cumsum([0, *(part.rows for part in table.record.inputs)])
    gone = [int(starts[part]) + row for part, row in zip(ledger["part"], ledger["row"], strict=True)]
    words = {reason.code: f"{reason.verb}: {reason.words}" for reason in table.record.reasons}
    place = {uid: at for at, uid in enumerate(rows["uid"].to_pylist())}
    kept = [place[uid] for uid in table.read(["uid"])["uid"].to_pylist()]
    joined = rows.take(pa.array([*kept, *gone], pa.int64()))
    reasons = [None] * len(kept) + [words[code] for code in ledger["code"]]
    return joined.append_column("reason", pa.array(reasons, pa.string()))
