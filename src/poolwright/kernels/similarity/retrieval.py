"""Retrieve by prompts: assign the rows of a bucket to classes, as thresholds that decide row by row.

As CLEAR retrieves (Lin et al., NeurIPS 2021): every class finds the `query` rows with its highest scores; a row that
several classes found goes to the one for which it has the highest score (of equal ones, the first); of the rows it was
given, a class keeps the `n` best. Background rows are found in the same way by the lowest scores, and exclude the kept
rows. Whether a row is found, and whether it is kept, is a comparison of its score and hash rank with a threshold.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from poolwright.kernels.selection.ranks import ALL
from poolwright.kernels.similarity.candidates import Listed, Shortlist
from poolwright.kernels.similarity.cosine import Float32, Integers

NOT_FOUND = -1
NOT_BEST = -2
_TILE = 8192


class Cut(NamedTuple):
    """The last row that is in, of each class: its score and hash rank, (m,) or (m, buckets) each.

    A row is in if its score is higher, or equal and its rank no greater.
    """

    score: Float32
    rank: Integers


def everything(classes: int) -> Cut:
    """The cut of each class that holds all rows."""
    return Cut(np.full(classes, -np.inf, np.float32), np.full(classes, ALL))


def nothing(classes: int) -> Cut:
    """The cut of each class that holds no row."""
    return Cut(np.full(classes, np.inf, np.float32), np.full(classes, -1))


@dataclass(frozen=True)
class WantedCounts:
    """Rows wanted for each class and bucket.

    Attributes:
        query: rows that a class finds.
        n: rows that a class keeps.
        overlap: a row may belong to all classes that found it; then these keep what they find, and `query` is `n`.
        background: background rows per class, from its lowest scores.
    """

    query: int
    n: int
    overlap: bool = False
    background: int = 0


@dataclass(frozen=True)
class Retrieved:
    """Rows retrieved from one bucket, by class.

    Attributes:
        query, keep: cuts of the rows found, and of those kept.
        low_query, low_keep: the same of background rows, for negated scores.
        rows: rows of the bucket.
        given: rows a class found that went to no other class.
        kept, background: rows kept (m,) each.
    """

    query: Cut
    keep: Cut
    low_query: Cut
    low_keep: Cut
    rows: int
    given: Integers
    kept: Integers
    background: Integers


def retrieve(shortlist: Shortlist, wanted: WantedCounts) -> Retrieved:
    """The cuts of one bucket, from all of its rows. Settles the shortlist, which must be of size `query`."""
    shortlist.settle()
    ranks = shortlist.ranks[0]
    high = shortlist.high[0]
    classes = len(high.scores)
    query = _cut_of(high, ranks, shortlist.seen)
    if wanted.overlap:
        given = np.full(classes, high.scores.shape[1])
        positive = np.zeros(len(ranks), bool)
        positive[high.rows] = True
        keep, kept = everything(classes), given
    else:
        keep, given, kept, positive = _keep(high, ranks, np.zeros(len(ranks), bool), wanted.n)
    low_query, low_keep, background = nothing(classes), nothing(classes), np.zeros(classes, np.int64)
    if wanted.background:
        low = shortlist.low[0]
        low_query = _cut_of(low, ranks, shortlist.seen)
        low_keep, _, background, _ = _keep(low, ranks, positive, wanted.background)
    return Retrieved(query, keep, low_query, low_keep, shortlist.seen, given, kept, background)


def retrieve_all(shortlists: list[Shortlist], wanted: WantedCounts) -> list[Retrieved]:
    """The cuts of all buckets, on all cores. Empties the list as it goes, as shortlists are large."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        jobs = [threads.submit(retrieve, shortlists.pop(0), wanted) for _ in range(len(shortlists))]
        return [job.result() for job in jobs]


def _cut_of(listed: Listed, ranks: Integers, seen: int) -> Cut:
    """Return the cut that holds exactly the rows on the lists, or all rows if none was left out."""
    classes, width = listed.scores.shape
    if width == seen:
        return everything(classes)
    last = listed.scores.min(axis=1)
    tied, places = np.nonzero(listed.scores == last[:, None])
    highest = np.full(classes, -1)
    np.maximum.at(highest, tied, ranks[listed.rows[tied, places]])
    return Cut(last, highest)


