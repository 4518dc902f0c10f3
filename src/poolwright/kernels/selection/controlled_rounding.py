"""Divide the rows of strata in given shares by controlled rounding, so that strata and totals are near their quotas.

L. H. Cox, A constructive procedure for unbiased controlled rounding, Journal of the American Statistical Association
82 (1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.kernels.selection.groups import Groups, tokens_of
from poolwright.kernels.selection.ranks import hash_ranks

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint8]

_EXCHANGED = 64
"""Strata that are looked at first, of each pair of shares, for exchanges of roundings."""

_KNOWN = 1 << 16
"""Roundings of a stratum that are remembered, by its rows and what the strata before have left."""


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
    packed = np.empty((len(counts), _packed_width(len(shares))), np.uint8)
    packed[order] = rounded_up(lambda: iter([counts[order]]), shares)
    return sizes_of(counts, shares, packed)


def rounded_up(strata: Callable[[], Iterator[Integers]], shares: Sequence[Fraction]) -> Bits:
    """Return where `controlled_rounding` rounds up.

    Args:
        strata: gives the rows of the strata, int64, some at a time, in the order in which remainders are carried over.
        shares: of the m parts, in any proportion.

    Returns:
        uint8 (k, b), for each stratum a bit for each part, as `numpy.packbits` packs them.
    """
    quotas = _Quotas.of(shares)
    rounding = _Rounding(quotas)
    packed = np.concatenate([np.empty((0, quotas.bytes), np.uint8), *map(rounding.up, strata())])
    surplus, most = list(rounding.surplus), _EXCHANGED
    while max(surplus, default=0) - min(surplus, default=0) > quotas.unit:
        # Exchanges take the first strata that allow them. Of each pair of shares the first ones are looked at, more
        # than there are exchanges: a stratum that is not among them would not have been the first.
        first, may = _exchangeable(strata(), packed, quotas, most)
        up = quotas.unpacked(packed[first]).T.copy()
        left = surplus.copy()
        if _even_out(up, may, left, quotas.unit) < most:
            packed[first] = np.packbits(up.T, axis=1)
            break
        most *= 8
    return packed


def sizes_of(counts: Integers, shares: Sequence[Fraction], packed: Bits) -> Integers:
    """Return the rows of every share in every stratum, int64 (m, k), given where they are `rounded_up`."""
    quotas = _Quotas.of(shares)
    distinct, which = np.unique(counts, return_inverse=True)
    floors = np.array([quotas.of_rows(count)[0] for count in distinct.tolist()], np.int64)
    return np.asarray(floors.reshape(-1, len(shares))[which].T + quotas.unpacked(packed).T)


@dataclass(frozen=True)
class _Quotas:
    """Shares as whole numbers: a share of n rows is n * weight / unit."""

    weights: tuple[int, ...]
    unit: int

    @classmethod
    def of(cls, shares: Sequence[Fraction]) -> _Quotas:
        whole = math.lcm(*(share.denominator for share in shares))
        weights = tuple(int(share * whole) for share in shares)
        return cls(weights, sum(weights))

    @property
    def bytes(self) -> int:
        """Bytes of a bit for each share."""
        return _packed_width(len(self.weights))

    def of_rows(self, count: int) -> tuple[list[int], list[int]]:
        """Return the quota of each share in so many rows: whole rows, and the rest in units of 1 / unit."""
        if not self.unit:
            return [0] * len(self.weights), [0] * len(self.weights)
        parts = [divmod(count * weight, self.unit) for weight in self.weights]
        return [rows for rows, _ in parts], [rest for _, rest in parts]

    def unpacked(self, packed: Bits) -> Flags:
        """Return packed bits as (k, m)."""
        return np.unpackbits(packed, axis=1, count=len(self.weights)).astype(bool)


def _packed_width(shares: int) -> int:
    return -(-shares // 8)


class _Rounding:
    """Carries what rounding leaves from stratum to stratum."""

    def __init__(self, quotas: _Quotas) -> None:
        self._quotas = quotas
        self._known: dict[tuple[int, tuple[int, ...]], tuple[bytes, tuple[int, ...]]] = {}
        self.surplus = (0,) * len(quotas.weights)
        """Rows of each share above its quotas so far, in units of 1 / unit."""

    def up(self, counts: Integers) -> Bits:
        """Return which shares the next strata round up: uint8 (n, b)."""
        known, surplus, rounded = self._known, self.surplus, []
        for count in counts.tolist():
            found = known.get((count, surplus))
            if found is None:
                found = self._next(count, surplus)
                if len(known) < _KNOWN:
                    known[count, surplus] = found
            rounded.append(found[0])
            surplus = found[1]
        self.surplus = surplus
        return np.frombuffer(b"".join(rounded), np.uint8).reshape(-1, self._quotas.bytes)

    def _next(self, count: int, before: tuple[int, ...]) -> tuple[bytes, tuple[int, ...]]:
        _, rests = self._quotas.of_rows(count)
        surplus = [had - rest for had, rest in zip(before, rests, strict=True)]
        neediest = sorted((part for part, rest in enumerate(rests) if rest), key=lambda part: (surplus[part], part))
        up = np.zeros(len(rests), bool)
        for part in neediest[: sum(rests) // max(self._quotas.unit, 1)]:
            up[part] = True
            surplus[part] += self._quotas.unit
        return np.packbits(up).tobytes(), tuple(surplus)


def _exchangeable(strata: Iterator[Integers], packed: Bits, quotas: _Quotas, most: int) -> tuple[Integers, Flags]:
    """Return strata that round one share up and may round another up instead, the first `most` of each pair of shares.

    Returns:
        int64 (s,) their numbers, ascending; and (m, s), which shares they may round up.
    """
    parts = range(len(quotas.weights))
    found: dict[tuple[int, int], list[int]] = {(one, other): [] for one in parts for other in parts if one != other}
    may_of: dict[int, Flags] = {}
    begun = 0
    for counts in strata:
        distinct, which = np.unique(counts, return_inverse=True)
        rests = np.array([quotas.of_rows(count)[1] for count in distinct.tolist()], object)
        may = rests.reshape(-1, len(parts))[which] > 0
        up = quotas.unpacked(packed[begun : begun + len(counts)])
        for (giver, taker), strata_of in found.items():
            if len(strata_of) < most:
                here = np.flatnonzero(up[:, giver] & may[:, taker] & ~up[:, taker])[: most - len(strata_of)]
                strata_of += (here + begun).tolist()
                may_of |= {begun + at: may[at] for at in here.tolist()}
        begun += len(counts)
    first = sorted(may_of)
    return np.array(first, np.int64), np.array([may_of[at] for at in first], bool).reshape(-1, len(parts)).T


def _even_out(up: Flags, may: Flags, surplus: list[int], unit: int) -> int:
    """Move roundings between shares, in place, until no move brings their totals closer to the quotas.

    Returns:
        How many strata were changed; some perhaps twice.
    """
    changed = 0
    while max(surplus) - min(surplus) > unit:
        down = may & ~up
        movable = (up.astype(np.int64) @ down.T.astype(np.int64)) > 0
        path = _path(movable, surplus, unit)
        for giver, taker in pairwise(path):
            stratum = np.flatnonzero(up[giver] & down[taker])[0]
            up[giver, stratum], up[taker, stratum] = False, True
            changed += 1
        if not path:
            break
        surplus[path[0]] -= unit
        surplus[path[-1]] += unit
    return changed


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
