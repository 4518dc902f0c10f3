"""Measure classifiers on validation rows, each figure with a 95 % interval.

| figure                                  | interval                                                              |
| --------------------------------------- | --------------------------------------------------------------------- |
| accuracy; precision, recall of a class  | Wilson's score interval: they are shares of independent rows          |
| roc_auc, average_precision              | 2.5 and 97.5 % quantiles of a bootstrap, stratified by class          |
| macro precision and recall              | the same bootstrap: means over classes are not shares of rows         |

The bootstrap draws the same rows for every candidate. Of several classes roc_auc and average_precision are means
over the classes, each against the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.kernels.classifiers.roc_pr import curves, resamples

METRICS = ("accuracy", "precision", "recall", "roc_auc", "average_precision")
Z = NormalDist().inv_cdf(0.975)
_TAILS = (0.025, 0.975)

Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class IntervalEstimate:
    """A value and the ends of its 95 % interval; None if undefined, such as precision without positives."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Candidate:
    """One row of the comparison: a fitted classifier and its results on the validation rows.

    Attributes:
        features: 'image', 'text' or 'image+text'.
        parameters: hyper-parameters.
        search: mean score over the folds of the search and its deviation, if there was one.
        converged: whether the optimiser reached its tolerance.
        decisions: (n,) or (n, k) of the validation rows, as `kernels.classifiers.parameters.decisions` defines them.
        predicted: (n,) class indices, two classes separated at 0.
        figures: by name of `METRICS`.
    """

    classifier: Classifier
    features: str
    parameters: Mapping[str, float | int]
    search: tuple[float | None, float | None]
    converged: bool
    decisions: Float64
    predicted: Integers
    figures: Mapping[str, IntervalEstimate]


def wilson(hits: float, rows: int) -> IntervalEstimate:
    """Return a share of rows with Wilson's score interval (Wilson 1927), 95 %."""
    if not rows:
        return IntervalEstimate(None)
    share, square = hits / rows, Z * Z
    centre = (share + square / (2 * rows)) / (1 + square / rows)
    half = Z / (1 + square / rows) * float(np.sqrt(share * (1 - share) / rows + square / (4 * rows * rows)))
    return IntervalEstimate(share, max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def against_rest(kind: str, decisions: Float64) -> Float64:
    """Return scores of each class against the rest (n, k): for softmax models the log-odds, else the decisions.

    The inputs of a softmax may be shifted row by row, so rows cannot be ranked by them.
    """
    if kind not in ("logistic", "mlp") or decisions.ndim == 1:
        return decisions
    rows = np.arange(len(decisions))
    top = decisions.argmax(axis=1)
    shifted = decisions - decisions[rows, top][:, None]
    parts = np.exp(shifted)
    parts[rows, top] = 0.0
    others = parts.sum(axis=1)
    # Subtracting from a sum that holds the largest part, 1, keeps its digits; the largest has the others alone.
    rest = 1.0 + others[:, None] - parts
    rest[rows, top] = others
    return np.asarray(shifted - np.log(np.maximum(rest, 1e-300)))


def measured(
    kind: str, decisions: Float64, predicted: Integers, classes: Integers, draws: int, key: int
) -> dict[str, IntervalEstimate]:
    """Compute all figures of `METRICS`.

    Args:
        decisions: (n,) for two classes, (n, k) for more.
        predicted: (n,) class indices.
        classes: (n,) true class indices.
        draws: of the bootstrap.
        key: its seed.
    """
    hits = wilson(float((predicted == classes).sum()), len(classes))
    scores = against_rest(kind, decisions)
    if decisions.ndim == 1:
        return {"accuracy": hits, **_of_two(scores, predicted, classes, draws, key)}
    return {"accuracy": hits, **_of_many(scores, predicted, classes, draws, key)}


def metric(name: str, scores: Float64, classes: Integers) -> float:
    """'accuracy', 'roc_auc' or 'average_precision' of scores (n,) above 0 for class 1, or (n, k)."""
    if name == "accuracy":
        predicted = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.int64)
        return float((predicted == classes).mean())
    found = _areas(scores, classes, None)
    return float(found[0 if name == "roc_auc" else 1][0])


def operations(classifier: Classifier) -> int:
    """Count the multiplications of one decision, which order equally good candidates by cost."""
    if classifier.kind == "mlp":
        return sum(array.size for name, array in classifier.arrays.items() if name.startswith("weight_"))
    name = {"mean": "centres", "svm": "support", "knn": "vectors"}.get(classifier.kind, "coef")
    return int(classifier.arrays[name].size)


def size(classifier: Classifier) -> tuple[int, str]:
    """Return the size of a classifier, and its unit: support vectors, vectors or parameters."""
    if classifier.kind == "svm":
        return len(classifier.arrays["support"]), "support vectors"
    if classifier.kind == "knn":
        return len(classifier.arrays["vectors"]), "vectors"
    return sum(array.size for array in classifier.arrays.values()), "parameters"


def choose(candidates: Sequence[Candidate], by: str, ties: str, classes: Integers, draws: int, key: int) -> int:
    """Return the index of the best candidate.

    Args:
        by: a name of `METRICS`.
        ties: 'exact': of equal values the one with the fewest `operations`. 'interval': the one with the fewest of
            all that cannot be distinguished from the best: 0 is in the bootstrap's 95 % interval of the difference.
        classes: (n,) true class indices of the validation rows.
    """
    values = [-1.0 if (value := one.figures[by].value) is None else value for one in candidates]
    costs = [operations(one.classifier) for one in candidates]
    best = max(range(len(values)), key=lambda index: (values[index], -costs[index], -index))
    if ties == "exact":
        return best
    drawn = [_drawn(one, by, classes, draws, key) for one in candidates]
    good = [index for index in range(len(values)) if np.quantile(drawn[best] - drawn[index], _TAILS[0]) <= 0]
    return min(good, key=lambda index: (costs[index], -values[index], index))


