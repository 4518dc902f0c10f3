"""Convert trained classifiers to fitted scikit-learn estimators with the same decisions."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from poolwright.core.errors import InputError
from poolwright.kernels.classifiers.parameters import Classifier


def to_sklearn(classifier: Classifier, threshold: float = 0.0) -> Any:
    """Return the estimator that decides as a classifier does.

    Args:
        threshold: of two classes; it is subtracted from the intercept, since estimators decide at 0.

    Raises:
        InputError: there is a threshold, but no intercept.
    """
    estimator = _RULES[classifier.kind](classifier, threshold)
    estimator.classes_ = np.array(classifier.classes)
    estimator.n_features_in_ = classifier.width
    return estimator


def _mean(classifier: Classifier, threshold: float) -> Any:
    from sklearn.neighbors import NearestCentroid

    _demand_natural(classifier, threshold)
    centres = _doubles(classifier, "centres")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two equal rows of each class have no deviation
        return NearestCentroid().fit(np.repeat(centres, 2, axis=0), np.repeat(np.arange(len(centres)), 2))


def _linear(classifier: Classifier, threshold: float) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    estimator = LogisticRegression() if classifier.kind == "logistic" else LinearSVC()
    estimator.coef_ = _doubles(classifier, "coef")
    estimator.intercept_ = _doubles(classifier, "intercept") - threshold
    estimator.n_iter_ = np.ones(1, np.int32)
    return estimator


def _mlp(classifier: Classifier, threshold: float) -> Any:
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import LabelBinarizer

    layers = sum(name.startswith("weight_") for name in classifier.arrays)
    weights, biases = (
        [_doubles(classifier, f"{kind}_{layer}") for layer in range(layers)] for kind in ("weight", "bias")
    )
    biases[-1] = biases[-1] - threshold
    estimator = MLPClassifier([len(bias) for bias in biases[:-1]], activation="relu")
    estimator.coefs_, estimator.intercepts_ = weights, biases
    estimator.n_layers_, estimator.n_outputs_ = layers + 1, len(biases[-1])
    estimator.out_activation_ = "logistic" if classifier.binary else "softmax"
    binarizer = LabelBinarizer().fit(classifier.classes)
    binarizer.classes_ = np.array(classifier.classes)
    estimator._label_binarizer = binarizer
    return estimator


def _svm(classifier: Classifier, threshold: float) -> Any:
    from sklearn.svm import SVC

    values, arrays = classifier.values, classifier.arrays
    kernel = {name: values[name] for name in ("gamma", "coef0", "degree") if name in values}
    estimator = SVC(kernel=values["kernel"], **kernel)
    support, counts = _doubles(classifier, "support"), np.asarray(arrays["n_support"], np.int32)
    # Fitted on one vector of each class, so that it is complete; then its numbers are replaced.
    firsts = support[np.concatenate([[0], np.cumsum(counts)[:-1]])]
    estimator.fit(firsts, np.arange(len(counts)))
    estimator.support_ = np.arange(len(support), dtype=np.int32)
    estimator.support_vectors_, estimator._n_support = support, counts
    estimator.dual_coef_, estimator.intercept_ = _doubles(classifier, "dual_coef"), _doubles(classifier, "intercept")
    estimator.intercept_ = estimator.intercept_ - threshold
    sign = -1 if classifier.binary else 1  # libsvm's pair of two classes is above 0 for the first
    estimator._dual_coef_, estimator._intercept_ = sign * estimator.dual_coef_, sign * estimator.intercept_
    return estimator


def _knn(classifier: Classifier, threshold: float) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    _demand_natural(classifier, threshold)
    estimator = KNeighborsClassifier(int(classifier.values["k"]), metric="cosine", algorithm="brute")
    return estimator.fit(classifier.arrays["vectors"], np.asarray(classifier.arrays["label"]))


def _doubles(classifier: Classifier, name: str) -> np.ndarray:
    return np.array(classifier.arrays[name], np.float64, order="C")


def _demand_natural(classifier: Classifier, threshold: float) -> None:
    if threshold:
        raise InputError(
            f"the classifier '{classifier.kind}' has the threshold {threshold:.4g}, and its estimator of scikit-learn "
            "no intercept to take it; train with `threshold: natural`"
        )


_RULES: Mapping[str, Callable[[Classifier, float], Any]] = {
    "mean": _mean,
    "logistic": _linear,
    "linear_svm": _linear,
    "mlp": _mlp,
    "svm": _svm,
    "knn": _knn,
}
