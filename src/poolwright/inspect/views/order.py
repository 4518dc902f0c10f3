"""Orders rows by the numbers of a column: the first of some rows in one pass, or all rows once, stored by the index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.core.files import write_atomically
from poolwright.inspect.views.finding.found import FoundRows
from poolwright.inspect.views.store import MemoryColumn, StoredColumn

_STEP = 1 << 20

Positions = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Order:
    """Positions by number, equal ones in the order of the rows, those without one at the end.

    Attributes:
        positions: int32 (rows,).
        valid: number of rows that have a number.
        descending: whether the greatest come first.
    """

    positions: Positions
    valid: int
    descending: bool = False

    def walk(self, descending: bool) -> Iterator[Positions]:
        """Yield positions in pieces, in this order or reversed; rows without a number come last either way."""
        if descending == self.descending:
            yield from (self.positions[at : at + _STEP] for at in range(0, len(self.positions), _STEP))
            return
        for stop in range(self.valid, 0, -_STEP):
            yield self.positions[max(0, stop - _STEP) : stop][::-1]
        yield from (self.positions[at : at + _STEP] for at in range(self.valid, len(self.positions), _STEP))


def order_of(column: StoredColumn, chunks: int, descending: bool) -> Order:
    """Return the order of a column: ascending, to be walked either way; for scores in memory the one asked for.

    Memory while sorting is three numbers per row.

    Raises:
        InputError: it holds neither numbers nor times.
    """
    _check(column)
    if isinstance(column, MemoryColumn):
        return _sorted(column, chunks, descending)
    path = column.path.with_suffix(".order.npy")
    if not path.exists():
        found = _sorted(column, chunks)
        stored = np.append(found.positions, np.int32(found.valid))
        write_atomically(path, lambda out: np.save(out, stored))
    kept = np.load(path, mmap_mode="r")
    return Order(kept[:-1], int(kept[-1]))


def _sorted(column: StoredColumn, chunks: int, descending: bool = False) -> Order:
    numbers = np.concatenate([np.empty(0), *(column.numbers(chunk) for chunk in range(chunks))])
    positions = np.argsort(-numbers if descending else numbers, kind="stable").astype(np.int32)  # NaN comes last
    return Order(positions, len(positions) - int(np.isnan(numbers).sum()), descending)


def first_of(column: StoredColumn, found: FoundRows, most: int, descending: bool) -> Integers:
    """Return the first positions of some rows in the order of `order_of`, without sorting the others.

    One pass over the column, which keeps the best numbers so far: later rows have to be better than all of them.

    Args:
        column: to sort by.
        found: the rows.
        most: number of positions, at least 1.
        descending: whether the greatest come first.

    Raises:
        InputError: the column holds neither numbers nor times.
    """
    _check(column)
    backwards = descending and not isinstance(column, MemoryColumn)
    best, positions = np.empty(0), np.empty(0, np.int64)
    for chunk in reversed(found.chunks) if backwards else found.chunks:
        numbers = -column.numbers(chunk) if descending else column.numbers(chunk)
        better = found.positions(chunk, numbers < best.max() if len(best) == most else ~np.isnan(numbers))
        if not len(better):
            continue
        better = better[::-1] if backwards else better
        best = np.concatenate([best, numbers[better - found.ends(chunk)[0]]])
        positions = np.concatenate([positions, better])
        if len(best) > most:
            kept = _smallest(best, most)
            best, positions = best[kept], positions[kept]
    positions = positions[np.argsort(best, kind="stable")]
    return np.concatenate([positions, _without_number(column, found, most - len(positions))])


def _smallest(numbers: Float64, most: int) -> Integers:
    """Return where the smallest numbers are, ascending; of equal ones the first."""
    last = np.partition(numbers, most - 1)[most - 1]
    below = np.flatnonzero(numbers < last)
    return np.sort(np.concatenate([below, np.flatnonzero(numbers == last)[: most - len(below)]]))


def _without_number(column: StoredColumn, found: FoundRows, most: int) -> Integers:
    pieces = [np.empty(0, np.int64)]
    for chunk in found.chunks:
        if most <= 0:
            break
        pieces.append(found.positions(chunk, np.isnan(column.numbers(chunk)))[:most])
        most -= len(pieces[-1])
    return np.concatenate(pieces)


def _check(column: StoredColumn) -> None:
    if not column.orderable:
        raise InputError(f"rows cannot be sorted by '{column.name}', which holds {column.type}")
