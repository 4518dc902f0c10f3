"""Collect shortlists, the best rows of every class in one bucket, batch by batch and unit by unit.

Rows are ordered by score, and rows of equal score by the hash rank of their uid: so the rows on a list do not depend
on the order of the rows or batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from poolwright.kernels.similarity.cosine import Float32, Integers

_LISTS = 4
_FEWEST = 8192


@dataclass(frozen=True)
class Listed:
    """Scores of some rows.

    Attributes:
        scores: float32 (m, w), the higher the better.
        rows: indices of the rows in the shortlist: int32 (m, w), or (w,) if they are the same for all classes.
    """

    scores: Float32
    rows: np.ndarray

    def of_class(self, one: int) -> Listed:
        """The list of one class alone."""
        return Listed(self.scores[one : one + 1], self.rows if self.rows.ndim == 1 else self.rows[one : one + 1])


@dataclass
class Shortlist:
    """Rows of one bucket that may be among the best of a class, or among the worst if these are wanted too.

    Attributes:
        size: rows on the list of a class.
        worst: whether the lowest scores are listed too.
        seen: rows that were added.
        ranks: int64 hash ranks of the rows held, in chunks.
        fresh: rows with the scores of all classes, not yet reduced to lists.
        high, low: lists of `size` rows per class; the scores of `low` are negated.
    """

    size: int
    worst: bool = False
    seen: int = 0
    ranks: list[Integers] = field(default_factory=list)
    fresh: list[Listed] = field(default_factory=list)
    high: list[Listed] = field(default_factory=list)
    low: list[Listed] = field(default_factory=list)

    @property
    def held(self) -> int:
        """Number of rows whose hash ranks are held."""
        return sum(map(len, self.ranks))

    def add(self, scores: Float32, ranks: Integers) -> None:
        """Add rows: their scores (m, n), which are kept as they are, and hash ranks (n,)."""
        rows = np.arange(self.held, self.held + len(ranks), dtype=np.int32)
        self.fresh.append(Listed(scores, rows))
        self.ranks.append(ranks)
        self.seen += len(ranks)
        self._settle_if_large()

    def merge(self, other: Shortlist) -> None:
        """Take over all of another shortlist of the same bucket."""
        held = np.int32(self.held)
        for mine, theirs in ((self.fresh, other.fresh), (self.high, other.high), (self.low, other.low)):
            mine += [Listed(one.scores, one.rows + held) for one in theirs]
        self.ranks += other.ranks
        self.seen += other.seen
        self._settle_if_large()

    def _settle_if_large(self) -> None:
        lists = (*self.fresh, *self.high, *self.low)
        if sum(one.scores.shape[1] for one in lists) > max(_LISTS * self.size, _FEWEST) + 2 * self.size:
            self.settle()

    def settle(self) -> None:
        """Keep the `size` best rows of every class, and the `size` worst if they are wanted."""
        ranks = np.concatenate(self.ranks)
        lists = [best([*self.high, *self.fresh], ranks, self.size)]
        if self.worst:
            negated = [Listed(-one.scores, one.rows) for one in self.fresh]
            lists.append(best([*self.low, *negated], ranks, self.size))
        used = np.zeros(len(ranks), bool)
        for one in lists:
            used[one.rows] = True
        moved = np.cumsum(used, dtype=np.int32) - np.int32(1)
        lists = [Listed(one.scores, moved[one.rows]) for one in lists]
        self.ranks, self.fresh, self.high, self.low = [ranks[used]], [], lists[:1], lists[1:]


def best(lists: Sequence[Listed], ranks: Integers, size: int) -> Listed:
    """Return the `size` best rows of each class from several lists, or all if there are fewer; unordered."""
    scores = np.concatenate([one.scores for one in lists], axis=1)
    classes, width = scores.shape
    if width <= size:
        columns = np.broadcast_to(np.arange(width), scores.shape)
        return Listed(scores, _rows_at(lists, columns))
    last = np.partition(scores, width - size, axis=1)[:, width - size]
    keep = scores >= last[:, None]
    for one in np.flatnonzero(np.count_nonzero(keep, axis=1) > size):
        tied = np.flatnonzero(scores[one] == last[one])
        rows = _rows_at([listed.of_class(int(one)) for listed in lists], tied[None, :])[0]
        spare = np.count_nonzero(keep[one]) - size
        keep[one, tied[np.argsort(ranks[rows], kind="stable")[len(tied) - spare :]]] = False
    places = np.flatnonzero(keep).reshape(classes, size)
    columns = places - width * np.arange(classes)[:, None]
    return Listed(scores.take(places), _rows_at(lists, columns))


def _rows_at(lists: Sequence[Listed], columns: Integers) -> np.ndarray:
    """Return rows (m, k) at columns (m, k) of the concatenated lists."""
    shared = [one.rows if one.rows.ndim == 1 else np.zeros(one.scores.shape[1], np.int32) for one in lists]
    rows = np.concatenate(shared)[columns]
    start = 0
    for one in lists:
        if one.rows.ndim == 2:
            of_class, row = np.nonzero((columns >= start) & (columns < start + one.scores.shape[1]))
            rows[of_class, row] = one.rows[of_class, columns[of_class, row] - start]
        start += one.scores.shape[1]
    return np.asarray(rows)
