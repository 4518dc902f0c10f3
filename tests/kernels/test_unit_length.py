"""Unit length: against plain float64, against what the code did before it had one function, and at the edges."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

ROWS = np.random.default_rng(3).standard_normal((700, 48)) * np.random.default_rng(4).uniform(0.01, 90, (700, 1))


@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("wanted", [np.float16, np.float32, np.float64])
def test_rows_are_worked_out_in_float64_and_rounded_once(given: type, wanted: type) -> None:
    rows = ROWS.astype(given)
    exact = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    found = unit_rows(rows, wanted)
    assert found.dtype == wanted
    assert np.array_equal(found, exact.astype(wanted))
    assert np.array_equal(rows, ROWS.astype(given)), "the input stays"


def test_float32_arithmetic_was_within_two_ulps() -> None:
    """k-means, silhouettes, probes and examples of classifiers divided in float32 before."""
    rows = ROWS.astype(np.float32)
    before = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_array_max_ulp(unit_rows(rows), before, 3)


def test_bits_depend_on_the_row_alone() -> None:
    rows = ROWS.astype(np.float32)
    whole = unit_rows(rows)
    assert np.array_equal(unit_rows(np.asfortranarray(rows)), whole)
    assert np.array_equal(unit_rows(rows[::-3]), whole[::-3])
    assert np.array_equal(np.concatenate([unit_rows(rows[at : at + 1]) for at in range(700)]), whole)
    assert unit_rows(rows[:0]).shape == (0, 48)
    assert unit_rows(np.zeros((3, 0))).shape == (3, 0)


def test_rows_without_a_direction() -> None:
    rows = np.array([[0, 0], [-0.0, 0], [np.nan, 1], [np.inf, 1], [-np.inf, np.nan], [3, 4]], np.float16)
    zeros, nans = unit_rows(rows), unit_rows(rows, zero=np.nan)
    assert np.array_equal(zeros[[0, 1, 5]], np.array([[0, 0], [0, 0], [0.6, 0.8]], np.float32))
    assert np.isnan(zeros[2:5]).all()
    assert np.isnan(nans[:5]).all()
    assert has_direction(rows).tolist() == [False, False, False, False, False, True]


@pytest.mark.parametrize("scale", [1e-320, 1e-200, 1e-140, 1e200, 1e307])
def test_numbers_whose_squares_float64_cannot_hold(scale: float) -> None:
    rows = np.array([[3.0, 4.0, 0.0]]) * scale
    assert np.allclose(unit_rows(rows, np.float64), [[0.6, 0.8, 0.0]], rtol=1e-3 if scale < 1e-300 else 1e-14)
    assert has_direction(rows).all()
