"""The kinds of classifier that are compared, and the search for their hyper-parameters.

| kind       | estimator of scikit-learn                    | hyper-parameters searched                        |
| ---------- | -------------------------------------------- | ------------------------------------------------ |
| mean       | NearestCentroid, euclidean                   | none                                             |
| logistic   | LogisticRegression, L-BFGS                   | C: 1, 10, 100, 1000                              |
| linear_svm | LinearSVC, squared hinge                     | C: 0.1, 1, 10, 100                               |
| svm        | SVC, polynomial of degree 3                  | C: 1, 10, 100; coef0: 0, 1; gamma: 1             |
| mlp        | MLPClassifier, 3 x 256 units, ReLU, Adam     | alpha: 0.0001, 0.01                              |
| knn        | KNeighborsClassifier, cosine, equal votes    | k: 3, 7, 15, 31                                  |

The grids are for vectors of unit length, whose cosines are close together, so weights must be large. gamma need
not be searched: (gamma x.y + coef0)^3 is gamma^3 (x.y + coef0 / gamma)^3, which C and coef0 reach. Of equally good
parameters the first of the grid is used, which is the simplest.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.runtime.cores import cores
from poolwright.kernels.classifiers.parameters import Classifier
from poolwright.kernels.selection.hashing import hash64
from poolwright.models.classifiers.from_sklearn import from_sklearn

Floating = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Parameters = Mapping[str, float | int]
Task = TypeVar("Task")
Result = TypeVar("Result")
Score = Callable[[npt.NDArray[np.float64], Integers], float]
"""Return a figure of merit of scores (n,) or (n, k) for class indices (n,)."""

GRIDS: Mapping[str, Mapping[str, tuple[float | int, ...]]] = {
    "mean": {},
    "logistic": {"C": (1.0, 10.0, 100.0, 1000.0)},
    "linear_svm": {"C": (0.1, 1.0, 10.0, 100.0)},
    "svm": {"C": (1.0, 10.0, 100.0), "gamma": (1.0,), "coef0": (0.0, 1.0)},
    "mlp": {"alpha": (0.0001, 0.01)},
    "knn": {"k": (3, 7, 15, 31)},
}

HIDDEN = (256, 256, 256)

_ALONE = ("linear_svm",)
"""Kinds of which one is fitted at a time: all fits by liblinear draw from one random generator."""


@dataclass(frozen=True)
class Searched:
    """The result of a search: the parameters, and, if it searched, the mean score and its deviation over the folds."""

    parameters: Parameters
    score: float | None = None
    deviation: float | None = None


def estimator(kind: str, parameters: Parameters, key: int, kernel: str = "poly") -> Any:
    """Return an unfitted scikit-learn estimator; `key` seeds the two kinds that draw numbers."""
    seed = key % 2**32
    if kind == "mean":
        from sklearn.neighbors import NearestCentroid

        return NearestCentroid()
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(max_iter=1000, **parameters)
    if kind == "linear_svm":
        from sklearn.svm import LinearSVC

        return LinearSVC(max_iter=10_000, random_state=seed, **parameters)
    if kind == "svm":
        from sklearn.svm import SVC

        return SVC(kernel=kernel, degree=3, cache_size=500, **parameters)
    if kind == "mlp":
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(hidden_layer_sizes=HIDDEN, random_state=seed, **parameters)
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(n_neighbors=int(parameters["k"]), metric="cosine", algorithm="brute")


def fit(
    kind: str, parameters: Parameters, matrix: Floating, classes: Integers, names: Sequence[str], key: int
) -> tuple[Classifier, bool]:
    """Return a classifier fitted on all rows (n, d), and whether its optimiser converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:  # the comparison reports that, not a warning
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = fit_plainly(kind, parameters, matrix, classes, names, key)
    return fitted, not any(issubclass(one.category, ConvergenceWarning) for one in caught)


def fit_plainly(
    kind: str, parameters: Parameters, matrix: Floating, classes: Integers, names: Sequence[str], key: int
) -> Classifier:
    """Return the classifier of `fit`, without a look at warnings; any thread may call it."""
    return from_sklearn(estimator(kind, parameters, key).fit(_typed(kind, matrix), classes), names)


