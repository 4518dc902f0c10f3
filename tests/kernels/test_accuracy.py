"""Precision, recall and prevalence from stratified answers: exact where that can be worked out, covering elsewhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import hypergeom
from tests.kernels.pools_of_values import answers, designed, made, seen

from poolwright.core.errors import InputError
from poolwright.kernels.statistics.accuracy import MEASURES, Answers, estimate
from poolwright.kernels.statistics.melded_intervals import meld
from poolwright.kernels.statistics.sample_size import how_many_more
from poolwright.kernels.statistics.strata import Stratum


def stratum(kept: bool, rows: int, sample: int = 0, low: float = 0.0, guess: float = 0.5) -> Stratum:
    return Stratum(low, low + 1, kept, rows, sample, guess)


POOL = (stratum(False, 1_000, low=-2), stratum(False, 100, low=-1), stratum(True, 50), stratum(True, 50, low=1))


def test_points_are_weighed_by_the_size_of_their_strata() -> None:
    found = estimate(POOL, [Answers(1, 99), Answers(1, 9), Answers(5, 5), Answers(10, 0)])
    # 10 + 10 missed, 25 + 50 found
    assert found.precision.value == pytest.approx(75 / 100)
    assert found.recall.value == pytest.approx(75 / 95)
    assert found.prevalence.value == pytest.approx(95 / 1_200)
    assert found.missed.value == pytest.approx(20)
    assert found.missed.low < 20 < found.missed.high
    assert [part.rate for part in found.strata] == [0.01, 0.1, 0.5, 1.0]
    assert found.notes == ()


def test_rows_missed_are_counted_and_unsure_ones_bound_them() -> None:
    rejected = [stratum(False, 30), stratum(True, 10, low=1)]
    exact = estimate(rejected, [Answers(4, 26), Answers(10, 0)]).missed
    assert (exact.value, exact.low, exact.high) == (4, 4, 4)
    unsure = estimate(rejected, [Answers(4, 21, 5), Answers(10, 0)]).missed
    assert unsure.lowest == 4
    assert unsure.highest == 9
    assert unsure.low <= 4.8 <= unsure.high


@pytest.mark.parametrize("n", [1, 4, 11, 30])
def test_one_stratum_has_the_exact_limits_of_the_finite_population(n: int) -> None:
    rows = 30
    for x in range(n + 1):
        found = estimate([stratum(True, rows)], [Answers(x, n - x)]).precision
        low, high = round(found.low * rows), round(found.high * rows)
        # Just outside, what was seen has at most 2.5 % of probability; just inside, more. Draws blur it a little.
        assert low == x or hypergeom.sf(x - 1, rows, low - 1, n) <= 0.029
        assert hypergeom.sf(x - 1, rows, low, n) > 0.021
        assert high == rows - (n - x) or hypergeom.cdf(x, rows, high + 1, n) <= 0.029
        assert hypergeom.cdf(x, rows, high, n) > 0.021


@pytest.mark.parametrize(
    ("rows", "kept", "sizes", "least"),
    [((12, 40), (True, False), (6, 12), 0.945), ((8, 8, 10, 40), (True, True, False, False), (4, 3, 4, 8), 0.925)],
)
def test_small_populations_are_covered(
    rows: tuple[int, ...], kept: tuple[bool, ...], sizes: tuple[int, ...], least: float
) -> None:
    """All samples there are, with their probabilities, of populations that have anything from no positive to all."""
    outcomes = np.array(list(itertools.product(*(range(size + 1) for size in sizes))))
    limits = meld(rows, kept, outcomes, np.array(sizes) - outcomes, draws=1_500)
    keeps = np.array(kept)
    shares = []
    for truth in itertools.product(*(sorted({0, 1, size // 4, size - 1, size}) for size in rows)):
        if not any(truth):
            continue
        parts = [
            hypergeom.pmf(seen, *whole)
            for seen, whole in zip(outcomes.T, zip(rows, truth, sizes, strict=True), strict=True)
        ]
        chance = np.prod(parts, axis=0)
        found, both = np.array(truth)[keeps].sum(), sum(truth)
        values = found / np.array(rows)[keeps].sum(), found / both, both / sum(rows)
        for name, value in zip(MEASURES, values, strict=True):
            low, high = getattr(limits, name)
            shares.append(chance[(low <= value + 1e-12) & (value <= high + 1e-12)].sum())
    assert min(shares) >= least
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("rows", [10**6, 10**9])
@pytest.mark.parametrize(("prevalence", "recall"), [(0.001, 0.5), (0.0075, 0.9), (0.0075, 0.99), (0.05, 0.9)])
@pytest.mark.parametrize("n", [200, 1_000])
def test_intervals_cover_the_truth(rows: int, prevalence: float, recall: float, n: int) -> None:
    truth = made(rows, prevalence, recall)
    strata = designed(truth, n)
    positives = seen(truth, strata, 300)
    sizes = np.array([part.sample for part in strata])
    pool = [part.rows for part in strata], [part.kept for part in strata]
    limits = meld(*pool, positives, sizes - positives, draws=400)
    for name, value in truth.measures().items():
        low, high = getattr(limits, name)
        assert ((low <= value) & (value <= high)).mean() >= 0.93, name


def test_no_positive_seen_in_the_tail_does_not_mean_that_there_is_none() -> None:
    pool = (stratum(False, 10**9, low=-1), stratum(True, 10**7))
    found = estimate(pool, [Answers(0, 300), Answers(90, 10)])
    assert found.recall.value == found.recall.high == 1.0
    # 3.69 / 300 of 10^9 rows at most, beside about 9 million found: Clopper and Pearson's limit at x = 0
    assert 0.40 < found.recall.low < 0.46
    assert found.prevalence.high > 0.015


def test_a_census_knows() -> None:
    found = estimate(POOL, [Answers(3, 997), Answers(2, 98), Answers(20, 30), Answers(45, 5)])
    for name, value in (("precision", 0.65), ("recall", 65 / 70), ("prevalence", 70 / 1_200)):
        measure = getattr(found, name)
        assert (measure.low, measure.value, measure.high) == pytest.approx((value, value, value))


def test_a_stratum_without_answers_may_have_any_rate() -> None:
    some = [Answers(0, 100), Answers(1, 9), Answers(5, 5), Answers(10, 0)]
    without = estimate(POOL, [*some[:3], Answers()])
    assert without.precision.value == pytest.approx(0.5)
    assert without.precision.low < 0.25
    assert without.precision.high > 0.75
    assert (without.strata[3].low, without.strata[3].high, without.strata[3].rate) == (0.0, 1.0, None)
    assert "Stratum 4 (50 kept rows) has no answers" in without.notes[0]
    blind = estimate(POOL, [Answers()] * 4)
    for name in MEASURES:
        assert (getattr(blind, name).value, getattr(blind, name).low, getattr(blind, name).high) == (None, 0.0, 1.0)


def test_unsure_rows_widen_the_outer_limits_only() -> None:
    sure = [Answers(1, 99), Answers(1, 9), Answers(5, 5), Answers(10, 0)]
    unsure = [Answers(a.positive, a.negative, 2) for a in sure]
    plain, found = estimate(POOL, sure), estimate(POOL, unsure)
    for name in MEASURES:
        one, other = getattr(plain, name), getattr(found, name)
        assert (one.value, one.low, one.high) == (other.value, other.low, other.high)
        assert one.lowest == one.low
        assert one.highest == one.high
        assert other.lowest < other.low
        assert other.highest > other.high
    worst = estimate(POOL, [Answers(3, 99), Answers(3, 9), Answers(5, 7), Answers(10, 2)])
    assert found.recall.lowest == worst.recall.low
    assert "8 unsure rows" in found.notes[0]


def test_the_same_answers_give_the_same_numbers() -> None:
    given = [Answers(1, 99), Answers(1, 9), Answers(5, 5), Answers(10, 0)]
    assert estimate(POOL, given) == estimate(POOL, given)


def test_a_filter_that_keeps_nothing_or_everything() -> None:
    nothing = estimate([stratum(False, 1_000)], [Answers(2, 98)])
    assert (nothing.precision.value, nothing.recall.value) == (None, 0.0)
    everything = estimate([stratum(True, 1_000)], [Answers(98, 2)])
    assert (everything.recall.value, everything.recall.high) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("given", "said"),
    [([Answers()] * 3, "4 strata and answers for 3"), ([Answers(60, 0)] * 4, "60 answers but 50 rows"),
     ([Answers(-1, 0)] * 4, "negative number")],
)  # fmt: skip
def test_answers_that_cannot_be_are_refused(given: list[Answers], said: str) -> None:
    with pytest.raises(InputError, match=said):
        estimate(POOL, given)


@pytest.mark.parametrize("wanted", [{"recall": 0.1}, {"precision": 0.03}, {"recall": 0.15, "precision": 0.04}])
def test_the_verdicts_asked_for_bring_the_wanted_width(wanted: dict[str, float]) -> None:
    truth = made(10**7, 0.0075, 0.9)
    strata = designed(truth, 400)
    expected = [
        round(part.sample * inside / part.rows) for part, inside in zip(strata, truth.within(strata), strict=True)
    ]
    first = estimate(strata, answers(strata, np.array(expected)))
    plan = how_many_more(first, wanted)
    assert plan.total > 0
    assert all(plan.half_widths[name] <= width for name, width in wanted.items())
    larger = tuple(
        Stratum(part.low, part.high, part.kept, part.rows, part.sample + more, part.guess)
        for part, more in zip(strata, plan.strata, strict=True)
    )
    widths = [
        [getattr(estimate(larger, answers(larger, row), draws=2_000), name).half_width for name in wanted]
        for row in seen(truth, larger, 40)
    ]
    assert np.median(widths, axis=0) == pytest.approx(list(wanted.values()), rel=0.3)


def test_precision_asks_for_kept_rows_only_and_recall_for_the_tail() -> None:
    truth = made(10**8, 0.0075, 0.9)
    strata = designed(truth, 300)
    found = estimate(strata, answers(strata, seen(truth, strata, 1)[0]))
    kept = [part.kept for part in strata]
    precise = how_many_more(found, {"precision": 0.03}).strata
    assert not any(more for more, keeps in zip(precise, kept, strict=True) if not keeps)
    tail = how_many_more(found, {"recall": 0.1})
    assert tail.strata[0] > tail.total / 2
    assert how_many_more(found, {"precision": 0.5}).total == 0


def test_unsure_rows_make_more_verdicts_necessary() -> None:
    given = [Answers(1, 99), Answers(1, 9), Answers(5, 5), Answers(9, 1)]
    half = [Answers(a.positive, a.negative, a.positive + a.negative) for a in given]
    pool = tuple(stratum(part.kept, part.rows * 1_000, low=part.low) for part in POOL)
    sure, unsure = (how_many_more(estimate(pool, each), {"precision": 0.05}).total for each in (given, half))
    assert unsure == pytest.approx(2 * sure, rel=0.05)


def test_wanted_widths_are_checked() -> None:
    found = estimate(POOL, [Answers()] * 4)
    with pytest.raises(InputError, match="did you mean 'recall'"):
        how_many_more(found, {"recal": 0.1})
    with pytest.raises(InputError, match="between 0 and 1"):
        how_many_more(found, {"recall": 5})
    with pytest.raises(InputError, match="no half-width"):
        how_many_more(found, {})
