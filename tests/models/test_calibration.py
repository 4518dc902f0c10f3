"""Probabilities from decisions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from poolwright.models.classifiers.calibration import (
    Calibration,
    Method,
    brier,
    calibrate,
    calibration_error,
    log_loss,
    platt,
    shifted,
)


def _drawn(rows: int = 4000, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decisions, true probabilities, classes."""
    generator = np.random.default_rng(seed)
    scores = 3 * generator.normal(size=rows)
    truth = 1 / (1 + np.exp(-(0.5 * scores - 1)))
    return scores, truth, (generator.random(rows) < truth).astype(np.int64)


def test_platt_finds_the_curve_that_made_the_rows_as_scikit_learn_does() -> None:
    scores, _, classes = _drawn()
    slope, offset = platt(scores, classes == 1)
    assert (slope, offset) == pytest.approx((0.5, -1), abs=0.15)
    theirs = _SigmoidCalibration().fit(scores, classes)
    assert (slope, offset) == pytest.approx((-theirs.a_, -theirs.b_), abs=1e-4)


def test_isotonic_is_that_of_scikit_learn() -> None:
    scores, _, classes = _drawn()
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, classes)
    wide = np.linspace(-20, 20, 101)
    np.testing.assert_array_equal(calibrate(scores, classes, "isotonic").probabilities(wide), theirs.predict(wide))


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_calibration_improves_the_log_loss_of_new_rows(method: Method) -> None:
    scores, _, classes = _drawn()
    new, truth, new_classes = _drawn(seed=4)
    found = calibrate(scores, classes, method).probabilities(new)
    plain = 1 / (1 + np.exp(-new))
    assert log_loss(found, new_classes) < log_loss(plain, new_classes) - 0.02
    assert calibration_error(found, new_classes) < 0.03 < calibration_error(plain, new_classes)
    assert np.abs(found - truth).mean() < 0.03


def test_classes_that_can_be_told_apart_have_finite_probabilities() -> None:
    scores = np.concatenate([np.linspace(-900, -300, 50), np.linspace(300, 900, 50)])
    classes = np.repeat([0, 1], 50)
    slope, offset = platt(scores, classes == 1)
    assert np.isfinite([slope, offset]).all()
    found = calibrate(scores, classes, "platt").probabilities(scores)
    assert 0.85 < found[classes == 1].min() < 1
    assert np.isfinite(platt(np.zeros(10), np.arange(10) < 5)).all()


def test_prevalence_shifts_the_odds() -> None:
    scores, _, classes = _drawn()
    share = classes.mean()
    found = calibrate(scores, classes, "platt", prevalence=0.01)
    plain = calibrate(scores, classes, "platt").probabilities(scores)
    odds = plain / (1 - plain) * (0.01 / 0.99) / (share / (1 - share))
    assert found.probabilities(scores) == pytest.approx(odds / (1 + odds))
    assert shifted(np.array([0.0, 1.0]), found.shift).tolist() == [0, 1]


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_probabilities_of_several_classes_have_a_sum_of_one(method: Method) -> None:
    generator = np.random.default_rng(5)
    classes = generator.integers(0, 3, 600)
    scores = np.eye(3)[classes] + generator.normal(size=(600, 3))
    found = calibrate(scores, classes, method).probabilities(scores)
    assert found.sum(axis=1) == pytest.approx(np.ones(600))
    assert log_loss(found, classes) == pytest.approx(metrics.log_loss(classes, np.clip(found, 1e-15, 1)), rel=1e-6)
    assert log_loss(found, classes) < np.log(3)
    nothing = Calibration("isotonic", {f"{axis}_{one}": np.zeros(2) for axis in "xy" for one in range(3)})
    assert nothing.probabilities(np.zeros((1, 3))) == pytest.approx(np.full((1, 3), 1 / 3))


def test_brier_and_calibration_error_of_known_rows() -> None:
    said, classes = np.array([0.95, 0.95, 0.05, 0.05]), np.array([1, 0, 0, 0])
    assert brier(said, classes) == pytest.approx(metrics.brier_score_loss(classes, said))
    assert calibration_error(said, classes) == pytest.approx((0.45 + 0.05) / 2)
    both = np.stack([1 - said, said], axis=1)
    assert brier(both, classes) == pytest.approx(2 * brier(said, classes))
