"""Agreement: against crowd-kit and scikit-learn, and what careless people do to it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from poolwright.kernels.statistics.agreement import Ratings, against_others, agreement, without_outliers


def drawn(items: int, errors: list[float], each: int, seed: int = 0) -> Ratings:
    """Ratings of two categories by people with these error rates, so many an item."""
    draw = np.random.default_rng(seed)
    truth = (draw.random(items) < 0.4).astype(np.int64)
    people = np.stack([draw.permutation(len(errors))[:each] for _ in range(items)])
    item = np.repeat(np.arange(items), each)
    person = people.ravel()
    wrong = draw.random(len(item)) < np.array(errors)[person]
    return Ratings(item, person, truth[item] ^ wrong)


def thinned(each: int, seed: int) -> Ratings:
    """Ratings of which a fifth is missing: some items have one rating, some none."""
    ratings = drawn(120, [0.1, 0.2, 0.3, 0.05], each, seed)
    keep = np.random.default_rng(seed).random(len(ratings.item)) < 0.8
    return Ratings(ratings.item[keep], ratings.person[keep], ratings.category[keep])


def test_alpha_is_that_of_crowd_kit() -> None:
    module = pytest.importorskip("crowdkit.metrics.data")
    for seed, each in enumerate((2, 3, 4)):
        ratings = thinned(each, seed)
        frame = pd.DataFrame({"task": ratings.item, "worker": ratings.person, "label": ratings.category})
        assert agreement(ratings).alpha == pytest.approx(module.alpha_krippendorff(frame), abs=1e-9)


def test_frozen_alphas_of_crowd_kit() -> None:
    """Made by crowd-kit 1.4.2, `alpha_krippendorff`."""
    for seed, (each, alpha) in enumerate(((2, 0.3445121951219512), (3, 0.533479973400174), (4, 0.4661076170510132))):
        assert agreement(thinned(each, seed)).alpha == pytest.approx(alpha, abs=1e-12)
    rows = [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (2, 2), (2, 2), (2, 0), (3, 1), (3, 2)]
    item, category = np.array(rows).T
    person = np.array([0, 1, 2, 0, 1, 0, 1, 2, 0, 2])
    assert agreement(Ratings(item, person, category)).alpha == pytest.approx(0.18181818181818177, abs=1e-12)


def test_pairs_are_counted_item_by_item() -> None:
    ratings = Ratings(np.array([0, 0, 0, 1, 1, 2]), np.array([0, 1, 2, 0, 1, 0]), np.array([1, 1, 0, 0, 0, 1]))
    found = agreement(ratings)
    assert (found.items, found.pairwise) == (2, pytest.approx((1 / 3 + 1) / 2))
    one = Ratings(np.array([0, 1]), np.array([0, 0]), np.array([1, 0]))
    assert agreement(one).alpha is None
    same = Ratings(np.array([0, 0]), np.array([0, 1]), np.array([1, 1]))
    assert agreement(same).alpha == 1.0


def test_kappa_is_that_of_scikit_learn() -> None:
    ratings = drawn(200, [0.1, 0.3], 2)
    found = against_others(ratings, 2)
    by = [ratings.category[ratings.person == person] for person in range(2)]
    assert found.kappa.tolist() == pytest.approx([cohen_kappa_score(*by)] * 2)
    assert found.agreement.tolist() == pytest.approx([(by[0] == by[1]).mean()] * 2)


def test_who_answers_at_random_drags_nobody_along() -> None:
    ratings = drawn(400, [0.02, 0.03, 0.5, 0.02, 0.5], 3)
    assert (against_others(ratings, 5).kappa[[0, 1, 3]] < 0.9).all()
    found = without_outliers(ratings, 5, 0.4, 20)
    assert found.outlier.tolist() == [False, False, True, False, True]
    assert (found.kappa[[0, 1, 3]] > 0.8).all()
    always = drawn(300, [0.02, 0.02, 0.02], 3)
    always.category[always.person == 1] = 1
    assert without_outliers(always, 3, 0.4, 20).outlier.tolist() == [False, True, False]


def test_a_crowd_that_hardly_agrees_on_ambiguous_pictures_is_not_careless() -> None:
    """As in ImageNetV2: each picture is picked by its own share of people; one person answers at random."""
    rng = np.random.default_rng(4)
    item, person = (axis.ravel() for axis in np.mgrid[0:600, 0:10])
    share = rng.beta(2, 1, 600)[item]
    share[person == 7] = 0.5
    ratings = Ratings(item, person, (rng.random(6_000) < share).astype(np.int64))
    found = without_outliers(ratings, 10, 0.4, 20)
    assert (found.kappa < 0.4).all()
    assert np.flatnonzero(found.outlier).tolist() == [7]


def test_few_or_no_ratings_name_nobody() -> None:
    none = Ratings(*[np.empty(0, np.int64)] * 3)
    assert agreement(none).items == 0
    assert not without_outliers(none, 2, 0.4, 20).outlier.any()
    few = drawn(10, [0.5, 0.5], 2)
    assert not without_outliers(few, 2, 0.4, 20).outlier.any()
    alone = Ratings(np.arange(5), np.zeros(5, np.int64), np.zeros(5, np.int64))
    assert np.isnan(against_others(alone, 1).kappa).all()
