"""Thresholds on validation rows."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.core.errors import RecipeError
from poolwright.models.classifiers.thresholds import Target, at_threshold, set_threshold

# Highest first: + + - + - + + - - -
DECISIONS = np.array([9.0, 8, 7, 6, 5, 4, 3, 2, 1, 0]) - 4.75
POSITIVE = np.array([True, True, False, True, False, True, True, False, False, False])


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (Target(), 5),
        (Target("accuracy"), 7),
        (Target("precision", 0.75), 4),
        (Target("precision", 0.7), 7),
        (Target("precision", 1.0), 2),
        (Target("precision", 0.5), 10),
        (Target("recall", 0.6), 4),
        (Target("recall", 0.61), 6),
        (Target("recall", 1.0), 7),
    ],
)
def test_rows_kept(target: Target, kept: int) -> None:
    threshold = set_threshold(DECISIONS, POSITIVE, target)
    assert (threshold < DECISIONS).sum() == kept
    assert kept == 10 or np.abs(DECISIONS - threshold).min() >= 0.25


def test_precision_is_that_at_the_expected_prevalence() -> None:
    # Four rows kept hold 3 of 5 positives and 1 of 5 negatives: a precision of 0.75 in these rows.
    threshold = set_threshold(DECISIONS, POSITIVE, Target("precision", 0.25), prevalence=0.1)
    found = at_threshold(DECISIONS, POSITIVE, threshold, prevalence=0.1)
    assert (threshold < DECISIONS).sum() == 4
    assert found["precision"].value == pytest.approx(0.1 * 0.6 / (0.1 * 0.6 + 0.9 * 0.2))
    assert (found["precision"].low or 0) < 0.25 < (found["precision"].high or 0)


def test_figures_at_a_threshold() -> None:
    found = at_threshold(DECISIONS, POSITIVE, -1.0)
    assert {name: figure.value for name, figure in found.items()} == {
        "accuracy": 0.7,
        "precision": pytest.approx(4 / 6),
        "recall": 0.8,
        "false_positive_rate": 0.4,
    }
    assert at_threshold(DECISIONS, POSITIVE, 99.0)["precision"].value is None


def test_a_target_out_of_reach_names_the_best() -> None:
    wrong = np.array([False, *POSITIVE[1:]])
    with pytest.raises(RecipeError, match=r"precision of 90.00% .* the best is 57.14%, at a recall of 100.00%"):
        set_threshold(DECISIONS, wrong, Target("precision", 0.9))


def test_targets_are_checked() -> None:
    for goal, value in (("precision", None), ("recall", 1.5), ("accuracy", 0.5)):
        with pytest.raises(ValueError, match=f"threshold by {goal}"):
            Target(goal, value)  # type: ignore[arg-type]


def test_ties_are_kept_or_dropped_together() -> None:
    decisions, positive = np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, False, True, False])
    assert (decisions > set_threshold(decisions, positive, Target("recall", 0.5))).sum() == 2
    neighbours = np.array([1.0, np.nextafter(1.0, 2.0)])
    assert (neighbours > set_threshold(neighbours, np.array([False, True]), Target("accuracy"))).tolist() == [
        False,
        True,
    ]
