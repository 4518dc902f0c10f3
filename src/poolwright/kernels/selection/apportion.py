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
    by_size = np.argsort(sizes, kind="stable")
    ascending, parts = sizes[by_size], len(sizes)
    before = np.append(0, np.cumsum(ascending))
    total = min(total, int(before[-1]))
    full = int(np.searchsorted(before[:-1] + ascending * np.arange(parts, 0, -1), total, side="right"))
    shares = sizes.copy()
    others = by_size[full:]
    if len(others):
        each, left = divmod(total - int(before[full]), len(others))
        shares[others] = each
        shares[others[np.argsort(order[others], kind="stable")[:left]]] += 1
    return shares


def share_down_tree(
    total: int, levels: Sequence[npt.NDArray[np.integer]], sizes: Integers, order: npt.NDArray[np.uint64]
) -> Integers:
    """Share out `total` evenly at the top of a tree, then what each branch got among its own, down to the leaves.

    Args:
        levels: (k,) the branch of each leaf at every level from the top down, equal ones next to each other; at the
            last all differ within a branch.
        sizes: (k,) the most that each leaf can get.
        order: (k,) as in `share_evenly`; a branch has that of its first leaf.
    """
    if len(levels) == 1:
        return share_evenly(total, sizes, order)
    starts = np.flatnonzero(np.append(True, levels[0][1:] != levels[0][:-1])[: len(sizes)])
    branches = share_evenly(total, np.add.reduceat(sizes, starts), order[starts]) if len(starts) else starts
    ends = np.append(starts[1:], len(sizes))
    shares = np.zeros(len(sizes), np.int64)
    for share, start, end in zip(branches.tolist(), starts, ends, strict=True):
        own = slice(start, end)
        shares[own] = share_down_tree(share, [level[own] for level in levels[1:]], sizes[own], order[own])
    return shares
