"""Classifiers that were trained elsewhere: their files decide in a run as the libraries that made them do."""

from __future__ import annotations

import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.kernels.classifiers.parameters import predictions
from poolwright.models.classifiers.classifier_file import read_classifier
from poolwright.models.classifiers.trained import classifier_of

WIDTH, ROWS = 6, 400


def drawn(seed: int, classes: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around one centre per class, and the classes' names."""
    draw = np.random.default_rng(seed)
    which = draw.integers(classes, size=ROWS)
    centres = np.random.default_rng(1).normal(size=(classes, WIDTH))
    vectors = (centres[which] + draw.normal(size=(ROWS, WIDTH))).astype(np.float16).astype(np.float32)
    return vectors, np.array(["engraving", "photo", "poster"])[which]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    vectors, _ = drawn(2)
    table = pa.table({"uid": [str(row) for row in range(ROWS)], "clip": vector_array(vectors.astype(np.float16))})
    pq.write_table(table, tmp_path / "pool.parquet")
    return tmp_path


def recipe(folder: Path, model: str, **options: Any) -> Recipe:
    steps = [{"classify": {"with": "clip", "model": model, **options}}]
    data = {
        "recipe": 1,
        "name": "found",
        "pools": {"pool": {"read": "table", "path": "pool.parquet"}},
        "tables": {"found": {"from": "pool", "steps": steps}},
    }
    return Recipe.from_data(data, folder)


def decided(folder: Path, model: str, **options: Any) -> Table:
    return recipe(folder, model, **options).run(folder / "run").tables["found"]


def column(table: Table, name: str) -> list[Any]:
    found: list[Any] = table.read([name])[name].to_pylist()
    return found


def save(folder: Path, estimator: Any, name: str) -> None:
    if name.endswith(".skops"):
        pytest.importorskip("skops.io").dump(estimator, folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(estimator))


def linear(
    folder: Path,
    estimator: LogisticRegression,
    zipmap: bool = False,
    last: tuple[str, ...] = (),
    width: int = WIDTH,
) -> None:
    """Write model.onnx: an operator of ai.onnx.ml with labels as skl2onnx writes it; with `last`, Gemm and these."""
    inputs = [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [None, width])]
    names, opsets = list(estimator.classes_), [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    weights: list[Any] = []
    if last:
        coef, intercept = estimator.coef_.T.astype(np.float32), estimator.intercept_.astype(np.float32)
        weights = [numpy_helper.from_array(coef, "w"), numpy_helper.from_array(intercept, "b")]
        chain = ["vector", *(f"v{at}" for at in range(len(last)))]
        nodes = [helper.make_node("Gemm", ["vector", "w", "b"], ["v0"])]
        nodes += [helper.make_node(op, [chain[at + 1]], [f"v{at + 1}"]) for at, op in enumerate(last)]
        outputs = [helper.make_tensor_value_info(f"v{len(last)}", TensorProto.FLOAT, [None, coef.shape[1]])]
    else:
        sign = np.array([[-1], [1]]) if len(names) == 2 else 1
        of_model = {
            "coefficients": (sign * estimator.coef_).ravel().tolist(),
            "intercepts": np.ravel(sign * estimator.intercept_).tolist(),
            "classlabels_strings": names,
            "post_transform": "LOGISTIC" if len(names) == 2 else "SOFTMAX",
        }
        make = partial(helper.make_node, domain="ai.onnx.ml")
        nodes = [make("LinearClassifier", ["vector"], ["label", "scores"], **of_model)]
        outputs = [helper.make_tensor_value_info("label", TensorProto.STRING, [None])]
        if zipmap:
            nodes.append(make("ZipMap", ["scores"], ["mapped"], classlabels_strings=names))
            value = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
            kind = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, value))
            outputs.append(helper.make_value_info("mapped", kind))
        else:
            outputs.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, len(names)]))
    graph = helper.make_graph(nodes, "classifier", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


ESTIMATORS = [
    LogisticRegression(),
    SVC(kernel="rbf"),
    MLPClassifier(hidden_layer_sizes=(5,), max_iter=60, random_state=0),
    KNeighborsClassifier(4, metric="cosine"),
]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("file", ["model.skops", "model.pkl"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda one: type(one).__name__)
def test_an_estimator_decides_as_scikit_learn_does(folder: Path, estimator: Any, classes: int, file: str) -> None:
    estimator.fit(*drawn(3, classes))
    save(folder, estimator, file)
    table = decided(folder, file)
    vectors, _ = drawn(2)
    assert column(table, "predicted") == estimator.predict(vectors).tolist()
    if isinstance(estimator, (LogisticRegression, MLPClassifier)):
        said = estimator.predict_proba(vectors)
        wanted = said[:, 1] if classes == 2 else said.max(axis=1)
        assert column(table, "probability") == pytest.approx(wanted.tolist(), abs=1e-4)
    else:
        assert set(column(table, "probability")) == {None}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "estimator",
    [
        RidgeClassifier(),
        SGDClassifier(),
        Perceptron(),
        LinearDiscriminantAnalysis(),
        MLPClassifier(hidden_layer_sizes=(3,), max_iter=5),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_pickle_of_numbers_is_read(folder: Path, estimator: Any, classes: int) -> None:
    save(folder, estimator.fit(*drawn(3, classes)), "model.pkl")
    classifier = classifier_of(read_classifier(str(folder / "model.pkl")))
    vectors, _ = drawn(2)
    assert (
        np.array(classifier.classes)[predictions(classifier, vectors)].tolist() == estimator.predict(vectors).tolist()
    )


@pytest.mark.parametrize("file", ["model.pkl", "model.onnx"])
@pytest.mark.parametrize("positive", ["engraving", "photo"])
def test_either_class_may_be_kept_and_ties_stay_as_they_are(folder: Path, positive: str, file: str) -> None:
    vectors, _ = drawn(2)
    estimator: Any = KNeighborsClassifier(4, metric="cosine") if file == "model.pkl" else LogisticRegression()
    estimator.fit(*drawn(3))
    save(folder, estimator, file) if file == "model.pkl" else linear(folder, estimator)
    table = decided(folder, file, positive=positive, keep=True)
    wanted = estimator.predict(vectors) == positive
    assert column(table, "uid") == [str(row) for row in np.flatnonzero(wanted)]
    assert table.record.funnel[1].dropped == {"not_wanted": ROWS - wanted.sum()}
    assert min(column(table, "decision")) > 0
    state = table.state(0)
    above = int(np.searchsorted(state.values["edges"], state.values["threshold"], side="right"))
    assert sum(table.record.tallies["01-classify.decisions"][above:]) == wanted.sum()
    page = api.report(folder / "run").read_text(encoding="utf-8")
    assert f"Taken from {file} (SHA-256 " in page
    assert "Decisions of step 1, classify" in page


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("options", [{}, {"zipmap": True}, {"last": ["Softmax"]}, {"last": ["Identity"]}], ids=str)
def test_an_onnx_graph_decides(folder: Path, options: dict[str, Any], classes: int) -> None:
    estimator = LogisticRegression().fit(*drawn(3, classes))
    plain = "last" in options
    if classes == 2 and options == {"last": ["Softmax"]}:
        options = {"last": ["Sigmoid", "Identity"]}
    linear(folder, estimator, **options)
    names = {"classes": estimator.classes_.tolist()} if plain else {}
    table = decided(folder, "model.onnx", **names)
    vectors, _ = drawn(2)
    assert column(table, "predicted") == estimator.predict(vectors).tolist()
    said = estimator.predict_proba(vectors)
    if options == {"last": ["Identity"]}:
        assert set(column(table, "probability")) == {None}
    else:
        wanted = said[:, 1] if classes == 2 else said.max(axis=1)
        assert column(table, "probability") == pytest.approx(wanted.tolist(), abs=1e-5)


def test_a_state_of_another_run_decides_the_same(folder: Path) -> None:
    save(folder, LogisticRegression().fit(*drawn(3)), "model.pkl")
    first = decided(folder, "model.pkl", positive="engraving")
    again = recipe(folder, "run/tables/found/states/01-classify.json").run(folder / "again").tables["found"]
    assert again.read().equals(first.read())


def test_a_release_holds_the_graph_and_applies_it(folder: Path) -> None:
    linear(folder, LogisticRegression().fit(*drawn(3)))
    made = recipe(folder, "model.onnx", positive="photo", keep=True)
    release = {"table": "found", "layout": "huggingface", "images": "none", "figures": False, "to": "out"}
    Recipe.from_data({**made.source.data, "releases": [release]}, folder).run(folder / "run")
    (folder / "model.onnx").unlink()
    api.apply(folder / "out", [folder / "pool.parquet"], folder / "again")
    assert api.show(folder / "again")[0].read().equals(api.show(folder / "run")[0].read())
    assert "Taken from model.onnx" in (folder / "out" / "README.md").read_text(encoding="utf-8")


def test_another_file_is_not_mixed_in(folder: Path) -> None:
    save(folder, LogisticRegression().fit(*drawn(3)), "model.pkl")
    decided(folder, "model.pkl")
    save(folder, LogisticRegression(C=0.01).fit(*drawn(3)), "model.pkl")
    with pytest.raises(ChangedError, match=r"model\.pkl"):
        decided(folder, "model.pkl")


class Opener:
    """Something whose pickle would call a function when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize(
    ("file", "model", "options", "words"),
    [
        ("absent.onnx", None, {}, "there is no file .*absent.onnx"),
        ("model.joblib", b"", {}, r"a classifier is a file \.onnx, \.skops, \.pkl, "),
        ("model.onnx", b"PK", {}, "model.onnx: not an ONNX model"),
        ("model.json", b"[]", {}, "is no state of 'classify'"),
        ("model.pkl", b"\x80", {}, "model.pkl cannot be read as pickle"),
        ("model.pkl", Opener(), {}, r"asks for builtins\.exec, which is not allowed; save the classifier with skops"),
        ("model.pkl", LogisticRegression(), {}, "LogisticRegression is not fitted"),
        ("model.pkl", make_pipeline(StandardScaler(), SVC()), {}, "is not fitted"),
        ("model.pkl", {"classes_": [1, 2]}, {}, "dict cannot be converted"),
        ("model.pkl", LogisticRegression().fit(*drawn(3)), {"classes": ["a", "a"]}, "two classes are called 'a'"),
        ("model.pkl", LogisticRegression().fit(*drawn(3)), {"classes": ["a", "b", "c"]}, "2 classes, but 3 names"),
        ("model.pkl", LogisticRegression().fit(*drawn(3)), {"positive": "foto"}, "did you mean 'photo'"),
        ("model.pkl", LogisticRegression().fit(drawn(3)[0][:, 1:], drawn(3)[1]), {}, "has 6 dimensions, but .* 5"),
        ("model.pkl", LogisticRegression().fit(*drawn(3)), {"folds": 3}, "'folds' is about training"),
        ("model.pkl", LogisticRegression().fit(*drawn(3)), {"examples": "found"}, "takes one of examples or model"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_cannot_decide_is_said_before_anything_runs(
    folder: Path, file: str, model: Any, options: dict[str, Any], words: str
) -> None:
    if model is not None:
        (folder / file).write_bytes(model if isinstance(model, bytes) else pickle.dumps(model))
    with pytest.raises(RecipeError, match=words):
        api.check(recipe(folder, file, **options))


def test_graphs_that_are_no_classifiers_of_these_vectors_are_refused(folder: Path) -> None:
    estimator = LogisticRegression().fit(*drawn(3, 3))
    linear(folder, estimator)
    with pytest.raises(RecipeError, match="scores 3 classes, but the recipe names 2: no, yes"):
        api.check(recipe(folder, "model.onnx", classes=["no", "yes"]))
    estimator.coef_ = estimator.coef_[:, 1:]
    linear(folder, estimator, width=WIDTH - 1)
    with pytest.raises(RecipeError, match=f"has {WIDTH} dimensions, but .*model.onnx takes {WIDTH - 1}"):
        api.check(recipe(folder, "model.onnx"))


def test_values_that_are_not_finite_are_said(folder: Path) -> None:
    estimator = LogisticRegression().fit(*drawn(3))
    estimator.coef_[0, 1] = np.nan
    save(folder, estimator, "model.pkl")
    with pytest.raises(InputError, match=r"model.pkl: its LogisticRegression has values that are not finite"):
        read_classifier(str(folder / "model.pkl"))


def test_skops_that_is_not_installed_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.skops").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "skops", None)
    with pytest.raises(RecipeError, match=r"needs skops; install it with: pip install 'poolwright\[skops\]'"):
        api.check(recipe(folder, "model.skops"))


def test_strange_types_of_skops_are_named(folder: Path) -> None:
    save(folder, Opener, "model.skops")
    with pytest.raises(RecipeError, match=r"types that are not trusted: .*Opener"):
        api.check(recipe(folder, "model.skops"))
