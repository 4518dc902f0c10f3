from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from poolwright.core.rows import vectors_of
from poolwright.pools.columns.vectors import unit_vectors, vectors_of_lists

RANDOM = np.random.default_rng(0)


def unit(n: int, d: int) -> np.ndarray:
    matrix = RANDOM.standard_normal((n, d))
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float16)


def test_unit_vectors_stay_as_they_are() -> None:
    for d in (16, 512, 1024):
        matrix = unit(700, d)
        assert np.array_equal(vectors_of(unit_vectors(matrix)), matrix)


@pytest.mark.parametrize("scale", [1e-6, 0.5, 1.01, 30.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_others_are_scaled(scale: float, dtype: type) -> None:
    matrix = unit(300, 64).astype(np.float64)
    found = vectors_of(unit_vectors((matrix * scale).astype(dtype))).astype(np.float64)
    assert np.abs(np.linalg.norm(found, axis=1) - 1).max() < 2e-3
    assert np.abs(found - matrix).max() < (0.05 if scale < 1e-3 and dtype is np.float16 else 2e-3)


def test_extreme_values() -> None:
    assert vectors_of(unit_vectors(np.array([[1e300, 1e300], [5e-324, 0]]))).tolist() == [
        [pytest.approx(0.7071, abs=1e-3)] * 2,
        [1, 0],
    ]
    assert unit_vectors(np.empty((0, 4), np.float32)).type == pa.list_(pa.float16(), 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0])
def test_what_is_no_vector_is_null(dtype: type, bad: float) -> None:
    matrix = unit(5, 16).astype(dtype)
    matrix[2] = 0
    matrix[2, 3] = bad
    assert unit_vectors(matrix).is_valid().to_pylist() == [True, True, False, True, True]


def test_lists_of_another_width_or_with_nulls_are_null() -> None:
    lists = [[1.0, 0.0], None, [1.0], [1.0, None], [0.0, 2.0], []]
    found = vectors_of_lists(pa.array(lists), 2)
    assert found.to_pylist() == [[1, 0], None, None, None, [0, 1], None]
    for dtype in (pa.list_(pa.float32(), 2), pa.list_(pa.float16(), 2)):
        array = pa.array([[3.0, 4.0], None, [1.0, None], [1.0, 0.0]], dtype)
        assert vectors_of_lists(array[1:], 2).to_pylist() == [None, None, [1, 0]]
    assert vectors_of_lists(pa.array(lists, pa.large_list(pa.float64()))[4:], 2).to_pylist() == [[0, 1], None]


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.float64]),
        st.tuples(st.integers(0, 30), st.just(3)),
        elements=st.sampled_from([0, 1, -1, 0.5, 1e-4, np.nan, np.inf, 60000, 0.5774]),
    ),
    st.integers(0, 30),
)
def test_row_by_row_and_settled(matrix: np.ndarray, cut: int) -> None:
    whole = unit_vectors(matrix)
    assert whole.to_pylist() == unit_vectors(matrix[:cut]).to_pylist() + unit_vectors(matrix[cut:]).to_pylist()
    valid = vectors_of(whole)[whole.is_valid().to_numpy(zero_copy_only=False)]
    assert np.array_equal(vectors_of(unit_vectors(valid)), valid)
