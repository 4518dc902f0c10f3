"""label: the nearest class of a vocabulary, its rules and its refusals."""

from __future__ import annotations

import gc
import hashlib
import json
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.columns import vector_field
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, as_array, vector_array
from poolwright.core.runtime import cached as ready
from poolwright.core.state import State
from poolwright.steps.describe import label as module
from poolwright.steps.describe.label import Label

WIDTH = 16
SPEC = EncoderSpec(model="open_clip:fake/fake")


class FakeEncoder:
    """Texts to vectors by their hash; equal texts, equal vectors."""

    name, width = "fake", WIDTH

    def __init__(self, weights: str = "abc123") -> None:
        self.weights = weights
        self.seen: list[str] = []

    def images(self, files: Sequence[bytes | None]) -> tuple[np.ndarray, list[str | None]]:
        raise NotImplementedError

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        made = np.stack([self.raw(text) for text in texts])
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    @staticmethod
    def raw(text: str) -> np.ndarray:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        return np.random.default_rng(seed).normal(size=WIDTH)


def table(vectors: Any, model: tuple[str, str] | None = None) -> pa.Table:
    array = as_array(vectors)
    field = vector_field("clip", WIDTH, *model) if model else pa.field("clip", array.type)
    return pa.Table.from_arrays([array.cast(field.type)], schema=pa.schema([field]))


def label(
    vectors: Any, encoder: FakeEncoder | None = None, **parameters: Any
) -> tuple[dict[str, list[Any]], list[int], State]:
    """Columns, drop codes and state of a label step on some vectors."""
    if "features" not in parameters:
        parameters.setdefault("model", SPEC)
    step = Label.model_validate({"with": "clip", **parameters})
    rows = vectors if isinstance(vectors, pa.Table) else table(vectors)
    fields = {field.name: field for field in step.gives(rows.schema)}
    state = step.fit(MemoryFrame(rows), Context(encoder=lambda spec: encoder or FakeEncoder()))
    outcome = step.apply(Rows(rows), state)
    given = Rows(rows).give(outcome.columns, fields).without(["clip"])
    assert set(given.schema.names) == set(fields)
    assert outcome.drop is not None
    return given.table.to_pydict(), outcome.drop.tolist(), state


def save(folder: Path, matrix: np.ndarray) -> str:
    np.save(folder / "features.npy", matrix)
    return str(folder / "features.npy")


def unit(matrix: np.ndarray) -> np.ndarray:
    return matrix / np.linalg.norm(matrix, axis=-1, keepdims=True)


def test_nearest_class_with_its_index_and_similarity() -> None:
    names = ["cat", "地図", "Kôpî 🐈"]
    images = FakeEncoder().texts([f"a photo of a {name}." for name in reversed(names)])
    columns, drop, state = label(images, vocabulary=names)
    assert columns["label"] == names[::-1]
    assert columns["label_index"] == [2, 1, 0]
    assert columns["similarity"] == pytest.approx([1, 1, 1], abs=1e-6)
    assert drop == [0, 0, 0]
    assert state.tables["vocabulary"].column("name").to_pylist() == names


def test_templates_are_ensembled_as_clip_does() -> None:
    templates, names = ["a photo of a {}.", "art of the {}.", "a {} in a video game."], ["cat", "map", "dog"]
    encoder = FakeEncoder()
    expected = []
    for name in names:
        each = [unit(FakeEncoder.raw(template.format(name))) for template in templates]
        expected.append(unit(np.mean(each, axis=0)))
    _, _, state = label(np.eye(WIDTH, dtype=np.float32), encoder, vocabulary=names, template=templates)
    feature = state.tables["vocabulary"].column("feature")
    assert feature.type == pa.list_(pa.float32(), WIDTH)
    np.testing.assert_allclose(np.array(feature.to_pylist()), expected, atol=1e-6)
    assert state.values["templates"] == templates
    assert encoder.seen[:3] == ["a photo of a cat.", "art of the cat.", "a cat in a video game."]


def test_own_prompts_and_synonyms_stand_for_a_class() -> None:
    vocabulary = [{"name": "x", "prompts": ["just this", "and that"]}, {"name": "map", "synonyms": ["chart"]}]
    encoder = FakeEncoder()
    label(np.eye(WIDTH, dtype=np.float32), encoder, vocabulary=vocabulary, template="a {}.")
    assert encoder.seen == ["just this", "and that", "a map.", "a chart."]


