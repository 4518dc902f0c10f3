"""Sort rows by the hash of their key, on disk, and find those that repeat a key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.files import remove
from poolwright.core.state import read_mapped

HASH = "hash"
KEY, VALUE = "key.", "value."
"""Prefixes of columns, so that keys, values and the hash may have the same names."""
PART, ROW = "part", "row"

_PARTITIONS = 64
"""Files that rows are dealt out to: each is sorted in memory."""
_CHUNK_BYTES = 128 << 20
_SHOWN = 3


@dataclass
class Repeats:
    """Rows that repeat the key of an earlier one.

    Attributes:
        equal: number of rows with the same values as the row before.
        differing: number of rows with others.
        shown: the first few of those: the row before, and the row.
    """

    equal: int = 0
    differing: int = 0
    shown: list[tuple[dict[str, object], dict[str, object]]] = field(default_factory=list)


def sort_rows(tables: Iterable[pa.Table], schema: pa.Schema, folder: Path | None) -> tuple[pa.Table, Repeats]:
    """Sort rows by their hash, in bounded memory, and leave out those that repeat a key.

    Args:
        tables: rows with `HASH`, keys and values, and with `PART` and `ROW` last.
        schema: that of the tables.
        folder: where to put files meanwhile; default the system's folder for temporary files.

    Returns:
        The rows without their place, mapped from a file that has no name any more; rows of one hash are in one chunk.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    work, repeats = Path(mkdtemp(dir=folder, prefix="join-")), Repeats()
    try:
        kept = pa.schema(list(schema)[:-2])
        distinct = (_distinct(_ordered(table), repeats) for table in _partitioned(iter(tables), schema, work))
        with pa.ipc.new_file(str(work / "sorted"), kept) as writer:
            for table in _in_chunks(distinct, kept):
                writer.write_table(table)
        return read_mapped(work / "sorted"), repeats
    finally:
        remove(work)


def _partitioned(tables: Iterator[pa.Table], schema: pa.Schema, work: Path) -> Iterator[pa.Table]:
    """Yield rows by ranges of their hash: all at once if they are few, else by way of files."""
    first, size = [schema.empty_table()], 0
    for table in tables:
        first.append(table)
        size += table.nbytes
        if size > _CHUNK_BYTES:
            _deal_out(chain(first, tables), schema, work)
            break
    else:
        yield pa.concat_tables(first).combine_chunks()
        return
    for path in _partitions(work):
        with pa.memory_map(str(path)) as file:
            table = pa.ipc.open_stream(file).read_all().combine_chunks()
        if len(table):
            yield table


def _deal_out(tables: Iterable[pa.Table], schema: pa.Schema, work: Path) -> None:
    """Write rows to the files of their partitions, in their order."""
    bounds = np.arange(1, _PARTITIONS, dtype=np.uint64) << np.uint64(64 - _PARTITIONS.bit_length() + 1)
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(str(path), schema)) for path in _partitions(work)]
        for table in tables:
            hashes = table.column(HASH).to_numpy()
            order = np.argsort(hashes, kind="stable")
            edges = [0, *np.searchsorted(hashes[order], bounds).tolist(), len(order)]
            table = table.take(pa.array(order))
            for writer, first, last in zip(writers, edges, edges[1:], strict=False):
                if first < last:
                    writer.write_table(table.slice(first, last - first))


def _partitions(work: Path) -> list[Path]:
    return [work / f"{number:02d}" for number in range(_PARTITIONS)]


def _in_chunks(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield tables joined to larger ones, each in one chunk."""
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(one.nbytes for one in waiting) >= _CHUNK_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting = []
    yield pa.concat_tables([schema.empty_table(), *waiting]).combine_chunks()


def _ordered(table: pa.Table) -> pa.Table:
    """Return rows by their hash; by their key too, if two keys have one hash."""
    table = table.take(pa.array(np.argsort(table.column(HASH).to_numpy(), kind="stable")))
    if not _same(table, KEY, _equal_hashes(table)).all():
        names = [name for name in table.column_names if name == HASH or name.startswith(KEY)]
        table = table.sort_by([(name, "ascending") for name in (*names, PART, ROW)])
    return table


def _distinct(table: pa.Table, repeats: Repeats) -> pa.Table:
    """Return the first row of each key, without its place; note the others."""
    before = _equal_hashes(table)
    before = before[_same(table, KEY, before)]
    equal = _same(table, VALUE, before)
    repeats.equal += int(equal.sum())
    repeats.differing += int((~equal).sum())
    for at in before[~equal][: _SHOWN - len(repeats.shown)].tolist():
        one, other = table.slice(at, 2).to_pylist()
        repeats.shown.append((one, other))
    keep = np.ones(len(table), bool)
    keep[before + 1] = False
    return table.drop_columns([PART, ROW]).filter(pa.array(keep))


def _equal_hashes(table: pa.Table) -> np.ndarray:
    """Return the indices of the rows whose hash is that of the row after them."""
    hashes = table.column(HASH).to_numpy()
    return np.flatnonzero(hashes[1:] == hashes[:-1])


def _same(table: pa.Table, prefix: str, before: np.ndarray) -> np.ndarray:
    """Return whether the rows of indices `before` have the same keys or values as the row after them: bool (n,)."""
    same = np.ones(len(before), bool)
    for name in table.column_names:
        if name.startswith(prefix):
            column = table.column(name)
            same &= _equal(column.take(pa.array(before)), column.take(pa.array(before + 1)))
    return same


def _equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> np.ndarray:
    """Return whether values are the same, null and NaN as any other: bool (n,)."""
    if pa.types.is_nested(one.type) or pa.types.is_float16(one.type):
        pairs = zip(one.to_pylist(), other.to_pylist(), strict=True)
        return np.array([repr(value) == repr(same) for value, same in pairs], bool)
    equal = pc.or_(pc.fill_null(pc.equal(one, other), False), pc.and_(pc.is_null(one), pc.is_null(other)))
    if pa.types.is_floating(one.type):
        equal = pc.or_(equal, pc.fill_null(pc.and_(pc.is_nan(one), pc.is_nan(other)), False))
    return np.asarray(equal.to_numpy(), bool)
