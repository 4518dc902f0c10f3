"""Stop rule of verification: against every way the verdicts can come, and in simulated classes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb

import numpy as np
import pytest

from poolwright.core.errors import InputError
from poolwright.kernels.statistics.acceptance_sampling import Plan, chances, judge, plan, single_bound


def orders(rows: int, wrong: int) -> Iterator[list[bool]]:
    for places in combinations(range(rows), wrong):
        yield [place in places for place in range(rows)]


@pytest.mark.parametrize(("rows", "target"), [(12, 0.8), (14, 0.7), (10, 0.95), (1, 0.99), (2, 0.5)])
def test_small_groups_against_all_orders(rows: int, target: float) -> None:
    """Accepted falsely in at most 5 % of all orders in which a bad group can be drawn."""
    made = plan(rows, target, 0.95)
    for wrong in range(rows + 1):
        accepted = [judge(made, order).conclusion == "met" for order in orders(rows, wrong)]
        share = sum(accepted) / len(accepted)
        assert share == pytest.approx(chances(made, wrong)[0], abs=1e-9)
        if (rows - wrong) / rows < target - 1e-12:
            assert share <= 0.05


def test_bounds_cover_over_all_orders() -> None:
    """The bound at the stop, too, is wrong in at most 5 % of all orders, whatever the errors."""
    made = plan(14, 0.7, 0.95)
    for wrong in range(15):
        found = [judge(made, order) for order in orders(14, wrong)]
        missed = [one.bound > 1 - wrong / 14 + 1e-12 for one in found]
        assert sum(missed) / len(missed) <= 0.05


@cache
def _walk(rows: int, wrong: int, stops: tuple[int, ...]) -> Fraction:
    """Chance of acceptance, verdict by verdict, in exact fractions: the plain statement of the rule."""
    chance, accepted = {0: Fraction(1)}, Fraction(0)
    for drawn in range(1, rows + 1):
        after: dict[int, Fraction] = {}
        for found, share in chance.items():
            hit = Fraction(max(wrong - found, 0), rows - drawn + 1)
            for number, part in ((found, share * (1 - hit)), (found + 1, share * hit)):
                if part:
                    after[number] = after.get(number, Fraction(0)) + part
        for errors, stop in enumerate(stops):
            if stop == drawn:
                accepted += after.pop(errors, Fraction(0))
        chance = after
    return accepted


@pytest.mark.parametrize("rows", [150, 300, 450])
def test_error_is_kept_exactly(rows: int) -> None:
    made = plan(rows, 0.99, 0.95)
    accepted = _walk(rows, made.too_many, made.stops)
    assert accepted <= Fraction(5, 100)
    assert float(accepted) == pytest.approx(chances(made, made.too_many)[0], abs=1e-9)
    assert accepted >= Fraction(2, 100), "the chance of error is there to be spent"
    one_less = (made.stops[0] - 1, *made.stops[1:])
    half = Fraction(comb(rows - made.too_many, one_less[0]), comb(rows, one_less[0]))
    assert half > Fraction(25, 1000), "no fewer verdicts would do"


def test_certificates_in_simulated_classes() -> None:
    """500 classes of true precision 98.5 % to 99.9 %: 'at least 99 %' is false in at most 5 % of the cases."""
    rng = np.random.default_rng(7)
    false = certified = verdicts = rows = missed = bad = 0
    for _ in range(500):
        size, precision = int(rng.integers(150, 1500)), rng.uniform(0.985, 0.999)
        wrong = np.zeros(size, bool)
        wrong[: rng.binomial(size, 1 - precision)] = True
        found = judge(plan(size, 0.99), rng.permutation(wrong))
        certified += found.conclusion == "met"
        bad += wrong.mean() > 0.01
        false += found.conclusion == "met" and wrong.mean() > 0.01
        missed += found.bound > 1 - wrong.mean() + 1e-12
        verdicts += found.verified
        rows += size
    assert bad > 100
    assert certified > 150
    assert false <= 0.05 * bad
    assert missed <= 0.05 * 500
    assert verdicts < 0.85 * rows


def test_clean_classes_stop_early_and_dirty_ones_never() -> None:
    made = plan(2000, 0.99)
    clean = judge(made, [False] * 2000)
    assert (clean.conclusion, clean.errors) == ("met", 0)
    assert clean.verified == made.stops[0] < 330
    assert clean.bound >= 0.99
    dirty = judge(made, np.arange(2000) % 20 == 0)
    assert (dirty.conclusion, dirty.verified, dirty.errors) == ("complete", 2000, 100)


def test_open_groups_tell_what_is_left() -> None:
    made = plan(1000, 0.99)
    assert judge(made, []).left == made.stops[0]
    later = judge(made, [False] * 100 + [True])
    assert (later.conclusion, later.left) == ("open", made.stops[1] - 101)
    assert later.bound == single_bound(1000, 101, 1)
    hopeless = judge(made, [True] * 30)
    assert hopeless.left == 970
    # What came after the stop does not change what was concluded there.
    assert judge(made, [False] * made.stops[0] + [True] * 50) == judge(made, [False] * made.stops[0])


def test_single_bound_is_that_of_clopper_and_pearson() -> None:
    from scipy.stats import beta, hypergeom

    low = single_bound(300, 120, 2, 0.95)
    errors = round((1 - low) * 300)
    assert hypergeom.cdf(2, 300, errors, 120) > 0.05 >= hypergeom.cdf(2, 300, errors + 1, 120)
    large = single_bound(10_000_000, 500, 3, 0.95)
    assert large == pytest.approx(1 - beta.ppf(0.95, 4, 497), abs=1e-6)


@pytest.mark.parametrize("rows", [0, 1, 5, 99, 100, 101, 1_000_000, 20_000_000])
def test_any_size(rows: int) -> None:
    made = plan(rows, 0.99)
    assert isinstance(made, Plan)
    assert list(made.stops) == sorted(set(made.stops))
    assert all(stop < max(rows, 1) for stop in made.stops)
    assert judge(made, [False] * min(rows, 1000)).bound <= 1


def test_shares_outside_their_limits_are_told() -> None:
    with pytest.raises(InputError, match=r"such as 0\.99 and 0\.95; got 1 and 0\.95"):
        plan(10, 1, 0.95)
    with pytest.raises(InputError, match="11 verdicts on a group of 10 rows"):
        judge(plan(10, 0.9), [False] * 11)