def test_the_first_name_alone_fills_the_template() -> None:
    vocabulary = [{"name": "map", "synonyms": ["chart"]}, {"name": "x", "prompts": ["as it is"]}]
    encoder = FakeEncoder()
    label(np.eye(WIDTH, dtype=np.float32), encoder, vocabulary=vocabulary, template="a {}.", names="first")
    assert encoder.seen == ["a map.", "as it is"]


def test_further_texts_of_the_class_go_along() -> None:
    vocabulary = [{"name": "cat", "id": "n1"}, {"name": "map", "definition": "a drawing"}]
    encoder = FakeEncoder()
    images = encoder.texts(["a map.", "a cat."]).astype(np.float16)
    images = np.vstack([images, np.full((1, WIDTH), np.nan, np.float16)])
    about = {"wnid": "id", "meaning": "definition"}
    columns, dropped, _ = label(images, encoder, vocabulary=vocabulary, template="a {}.", about=about)
    assert columns["wnid"][:2] == [None, "n1"]
    assert columns["meaning"][:2] == ["a drawing", None]
    assert dropped == [0, 0, 1]
    with pytest.raises(RecipeError, match="which no class has; did you mean 'id'"):
        label(images, encoder, vocabulary=vocabulary, about={"wnid": "idd"})
    with pytest.raises(ValidationError, match="cannot write 'similarity'"):
        label(images, encoder, vocabulary=vocabulary, about={"similarity": "id"})


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_from_a_file_need_no_model(tmp_path: Path, dtype: type) -> None:
    matrix = np.random.default_rng(1).normal(size=(5, WIDTH)).astype(dtype)
    names = list("abcde")
    images = unit(matrix[[3, 0]].astype(np.float64)).astype(np.float16)
    by_row, _, state = label(images, vocabulary=names, features=save(tmp_path, matrix))
    by_column, _, _ = label(images, vocabulary=names, features=save(tmp_path, matrix.T))
    assert by_row == by_column
    assert by_row["label"] == ["d", "a"]
    assert by_row["similarity"] == pytest.approx([1, 1], abs=2e-3)
    assert state.values["model"] is None
    assert len(state.values["features_sha256"]) == 64


def test_square_features_ask_for_the_axis(tmp_path: Path) -> None:
    names = [str(i) for i in range(WIDTH)]
    matrix = np.random.default_rng(2).normal(size=(WIDTH, WIDTH))
    images = unit(matrix).astype(np.float32)
    with pytest.raises(RecipeError, match="features_axis"):
        label(images, vocabulary=names, features=save(tmp_path, matrix))
    columns, _, _ = label(images, vocabulary=names, features=save(tmp_path, matrix), features_axis=0)
    assert columns["label"] == names
    columns, _, _ = label(images, vocabulary=names, features=save(tmp_path, matrix.T), features_axis=1)
    assert columns["label"] == names


def test_ties_go_to_the_smallest_index_and_names_may_repeat() -> None:
    images = FakeEncoder().texts(["crane", "other"])
    parameters = {"vocabulary": ["other", "crane", "crane"], "template": "{}", "top_k": 3}
    columns, _, state = label(images, **parameters)
    assert columns["label_index"] == [1, 0]
    assert columns["label_top_index"][0] == [1, 2, 0]
    assert columns["label_top"][0] == ["crane", "crane", "other"]
    told = Label.model_validate({"with": "clip", "model": SPEC, **parameters}).learned(state)
    assert told.endswith("1 have the text feature of an earlier class and are never nearest")


def test_rows_without_a_usable_vector_are_dropped_as_bad() -> None:
    vectors = FakeEncoder().texts(list("abcdef"))
    vectors[1, 3], vectors[2, 0], vectors[3] = np.nan, np.inf, 0
    array = vector_array(vectors, np.array([True, True, True, True, False, True]))
    columns, drop, _ = label(array, vocabulary=["a", "b"], top_k=2)
    assert drop == [0, 1, 1, 1, 1, 0]
    for name in ("label", "label_index", "similarity"):
        assert [value is None for value in columns[name]] == [code == 1 for code in drop]
    assert [(reason.name, reason.bad) for reason in Label.reasons] == [("no_vector", True)]


@pytest.mark.parametrize("top_k", [1, 2])
def test_no_rows(top_k: int) -> None:
    columns, drop, _ = label(np.zeros((0, WIDTH), np.float16), vocabulary=["a", "b"], top_k=top_k)
    assert set(map(len, columns.values())) == {0}
    assert drop == []


