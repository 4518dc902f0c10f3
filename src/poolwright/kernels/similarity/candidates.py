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
    """Return the `size` best rows of each class from several lists, or all if there are fewer; unordered.

    Goes class by class: the scores of one class stay in cache.
    """
    classes, width = len(lists[0].scores), sum(one.scores.shape[1] for one in lists)
    scores = np.empty((classes, min(size, width)), np.float32)
    rows = np.empty(scores.shape, np.int32)
    for one in range(classes):
        of_class = np.concatenate([listed.scores[one] for listed in lists])
        members = np.concatenate([listed.rows if listed.rows.ndim == 1 else listed.rows[one] for listed in lists])
        if width > size:
            places = _best_places(of_class, ranks, members, size)
            of_class, members = of_class[places], members[places]
        scores[one], rows[one] = of_class, members
    return Listed(scores, rows)


def _best_places(scores: Float32, ranks: Integers, rows: np.ndarray, size: int) -> Integers:
    """Places of the `size` best of more scores (w,), of equal ones those of lowest rank; `rows` (w,) have the ranks."""
    last = np.partition(scores, len(scores) - size)[len(scores) - size]
    places = np.flatnonzero(scores >= last)
    if len(places) == size:
        return places
    is_tied = scores[places] == last
    tied, spare = places[is_tied], len(places) - size
    dropped = tied[np.argsort(ranks[rows[tied]], kind="stable")[len(tied) - spare :]]
    return np.setdiff1d(places, dropped, assume_unique=True)
