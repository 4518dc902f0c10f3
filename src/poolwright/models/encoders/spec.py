"""Parse encoders as recipes name them: `squeezenet`, `onnx:models/clip`, or a mapping with options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationInfo

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError, did_you_mean
from poolwright.models.encoders.kinds import ENCODERS

DEVICES = ("auto", "cpu", "cuda")


def model_spec(data: Any, context: Mapping[str, Any] | None = None) -> EncoderSpec:
    """Return the spec of the encoder that a recipe names.

    Args:
        data: the name of an entry of `models:`, 'KIND:MODEL', a mapping with the fields of `EncoderSpec`
            (`manifest` may be a mapping too), or a spec.
        context: `models`, the named specs; `folder`, the folder that relative paths are relative to.

    Raises:
        RecipeError: no such name or kind, or an unknown field.
    """
    context = context or {}
    if isinstance(data, EncoderSpec):
        return data
    if isinstance(data, str):
        return _named(data, context)
    if not isinstance(data, Mapping):
        raise RecipeError("a model is a name in 'models:', 'KIND:MODEL', or a mapping with 'model: KIND:MODEL'")
    return _described(data, context)


def _named(name: str, context: Mapping[str, Any]) -> EncoderSpec:
    models: Mapping[str, EncoderSpec] = context.get("models") or {}
    if name in models:
        return models[name]
    if ":" not in name:
        raise RecipeError(f"no model '{name}'; {did_you_mean(name, models)} Or write it out: onnx:PATH")
    return EncoderSpec(model=_resolved(name, context))


def _described(data: Mapping[str, Any], context: Mapping[str, Any]) -> EncoderSpec:
    for key in data:
        if key not in EncoderSpec.model_fields:
            raise RecipeError(f"a model has no '{key}'; {did_you_mean(str(key), EncoderSpec.model_fields)}")
    if not isinstance(data.get("model"), str):
        raise RecipeError("a model needs 'model: KIND:MODEL', such as onnx:models/clip")
    if data.get("device", "auto") not in DEVICES:
        raise RecipeError(f"no device '{data['device']}'; {did_you_mean(str(data['device']), DEVICES)}")
    base = _named(data["model"], context)
    changes = {key: value for key, value in data.items() if key != "model"}
    if isinstance(changes.get("manifest"), Mapping):
        changes["manifest"] = json.dumps(changes["manifest"], sort_keys=True, separators=(",", ":"))
    return EncoderSpec.model_validate(base.model_dump() | changes)


def _resolved(model: str, context: Mapping[str, Any]) -> str:
    """Return the model with its path, if it has one, made absolute."""
    kind, _, name_or_path = model.partition(":")
    if kind not in ENCODERS.names():
        raise RecipeError(f"no kind of model '{kind}' in '{model}'; {did_you_mean(kind, ENCODERS.names())}")
    folder = context.get("folder")
    return model if folder is None else f"{kind}:{ENCODERS.get(kind)().resolve(name_or_path, folder)}"


def _validated(value: Any, info: ValidationInfo) -> EncoderSpec:
    try:
        return model_spec(value, info.context)
    except RecipeError as error:
        raise ValueError(str(error)) from None


Model = Annotated[EncoderSpec, BeforeValidator(_validated), Field(description="encoder: a name, or KIND:MODEL")]
"""An encoder as a field of a step; names and paths are resolved by the validation context."""
