"""similarity: cosine of two vectors of a row, or of a vector and a prompt."""

from __future__ import annotations

from collections.abc import Sequence
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
from poolwright.core.rows import Rows, vector_array
from poolwright.core.state import State
from poolwright.steps.describe.similarity import Similarity

WIDTH = 8
SPEC = EncoderSpec(model="open_clip:fake/fake")
TEXTS = {"x": np.eye(WIDTH)[0], "y": np.eye(WIDTH)[1]}


class FakeEncoder:
    name, weights, width = "fake", "abc123", WIDTH

    def images(self, files: Sequence[bytes | None]) -> tuple[np.ndarray, list[str | None]]:
        raise NotImplementedError

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([TEXTS[text] for text in texts]).astype(np.float32)


def run(table: pa.Table, **parameters: Any) -> tuple[list[float | None], list[int], State]:
    step = Similarity.model_validate(parameters)
    (field,) = step.gives(table.schema)
    state = step.fit(MemoryFrame(table), Context(encoder=lambda spec: FakeEncoder()))
    outcome = step.apply(Rows(table), state)
    assert outcome.drop is not None
    assert list(outcome.columns) == [field.name]
    assert outcome.columns[field.name].type == field.type == pa.float32()
    return outcome.columns[field.name].to_pylist(), outcome.drop.tolist(), state


def vectors(n: int, seed: int, dtype: type = np.float16) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(n, WIDTH))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(dtype)


def two(left: Any, right: Any) -> pa.Table:
    return Rows.of({"image": left, "text": right}).table


@pytest.mark.parametrize("dtypes", [(np.float16, np.float16), (np.float16, np.float32), (np.float64, np.float16)])
def test_two_columns(dtypes: tuple[type, type]) -> None:
    left, right = vectors(50, 1, dtypes[0]), vectors(50, 2, dtypes[1])
    values, drop, _ = run(two(left, right), of="image", to="text")
    one, other = left.astype(np.float64), right.astype(np.float64)
    expected = (one * other).sum(axis=1) / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
    np.testing.assert_allclose(np.array(values, float), expected, atol=1e-6)
    assert drop == [0] * 50


def test_a_prompt_or_the_mean_of_several() -> None:
    table = two(np.eye(WIDTH, dtype=np.float16)[:3], vectors(3, 0))
    values, _, state = run(table, of="image", prompt="x", model=SPEC, into="score")
    assert values == [1, 0, 0]
    values, _, state = run(table, of="image", prompt=["x", "y"], model=SPEC)
    np.testing.assert_allclose(np.array(values, float), [0.5**0.5, 0.5**0.5, 0], atol=1e-7)
    assert state.values == {"model": "fake", "weights": "abc123", "prompts": ["x", "y"]}


def test_a_ready_feature_of_any_length(tmp_path: Path) -> None:
    table = two(np.eye(WIDTH, dtype=np.float16)[:2], vectors(2, 0))
    for shape in ((WIDTH,), (1, WIDTH), (WIDTH, 1)):
        np.save(tmp_path / "f.npy", (3 * np.eye(WIDTH)[1]).reshape(shape))
        values, _, _ = run(table, of="image", features=str(tmp_path / "f.npy"))
        assert values == [0, 1]


def test_rows_without_a_usable_vector_on_either_side_are_dropped_as_bad() -> None:
    left, right = vectors(6, 1, np.float32), vectors(6, 2, np.float32)
    left[0, 0], left[1], right[2, 1] = np.nan, 0, np.inf
    table = two(left, vector_array(right, np.array([True, True, True, False, True, True])))
    values, drop, _ = run(table, of="image", to="text")
    assert drop == [1, 1, 1, 1, 0, 0]
    assert [value is None for value in values] == [True, True, True, True, False, False]
    assert [(reason.name, reason.bad) for reason in Similarity.reasons] == [("no_vector", True)]


