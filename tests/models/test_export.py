"""Classifiers written as ONNX and for scikit-learn decide as before, in those libraries and when read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import yaml
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC, LinearSVC
from skops.io import get_untrusted_types, load

from poolwright import api
from poolwright.core.errors import InputError, RecipeError
from poolwright.kernels.classifiers.parameters import Classifier, decisions, predictions
from poolwright.models.classifiers.classifier_file import read_classifier
from poolwright.models.classifiers.from_sklearn import from_sklearn
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.ready import ReadyClassifier
from poolwright.models.classifiers.trained import classifier_state
from poolwright.models.classifiers.training import train
from tests.calling import call
from tests.models.labelled import clouds

ESTIMATORS: dict[str, Any] = {
    "mean": NearestCentroid(),
    "logistic": LogisticRegression(C=10),
    "linear_svm": LinearSVC(C=1),
    "mlp": MLPClassifier((8, 8), max_iter=40, random_state=1),
    "svm poly": SVC(kernel="poly", degree=3, coef0=1, C=10),
    "svm rbf": SVC(kernel="rbf"),
    "svm linear": SVC(kernel="linear"),
    "knn": KNeighborsClassifier(7, metric="cosine"),
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def trained(name: str, classes: int) -> tuple[Classifier, np.ndarray]:
    """A classifier whose classes are not in the order of the alphabet, and rows."""
    examples = clouds(classes=classes)
    rows = np.asarray(examples.vectors, np.float32)
    names = ["other", "map", "globe", "flag"][:classes]
    return from_sklearn(ESTIMATORS[name].fit(rows.astype(np.float64), examples.labels), names), rows


def state_file(folder: Path, classifier: Classifier, threshold: float = 0.0) -> Path:
    """The state of a table's step `classify`, in a folder of its own."""
    classifier_state(classifier, None, "image", threshold).save(folder / "states", "00-classify")
    return folder


def by_onnx(path: Path, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    labels, scores = onnxruntime.InferenceSession(path.read_bytes()).run(["label", "scores"], {"vectors": rows})
    return labels.tolist(), np.asarray(scores)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_both_forms_decide_as_before_and_can_be_read_again(name: str, classes: int, tmp_path: Path) -> None:
    classifier, rows = trained(name, classes)
    expected = [classifier.classes[one] for one in predictions(classifier, rows)]
    values = decisions(classifier, rows)
    for suffix in ("onnx", "skops"):
        if suffix == "onnx" and (name == "knn" or (name.startswith("svm") and classes > 2)):
            continue
        path = api.export_classifier(state_file(tmp_path, classifier), tmp_path / f"made.{suffix}")
        if suffix == "onnx":
            labels, scores = by_onnx(path, rows)
            np.testing.assert_allclose(scores[:, 0] if classes == 2 else scores, values, rtol=0, atol=1e-9)
        else:
            estimator = load(path, trusted=get_untrusted_types(file=path))
            labels = estimator.predict(rows.astype(np.float64)).tolist()
        assert labels == expected
        again = ReadyClassifier(read_classifier(str(path)))
        assert list(again.classes) == list(classifier.classes)
        assert [again.classes[one] for one in again.decide(rows, "all").predicted] == expected


@pytest.mark.parametrize("name", ["logistic", "mlp", "svm poly"])
def test_the_threshold_is_part_of_what_is_written(name: str, tmp_path: Path) -> None:
    classifier, rows = trained(name, 2)
    threshold = float(np.quantile(decisions(classifier, rows), 0.8))
    folder = state_file(tmp_path, classifier, threshold)
    above = predictions(classifier, rows, threshold) == 1
    assert 0 < above.sum() < (predictions(classifier, rows) == 1).sum()
    labels, _ = by_onnx(api.export_classifier(folder, tmp_path / "made.onnx"), rows)
    assert labels == np.where(above, "map", "other").tolist()
    path = api.export_classifier(folder, tmp_path / "made.skops")
    estimator = load(path, trusted=get_untrusted_types(file=path))
    assert estimator.predict(rows.astype(np.float64)).tolist() == labels


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = state_file(tmp_path, trained("knn", 2)[0], 0.25)
    with pytest.raises(InputError, match=r"'knn' has no ONNX graph; name a file \.skops"):
        api.export_classifier(folder, tmp_path / "made.onnx")
    with pytest.raises(InputError, match="train with `threshold: natural`"):
        api.export_classifier(folder, tmp_path / "made.skops")
    with pytest.raises(RecipeError, match=r"written as \.onnx or \.skops"):
        api.export_classifier(folder, tmp_path / "made.pkl")
    with pytest.raises(RecipeError, match="has the classifiers: none"):
        api.export_classifier(tmp_path / "states", tmp_path / "made.onnx")
    assert not list(tmp_path.glob("made.*"))


@pytest.mark.parametrize("suffix", ["onnx", "skops"])
def test_the_model_card_says_how_it_was_made_and_runs(suffix: str, tmp_path: Path) -> None:
    examples = clouds(classes=2)
    trained = train(examples, ClassifierOptions(positive="c1", candidates=("mean", "logistic"), draws=100), 7)
    trained.to_state().save(tmp_path / "states", "00-classify")
    path = api.export_classifier(tmp_path, tmp_path / f"maps.{suffix}")
    card = path.with_suffix(".md").read_text()
    _, header, text = card.split("---\n", 2)
    assert yaml.safe_load(header) == {
        "library_name": {"onnx": "onnx", "skops": "sklearn"}[suffix],
        "tags": ["poolwright", "embeddings"],
    }
    width = np.asarray(examples.vectors).shape[1]
    assert "Classes: `c0`, `c1`." in text
    assert f"{width} numbers in all" in text
    assert trained.digest in text
    assert "Learned from" in text
    assert "Taken from" not in text
    assert "\n| **logistic** | **" in text
    code = text.partition("```python\n")[2].partition("```")[0].replace(path.name, str(path))
    found: dict[str, Any] = {}
    exec(code, found)
    assert next(iter(found["labels"])) in ("c0", "c1")
    path.with_suffix(".md").write_text("completed by its author")
    api.export_classifier(tmp_path, path)
    assert path.with_suffix(".md").read_text() == "completed by its author"


def test_the_card_of_a_classifier_from_elsewhere_names_its_file(tmp_path: Path) -> None:
    state_file(tmp_path, trained("svm poly", 2)[0])
    api.export_classifier(tmp_path, tmp_path / "maps.onnx")
    read_classifier(str(tmp_path / "maps.onnx")).save(tmp_path / "again" / "states", "00-classify")
    api.export_classifier(tmp_path / "again", tmp_path / "same.onnx")
    assert "Taken from maps.onnx (SHA-256" in (tmp_path / "same.md").read_text().replace("\\", "")


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    state_file(tmp_path, trained("svm poly", 2)[0])
    called = call("export-classifier", ".", "maps.onnx", folder=tmp_path)
    assert (called.code, called.out) == (0, "wrote maps.onnx\n")
    again = call("export-classifier", "states/00-classify.json", "again.onnx", folder=tmp_path)
    assert again.code == 0
    assert (tmp_path / "maps.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
