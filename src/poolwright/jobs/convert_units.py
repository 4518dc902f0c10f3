"""Writes the units of a conversion: runs of source parts, each to its own Parquet files, with a done-mark."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.files import write_atomically, write_text
from poolwright.core.parquet import parquet_writer
from poolwright.core.pool import Part, Pool
from poolwright.core.rows import Rows
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.run.batches import BATCH_ROWS
from poolwright.run.write import regroup

FILE_ROWS = 1_000_000
UNIT_ROWS = 131_072
"""Source parts of fewer rows are combined."""

WORK = ".convert"
REJECTED = "rejected.jsonl"
SUFFIX = ".parquet"


@dataclass(frozen=True)
class Mark:
    """A finished unit: digests of its inputs by name, and what was written."""

    inputs: dict[str, str]
    files: list[str]
    rows: int
    rejected: int


def units_of(parts: Sequence[Part]) -> list[tuple[Part, ...]]:
    """Group parts in runs of about `UNIT_ROWS`; parts with more rows, or of unknown length, stay single."""
    units: list[tuple[Part, ...]] = []
    current: list[Part] = []
    for part in parts:
        rows = sum(other.rows or 0 for other in current)
        if current and (part.rows is None or rows + part.rows > UNIT_ROWS):
            units.append(tuple(current))
            current = []
        current.append(part)
        if part.rows is None:
            units.append(tuple(current))
            current = []
    return [*units, tuple(current)] if current else units


class Rejecting:
    """Reads the rows of parts, and collects those that are rejected."""

    def __init__(self, pool: Pool, schema: pa.Schema, parts: Sequence[Part], listener: Listener | None = None) -> None:
        self.pool, self.schema, self.parts, self.listener = pool, schema, parts, listener
        self.kept = 0
        self.rejected: list[dict[str, Any]] = []

    def rows(self) -> Iterator[Rows]:
        names = [*self.schema.names, ROW_ERROR] if ROW_ERROR in self.pool.arrow_schema().names else self.schema.names
        progress, begun = TableProgress(self.pool.kind, "convert", len(self.parts)), perf_counter()
        for part in self.parts:
            for table in self.pool.read(part, names, BATCH_ROWS):
                kept = self._kept(table)
                self.kept += len(kept)
                yield Rows(kept)
                progress.rows, progress.kept = self.kept + len(self.rejected), self.kept
            progress.units_done += 1
            progress.seconds = perf_counter() - begun
            if self.listener:
                self.listener.progress(progress)

    def _kept(self, table: pa.Table) -> pa.Table:
        if ROW_ERROR not in table.column_names:
            return table
        bad = pc.is_valid(table.column(ROW_ERROR))
        if pc.any(bad).as_py():
            found = table.select([UID, ROW_ERROR]).filter(bad).to_pylist()
            self.rejected += [{UID: row[UID], "error": row[ROW_ERROR]} for row in found]
            table = table.filter(pc.invert(bad))
        return table.drop_columns([ROW_ERROR])


@dataclass(frozen=True)
class ConvertUnit:
    """The function that writes one unit."""

    pool: Pool
    to: Path
    schema: pa.Schema
    units: tuple[tuple[Part, ...], ...]
    inputs: tuple[dict[str, str], ...]

    def __call__(self, unit: int) -> Mark:
        writing = Rejecting(self.pool, self.schema, self.units[unit])
        tables = _Ahead(regroup(writing.rows(), self.schema))
        names: list[str] = []
        while tables.more or not names:
            names.append(f"part-{unit:05d}-{len(names):02d}{SUFFIX}")
            write_atomically(self.to / names[-1], lambda out: self._write_file(out, tables))
        write_rejected(rejected_file(self.to, unit), writing.rejected)
        mark = Mark(self.inputs[unit], names, writing.kept, len(writing.rejected))
        write_text(mark_file(self.to, unit), json.dumps(asdict(mark), sort_keys=True) + "\n")
        return mark

    def _write_file(self, out: BinaryIO, tables: _Ahead) -> None:
        rows = 0
        with parquet_writer(out, self.schema) as writer:
            while tables.more and rows < FILE_ROWS:
                table = tables.take()
                writer.write_table(table, row_group_size=max(len(table), 1))
                rows += len(table)


class _Ahead:
    """The tables of an iterator, with one table of lookahead."""

    def __init__(self, tables: Iterator[pa.Table]) -> None:
        self._tables = tables
        self._next = next(tables, None)

    @property
    def more(self) -> bool:
        return self._next is not None

    def take(self) -> pa.Table:
        table, self._next = self._next, next(self._tables, None)
        return table


def mark_file(to: Path, unit: int) -> Path:
    """Return the path of the done-mark of a unit."""
    return to / WORK / f"part-{unit:05d}.json"


def rejected_file(to: Path, unit: int) -> Path:
    """Return the path of the rejected rows of a unit."""
    return to / WORK / f"part-{unit:05d}.{REJECTED}"


def read_mark(path: Path) -> Mark:
    """Read the done-mark of a unit."""
    return Mark(**json.loads(path.read_text(encoding="utf-8")))


def write_rejected(path: Path, rejected: Sequence[Mapping[str, Any]]) -> None:
    """Write rejected rows as JSON Lines; no file if there are none."""
    write_lines(path, (json.dumps(row, ensure_ascii=False) for row in rejected), len(rejected))


def write_lines(path: Path, lines: Iterable[str], count: int) -> None:
    """Write a file of lines; no file if there are none."""
    if count:
        write_atomically(path, lambda out: out.writelines(f"{line}\n".encode() for line in lines))
    else:
        path.unlink(missing_ok=True)
