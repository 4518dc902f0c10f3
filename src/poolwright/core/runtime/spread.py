"""Spread: rows dealt out to partitions on disk, so that rows that belong together are compared in bounded memory.

Each unit of a table writes one file of its rows, sorted by partition, and the edges of the partitions within it; a
partition is read as slices of these files, mapped into memory. What is written survives a kill and is not done again.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.files import remove, write_atomically
from poolwright.core.rows import Rows
from poolwright.core.state import read_mapped, write_mapped

Integers = npt.NDArray[np.int64]

Deal = Callable[[Rows, Integers], tuple[pa.Table, npt.NDArray[np.integer[Any]]]]
"""Gives, for some rows and their places (n,), the m rows to write and the partition (m,) of each."""

RunAll = Callable[[Callable[[int], Any], int], Iterator[tuple[int, Any]]]
"""Calls a function with 0 .. n - 1 on workers; yields number and result, in any order."""

_PLACE_BITS = 40
"""Bits of a place that number the rows of a unit; those above number the units."""

_BUFFERED = 32 << 20
"""Bytes of rows that a unit sorts by partition at a time; they are held twice meanwhile."""

_DEALT = 1 << 14
"""Rows that are dealt at a time: they may be written many times each."""


_BATCH = 1 << 16
"""Rows that are dealt out again at a time."""


def places(unit: int, first: int, rows: int) -> Integers:
    """Return numbers (n,) that no two rows of a table share, for `rows` rows of a unit from its row `first` on."""
    return np.arange(first, first + rows, dtype=np.int64) + (unit << _PLACE_BITS)


def units_of(places: Integers) -> Integers:
    """Return the unit of each of some `places`, (n,); for rows that `Spread.then` deals out, the partition."""
    return places >> _PLACE_BITS


@dataclass(frozen=True)
class WriteSpread:
    """The function that a unit runs: write its rows by partition; returns how many went to each, int64 (p,).

    Attributes:
        folder: where the files of the units are.
        partitions: number of partitions.
        deal: see `Frame.spread`.
        schema: of what `deal` gives.
        batches: gives the rows of a unit, in batches.
    """

    folder: Path
    partitions: int
    deal: Deal
    schema: pa.Schema
    batches: Callable[[int], Iterator[Rows]]

    def __call__(self, unit: int) -> Integers:
        rows, edges = _files(self.folder, unit)
        if not edges.exists():
            found: list[Integers] = []
            write_atomically(rows, partial(self._write, unit, found))
            write_atomically(edges, partial(_save, np.array(found, np.int64).reshape(-1, self.partitions + 1)))
        return np.asarray(np.diff(np.load(edges), axis=1).sum(axis=0))

    def _write(self, unit: int, edges: list[Integers], out: Any) -> None:
        with pa.ipc.new_file(out, self.schema) as writer:
            for table, partition in self._gathered(unit):
                order = np.argsort(partition, kind="stable")
                edges.append(np.searchsorted(partition[order], np.arange(self.partitions + 1)))
                (batch,) = table.take(pa.array(order)).combine_chunks().to_batches()
                del table
                writer.write_batch(batch)

    def _gathered(self, unit: int) -> Iterator[tuple[pa.Table, npt.NDArray[np.integer[Any]]]]:
        """Yield the rows of a unit and their partitions, many batches at a time."""
        tables: list[pa.Table] = []
        partitions: list[npt.NDArray[np.integer[Any]]] = []
        size = first = 0
        for rows in self._pieces(unit):
            table, partition = self.deal(rows, places(unit, first, len(rows)))
            first += len(rows)
            if len(table):
                tables.append(table.cast(self.schema))
                partitions.append(partition)
                size += tables[-1].nbytes
            if size > _BUFFERED:
                yield _taken_out(tables), np.concatenate(partitions)
                partitions, size = [], 0
        if tables:
            yield _taken_out(tables), np.concatenate(partitions)

    def _pieces(self, unit: int) -> Iterator[Rows]:
        for rows in self.batches(unit):
            yield from (Rows(rows.table.slice(at, _DEALT)) for at in range(0, len(rows), _DEALT))


def _taken_out(tables: list[pa.Table]) -> pa.Table:
    """Return tables as one, and empty the list, so that their rows are not held twice."""
    whole = pa.concat_tables(tables).combine_chunks()
    tables.clear()
    return whole


@dataclass(frozen=True)
class Spread:
    """Rows dealt out to partitions, see `Frame.spread`. As a context it erases its files when it is left in peace.

    Attributes:
        folder: where its files are.
        units: number of units that wrote it.
        partitions: number of partitions.
        rows: int64 (p,) rows of each partition.
        schema: of the rows.
        run: runs a function over the partitions; only the process that made the spread has it.
    """

    folder: Path
    units: int
    partitions: int
    rows: Integers
    schema: pa.Schema
    run: RunAll | None = field(default=None, compare=False)
    _opened: dict[int, tuple[list[pa.RecordBatch], Integers, mmap.mmap]] = field(default_factory=dict, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "run": None, "_opened": {}}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._opened.clear()
        if error is None:
            remove(self.folder)

    def read(self, partition: int) -> pa.Table:
        """Return the rows of a partition in the order of the units and of their rows, mapped from the files."""
        found = []
        for unit in range(self.units):
            batches, edges, _ = self._unit(unit)
            for batch, edge in zip(batches, edges, strict=True):
                first, last = int(edge[partition]), int(edge[partition + 1])
                if first < last:
                    found.append(batch.slice(first, last - first))
        return pa.Table.from_batches(found, self.schema)

    def map(self, name: str, work: Callable[[int, Spread], pa.Table]) -> Iterator[tuple[int, pa.Table]]:
        """Run a function over all partitions on the workers, then yield (partition, its table) in their order.

        The tables are saved, so that those of an interrupted call are not made again, and mapped into memory.

        Args:
            name: names what `work` does; one spread can be mapped several times.
            work: receives a partition and the spread, of which it may read any partition; picklable.
        """
        if self.run is None:
            raise RuntimeError("only the process that made a spread maps functions over it")
        folder = self.folder / name
        for _ in self.run(_Save(self, folder, work), self.partitions):
            pass
        for partition in range(self.partitions):
            yield partition, read_mapped(_result(folder, partition))

    def then(self, name: str, again: str, deal: Deal, partitions: int) -> Spread:
        """Deal the rows of the tables that `map` made out to partitions again, on the workers.

        Args:
            name: that of `map`.
            again: names the new spread among those of this one; its files are within those of this one.
            deal: as for `Frame.spread`; places number the rows of all tables.
            partitions: number of partitions.
        """
        if self.run is None:
            raise RuntimeError("only the process that made a spread deals it out again")
        batches = _Results(self.folder / name)
        schema = dealt_schema(deal, read_mapped(_result(self.folder / name, 0)).schema)
        folder, rows = self.folder / again, np.zeros(partitions, np.int64)
        for _, dealt in self.run(WriteSpread(folder, partitions, deal, schema, batches), self.partitions):
            rows += dealt
        return Spread(folder, self.partitions, partitions, rows, schema, self.run)

    def forget(self) -> None:
        """Give the pages that were read back to the operating system, so that memory does not grow with the files."""
        for _, _, pages in list(self._opened.values()):
            if hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)

    def _unit(self, unit: int) -> tuple[list[pa.RecordBatch], Integers, mmap.mmap]:
        """Return the batches of a unit's file, the edges of the partitions within each (b, p + 1), and its pages."""
        if unit not in self._opened:
            rows, edges = _files(self.folder, unit)
            with rows.open("rb") as file:
                pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            reader = pa.ipc.open_file(pa.py_buffer(pages))
            batches = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            self._opened[unit] = batches, np.load(edges), pages
        return self._opened[unit]


