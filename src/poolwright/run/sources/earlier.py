"""Finds what costly steps gave to the rows of an earlier table, so that it is not computed again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.files import digest_file, make_folder, remove, write_text
from poolwright.core.rows import with_missing_as_null
from poolwright.core.table import Table
from poolwright.run.plan import TablePlan
from poolwright.run.sources.grown import GrownSource
from poolwright.run.sources.source import Unit, units_of

STAGES = "stages"
"""Folder of a finished table with the stages that it was asked to keep."""
_DIGESTS = "digests.json"


@dataclass(frozen=True)
class HeldRows:
    """Consecutive rows of a part, some of which a file holds.

    Attributes:
        start, stop: the rows, by their number in the part.
        file: path of the file: Parquet with the kept rows of a unit, or Arrow with those that reached a stage.
        first: rows of the file before these.
        gone: path of what says which rows it lacks: the ledger of the unit, or the codes of its rows.
        place: index of the part in that ledger, or number of the first row in those codes.
    """

    start: int
    stop: int
    file: Path
    first: int
    gone: Path
    place: int

    def there(self) -> np.ndarray:
        """Return the numbers of the rows that the file holds, int64 (k,), in order."""
        if self.gone.suffix == ".npy":
            codes = _codes(self.gone)[self.place : self.place + self.stop - self.start]
            return np.flatnonzero(codes == 0) + self.start
        parts, rows = _dropped(self.gone)
        there = np.ones(self.stop - self.start, bool)
        gone = rows[parts == self.place]
        there[gone[(gone >= self.start) & (gone < self.stop)] - self.start] = False
        return np.flatnonzero(there) + self.start


@dataclass(frozen=True)
class HeldColumns:
    """Columns that rows of an earlier table had before one of its steps, or in the end.

    Attributes:
        upto: index of the step; their number for the end.
        columns: the columns.
        rows: the rows, by part of the source as it is now.
    """

    upto: int
    columns: frozenset[str]
    rows: Mapping[int, tuple[HeldRows, ...]]

    def has(self, plan: TablePlan, step: int) -> bool:
        """Whether the columns that a step gave are there as it gave them."""
        later = {name for one in plan.steps[step + 1 : self.upto] for name in (*one.gives, *one.takes)}
        return step < self.upto and set(plan.steps[step].gives) <= self.columns - later

    def find(self, part: int, rows: np.ndarray, columns: Sequence[str]) -> tuple[np.ndarray, pa.Table | None]:
        """Find rows of a part.

        Args:
            part: index of the part, as the source is now.
            rows: int64 (n,) their numbers in it, in order.

        Returns:
            bool (n,): the rows that are held; and `columns` of those, None if there are none.
        """
        known, tables = np.zeros(len(rows), bool), []
        for held in self.rows.get(part, ()):
            if not len(rows) or held.stop <= rows[0] or held.start > rows[-1]:
                continue
            there = held.there()
            at = np.searchsorted(there, rows)
            hit = np.take(there, at, mode="clip") == rows if len(there) else np.zeros(len(rows), bool)
            if hit.any():
                known |= hit
                tables.append(_rows_of(held.file, held.first + at[hit], columns))
        return known, pa.concat_tables(tables) if tables else None


@dataclass(frozen=True)
class EarlierRows:
    """What an earlier table holds of rows of the same files.

    Attributes:
        held: stages that it kept, and its rows last.
        states: digest of what each of its steps learned.
    """

    held: tuple[HeldColumns, ...]
    states: tuple[str, ...]

    def reused(self, plan: TablePlan, upto: int, digests: Mapping[int, str]) -> dict[int, HeldColumns]:
        """Return where the columns of costly steps before `upto` are, if they were computed from the same.

        Args:
            digests: digest of what each of these steps learned now.
        """
        same: set[str] = set(plan.source.schema.names)
        found: dict[int, HeldColumns] = {}
        for placed in plan.steps[:upto]:
            alike = digests[placed.index] == self.states[placed.index] and set(placed.reads) <= same
            same = (same | set(placed.gives)) if alike else (same - set(placed.gives))
            held = next((one for one in self.held if one.has(plan, placed.index)), None)
            if alike and placed.step.costly and held is not None:
                found[placed.index] = held
        return found


def earlier_rows(table: Table, plan: TablePlan, source: GrownSource, reads_images: bool) -> EarlierRows:
    """Return what a finished table holds, for reuse.

    Args:
        table: the finished table.
        plan: its plan, which has not changed.
        source: the source as it is now, with the parts of the table first.
        reads_images: whether the table reads image files, which decides how units are cut.
    """
    units = units_of(source, reads_images)[: len(table.record.parts)]
    pieces = [tuple(_pieces(table, unit)) for unit in units]
    held = [_stage(table, plan, source, folder, pieces) for folder in sorted((table.folder / STAGES).glob("*"))]
    rows: dict[int, list[HeldRows]] = {}
    for unit, output in zip(pieces, table.record.parts, strict=True):
        file, ledger, first = table.folder / output.file, table.folder / output.ledger, 0
        if len(_dropped(ledger)[0]) != output.dropped:
            continue  # the table only counts the rows that it drops
        for part, start, stop in unit:
            one = HeldRows(start, stop, file, first, ledger, part)
            rows.setdefault(source.order[part], []).append(one)
            first += len(one.there())
    end = HeldColumns(len(plan.steps), frozenset(table.schema.names), _by_part(rows))
    return EarlierRows((*filter(None, held), end), tuple(step.state for step in table.record.steps))


def _stage(
    table: Table, plan: TablePlan, source: GrownSource, folder: Path, pieces: Sequence[Sequence[tuple[int, int, int]]]
) -> HeldColumns | None:
    """Return what a stage that was kept holds; None if it is damaged."""
    if not _intact(folder):
        return None
    rows: dict[int, list[HeldRows]] = {}
    for number, unit in enumerate(pieces):
        file, codes = folder / f"unit-{number:05d}.arrow", folder / f"unit-{number:05d}.codes.npy"
        first = place = 0
        for part, start, stop in unit:
            one = HeldRows(start, stop, file, first, codes, place)
            rows.setdefault(source.order[part], []).append(one)
            first, place = first + len(one.there()), place + stop - start
    index = int(folder.name)
    return HeldColumns(index, frozenset(plan.derived(index)), _by_part(rows))


def _by_part(rows: Mapping[int, Sequence[HeldRows]]) -> dict[int, tuple[HeldRows, ...]]:
    return {part: tuple(held) for part, held in rows.items()}


def keep_stages(folder: Path) -> None:
    """Keep the stages of a table that is finished, with their digests; may be repeated after a kill."""
    for stage in sorted((folder / "work").glob("stage-*")):
        if stage.suffix or not stage.is_dir():
            continue
        digests = {path.name: digest_file(path) for path in sorted(stage.glob("unit-*")) if path.name != _DIGESTS}
        write_text(stage / _DIGESTS, json.dumps(digests, indent=1) + "\n")
        kept = folder / STAGES / stage.name.removeprefix("stage-")
        remove(kept)
        make_folder(kept.parent)
        os.replace(stage, kept)


def _intact(folder: Path) -> bool:
    try:
        digests = json.loads((folder / _DIGESTS).read_text(encoding="utf-8"))
        return all(digest_file(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _pieces(table: Table, unit: Unit) -> Iterator[tuple[int, int, int]]:
    """Yield part, first row and end of the pieces of a unit that were read."""
    for piece in unit:
        part = table.record.inputs[piece.part]
        if not part.quarantined:
            yield piece.part, piece.start, (part.rows or 0) if piece.stop is None else piece.stop


def _rows_of(file: Path, rows: np.ndarray, columns: Sequence[str]) -> pa.Table:
    """Read some rows of a file, by their numbers in order; of Parquet only row groups with one of them are read."""
    if file.suffix == ".arrow":
        with pa.memory_map(str(file)) as mapped:
            return pa.ipc.open_file(mapped).read_all().select(list(columns)).take(pa.array(rows))
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        sizes = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        ends = np.cumsum(sizes)
        groups = np.searchsorted(ends, rows, side="right")
        found = []
        for group in np.unique(groups):
            table = parquet.read_row_group(int(group), columns=list(columns), use_threads=False)
            found.append(table.take(pa.array(rows[groups == group] - (ends[group] - sizes[group]))))
    return with_missing_as_null(pa.concat_tables(found)).select(list(columns))


def _dropped(ledger: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return part and row of every row of a ledger: int64 (n,) each."""
    return _read_ledger(ledger, _stamp(ledger))


def _codes(file: Path) -> np.ndarray:
    """Return the codes of the rows of a unit before a stage: uint16 (n,), 0 for those that reached it."""
    return _read_codes(file, _stamp(file))


def _stamp(path: Path) -> tuple[int, int, int]:
    """Tell files apart that had one path at different times, in a process that lives on."""
    found = os.stat(path)
    return found.st_ino, found.st_mtime_ns, found.st_size


@lru_cache(maxsize=8)
def _read_ledger(ledger: Path, stamp: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(ledger, columns=["part", "row"])
    parts, rows = (table.column(name).to_numpy().astype(np.int64) for name in ("part", "row"))
    return parts, rows


@lru_cache(maxsize=8)
def _read_codes(file: Path, stamp: tuple[int, int, int]) -> np.ndarray:
    codes: np.ndarray = np.load(file)
    return codes
