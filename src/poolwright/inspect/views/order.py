"""Sorts the positions of rows by the numbers of a column, once, and stores the order next to the index."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.core.files import write_atomically
from poolwright.inspect.views.store import MemoryColumn, StoredColumn

_STEP = 1 << 20

Positions = npt.NDArray[np.int32]


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
    if not column.orderable:
        raise InputError(f"rows cannot be sorted by '{column.name}', which holds {column.type}")
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
