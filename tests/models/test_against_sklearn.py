"""The comparison table on real embeddings: its figures are those of scikit-learn's own estimators on the same rows."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC
from threadpoolctl import threadpool_limits

from poolwright.kernels.classifiers.parameters import decisions
from poolwright.kernels.selection.hashing import hash_key
from poolwright.models.classifiers.examples import Examples, in_order
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.training import train

KEY = 11
KINDS = ("mean", "logistic", "linear_svm", "svm", "mlp", "knn")
GRIDS = {kind: {"C": (10.0,)} for kind in ("logistic", "linear_svm")}


def estimator(kind: str, parameters: dict[str, Any]) -> Any:
    seed = hash_key(KEY, kind, "image") % 2**32
    return {
        "mean": lambda: NearestCentroid(),
        "logistic": lambda: LogisticRegression(max_iter=1000, **parameters),
        "linear_svm": lambda: LinearSVC(max_iter=10_000, random_state=seed, **parameters),
        "svm": lambda: SVC(kernel="poly", degree=3, **parameters),
        "mlp": lambda: MLPClassifier((256, 256, 256), random_state=seed, **parameters),
        "knn": lambda: KNeighborsClassifier(parameters["k"], metric="cosine", algorithm="brute"),
    }[kind]()


def needle(folder: Path) -> Examples:
    """ImageNet rows among Caltech-101's: is it a lizard? 2-shot rows to train, 1-shot rows to validate."""
    imagenet = np.load(folder / "clip_vitb32" / "imagenet.npz")
    caltech = np.load(folder / "clip_vitb32" / "caltech101.npz")
    lizards = range(38, 49)
    parts = [
        ("train", imagenet["train2shot_emb"], imagenet["train2shot_label"]),
        ("validation", imagenet["train1shot_emb"], imagenet["train1shot_label"]),
        ("train", caltech["train16shot_emb"][::4], None),
        ("validation", caltech["val_emb"][::4], None),
    ]
    wanted = [np.zeros(len(rows), bool) if of is None else np.isin(of, lizards) for _, rows, of in parts]
    return Examples(
        uids=[f"{place}-{row}" for place, (_, rows, _) in enumerate(parts) for row in range(len(rows))],
        vectors=np.concatenate([rows for _, rows, _ in parts]).astype(np.float32),
        labels=np.where(np.concatenate(wanted), "lizard", "other"),
        split=[split for split, rows, _ in parts for _ in rows],
    )


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_figures_are_those_of_scikit_learn(kind: str, real_data: Path) -> None:
    examples = needle(real_data)
    grids = {**GRIDS, "svm": {"C": (10.0,), "coef0": (1.0,)}, "mlp": {"alpha": (0.0001,)}, "knn": {"k": (7,)}}
    asked = ClassifierOptions(positive="lizard", candidates=(kind,), folds=2, grids={kind: grids.get(kind, {})})
    found = train(examples, asked, KEY)
    (row,) = found.comparison.to_pylist()

    rows = in_order(examples)
    out = np.isin(np.asarray(rows.uids), found.duplicates.column("uid").to_pylist())
    training, validation = (np.asarray(rows.split) == split for split in ("train", "validation"))
    training &= ~out
    is_lizard = np.asarray(rows.labels) == "lizard"
    matrix = np.ascontiguousarray(rows.vectors, np.float32 if kind == "mlp" else np.float64)
    model = estimator(kind, json.loads(row["parameters"]))
    with threadpool_limits(1), warnings.catch_warnings():
        model.fit(matrix[training], is_lizard[training].astype(int))
        seen, truth = matrix[validation], is_lizard[validation]
        predicted = model.predict(seen).astype(bool)
    assert row["rows"] == len(truth)
    assert truth.sum() == 11
    assert row["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted), abs=1e-12)
    assert row["recall"] == pytest.approx(metrics.recall_score(truth, predicted), abs=1e-12)
    if predicted.any():
        assert row["precision"] == pytest.approx(metrics.precision_score(truth, predicted), abs=1e-12)
    if kind == "mean":
        return  # its scores are of another scale than scikit-learn's; its predictions were compared
    scores = model.decision_function(seen) if hasattr(model, "decision_function") else model.predict_proba(seen)[:, 1]
    if kind != "knn":
        ours = decisions(found.classifier, np.asarray(seen, np.float64))
        ours = 1 / (1 + np.exp(-ours)) if kind == "mlp" else ours
        np.testing.assert_allclose(ours, scores, rtol=0, atol=1e-4)
    assert row["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-5)
    assert row["average_precision"] == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-5)
