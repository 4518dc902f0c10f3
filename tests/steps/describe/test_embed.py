"""embed: vector columns from images and texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError
from tests.models.making import MANIFEST, encoded, picture, write_clip

from poolwright.core.columns import vector_model
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Outcome, Resources
from poolwright.models.encoders.load import load_encoder, uses_gpu
from poolwright.steps.describe.embed import Embed
from poolwright.steps.describe.hash import Hash
from poolwright.steps.describe.size import Size


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("embed") / "clip")


@pytest.fixture(scope="module")
def rows() -> Rows:
    images = [encoded(picture(seed)) for seed in range(5)]
    return Rows.of(
        {
            "uid": [f"u{i}" for i in range(8)],
            "image": pa.array([*images[:2], None, b"", images[2][:300], b"<html>", *images[3:]], pa.binary()),
            "text": pa.array(["a dog", None, "", "boat", "zebra", "a dog", "ß 日本", "red"]).dictionary_encode(),
        }
    )


def step_of(clip: Path, **parameters: Any) -> Embed:
    return Embed.model_validate({"model": f"onnx:{clip}", **parameters})


def run(step: Embed, rows: Rows) -> tuple[Outcome, State]:
    state = step.fit(MemoryFrame(rows.table), Context(encoder=load_encoder))
    return step.apply(rows, state), state


def reasons_of(step: Embed, outcome: Outcome, count: int) -> list[str | None]:
    codes = outcome.drop if outcome.drop is not None else np.zeros(count, np.uint8)
    return [step.reasons[code - 1].name if code else None for code in codes]


def test_images_and_texts(clip: Path, rows: Rows) -> None:
    step = step_of(clip, image="clip", text="clip_text")
    fields = step.gives(rows.schema)
    encoder = load_encoder(step.model)
    assert [field.name for field in fields] == ["clip", "clip_text"]
    assert all(vector_model(field) == ("tiny-clip", encoder.weights) for field in fields)
    outcome, state = run(step, rows)
    assert state.values["models"]["clip"] == {"name": "tiny-clip", "width": 16, "weights": encoder.weights}
    assert [outcome.columns[field.name].type for field in fields] == [field.type for field in fields]
    assert reasons_of(step, outcome, 8) == [
        None, None, "missing_file", "empty_file", "truncated_image", "not_an_image", None, None,
    ]  # fmt: skip
    good = [0, 1, 6, 7]
    given = rows.give(outcome.columns, {field.name: field for field in fields})
    images = given.vectors("clip").astype(np.float32)
    expected, _ = encoder.images([rows.column("image")[i].as_py() for i in good])
    assert np.array_equal(images[good], expected.astype(np.float16).astype(np.float32))
    assert np.abs(np.linalg.norm(images[good], axis=1) - 1).max() < 2e-3
    texts = outcome.columns["clip_text"]
    assert texts.is_null().to_pylist() == [False, True, *[False] * 6]
    assert texts[0] == texts[5]
    assert "tiny-clip, 16 dimensions" in step.learned(state)


def test_rows_alone_and_together_are_the_same(clip: Path, rows: Rows) -> None:
    step = step_of(clip, image="clip", text="clip_text")
    whole, state = run(step, rows)
    assert whole.drop is not None
    for place in range(len(rows)):
        one = step.apply(rows.slice(place, 1), state)
        assert reasons_of(step, one, 1) == [reasons_of(step, whole, 8)[place]]
        for name in ("clip", "clip_text"):
            assert one.columns[name][0].as_py() == whole.columns[name][place].as_py()
    none = step.apply(rows.slice(0, 0), state)
    assert [len(column) for column in none.columns.values()] == [0, 0]


def test_texts_of_another_column_without_images(clip: Path, rows: Rows) -> None:
    titled = Rows(rows.table.rename_columns(["uid", "image", "title"]))
    step = step_of(clip, text="t", text_from="title")
    assert step.needs() == ("title",)
    outcome, _ = run(step, titled)
    assert list(outcome.columns) == ["t"]
    assert outcome.drop is None
    with pytest.raises(StepError, match="'image' is binary, not text"):
        step_of(clip, text="t", text_from="image").gives(rows.schema)


def test_why_an_image_could_not_be_read_is_told(clip: Path, rows: Rows) -> None:
    errors = pa.array([None, None, "unreadable_file", "outside_root", "no such reason", None], pa.string())
    files = pa.array([encoded(picture(1)), b"text", None, None, None, None], pa.binary())
    some = Rows.of({"uid": list("abcdef"), "image": files, "image_error": errors})
    expected = [None, "not_an_image", "unreadable_file", "outside_root", "missing_file", "missing_file"]
    step = step_of(clip, image="clip")
    assert step.optional() == ("image_error",)
    assert reasons_of(step, run(step, some)[0], 6) == expected
    for verb in (Size(), Hash(kinds=("phash",))):
        drop = verb.apply(some, State()).drop
        assert drop is not None
        assert [verb.reasons[code - 1].name if code else None for code in drop] == expected


def test_limits(clip: Path, rows: Rows) -> None:
    step = step_of(clip, image="clip", max_pixels=100)
    outcome, _ = run(step, rows.slice(0, 1))
    assert reasons_of(step, outcome, 1) == ["too_many_pixels"]


def test_vectors_that_are_not_finite_are_dropped(tmp_path: Path, rows: Rows) -> None:
    clip = write_clip(tmp_path / "clip")
    manifest = json.loads(json.dumps(MANIFEST))
    manifest["image"]["std"] = [1e-38, 1e-38, 1e-38]
    (clip / "manifest.json").write_text(json.dumps(manifest))
    step = step_of(clip, image="clip")
    outcome, _ = run(step, rows.slice(0, 2))
    assert reasons_of(step, outcome, 2) == ["nan_vector"] * 2
    assert outcome.columns["clip"].null_count == 2


def test_another_model_than_the_fitted_one_is_refused(tmp_path: Path, clip: Path, rows: Rows) -> None:
    _, state = run(step_of(clip, image="clip"), rows)
    other = write_clip(tmp_path / "other")
    (other / "vocabulary.txt").write_text("<pad>\n<unk>\none\ntwo\nthree\nfour\nfive\n")
    with pytest.raises(ChangedError, match="begun with"):
        step_of(other, image="clip").apply(rows, state)


def test_parameters(clip: Path) -> None:
    named = EncoderSpec(model=f"onnx:{clip}", batch=8)
    context = {"models": {"mine": named}}
    step = Embed.model_validate({"image": "v", "model": "mine", "device": "cpu"}, context=context)
    assert step.model == EncoderSpec(model=f"onnx:{clip}", batch=8, device="cpu")
    assert Embed.model_validate(step.model_dump()) == step
    with pytest.raises(ValidationError, match="gives nothing"):
        step_of(clip)
    with pytest.raises(ValidationError, match="cannot both"):
        step_of(clip, image="v", text="v")
    with pytest.raises(ValidationError, match="did you mean 'mine'"):
        Embed.model_validate({"image": "v", "model": "mne"}, context=context)


def test_a_model_without_texts_is_told_at_once(clip: Path, rows: Rows) -> None:
    manifest = {"image": {"resize": 36, "crop": 32}}
    model = {"model": f"onnx:{clip}/image.onnx", "manifest": manifest}
    step = Embed.model_validate({"text": "t", "model": model})
    with pytest.raises(StepError, match="no text encoder"):
        step.gives(rows.schema)
    with pytest.raises(RecipeError, match="no such file"):
        step_of(clip / "nothing", image="v").gives(rows.schema)


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_units_that_embed_on_a_gpu_ask_a_cluster_for_one(device: str) -> None:
    step = Embed(image="clip", model="timm:resnet18", device=device)
    assert step.resources() == Resources(1, 1 if device == "cuda" else 0)
    assert Size().resources() == Resources(1, 0)


def test_onnx_models_run_on_cpus(clip: Path) -> None:
    assert step_of(clip, image="clip", device="cuda").resources() == Resources()


def test_auto_asks_for_a_gpu_if_this_machine_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    for there in (True, False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert uses_gpu(EncoderSpec(model="timm:resnet18")) == there
