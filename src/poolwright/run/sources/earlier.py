"""Finds what costly steps gave to the rows of an earlier table, so that it is not computed again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.rows import with_missing_as_null
from poolwright.core.table import Table
from poolwright.run.plan import TablePlan
from poolwright.run.sources.grown import GrownSource
from poolwright.run.sources.source import Unit, units_of


@dataclass(frozen=True)
class HeldRows:
    """Consecutive rows of a part, of which a file of the earlier table has those that were kept.

    Attributes:
        start, stop: the rows, by their number in the part.
        file, ledger: paths of the files of kept and of dropped rows.
        part: index of the part in that ledger.
        first: kept rows of the file before these.
    """

    start: int
    stop: int
    file: Path
    ledger: Path
    part: int
    first: int

    def kept(self) -> np.ndarray:
        """Return the numbers of the rows that were kept, int64 (k,), in order."""
        parts, rows = _dropped(self.ledger)
        there = np.ones(self.stop - self.start, bool)
        gone = rows[parts == self.part]
        there[gone[(gone >= self.start) & (gone < self.stop)] - self.start] = False
        return np.flatnonzero(there) + self.start


@dataclass(frozen=True)
class EarlierRows:
    """The kept rows of an earlier table over a part of the same files.

    Attributes:
        held: rows of the earlier table, by part of the source as it is now.
        states: digest of what each of its steps learned.
        columns: columns that its rows have.
    """

    held: Mapping[int, tuple[HeldRows, ...]]
    states: tuple[str, ...]
    columns: frozenset[str]

    def reused(self, plan: TablePlan, upto: int, digests: Mapping[int, str]) -> frozenset[int]:
        """Return the costly steps before `upto` whose columns the earlier rows have, computed from the same.

        Args:
            digests: digest of what each of these steps learned now.
        """
        same: set[str] = set(plan.source.schema.names)
        found: set[int] = set()
        for placed in plan.steps[:upto]:
            alike = digests[placed.index] == self.states[placed.index] and set(placed.reads) <= same
            same = (same | set(placed.gives)) if alike else (same - set(placed.gives))
            later = {name for other in plan.steps[placed.index + 1 :] for name in (*other.gives, *other.takes)}
            if alike and placed.step.costly and set(placed.gives) <= self.columns - later:
                found.add(placed.index)
        return frozenset(found)

    def find(self, part: int, rows: np.ndarray, columns: Sequence[str]) -> tuple[np.ndarray, pa.Table | None]:
        """Find rows of a part.

        Args:
            part: index of the part, as the source is now.
            rows: int64 (n,) their numbers in it, in order.

        Returns:
            bool (n,): the rows that were kept; and `columns` of those, None if there are none.
        """
        known, tables = np.zeros(len(rows), bool), []
        for held in self.held.get(part, ()):
            if not len(rows) or held.stop <= rows[0] or held.start > rows[-1]:
                continue
            kept = held.kept()
            at = np.searchsorted(kept, rows)
            hit = np.take(kept, at, mode="clip") == rows if len(kept) else np.zeros(len(rows), bool)
            if hit.any():
                known |= hit
                tables.append(_rows_of(held.file, held.first + at[hit], columns))
        return known, pa.concat_tables(tables) if tables else None


def earlier_rows(table: Table, source: GrownSource, reads_images: bool) -> EarlierRows:
    """Return the rows of a finished table for reuse.

    Args:
        table: the finished table.
        source: the source as it is now, with the parts of the table first.
        reads_images: whether the table reads image files, which decides how units are cut.
    """
    held: dict[int, list[HeldRows]] = {}
    units = units_of(source, reads_images)[: len(table.record.parts)]
    for unit, output in zip(units, table.record.parts, strict=True):
        ledger = table.folder / output.ledger
        if len(_dropped(ledger)[0]) != output.dropped:
            continue  # the table only counts the rows that it drops
        first = 0
        for one in _pieces(table, unit):
            rows = HeldRows(one[1], one[2], table.folder / output.file, ledger, one[0], first)
            held.setdefault(source.order[one[0]], []).append(rows)
            first += len(rows.kept())
    states = tuple(step.state for step in table.record.steps)
    return EarlierRows({part: tuple(rows) for part, rows in held.items()}, states, frozenset(table.schema.names))


def _pieces(table: Table, unit: Unit) -> Iterator[tuple[int, int, int]]:
    """Yield part, first row and end of the pieces of a unit that were read."""
    for piece in unit:
        part = table.record.inputs[piece.part]
        if not part.quarantined:
            yield piece.part, piece.start, (part.rows or 0) if piece.stop is None else piece.stop


def _rows_of(file: Path, rows: np.ndarray, columns: Sequence[str]) -> pa.Table:
    """Read some rows of a Parquet file, by their numbers in order; only row groups with one of them are read."""
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, rows, side="right")
        found = []
        for group in np.unique(groups):
            table = parquet.read_row_group(int(group), columns=list(columns), use_threads=False)
            found.append(table.take(pa.array(rows[groups == group] - (ends[group] - sizes[group]))))
    return with_missing_as_null(pa.concat_tables(found)).select(list(columns))


@lru_cache(maxsize=8)
def _dropped(ledger: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(ledger, columns=["part", "row"])
    return table.column("part").to_numpy(), table.column("row").to_numpy().astype(np.int64)
