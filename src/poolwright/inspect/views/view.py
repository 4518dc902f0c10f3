"""View: the rows of one finished table, kept and dropped, to be filtered, counted, sorted and paged."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID, is_text
from poolwright.core.errors import InputError
from poolwright.core.runtime.cores import cores
from poolwright.expressions.connection import time_limit
from poolwright.inspect.views.answers import Counts, Facet, Histogram, Page, facet_of
from poolwright.inspect.views.build import (
    PLACE,
    RANK,
    Progress,
    Segment,
    build_index,
    index_folder,
    read_index,
    segments_of,
)
from poolwright.inspect.views.clauses import EVERYTHING, Among, Clause, Filter, Satisfies, unknown_column
from poolwright.inspect.views.finding.found import Bits, Bools, FoundRows, Integers, packed
from poolwright.inspect.views.order import Order, first_of, order_of
from poolwright.inspect.views.selections import read_selection
from poolwright.inspect.views.store import MemoryColumn, StoredColumn, as_numbers
from poolwright.run.run import Run

SHUFFLED = "shuffled"
"""Sorts by the hash of the uid: a random order, of which any first rows are a sample."""

_FIRST_ROWS = 20_000
"""Rows of an order that are found without sorting all rows."""

_MASKS = 48
"""Clauses whose rows are cached, one bit per row."""

BINS = 48


class View:
    """The rows of one finished table, by an index in the run folder that is built if it does not exist.

    Positions 0 to `kept` are the kept rows in their order; dropped rows follow, in the order of the source.

    Attributes:
        rows, kept: rows of the view, and how many of them were kept.
        kept_in_all, dropped_in_all: rows of the table.
        unknown: columns that have no values for dropped rows, as only costly steps give them.
        segments: the segments that rows are read from.
        seconds: time after which the evaluation of an expression is interrupted; None for no limit.

    Args:
        run: the run.
        name: name of the table.
        progress: receives the progress of building the index.

    Raises:
        InputError: the table is not finished.
    """

    def __init__(self, run: Run, name: str, progress: Progress = lambda done, rows: None) -> None:
        self.run, self.table = run, run.table(name)
        self.seconds: float | None = None
        folder = index_folder(self.table)
        if read_index(folder) is None:
            build_index(run, name, progress)
        index = read_index(folder)
        if index is None:
            raise InputError(f"table '{name}' was made again while it was being opened; open it again")
        self._open(index, folder)

    def _open(self, index: Mapping[str, Any], folder: Path) -> None:
        self.folder = folder
        self.rows, self.kept, self.chunk_rows = int(index["rows"]), int(index["kept"]), int(index["chunk_rows"])
        self.kept_in_all, self.dropped_in_all = int(index["kept_in_all"]), int(index["dropped_in_all"])
        self.unknown: tuple[str, ...] = tuple(index["unknown"])
        self.segments: tuple[Segment, ...] = tuple(segments_of(index))
        self._columns = {column.name: column for column in _columns(index, folder)}
        self._masks: OrderedDict[Clause, Bits] = OrderedDict()
        self._orders: dict[tuple[str, bool], Order] = {}
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """Name of the table."""
        return self.table.name

    @property
    def digest(self) -> str:
        """Digest of the table as it was when it was opened."""
        return self.folder.name

    @property
    def whole(self) -> bool:
        """Whether the view has all rows: none were left out as too many or as not listed in the ledger."""
        return self.rows == self.kept_in_all + self.dropped_in_all

    @property
    def columns(self) -> list[StoredColumn]:
        """Columns that can be shown, filtered and sorted by."""
        return [column for name, column in self._columns.items() if not name.startswith(".")]

    @property
    def facets(self) -> list[str]:
        """Columns that can be counted by value."""
        return [column.name for column in self.columns if column.facet]

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers and times."""
        return [column.name for column in self.columns if column.orderable and column.low is not None]

    @property
    def texts(self) -> list[str]:
        """Columns in which words can be searched."""
        return [column.name for column in self.columns if is_text(column.type) and not column.facet]

    def column(self, name: str) -> StoredColumn:
        """Return a column of the index.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self._columns:
            raise unknown_column(name, [column.name for column in self.columns])
        return self._columns[name]

    def with_column(self, name: str, values: npt.NDArray[Any]) -> View:
        """Return the same rows with one more column of numbers, in memory: the scores of a search."""
        other = object.__new__(View)
        other.__dict__ |= self.__dict__
        other._columns = self._columns | {name: MemoryColumn(name, values, self.chunk_rows)}
        other._masks, other._orders = OrderedDict(), {}
        return other

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.rows // self.chunk_rows)

    def size(self, chunk: int) -> int:
        """Return the number of rows of a chunk."""
        return min(self.chunk_rows, self.rows - chunk * self.chunk_rows)

    def picked(self, selection: str) -> Integers:
        """Return the positions of the rows of a saved selection, ascending."""
        return read_selection(self.folder, selection)

    def positions_of(self, uids: Sequence[str]) -> list[int]:
        """Return the positions of the rows with these uids: all rows of a repeated uid, none of an unknown one."""
        wanted, found = pa.array(list(uids), pa.large_string()), []
        for chunk in range(self.chunks):
            hits = np.flatnonzero(_is_in(self.column(UID).chunk(chunk), wanted))
            found += (hits + chunk * self.chunk_rows).tolist()
        return found

    def position_of(self, uid: str) -> int:
        """Return the position of the first row with this uid.

        Raises:
            InputError: there is none.
        """
        found = self.positions_of([uid])
        if not found:
            raise InputError(f"no row of table '{self.name}' has the uid '{uid[:80]}'")
        return found[0]

    def found(self, chosen: Filter = EVERYTHING) -> FoundRows:
        """Return the rows for which every clause of a filter is true."""
        bits = [self._bits(clause) for clause in chosen.clauses]
        return FoundRows(reduce(np.bitwise_and, bits) if bits else None, self.rows, self.chunk_rows)

    def _bits(self, clause: Clause) -> Bits:
        """Return the rows for which one clause is true."""
        with self._lock:
            if clause not in self._masks:
                self._masks[clause] = self._evaluated(clause)
                while len(self._masks) > _MASKS:
                    self._masks.popitem(last=False)
            self._masks.move_to_end(clause)
            return self._masks[clause]

    def _evaluated(self, clause: Clause) -> Bits:
        if isinstance(clause, Satisfies):  # uses all cores by itself, and the time limit of this thread
            with time_limit(self.seconds):
                pieces = [packed(clause.mask(self, chunk)) for chunk in range(self.chunks)]
        else:
            with ThreadPoolExecutor(cores()) as threads:
                pieces = list(threads.map(lambda chunk: packed(clause.mask(self, chunk)), range(self.chunks)))
        return np.concatenate([np.empty(0, np.uint8), *pieces])

    def count(self, chosen: Filter = EVERYTHING) -> Counts:
        """Count the rows that a filter finds."""
        found = self.found(chosen)
        kept = found.count(0, self.kept)
        return Counts(kept, found.count() - kept)

    def facet(self, name: str, chosen: Filter = EVERYTHING, most: int = 12, like: str = "") -> Facet:
        """Count the rows of a filter by the values of a column.

        Args:
            name: name of the facet.
            chosen: the filter; its clauses about this column are left out, so that more values can be chosen.
            most: number of values to return, besides those that were chosen.
            like: only values that contain this text.
        """
        own = [clause for clause in chosen.clauses if isinstance(clause, Among) and clause.column == name]
        rows = self.value_counts(name, chosen.without(lambda clause: clause in own))
        names: list[str | None] = [None, *self.column(name).names]
        asked = {value for clause in own for value in clause.values}
        return facet_of(name, names, rows, asked, most, like)

    def value_counts(self, name: str, chosen: Filter = EVERYTHING) -> Integers:
        """Count the rows of a filter by the value of a facet: rows without a value first, then in order of `names`."""
        column = self.column(name)
        if not column.facet:
            raise InputError(f"'{name}' has too many different values to be counted by")
        rows, found = np.zeros(len(column.names) + 1, np.int64), self.found(chosen)
        for chunk in found.chunks:
            codes = found.of(chunk, pa.array(column.codes(chunk))).to_numpy()
            rows += np.bincount(codes + 1, minlength=len(rows))
        return rows

    def histogram(
        self, name: str, chosen: Filter = EVERYTHING, bins: int = BINS, ends: tuple[float, float] | None = None
    ) -> Histogram:
        """Count the rows of a filter by the numbers of a column, in bins over the range of all rows.

        Args:
            name: name of the column.
            chosen: the filter.
            bins: number of bins.
            ends: ends of the bins; numbers outside fall into the first and the last.
        """
        column = self.column(name)
        if not column.orderable:
            raise InputError(f"'{name}' holds {column.type}, which has no histogram")
        low, high = ends or (column.low or 0.0, column.high or 0.0)
        total, found = np.zeros((2, bins), np.int64), self.found(chosen)
        for chunk in found.chunks:
            numbers = as_numbers(found.of(chunk, column.chunk(chunk)))
            first, stop = found.ends(chunk)
            kept = found.count(first, min(stop, self.kept))
            for row, mine in enumerate((numbers[:kept], numbers[kept:])):
                finite = np.isfinite(mine)
                mine = mine if finite.all() else mine[finite]
                total[row] += np.bincount(_bins(mine, low, high, bins), minlength=bins)
        return Histogram(name, low, high, tuple(total[0].tolist()), tuple(total[1].tolist()))

    def page(
        self,
        chosen: Filter = EVERYTHING,
        sort: str | None = None,
        descending: bool = False,
        start: int = 0,
        size: int = 60,
    ) -> Page:
        """Return the rows `start` to `start + size` of a filter.

        Args:
            chosen: the filter.
            sort: column of numbers or times, `SHUFFLED`, or None for the order of positions. Rows without a number
                come last; equal ones in order of their positions, or against it. Scores always in order.
            descending: greatest first.
            start: number of rows to skip.
            size: number of rows to return.
        """
        found = self.found(chosen)
        rows = found.count()
        if sort is None:
            return Page(found.page(start, size), rows)
        name = RANK if sort == SHUFFLED else sort
        last = min(start + size, rows)
        if last <= _FIRST_ROWS:
            positions = first_of(self.column(name), found, max(1, last), descending)
            return Page(tuple(positions[start:].tolist()), rows)
        pieces = self._order(name, descending).walk(descending)
        return Page(_along(found.mask(), pieces, start, size), rows)

    def rows_of(self, chosen: Filter) -> Bools:
        """Return all rows for which a filter is true: one byte per row."""
        return self.found(chosen).mask()

    def _order(self, name: str, descending: bool) -> Order:
        column = self.column(name)
        key = name, descending and isinstance(column, MemoryColumn)
        with self._lock:
            if key not in self._orders:
                self._orders[key] = order_of(column, self.chunks, descending)
            return self._orders[key]

    def read(self, positions: Sequence[int], columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Read the values of some rows, as Python values by column; all columns of the index unless named.

        Raises:
            InputError: there is no such row, or no such column.
        """
        for position in positions:
            self._check(position)
        names = [column.name for column in self.columns] if columns is None else list(columns)
        values = {name: self.column(name).take(positions).to_pylist() for name in names}
        return [{name: values[name][row] for name in names} for row in range(len(positions))]

    def uids(self, chosen: Filter = EVERYTHING) -> Iterator[str | None]:
        """Yield the uids that a filter finds, in order of their positions; None for rows without one."""
        found, uids = self.found(chosen), self.column(UID)
        for chunk in found.chunks:
            yield from found.of(chunk, uids.chunk(chunk)).to_pylist()

    def locate(self, position: int) -> tuple[Segment, int]:
        """Return where a row was read: its segment, and its row within the part."""
        self._check(position)
        starts = [segment.start for segment in self.segments]
        segment = self.segments[int(np.searchsorted(starts, position, side="right")) - 1]
        return segment, int(self.column(PLACE).take([position])[0].as_py())

    def rows_of_part(self, segment: Segment) -> Integers:
        """Return the numbers of a segment's rows within their part."""
        positions = np.arange(segment.start, segment.start + segment.rows)
        return np.asarray(self.column(PLACE).take(positions).to_numpy(zero_copy_only=False))

    def values(self, column: str) -> Iterator[pa.Array]:
        """Yield a column, chunk by chunk."""
        stored = self.column(column)
        return (stored.chunk(chunk) for chunk in range(self.chunks))

    def _check(self, position: int) -> None:
        if not 0 <= position < self.rows:
            raise InputError(f"table '{self.name}' has rows 0 to {self.rows - 1}, not {position}")


