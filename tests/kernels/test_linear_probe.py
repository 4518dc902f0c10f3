"""The linear probe: the minimum of logistic regression, whatever the scale of the problem."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.classifiers.linear_probe import fit_linear_probe


def clusters(rows: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors with a common mean and uneven axes, as encoders give them, and classes of uneven size."""
    rng = np.random.default_rng(seed)
    axes = np.arange(1, width + 1) ** -0.7
    shares = 1.0 / np.arange(1, classes + 1)
    kinds = np.concatenate([np.arange(classes), rng.choice(classes, rows - classes, p=shares / shares.sum())])
    centres = np.random.default_rng(99).normal(size=(classes, width)) * axes
    vectors = 2.0 * axes + centres[kinds] + 1.2 * rng.normal(size=(rows, width)) * axes
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), kinds


@pytest.mark.parametrize(("rows", "width", "classes"), [(600, 24, 5), (80, 200, 7), (400, 16, 2)])
def test_it_is_the_minimum_that_scikit_learn_finds(rows: int, width: int, classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    vectors, kinds = clusters(rows, width, classes)
    probe = fit_linear_probe(vectors, kinds, classes)
    # For two classes scikit-learn has one vector of weights in place of two that are each other's opposite.
    reference = LogisticRegression(C=20.0 if classes == 2 else 10.0, max_iter=20_000, tol=1e-10).fit(
        vectors.astype(np.float64), kinds
    )
    scores = vectors @ probe.weights + probe.bias
    if classes == 2:
        ours, theirs = scores[:, 1] - scores[:, 0], reference.decision_function(vectors)
    else:
        both = scores, reference.decision_function(vectors)
        ours, theirs = (part - part.mean(axis=1, keepdims=True) for part in both)
    assert np.abs(ours - theirs).max() < 0.02 * np.abs(theirs).max()
    others, _ = clusters(500, width, classes, seed=5)
    assert (probe.predict(others) == reference.predict(others)).mean() > 0.99


def test_it_gives_the_same_weights_every_time() -> None:
    from threadpoolctl import threadpool_limits

    vectors, kinds = clusters(300, 32, 6)
    with threadpool_limits(1):
        one, two = (fit_linear_probe(vectors.copy(), kinds, 6) for _ in range(2))
    assert np.array_equal(one.weights, two.weights)
    assert np.array_equal(one.bias, two.bias)


def test_vectors_that_are_all_alike_and_none_at_all() -> None:
    vectors = np.tile(np.float32([[0.6, 0.8]]), (5, 1))
    probe = fit_linear_probe(vectors, np.array([0, 1, 1, 1, 0]), 2)
    assert probe.predict(vectors).tolist() == [1] * 5
    assert probe.predict(vectors[:0]).tolist() == []
