"""Measure the agreement of raters: pairwise, Krippendorff's alpha, and each person against the others.

Ratings come as three int64 arrays (r,): the item, the person and the category of each; one rating per person and item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_CROWD = 5
"""Number of people from which on a person is compared with what is usual among them."""


@dataclass(frozen=True)
class Ratings:
    """Ratings of items by people.

    Attributes:
        item: int64 (r,) from 0.
        person: int64 (r,) from 0.
        category: int64 (r,) from 0.
    """

    item: Integers
    person: Integers
    category: Integers

    def counts(self) -> Integers:
        """Count the ratings of each item by category: int64 (items, categories)."""
        items, width = self.item.max(initial=-1) + 1, self.category.max(initial=0) + 1
        return np.bincount(self.item * width + self.category, minlength=items * width).reshape(items, width)


@dataclass(frozen=True)
class Agreement:
    """Agreement of all people.

    Attributes:
        items: items that two people or more rated.
        pairwise: share of equal pairs among the pairs of ratings of an item, each item with the same weight; None
            without items.
        alpha: Krippendorff's alpha for categories: 1 is perfect, 0 that of chance; None without items. It is 1
            if only one category was ever given.
    """

    items: int
    pairwise: float | None
    alpha: float | None


@dataclass(frozen=True)
class People:
    """Each person against the others who rated the same items: arrays (people,).

    Attributes:
        rated: items the person rated.
        compared: those of them that somebody else rated.
        agreement: share of the others who gave the same category, mean over these items; NaN if there are none.
        kappa: the same beyond chance, by Cohen; always giving the commonest answer scores 0. NaN if nothing could be
            compared, or if person and others gave one and the same category throughout.
        outlier: whether the person hardly agrees with the others, see `without_outliers`.
    """

    rated: Integers
    compared: Integers
    agreement: Floats
    kappa: Floats
    outlier: npt.NDArray[np.bool_]


def agreement(ratings: Ratings) -> Agreement:
    """Compute the agreement of all people over the items that at least two of them rated.

    Source: K. Krippendorff, Content Analysis, 4th edition, chapter 12: nominal data, ratings may be missing.
    """
    counts = ratings.counts()
    counts = counts[counts.sum(axis=1) >= 2]
    if not len(counts):
        return Agreement(0, None, None)
    given, totals = counts.sum(axis=1), counts.sum(axis=0)
    unequal = given**2 - (counts**2).sum(axis=1)  # ordered pairs of the same item
    pairwise = 1.0 - float((unequal / (given * (given - 1))).mean())
    whole = int(totals.sum())
    expected = float(whole**2 - (totals**2).sum()) / (whole - 1)
    return Agreement(len(counts), pairwise, 1.0 - float((unequal / (given - 1)).sum()) / expected if expected else 1.0)


def against_others(ratings: Ratings, people: int) -> People:
    """Compare each of `people` people with the others."""
    if not len(ratings.item):
        nothing, unknown = np.zeros(people, np.int64), np.full(people, np.nan)
        return People(nothing, nothing, unknown, unknown, np.zeros(people, bool))
    others = ratings.counts()[ratings.item]
    others[np.arange(len(others)), ratings.category] -= 1
    many = others.sum(axis=1)
    person, own, share = ratings.person[many > 0], ratings.category[many > 0], others[many > 0] / many[many > 0, None]
    compared = np.bincount(person, minlength=people)
    with np.errstate(invalid="ignore", divide="ignore"):
        equal = np.bincount(person, share[np.arange(len(own)), own], minlength=people) / compared
        chance = np.zeros(people)
        for category in range(others.shape[1]):
            mine = np.bincount(person, own == category, minlength=people) / compared
            theirs = np.bincount(person, share[:, category], minlength=people) / compared
            chance += mine * theirs
        kappa = np.where(chance < 1.0, (equal - chance) / (1.0 - chance), np.nan)
    rated = np.bincount(ratings.person, minlength=people)
    return People(rated, compared, equal, kappa, np.zeros(people, bool))


def without_outliers(ratings: Ratings, people: int, below: float, least: int) -> People:
    """Compare each person with those of the others who are not outliers.

    The person with the lowest kappa, if it is below `below` over at least `least` items, is an outlier; then all are
    compared again without them, and so on, as one person who answers at random lowers the agreement of everybody.
    Among five people and more, it must also be below half of their median: careful people hardly agree on pictures
    that are ambiguous, and then are no outliers.
    """
    found = against_others(ratings, people)
    while True:
        judged = ~found.outlier & (found.compared >= least) & ~np.isnan(found.kappa)
        low = judged & (found.kappa < _limit(found.kappa[judged], below))
        if not low.any():
            return found
        worst = low & (found.kappa <= found.kappa[low].min())
        outlier = found.outlier | worst
        left = ~outlier[ratings.person]
        rest = against_others(Ratings(ratings.item[left], ratings.person[left], ratings.category[left]), people)
        found = People(
            found.rated,
            np.where(outlier, found.compared, rest.compared),
            np.where(outlier, found.agreement, rest.agreement),
            np.where(outlier, found.kappa, rest.kappa),
            outlier,
        )


def _limit(kappa: Floats, below: float) -> float:
    """Return the kappa below which one of the people with `kappa` (people,), none of it NaN, is an outlier."""
    return min(below, max(0.0, float(np.median(kappa)) / 2)) if len(kappa) >= _CROWD else below
