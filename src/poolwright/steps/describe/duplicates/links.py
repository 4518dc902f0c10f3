"""Gather links between rows by their places, and find the uids of the rows that are linked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.spread import Integers
from poolwright.kernels.similarity.connected_components import Links
from poolwright.steps.describe.duplicates.vectors import Linked

Pairs = tuple[Integers, Integers]
"""Places of linked rows: left[i] is linked with right[i]."""

LINKS = pa.schema([("left", pa.int64()), ("right", pa.int64())])
PLACE = "place"
_AT_ONCE, _MOST = 2_000_000, 1 << 14
"""Rows that a worker compares at a time, about, and partitions at most."""
_PENDING = 4_000_000
"""Links that are held before they are merged, 16 bytes each."""


def partitions_for(rows: int) -> int:
    """Return the number of partitions to deal so many rows out to."""
    return min(max(1, -(-rows // _AT_ONCE)), _MOST)


def linked_rows(frame: Frame, pairs: Iterable[Pairs]) -> Linked:
    """Return the rows that are linked, with as few links as connect the same rows. Memory grows with these alone."""
    left, right = _merged(pairs)
    places = np.unique(np.concatenate([left, right]))
    uids = _uids_at(frame, places)
    order = pc.sort_indices(uids).to_numpy()
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    left, right = (rank[np.searchsorted(places, some)] for some in (left, right))
    return Linked(uids.take(pa.array(order)), left, right, np.full(len(left), np.nan), {})


def _merged(pairs: Iterable[Pairs]) -> Pairs:
    held: list[Pairs] = [(np.empty(0, np.int64), np.empty(0, np.int64))]
    pending = 0
    for one in pairs:
        held.append(one)
        pending += len(one[0])
        if pending > max(_PENDING, 2 * len(held[0][0])):
            held, pending = [_fewest(held)], 0
    return _fewest(held)


def _fewest(held: list[Pairs]) -> Pairs:
    """Return a link from each row to the first one of its group."""
    left, right = (np.concatenate(some) for some in zip(*held, strict=True))
    places, row = np.unique(np.concatenate([left, right]), return_inverse=True)
    links = Links(len(places))
    links.add(row[: len(left)], row[len(left) :])
    first = links.first()
    others = np.flatnonzero(first != np.arange(len(first)))
    return places[first[others]], places[others]


def _uids_at(frame: Frame, places: Integers) -> pa.Array:
    """Return the uids of the rows at some places, sorted: large_string (n,)."""
    with frame.spread([UID], DealPlaces(places), 1, "linked") as spread:
        table = spread.read(0)
        return one_array(table.take(pc.sort_indices(table, [(PLACE, "ascending")])).column(UID))


@dataclass(frozen=True)
class DealPlaces:
    """Deals the rows at some places to one partition."""

    places: Integers

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, Integers]:
        at = np.searchsorted(self.places, places)
        found = np.flatnonzero(np.append(self.places, -1)[at] == places)
        uids = rows.column(UID).take(pa.array(found)).cast(pa.string()).cast(pa.large_string())
        return pa.table({PLACE: places[found], UID: uids}), np.zeros(len(found), np.int64)