def test_top_k_and_other_column_names() -> None:
    images = FakeEncoder().texts(["a photo of a cat."])
    columns, _, _ = label(images, vocabulary=["dog", "cat", "map"], top_k=2, into="kind")
    names = [f"kind{end}" for end in ("", "_index", "_similarity", "_top", "_top_index", "_top_similarity")]
    assert list(columns) == names
    assert columns["kind_top"][0][0] == columns["kind"][0] == "cat"
    assert columns["kind_top_similarity"][0] == sorted(columns["kind_top_similarity"][0], reverse=True)
    assert columns["kind_top_similarity"][0][0] == columns["kind_similarity"][0]


def test_a_row_says_the_same_in_any_batch_and_after_reload(tmp_path: Path) -> None:
    images = np.random.default_rng(3).normal(size=(97, WIDTH)).astype(np.float16)
    step = Label.model_validate({"with": "clip", "vocabulary": [str(i) for i in range(40)], "model": SPEC, "top_k": 3})
    rows = table(images)
    state = step.fit(MemoryFrame(rows), Context(encoder=lambda spec: FakeEncoder()))
    digest = state.save(tmp_path, "01-label")
    loaded = State.load(tmp_path, "01-label")
    again = step.fit(MemoryFrame(rows.slice(0, 5)), Context(encoder=lambda spec: FakeEncoder()))
    assert again.save(tmp_path / "again", "01-label") == digest
    whole = step.apply(Rows(rows), state).columns
    for source in (loaded, pickle.loads(pickle.dumps(state))):
        parts = [step.apply(Rows(rows.slice(start, 10)), source).columns for start in range(0, 97, 10)]
        for name, values in whole.items():
            assert pa.concat_arrays([part[name] for part in parts]).equals(values)


def test_text_features_are_made_ready_once_a_state_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    original = module.index_texts

    def counting(texts: np.ndarray) -> Any:
        made.append(len(texts))
        return original(texts)

    monkeypatch.setattr(module, "index_texts", counting)
    step = Label.model_validate({"with": "clip", "vocabulary": ["a", "b"], "model": SPEC})
    rows = table(np.eye(WIDTH, dtype=np.float32))
    state = step.fit(MemoryFrame(rows), Context(encoder=lambda spec: FakeEncoder()))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(step.apply, [Rows(rows)] * 16, [state] * 16))
    assert made == [2]
    gc.collect()  # what other tests have left goes now
    held = len(ready._MADE)
    del state
    gc.collect()
    assert len(ready._MADE) == held - 1


class TestMixing:
    images = np.eye(WIDTH, dtype=np.float16)

    def test_the_model_of_the_vectors_is_required(self) -> None:
        label(table(self.images, ("fake", "abc123")), vocabulary=["a"])
        with pytest.raises(
            StepError, match=r"'clip' was made by other \(abc123\) and 'label texts' by fake \(abc123\)"
        ):
            label(table(self.images, ("other", "abc123")), vocabulary=["a"])

    def test_other_weights_under_the_same_name_are_another_model(self) -> None:
        with pytest.raises(StepError, match=r"by fake \(999\) .* by fake \(abc123\)"):
            label(table(self.images, ("fake", "999")), vocabulary=["a"])

    def test_a_source_that_names_no_weights_is_held_to_the_name(self) -> None:
        label(table(self.images, ("fake", "")), vocabulary=["a"])
        with pytest.raises(StepError, match="must not be mixed"):
            label(table(self.images, ("other", "")), vocabulary=["a"])

    def test_another_width(self) -> None:
        with pytest.raises(StepError, match="width 8"):
            label(np.eye(8, dtype=np.float16), vocabulary=["a"])

    def test_ready_features_may_name_their_model(self, tmp_path: Path) -> None:
        path = save(tmp_path, np.eye(3, WIDTH))
        rows = table(self.images, ("ViT-B-32", "abc"))
        label(rows, vocabulary=list("abc"), features=path, features_model="ViT-B-32")
        label(rows, vocabulary=list("abc"), features=path)
        with pytest.raises(StepError, match=r"made by ViT-B-32 and .*features.npy by RN101"):
            label(rows, vocabulary=list("abc"), features=path, features_model="RN101")


