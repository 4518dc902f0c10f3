"""The cubic screen keeps its word: whatever the model, no decision lies outside its bound, and none is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import SVC

from poolwright.kernels.classifiers.cubic_screen import CubicScreen
from poolwright.kernels.classifiers.parameters import Classifier, decisions
from poolwright.kernels.classifiers.predict import decide, prepare
from poolwright.kernels.classifiers.svm import ExactSvm, cubic_screen


def made_up(seed, support, width, gamma=1.0, coef0=0.0, spread=1.0, balanced=True):
    """A cubic SVM of made-up numbers, and rows around its support vectors."""
    generator = np.random.default_rng(seed)
    mean = generator.normal(size=width)
    mean /= max(np.linalg.norm(mean), 1e-9)
    vectors = mean + spread * generator.normal(size=(support, width)) / width**0.5
    alpha = generator.normal(size=support)
    alpha -= alpha.mean() if balanced and support > 1 else 0
    arrays = {"support": vectors, "dual_coef": alpha[None], "intercept": generator.normal(size=1)}
    values = {"kernel": "poly", "degree": 3, "gamma": gamma, "coef0": coef0}
    rows = mean + 1.2 * spread * generator.normal(size=(300, width)) / width**0.5
    rows *= 10 ** generator.uniform(-2, 2, size=(300, 1)) if seed % 2 else 1
    return Classifier("svm", ("no", "yes"), values, arrays), rows.astype(np.float16)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    support=st.integers(1, 60),
    width=st.integers(1, 80),
    gamma=st.sampled_from([1e-3, 1.0, 30.0]),
    coef0=st.sampled_from([0.0, 0.5, -2.0]),
    spread=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    balanced=st.booleans(),
)
def test_the_screen_is_never_off_by_more_than_it_says(seed, support, width, gamma, coef0, spread, balanced):
    classifier, vectors = made_up(seed, support, width, gamma, coef0, spread, balanced)
    vectors = vectors[np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)]
    rows = vectors.astype(np.float32)
    true = decisions(classifier, vectors)
    found = cubic_screen(classifier).estimate(rows, np.vecdot(rows, rows).astype(np.float64))
    assert (np.abs(found.values - true) <= found.errors).all()
    exact = ExactSvm(classifier).estimate(vectors.astype(np.float64))
    assert (np.abs(exact.values[:, 0] - true) <= exact.errors[:, 0]).all()
    for threshold in (0.0, float(np.median(true)), float(true[0])):
        decided = decide(prepare(classifier), vectors, threshold)
        assert (decided.positive == (true > threshold)).all()


def clustered(rows, positive, seed, width=256):
    """Embeddings: a shared direction, clusters and noise; `positive` of the first 8 of 200 clusters."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(200, width)) / width**0.5
    shared = generator.normal(size=width) / width**0.5
    generator = np.random.default_rng(seed)
    cluster = np.where(positive, generator.integers(0, 8, rows), generator.integers(8, 200, rows))
    vectors = shared + 0.7 * centres[cluster] + 0.7 * generator.normal(size=(rows, width)) / width**0.5
    return (vectors / np.linalg.norm(vectors, axis=1)[:, None]).astype(np.float16)


@pytest.fixture(scope="module")
def model():
    positive = np.arange(1200) < 600
    return SVC(kernel="poly", degree=3).fit(clustered(1200, positive, 1).astype(np.float64), positive)


@pytest.fixture(scope="module")
def classifier(model):
    names = {"support": "support_vectors_", "dual_coef": "dual_coef_", "intercept": "intercept_"}
    arrays = {name: getattr(model, attribute) for name, attribute in names.items()}
    return Classifier("svm", ("other", "map"), {"kernel": "poly", "gamma": model._gamma, "degree": 3}, arrays)


def test_almost_all_rows_of_other_classes_are_settled_by_the_screen(model, classifier):
    vectors = clustered(5000, np.arange(5000) < 50, 2)
    expected = model.decision_function(vectors.astype(np.float64))
    decided = decide(prepare(classifier), vectors)
    assert (decided.positive == (expected > 0)).all()
    assert decided.exact < 0.05 * len(vectors) + decided.positive.sum()
    assert decided.replayed == 0
    kept = decided.positive
    np.testing.assert_allclose(decided.decision[kept], expected[kept], rtol=1e-6)
    assert (np.abs(decided.decision - expected) <= decided.error + 1e-6).all()


def test_ties_with_the_threshold_are_replayed_as_libsvm_adds(model, classifier):
    vectors = clustered(200, np.arange(200) < 100, 3)
    expected = model.decision_function(vectors.astype(np.float64))
    for at in range(0, 200, 20):
        decided = decide(prepare(classifier), vectors, float(expected[at]))
        assert decided.replayed >= 1
        assert (decided.positive == (expected > expected[at])).all()


def test_decisions_are_the_bits_of_scikit_learn(model, classifier):
    vectors = clustered(300, np.arange(300) < 100, 4)
    assert (decisions(classifier, vectors) == model.decision_function(vectors.astype(np.float64))).all()


def test_ranks_are_few(classifier):
    screen = prepare(classifier).screen
    assert isinstance(screen, CubicScreen)
    assert sum(screen.ranks) < classifier.width
