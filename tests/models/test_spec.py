"""Encoders as recipes write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.models.encoders.spec import Model, model_spec


class Holder(BaseModel):
    model: Model


def test_names_kinds_and_mappings(tmp_path: Path) -> None:
    named = EncoderSpec(model="onnx:/m/squeezenet.onnx", batch=8)
    context = {"folder": str(tmp_path), "models": {"squeezenet": named}}
    assert Holder.model_validate({"model": "squeezenet"}, context=context).model is named
    assert model_spec("onnx:sub/clip", context) == EncoderSpec(model=f"onnx:{tmp_path}/sub/clip")
    assert model_spec("onnx:/abs/clip", context) == EncoderSpec(model="onnx:/abs/clip")
    assert model_spec("onnx:clip") == EncoderSpec(model="onnx:clip")
    mapping = {"model": "onnx:a.onnx", "manifest": {"image": {"resize": 8}}, "batch": 4, "device": "cpu"}
    spec = model_spec(mapping, context)
    assert (spec.batch, spec.device, json.loads(spec.manifest or "")) == (4, "cpu", {"image": {"resize": 8}})
    assert model_spec({"model": "squeezenet", "device": "cpu"}, context).batch == 8
    assert Holder.model_validate_json(Holder(model=spec).model_dump_json()).model == spec


def test_open_clip_weights_are_tags_or_paths(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    context = {"folder": str(tmp_path)}
    assert model_spec("open_clip:ViT-B-32/laion2b_e16", context).name_or_path == "ViT-B-32/laion2b_e16"
    for weights in ("w.pt", "deep/down/model", "weights"):
        assert model_spec(f"open_clip:ViT-B-32/{weights}", context).name_or_path == f"ViT-B-32/{tmp_path}/{weights}"
    assert model_spec("open_clip:ViT-B-32//abs/w.pt", context).name_or_path == "ViT-B-32//abs/w.pt"
    assert model_spec("open_clip:local-dir:m", context).name_or_path == f"local-dir:{tmp_path}/m"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("squeezent", "did you mean 'squeezenet'?"),
        ("onx:a", "did you mean 'onnx'?"),
        ({"model": "onnx:a", "devise": "cpu"}, "did you mean 'device'?"),
        ({"model": "onnx:a", "device": "gpu"}, "no device 'gpu'"),
        ({"device": "cpu"}, "needs 'model: KIND:MODEL'"),
        (7, "a model is"),
    ],
)
def test_what_is_wrong_is_said(data: Any, message: str) -> None:
    context = {"models": {"squeezenet": EncoderSpec(model="onnx:a")}}
    with pytest.raises(RecipeError) as error:
        model_spec(data, context)
    assert message in str(error.value)
    with pytest.raises(ValidationError) as invalid:
        Holder.model_validate({"model": data}, context=context)
    assert message in str(invalid.value)
