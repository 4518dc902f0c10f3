"""Builds the index of a table, once: the columns of its kept and dropped rows, in files that are mapped.

Rows have positions: the kept ones in their order, then the dropped ones in the order of the source. The index is in
`<run>/explore/<table>/<digest of the table's record>`, so that it matches the table as it is; it is only a cache.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.files import digest_file, remove, sync_folder
from poolwright.core.rows import one_array
from poolwright.core.table import RECORD, Table
from poolwright.inspect.views.dropped import MOST_WITH_VECTORS, Fallen, fallen, replay_of
from poolwright.inspect.views.store import CHUNK, ColumnWriter, is_stored, stored_type
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.run.run import Run

FORMAT = 1
INDEX = "index.json"
DROPPED_BY = "drop reason"
"""Column of the index with the step that dropped a row and why; null for kept rows."""

PLACE, RANK = ".row", ".rank"
"""Columns of the index alone: row within its part, rank of the hash of the uid."""

MOST_ROWS = 20_000_000
"""If more rows were kept, or dropped, whole parts are drawn by a hash of their name; pages say so."""

BATCH_ROWS = 65_536

Progress = Callable[[int, int], None]
"""Receives (rows done, rows in all)."""


@dataclass(frozen=True)
class Segment:
    """Consecutive positions whose rows come from one part: of the table, or of its source if they were dropped."""

    dropped: bool
    part: int
    start: int
    rows: int


def index_folder(table: Table) -> Path:
    """Return the folder of the index of a finished table, and of its orders, selections, queries and maps."""
    digest = digest_file(table.folder / RECORD)
    return table.folder.parent.parent / "explore" / table.name / digest[:16]


def read_index(folder: Path) -> dict[str, Any] | None:
    """Read the description of an index; None if there is none, or one of another version."""
    path = folder / INDEX
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found["format"] == FORMAT else None


def build_index(run: Run, name: str, progress: Progress = lambda done, rows: None, chunk_rows: int = CHUNK) -> None:
    """Write the index of a finished table, in one pass over its rows and its source.

    Memory is a batch of rows and a chunk of each column, however many rows there are.

    Args:
        run: the run.
        name: name of the table.
        progress: receives the progress.
        chunk_rows: rows per chunk, a multiple of 8; changes no result.

    Raises:
        InputError: the table is not finished, or its source cannot be read.
    """
    folder = index_folder(run.table(name))
    partial = folder.with_name(f"{folder.name}.{os.getpid()}-{threading.get_ident()}.partial")
    remove(partial)
    partial.mkdir(parents=True)
    try:
        _Build(run, name, partial, progress, chunk_rows).write()
        if read_index(folder) is None:  # another process may have been faster
            remove(folder)
            os.replace(partial, folder)
            sync_folder(folder.parent)
        _remove_others(folder)
    finally:
        remove(partial)


def _remove_others(folder: Path) -> None:
    """Remove indexes of earlier versions of the table; one that is being built has another name."""
    for other in folder.parent.iterdir():
        if other != folder and not other.name.endswith(".partial"):
            with suppress(OSError):  # Windows cannot remove a file that is mapped
                remove(other)


class _Build:
    def __init__(self, run: Run, name: str, folder: Path, progress: Progress, chunk_rows: int) -> None:
        self.folder, self.progress, self.chunk_rows = folder, progress, chunk_rows
        self.table = run.table(name)
        record = self.table.record
        plan = run.plan(name)
        self.gone = [(one.part, len(one.rows)) for one in fallen(self.table)]
        self.replay = replay_of(plan, self.table, sum(rows for _, rows in self.gone) <= MOST_WITH_VECTORS)
        self.key = hash_key(run.recipe.seed, name, "explore")
        self.kept_parts = _drawn([part.rows for part in record.parts], [part.file for part in record.parts], self.key)
        names = [plan.source.parts[part].name for part, _ in self.gone]
        drawn = _drawn([rows for _, rows in self.gone], names, self.key)
        self.gone_parts = {part for (part, _), chosen in zip(self.gone, drawn, strict=True) if chosen}
        self.reasons = [None, *(f"{one.verb}: {one.words}" for one in record.reasons)]
        self.writers = _writers(folder, [self.table.schema, self.replay.schema], chunk_rows)
        self.segments: list[Segment] = []
        self.at = 0
        kept = sum(part.rows for part, chosen in zip(record.parts, self.kept_parts, strict=True) if chosen)
        self.rows = kept + sum(rows for part, rows in self.gone if part in self.gone_parts)

    def write(self) -> None:
        self._write_kept()
        kept = self.at
        for gone in fallen(self.table):
            if gone.part in self.gone_parts:
                self._write_dropped(gone)
        columns = [writer.close() for writer in self.writers.values()]
        index = {
            "format": FORMAT,
            "chunk_rows": self.chunk_rows,
            "rows": self.at,
            "kept": kept,
            "kept_in_all": self.table.record.rows_kept,
            "dropped_in_all": self.table.record.rows_dropped,
            "unknown": [name for name in self.writers if name in set(self.table.schema.names) - self._known()],
            "segments": [[one.dropped, one.part, one.start, one.rows] for one in self.segments],
            "columns": columns,
        }
        (self.folder / INDEX).write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")

    def _known(self) -> set[str]:
        """Return the columns that dropped rows have; all if there are no dropped rows."""
        return set(self.replay.schema.names) if self.gone else set(self.table.schema.names)

    def _write_kept(self) -> None:
        names = [name for name in self.table.schema.names if name in self.writers]
        for part, record in enumerate(self.table.record.parts):
            if not self.kept_parts[part]:
                continue
            start = self.at
            with self.table.reading(record.file) as path:
                opened = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 18)
            with opened as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
                    rows = np.arange(self.at - start, self.at - start + batch.num_rows)
                    self._add(pa.Table.from_batches([batch]), rows, np.zeros(batch.num_rows, np.int64))
            self.segments.append(Segment(False, part, start, self.at - start))

    def _write_dropped(self, gone: Fallen) -> None:
        start = self.at
        for rows in self.replay.read(gone):
            done = self.at - start
            stop = done + rows.num_rows
            self._add(rows, gone.rows[done:stop], gone.codes[done:stop])
        self.segments.append(Segment(True, gone.part, start, self.at - start))

    def _add(self, rows: pa.Table, row_numbers: Any, codes: Any) -> None:
        own = {
            DROPPED_BY: pa.array(self.reasons, pa.large_string()).take(pa.array(codes)),
            PLACE: pa.array(row_numbers, pa.int64()),
            RANK: pa.array((hash64(rows.column(UID), self.key) >> np.uint64(1)).view(np.int64)),
        }
        for name, writer in self.writers.items():
            values = own.get(name)
            if values is None:
                values = _as(rows, name, writer.field.type)
            writer.add(values)
        self.at += rows.num_rows
        self.progress(self.at, self.rows)


def _drawn(rows: Sequence[int], names: Sequence[str], key: int) -> list[bool]:
    """Return which parts are indexed: all, or those with the smallest hashes of their names, up to `MOST_ROWS` rows."""
    if sum(rows) <= MOST_ROWS:
        return [True] * len(rows)
    order = np.argsort(hash64(pa.array(names, pa.string()), key), kind="stable")
    total = np.cumsum(np.asarray(rows)[order])
    drawn = np.zeros(len(rows), bool)
    drawn[order[: max(1, int(np.searchsorted(total, MOST_ROWS, side="right")))]] = True
    return list(map(bool, drawn))


def _writers(folder: Path, schemas: Sequence[pa.Schema], chunk_rows: int) -> dict[str, ColumnWriter]:
    """Make a writer for every stored column: those of kept rows first, then those that only dropped rows have."""
    fields: dict[str, pa.Field] = {DROPPED_BY: pa.field(DROPPED_BY, pa.large_string())}
    for field in (field for schema in schemas for field in schema):
        if is_stored(field.type) and field.name != ROW_ERROR:
            fields.setdefault(field.name, pa.field(field.name, stored_type(field.type)))
    for name in (PLACE, RANK):
        fields[name] = pa.field(name, pa.int64())
    facets = set(fields) - {UID, PLACE, RANK}
    return {
        name: ColumnWriter(folder, number, field, name in facets, chunk_rows)
        for number, (name, field) in enumerate(fields.items())
    }


def _as(rows: pa.Table, name: str, dtype: pa.DataType) -> pa.Array:
    """Return a column as it is stored; null if these rows lack it, or have another type under its name."""
    if rows.schema.get_field_index(name) < 0:
        return pa.nulls(rows.num_rows, dtype)
    values = one_array(rows.column(name))
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return values if values.type == dtype else values.cast(dtype, safe=False)
    except pa.ArrowException:
        return pa.nulls(rows.num_rows, dtype)


def segments_of(index: Mapping[str, Any]) -> Iterator[Segment]:
    return (Segment(*values) for values in index["segments"])
