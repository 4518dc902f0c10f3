"""Collect the vectors of each group of rows, group after group, in passes that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import iadd

import numpy as np
import numpy.typing as npt

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.similarity.unit_length import has_direction

MEMORY = 1 << 30
"""Bytes of vectors that one pass collects. A larger group has a pass of its own."""

Batch = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.floating]]
"""Group (m,), hash rank (m,) and vector (m, d) of some rows."""


@dataclass(frozen=True)
class RowCollector:
    """Add the rows of a batch that a pass collects to a list.

    Attributes:
        column: column with the vectors.
        groups: the group table.
        ranks: int64 (k,) the greatest hash rank of each group that is collected.
        key: 64-bit key of the hash ranks.
    """

    column: str
    groups: Groups
    ranks: npt.NDArray[np.int64]
    key: int

    def __call__(self, batches: list[Batch], rows: Rows) -> list[Batch]:
        ids = self.groups.ids(rows)
        here = np.flatnonzero((ids >= 0) & (self.ranks[ids] >= 0))
        if not len(here):
            return batches
        ranks = hash_ranks(rows.column(UID).take(here), self.key)
        low = ranks <= self.ranks[ids[here]]
        here, ranks = here[low], ranks[low]
        vectors = usable_type(rows.vectors(self.column)[here])
        usable = has_direction(vectors)
        batches.append((ids[here[usable]], ranks[usable], vectors[usable]))
        return batches


def usable_type(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Vectors as float16 or float32; larger numbers than float32 holds become infinite."""
    with np.errstate(over="ignore"):
        return vectors if vectors.dtype.itemsize < 8 else vectors.astype(np.float32)


class GroupVectors:
    """The collected rows of some groups.

    Args:
        batches: in any order.
        count: number of groups in the table.
        width: d.
    """

    def __init__(self, batches: Sequence[Batch], count: int, width: int) -> None:
        self.vectors = [vectors for _, _, vectors in batches]
        self.width = width
        lengths = [len(vectors) for vectors in self.vectors]
        ids, ranks = (np.concatenate([np.empty(0, np.int64), *(batch[kind] for batch in batches)]) for kind in (0, 1))
        order = np.lexsort((ranks, ids))
        self._batch = np.repeat(np.arange(len(lengths)), lengths)[order]
        self._row = np.concatenate([np.empty(0, np.int64), *(np.arange(length) for length in lengths)])[order]
        self._edges = np.searchsorted(ids[order], np.arange(count + 1))

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Rows of each group, (k,)."""
        return np.diff(self._edges)

    def of(self, group: int) -> npt.NDArray[np.floating]:
        """The vectors (n, d) of a group, by ascending hash rank."""
        span = slice(self._edges[group], self._edges[group + 1])
        batch, row = self._batch[span], self._row[span]
        out = np.empty((len(row), self.width), self.vectors[0].dtype if self.vectors else np.float32)
        for number in np.unique(batch):
            here = batch == number
            out[here] = self.vectors[number][row[here]]
        return out


def collect_groups(
    frame: Frame, column: str, groups: Groups, counts: npt.NDArray[np.int64], ranks: npt.NDArray[np.int64], key: int
) -> Iterator[GroupVectors]:
    """Yield the usable vectors of all groups; each pass gives those of some of them.

    Args:
        counts: rows of each group that a pass will collect at most.
        ranks: the greatest hash rank of each group that is collected.
    """
    kind = frame.schema.field(column).type
    row_bytes = kind.list_size * min(4, kind.value_type.bit_width // 8)
    for turn in _turns(counts * row_bytes):
        picked = np.full(len(counts) + 1, -1, np.int64)  # with an entry at the end for rows in no group
        picked[turn] = ranks[turn]
        wanted = RowCollector(column, groups, picked, key)
        columns = tuple(dict.fromkeys((*groups.columns, UID, column)))
        batches: list[Batch] = frame.fold(columns, list, wanted, iadd)
        yield GroupVectors(batches, len(counts), kind.list_size)


def _turns(sizes: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yield runs of indices whose sizes sum to at most MEMORY, or of one index."""
    start, room = 0, MEMORY
    for index, size in enumerate(sizes):
        if size > room and index > start:
            yield np.arange(start, index)
            start, room = index, MEMORY
        room -= size
    if len(sizes) > start:
        yield np.arange(start, len(sizes))
