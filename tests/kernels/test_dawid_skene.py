"""Dawid-Skene: held against crowd-kit, live and frozen, and against what must hold of any maximum likelihood by EM."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.statistics.agreement import Ratings
from poolwright.kernels.statistics.dawid_skene import dawid_skene


def drawn(items: int, errors: list[float], each: int, categories: int, seed: int) -> tuple[Ratings, np.ndarray]:
    """Ratings by people with these error rates, `each` per item, and the truth."""
    draw = np.random.default_rng(seed)
    truth = draw.integers(0, categories, items)
    person = np.stack([draw.permutation(len(errors))[:each] for _ in range(items)]).ravel()
    item = np.repeat(np.arange(items), each)
    wrong = draw.random(len(item)) < np.array(errors)[person]
    return Ratings(item, person, (truth[item] + wrong * draw.integers(1, categories, len(item))) % categories), truth


def ratings(*rows: tuple[int, int, int]) -> Ratings:
    return Ratings(*np.array(rows, np.int64).reshape(-1, 3).T)


# Made by crowd-kit 1.4.2: DawidSkene(n_iter=20, tol=-inf).fit_predict_proba.
FROZEN = [
    (
        "0000111223344455566777789990",
        [0, 1, 2, 3, 1, 2, 3, 1, 2, 2, 3, 0, 1, 2, 0, 1, 2, 1, 2, 0, 1, 2, 3, 3, 0, 1, 2],
        [0, 0, 0, 0, 1, 1, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1],
        [
            [1.0, 0.0], [0.027769185, 0.972230815], [0.045697489, 0.954302511], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0],
            [0.220707255, 0.779292745], [0.0, 1.0], [0.447277633, 0.552722367], [1.0, 0.0],
        ],
    ),
    (
        "000111222333344455566677778888999",
        [1, 2, 3, 0, 1, 3, 0, 1, 2, 0, 1, 2, 3, 0, 2, 3, 0, 1, 3, 0, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2],
        [2, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 1, 1, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1],
        [
            [0.0, 0.00020536, 0.99979464], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0], [0.0, 0.999805508, 0.000194492], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0],
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("items", "people", "given", "wanted"), FROZEN)
def test_frozen_values_of_crowd_kit(items: str, people: list[int], given: list[int], wanted: list[list[float]]) -> None:
    item = np.array([int(digit) for digit in items[: len(people)]])
    said = Ratings(item, np.array(people), np.array(given))
    model = dawid_skene(said, 10, 4, len(wanted[0]), iterations=20, tolerance=-np.inf)
    np.testing.assert_allclose(model.probability, wanted, atol=2e-9)
    assert (len(model.log_likelihood), model.converged) == (20, False)


@pytest.mark.parametrize("categories", [2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_that_of_crowd_kit(categories: int, seed: int) -> None:
    module = pytest.importorskip("crowdkit.aggregation.classification.dawid_skene")
    pandas = pytest.importorskip("pandas")
    said, _ = drawn(200, [0.05, 0.1, 0.3, 0.5, 0.2], 3, categories, seed)
    frame = pandas.DataFrame({"task": said.item, "worker": said.person, "label": said.category})
    theirs = module.DawidSkene(n_iter=30, tol=-np.inf)
    probability = theirs.fit_predict_proba(frame).reindex(range(200))[list(range(categories))]
    ours = dawid_skene(said, 200, 5, categories, iterations=30, tolerance=-np.inf)
    np.testing.assert_allclose(ours.probability, probability, atol=1e-9)
    after = dawid_skene(said, 200, 5, categories, iterations=31, tolerance=-np.inf)  # they end with one more M-step
    np.testing.assert_allclose(after.prior, theirs.priors_[list(range(categories))], atol=1e-9)
    for (person, given), row in theirs.errors_.iterrows():
        np.testing.assert_allclose(after.confusion[person, :, given], row[list(range(categories))], atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_the_likelihood_never_falls_and_is_what_it_says(seed: int) -> None:
    said, _ = drawn(60, [0.1, 0.2, 0.4, 0.5], 1 + seed % 4, 2 + seed % 3, seed)
    model = dawid_skene(said, 60, 4, 2 + seed % 3)
    assert model.converged
    assert (np.diff(model.log_likelihood) > -1e-7).all()
    np.testing.assert_allclose(model.probability.sum(axis=1), 1.0)
    np.testing.assert_allclose(model.prior.sum(), 1.0)
    np.testing.assert_allclose(model.confusion.sum(axis=2), 1.0)
    by_hand = 0.0
    for item in range(60):
        mine = np.flatnonzero(said.item == item)
        each = model.confusion[said.person[mine], :, said.category[mine]].prod(axis=0)
        by_hand += np.log((model.prior * each).sum())
    assert model.log_likelihood[-1] == pytest.approx(by_hand)


def test_it_finds_who_errs_how_often() -> None:
    errors = [0.02, 0.1, 0.3, 0.45]
    said, truth = drawn(4_000, errors, 4, 2, 0)
    model = dawid_skene(said, 4_000, 4, 2)
    np.testing.assert_allclose(1 - np.diagonal(model.confusion, axis1=1, axis2=2).mean(axis=1), errors, atol=0.03)
    assert (model.probability.argmax(axis=1) == truth).mean() > 0.97


def test_equal_arrays_give_equal_bits_and_names_do_not_matter() -> None:
    said, _ = drawn(80, [0.1, 0.3, 0.4], 3, 3, 5)
    one, again = dawid_skene(said, 80, 3, 3), dawid_skene(said, 80, 3, 3)
    assert one.probability.tobytes() == again.probability.tobytes()
    swapped = dawid_skene(Ratings(said.item, 2 - said.person, 2 - said.category), 80, 3, 3)
    np.testing.assert_allclose(swapped.probability[:, ::-1], one.probability, atol=1e-9)


def test_people_without_common_items() -> None:
    said = ratings((0, 0, 0), (1, 0, 1), (2, 1, 1), (3, 1, 0), (3, 2, 0))
    model = dawid_skene(said, 4, 3, 2)
    np.testing.assert_allclose(model.probability, [[1, 0], [0, 1], [0, 1], [1, 0]], atol=1e-6)


def test_one_category_alone() -> None:
    model = dawid_skene(ratings((0, 0, 1), (1, 0, 1), (1, 1, 1)), 2, 2, 3)
    assert model.probability.tolist() == [[0.0, 1.0, 0.0]] * 2
    assert model.prior.tolist() == [0.0, 1.0, 0.0]


def test_two_people_who_never_agree_stay_even() -> None:
    model = dawid_skene(ratings((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)), 2, 2, 2)
    np.testing.assert_allclose(model.probability, 0.5)


def test_items_and_people_without_ratings() -> None:
    model = dawid_skene(ratings((1, 2, 0)), 3, 4, 2)
    assert np.isnan(model.probability[[0, 2]]).all()
    assert model.probability[1].tolist() == [1.0, 0.0]
    assert np.isnan(model.confusion[[0, 1, 3]]).all()
    nothing = dawid_skene(ratings(), 2, 0, 2)
    assert np.isnan(nothing.probability).all()
    assert (nothing.probability.shape, nothing.confusion.shape, nothing.converged) == ((2, 2), (0, 2, 2), True)


def test_many_raters_of_one_item_do_not_underflow() -> None:
    people = 5_000
    said = Ratings(np.tile([0, 1], people), np.repeat(np.arange(people), 2), np.tile([0, 1], people))
    model = dawid_skene(said, 2, people, 2)
    np.testing.assert_allclose(model.probability, [[1, 0], [0, 1]], atol=1e-9)
