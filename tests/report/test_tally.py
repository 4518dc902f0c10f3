"""Counts, bins and scales, against plain NumPy."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.report.charts.charts import nice_top, rank_curve, tick_values
from poolwright.report.charts.distributions import nice_bins
from poolwright.report.charts.tally import BinnedCounts, CoordinateTally, MonthTally, NumberTally, PairTally, ValueTally
from poolwright.report.charts.words import cut, duration, percent, short

floats = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60)


@given(floats, st.booleans())
def test_every_number_is_in_a_bin_or_beside_them(values: list[float], integers: bool) -> None:
    numbers = np.array(values, np.float64)
    if integers:
        numbers = np.trunc(np.clip(numbers, -1e15, 1e15))
    tally = NumberTally()
    tally.add(numbers[:10])
    tally.add(numbers[10:])
    finite = numbers[np.isfinite(numbers)]
    assert tally.finite == len(finite)
    if len(finite):
        histogram = BinnedCounts(nice_bins(tally, integers))
        histogram.add(numbers)
        assert 1 <= histogram.bins.number <= 200
        assert sum(histogram.counts) + histogram.below + histogram.above == len(finite)
        assert (tally.low, tally.high) == (finite.min(), finite.max())


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("scale", [1e-6, 0.3, -4000.0])
def test_quantiles_are_near(share: float, scale: float) -> None:
    values = scale * (1 + np.random.default_rng(3).random(5_000))
    tally = NumberTally()
    tally.add(values)
    assert tally.quantile(share) == pytest.approx(np.quantile(values, share), rel=1 / 256)


def test_far_values_do_not_flatten_the_histogram() -> None:
    tally = NumberTally()
    values = np.append(np.linspace(0.2, 0.3, 100_000), 1e9)
    tally.add(values)
    histogram = BinnedCounts(nice_bins(tally, False))
    histogram.add(values)
    assert histogram.above == 1
    assert histogram.bins.high < 1


def test_values_are_counted_whatever_the_batches() -> None:
    words = [f"w{number * number % 37}" for number in range(500)] + [None]
    whole, pieces = ValueTally(1000), ValueTally(1000)
    whole.add(pa.array(words))
    for start in range(0, len(words), 100):
        pieces.add(pa.array(words[start : start + 100]).dictionary_encode())
    expected = Counter(word for word in words if word)
    assert whole.counts() == pieces.counts() == sorted(expected.items(), key=lambda pair: (-pair[1], pair[0]))
    assert whole.nulls == pieces.nulls == 1


def test_too_many_values_are_given_up() -> None:
    tally = ValueTally(10)
    tally.add(pa.array([str(number) for number in range(50)]))
    assert tally.counts() == []
    assert tally.overflowed


def test_months() -> None:
    tally = MonthTally()
    tally.add(pa.array([0, 40 * 86_400 * 10**6, -1, None], pa.timestamp("us", tz="UTC")))
    assert tally.counts() == [(-1, 1), (0, 1), (1, 1)]
    assert tally.nulls == 1


def test_pairs() -> None:
    tally = PairTally(["a", "b"], ["x", "y"])
    tally.add(pa.array(["a", "a", "b", "c", None]), pa.array(["x", "x", "y", "x", "x"]).dictionary_encode())
    assert tally.counts == [[2, 0], [0, 1]]


def test_places_at_the_edges_of_the_world() -> None:
    tally = CoordinateTally(3)
    tally.add(np.array([90, -90, 0, 91, np.nan]), np.array([-180, 180, 0, 0, 0.0]))
    assert tally.rows == 3
    assert tally.cells[0, 0] == tally.cells[-1, -1] == tally.cells[30, 60] == 1


@given(st.floats(1e-9, 1e12), st.floats(1e-9, 1e12))
def test_ticks_lie_within(low: float, wide: float) -> None:
    ticks = tick_values(low, low + wide, 5)
    slack = 1e-6 * (abs(low) + wide) + 1e-11
    assert len(ticks) <= 12
    assert all(low - slack <= tick <= low + wide + slack for tick in ticks)
    assert nice_top(wide) >= wide * 0.999


def test_rank_curve_of_many_classes_is_short() -> None:
    curve = rank_curve(sorted((int(1e6 / (rank + 1)) + 1 for rank in range(200_000)), reverse=True), "sizes")
    assert curve.logarithmic
    assert len(curve.svg) < 20_000
    assert curve.across[0].text == "1"


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 10, "0%"), (10, 10, "100%"), (1, 10**9, "<0.01%"), (10**9 - 1, 10**9, ">99.99%"), (412, 1000, "41.2%")],
)
def test_percent(part: int, whole: int, words: str) -> None:
    assert percent(part, whole) == words


def test_words() -> None:
    assert [short(value) for value in (0.25, 1500, 12_000, 1.5e6)] == ["0.25", "1,500", "12k", "1.5M"]
    assert [duration(seconds) for seconds in (0.84, 59.7, 192, 7500)] == ["0.8 s", "60 s", "3 min 12 s", "2 h 5 min"]
    assert cut("a \n b\x00" + "c" * 50, 8) == "a b\ufffdccc…"
    assert math.isnan(NumberTally().quantile(0.5))
