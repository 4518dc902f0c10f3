"""Holds the rows that a filter finds as one bit each; they are counted, and found again, without a byte per row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bools = npt.NDArray[np.bool_]
Bits = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


def packed(mask: Bools) -> Bits:
    """Return a mask as bits, eight rows a byte, the first in the lowest bit as in Arrow."""
    return np.packbits(mask, bitorder="little")


@dataclass(frozen=True)
class FoundRows:
    """Rows of a view.

    Attributes:
        bits: those of all rows, as `packed`; None if every row was found.
        rows: rows of the view.
        chunk_rows: rows of every chunk but the last, a multiple of 8.
    """

    bits: Bits | None
    rows: int
    chunk_rows: int

    def count(self, start: int = 0, stop: int | None = None) -> int:
        """Count the rows that were found from the row `start`, a multiple of 8, to before `stop`."""
        stop = self.rows if stop is None else stop
        if self.bits is None or stop <= start:
            return max(0, stop - start)
        found = int(np.bitwise_count(self.bits[start // 8 : stop // 8]).sum(dtype=np.int64))
        return found + (int(self.bits[stop // 8] & ((1 << stop % 8) - 1)).bit_count() if stop % 8 else 0)

    def ends(self, chunk: int) -> tuple[int, int]:
        """Return the first row of a chunk, and the one behind its last."""
        return chunk * self.chunk_rows, min(self.rows, (chunk + 1) * self.chunk_rows)

    def of(self, chunk: int, values: pa.Array) -> pa.Array:
        """Return those values of a chunk whose rows were found."""
        if self.bits is None:
            return values
        first, stop = self.ends(chunk)
        bits = pa.py_buffer(self._bits(chunk, self.bits))
        return values.filter(pa.Array.from_buffers(pa.bool_(), stop - first, [None, bits]))

    def positions(self, chunk: int, mask: Bools | None = None) -> Integers:
        """Return the positions of the rows of a chunk that were found, ascending.

        Args:
            chunk: number of the chunk.
            mask: only rows of the chunk for which it is true, of which there may be few.
        """
        first, stop = self.ends(chunk)
        if mask is None:
            mask = np.ones(stop - first, np.bool_)
        bits = packed(mask) if self.bits is None else packed(mask) & self._bits(chunk, self.bits)
        filled = np.flatnonzero(bits)
        rows, places = np.nonzero(np.unpackbits(bits[filled, None], axis=1, bitorder="little"))
        return filled[rows] * 8 + places + first

    def _bits(self, chunk: int, bits: Bits) -> Bits:
        first, stop = self.ends(chunk)
        return bits[first // 8 : -(-stop // 8)]

    @property
    def chunks(self) -> range:
        """Numbers of all chunks."""
        return range(-(-self.rows // self.chunk_rows))

    def page(self, start: int, size: int) -> tuple[int, ...]:
        """Return the positions `start` to `start + size` of those that were found."""
        found: list[int] = []
        for chunk in self.chunks:
            here = self.count(*self.ends(chunk))
            if here > start:
                found += self.positions(chunk)[start : start + size - len(found)].tolist()
            start = max(0, start - here)
            if len(found) >= size:
                break
        return tuple(found)

    def mask(self) -> Bools:
        """Return one byte per row of the view."""
        if self.bits is None:
            return np.ones(self.rows, np.bool_)
        return np.unpackbits(self.bits, count=self.rows, bitorder="little").view(np.bool_)
