"""Calibrate decision values to probabilities, on rows that the classifier was not fitted on.

- platt: 1 / (1 + exp(-(a decision + b))) with the targets of Platt (1999), found by Newton's method with
  backtracking as in Lin, Lin and Weng (2007). Arrays a and b, one number per class (one for two classes).
- isotonic: the best step-free increasing function (Zadrozny and Elkan 2002). Arrays x_0 and y_0, x_1, ...: knots
  with straight lines between them, flat outside.

Of several classes each is fitted against the rest, and the probabilities of a row are divided by their sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Method = Literal["platt", "isotonic"]

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_MOST_STEPS = 100
_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A map from decision values to probabilities.

    Attributes:
        method: 'platt' or 'isotonic'.
        arrays: see the module.
        shift: added to the log-odds: from the prevalence of the examples to the one expected.
    """

    method: Method
    arrays: Mapping[str, npt.NDArray[Any]]
    shift: float = 0.0

    def probabilities(self, scores: Float64) -> Float64:
        """Return probabilities of class 1 (n,) for decisions (n,), or of all classes (n, k) for scores (n, k)."""
        if scores.ndim == 1:
            return shifted(self._one(scores, 0), self.shift)
        found = np.stack([self._one(scores[:, one], one) for one in range(scores.shape[1])], axis=1)
        sums = found.sum(axis=1, keepdims=True)
        return np.asarray(np.where(sums > 0, found / np.where(sums > 0, sums, 1), 1 / found.shape[1]))

    def _one(self, scores: Float64, one: int) -> Float64:
        if self.method == "platt":
            return _logistic(self.arrays["a"][one] * scores + self.arrays["b"][one])
        return np.asarray(np.interp(scores, self.arrays[f"x_{one}"], self.arrays[f"y_{one}"]))


def calibrate(scores: Float64, classes: Integers, method: Method, prevalence: float | None = None) -> Calibration:
    """Fit on scores (n,) or (n, k) of rows with class indices (n,) that the classifier did not see.

    Args:
        prevalence: share of class 1 to expect where the probabilities will be used; None for that of these rows.
    """
    columns = scores[:, None] if scores.ndim == 1 else scores
    truths = [classes == (1 if scores.ndim == 1 else one) for one in range(columns.shape[1])]
    shift = 0.0 if prevalence is None else _log_odds(prevalence) - _log_odds(float(truths[0].mean()))
    arrays: dict[str, npt.NDArray[Any]] = {}
    if method == "platt":
        fitted = [platt(columns[:, one], truth) for one, truth in enumerate(truths)]
        arrays = {"a": np.array([a for a, _ in fitted]), "b": np.array([b for _, b in fitted])}
    else:
        for one, truth in enumerate(truths):
            arrays[f"x_{one}"], arrays[f"y_{one}"] = isotonic(columns[:, one], truth)
    return Calibration(method, arrays, shift)


def platt(scores: Float64, positive: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """The slope a and the offset b that minimise the log-loss against Platt's smoothed targets."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    scale = float(np.abs(scores).max()) or 1.0
    scores = scores / scale
    point = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _log_loss_of(point, scores, target)
    for _ in range(_MOST_STEPS):
        step, slope = _newton(point, scores, target)
        length = 1.0
        while length > 1e-10:
            trial = point + length * step
            found = _log_loss_of(trial, scores, target)
            if found < loss + 1e-4 * length * slope:
                break
            length /= 2
        else:
            break  # no step decreases the loss any more: this is the minimum, to the last digits
        moved, point, loss = loss - found, trial, found
        if moved < 1e-12 * max(loss, 1.0):
            break
    return float(point[0] / scale), float(point[1])


def isotonic(scores: Float64, positive: npt.NDArray[np.bool_]) -> tuple[Float64, Float64]:
    """Knots (m,) and their probabilities (m,), both ascending."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, positive.astype(np.float64))
    return np.asarray(fitted.X_thresholds_, np.float64), np.asarray(fitted.y_thresholds_, np.float64)


def shifted(probabilities: Float64, shift: float) -> Float64:
    """Probabilities with `shift` added to their log-odds (Saerens, Latinne and Decaestecker 2002, eq. 2.4)."""
    if not shift:
        return probabilities
    return np.asarray(probabilities / (probabilities + (1 - probabilities) * np.exp(-shift)))


def brier(probabilities: Float64, classes: Integers) -> float:
    """Mean squared error of the probabilities of class 1 (n,), or summed over classes of (n, k)."""
    if probabilities.ndim == 1:
        return float(np.square(probabilities - classes).mean())
    truth = np.eye(probabilities.shape[1])[classes]
    return float(np.square(probabilities - truth).sum(axis=1).mean())


def log_loss(probabilities: Float64, classes: Integers) -> float:
    """Mean of minus the natural logarithm of the probability of the true class, clipped to 1e-15."""
    if probabilities.ndim == 1:
        probabilities = np.stack([1 - probabilities, probabilities], axis=1)
    return float(-np.log(np.clip(probabilities[np.arange(len(classes)), classes], 1e-15, 1)).mean())


def calibration_error(probabilities: Float64, classes: Integers) -> float:
    """Expected calibration error over ten bins of equal width (Naeini, Cooper and Hauskrecht 2015).

    For two classes that of the probability of class 1, for more that of the probability of the predicted class.
    """
    if probabilities.ndim == 1:
        said, right = probabilities, (classes == 1).astype(np.float64)
    else:
        said, right = probabilities.max(axis=1), (probabilities.argmax(axis=1) == classes).astype(np.float64)
    bins = np.minimum((said * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, said - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(said))


def _newton(point: Float64, scores: Float64, target: Float64) -> tuple[Float64, float]:
    """Return the Newton step, and the slope of the loss along it."""
    found = _logistic(point[0] * scores + point[1])
    error, weight = found - target, found * (1 - found)
    gradient = np.array([(error * scores).sum(), error.sum()])
    cross = (weight * scores).sum()
    curvature = np.array([[(weight * scores**2).sum(), cross], [cross, weight.sum()]]) + 1e-12 * np.eye(2)
    step = -np.linalg.solve(curvature, gradient)
    return step, float(gradient @ step)


def _log_loss_of(point: Float64, scores: Float64, target: Float64) -> float:
    values = point[0] * scores + point[1]
    return float((np.logaddexp(0, values) - target * values).sum())


def _logistic(values: Float64) -> Float64:
    small = np.exp(-np.abs(values))  # never overflows, and keeps the digits of small probabilities
    return np.asarray(np.where(values >= 0, 1.0, small) / (1 + small))


def _log_odds(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))
