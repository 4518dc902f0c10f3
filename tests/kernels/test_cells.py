"""Cells: neighbours share them, and the cells of a row do not depend on the rows around it."""

from __future__ import annotations

import numpy as np

from poolwright.kernels.clusters.cells import train_cells
from poolwright.kernels.similarity.unit_length import unit_rows


def rows(count: int, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return unit_rows(draw.normal(size=(count, 10)) @ draw.normal(size=(10, 64)) + 0.1 * draw.normal(size=(count, 64)))


def test_a_row_has_its_cells_in_any_company() -> None:
    unit = rows(1_500, 0)
    cells = train_cells(unit, 40)
    assert 30 <= len(cells) <= 40
    row, cell = cells.visits(unit, 0.05)
    home = cells.home(unit)
    first = np.append(True, row[1:] != row[:-1])
    np.testing.assert_array_equal(cell[first], home)
    order = np.random.default_rng(1).permutation(len(unit))[:333]
    np.testing.assert_array_equal(cells.home(unit[order]), home[order])
    few, theirs = cells.visits(unit[order], 0.05)
    for place, number in enumerate(order[:50]):
        assert theirs[few == place].tolist() == cell[row == number].tolist()


def test_a_margin_has_so_many_cells() -> None:
    unit = rows(1_500, 2)
    cells = train_cells(unit, 40)
    for wanted in (1.5, 2, 4):
        row, _ = cells.visits(unit, cells.margin(unit, wanted))
        assert abs(len(row) / len(unit) - wanted) < 0.02
    assert cells.margin(unit, 1) == 0


def test_one_row_is_one_cell() -> None:
    cells = train_cells(rows(1, 3), 5)
    assert len(cells) == 1
    assert cells.home(rows(7, 4)[:, :]).tolist() == [0] * 7