def search(
    kind: str,
    grid: Mapping[str, Sequence[float | int]],
    matrix: Floating,
    classes: Integers,
    folds: Integers,
    score: Score,
    key: int,
) -> Searched:
    """Find the parameters of the grid with the best mean score over the folds.

    Args:
        grid: values to try by parameter; with one combination nothing is searched.
        folds: (n,) fold of each row; a row is scored by an estimator fitted on the other folds.
    """
    numbers = np.unique(folds)
    least = min(int((folds != fold).sum()) for fold in numbers)
    # No more neighbours than there are rows to fit on.
    tried = [point for point in points(grid) if point.get("k", 0) <= least] or [{"k": least}]
    if len(tried) == 1:
        return Searched(tried[0])
    values = _TRIALS.get(kind, _scores_of)(kind, tried, matrix, classes, folds, score, key)
    best = int(values.mean(axis=1).argmax())
    return Searched(tried[best], float(values[best].mean()), float(values[best].std()))


def on_cores(kind: str, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
    """Apply a function that fits a classifier of a kind to tasks, one per core at a time.

    Each fit is by one thread, so the results do not depend on the number of cores. Warnings are not shown.
    """
    from sklearn.exceptions import ConvergenceWarning

    # The filters of warnings are those of the process, so no thread may set them.
    with warnings.catch_warnings(), ThreadPoolExecutor(1 if kind in _ALONE else cores()) as threads:
        warnings.simplefilter("ignore", ConvergenceWarning)
        return list(threads.map(function, tasks))


def points(grid: Mapping[str, Sequence[float | int]]) -> list[dict[str, float | int]]:
    """Return all combinations, in the order of the grid."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def stratified_folds(
    uids: Sequence[str] | npt.NDArray[Any], classes: Integers, groups: Integers, number: int, key: int
) -> Integers:
    """Assign each row to a fold, (n,): groups of each class take the folds in turn, by the hash of their first uid.

    Args:
        groups: (n,) index of the first row of the group that a row belongs to; a group stays in one fold.
    """
    heads = np.unique(groups)
    hashes = hash64(pa.array([str(uids[head]) for head in heads], pa.string()), key)
    folds = np.zeros(len(classes), np.int64)
    for one in np.unique(classes[heads]):
        members = np.flatnonzero(classes[heads] == one)
        ranked = members[np.argsort(hashes[members], kind="stable")]
        folds[heads[ranked]] = np.arange(len(ranked)) % number
    return np.asarray(folds[groups])


def _scores_of(
    kind: str,
    tried: Sequence[Parameters],
    matrix: Floating,
    classes: Integers,
    folds: Integers,
    score: Score,
    key: int,
) -> npt.NDArray[np.float64]:
    """Scores (parameters, folds)."""
    rows = _typed(kind, matrix)

    def scored(task: tuple[np.int64, Parameters]) -> float:
        fold, parameters = task
        out = folds == fold
        fitted = estimator(kind, parameters, key).fit(rows[~out], classes[~out])
        return score(_soft(fitted, rows[out]), classes[out])

    values = on_cores(kind, scored, product(np.unique(folds), tried))
    return np.array(values, np.float64).reshape(-1, len(tried)).T


def _svm_scores(
    kind: str,
    tried: Sequence[Parameters],
    matrix: Floating,
    classes: Integers,
    folds: Integers,
    score: Score,
    key: int,
) -> npt.NDArray[np.float64]:
    """Compute the same as `_scores_of`, with one product of all rows for all parameters: over ten times as fast."""
    rows, numbers = _typed(kind, matrix), np.unique(folds)
    products = rows @ rows.T
    values = np.empty((len(tried), len(numbers)))
    for shape in sorted({(point["gamma"], point["coef0"]) for point in tried}):
        kernel = (shape[0] * products + shape[1]) ** 3
        ours = [at for at, point in enumerate(tried) if (point["gamma"], point["coef0"]) == shape]

        def scored(fold: np.int64, kernel: Floating = kernel, ours: Sequence[int] = ours) -> list[float]:
            seen, out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            inner, outer = kernel[np.ix_(seen, seen)], kernel[np.ix_(out, seen)]
            models = (estimator(kind, {"C": tried[at]["C"]}, key, "precomputed") for at in ours)
            return [score(_soft(model.fit(inner, classes[seen]), outer), classes[out]) for model in models]

        values[ours] = np.transpose(on_cores(kind, scored, numbers))
    return values


_TRIALS = {"svm": _svm_scores}


def _soft(model: Any, rows: Floating) -> npt.NDArray[np.float64]:
    """Scores of an estimator: (n,) for two classes, (n, k) for more."""
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(rows), np.float64)
    shares = np.asarray(model.predict_proba(rows), np.float64)
    return shares[:, 1] if shares.shape[1] == 2 else shares


def _typed(kind: str, matrix: Floating) -> Floating:
    """float32 for the MLP, which trains twice as fast in it; float64 for all others."""
    return np.ascontiguousarray(matrix, np.float32 if kind == "mlp" else np.float64)
