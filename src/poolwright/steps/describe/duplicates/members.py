"""Read values and vectors of the rows that have near-duplicates, for deciding which stays and how alike it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.clusters.cells import Cells
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.similarity.pairs import cosines
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

_BYTES = 32 << 20
"""Bytes of vectors of a partition."""

_PAIRS = 8_192
"""Pairs of rows whose vectors are widened to float64 at a time."""


def central_cosines(frame: Frame, column: str, uids: pa.Array, cells: Cells) -> np.ndarray:
    """Return the cosine of each of some rows with the mean of its cell: float64 (n,), NaN without a vector."""
    read = partial(_add_central, column, ValueIndex(uids), cells)
    found = frame.fold((UID, column), _no_values, read, _joined)
    values = np.full(len(uids), np.nan)
    for at, cosine in found:
        values[at] = cosine
    return values


def cosines_with(frame: Frame, column: str, uids: pa.Array, twin: np.ndarray) -> np.ndarray:
    """Return the cosine of each of some rows with another one of them, in bounded memory.

    Args:
        frame: the rows.
        column: of vectors.
        uids: distinct uids of the rows.
        twin: int64 (n,), which of them each row is compared with; itself for none.

    Returns:
        float64 (n,), NaN for none, and where one of the two has no vector with a direction.
    """
    dtype = frame.schema.field(column).type
    partitions = max(1, len(uids) * dtype.list_size * dtype.value_type.bit_width // 8 // _BYTES)
    deal = _DealTwins(column, ValueIndex(uids), twin, partitions)
    found = np.full(len(uids), np.nan)
    with frame.spread((UID, column), deal, partitions, "twins") as dealt:
        for _, table in dealt.map("cosines", partial(_compare_twins, twin)):
            found[np.asarray(table.column("row"))] = np.asarray(table.column("cosine"))
    return found


Values = list[tuple[np.ndarray, np.ndarray]]


def _no_values() -> Values:
    return []


def _joined(one: Values, other: Values) -> Values:
    return one + other


def _add_central(column: str, index: ValueIndex, cells: Cells, found: Values, rows: Rows) -> Values:
    at = index.find(rows.column(UID))
    vectors = rows.vectors(column)
    picked = np.flatnonzero((at >= 0) & has_direction(vectors))
    if len(picked):
        home = cells.home(unit_rows(vectors[picked]))
        found.append((at[picked], cells.cosine(unit_rows(vectors[picked], np.float64), home)))
    return found


@dataclass(frozen=True)
class _DealTwins:
    """Deals rows out so that all that are compared with one row are in its partition, and it as well."""

    column: str
    index: ValueIndex
    twin: np.ndarray
    partitions: int

    def __call__(self, rows: Rows, places: np.ndarray) -> tuple[pa.Table, np.ndarray]:
        at = self.index.find(rows.column(UID))
        picked = np.flatnonzero((at >= 0) & has_direction(rows.vectors(self.column)))
        table = rows.select([self.column]).table.take(pa.array(picked)).rename_columns(["vector"])
        return table.append_column("row", pa.array(at[picked])), self.twin[at[picked]] % self.partitions


def _compare_twins(twin: np.ndarray, partition: int, spread: Spread) -> pa.Table:
    table = spread.read(partition)
    row, vectors = np.asarray(table.column("row")), Rows(table).vectors("vector")
    order = np.argsort(row)
    wanted = twin[row]
    at = order[np.minimum(np.searchsorted(row[order], wanted), max(len(row) - 1, 0))] if len(row) else row
    there = np.flatnonzero((row[at] == wanted) & (wanted != row)) if len(row) else row
    pieces = np.split(there, np.arange(_PAIRS, len(there), _PAIRS))
    found = [cosines(vectors, vectors, piece, at[piece]) for piece in pieces]
    return pa.table({"row": pa.array(row[there]), "cosine": pa.array(np.concatenate(found))})
