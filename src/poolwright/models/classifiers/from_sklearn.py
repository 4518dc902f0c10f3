"""Convert fitted scikit-learn estimators to plain arrays with the same decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.kernels.classifiers.parameters import Classifier

Array = npt.NDArray[Any]


def from_sklearn(estimator: Any, classes: Sequence[str] | None = None) -> Classifier:
    """Return a `Classifier` that decides as a fitted estimator does.

    Supported are NearestCentroid, LogisticRegression, LinearSVC and other linear ones, MLPClassifier, SVC and
    KNeighborsClassifier, and a Pipeline of StandardScaler and one that has weights for it to be folded into.

    Args:
        estimator: fitted; its `classes_` are sorted, so of two classes the second is positive.
        classes: names of `estimator.classes_`, in that order; default these as strings.

    Raises:
        InputError: the estimator or its parameters have no exact counterpart.
    """
    if type(estimator).__name__ == "Pipeline":
        return _pipeline(estimator, classes)
    rule = _RULES.get(type(estimator).__name__)
    if rule and not hasattr(estimator, "classes_"):
        raise InputError(f"{_name(estimator)} is not fitted")
    if rule is None:
        raise InputError(f"{_name(estimator)} cannot be converted; supported: {', '.join(_RULES)}")
    kind, values, arrays = rule(estimator)
    names = tuple(str(name) for name in (estimator.classes_ if classes is None else classes))
    if len(names) != len(estimator.classes_):
        raise InputError(f"{_name(estimator)} has {len(estimator.classes_)} classes, but {len(names)} names are given")
    return Classifier(kind, names, values, {name: _narrow(array) for name, array in arrays.items()})


Parts = tuple[str, Mapping[str, float | int | str], Mapping[str, Array]]


def _centroid(estimator: Any) -> Parts:
    _demand(estimator, metric="euclidean", shrink_threshold=None, priors="uniform")
    return "mean", {}, {"centres": estimator.centroids_}


def _logistic(estimator: Any) -> Parts:
    return "logistic", {}, {"coef": estimator.coef_, "intercept": _intercept(estimator)}


def _linear_svm(estimator: Any) -> Parts:
    return "linear_svm", {}, {"coef": np.atleast_2d(estimator.coef_), "intercept": _intercept(estimator)}


def _mlp(estimator: Any) -> Parts:
    _demand(estimator, activation="relu")
    arrays = {f"weight_{layer}": weight for layer, weight in enumerate(estimator.coefs_)}
    arrays |= {f"bias_{layer}": bias for layer, bias in enumerate(estimator.intercepts_)}
    return "mlp", {"activation": "relu"}, arrays


def _svm(estimator: Any) -> Parts:
    if estimator.kernel not in ("poly", "rbf", "linear"):
        raise InputError(f"{_name(estimator)} has kernel={estimator.kernel!r}; known: poly, rbf, linear")
    _demand(estimator, decision_function_shape="ovr", break_ties=False)
    if not isinstance(estimator.support_vectors_, np.ndarray):
        raise InputError(f"{_name(estimator)} was fitted on a sparse matrix; fit it on a dense one")
    values: dict[str, float | int | str] = {"kernel": estimator.kernel}
    if estimator.kernel != "linear":
        values["gamma"] = float(estimator._gamma)
    if estimator.kernel == "poly":
        values |= {"coef0": float(estimator.coef0), "degree": int(estimator.degree)}
    arrays = {
        "support": estimator.support_vectors_,
        "dual_coef": estimator.dual_coef_,
        "intercept": estimator.intercept_,
        "n_support": np.asarray(estimator.n_support_, np.int64),
    }
    return "svm", values, arrays


def _knn(estimator: Any) -> Parts:
    _demand(estimator, metric="cosine", weights="uniform")
    arrays = {"vectors": np.asarray(estimator._fit_X), "label": np.asarray(estimator._y, np.int64)}
    return "knn", {"k": int(estimator.n_neighbors), "metric": "cosine"}, arrays


_RULES: Mapping[str, Callable[[Any], Parts]] = {
    "NearestCentroid": _centroid,
    "LogisticRegression": _logistic,
    "LinearSVC": _linear_svm,
    "RidgeClassifier": _linear_svm,
    "SGDClassifier": _linear_svm,
    "Perceptron": _linear_svm,
    "LinearDiscriminantAnalysis": _linear_svm,
    "MLPClassifier": _mlp,
    "SVC": _svm,
    "KNeighborsClassifier": _knn,
}


def _pipeline(pipeline: Any, classes: Sequence[str] | None) -> Classifier:
    steps = [step for _, step in pipeline.steps]
    if len(steps) == 1:
        return from_sklearn(steps[0], classes)
    if len(steps) != 2 or type(steps[0]).__name__ != "StandardScaler":
        raise InputError(f"{_name(pipeline)} has steps other than StandardScaler and a classifier")
    found = from_sklearn(steps[1], classes)
    scale = np.ones(found.width) if steps[0].scale_ is None else steps[0].scale_
    mean = np.zeros(found.width) if steps[0].mean_ is None else steps[0].mean_
    return Classifier(found.kind, found.classes, found.values, _folded(found, mean, scale))


def _folded(found: Classifier, mean: Array, scale: Array) -> dict[str, Array]:
    """w . (x - mean) / scale + b = (w / scale) . x + (b - (w / scale) . mean)"""
    arrays = dict(found.arrays)
    if found.kind == "mlp":
        weight = arrays["weight_0"].astype(np.float64) / scale[:, None]
        return arrays | {"weight_0": weight, "bias_0": arrays["bias_0"] - mean @ weight}
    if found.kind in ("logistic", "linear_svm"):
        coef = arrays["coef"].astype(np.float64) / scale
        return arrays | {"coef": coef, "intercept": arrays["intercept"] - coef @ mean}
    raise InputError(f"StandardScaler cannot be folded into a {found.kind}; scale the vectors before, or not at all")


def _intercept(estimator: Any) -> Array:
    return np.broadcast_to(estimator.intercept_, (len(np.atleast_2d(estimator.coef_)),)).astype(np.float64)


def _demand(estimator: Any, **wanted: Any) -> None:
    for name, value in wanted.items():
        found = getattr(estimator, name, value)
        if found is not value and found != value:
            raise InputError(f"{_name(estimator)} has {name}={found!r}; only {name}={value!r} can be converted")


def _narrow(array: Array) -> Array:
    """Return the array as float32 if that is exact, as with support vectors taken from float32 rows."""
    array = np.ascontiguousarray(array)
    if array.dtype != np.float64:
        return array
    narrow = array.astype(np.float32)
    return narrow if np.array_equal(narrow, array) else array


def _name(estimator: Any) -> str:
    return f"scikit-learn's {type(estimator).__name__}"
