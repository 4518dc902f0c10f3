"""Order statistics of one number over all rows: the values at given places of the sorted order, exactly, by folds.

As `thresholds`, for several places of one order at once: histograms of the leading bits narrow each value down until
the rows that share what is known of it are few; those are collected and sorted.
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
"""Sort keys of those of some rows that count. Must be picklable."""

_LEVEL_BITS = 20


@dataclass(frozen=True)
class Extent:
    """How many rows count, and their least and greatest key."""

    rows: int = 0
    least: int = ALL
    greatest: int = NONE

    def merge(self, other: Extent) -> Extent:
        """That of the rows of both."""
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


def at_places(
    frame: Frame, columns: Sequence[str], keys: Keys, of: Extent, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The keys at these places (0 is the least) of all keys in ascending order: int64 (k,)."""
    if not len(places):
        return np.empty(0, np.int64)
    shift = (of.greatest - of.least).bit_length()
    low, left, inside = np.zeros(len(places), np.uint64), places.astype(np.int64), np.full(len(places), of.rows)
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
    """The rows whose key shares the known bits of one that is sought.

    Attributes:
        least: what is taken from every key first.
        known: uint64, ascending: the least keys with the known bits, all but the last `shift`.
    """

    keys: Keys
    least: int
    known: npt.NDArray[np.uint64]
    shift: int

    def __call__(self, rows: Rows) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
        """Keys less the least one, and places of their known bits."""
        # The difference of two int64 is a uint64, whatever overflows on the way.
        keys = self.keys(rows).view(np.uint64) - np.uint64(self.least & 0xFFFF_FFFF_FFFF_FFFF)
        if self.shift == 64:
            return keys, np.zeros(len(keys), np.int64)
        shift = np.uint64(self.shift)
        place = np.minimum(np.searchsorted(self.known, keys, side="right") - 1, len(self.known) - 1)
        here = keys >> shift == self.known[place] >> shift
        return keys[here], place[here]


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
        keys, place = self.inside(rows)
        level = (keys >> np.uint64(self.inside.shift - self.bits)) & np.uint64((1 << self.bits) - 1)
        bins.add((place << self.bits) | level.astype(np.int64))
        return bins


@dataclass(frozen=True)
class _AddCollected:
    inside: _Inside

    def __call__(self, found: list[Any], rows: Rows) -> list[Any]:
        keys, place = self.inside(rows)
        if len(keys):
            found.append((place, keys))
        return found


def _collected(
    frame: Frame,
    columns: Sequence[str],
    inside: _Inside,
    left: npt.NDArray[np.int64],
    of_place: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    batches: list[Any] = frame.fold(columns, list, _AddCollected(inside), iadd)
    place, keys = collecting.joined(batches, (np.int64, np.uint64))
    order = np.lexsort((keys, place))
    start = np.searchsorted(place[order], of_place)
    return np.asarray(keys[order[start + left]].view(np.int64) + np.int64(inside.least))
