"""Draw the rows that many centroids are learned from: dealt out on disk, sorted by hash rank, mapped into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows, one_array, vector_array, vectors_of
from poolwright.core.runtime.spread import Spread
from poolwright.kernels.clusters.group_vectors import RowCollector, usable_type
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.similarity.cosine import Integers

_RANGES = 64
"""Ranges of hash ranks that the rows of a single group are dealt to: each of them is sorted in memory."""


@dataclass(frozen=True)
class _Deal:
    """Deals the rows that are drawn to the partition of their group, or of their hash rank if there is one group."""

    collect: RowCollector

    def __call__(self, rows: Rows, places: Integers) -> tuple[pa.Table, npt.NDArray[np.int64]]:
        nothing = np.empty(0, np.int64), np.empty(0, np.int64), usable_type(rows.vectors(self.collect.column)[:0])
        groups, ranks, vectors = next(iter(self.collect([], rows)), nothing)
        partition = groups if self.collect.groups.columns else ranks // (int(self.collect.ranks[0]) // _RANGES + 1)
        return pa.table({"rank": ranks, "vector": vector_array(vectors)}), partition


def drawn_rows(
    frame: Frame, column: str, groups: Groups, ranks: Integers, key: int, folder: Path | None
) -> Iterator[tuple[int, npt.NDArray[np.floating]]]:
    """Yield (group, its usable vectors in the order of their hash ranks) for all groups that have some.

    Args:
        ranks: int64 (k,) the greatest hash rank of each group that is drawn, -1 for none.
        key: 64-bit key of the hash ranks.
        folder: where a file for the vectors of one group can be; None for the system's.
    """
    deal = _Deal(RowCollector(column, groups, np.append(ranks, -1), key))
    names = tuple(dict.fromkeys((*groups.columns, UID, column)))
    alone = not groups.columns
    with frame.spread(names, deal, _RANGES if alone else max(1, len(groups)), "drawn") as dealt:
        if alone:
            parts = [range(_RANGES)] if dealt.rows.any() else []
        else:
            parts = [range(group, group + 1) for group in np.flatnonzero(dealt.rows).tolist()]
        for part in parts:
            with TemporaryFile(dir=folder) as file:
                yield part.start, _sorted(dealt, part, file)


def _sorted(dealt: Spread, part: range, file: IO[bytes]) -> npt.NDArray[np.floating]:
    """Write the vectors of some partitions by ascending hash rank, and map them."""
    kind = dealt.schema.field("vector").type
    dtype = np.dtype(kind.value_type.to_pandas_dtype())
    count = int(dealt.rows[part.start : part.stop].sum())
    out: npt.NDArray[np.floating] = np.memmap(file, dtype, "w+", shape=(count, kind.list_size))
    start = 0
    for partition in part:
        table = dealt.read(partition)
        if len(table):
            vectors = vectors_of(one_array(table.column("vector")))
            out[start : start + len(table)] = vectors[np.argsort(table.column("rank").to_numpy(), kind="stable")]
            start += len(table)
    return out
