"""Choose rows with lists of attributes so that the attributes become as even as they can, one row after another.

Of counts c of a attributes that sum to t, the shares c / t have the variance s / (a t^2) - 1 / a^2 with s the sum of
c^2. So the row that makes their standard deviation least is the one that makes s / t^2 least. Adding a row with m
attributes makes t larger by m, and s by m plus twice the counts of these attributes: it depends on nothing but the set
of its attributes. So rows are grouped by that set, whose sum of counts is kept up to date; and among the sets of one
size the least sum wins. All numbers are integers: ties are exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_NONE = 1 << 62
"""Sum of the counts of a set without rows left."""


def most_even(sets: npt.NDArray[np.bool_], of: Integers, ranks: Integers, n: int) -> Integers:
    """Choose `n` rows, one after another that which makes the standard deviation of the attributes' shares least.

    Of rows that make it equally small, the one of the lowest rank is chosen.

    Args:
        sets: (g, a) the distinct sets of attributes, none of them empty.
        of: (r,) the set of each row, ascending; within a set, rows are in the order of their ranks.
        ranks: (r,) different numbers.
        n: at most r.

    Returns:
        The rows in the order in which they were chosen: int64 (n,).
    """
    by_size = np.argsort(sets.sum(axis=1), kind="stable")
    has = np.ascontiguousarray(sets[by_size].T)  # one line for each attribute
    sizes, first = np.unique(has.sum(axis=0), return_index=True)
    last = np.append(first[1:], len(by_size))
    rows, end = (np.searchsorted(of, by_size, side=side) for side in ("left", "right"))
    sums = np.where(rows < end, 0, _NONE)
    chosen = np.empty(n, np.int64)
    squares = total = 0
    for step in range(n):
        least = np.minimum.reduceat(sums, first)
        best = _least(sizes.tolist(), least.tolist(), squares, total)
        tied = np.concatenate(
            [first[size] + np.flatnonzero(sums[first[size] : last[size]] == least[size]) for size in best]
        )
        at = int(tied[np.argmin(ranks[rows[tied]])])
        chosen[step] = rows[at]
        its = np.flatnonzero(has[:, at])
        squares += int(2 * sums[at]) + len(its)
        total += len(its)
        for attribute in its:
            sums += has[attribute]
        rows[at] += 1
        if rows[at] == end[at]:
            sums[at] = _NONE
    return chosen


def _least(sizes: list[int], sums: list[int], squares: int, total: int) -> list[int]:
    """Return which sizes of sets have the least s / t^2, several if they are equal.

    Args:
        sums: the least sum of counts of the sets of each size; `_NONE` or more if these have no row left.
    """
    above, below, found = 1, 0, list[int]()
    for at, (size, least) in enumerate(zip(sizes, sums, strict=True)):
        if least >= _NONE:
            continue
        one, other = (squares + 2 * least + size) * below, above * (total + size) ** 2
        if one < other or not found:
            above, below, found = squares + 2 * least + size, (total + size) ** 2, [at]
        elif one == other:
            found.append(at)
    return found
