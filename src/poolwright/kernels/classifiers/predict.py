"""Apply a classifier to millions of rows, quickly and with the same result as `parameters.decisions`.

There are three stages, each for the rows that the one before leaves open. A screen (`cubic_screen`, or an MLP in
float32) estimates the decision within a proven bound, and settles the rows that are below the threshold by more than
that. float64 products, with a bound of their own, give the values of all other rows. Rows within that bound of the
threshold, or of another class, are decided by `parameters.decisions` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from poolwright.kernels.classifiers.bounded_values import DecisionScreen, Exact
from poolwright.kernels.classifiers.linear_and_mlp import ExactLinear, ExactMean, ExactMlp, MlpScreen
from poolwright.kernels.classifiers.parameters import (
    Classifier,
    decisions,
    most_votes,
    one_against_rest,
    predictions,
    votes_of,
)
from poolwright.kernels.classifiers.svm import ExactSvm, cubic_screen
from poolwright.kernels.similarity.cosine import Float32, Float64, Integers
from poolwright.kernels.similarity.float16 import widen
from poolwright.kernels.similarity.nearest import TextIndex, index_texts, nearest
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

Booleans = npt.NDArray[np.bool_]
Floating = npt.NDArray[np.floating[Any]]

_SCREEN_ROWS, _EXACT_ROWS = 256, 128
"""Rows per tile. Tiles are padded with zeros: in another shape BLAS may add in another order."""

_SCREENED = (1e-30, 2.0**32)
"""Squared lengths that screens can be trusted with: float32 loses nothing, and `widen` turned no NaN into a number."""


@dataclass(frozen=True)
class Prepared:
    """A classifier prepared by `prepare`; can be shared by any number of threads."""

    classifier: Classifier
    screen: DecisionScreen | None = None
    exact: Exact | None = None
    examples: TextIndex | None = None  # of knn


@dataclass(frozen=True)
class Decided:
    """Decisions of a classifier on n rows, each depending on its own vector only.

    Attributes:
        decision: (n,) float32, of several classes (n, classes). NaN for rows that are zero, NaN or infinite.
            `decision > threshold` is `positive`, bit for bit.
        positive: (n,) of two classes: whether it is the second.
        predicted: (n,) index of the class, -1 where the decision is NaN.
        error: (n,) bound on the error of the decision, besides its rounding to float32.
        exact: number of rows that the screen left to float64.
        replayed: number of these that were left to `parameters.decisions`.
    """

    decision: Float32
    positive: Booleans
    predicted: npt.NDArray[np.int32]
    error: Float32
    exact: int
    replayed: int


def prepare(classifier: Classifier) -> Prepared:
    """Prepare a classifier, once per process: 2 seconds for an SVM of 3,000 x 768, no time for others."""
    kind = classifier.kind
    if kind == "knn":
        return Prepared(classifier, examples=index_texts(unit_rows(classifier.arrays["vectors"])))
    if kind == "svm":
        return Prepared(classifier, cubic_screen(classifier), ExactSvm(classifier))
    if kind == "mlp":
        return Prepared(classifier, MlpScreen(classifier) if classifier.binary else None, ExactMlp(classifier))
    return Prepared(classifier, None, ExactMean(classifier) if kind == "mean" else ExactLinear(classifier))


def decide(
    prepared: Prepared, vectors: Floating, threshold: float = 0.0, *, precise: Literal["kept", "all"] = "kept"
) -> Decided:
    """Decide on rows. `positive` and `predicted` are those of `classifiers.decisions` and `predictions`.

    Args:
        vectors: (n, d) float16, float32 or float64.
        threshold: of two classes, above which a decision means the second.
        precise: "kept" leaves rows that a screen settles, all below the threshold, with its estimate and
            `error`; "all" gives every row its float64 value, at the cost of the screen's gain.

    Raises:
        ValueError: vectors of another width than the classifier's.
    """
    classifier = prepared.classifier
    if vectors.ndim != 2 or vectors.shape[1] != classifier.width:
        raise ValueError(f"vectors {vectors.shape} must be (n, {classifier.width}), as the classifier was trained on")
    with np.errstate(over="ignore", invalid="ignore"):
        if prepared.examples is not None:
            return _vote(prepared, prepared.examples, vectors, threshold)
        usable, values, errors = _screen(prepared, vectors, threshold, precise)
        left = np.flatnonzero(usable & np.isnan(errors))
        if classifier.binary:
            replayed = _finish_two(prepared, vectors, left, values, errors, threshold)
            return _decided(values, threshold, errors, len(left), replayed)
        return _finish_many(prepared, vectors, left)


def _screen(prepared: Prepared, vectors: Floating, threshold: float, precise: str) -> tuple[Booleans, Float64, Float64]:
    """Return which rows are usable, and values and errors (n,) of those settled: NaN for all others."""
    values, errors = np.full(len(vectors), np.nan), np.full(len(vectors), np.nan)
    if prepared.screen is None or precise == "all" or vectors.dtype == np.float64:
        return has_direction(vectors), values, errors
    usable = np.empty(len(vectors), np.bool_)
    for start in range(0, len(vectors), _SCREEN_ROWS):
        tile = slice(start, start + _SCREEN_ROWS)
        rows = _filled(widen(vectors[tile]), _SCREEN_ROWS)
        usable[tile] = _settle(prepared.screen, rows, vectors[tile], threshold, values[tile], errors[tile])
    return usable, values, errors


def _settle(
    screen: DecisionScreen, rows: Float32, vectors: Floating, threshold: float, values: Float64, errors: Float64
) -> Booleans:
    """Fill in values and errors of a tile's rows clearly below the threshold; return which rows are usable."""
    n = len(vectors)
    squares = np.vecdot(rows, rows).astype(np.float64)
    usual = (squares[:n] > _SCREENED[0]) & (squares[:n] < _SCREENED[1])
    usable: Booleans = usual.copy()
    if not usual.all():
        usable[~usual] = has_direction(vectors[~usual])
    found = screen.estimate(rows, squares)
    settled = usual & (found.values[:n] + found.errors[:n] < threshold)
    values[settled], errors[settled] = found.values[:n][settled], found.errors[:n][settled]
    return np.asarray(usable)


