"""Strata over the decision value, the sample drawn from them and its order on a sheet."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.kernels.pools_of_values import designed, made

from poolwright.core.errors import InputError
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.statistics.allocation import allocate
from poolwright.kernels.statistics.strata import design, draw, sheet_order, strata_of


@pytest.mark.parametrize("rows", [10_000, 10**6, 10**10])
@pytest.mark.parametrize("n", [60, 400, 2_000])
def test_a_design_covers_the_pool_and_spends_what_it_was_given(rows: int, n: int) -> None:
    truth = made(rows, 0.0075, 0.9)
    strata = designed(truth, n)
    assert sum(stratum.rows for stratum in strata) == truth.counts.sum()
    assert sum(stratum.sample for stratum in strata) == n
    assert all(0 < stratum.sample <= stratum.rows for stratum in strata)
    assert all(left.high <= right.low for left, right in itertools.pairwise(strata))
    assert [stratum.kept for stratum in strata] == [stratum.low >= truth.threshold for stratum in strata]


def test_most_verdicts_go_to_the_kept_rows_and_the_rejected_tail() -> None:
    strata = designed(made(10**9, 0.0075, 0.9), 400)
    share_kept = sum(stratum.sample for stratum in strata if stratum.kept) / 400
    assert share_kept == pytest.approx(0.4, abs=0.01)
    assert strata[0].sample > 150
    rates = [stratum.sample / stratum.rows for stratum in strata]
    assert rates == sorted(rates[:4]) + rates[4:]  # the nearer to the threshold, the denser


def test_calibrated_probabilities_move_verdicts_to_where_doubt_is() -> None:
    truth = made(10**6, 0.01, 0.9)
    sure = design(truth.edges, truth.counts, truth.threshold, 600)
    known = np.divide(truth.positives, truth.counts, out=np.zeros(len(truth.counts)), where=truth.counts > 0)
    told = design(truth.edges, truth.counts, truth.threshold, 600, probabilities=known)
    inside = truth.within(told)
    assert [stratum.guess for stratum in told] == pytest.approx([x / s.rows for x, s in zip(inside, told, strict=True)])
    far = [stratum for stratum in told if stratum.kept][-1]
    assert far.sample < [stratum for stratum in sure if stratum.kept][-1].sample  # all positives there, as is known


@pytest.mark.parametrize(
    ("edges", "counts", "threshold", "n", "said"),
    [
        ([0, 1, 2], [5, 5], 1.5, 10, "nearest edge"),
        ([0, 1, 2], [5], 1, 10, "needs 2 edges"),
        ([0, 2, 1], [5, 5], 1, 10, "ascending"),
        ([0, 1, 2], [0, 0], 1, 10, "empty"),
        ([0, 1, 2], [5, 5], 1, 1, "too few"),
    ],
)
def test_what_cannot_be_designed_says_why(
    edges: list[float], counts: list[int], threshold: float, n: int, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        design(edges, counts, threshold, n)


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(0, 500), min_size=1, max_size=30).filter(any),
    place=st.integers(0, 30),
    n=st.integers(8, 300),
)
def test_any_histogram_is_cut_without_loss(counts: list[int], place: int, n: int) -> None:
    edges = np.arange(len(counts) + 1)
    strata = design(edges, counts, float(min(place, len(counts))), n)
    assert sum(stratum.rows for stratum in strata) == sum(counts)
    assert sum(stratum.sample for stratum in strata) == min(n, sum(counts))
    assert all(stratum.sample <= stratum.rows for stratum in strata)


def test_rows_find_their_stratum() -> None:
    strata = design([-np.inf, 0, 1, np.inf], [10, 10, 10], 0, 9)
    found = strata_of(strata, [-np.inf, -1, 0, 0.5, 1, np.inf, np.nan])
    assert found.tolist() == [0, 0, 1, 1, 2, 2, -1]
    closed = design([0, 1, 2], [10, 10], 1, 9)
    assert strata_of(closed, [-0.1, 0, 1, 2]).tolist() == [-1, 0, 1, -1]


def _uids(count: int) -> pa.Array:
    return pa.array([f"row {number}" for number in range(count)])


def test_a_sample_does_not_depend_on_order_or_batches() -> None:
    uids = _uids(3_000)
    hashes, ids = hash64(uids, 7), np.arange(3_000) % 3
    sizes = [50, 10, 0]
    names = set(uids.take(pa.array(draw(ids, hashes, sizes))).to_pylist())
    assert len(names) == 60
    shuffled = np.random.default_rng(0).permutation(3_000)
    again = uids.take(pa.array(shuffled[draw(ids[shuffled], hashes[shuffled], sizes)]))
    assert set(again.to_pylist()) == names
    parts = np.concatenate(
        [start + draw(ids[start:][:700], hashes[start:][:700], sizes) for start in range(0, 3_000, 700)]
    )
    last = uids.take(pa.array(parts[draw(ids[parts], hashes[parts], sizes)]))
    assert set(last.to_pylist()) == names


def test_every_row_is_drawn_equally_often() -> None:
    uids, ids = _uids(40), np.zeros(40, np.int64)
    times = np.zeros(40)
    for key in range(2_000):
        times[draw(ids, hash64(uids, key), [10])] += 1
    assert np.abs(times / 2_000 - 0.25).max() < 0.05


def test_a_sheet_may_be_left_off_anywhere() -> None:
    hashes = hash64(_uids(500), 3)
    ids = np.repeat([0, 1, 2], [300, 150, 50])
    order = sheet_order(ids, hashes)
    assert sorted(order) == list(range(500))
    half = order[:250]
    assert np.bincount(ids[half]) == pytest.approx([150, 75, 25], abs=2)
    for place in range(3):
        mine = half[ids[half] == place]
        assert set(mine) == set(draw(np.where(ids == place, 0, -1), hashes, [len(mine)]))
    shuffled = np.random.default_rng(0).permutation(500)
    assert (shuffled[sheet_order(ids[shuffled], hashes[shuffled])] == order).all()


def test_without_an_unseen_positive_the_allocation_is_neyman_s() -> None:
    spread = np.array([1.0, 4.0, 9.0, 0.0])
    nothing, most = np.zeros(4, np.int64), np.full(4, 10_000)
    assert allocate(600, nothing, most, spread, np.zeros(4)).tolist() == [100, 200, 300, 0]


def test_an_allocation_is_the_best_there_is() -> None:
    spread, unseen = np.array([2.0, 0.1, 30.0]), np.array([50.0, 0.0, 4.0])
    least, most = np.array([1, 2, 1]), np.array([30, 30, 9])

    def cost(sizes: tuple[int, ...]) -> float:
        n = np.array(sizes)
        return float((spread / n + unseen / n**2).sum())

    every = (s for s in itertools.product(range(1, 31), range(2, 31), range(1, 10)) if sum(s) == 25)
    assert cost(tuple(allocate(25, least, most, spread, unseen))) <= min(map(cost, every)) * 1.01
