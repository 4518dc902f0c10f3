"""Find exact thresholds of the n best rows, overall or of each group, in bounded memory by folds.

The n-th best key is narrowed by histograms of its leading bits until few rows are left in the bins that
contain it; those are collected and sorted. If the key is known to its last bit, ties are broken by hash ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import iadd
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection import passes as collecting
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.group_counts import AddGroupCount, GroupCount
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.passes import joined, turns
from poolwright.kernels.selection.ranks import ALL, NONE, RankCuts, Ranking, hash_ranks, signed, unsigned
from poolwright.kernels.selection.sampling import Tied, cut_ranks

BINS = 1 << 22  # bins of the histograms of one pass, 8 bytes each per unit in flight
_LEVEL_BITS = 20
_FEWEST_BITS = 6  # with so many groups that fewer bits are left, several collecting passes read less


@dataclass(frozen=True)
class RankableRows:
    """The rows that can be ranked, counted by group.

    Attributes:
        groups: the groups, or the one group of all rows.
        counts: int64 (k,) rows of each.
        least: the least sort key of all.
        greatest: the greatest.
        leading: int64 (2^20,) rows by the leading bits of their key, if there is one group.
    """

    groups: Groups
    counts: np.ndarray
    least: int
    greatest: int
    leading: np.ndarray | None


@dataclass
class _Survey:
    count: GroupCount
    leading: Counters | None = None
    rows: int = 0
    least: int = ALL
    greatest: int = NONE

    def see(self, keys: np.ndarray) -> None:
        if len(keys):
            self.rows += len(keys)
            self.least, self.greatest = min(self.least, int(keys.min())), max(self.greatest, int(keys.max()))

    def merge(self, other: _Survey) -> _Survey:
        self.count.merge(other.count)
        if self.leading and other.leading:
            self.leading.merge(other.leading)
        self.leading = self.leading or other.leading
        self.rows += other.rows
        self.least, self.greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        return self


def _start_survey(most: int | None) -> _Survey:
    return _Survey(GroupCount(most))


@dataclass(frozen=True)
class _AddSurvey:
    order: Ranking
    columns: tuple[str, ...]

    def __call__(self, survey: _Survey, rows: Rows) -> _Survey:
        keys, valid = self.order.keys(rows)
        if not valid.all():
            keys, rows = keys[valid], rows.filter(valid)
        survey.see(keys)
        if self.columns:
            return self._by_group(survey, rows)
        if survey.leading is None:
            survey.leading = Counters(1 << _LEVEL_BITS)
        survey.leading.add((unsigned(keys) >> np.uint64(64 - _LEVEL_BITS)).astype(np.int64))
        return survey

    def _by_group(self, survey: _Survey, rows: Rows) -> _Survey:
        AddGroupCount(self.columns)(survey.count, rows)
        return survey


def survey(frame: Frame, columns: Sequence[str], order: Ranking, most: int | None = None) -> RankableRows:
    """Count the rows that can be ranked, by group: one pass over the group columns and the ranking column.

    Raises:
        TooManyGroups: there are more than `most`.
    """
    names = list(dict.fromkeys([*columns, order.by]))
    start, add_rows = partial(_start_survey, most), _AddSurvey(order, tuple(columns))
    seen: _Survey = frame.fold(names, start, add_rows, _Survey.merge)
    if columns:
        counted = seen.count.counted(frame.schema, columns)
        return RankableRows(counted.groups, counted.counts, seen.least, seen.greatest, None)
    leading = (seen.leading or Counters(1 << _LEVEL_BITS)).counts
    return RankableRows(Groups([], ()), np.array([seen.rows]), seen.least, seen.greatest, leading)


@dataclass(frozen=True)
class _Narrowed:
    """The known part of the n-th key of some groups: all but its last `shift` bits.

    Attributes:
        active: int64 (a,) the groups.
        low: uint64 (a,) the least possible key.
        left: int64 (a,) its position among the keys from there on.
        inside: int64 (a,) rows with a possible key.
        shift: number of bits not yet known.
    """

    active: np.ndarray
    low: np.ndarray
    left: np.ndarray
    inside: np.ndarray
    shift: int

    def by(self, histogram: np.ndarray, bits: int) -> _Narrowed:
        """Narrow by counts of the next bits: int64 (a, 2^bits)."""
        upto = np.cumsum(histogram, axis=1)
        index = np.argmax(upto >= self.left[:, None], axis=1)
        rows = np.arange(len(index))
        inside = histogram[rows, index]
        left = self.left - (upto[rows, index] - inside)
        shift = self.shift - bits
        low = self.low | (index.astype(np.uint64) << np.uint64(shift))
        return replace(self, low=low, left=left, inside=inside, shift=shift)

    def known(self, least: int, greatest: int) -> _Narrowed:
        """Mark the leading bits that all keys share as known too."""
        one, other = least - NONE, greatest - NONE
        bits = (one ^ other).bit_length()
        if bits >= self.shift:
            return self
        return replace(self, low=np.full_like(self.low, one >> bits << bits), shift=bits)

    def some(self, indices: np.ndarray) -> _Narrowed:
        return _Narrowed(self.active[indices], self.low[indices], self.left[indices], self.inside[indices], self.shift)

    def holds(self, keys: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Whether a key (uint64) shares the known bits of its group's key."""
        if self.shift >= 64:
            return np.ones(len(keys), dtype=bool)
        shift = np.uint64(self.shift)
        return np.asarray(keys >> shift == (self.low >> shift)[index])