def table(candidates: Sequence[Candidate], chosen: int) -> pa.Table:
    """Return the comparison, one row per candidate, with the chosen one marked."""
    import json

    sizes = [size(one.classifier) for one in candidates]
    columns: dict[str, pa.Array] = {
        "candidate": pa.array([one.classifier.kind for one in candidates]),
        "features": pa.array([one.features for one in candidates]),
        "parameters": pa.array([json.dumps(dict(one.parameters), sort_keys=True) for one in candidates]),
        "search_score": pa.array([one.search[0] for one in candidates], pa.float64()),
        "search_deviation": pa.array([one.search[1] for one in candidates], pa.float64()),
    }
    for name in METRICS:
        figures = [one.figures[name] for one in candidates]
        columns[name] = pa.array([figure.value for figure in figures], pa.float64())
        columns[f"{name}_low"] = pa.array([figure.low for figure in figures], pa.float64())
        columns[f"{name}_high"] = pa.array([figure.high for figure in figures], pa.float64())
    columns |= {
        "rows": pa.array([len(one.decisions) for one in candidates], pa.int64()),
        "size": pa.array([number for number, _ in sizes], pa.int64()),
        "size_in": pa.array([unit for _, unit in sizes]),
        "operations": pa.array([operations(one.classifier) for one in candidates], pa.int64()),
        "converged": pa.array([one.converged for one in candidates]),
        "chosen": pa.array([index == chosen for index in range(len(candidates))]),
    }
    return pa.table(columns)


def _drawn(one: Candidate, by: str, classes: Integers, draws: int, key: int) -> Float64:
    """A figure over the draws of the bootstrap (draws,)."""
    kind, decisions, predicted = one.classifier.kind, one.decisions, one.predicted
    found: list[Float64] = []
    for weights in resamples(classes, draws, key):
        if by == "accuracy":
            found.append(weights[:, predicted == classes].sum(axis=1) / len(classes))
        elif by in ("roc_auc", "average_precision"):
            found.append(_areas(against_rest(kind, decisions), classes, weights)[by != "roc_auc"])
        elif decisions.ndim == 1:
            hits = weights[:, (predicted == 1) & (classes == 1)].sum(axis=1)
            found.append(
                hits / np.maximum(weights[:, (predicted if by == "precision" else classes) == 1].sum(axis=1), 1)
            )
        else:
            found.append(_macro(predicted, classes, weights)[by != "precision"])
    return np.concatenate(found)


def _of_two(
    scores: Float64, predicted: Integers, classes: Integers, draws: int, key: int
) -> dict[str, IntervalEstimate]:
    hits = float(((predicted == 1) & (classes == 1)).sum())
    return {
        "precision": wilson(hits, int((predicted == 1).sum())),
        "recall": wilson(hits, int((classes == 1).sum())),
        **_area_figures(scores, classes, draws, key),
    }


def _of_many(
    scores: Float64, predicted: Integers, classes: Integers, draws: int, key: int
) -> dict[str, IntervalEstimate]:
    drawn = [_macro(predicted, classes, weights) for weights in resamples(classes, draws, key)]
    values = _macro(predicted, classes, np.ones((1, len(classes)), np.int32))
    return {
        "precision": _quantiles(values[0], np.concatenate([one[0] for one in drawn])),
        "recall": _quantiles(values[1], np.concatenate([one[1] for one in drawn])),
        **_area_figures(scores, classes, draws, key),
    }


def _area_figures(scores: Float64, classes: Integers, draws: int, key: int) -> dict[str, IntervalEstimate]:
    values = _areas(scores, classes, None)
    drawn = [_areas(scores, classes, weights) for weights in resamples(classes, draws, key)]
    return {
        "roc_auc": _quantiles(values[0], np.concatenate([one[0] for one in drawn])),
        "average_precision": _quantiles(values[1], np.concatenate([one[1] for one in drawn])),
    }


def _areas(scores: Float64, classes: Integers, weights: npt.NDArray[np.int32] | None) -> tuple[Float64, Float64]:
    """Areas under the two curves (draws,), of several classes their means over those that have rows."""
    if scores.ndim == 1:
        return curves(scores, classes == 1, weights)
    found = [curves(scores[:, one], classes == one, weights) for one in np.unique(classes)]
    roc, precision = zip(*found, strict=True)
    return np.mean(roc, axis=0), np.mean(precision, axis=0)


def _macro(predicted: Integers, classes: Integers, weights: npt.NDArray[np.int32]) -> tuple[Float64, Float64]:
    """Macro precision and recall (draws,), of classes that have rows or are predicted; 0 where nothing is."""
    present = np.union1d(classes, predicted[predicted >= 0])
    hits, seen, real = (np.empty((len(weights), len(present))) for _ in range(3))
    for at, one in enumerate(present):
        said, is_it = predicted == one, classes == one
        hits[:, at] = weights[:, said & is_it].sum(axis=1)
        seen[:, at], real[:, at] = weights[:, said].sum(axis=1), weights[:, is_it].sum(axis=1)
    return (hits / np.maximum(seen, 1)).mean(axis=1), (hits / np.maximum(real, 1)).mean(axis=1)


def _quantiles(value: Float64, drawn: Float64) -> IntervalEstimate:
    low, high = np.quantile(drawn, _TAILS)
    # The value of the rows themselves is never outside, whatever the skew of the draws.
    return IntervalEstimate(float(value[0]), float(min(low, value[0])), float(max(high, value[0])))