@dataclass(frozen=True)
class _Save:
    """The function that runs for a partition: save the table that `work` makes of it, unless that is done."""

    spread: Spread
    folder: Path
    work: Callable[[int, Spread], pa.Table]

    def __call__(self, partition: int) -> None:
        path = _result(self.folder, partition)
        if not path.exists():
            write_mapped(path, self.work(partition, self.spread))
            self.spread.forget()


@dataclass(frozen=True)
class _Results:
    """Gives the rows of the table that was made of a partition, in batches."""

    folder: Path

    def __call__(self, partition: int) -> Iterator[Rows]:
        table = read_mapped(_result(self.folder, partition))
        return (Rows(table.slice(at, _BATCH)) for at in range(0, len(table), _BATCH))


def dealt_schema(deal: Deal, given: pa.Schema) -> pa.Schema:
    """Return the columns that `deal` gives for rows of these columns; dictionaries are decoded."""
    table, _ = deal(Rows(given.empty_table()), np.empty(0, np.int64))
    return pa.schema(
        [
            pa.field(one.name, one.type.value_type if pa.types.is_dictionary(one.type) else one.type)
            for one in table.schema
        ]
    )


def _files(folder: Path, unit: int) -> tuple[Path, Path]:
    """Return the files of a unit: its rows, and the edges of the partitions, which is written last."""
    return folder / f"unit-{unit:05d}.arrow", folder / f"unit-{unit:05d}.edges.npy"


def _result(folder: Path, partition: int) -> Path:
    return folder / f"{partition:06d}.arrow"


def _save(edges: Integers, out: Any) -> None:
    np.save(out, edges)
