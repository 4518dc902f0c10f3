"""Count the files whose copies a split puts on several sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import SHA256
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.kernels.selection.ranks import ALL, hash_ranks
from poolwright.steps.split.by_group import SummedRows, summed

MOST_ROWS = 20_000_000
"""Rows about whose files are remembered; of more rows, the files of a share are looked at, drawn by hash."""

SplitOf = Callable[[Rows], np.ndarray]
"""Return the index of each row's split, int64 (n,). Must be picklable."""


def count_copies(frame: Frame, columns: list[str], split_of: SplitOf, nowhere: int, rows: int) -> int:
    """Return the number of distinct `sha256` that rows of more than one split have.

    Args:
        columns: columns that `split_of` reads.
        nowhere: index of rows in no split.
        rows: rows of the frame. Of more than `MOST_ROWS` the number is an estimate.
    """
    share = min(1.0, MOST_ROWS / max(rows, 1))
    most = ALL if share == 1 else int(share * ALL)
    names = list(dict.fromkeys([*columns, SHA256]))
    rank, _, _ = summed(frame.fold(names, SummedRows, _AddCopies(split_of, nowhere, most), SummedRows.merge).parts)
    again = np.append(False, rank[1:] == rank[:-1])
    return round(len(np.unique(rank[again[: len(rank)]])) / share)


@dataclass(frozen=True)
class _AddCopies:
    split_of: SplitOf
    nowhere: int
    most: int

    def __call__(self, tally: SummedRows, rows: Rows) -> SummedRows:
        digests = plain(rows.column(SHA256)).cast(pa.string())
        split, rank = self.split_of(rows), hash_ranks(digests, 0)
        keep = pc.is_valid(digests).to_numpy(zero_copy_only=False) & (split < self.nowhere) & (rank <= self.most)
        tally.add(summed([(rank[keep], split[keep], np.ones(int(keep.sum()), dtype=np.int64))]))
        return tally
