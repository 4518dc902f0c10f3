"""Training: the whole way from labelled rows to a chosen classifier."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from poolwright.core.errors import InputError, PoolwrightError, RecipeError
from poolwright.core.state import State
from poolwright.kernels.classifiers.parameters import KINDS, decisions
from poolwright.models.classifiers import candidates
from poolwright.models.classifiers.examples import Examples
from poolwright.models.classifiers.options import ClassifierOptions
from poolwright.models.classifiers.thresholds import Target
from poolwright.models.classifiers.trained import TrainedClassifier, classifier_of
from poolwright.models.classifiers.training import train
from tests.models.labelled import CHEAP, clouds, options


def _row(trained: TrainedClassifier, kind: str, features: str = "image") -> dict[str, Any]:
    rows = trained.comparison.to_pylist()
    return next(row for row in rows if (row["candidate"], row["features"]) == (kind, features))


def _parts(examples: Examples) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training rows and their classes, validation rows and theirs."""
    out, classes = np.asarray(examples.split) == "validation", (np.asarray(examples.labels) == "c1").astype(int)
    rows = np.asarray(examples.vectors, np.float64)
    return rows[~out], classes[~out], rows[out], classes[out]


@pytest.fixture(scope="module")
def trained() -> TrainedClassifier:
    return train(clouds(), options(), key=5)


def test_every_kind_is_compared_and_the_best_is_chosen(trained: TrainedClassifier) -> None:
    table = trained.comparison
    assert table.column("candidate").to_pylist() == list(KINDS)
    best = max(table.column("average_precision").to_pylist())
    chosen = [row for row in table.to_pylist() if row["chosen"]]
    assert len(chosen) == 1
    assert chosen[0]["average_precision"] == best
    assert chosen[0]["candidate"] == trained.classifier.kind
    assert min(trained.timed.column("rows_per_second").to_pylist()) > 100
    assert _row(trained, "mlp")["size"] == 16 * 256 + 2 * 256 * 256 + 256 + 3 * 256 + 1


def test_the_figures_are_those_of_scikit_learns_own_estimators() -> None:
    examples = clouds(noise=1.2)
    trained = train(examples, options(candidates=("mean", "svm")), key=5)
    rows, classes, seen, truth = _parts(examples)
    row = _row(trained, "svm")
    svm = SVC(kernel="poly", degree=3, **json.loads(row["parameters"])).fit(rows, classes)
    assert row["accuracy"] == metrics.accuracy_score(truth, svm.predict(seen))
    assert row["precision"] == metrics.precision_score(truth, svm.predict(seen))
    assert row["recall"] == metrics.recall_score(truth, svm.predict(seen))
    assert row["roc_auc"] == pytest.approx(metrics.roc_auc_score(truth, svm.decision_function(seen)), abs=1e-12)
    assert row["average_precision"] == pytest.approx(
        metrics.average_precision_score(truth, svm.decision_function(seen)), abs=1e-12
    )
    assert row["size"] == len(svm.support_vectors_)
    mean = NearestCentroid().fit(rows, classes)
    assert _row(trained, "mean")["accuracy"] == metrics.accuracy_score(truth, mean.predict(seen))
    if trained.classifier.kind == "svm":
        np.testing.assert_allclose(decisions(trained.classifier, seen), svm.decision_function(seen), atol=1e-9)


@pytest.mark.parametrize("workers", [1, 5])
def test_order_and_threads_change_nothing(
    trained: TrainedClassifier, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "cores", lambda: workers)
    examples = clouds()
    shuffled = examples.take(np.random.default_rng(1).permutation(len(examples)))
    with threadpool_limits(2):
        again = train(shuffled, options(), key=5)
    assert again.to_state().save(tmp_path, "again") == trained.to_state().save(tmp_path, "first")


def test_another_key_is_another_training() -> None:
    examples = replace(clouds(), split=None)
    digests = {train(examples, options(candidates=("logistic",)), key=key).digest for key in (1, 2)}
    assert len(digests) == 2


