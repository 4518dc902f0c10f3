"""Draw the rows that cells are made from, and those whose near-duplicates are searched exactly to measure recall."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

LEARNED_FROM = 65_536
"""Rows at most that cells are made from, drawn by the hash rank of their uid: 134 MB of 512 dimensions in float32."""

SEARCHED = 2_000
"""Rows at most whose near-duplicates are searched exactly."""


@dataclass(frozen=True)
class DrawnRows:
    """Rows drawn by the rank of a hash of their uid, in that order.

    Attributes:
        uids: their uids.
        unit: (n, d) float32, their vectors at unit length.
    """

    uids: pa.Array
    unit: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)


def draw(frame: Frame, column: str, count: int, wanted: int, key: int, name: str) -> DrawnRows:
    """Draw about `wanted` of `count` rows, of those that have a vector with a direction, in one pass.

    Args:
        frame: the rows.
        column: of vectors.
        count: all rows.
        wanted: rows to draw: each is drawn with the probability of `wanted` in `count`.
        key: 64-bit key of the step.
        name: names the draw, so that two draws are independent.
    """
    below = int(min(1.0, wanted / max(count, 1)) * (1 << 63))
    found = frame.fold((UID, column), _Drawn, _Draw(column, hash_key(key, name), below), _Drawn.merge)
    width = frame.schema.field(column).type.list_size
    ranks = np.concatenate([np.empty(0, np.int64), *found.ranks])
    order = np.argsort(ranks, kind="stable")
    uids = pa.chunked_array([pa.array([], pa.string()), *found.uids]).take(pa.array(order))
    return DrawnRows(one_array(uids), np.concatenate([np.empty((0, width), np.float32), *found.unit])[order])


@dataclass
class _Drawn:
    """Some of the rows drawn."""

    ranks: list[np.ndarray] = field(default_factory=list)
    uids: list[pa.Array] = field(default_factory=list)
    unit: list[np.ndarray] = field(default_factory=list)

    def merge(self, other: _Drawn) -> _Drawn:
        self.ranks += other.ranks
        self.uids += other.uids
        self.unit += other.unit
        return self


@dataclass(frozen=True)
class _Draw:
    """Add the rows of a batch whose rank is below a bound."""

    column: str
    key: int
    below: int

    def __call__(self, found: _Drawn, rows: Rows) -> _Drawn:
        ranks = hash_ranks(rows.column(UID), self.key)
        picked = np.flatnonzero(ranks <= self.below)
        if len(picked):
            vectors = rows.vectors(self.column)[picked]
            usable = has_direction(vectors)
            picked = picked[usable]
            found.ranks.append(ranks[picked])
            found.uids.append(rows.column(UID).take(pa.array(picked)).cast(pa.string()))
            found.unit.append(unit_rows(vectors[usable]))
        return found
