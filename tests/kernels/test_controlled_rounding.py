"""Controlled rounding: every size and every total is its quota, rounded down or up."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.kernels.selection import controlled_rounding as rounding
from poolwright.kernels.selection.apportion import apportion
from poolwright.kernels.selection.controlled_rounding import controlled_rounding, rounded_up, sizes_of

SHARES = st.lists(st.integers(0, 100), min_size=1, max_size=6).filter(any)


@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=30), weights=SHARES, seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_sizes_and_totals_are_within_one_of_their_quota(counts: list[int], weights: list[int], seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(counts))
    sizes = controlled_rounding(np.array(counts), [Fraction(weight, 100) for weight in weights], order)
    assert sizes.sum(axis=0).tolist() == counts
    for weight, row in zip(weights, sizes, strict=True):
        share = Fraction(weight, sum(weights))
        assert abs(int(row.sum()) - share * sum(counts)) < 1
        assert all(abs(int(size) - share * count) < 1 for size, count in zip(row, counts, strict=True))


def test_one_stratum_has_largest_remainders() -> None:
    shares = [Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)]
    for count in range(20):
        sizes = controlled_rounding(np.array([count]), shares, np.zeros(1, np.int64))
        assert sizes[:, 0].tolist() == apportion(count, shares)


def _pieces(counts: np.ndarray, cuts: np.ndarray) -> Iterator[np.ndarray]:
    return iter(np.split(counts, cuts))


@pytest.mark.parametrize("exchanged", [1, 64])
def test_strata_may_come_in_pieces(exchanged: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where strata exchange roundings, of which the first of each pair of shares are looked at."""
    draw, exchanges = np.random.default_rng(8), 0
    for _ in range(600):
        shares = [Fraction(1, int(one)) for one in draw.integers(1, 40, draw.integers(2, 7))]
        counts = draw.integers(0, draw.choice([3, 9, 900]), draw.integers(1, 60))
        monkeypatch.setattr(rounding, "_EXCHANGED", 10_000)
        whole = controlled_rounding(counts, shares, np.arange(len(counts)))
        monkeypatch.setattr(rounding, "_EXCHANGED", exchanged)
        cuts = np.sort(draw.integers(0, len(counts) + 1, 3))
        packed = rounded_up(partial(_pieces, counts, cuts), shares)
        assert sizes_of(counts, shares, packed).tolist() == whole.tolist()
        without = rounding._Rounding(rounding._Quotas.of(shares)).up(counts)
        exchanges += bool((packed != without).any())
    assert exchanges > 20