def cut(frame: Frame, ranked: RankableRows, order: Ranking, wanted: np.ndarray) -> RankCuts:
    """Return the thresholds that keep the `wanted` best rows of each group.

    Args:
        wanted: int64 (k,); all rows of a group with no more are kept.
    """
    counts = ranked.counts
    cuts = RankCuts(np.where(wanted > 0, ALL, NONE), np.where(wanted > 0, ALL, -1))
    active = np.flatnonzero((wanted > 0) & (wanted < counts))
    if not len(active):
        return cuts
    narrowed = _Narrowed(active, np.zeros(len(active), np.uint64), wanted[active], counts[active], 64)
    if ranked.leading is not None:
        narrowed = narrowed.by(ranked.leading[None, :], _LEVEL_BITS)
    narrowed = narrowed.known(ranked.least, ranked.greatest)
    bits = _bits(narrowed)
    while narrowed.inside.sum() > collecting.COLLECT and bits >= min(_FEWEST_BITS, narrowed.shift) and narrowed.shift:
        add = _AddLevel(order, ranked.groups, narrowed, bits)
        level = frame.fold(add.names, add.start, add, Counters.merge)
        narrowed = narrowed.by(level.counts.reshape(len(active), -1), bits)
        bits = _bits(narrowed)
    if narrowed.shift:
        _collect(frame, ranked.groups, order, narrowed, cuts)
    else:
        _break_ties(frame, ranked.groups, order, narrowed, cuts)
    return cuts


def _bits(narrowed: _Narrowed) -> int:
    return min(narrowed.shift, _LEVEL_BITS, (BINS // len(narrowed.active)).bit_length() - 1)


@dataclass(frozen=True)
class _Add:
    """Shared part of the passes over a narrowed order."""

    order: Ranking
    groups: Groups
    narrowed: _Narrowed

    @cached_property
    def _index_of(self) -> np.ndarray:
        place_of = np.full(len(self.groups) + 1, -1, dtype=np.int64)  # the last is that of id -1, no group
        place_of[self.narrowed.active] = np.arange(len(self.narrowed.active))
        return place_of

    def inside(self, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (rows, their keys as uint64, their indices in `narrowed`) of the rows that may be the n-th."""
        keys, valid = self.order.keys(rows)
        index = self._index_of[self.groups.ids(rows)]
        whole = unsigned(keys)
        picked = np.flatnonzero(valid & (index >= 0) & self.narrowed.holds(whole, index))
        return picked, whole[picked], index[picked]


@dataclass(frozen=True)
class _AddLevel(_Add):
    bits: int

    @property
    def names(self) -> list[str]:
        return list(dict.fromkeys([*self.groups.columns, self.order.by]))

    @property
    def size(self) -> int:
        return len(self.narrowed.active) << self.bits

    def start(self) -> Counters:
        return Counters(self.size)

    def __call__(self, bins: Counters, rows: Rows) -> Counters:
        _, keys, index = self.inside(rows)
        mask = np.uint64((1 << self.bits) - 1)
        level = (keys >> np.uint64(self.narrowed.shift - self.bits)) & mask
        bins.add((index << self.bits) | level.astype(np.int64))
        return bins


def _collect(frame: Frame, groups: Groups, order: Ranking, narrowed: _Narrowed, cuts: RankCuts) -> None:
    """Collect and sort the rows that may be the n-th, some groups per pass."""
    for turn in turns(narrowed.inside):
        part = narrowed.some(turn)
        names = list(dict.fromkeys([*groups.columns, order.by, UID]))
        batches: list[Any] = frame.fold(names, list, _AddCollected(order, groups, part), iadd)
        index, key, rank = joined(batches, (np.int64, np.uint64, np.int64))
        sorting = np.lexsort((rank, key, index))
        index, key, rank = index[sorting], key[sorting], rank[sorting]
        last = np.searchsorted(index, np.arange(len(turn))) + part.left - 1
        cuts.key[part.active] = signed(key[last])
        after = np.minimum(last + 1, len(key) - 1)
        tie_is_cut = (last + 1 < len(key)) & (index[after] == index[last]) & (key[after] == key[last])
        cuts.rank[part.active] = np.where(tie_is_cut, rank[last], ALL)


@dataclass(frozen=True)
class _AddCollected(_Add):
    def __call__(self, found: list[Any], rows: Rows) -> list[Any]:
        picked, keys, index = self.inside(rows)
        if len(picked):
            uids = rows.column(UID).take(pa.array(picked))
            found.append((index, keys, hash_ranks(uids, self.order.key)))
        return found


def _break_ties(frame: Frame, groups: Groups, order: Ranking, narrowed: _Narrowed, cuts: RankCuts) -> None:
    """Find hash ranks for the rows that share the n-th key of their group."""
    cuts.key[narrowed.active] = signed(narrowed.low)
    wanted, counts = np.zeros(len(groups), np.int64), np.zeros(len(groups), np.int64)
    wanted[narrowed.active], counts[narrowed.active] = narrowed.left, narrowed.inside
    ranks = cut_ranks(frame, groups, counts, order.key, wanted[None, :], Tied(order, cuts.key))[0]
    cuts.rank[narrowed.active] = ranks[narrowed.active]
