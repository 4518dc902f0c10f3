"""Orders: the positions of rows by the numbers of a column, found once and kept beside the index."""

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
    """Positions by ascending number, those without one at the end.

    Attributes:
        positions: int32 (rows,).
        valid: how many have a number.
    """

    positions: Positions
    valid: int

    def walk(self, descending: bool) -> Iterator[Positions]:
        """Positions in pieces, along the order or against it; rows without a number last either way."""
        if not descending:
            yield from (self.positions[at : at + _STEP] for at in range(0, len(self.positions), _STEP))
            return
        for stop in range(self.valid, 0, -_STEP):
            yield self.positions[max(0, stop - _STEP) : stop][::-1]
        yield from (self.positions[at : at + _STEP] for at in range(self.valid, len(self.positions), _STEP))


def order_of(column: StoredColumn, chunks: int) -> Order:
    """The order of a column. Memory while it is sorted is three numbers a row.

    Raises:
        InputError: it holds neither numbers nor times.
    """
    if not column.orderable:
        raise InputError(f"rows cannot be sorted by '{column.name}', which holds {column.type}")
    if isinstance(column, MemoryColumn):
        return _sorted(column, chunks)
    path = column.path.with_suffix(".order.npy")
    if not path.exists():
        found = _sorted(column, chunks)
        stored = np.append(found.positions, np.int32(found.valid))
        write_atomically(path, lambda out: np.save(out, stored))
    kept = np.load(path, mmap_mode="r")
    return Order(kept[:-1], int(kept[-1]))


def _sorted(column: StoredColumn, chunks: int) -> Order:
    numbers = np.concatenate([np.empty(0), *(column.numbers(chunk) for chunk in range(chunks))])
    positions = np.argsort(numbers, kind="stable").astype(np.int32)  # NaN comes last
    return Order(positions, len(positions) - int(np.isnan(numbers).sum()))
