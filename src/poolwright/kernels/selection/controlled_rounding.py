"""Divide the rows of strata in given shares by controlled rounding, so that strata and totals are near their quotas.

L. H. Cox, A constructive procedure for unbiased controlled rounding, Journal of the American Statistical Association
82 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.kernels.selection.groups import Groups, tokens_of
from poolwright.kernels.selection.ranks import hash_ranks

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def hash_order(groups: Groups, key: int) -> Integers:
    """Return the groups in order of the hash of their values: int64 (k,)."""
    if not groups.columns:
        return np.zeros(1, np.int64)
    return np.argsort(hash_ranks(groups.tokens(), key), kind="stable")


def rank_order(key: int, groups: Sequence[pa.Array], counts: Integers, known: None) -> tuple[Integers, ...]:
    """Return the sort keys that put groups, one array per column, into `hash_order`; see `GroupComparison`."""
    return (hash_ranks(tokens_of(groups), key),) if groups else ()


def share_by_group(counts: Integers, before: Integers, share: Fraction) -> Integers:
    """Return that share, 0 to 1, of the rows of each group: int64 (k,), within a row of it in each and in total.

    Controlled rounding of two shares: what is kept of all groups up to one is the share of their rows, rounded half up.

    Args:
        counts: (k,) rows of each group.
        before: (k,) rows of the groups before it, in the order in which remainders are carried over.
    """
    return _share_of(before + counts, share) - _share_of(before, share)


def _share_of(rows: Integers, share: Fraction) -> Integers:
    """Return the share of each number of rows, rounded half up, computed exactly."""
    part, whole = 2 * share.numerator, 2 * share.denominator
    fits = int(rows.max(initial=0)) * part + whole < 1 << 63
    return ((rows.astype(np.int64 if fits else object) * part + share.denominator) // whole).astype(np.int64)


def controlled_rounding(counts: Integers, shares: Sequence[Fraction], order: Integers) -> Integers:
    """Return the rows of every share in every stratum.

    A stratum's numbers sum to its rows, and each is its quota, rounded down or up. What rounding leaves goes to the
    shares that have the fewest rows so far for their quota, stratum by stratum; then, where the total of a share is
    off by a row or more, strata exchange roundings until none is.

    Args:
        counts: int64 (k,) rows of the strata.
        shares: of the m parts, in any proportion.
        order: int64 (k,), the strata in the order in which remainders are carried over.

    Returns:
        int64 (m, k). Each number, and each of the m totals, differs from its quota by less than 1. Of one stratum:
        largest remainders, the first of equal ones.
    """
    whole = math.lcm(*(share.denominator for share in shares))
    weights = [int(share * whole) for share in shares]
    unit, parts = sum(weights), range(len(weights))
    sizes = np.zeros((len(weights), len(counts)), np.int64)
    up, may = np.zeros(sizes.shape, bool), np.zeros(sizes.shape, bool)
    if not unit:
        return sizes
    surplus = [0] * len(weights)  # rows above the quotas so far, in units of 1 / unit
    quotas: dict[int, tuple[list[int], list[int]]] = {}
    for stratum in order.tolist():
        count = int(counts[stratum])
        if count not in quotas:
            quotas[count] = (
                [count * weight // unit for weight in weights],
                [count * weight % unit for weight in weights],
            )
        floors, rests = quotas[count]
        sizes[:, stratum], may[:, stratum] = floors, [rest > 0 for rest in rests]
        surplus = [before - rest for before, rest in zip(surplus, rests, strict=True)]
        neediest = sorted((part for part in parts if rests[part]), key=lambda part: (surplus[part], part))
        for part in neediest[: sum(rests) // unit]:
            up[part, stratum] = True
            surplus[part] += unit
    _even_out(up, may, surplus, unit, order)
    return sizes + up


def _even_out(up: Flags, may: Flags, surplus: list[int], unit: int, order: Integers) -> None:
    """Move roundings between shares, in place, until no move brings their totals closer to the quotas."""
    while max(surplus) - min(surplus) > unit:
        down = may & ~up
        movable = (up.astype(np.int64) @ down.T.astype(np.int64)) > 0
        path = _path(movable, surplus, unit)
        if not path:
            return
        for giver, taker in pairwise(path):
            stratum = order[np.flatnonzero((up[giver] & down[taker])[order])[0]]
            up[giver, stratum], up[taker, stratum] = False, True
        surplus[path[0]] -= unit
        surplus[path[-1]] += unit


def _path(movable: Flags, surplus: list[int], unit: int) -> list[int]:
    """Return shares along which a row moves from one with more than a row above another; empty if none is left."""
    for start in sorted(range(len(surplus)), key=lambda part: -surplus[part]):
        before, reached = {start: start}, [start]
        for part in reached:
            found = [int(other) for other in np.flatnonzero(movable[part]) if int(other) not in before]
            before.update(dict.fromkeys(found, part))
            reached += found
        end = min(reached, key=lambda part: surplus[part])
        if surplus[start] - surplus[end] > unit:
            path = [end]
            while path[-1] != start:
                path.append(before[path[-1]])
            return path[::-1]
    return []
