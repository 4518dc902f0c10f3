"""Divide rows into cells of neighbours, so that rows are compared with those of a few cells rather than with all.

Rows are projected on the main directions of a sample, and the cells are those of K-means there (spherical, from rows of
the sample, as faiss trains its inverted lists). All numbers are multiples of 2^-11 and all sums of products below 2, so
that float32 holds every sum exactly: the cells of a row do not depend on the rows around it, on BLAS or the processor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.pairs import main_directions
from poolwright.kernels.similarity.unit_length import unit_rows

Float32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_GRID = np.float32(2.0**11)
_DIRECTIONS = 32
_LEARN_FROM = 2_048
_TURNS = 6
_ROWS_AT_ONCE = 1_024

_MOST_CELLS = 8_192

MOST_VISITS = 32
"""Most cells of a row, whatever the margin: a row that is as near to all of them would be in all."""


@dataclass(frozen=True)
class Cells:
    """The cells of a sample of rows.

    Attributes:
        basis: (d, k) float32 directions that rows are projected on.
        centres: (c, k) float32, of unit length, in these directions.
        means: (c, d) float32 mean of the sample's rows of each cell, scaled to unit length.
    """

    basis: Float32
    centres: Float32
    means: Float32

    def __len__(self) -> int:
        return len(self.centres)

    def projected(self, unit: Float32) -> Float32:
        """Return rows of unit length (n, d) in the directions of the basis: float32 (n, k)."""
        blocks = [unit[start : start + _ROWS_AT_ONCE] for start in range(0, len(unit), _ROWS_AT_ONCE)]
        return np.concatenate([self.centres[:0], *(_on_grid(_on_grid(block) @ self.basis) for block in blocks)])

    def home(self, unit: Float32) -> Integers:
        """Return the nearest cell of rows of unit length (n, d): int64 (n,)."""
        found = [products.argmax(axis=1) for products in self._products(unit)]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def visits(self, unit: Float32, margin: float) -> tuple[Integers, Integers]:
        """Return the cells of rows of unit length (n, d): the nearest, and those with a boundary within the margin.

        A row's distance from the boundary between its nearest cell, of centre c, and another one, of centre c', is
        (x.c - x.c') / |c - c'|, in the directions of the basis.

        Returns:
            int64 row and cell (v,), in order of the row; a row's nearest cell comes first, then the next nearest, up to
            `MOST_VISITS` of them.
        """
        rows, cells, start = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for products in self._products(unit):
            home = products.argmax(axis=1)
            best = products[np.arange(len(home)), home]
            row, cell = np.nonzero(products >= (best - np.float32(2 * margin + 1e-6))[:, None])
            gap = (best[row] - products[row, cell]).astype(np.float64)
            near = gap <= margin * self._apart(home, row, cell)
            row, cell, gap = row[near], cell[near], gap[near]
            order = np.lexsort((cell, gap, row))
            row, cell = row[order], cell[order]
            rank = np.arange(len(row)) - np.searchsorted(row, row)
            rows.append(row[rank < MOST_VISITS] + start)
            cells.append(cell[rank < MOST_VISITS])
            start += len(home)
        return np.concatenate(rows), np.concatenate(cells)

    def margin(self, unit: Float32, visits: float) -> float:
        """Return the margin with which these rows have so many cells on average, 1 or more."""
        gaps = []
        for products in self._products(unit):
            home = products.argmax(axis=1)
            apart = np.sqrt(np.maximum(2 - 2 * self.centres[home] @ self._columns, np.float32(1e-6)))
            gaps.append(((products.max(axis=1)[:, None] - products) / apart).ravel())
        every = np.concatenate(gaps)
        wanted = min(max(round(visits * len(unit)), 1), len(every))
        return float(np.partition(every, wanted - 1)[wanted - 1])

    def _apart(self, home: Integers, row: Integers, cell: Integers) -> npt.NDArray[np.float64]:
        """Distances of the centre of a row's nearest cell, `home` (n,), and that of another cell, (v,).

        The squares are exact: |c|^2 + |c'|^2 - 2 c.c', each of which float32 holds, see above.
        """
        homes, number = np.unique(home, return_inverse=True)
        products = self.centres[homes] @ self._columns
        squares = self._squares[home[row]] + self._squares[cell] - 2 * products[number[row], cell].astype(np.float64)
        return np.asarray(np.sqrt(squares))

    def _products(self, unit: Float32) -> Iterator[Float32]:
        """Yield the products of some rows and all centres."""
        for start in range(0, len(unit), _ROWS_AT_ONCE):
            yield _on_grid(_on_grid(unit[start : start + _ROWS_AT_ONCE]) @ self.basis) @ self._columns

    def cosine(self, unit: npt.NDArray[np.float64], cell: Integers) -> npt.NDArray[np.float64]:
        """Return the cosine of each row of unit length (n, d) with the mean of a cell (n,)."""
        found = np.empty(len(unit))
        for start in range(0, len(unit), 256):
            some = slice(start, start + 256)
            means = unit_rows(self.means[cell[some]], np.float64)
            found[some] = np.multiply(unit[some], means, out=means).sum(axis=1)
        return found

    @cached_property
    def _squares(self) -> npt.NDArray[np.float64]:
        """The square of each centre's length, (c,)."""
        return np.asarray(np.square(self.centres, dtype=np.float64).sum(axis=1))

    @cached_property
    def _columns(self) -> Float32:
        return np.ascontiguousarray(self.centres.T)


def usual_cells(rows: int, sampled: int) -> int:
    """Return how many cells to train from a sample: the root of the number of rows, so that both are compared alike."""
    return min(round(sqrt(rows)), sampled // 8 + 1, _MOST_CELLS)


def train_cells(sample: Float32, count: int) -> Cells:
    """Divide a sample of rows into up to `count` cells; those that no row is nearest to are left out.

    Args:
        sample: (n, d) of unit length, n at least 1, in an order that depends on nothing but the rows.
        count: wanted number, at least 1.
    """
    basis = _on_grid(main_directions(sample[:_LEARN_FROM], _DIRECTIONS).astype(np.float32))
    projected = _on_grid(_on_grid(sample) @ basis)
    cells = Cells(basis, _on_grid(unit_rows(projected[:count])), np.empty((0, 0), np.float32))
    for turn in range(_TURNS):
        nearest = cells.home(sample)
        used, cell = np.unique(nearest, return_inverse=True)
        vectors = sample if turn == _TURNS - 1 else projected
        means = unit_rows(_sums(vectors, cell, len(used)))
        if turn == _TURNS - 1:
            return Cells(basis, cells.centres[used], means)
        cells = Cells(basis, _on_grid(means), cells.means)
    raise AssertionError("the last turn returns")


def _sums(rows: Float32, cell: Integers, count: int) -> npt.NDArray[np.float64]:
    """Sum of the rows (n, d) of each cell, (count, d), in the order of the rows."""
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(count + 1))
    sums = np.empty((count, rows.shape[1]))
    for one in range(count):
        sums[one] = rows[order[starts[one] : starts[one + 1]]].sum(axis=0, dtype=np.float64)
    return sums


def _on_grid(values: npt.NDArray[np.floating[Any]]) -> Float32:
    """Return the nearest multiples of 2^-11."""
    return np.asarray(np.rint(np.asarray(values, np.float32) * _GRID) / _GRID, np.float32)