def test_orthogonal_vectors_are_similar_by_zero_not_missing() -> None:
    table = two(np.eye(WIDTH, dtype=np.float16)[:1], np.eye(WIDTH, dtype=np.float16)[1:2])
    assert run(table, of="image", to="text")[:2] == ([0.0], [0])


def test_no_rows_and_saved_states(tmp_path: Path) -> None:
    table = two(vectors(4, 1), vectors(4, 2))
    step = Similarity.model_validate({"of": "image", "prompt": "x", "model": SPEC})
    state = step.fit(MemoryFrame(table), Context(encoder=lambda spec: FakeEncoder()))
    state.save(tmp_path, "01-similarity")
    loaded = State.load(tmp_path, "01-similarity")
    before, after = (step.apply(Rows(table), one).columns["similarity"] for one in (state, loaded))
    assert before.equals(after)
    assert len(step.apply(Rows(table.slice(0, 0)), loaded).columns["similarity"]) == 0
    assert run(table.slice(0, 0), of="image", to="text")[:2] == ([], [])


def test_models_are_never_mixed(tmp_path: Path) -> None:
    def column(name: str, model: str, weights: str) -> pa.Table:
        array = vector_array(vectors(2, 0))
        return pa.Table.from_arrays([array], schema=pa.schema([vector_field(name, WIDTH, model, weights)]))

    image = column("image", "fake", "abc123")
    same = image.append_column(vector_field("text", WIDTH, "fake", "abc123"), vector_array(vectors(2, 1)))
    other = image.append_column(vector_field("text", WIDTH, "RN101", "77"), vector_array(vectors(2, 1)))
    run(same, of="image", to="text")
    run(same, of="image", prompt="x", model=SPEC)
    with pytest.raises(StepError, match=r"made by fake .* by RN101"):
        run(other, of="image", to="text")
    with pytest.raises(StepError, match="'the prompt' by fake"):
        run(other, of="text", prompt="x", model=SPEC)
    np.save(tmp_path / "f.npy", np.ones(WIDTH))
    with pytest.raises(StepError, match="must not be mixed"):
        run(same, of="image", features=str(tmp_path / "f.npy"), features_model="RN101")


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({}, "give one of 'to'"),
        ({"to": "text", "prompt": "x", "model": SPEC}, "give one of 'to'"),
        ({"prompt": "x"}, "'prompt' and 'model' go together"),
        ({"to": "text", "model": SPEC}, "'prompt' and 'model' go together"),
        ({"prompt": ["x", " "], "model": SPEC}, "a prompt is empty"),
        ({"prompt": [], "model": SPEC}, "a prompt is empty"),
        ({"to": "text", "features_model": "m"}, "which is not given"),
    ],
)
def test_refused_parameters(parameters: dict[str, Any], what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Similarity.model_validate({"of": "image", **parameters})
    assert what in str(caught.value)


def test_refused_columns(tmp_path: Path) -> None:
    table = two(vectors(2, 0), np.ones((2, 3), np.float16))
    with pytest.raises(StepError, match="width 8 and 'text' has width 3"):
        run(table, of="image", to="text")
    with pytest.raises(StepError, match="no column 'imag'; did you mean 'image'"):
        run(table, of="imag", to="text")
    np.save(tmp_path / "f.npy", np.ones(5))
    with pytest.raises(RecipeError, match=r"need \(1, 8\) or \(8, 1\)"):
        run(table, of="image", features=str(tmp_path / "f.npy"))


def test_what_was_learned_is_told() -> None:
    step = Similarity.model_validate({"of": "image", "prompt": ["x", "y"], "model": SPEC})
    _, _, state = run(two(vectors(1, 0), vectors(1, 1)), of="image", prompt=["x", "y"], model=SPEC)
    assert step.learned(state) == "cosine of 'image' and 'x' + 'y', encoded by fake"
    assert step.explain({"similarity": 0.27314}, state) == "similarity 0.2731"
