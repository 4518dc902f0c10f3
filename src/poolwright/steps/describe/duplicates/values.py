"""Link rows by equal values, close times and close hashes, which are held in memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID, is_text
from poolwright.core.errors import StepError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, as_array, one_array
from poolwright.kernels.selection.groups import local_groups
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.similarity.connected_components import Links
from poolwright.kernels.similarity.near_duplicates import link_times

_TIME = pa.timestamp("us", tz="UTC")
_FLAT = np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)
"""Perceptual hashes of pictures without structure: no coefficient, or the mean alone, is above the median."""


def collect(frame: Frame, names: Sequence[str], only: pa.Array | None = None) -> pa.Table:
    """Return columns of all rows, or of those with the uids `only`, in order of their uid."""
    index = None if only is None else ValueIndex(only)
    found = frame.fold(list(names), _Collected, _Add(index), _Collected.merge)
    empty = _decoded(pa.schema([frame.schema.field(name) for name in names]).empty_table())
    table = pa.concat_tables([empty, *(one.select(list(names)) for one in found.tables)])
    return table.take(pc.sort_indices(table.column(UID)))


@dataclass
class _Collected:
    """Some columns of some rows."""

    tables: list[pa.Table] = field(default_factory=list)

    def merge(self, other: _Collected) -> _Collected:
        self.tables += other.tables
        return self


@dataclass(frozen=True)
class _Add:
    """Add the rows of a batch, of those in the index if there is one."""

    index: ValueIndex | None

    def __call__(self, found: _Collected, rows: Rows) -> _Collected:
        if self.index is not None:
            rows = rows.filter(self.index.find(rows.column(UID)) >= 0)
        found.tables.append(_decoded(rows.table))
        return found


def _decoded(table: pa.Table) -> pa.Table:
    """Return texts of any encoding as one type, so that uids and texts sort and join."""
    fields = [pa.field(one.name, pa.large_string() if is_text(one.type) else one.type) for one in table.schema]
    columns = [
        as_array(column).cast(pa.string()).cast(pa.large_string()) if is_text(one.type) else column
        for one, column in zip(table.schema, table.columns, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def link_same(links: Links, table: pa.Table, names: Sequence[str], time: str | None, within: int) -> None:
    """Link rows with equal values in all these columns; those of the time count as equal if at most `within` apart.

    Args:
        links: where to add the links.
        table: the rows.
        names: columns.
        time: column of times among them; None if all values must be equal.
        within: microseconds.
    """
    columns = [_plain(one_array(table.column(name))) for name in names if name != time]
    group = local_groups(columns)[0] if columns else np.zeros(len(table), np.int64)
    if time is None:
        links.chain(group)
        return
    column = one_array(table.column(time)).cast(_TIME).cast(pa.int64())
    group = np.where(pc.is_valid(column).to_numpy(zero_copy_only=False), group, -1)
    link_times(links, group, pc.fill_null(column, 0).to_numpy(), within)


def _plain(column: pa.Array) -> pa.Array:
    """Return times as integers, for grouping."""
    if not pa.types.is_temporal(column.type):
        return column
    return column.cast(pa.int32()).cast(pa.int64()) if column.type.bit_width == 32 else column.cast(pa.int64())


def parse_hashes(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return hashes as uint64 (n,), and which rows have one that says something about the picture.

    Raises:
        StepError: a value is not a hash of 16 hex digits.
    """
    texts = column.to_pylist()
    bad = next((text for text in texts if text is not None and not re.fullmatch(r"[0-9a-fA-F]{16}", text)), None)
    if bad is not None:
        raise StepError(
            f"near_duplicates: '{bad}' in '{name}' is not a 64-bit hash of 16 hex digits; compute them with `hash`"
        )
    numbers = np.array([int(text, 16) if text else 0 for text in texts], np.uint64)
    return numbers, np.array([text is not None for text in texts], bool) & ~np.isin(numbers, _FLAT)
