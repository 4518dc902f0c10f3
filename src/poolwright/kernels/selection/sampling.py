"""Find the hash ranks that sample exactly n rows of each group, mostly in one pass.

Hash ranks are spread evenly, so the n-th of a known number is known to within a few standard
deviations before any is read. A pass counts the ranks below that window and collects those inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.errors import CountError
from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.passes import joined, turns
from poolwright.kernels.selection.ranks import ALL, Ranking, hash_ranks

_SIGMAS = 6.0
_ANYWHERE = 1e12  # standard deviations that contain every rank
_UNKNOWN = -2


class GroupIds(Protocol):
    """Finds the group of each row by its number, as `Groups` does."""

    @property
    def columns(self) -> Sequence[str]:
        """Return the columns that it reads."""
        ...

    def ids(self, rows: Rows) -> np.ndarray:
        """Return the group of each row: int64 (n,), -1 for none."""
        ...


class Eligibility(Protocol):
    """Selects the rows that take part in a draw."""

    @property
    def columns(self) -> Sequence[str]:
        """Return the columns that it reads, besides those of the groups and the uid."""
        ...

    def __call__(self, rows: Rows, ids: np.ndarray) -> np.ndarray:
        """Return which rows take part, bool (n,), given the group of each row, int64 (n,). Must be picklable."""
        ...


@dataclass(frozen=True)
class Tied:
    """Limit a pass to the rows that have the key (int64 (k,)) of their group's threshold."""

    order: Ranking
    key: np.ndarray

    @property
    def columns(self) -> Sequence[str]:
        return (self.order.by,)

    def __call__(self, rows: Rows, ids: np.ndarray) -> np.ndarray:
        keys, valid = self.order.keys(rows)
        return np.asarray(valid & (keys == self.key[ids]))


def cut_ranks(
    frame: Frame, groups: GroupIds, counts: np.ndarray, key: int, wanted: np.ndarray, only: Eligibility | None = None
) -> np.ndarray:
    """Return the hash ranks that keep the `wanted` first rows of each group.

    Args:
        counts: int64 (k,) rows of each group that take part.
        key: 64-bit key of the hash ranks.
        wanted: int64 (s, k): s thresholds per group.
        only: the rows that take part; default all.

    Returns:
        int64 (s, k): the greatest rank that is kept; -1 where none is, ALL where all are.
    """
    wanted = np.ascontiguousarray(wanted)  # ranks are filled in through a flat view
    open_ = (wanted > 0) & (wanted < counts)
    ranks = np.where(open_, _UNKNOWN, np.where(wanted > 0, ALL, -1))
    sigmas = _SIGMAS
    while open_.any():
        if sigmas > _ANYWHERE:
            raise CountError("the rows changed while the run was reading them; run it again")
        low, high = _windows(wanted, counts, open_, sigmas)
        expected = np.where(open_, np.minimum((high - low) * 2.0**-63 * counts, counts), 0).sum(axis=0)
        for turn in turns(expected[open_.any(axis=0)]):
            here = np.zeros(len(counts), dtype=bool)
            here[np.flatnonzero(open_.any(axis=0))[turn]] = True
            window = _Window(groups, key, open_ & here, low, high, only)
            _fill(ranks, wanted, window, frame.fold(window.names, window.start, window, _InWindow.merge))
        open_ &= ranks == _UNKNOWN  # the n-th was outside: widen the window
        sigmas *= 4
    return ranks


def _windows(wanted: np.ndarray, counts: np.ndarray, open_: np.ndarray, sigmas: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks between which the n-th of `counts` evenly spread ranks almost surely is."""
    rows = np.maximum(counts, 1).astype(np.float64)
    share = np.where(open_, wanted / rows, 0.5)
    spread = sigmas * (np.sqrt(share * (1 - share) / rows) + 1 / rows)
    return _rank_at(share - spread), _rank_at(share + spread)


def _rank_at(share: np.ndarray) -> np.ndarray:
    inside = np.clip(share, 0.0, 1 - 2.0**-53)
    return np.where(share >= 1, ALL, (inside * 2.0**63).astype(np.int64))


@dataclass
class _InWindow:
    below: Counters
    found: list[Any] = field(default_factory=list)

    def merge(self, other: _InWindow) -> _InWindow:
        self.below.merge(other.below)
        self.found += other.found
        return self


@dataclass(frozen=True)
class _Window:
    """Count the ranks below each window, and collect those inside."""

    groups: GroupIds
    key: int
    open: np.ndarray
    low: np.ndarray
    high: np.ndarray
    only: Eligibility | None

    @cached_property
    def _open_groups(self) -> np.ndarray:
        return np.append(self.open.any(axis=0), False)  # the last is that of id -1, no group

    @property
    def names(self) -> list[str]:
        others = self.only.columns if self.only else ()
        return list(dict.fromkeys([*self.groups.columns, *others, UID]))

    def start(self) -> _InWindow:
        return _InWindow(Counters(self.open.size))

    def __call__(self, seen: _InWindow, rows: Rows) -> _InWindow:
        ids = self.groups.ids(rows)
        wanted = self._open_groups[ids]
        if self.only:
            wanted &= self.only(rows, ids)
        picked = np.flatnonzero(wanted)
        if not len(picked):
            return seen
        ids, uids = ids[picked], rows.column(UID)
        ranks = hash_ranks(uids if len(picked) == len(rows) else uids.take(pa.array(picked)), self.key)
        for cut_number in range(len(self.open)):
            self._see(seen, cut_number, ids, ranks)
        return seen

    def _see(self, seen: _InWindow, cut_number: int, ids: np.ndarray, ranks: np.ndarray) -> None:
        low = self.low[cut_number][ids]
        cells = cut_number * self.open.shape[1] + ids
        below = ranks < low
        seen.below.add(cells[below])
        inside = np.flatnonzero(~below & (ranks <= self.high[cut_number][ids]) & self.open[cut_number][ids])
        if len(inside):
            seen.found.append((cells[inside], ranks[inside]))


def _fill(ranks: np.ndarray, wanted: np.ndarray, window: _Window, seen: _InWindow) -> None:
    """Put the ranks that were found in their windows into `ranks`; the others stay unknown."""
    below = seen.below.counts
    cells, found = joined(seen.found, (np.int64, np.int64))
    sorting = np.lexsort((found, cells))
    cells, found = cells[sorting], found[sorting]
    sought = np.flatnonzero(window.open.reshape(-1))
    first, end = np.searchsorted(cells, sought), np.searchsorted(cells, sought, side="right")
    offset = wanted.reshape(-1)[sought] - below[sought] - 1
    there = (offset >= 0) & (first + offset < end)
    ranks.reshape(-1)[sought[there]] = found[(first + offset)[there]]
