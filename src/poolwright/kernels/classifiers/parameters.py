"""Trained classifiers as plain numbers, and the one exact definition of their decisions.

`decisions` and `predictions` are slow and plain: float64, row by row, in the order of additions that
scikit-learn's estimators follow if they follow one. `predict.decide` finds the same classes quickly.

| kind                   | arrays                                                    | values                       |
| ---------------------- | --------------------------------------------------------- | ---------------------------- |
| mean                   | centres (k, d)                                            |                              |
| logistic, linear_svm   | coef (1 or k, d), intercept (1 or k,)                     |                              |
| mlp                    | weight_0 (d, h), bias_0 (h,), weight_1, ...               | activation: relu             |
| svm                    | support (m, d), dual_coef (k - 1, m), intercept (pairs,), | kernel: poly, rbf or linear; |
|                        | n_support (k,)                                            | gamma, coef0, degree         |
| knn                    | vectors (m, d), label (m,) class indices                  | k, metric: cosine            |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import Float64, Integers, exact_similarity
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

KINDS = ("mean", "logistic", "linear_svm", "mlp", "svm", "knn")

Floating = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Classifier:
    """A trained classifier as plain numbers; see the module for the arrays of each kind.

    Attributes:
        kind: one of `KINDS`.
        classes: names; of two, (negative, positive), and a decision above the threshold means classes[1].
        values: scalars such as gamma, coef0, degree, k.
        arrays: float32, float64 or integer arrays by name. A scaling of the vectors is folded into them.
    """

    kind: str
    classes: tuple[str, ...]
    values: Mapping[str, float | int | str] = field(default_factory=dict)
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"classifier kind {self.kind!r} is not one of {', '.join(KINDS)}")
        if len(self.classes) < 2:
            raise ValueError(f"a classifier needs two classes or more, not {len(self.classes)}")

    @property
    def width(self) -> int:
        """Dimensions d of the vectors it decides on."""
        if self.kind == "mlp":
            return int(self.arrays["weight_0"].shape[0])
        name = {"mean": "centres", "svm": "support", "knn": "vectors"}.get(self.kind, "coef")
        return int(self.arrays[name].shape[1])

    @property
    def binary(self) -> bool:
        """Whether there are two classes."""
        return len(self.classes) == 2


def decisions(classifier: Classifier, vectors: Floating) -> Float64:
    """Compute the decision values that define a classifier's classes, in float64.

    They are scikit-learn's `decision_function` (SVC with decision_function_shape='ovr'), and for

    - mean: squared distance to centre 0 less that to centre 1; of several classes, minus the squared distance;
    - mlp: the sum that goes into the last logistic or softmax;
    - knn: the share of votes of class 1 less that of class 0, among the k most similar by cosine (as
      `nearest` has it), ties to the smallest index; of several classes, the shares.

    Args:
        vectors: (n, d) float16, float32 or float64.

    Returns:
        (n,) for two classes, above 0 for classes[1]; (n, k) for more, of which the largest gives the class
        (but see `predictions`). NaN for a row that is zero or holds NaN or infinity.

    Raises:
        ValueError: vectors of another width.
    """
    usable, rows = usable_rows(classifier, vectors)
    out = np.full(len(vectors) if classifier.binary else (len(vectors), len(classifier.classes)), np.nan)
    values = _RULES[classifier.kind](classifier, rows)
    if classifier.kind == "svm" and not classifier.binary:
        values = one_against_rest(values, len(classifier.classes))
    out[usable] = values
    return out


def predictions(classifier: Classifier, vectors: Floating, threshold: float = 0.0) -> Integers:
    """The class index (n,) of each row, -1 where its decision is NaN; `threshold` is for two classes.

    The largest decision, ties to the first class; for an SVM of several classes most votes of its pairs, ties
    to the first class, as libsvm and SVC(break_ties=False) have it.
    """
    if classifier.kind == "svm" and not classifier.binary:
        usable, rows = usable_rows(classifier, vectors)
        out = np.full(len(vectors), -1, np.int64)
        out[usable] = most_votes(_svm(classifier, rows), len(classifier.classes))
        return out
    values = decisions(classifier, vectors)
    if classifier.binary:
        return np.asarray(np.where(np.isnan(values), -1, (values > threshold).astype(np.int64)))
    bad = np.asarray(np.isnan(values).any(axis=1))
    return np.asarray(np.where(bad, -1, np.where(bad[:, None], 0, values).argmax(axis=1)))


def usable_rows(classifier: Classifier, vectors: Floating) -> tuple[npt.NDArray[np.bool_], Float64]:
    """Return which rows are finite and not zero, bool (n,), and those rows as float64."""
    if vectors.ndim != 2 or vectors.shape[1] != classifier.width:
        raise ValueError(f"vectors {vectors.shape} must be (n, {classifier.width}), as the classifier was trained on")
    usable = has_direction(vectors)
    return usable, np.ascontiguousarray(vectors[usable], np.float64)


def pair_sums(classifier: Classifier, kernels: Float64) -> Float64:
    """libsvm's decision of every pair of classes (n, pairs) from kernel values (n, m), added in its order.

    Two classes have one pair, above 0 for classes[1]; more have them in the order (0, 1), (0, 2), ..., (1, 2),
    above 0 for the first of the pair (`svm_predict_values` in libsvm's svm.cpp).
    """
    coef, intercept = classifier.arrays["dual_coef"].astype(np.float64), classifier.arrays["intercept"]
    if classifier.binary:
        return np.asarray(_in_order(coef[0] * kernels)[:, None] + intercept)
    ends = np.cumsum(classifier.arrays["n_support"])
    sums = np.empty((len(kernels), len(intercept)))
    for p, (i, j) in enumerate(combinations(range(len(classifier.classes)), 2)):
        mine, others = slice(ends[i] - classifier.arrays["n_support"][i], ends[i]), slice(ends[j - 1], ends[j])
        terms = np.hstack([coef[j - 1, mine] * kernels[:, mine], coef[i, others] * kernels[:, others]])
        sums[:, p] = _in_order(terms) + intercept[p]
    return sums


def one_against_rest(pairs: Float64, classes: int) -> Float64:
    """Votes of every class (n, k), plus less than half a vote for the sizes of the decisions (n, pairs).

    It is scikit-learn's `_ovr_decision_function`.
    """
    votes, confidence = np.zeros((len(pairs), classes)), np.zeros((len(pairs), classes))
    for p, (i, j) in enumerate(combinations(range(classes), 2)):
        confidence[:, i] += pairs[:, p]
        confidence[:, j] -= pairs[:, p]
        votes[:, i] += pairs[:, p] >= 0
        votes[:, j] += pairs[:, p] < 0
    return np.asarray(votes + confidence / (3 * (np.abs(confidence) + 1)))


def most_votes(pairs: Float64, classes: int) -> Integers:
    """The class (n,) that most pairs (n, pairs) vote for, ties to the first."""
    votes = np.zeros((len(pairs), classes), np.int64)
    for p, (i, j) in enumerate(combinations(range(classes), 2)):
        votes[:, i] += pairs[:, p] > 0
        votes[:, j] += ~(pairs[:, p] > 0)
    return np.asarray(votes.argmax(axis=1))


def _mean(classifier: Classifier, rows: Float64) -> Float64:
    centres = classifier.arrays["centres"].astype(np.float64)
    squares = np.stack([np.square(rows - centre).sum(axis=1) for centre in centres], axis=1)
    return np.asarray(squares[:, 0] - squares[:, 1] if classifier.binary else -squares)


def _linear(classifier: Classifier, rows: Float64) -> Float64:
    coef = np.ascontiguousarray(classifier.arrays["coef"], np.float64)
    sums = np.vecdot(rows[:, None], coef[None]) + classifier.arrays["intercept"]
    return np.asarray(sums[:, 0] if classifier.binary else sums)


def _mlp(classifier: Classifier, rows: Float64) -> Float64:
    layers = sum(name.startswith("weight_") for name in classifier.arrays)
    values = rows
    for layer in range(layers):
        weight = np.ascontiguousarray(classifier.arrays[f"weight_{layer}"].T, np.float64)
        values = np.stack([np.vecdot(weight, row) for row in values]) if len(values) else np.empty((0, len(weight)))
        values = values + classifier.arrays[f"bias_{layer}"]
        values = np.maximum(values, 0) if layer < layers - 1 else values
    return np.asarray(values[:, 0] if classifier.binary else values)


def _svm(classifier: Classifier, rows: Float64) -> Float64:
    """Decisions of pairs (n, pairs), or (n,) of the only one. `np.vecdot` calls the `ddot` that libsvm does."""
    support = np.ascontiguousarray(classifier.arrays["support"], np.float64)
    kernels = np.empty((len(rows), len(support)))
    for row, out in zip(rows, kernels, strict=True):
        out[:] = kernel_values(classifier.values, support, row)
    sums = pair_sums(classifier, kernels)
    return sums[:, 0] if classifier.binary else sums


def kernel_values(values: Mapping[str, float | int | str], support: Float64, row: Float64) -> Float64:
    """(m,) kernel of one row (d,) with every support vector (m, d), computed as libsvm does.

    Raises:
        ValueError: a kernel other than poly, rbf and linear.
    """
    kernel, gamma = values.get("kernel", "poly"), float(values.get("gamma", 1))
    if kernel == "rbf":
        difference = support - row
        return np.fromiter(map(math.exp, -gamma * np.vecdot(difference, difference)), np.float64, len(support))
    products = np.asarray(np.vecdot(support, row))
    if kernel == "linear":
        return products
    if kernel != "poly":
        raise ValueError(f"kernel {kernel!r} is not one of poly, rbf, linear")
    return power(gamma * products + float(values.get("coef0", 0)), int(values.get("degree", 3)))


def power(base: Float64, degree: int) -> Float64:
    """Integer powers by repeated squaring, with the roundings of libsvm's `powi`."""
    out = np.ones_like(base)
    while degree > 0:
        out = out * base if degree % 2 else out
        base, degree = base * base, degree // 2
    return out


def _knn(classifier: Classifier, rows: Float64) -> Float64:
    examples, k = unit_rows(classifier.arrays["vectors"]), int(classifier.values["k"])
    nearest = np.empty((len(rows), k), np.int64)
    for row, out in zip(rows.astype(np.float32), nearest, strict=True):
        similarity = exact_similarity(np.broadcast_to(row, examples.shape), examples)
        out[:] = np.argsort(-similarity, kind="stable")[:k]
    return votes_of(classifier, nearest)


def votes_of(classifier: Classifier, nearest: Integers) -> Float64:
    """Decisions of the k nearest examples (n, k) of each row: shares of votes (n, classes), or their difference."""
    label = np.asarray(classifier.arrays["label"], np.int64)[nearest]
    votes = np.stack([(label == c).mean(axis=1) for c in range(len(classifier.classes))], axis=1)
    return np.asarray(votes[:, 1] - votes[:, 0] if classifier.binary else votes)


def _in_order(terms: Float64) -> Float64:
    """Sums (n,) of rows (n, m), one term after the other: NumPy's own sum pairs them up."""
    return np.asarray(np.add.accumulate(terms, axis=1)[:, -1])


_RULES: Mapping[str, Callable[[Classifier, Float64], Float64]] = {
    "mean": _mean,
    "logistic": _linear,
    "linear_svm": _linear,
    "mlp": _mlp,
    "svm": _svm,
    "knn": _knn,
}
