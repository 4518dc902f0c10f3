"""Find order statistics over all rows: the values at given positions of the sorted order, exactly, by folds.

As `thresholds`, for several positions of one order at once: histograms of the leading bits narrow each value down until
few rows share the known bits; those are collected and sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import iadd
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.frame import Frame
from poolwright.core.rows import Rows
from poolwright.kernels.selection import passes as collecting
from poolwright.kernels.selection.counters import Counters
from poolwright.kernels.selection.ranks import ALL, NONE
from poolwright.kernels.selection.thresholds import BINS

Keys = Callable[[Rows], npt.NDArray[np.int64]]
"""Return the sort keys of the rows that count. Must be picklable."""

_LEVEL_BITS = 20


@dataclass(frozen=True)
class Extent:
    """Number of rows that count, and their least and greatest key."""

    rows: int = 0
    least: int = ALL
    greatest: int = NONE

    def merge(self, other: Extent) -> Extent:
        """Return the extent of the rows of both."""
        least, greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        return Extent(self.rows + other.rows, least, greatest)


@dataclass(frozen=True)
class _AddExtent:
    keys: Keys

    def __call__(self, extent: Extent, rows: Rows) -> Extent:
        keys = self.keys(rows)
        if not len(keys):
            return extent
        least, greatest = min(extent.least, int(keys.min())), max(extent.greatest, int(keys.max()))
        return Extent(extent.rows + len(keys), least, greatest)


def extent(frame: Frame, columns: Sequence[str], keys: Keys) -> Extent:
    """Count the rows and find the least and greatest key, in one pass."""
    return frame.fold(columns, Extent, _AddExtent(keys), Extent.merge)


def at_positions(
    frame: Frame, columns: Sequence[str], keys: Keys, of: Extent, positions: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the keys at these positions (0 is the least) of all keys in ascending order: int64 (k,)."""
    if not len(positions):
        return np.empty(0, np.int64)
    shift = (of.greatest - of.least).bit_length()
    low, left, inside = (
        np.zeros(len(positions), np.uint64),
        positions.astype(np.int64),
        np.full(len(positions), of.rows),
    )
    while shift:
        known, first, of_place = np.unique(low, return_index=True, return_inverse=True)
        if inside[first].sum() <= collecting.COLLECT:
            return _collected(frame, columns, _Inside(keys, of.least, known, shift), left, of_place)
        bits = min(shift, _LEVEL_BITS, (BINS // len(known)).bit_length() - 1)
        add = _AddLevel(_Inside(keys, of.least, known, shift), bits)
        level = frame.fold(columns, add.start, add, Counters.merge)
        histogram = level.counts.reshape(len(known), -1)[of_place]
        upto = np.cumsum(histogram, axis=1)
        bin_ = np.argmax(upto > left[:, None], axis=1)
        rows = np.arange(len(bin_))
        inside = histogram[rows, bin_]
        left = left - (upto[rows, bin_] - inside)
        shift -= bits
        low = low | (bin_.astype(np.uint64) << np.uint64(shift))
    return np.asarray(low.view(np.int64) + np.int64(of.least))


@dataclass(frozen=True)
class _Inside:
    """Select the rows whose key shares the known bits of one that is sought.

    Attributes:
        least: subtracted from every key first.
        known: uint64, ascending: the least keys with the known bits, all but the last `shift`.
    """

    keys: Keys
    least: int
    known: npt.NDArray[np.uint64]
    shift: int

    def __call__(self, rows: Rows) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Return keys less the least one, and the indices of their known bits."""
        # The difference of two int64 is a uint64, whatever overflows on the way.
        keys = self.keys(rows).view(np.uint64) - np.uint64(self.least & 0xFFFF_FFFF_FFFF_FFFF)
        if self.shift == 64:
            return keys, np.zeros(len(keys), np.int64)
        shift = np.uint64(self.shift)
        index = np.minimum(np.searchsorted(self.known, keys, side="right") - 1, len(self.known) - 1)
        here = keys >> shift == self.known[index] >> shift
        return keys[here], index[here]


@dataclass(frozen=True)
class _AddLevel:
    inside: _Inside
    bits: int

    @property
    def size(self) -> int:
        return len(self.inside.known) << self.bits

    def start(self) -> Counters:
        return Counters(self.size)

    def __call__(self, bins: Counters, rows: Rows) -> Counters:
        keys, index = self.inside(rows)
        level = (keys >> np.uint64(self.inside.shift - self.bits)) & np.uint64((1 << self.bits) - 1)
        bins.add((index << self.bits) | level.astype(np.int64))
        return bins


@dataclass(frozen=True)
class _AddCollected:
    inside: _Inside

    def __call__(self, found: list[Any], rows: Rows) -> list[Any]:
        keys, index = self.inside(rows)
        if len(keys):
            found.append((index, keys))
        return found


def _collected(
    frame: Frame,
    columns: Sequence[str],
    inside: _Inside,
    left: npt.NDArray[np.int64],
    of_place: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    batches: list[Any] = frame.fold(columns, list, _AddCollected(inside), iadd)
    index, keys = collecting.joined(batches, (np.int64, np.uint64))
    order = np.lexsort((keys, index))
    start = np.searchsorted(index[order], of_place)
    return np.asarray(keys[order[start + left]].view(np.int64) + np.int64(inside.least))