class TestRefusals:
    @pytest.mark.parametrize(
        ("parameters", "what"),
        [
            ({}, "either 'model' (encodes the texts) or 'features'"),
            ({"model": SPEC, "features": "f.npy"}, "either 'model' (encodes the texts) or 'features'"),
            ({"model": SPEC, "features_axis": 1}, "which is not given"),
            ({"features": "f.npy", "template": "a {}."}, "'template' has no effect"),
            ({"model": SPEC, "vocabulary": "imagenet1000"}, "did you mean 'imagenet1k'"),
            ({"model": SPEC, "top_k": 0}, "greater than or equal to 1"),
        ],
    )
    def test_parameters(self, parameters: dict[str, Any], what: str) -> None:
        with pytest.raises(ValidationError) as caught:
            Label.model_validate({"with": "clip", "vocabulary": ["a"], **parameters})
        assert what in str(caught.value)

    def test_before_anything_runs(self, tmp_path: Path) -> None:
        def gives(schema: pa.Schema, **parameters: Any) -> None:
            step = Label.model_validate({"with": "clip", "vocabulary": ["a", "b"], **parameters})
            step.check_files(schema)
            step.gives(schema)

        schema = table(np.eye(WIDTH, dtype=np.float16)).schema
        with pytest.raises(StepError, match="no column 'clip'; known: b32"):
            gives(pa.schema([("uid", pa.string()), ("b32", pa.list_(pa.float16(), 4))]), model=SPEC)
        with pytest.raises(StepError, match="column 'clip' is string, not vectors"):
            gives(pa.schema([("clip", pa.string())]), model=SPEC)
        with pytest.raises(RecipeError, match="top_k is 3, but the vocabulary has 2 classes"):
            gives(schema, model=SPEC, top_k=3)
        with pytest.raises(RecipeError, match="no such file of text features"):
            gives(schema, features=str(tmp_path / "none.npy"))
        with pytest.raises(RecipeError, match=r"shape \(3, 16\), but 2 classes"):
            gives(schema, features=save(tmp_path, np.zeros((3, WIDTH))))
        with pytest.raises(RecipeError, match="class 'a' has no 'definition'"):
            gives(schema, model=SPEC, template="a {}, {definition}.")


def test_files_that_decide_are_named() -> None:
    def files(**parameters: Any) -> tuple[str, ...]:
        return Label.model_validate({"with": "clip", **parameters}, context={"folder": "/recipes"}).files()

    assert files(vocabulary=["a"], model=SPEC) == files(vocabulary="imagenet21k", model=SPEC) == ()
    assert files(vocabulary="v.txt", features="f.npy") == ("/recipes/v.txt", "/recipes/f.npy")


def test_what_was_learned_is_told() -> None:
    _, _, state = label(np.eye(WIDTH, dtype=np.float16), vocabulary=["a", "b"])
    step = Label.model_validate({"with": "clip", "vocabulary": ["a", "b"], "model": SPEC})
    assert step.learned(state) == "2 classes of inline; 1 template, encoded by fake"
    row = {"label": "b", "label_index": 1, "similarity": 0.27314}
    assert step.explain(row, state) == "nearest of 2 classes: 'b' (index 1), similarity 0.2731"
    assert step.explain({"label": None, "similarity": None}, state) == ""


@pytest.mark.real
def test_zero_shot_top1_on_real_embeddings(real_data: Path) -> None:
    """OpenAI's ViT-B/32 on ImageNet rows, against NumPy in float64: the same labels, the known accuracy."""
    folder = real_data / "clip_vitb32"
    archive = np.load(folder / "imagenet.npz")
    names = json.loads((folder / "imagenet1000_names.json").read_text(encoding="utf-8"))
    features = folder / "imagenet1000_80templates.npy"
    parameters = {"vocabulary": str(folder / "imagenet1000_names.json"), "features": str(features)}
    texts = unit(np.load(features).astype(np.float64).T)
    right = {}
    for shots in (4, 2, 1):
        vectors, truth = archive[f"train{shots}shot_emb"], archive[f"train{shots}shot_label"]
        columns, drop, _ = label(vectors, **parameters)
        index = np.array(columns["label_index"])
        assert sum(drop) == 0
        assert columns["label"] == [names[i] for i in index]
        np.testing.assert_array_equal(index, (vectors.astype(np.float64) @ texts.T).argmax(axis=1))
        right[shots] = int((index == truth).sum())
    assert right == {4: 2620, 2: 1313, 1: 664}  # of 4,000, 2,000 and 1,000: 65.5, 65.7 and 66.4 %