def _exact(prepared: Prepared, vectors: Floating, left: Integers) -> tuple[Float64, Float64]:
    """float64 values and errors (len(left), p) of some rows."""
    values, errors = [], []
    for start in range(0, len(left), _EXACT_ROWS):
        picked = left[start : start + _EXACT_ROWS]
        found = _rule(prepared).estimate(_filled(_doubles(vectors[picked]), _EXACT_ROWS))
        values.append(found.values[: len(picked)])
        errors.append(found.errors[: len(picked)])
    if not values:
        return np.empty((0, 1)), np.empty((0, 1))
    return np.concatenate(values), np.concatenate(errors)


def _doubles(vectors: Floating) -> Float64:
    return np.asarray(widen(vectors) if vectors.dtype == np.float16 else vectors, np.float64)


def _rule(prepared: Prepared) -> Exact:
    if prepared.exact is None:
        raise ValueError(f"a classifier of kind {prepared.classifier.kind!r} has no float64 rule")
    return prepared.exact


def _filled(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Rows (n, d) with zeros up to `size` rows."""
    return rows if len(rows) == size else np.pad(rows, ((0, size - len(rows)), (0, 0)))


def _finish_two(
    prepared: Prepared, vectors: Floating, left: Integers, values: Float64, errors: Float64, threshold: float
) -> int:
    """Fill in values and errors of the rows left over; return how many were decided by the definition."""
    exact, bound = _exact(prepared, vectors, left)
    values[left], errors[left] = exact[:, 0], bound[:, 0]
    near = left[~(np.abs(exact[:, 0] - threshold) > bound[:, 0])]
    values[near], errors[near] = decisions(prepared.classifier, vectors[near]), 0
    return len(near)


def _finish_many(prepared: Prepared, vectors: Floating, left: Integers) -> Decided:
    """Decide on the usable rows, for several classes."""
    classifier = prepared.classifier
    classes = len(classifier.classes)
    decision = np.full((len(vectors), classes), np.nan)
    predicted, error = np.full(len(vectors), -1, np.int32), np.full(len(vectors), np.nan)
    if len(left):
        exact, bound = _exact(prepared, vectors, left)
        pairs = classifier.kind == "svm"
        decision[left] = one_against_rest(exact, classes) if pairs else exact
        predicted[left] = most_votes(exact, classes) if pairs else exact.argmax(axis=1)
        error[left] = bound.max(axis=1)
        clear = (np.abs(exact) > bound).all(axis=1) if pairs else _is_clear(exact, bound)
        near = left[~clear]
        decision[near], predicted[near] = decisions(classifier, vectors[near]), predictions(classifier, vectors[near])
        error[near] = 0
        return _of_many(decision, predicted, error, len(left), len(near))
    return _of_many(decision, predicted, error, 0, 0)


def _of_many(decision: Float64, predicted: npt.NDArray[np.int32], error: Float64, exact: int, replayed: int) -> Decided:
    floats = decision.astype(np.float32)
    return Decided(floats, np.zeros(len(floats), np.bool_), predicted, error.astype(np.float32), exact, replayed)


def _is_clear(values: Float64, errors: Float64) -> Booleans:
    """Whether the largest value of each row leads by more than the errors."""
    two = np.partition(values, -2, axis=1)[:, -2:]
    return np.asarray(two[:, 1] - two[:, 0] > 2 * errors.max(axis=1))


def _vote(prepared: Prepared, examples: TextIndex, vectors: Floating, threshold: float) -> Decided:
    """Decide by the k nearest examples, exactly: no row is left open."""
    classifier = prepared.classifier
    neighbours, _ = nearest(np.asarray(vectors, _narrow(vectors)), examples, k=int(classifier.values["k"]))
    usable = has_direction(vectors)
    votes = votes_of(classifier, np.where(usable[:, None], neighbours, 0).astype(np.int64))
    votes[~usable] = np.nan
    error = np.where(usable, 0.0, np.nan)
    if classifier.binary:
        return _decided(votes, threshold, error, len(vectors), 0)
    predicted = np.where(usable, votes.argmax(axis=1), -1).astype(np.int32)
    return _of_many(votes, predicted, error, len(vectors), 0)


def _narrow(vectors: Floating) -> type[np.float16] | type[np.float32]:
    return np.float16 if vectors.dtype == np.float16 else np.float32


def _decided(values: Float64, threshold: float, errors: Float64, exact: int, replayed: int) -> Decided:
    """Round values (n,) to float32, away from the threshold if rounding would cross it."""
    positive = values > threshold
    decision = values.astype(np.float32)
    crossed = ~np.isnan(values) & ((decision.astype(np.float64) > threshold) != positive)
    away = np.where(positive[crossed], np.float32(np.inf), np.float32(-np.inf))
    decision[crossed] = np.nextafter(decision[crossed], away)
    predicted = np.where(np.isnan(values), -1, positive).astype(np.int32)
    return Decided(decision, positive, predicted, errors.astype(np.float32), exact, replayed)