@pytest.mark.parametrize("calibration", ["platt", "isotonic"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_state_gives_the_same(calibration: Any, classes: int, tmp_path: Path) -> None:
    examples = clouds(classes=classes)
    positive = "c1" if classes == 2 else None
    for kind in KINDS:
        settings = options(positive=positive, candidates=(kind,), calibration=calibration, draws=100)
        first = train(examples, settings, key=5)
        first.to_state().save(tmp_path, kind)
        again = TrainedClassifier.from_state(State.load(tmp_path, kind))
        assert again.digest == first.digest
        assert again.values == json.loads(json.dumps(first.values))
        values = decisions(again.classifier, np.asarray(examples.vectors))
        np.testing.assert_array_equal(values, decisions(first.classifier, np.asarray(examples.vectors)))
        np.testing.assert_array_equal(again.probabilities(values), first.probabilities(values))
        assert again.threshold == first.threshold
        assert classifier_of(State.load(tmp_path, kind)).classes == first.classifier.classes
        text = json.dumps(first.to_state().values, allow_nan=False)
        assert "NaN" not in text


def test_training_rows_that_are_near_validation_rows_are_removed() -> None:
    examples = clouds(width=64)
    rows = np.asarray(examples.vectors).copy()
    rows[2] = rows[0]  # rows 0, 1, 6, 7, ... validate
    rows[4] = rows[6] + 0.001
    uids = [f"{number:05d}" for number in range(len(rows))]
    uids[5] = uids[7]
    hashes = [""] * len(rows)
    hashes[9] = hashes[12] = "ab" * 32
    some = replace(examples, vectors=rows, uids=uids, sha256=hashes)
    found = train(some, options(candidates=("mean",)), key=5)
    assert {(row["uid"], row["duplicate_of"], row["by"]) for row in found.duplicates.to_pylist()} == {
        ("00002", "00000", "cosine"),
        ("00004", "00006", "cosine"),
        ("00007", "00007", "uid"),
        ("00009", "00012", "sha256"),
    }
    assert sum(found.values["train_rows"].values()) == 80 - 4
    kept = train(some, options(candidates=("mean",), near_duplicates=None), key=5)
    assert kept.duplicates.column("by").to_pylist() == ["uid", "sha256"]


def test_one_picture_with_two_labels_is_told() -> None:
    examples = clouds()
    rows = np.asarray(examples.vectors).copy()
    rows[5] = rows[2]  # both train
    found = train(replace(examples, vectors=rows), options(candidates=("mean",)), key=5)
    assert found.conflicts.to_pylist() == [
        {"uid": "row-00005", "label": "c1", "same_as": "row-00002", "its_label": "c0"}
    ]


def test_near_duplicates_are_one_row_for_the_folds() -> None:
    examples = clouds(per_class=9)
    rows = np.asarray(examples.vectors).copy()
    split = ["validation" if number in (0, 1) else "train" for number in range(len(rows))]
    rows[4::2] = rows[2]  # c0 trains on eight rows that are one
    some = replace(examples, vectors=rows, split=split)
    with pytest.raises(InputError, match="class 'c0' has 8 training rows, 1 without near-duplicates, for 3 folds"):
        train(some, options(candidates=("mean",)), key=5)


def test_without_a_split_rows_are_parted_by_their_hash() -> None:
    examples = replace(clouds(per_class=50), split=None)
    found = train(examples, options(candidates=("mean",), validation_share=0.3), key=5)
    assert found.values["validation_rows"] == {"c0": 15, "c1": 15}
    assert found.values["train_rows"] == {"c0": 35, "c1": 35}
    assert found.values["split"] == "by hash, 0.3 validates"


def test_the_threshold_is_that_of_the_chosen_one() -> None:
    examples = clouds(noise=1.5)
    target = Target("precision", 0.9)
    found = train(examples, options(candidates=CHEAP, threshold=target), key=5)
    _, _, seen, truth = _parts(examples)
    kept = decisions(found.classifier, seen) > found.threshold
    assert truth[kept].mean() >= 0.9
    assert found.values["at_threshold"]["precision"]["value"] == truth[kept].mean()
    assert found.values["at_threshold"]["recall"]["value"] == kept[truth == 1].mean()
    mixed = replace(clouds(), labels=[f"c{number // 6 % 2}" for number in range(120)])
    with pytest.raises(RecipeError, match=r"no threshold reaches a precision of 90.00% at a prevalence of 0\.001"):
        train(mixed, options(candidates=("mean",), threshold=target, prevalence=0.001), key=5)


def test_probabilities_are_better_than_the_share_of_the_classes() -> None:
    examples = clouds(per_class=150, noise=1.2)
    found = train(examples, options(candidates=CHEAP), key=5)
    _, _, seen, truth = _parts(examples)
    said = found.probabilities(decisions(found.classifier, seen))
    assert metrics.log_loss(truth, said) == pytest.approx(found.values["log_loss"])
    assert found.values["log_loss"] < 0.6
    assert found.values["calibration_error"] < 0.15


def test_several_classes() -> None:
    examples = clouds(classes=4)
    found = train(examples, options(positive=None), key=5)
    assert found.classifier.classes == ("c0", "c1", "c2", "c3")
    assert found.threshold == 0
    assert min(found.comparison.column("accuracy").to_pylist()) > 0.6
    assert found.values["choose_by"] == "accuracy"
    rest = train(examples, options(positive="c2", candidates=("mean",)), key=5)
    assert rest.classifier.classes == ("not c2", "c2")


def test_captions_are_compared_beside_pictures() -> None:
    examples = clouds(noise=3)
    generator = np.random.default_rng(0)
    words = (np.asarray(examples.labels) == "c1")[:, None] & (generator.random((len(examples), 3)) < 0.5)
    found = train(replace(examples, text=words.astype(np.float32)), options(candidates=CHEAP), key=5)
    assert found.comparison.num_rows == 9
    best = {
        name: max(_row(found, kind, name)["average_precision"] for kind in CHEAP)
        for name in ("image", "text", "image+text")
    }
    assert best["text"] > best["image"]
    assert found.features in ("text", "image+text")
    assert found.classifier.width == {"text": 4, "image+text": 19}[found.features]


def test_ties_go_to_the_cheaper() -> None:
    easy = train(clouds(noise=0.1), options(near_duplicates=None), key=5)
    assert set(easy.comparison.column("average_precision").to_pylist()) == {1.0}
    assert easy.classifier.kind == "logistic"


def test_ties_may_be_what_the_rows_cannot_tell_apart() -> None:
    hard = clouds(per_class=100, noise=1.5)
    table = train(hard, options(ties="interval"), key=5).comparison.to_pylist()
    chosen = next(row for row in table if row["chosen"])
    best = max(table, key=lambda row: row["average_precision"])
    assert chosen["operations"] < best["operations"]
    assert chosen["average_precision"] > best["average_precision"] - 0.05
    for by in ("accuracy", "precision", "recall", "roc_auc"):
        train(hard, options(ties="interval", choose_by=by, candidates=CHEAP), key=5)


def test_a_search_on_some_rows_fits_on_all() -> None:
    examples = clouds(per_class=400)
    settings = options(candidates=("svm",), search_rows=250)
    found = train(examples, settings, key=5)
    rows, classes, seen, _ = _parts(examples)
    svm = SVC(kernel="poly", degree=3, **json.loads(_row(found, "svm")["parameters"])).fit(rows, classes)
    np.testing.assert_allclose(decisions(found.classifier, seen), svm.decision_function(seen), atol=1e-9)


def _with(**changes: Any) -> Examples:
    return replace(clouds(), **changes)


def _nan() -> Examples:
    rows = np.asarray(clouds().vectors).copy()
    rows[17, 3] = np.nan
    return _with(vectors=rows)


@pytest.mark.parametrize(
    ("examples", "settings", "kind", "words"),
    [
        (_with(labels=["c1"] * 120), {}, InputError, "all 120 rows are of class 'c1'"),
        (_with(split=["train"] * 120), {}, InputError, "all rows are of the split 'train'"),
        (_with(split=["test"] * 120), {}, InputError, "a split that is neither 'train' nor 'validation'"),
        (_nan(), {}, InputError, "1 rows have NaN or infinity in their vectors; .* 'row-00017'"),
        (_with(vectors=np.zeros((120, 4))), {}, InputError, "120 rows have vectors of zeros"),
        (_with(uids=["a"] * 120), {}, InputError, "share their uid"),
        (_with(labels=["c1"] * 3), {}, InputError, "3 labels for 120 uids"),
        (clouds(per_class=4), {}, InputError, "class 'c0' has 2 training rows, .* for 3 folds"),
        (clouds(), {"positive": "maps"}, RecipeError, "no row has the positive class 'maps'"),
        (clouds(), {"positive": None}, RecipeError, "set which is 'positive'"),
        (clouds(classes=3), {"positive": None, "prevalence": 0.1}, RecipeError, "3 classes have no threshold"),
        (clouds(), {"features": ("text",)}, InputError, "features text need text"),
    ],
)
def test_what_cannot_be_trained_on_is_told(
    examples: Examples, settings: dict[str, Any], kind: type[PoolwrightError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        train(examples, options(candidates=("mean",), **settings), key=5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"candidates": ("svn",)}, "candidate 'svn' is not known; did you mean 'svm'"),
        ({"candidates": ()}, "name one or more of mean"),
        ({"grids": {"svm": {"c": (1,)}}}, "grids of svm: 'c' is not known"),
        ({"grids": {"svm": {"C": ()}}}, "needs a value or more"),
        ({"search_by": "precision"}, "search_by 'precision' is not known"),
        ({"folds": 1}, "folds: 1 is too few"),
        ({"prevalence": 1.5}, "prevalence: 1.5 is not a share"),
    ],
)
def test_options_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ClassifierOptions(**settings)


@pytest.mark.real
def test_one_class_of_caltech_101_is_found_among_all(real_data: Path) -> None:
    with np.load(real_data / "clip_vitb32" / "caltech101.npz") as arrays:
        parts = [(split, arrays[f"{name}_emb"], arrays[f"{name}_label"]) for split, name in _CALTECH]
        names = arrays["class_names"]
    examples = Examples(
        uids=[f"{split}-{row}" for split, rows, _ in parts for row in range(len(rows))],
        vectors=np.concatenate([rows for _, rows, _ in parts]).astype(np.float32),
        labels=names[np.concatenate([labels for _, _, labels in parts])],
        split=[split for split, rows, _ in parts for _ in rows],
    )
    grids = {"mlp": {"alpha": (0.0001,)}}
    settings = ClassifierOptions(
        positive="crocodile", folds=3, grids=grids, threshold=Target("recall", 0.9), prevalence=0.006
    )
    found = train(examples, settings, key=1)
    for row in found.timed.to_pylist():
        print({name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()})
    assert found.comparison.num_rows == 6
    assert max(found.comparison.column("average_precision").to_pylist()) > 0.5
    assert found.values["at_threshold"]["recall"]["value"] >= 0.9


_CALTECH = (("train", "train16shot"), ("validation", "test"))
