"""Counters: the same counts and pickles, however many there are and in whatever way they were added."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from poolwright.kernels.selection.counters import Counters


@pytest.mark.parametrize("size", [1, 6, 640, 100_000])
@pytest.mark.parametrize("rows", [0, 1, 9, 500, 5_000])
@pytest.mark.parametrize("sent", [False, True])
def test_counts_are_those_of_all_rows(size: int, rows: int, sent: bool) -> None:
    draw = np.random.default_rng(size + rows)
    parts = [draw.integers(0, size, rows // (1 + number)) for number in range(5)]
    expected = np.bincount(np.concatenate(parts), minlength=size)
    found = Counters(size)
    for number, indices in enumerate(parts):
        one = Counters(size)
        half = len(indices) // 2
        one.add(indices[:half])
        one.add(indices[half:])
        found = found.merge(pickle.loads(pickle.dumps(one)) if sent and number % 2 else one)
        found = pickle.loads(pickle.dumps(found)) if sent else found
    again = Counters(size)
    again.counts[:] = expected
    assert pickle.dumps(found) == pickle.dumps(again)
    np.testing.assert_array_equal(found.counts, expected)
    assert found.counts.dtype == np.int64
    found.add(np.array([0, 0]))
    assert found.counts[0] == expected[0] + 2


def test_few_rows_take_little_memory() -> None:
    one = Counters(1 << 40)
    one.add(np.array([5, 1 << 30, 5]))
    assert one._places.tolist() == [5, 1 << 30]


def test_counts_of_many_rows_are_sent_whole() -> None:
    one = Counters(1_000)
    one.add(np.array([3]))
    for _ in range(40):
        one.merge(pickle.loads(pickle.dumps(one)))
    assert pickle.loads(pickle.dumps(one)).counts[3] == 2**40
