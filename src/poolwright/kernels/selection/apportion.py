"""Apportion whole numbers: in given proportions by largest remainders, or as evenly as sizes allow."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def apportion(total: int, weights: Sequence[Fraction]) -> list[int]:
    """Return whole numbers that sum to `total` and are as close to the weights' proportions as they can be.

    Each gets its quota rounded down; what is left goes, one each, to the largest remainders, the first of
    equal ones. (Hamilton's method.)
    """
    whole = sum(weights, Fraction(0))
    if not whole:
        return [0] * len(weights)
    quotas = [total * weight / whole for weight in weights]
    numbers = [quota.numerator // quota.denominator for quota in quotas]
    order = sorted(range(len(weights)), key=lambda index: (numbers[index] - quotas[index], index))
    for index in order[: total - sum(numbers)]:
        numbers[index] += 1
    return numbers


def largest_total(counts: Sequence[int], weights: Sequence[Fraction]) -> int:
    """Return the largest total that `apportion` divides into numbers of at most `counts`."""
    whole = sum(weights, Fraction(0))
    limits = [(count, whole / weight) for count, weight in zip(counts, weights, strict=True) if weight]
    if not limits:
        return 0
    # A quota rounded up stays within the counts up to `safe`; rounded down it exceeds them past `most`.
    safe = min((count * per_row).__floor__() for count, per_row in limits)
    most = min(((count + 1) * per_row).__ceil__() - 1 for count, per_row in limits)
    for total in range(most, safe, -1):
        if all(number <= count for number, count in zip(apportion(total, weights), counts, strict=True)):
            return total
    return safe


def share_evenly(total: int, sizes: Integers, order: npt.NDArray[np.uint64]) -> Integers:
    """Share out `total` so that no part could get more at the cost of one that has more.

    Parts get their size, or one and the same number of which they have more; what that leaves goes, one each, to those
    first in `order`. With a larger total no part gets less.

    Args:
        sizes: (k,) the most that each part can get.
        order: (k,) different numbers, the first the lowest.
    """
    each, left = even_share(total, *np.unique(sizes, return_counts=True))
    shares, others = np.minimum(sizes, each), np.flatnonzero(sizes > each)
    shares[others[np.argsort(order[others], kind="stable")[:left]]] += 1
    return shares


def even_share(total: int, sizes: Integers, parts: Integers) -> tuple[int, int]:
    """Return the number that parts get at most if `total` is shared out evenly, and how many larger ones get one more.

    Args:
        sizes: (s,) different sizes of parts, ascending.
        parts: (s,) number of parts of each size.
    """
    before = np.append(0, np.cumsum(sizes * parts))
    upwards = np.cumsum(parts[::-1])[::-1]
    full = int(np.searchsorted(before[:-1] + sizes * upwards, total, side="right"))
    if full == len(sizes):
        return int(sizes.max(initial=0)), 0
    each, left = divmod(total - int(before[full]), int(upwards[full]))
    return each, left


def share_down_tree(
    shares: Integers, levels: Sequence[npt.NDArray[np.integer]], sizes: Integers, order: npt.NDArray[np.uint64]
) -> Integers:
    """Share out evenly what each branch of a tree gets among its own branches, and so on down to the leaves.

    Args:
        shares: (b,) what the branches at the top get.
        levels: (k,) the branch of each leaf at every level from the top down, equal ones next to each other; at the
            last all differ within a branch.
        sizes: (k,) the most that each leaf can get.
        order: (k,) as in `share_evenly`; a branch has that of its first leaf.
    """
    if len(levels) == 1 or not len(sizes):
        return shares
    starts, found = branch_starts(levels[0]), np.zeros(len(sizes), np.int64)
    for share, start, end in zip(shares.tolist(), starts, [*starts[1:], len(sizes)], strict=True):
        own = slice(start, end)
        below = [level[own] for level in levels[1:]]
        first = branch_starts(below[0])
        inner = share_evenly(share, sum_branches(sizes[own], first), order[own][first])
        found[own] = share_down_tree(inner, below, sizes[own], order[own])
    return found


def branch_starts(level: npt.NDArray[np.integer]) -> npt.NDArray[np.intp]:
    """Return the first leaf of each branch: (b,), given the branch of each leaf (k,), equal ones next to each other."""
    return np.flatnonzero(np.append(True, level[1:] != level[:-1])[: len(level)])


def sum_branches(sizes: Integers, starts: npt.NDArray[np.intp]) -> Integers:
    """Return the sum of the sizes (k,) of the leaves of each branch: (b,), given their `branch_starts`."""
    return np.asarray(np.add.reduceat(sizes, starts)) if len(starts) else sizes[:0]