def _columns(index: Mapping[str, Any], folder: Path) -> list[StoredColumn]:
    found = []
    for entry in index["columns"]:
        with pa.memory_map(str(folder / f"{entry['stem']}.arrow")) as file:
            dtype = pa.ipc.open_file(file).schema.field(0).type
        ends = entry["low"], entry["high"]
        found.append(
            StoredColumn(entry["name"], dtype, folder / entry["stem"], entry["facet"], *ends, index["chunk_rows"])
        )
    return found


def _is_in(values: pa.Array, wanted: pa.Array) -> Bools:
    return np.asarray(pc.is_in(values, value_set=wanted).to_numpy(zero_copy_only=False))


def _along(mask: Bools, pieces: Iterator[npt.NDArray[np.int32]], start: int, size: int) -> tuple[int, ...]:
    found: list[int] = []
    for piece in pieces:
        here = piece[mask[piece]]
        found += here[start : start + size - len(found)].tolist()
        start = max(0, start - len(here))
        if len(found) >= size:
            break
    return tuple(found)


def _bins(numbers: npt.NDArray[np.float64], low: float, high: float, bins: int) -> Integers:
    """Return the number of the bin of each number."""
    found = numbers - low
    found /= (high - low) or 1.0
    found *= bins
    bin_of = found.astype(np.int64)
    return np.clip(bin_of, 0, bins - 1, out=bin_of)
