"""Estimate true categories and raters' error rates together by expectation maximisation (Dawid-Skene).

Source: A. P. Dawid, A. M. Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, Journal
of the Royal Statistical Society C 28 (1979) 20-28.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.statistics.agreement import Ratings

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_FLOOR = 1e-10
"""Least expected count and least prior, so that no logarithm is infinite; as in crowd-kit."""


@dataclass(frozen=True)
class DawidSkene:
    """The fitted model.

    Attributes:
        probability: float64 (items, categories) that the category is the true one of the item; rows sum to 1. NaN for
            items that nobody rated.
        prior: float64 (categories,) share of the rated items by true category.
        confusion: float64 (people, categories, categories): `confusion[j, t, g]` is the probability that person j
            gives g if t is true. Zero for categories that the person never gave; NaN for people who rated nothing.
        log_likelihood: float64 (iterations,) of the ratings under the parameters that each iteration began with; it
            never falls, up to rounding.
        converged: whether it stopped by `tolerance` rather than by `iterations`.
    """

    probability: Floats
    prior: Floats
    confusion: Floats
    log_likelihood: Floats
    converged: bool


def dawid_skene(
    ratings: Ratings, items: int, people: int, categories: int, iterations: int = 200, tolerance: float = 1e-7
) -> DawidSkene:
    """Fit the model of Dawid and Skene.

    The fit begins with the vote shares of each item. Each iteration estimates priors and confusion from these
    probabilities, and probabilities from the estimates. It stops when the log-likelihood per rating gains less than
    `tolerance`. The result is a function of the arrays: nothing is drawn, and sums are taken in the order of the
    ratings.

    People need not share items: their confusion is estimated from the items that they rated. A category that
    nobody gave is impossible. With one rating per item, no two ratings conflict, and the ratings are returned.

    Args:
        ratings: usually one per person and item; of several, each counts.
        items, people, categories: their numbers; each id in `ratings` is below.
        iterations: maximum number of iterations.
        tolerance: of the mean log-likelihood (nats) of a rating.

    Returns:
        The model after the last iteration.
    """
    item, given = ratings.item, ratings.category
    seen = np.bincount(given, minlength=categories) > 0
    rated = np.bincount(item, minlength=items) > 0
    shares = np.bincount(item * categories + given, minlength=items * categories).reshape(items, categories)
    with np.errstate(invalid="ignore"):
        probability = shares / shares.sum(axis=1, keepdims=True)
    prior, confusion = np.zeros(categories), np.full((people, categories, categories), np.nan)
    history: list[float] = []
    converged = not len(item)
    while not converged and len(history) < iterations:
        prior = np.where(seen, np.maximum(probability[rated].mean(axis=0), _FLOOR), 0.0)
        confusion = _confusion(ratings, probability, people)
        joint = _joint(ratings, prior, confusion, items)
        most = joint.max(axis=1, keepdims=True)
        weights = np.exp(joint - most)
        total = weights.sum(axis=1, keepdims=True)
        probability = np.where(rated[:, None], weights / total, np.nan)
        history.append(float((most + np.log(total))[rated].sum()))
        converged = len(history) > 1 and history[-1] - history[-2] < tolerance * len(item)
    return DawidSkene(probability, prior, confusion, np.array(history), converged)


def _confusion(ratings: Ratings, probability: Floats, people: int) -> Floats:
    """Confusion of each person from the probabilities of the items: (people, true, given)."""
    categories = probability.shape[1]
    key = ratings.person * categories + ratings.category
    size = people * categories
    expected = np.stack(
        [np.bincount(key, probability[ratings.item, true], minlength=size) for true in range(categories)]
    )
    gave = np.bincount(key, minlength=size) > 0
    counts = np.where(gave, np.maximum(expected, _FLOOR), 0.0).reshape(categories, people, categories).swapaxes(0, 1)
    with np.errstate(invalid="ignore"):
        return np.asarray(counts / counts.sum(axis=2, keepdims=True))


def _joint(ratings: Ratings, prior: Floats, confusion: Floats, items: int) -> Floats:
    """Log-probability of each item's ratings together with each true category: (items, true)."""
    with np.errstate(divide="ignore"):
        logs, joint = np.log(confusion), np.tile(np.log(prior), (items, 1))
    for true in range(len(prior)):
        given = logs[ratings.person, true, ratings.category]
        joint[:, true] += np.bincount(ratings.item, given, minlength=items)
    return joint