def _keep(listed: Listed, ranks: Integers, taken: np.ndarray, n: int) -> tuple[Cut, Integers, Integers, np.ndarray]:
    """Give each row to the class of its highest score, then keep the `n` best of each class.

    Args:
        taken: bool, rows that are not to be kept.

    Returns:
        The cuts, rows given to each class, rows kept of each class, and which rows are kept.
    """
    classes = len(listed.scores)
    winner = np.where(taken, -1, _winners(listed, len(ranks)))
    cut, kept_rows = everything(classes), np.zeros(len(ranks), bool)
    given, kept = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
    for one in range(classes):
        mine = np.flatnonzero(winner[listed.rows[one]] == one)
        given[one], kept[one] = len(mine), min(n, len(mine))
        rows, scores = listed.rows[one, mine], listed.scores[one, mine]
        if len(mine) > n:
            order = np.lexsort((ranks[rows], -scores))[:n]
            rows = rows[order]
            cut.score[one], cut.rank[one] = (scores[order[-1]], ranks[rows[-1]]) if n else (np.inf, -1)
        kept_rows[rows] = True
    return cut, given, kept, kept_rows


def _winners(listed: Listed, rows: int) -> np.ndarray:
    """The class that has the highest score of each row, of equal ones the first; int32 (rows,)."""
    highest = np.full(rows, -np.inf, np.float32)
    winner = np.full(rows, -1, np.int32)
    for one, (scores, members) in enumerate(zip(listed.scores, listed.rows, strict=True)):
        better = scores > highest[members]
        highest[members[better]] = scores[better]
        winner[members[better]] = one
    return winner


class BucketCuts(NamedTuple):
    """The cuts of all buckets: scores and ranks (m, buckets) each."""

    query: Cut
    keep: Cut
    low_query: Cut
    low_keep: Cut


def decide(
    scores: Float32, ranks: Integers, buckets: Integers, cuts: BucketCuts
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Decide the outcome of some rows.

    Args:
        scores: (m, n), finite.
        ranks: (n,) hash ranks.
        buckets: (n,) indices of their buckets in the cuts.

    Returns:
        outcome (n,): the class a row is kept for, m for background, NOT_FOUND or NOT_BEST; and nearest (n,): the class
        whose score was compared with the cuts: of rows that are not kept the one they were given to, or else the one of
        their highest score.
    """
    outcome, nearest = np.empty(scores.shape[1], np.int32), np.empty(scores.shape[1], np.int32)
    has_background = bool((cuts.low_keep.score < np.inf).any())
    for start in range(0, len(ranks), _TILE):
        tile = slice(start, start + _TILE)
        given = scores[:, tile], ranks[tile], buckets[tile]
        found, winner, kept = _kept(*given, cuts.query, cuts.keep)
        nearest[tile] = np.where(found, winner, given[0].argmax(axis=0))
        outcome[tile] = np.where(kept, winner, np.where(found, NOT_BEST, NOT_FOUND))
        others = np.flatnonzero(~kept)
        if has_background and len(others):
            low = -given[0][:, others]
            _, loser, far = _kept(low, given[1][others], given[2][others], cuts.low_query, cuts.low_keep)
            outcome[start + others[far]] = len(scores)
            nearest[start + others[far]] = loser[far]
    return outcome, nearest


def _kept(
    scores: Float32, ranks: Integers, buckets: Integers, query: Cut, keep: Cut
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which rows (n,) are found by a class, the class with the highest score, and which rows it keeps."""
    masked = np.where(found_by(scores, ranks, buckets, query), scores, np.float32(-np.inf))
    winner = masked.argmax(axis=0)
    highest = masked[winner, np.arange(len(winner))]
    found = highest > -np.inf
    last, rank = keep.score[winner, buckets], keep.rank[winner, buckets]
    return found, winner, found & ((highest > last) | ((highest == last) & (ranks <= rank)))


def found_by(scores: Float32, ranks: Integers, buckets: Integers, query: Cut) -> np.ndarray:
    """Return which classes found which rows: bool (m, n)."""
    last = query.score[:, buckets]
    inside = scores > last
    tied, rows = np.nonzero(scores == last)
    inside[tied, rows] = ranks[rows] <= query.rank[tied, buckets[rows]]
    return np.asarray(inside)
