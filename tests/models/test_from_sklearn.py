"""Estimators of scikit-learn, converted, decide as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from poolwright.core.errors import InputError
from poolwright.kernels.classifiers.parameters import decisions, predictions
from poolwright.models.classifiers.from_sklearn import from_sklearn
from tests.models.labelled import clouds

ESTIMATORS = {
    "logistic": LogisticRegression(C=10),
    "linear_svm": LinearSVC(C=1),
    "linear_svm without intercept": LinearSVC(C=1, fit_intercept=False),
    "svm poly": SVC(kernel="poly", degree=3, coef0=1, C=10),
    "svm rbf": SVC(kernel="rbf"),
    "svm linear": SVC(kernel="linear"),
    "mlp": MLPClassifier((16, 16, 16), max_iter=40, random_state=1),
    "logistic, scaled": make_pipeline(StandardScaler(), LogisticRegression()),
    "linear_svm, scaled": make_pipeline(StandardScaler(), LinearSVC()),
    "mlp, scaled": make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=40, random_state=1)),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_decisions_are_those_of_scikit_learn(name: str, classes: int) -> None:
    examples = clouds(classes=classes)
    rows = np.asarray(examples.vectors, np.float64)
    estimator: Any = ESTIMATORS[name].fit(rows, np.asarray(examples.labels))
    converted = from_sklearn(estimator)
    assert converted.classes == tuple(f"c{one}" for one in range(classes))
    found = decisions(converted, rows)
    if hasattr(estimator, "decision_function"):
        np.testing.assert_allclose(found, estimator.decision_function(rows), rtol=0, atol=1e-9)
    else:
        np.testing.assert_allclose(_softmax(found), estimator.predict_proba(rows), rtol=0, atol=1e-9)
    assert [converted.classes[one] for one in predictions(converted, rows)] == estimator.predict(rows).tolist()


@pytest.mark.parametrize("classes", [2, 4])
def test_centroids_and_neighbours_predict_as_scikit_learn(classes: int) -> None:
    examples = clouds(classes=classes)
    rows, labels = np.asarray(examples.vectors, np.float64), np.asarray(examples.labels)
    for estimator in (NearestCentroid(), KNeighborsClassifier(7, metric="cosine")):
        converted = from_sklearn(estimator.fit(rows, labels))
        assert [converted.classes[one] for one in predictions(converted, rows)] == estimator.predict(rows).tolist()
    shares = estimator.predict_proba(rows)
    found = decisions(converted, rows)
    np.testing.assert_allclose(found, shares[:, 1] - shares[:, 0] if classes == 2 else shares, atol=1e-9)


def test_support_vectors_of_float32_rows_stay_float32() -> None:
    examples = clouds()
    converted = from_sklearn(SVC(kernel="poly").fit(examples.vectors, examples.labels), ["no", "yes"])
    assert converted.arrays["support"].dtype == np.float32
    assert converted.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("estimator", "words"),
    [
        (GaussianNB(), "GaussianNB cannot be converted; supported: NearestCentroid"),
        (SVC(kernel="sigmoid"), "kernel='sigmoid'; known: poly, rbf, linear"),
        (SVC(decision_function_shape="ovo"), "only decision_function_shape='ovr'"),
        (MLPClassifier(activation="tanh", max_iter=1), "only activation='relu'"),
        (KNeighborsClassifier(metric="euclidean"), "only metric='cosine'"),
        (KNeighborsClassifier(metric="cosine", weights="distance"), "only weights='uniform'"),
        (make_pipeline(StandardScaler(), SVC()), "cannot be folded into a svm"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_has_no_exact_counterpart_is_refused(estimator: Any, words: str) -> None:
    examples = clouds()
    estimator.fit(examples.vectors, np.asarray(examples.labels))
    with pytest.raises(InputError) as error:
        from_sklearn(estimator)
    assert words in str(error.value)


def _softmax(values: np.ndarray) -> np.ndarray:
    if values.ndim == 1:
        values = np.stack([np.zeros(len(values)), values], axis=1)
    parts = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(parts / parts.sum(axis=1, keepdims=True))
