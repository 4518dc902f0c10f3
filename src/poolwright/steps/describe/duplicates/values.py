"""Collect columns of the rows that have near-duplicates, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID, is_text
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, as_array
from poolwright.kernels.selection.lookup.value_index import ValueIndex


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
