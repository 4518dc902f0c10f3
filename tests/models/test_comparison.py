"""Figures of a comparison, against scikit-learn's metrics, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics

from poolwright.kernels.classifiers.roc_pr import curves, resamples
from poolwright.models.classifiers.comparison import against_rest, measured, wilson


@pytest.mark.parametrize("tied", [False, True])
def test_two_classes_are_measured_as_scikit_learn_measures(tied: bool) -> None:
    generator = np.random.default_rng(4)
    classes = (generator.random(200) < 0.2).astype(np.int64)
    scores = classes + generator.normal(size=200) - 1
    if tied:
        scores = np.round(scores)
    predicted = (scores > 0).astype(np.int64)
    found = measured("svm", scores, predicted, classes, 200, key=1)
    assert found["accuracy"].value == metrics.accuracy_score(classes, predicted)
    assert found["precision"].value == metrics.precision_score(classes, predicted)
    assert found["recall"].value == metrics.recall_score(classes, predicted)
    assert found["roc_auc"].value == pytest.approx(metrics.roc_auc_score(classes, scores), abs=1e-12)
    assert found["average_precision"].value == pytest.approx(
        metrics.average_precision_score(classes, scores), abs=1e-12
    )


def test_several_classes_are_measured_as_scikit_learn_measures() -> None:
    generator = np.random.default_rng(4)
    classes = generator.integers(0, 4, 300)
    logits = 2 * np.eye(4)[classes] + generator.normal(size=(300, 4)) + 5 * generator.normal(size=(300, 1))
    predicted = logits.argmax(axis=1)
    found = measured("logistic", logits, predicted, classes, 200, key=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found["accuracy"].value == metrics.accuracy_score(classes, predicted)
    assert found["precision"].value == pytest.approx(metrics.precision_score(classes, predicted, average="macro"))
    assert found["recall"].value == pytest.approx(metrics.recall_score(classes, predicted, average="macro"))
    assert found["roc_auc"].value == pytest.approx(
        metrics.roc_auc_score(classes, shares, multi_class="ovr", average="macro"), abs=1e-12
    )
    assert found["average_precision"].value == pytest.approx(
        metrics.average_precision_score(np.eye(4)[classes], shares, average="macro"), abs=1e-12
    )
    assert all(figure.low < figure.value < figure.high for figure in found.values())  # type: ignore[operator]


def test_log_odds_keep_their_digits() -> None:
    found = against_rest("mlp", np.array([[0.0, 100.0, -700.0], [1.0, 1.0, 1.0]]))
    assert found[0] == pytest.approx([-100, 100, -800])
    assert found[1] == pytest.approx(np.log([0.5] * 3))


def test_wilson_intervals_are_those_of_scipy() -> None:
    for hits, rows in ((0, 10), (3, 10), (10, 10), (985, 1000)):
        interval = binomtest(hits, rows).proportion_ci(method="wilson")
        found = wilson(hits, rows)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert wilson(0, 0).value is None


def test_weights_are_rows_that_are_there_several_times() -> None:
    generator = np.random.default_rng(2)
    positive, scores = np.arange(40) % 3 == 0, generator.integers(0, 9, 40) / 2
    weights = np.concatenate(list(resamples(positive.astype(np.int64), 5, key=3)))
    assert (weights[:, positive].sum(axis=1) == positive.sum()).all()
    roc, precision = curves(scores, positive, weights)
    for draw, one in enumerate(weights):
        again = np.repeat(np.arange(40), one)
        assert roc[draw] == pytest.approx(metrics.roc_auc_score(positive[again], scores[again]))
        assert precision[draw] == pytest.approx(metrics.average_precision_score(positive[again], scores[again]))


def test_bootstrap_intervals_cover_the_truth() -> None:
    from scipy.stats import norm

    truth, covered = norm.cdf(1 / np.sqrt(2)), 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        classes = np.arange(200) % 2
        found = measured("svm", classes + generator.normal(size=200), classes, classes, 200, key=seed)["roc_auc"]
        covered += (found.low or 0) <= truth <= (found.high or 0)
    assert covered / 150 > 0.9
