"""Every kind of classifier says what scikit-learn's estimator says, on every batch."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC

from poolwright.kernels.classifiers.parameters import Classifier, decisions, predictions
from poolwright.kernels.classifiers.predict import decide, prepare

WIDTH = 48


def make(rows, classes, seed):
    """Vectors near unit length that share a direction, float16, and their class."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(classes, WIDTH)) / 4 + 1
    label = generator.integers(0, classes, rows)
    vectors = centres[label] + generator.normal(size=(rows, WIDTH)) / 2
    return (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float16), label


def svm(model, classes):
    values = {"kernel": model.kernel, "gamma": model._gamma, "coef0": model.coef0, "degree": model.degree}
    names = {"support": "support_vectors_", "dual_coef": "dual_coef_", "intercept": "intercept_"}
    arrays = {name: getattr(model, attribute) for name, attribute in names.items()}
    return Classifier("svm", classes, values, {**arrays, "n_support": model.n_support_})


def mlp(model, classes):
    arrays = {f"weight_{i}": weight for i, weight in enumerate(model.coefs_)}
    arrays |= {f"bias_{i}": bias for i, bias in enumerate(model.intercepts_)}
    return Classifier("mlp", classes, {"activation": "relu"}, arrays)


def fit(kind, classes):
    """scikit-learn's estimator, fitted, and the same as a Classifier."""
    vectors, label = make(300, classes, 1)
    rows, names = vectors.astype(np.float64), tuple("abcd"[:classes])
    if kind in ("poly", "rbf", "linear", "poly-coef0", "poly-4"):
        kernel, degree = kind.split("-")[0], 4 if kind == "poly-4" else 3
        model = SVC(kernel=kernel, degree=degree, coef0=0.7 if kind == "poly-coef0" else 0).fit(rows, label)
        return model, svm(model, names)
    if kind == "mlp":
        model = MLPClassifier((32, 32), max_iter=30, random_state=0).fit(rows, label)
        return model, mlp(model, names)
    if kind == "mean":
        model = NearestCentroid().fit(rows, label)
        return model, Classifier("mean", names, {}, {"centres": model.centroids_})
    if kind == "knn":
        model = KNeighborsClassifier(7, metric="cosine").fit(rows, label)
        return model, Classifier("knn", names, {"k": 7, "metric": "cosine"}, {"vectors": rows, "label": label})
    model = {"logistic": LogisticRegression, "linear_svm": LinearSVC}[kind]().fit(rows, label)
    return model, Classifier(kind, names, {}, {"coef": model.coef_, "intercept": model.intercept_})


KINDS = ("mean", "logistic", "linear_svm", "mlp", "poly", "poly-coef0", "poly-4", "rbf", "linear", "knn")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_predicts_what_scikit_learn_does(kind, classes):
    model, classifier = fit(kind, classes)
    vectors, _ = make(700, classes, 2)
    for dtype in (np.float16, np.float32, np.float64):
        rows = vectors.astype(dtype)
        decided = decide(prepare(classifier), rows)
        expected = np.searchsorted(model.classes_, model.predict(rows.astype(np.float64)))
        assert (decided.predicted == expected).all()
        assert (decided.predicted == predictions(classifier, rows)).all()
        if classes == 2:
            assert (decided.positive == (expected == 1)).all()
    if hasattr(model, "decision_function") and kind != "mean":  # NearestCentroid shows something else
        expected = model.decision_function(vectors.astype(np.float64))
        np.testing.assert_allclose(decisions(classifier, vectors), expected, rtol=1e-9, atol=1e-9)
        every = decide(prepare(classifier), vectors, precise="all").decision
        np.testing.assert_allclose(every, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_has_the_same_bits_in_any_batch(kind, classes):
    _, classifier = fit(kind, classes)
    prepared = prepare(classifier)
    vectors, _ = make(700, classes, 3)
    whole = decide(prepared, vectors)
    order = np.random.default_rng(0).permutation(len(vectors))
    shuffled = decide(prepared, vectors[order])
    assert (shuffled.decision == whole.decision[order]).all()
    assert (shuffled.predicted == whole.predicted[order]).all()
    for count in (0, 1, 255, 256, 257):
        some = decide(prepared, vectors[:count])
        assert (some.decision == whole.decision[:count]).all()
        assert (some.positive == whole.positive[:count]).all()
    assert (decide(prepared, vectors.astype(np.float32)).decision == whole.decision).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_rows_exactly_at_the_threshold_are_not_above_it(kind):
    _, classifier = fit(kind, 2)
    vectors, _ = make(300, 2, 4)
    values = decisions(classifier, vectors)
    prepared = prepare(classifier)
    for at in np.argsort(np.abs(values))[:5]:
        for threshold in (values[at], np.nextafter(values[at], -np.inf), float(np.float32(values[at]))):
            decided = decide(prepared, vectors, threshold)
            assert (decided.positive == (values > threshold)).all()
            assert ((decided.decision.astype(np.float64) > threshold) == decided.positive).all()
            assert (np.abs(decided.decision - values) <= decided.error + 1e-6 * np.abs(values) + 1e-12).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_that_are_no_vectors_have_no_decision(kind, classes, dtype):
    _, classifier = fit(kind, classes)
    vectors = make(300, classes, 5)[0].astype(dtype)
    before = decide(prepare(classifier), vectors)
    bad = np.array([0, 7, 256, 299])
    vectors[bad[0], 3], vectors[bad[1], 0], vectors[bad[2], 5], vectors[bad[3]] = np.nan, np.inf, -np.inf, 0
    decided = decide(prepare(classifier), vectors)
    fine = np.setdiff1d(np.arange(300), bad)
    assert np.isnan(decided.decision[bad]).all()
    assert (decided.predicted[bad] == -1).all()
    assert not decided.positive[bad].any()
    assert (decided.decision[fine] == before.decision[fine]).all()
    assert np.isnan(decisions(classifier, vectors)[bad]).all()
    assert (predictions(classifier, vectors)[bad] == -1).all()


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [1e-20, 1e-4, 300, 1e12])
def test_rows_of_any_length_are_decided_alike(kind, scale):
    _, classifier = fit(kind, 2)
    vectors = make(300, 2, 6)[0].astype(np.float32) * np.float32(scale)
    decided = decide(prepare(classifier), vectors)
    assert (decided.positive == (decisions(classifier, vectors) > 0)).all()


def test_vectors_of_another_width_are_refused():
    _, classifier = fit("poly", 2)
    with pytest.raises(ValueError, match=r"must be \(n, 48\)"):
        decide(prepare(classifier), np.ones((3, 47), np.float32))


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="one of mean"):
        Classifier("forest", ("a", "b"))
