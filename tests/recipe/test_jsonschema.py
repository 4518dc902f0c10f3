"""The JSON Schema of the recipe language is shipped, current, and takes the shipped recipes."""

from __future__ import annotations

import copy
import functools
import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from poolwright.api import Recipe
from poolwright.recipe.jsonschema import recipe_schema, schema_text
from poolwright.recipe.shipped import shipped
from tests.conftest import REPOSITORY


@functools.cache
def schema() -> jsonschema.Draft202012Validator:
    """The validator of recipes. `jsonschema.validate` would check the schema itself each time: a second."""
    return jsonschema.Draft202012Validator(recipe_schema())


def test_the_shipped_schema_is_that_of_the_code() -> None:
    text = (files("poolwright.recipe") / "recipe.schema.json").read_text(encoding="utf-8")
    assert text == schema_text(), "run `make docs`"
    jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("recipe", shipped(), ids=lambda recipe: recipe.name)
def test_shipped_recipes_are_valid(recipe) -> None:  # type: ignore[no-untyped-def]
    data = yaml.safe_load(recipe.text)
    schema().validate(data)
    wrong = copy.deepcopy(data)
    next(iter(wrong["tables"].values()))["steps"].append({"topp": {}})
    with pytest.raises(jsonschema.ValidationError):
        schema().validate(json.loads(json.dumps(wrong)))


RIGHT: list[dict[str, Any]] = [
    {"models": {"a": "onnx:a", "b": {"model": "a", "device": "cpu", "manifest": {"image": {"resize": 8}}}}},
    {"card": {"language": "en", "tags": ["a", "b"], "known_limits": "one"}},
    {"steps": ["size", {"hash": "sha256"}, {"licenses": "open"}, {"where": "width > 3"}, {"sample": 5}]},
    {"steps": [{"embed": {"image": "v", "model": "onnx:a"}}, {"embed": {"image": "w", "model": {"model": "onnx:a"}}}]},
    {"steps": [{"drop_small": {"group": "a", "below": "4%"}}, {"drop_small": {"group": ["a", "b"], "below": 0.04}}]},
    {"pools": {"p": {"read": "arrays", "path": "a.npz", "columns": {"v": "a", "w": {"array": "b", "model": "m"}}}}},
    {"pools": {"p": {"read": "arrays", "path": ["a.npy", "b.npy"], "columns": "v"}}},
]


def whole(piece: dict[str, Any]) -> dict[str, Any]:
    piece = dict(piece)
    table = {"from": "p", "steps": piece.pop("steps", [])}
    pools = {"p": {"read": "image_folder", "path": "photos"}}
    return {"recipe": 1, "name": "test", "pools": pools, "tables": {"t": table}, **piece}


@pytest.mark.parametrize("piece", RIGHT, ids=lambda piece: str(piece)[:60])
def test_what_recipes_may_say_in_short_is_valid(piece: dict[str, Any]) -> None:
    schema().validate(whole(piece))
    Recipe.from_data(whole(piece))


@pytest.mark.parametrize(
    "place", ["examples/imagenet_zero_shot.yaml", "examples/pacs.yaml", "src/poolwright/demo/recipe.yaml"]
)
def test_examples_are_valid(place: str) -> None:
    schema().validate(yaml.safe_load((REPOSITORY / place).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "piece",
    [
        {"seeed": 1},
        {"steps": [{"top": {"by": "a", "n": 3, "grup": "b"}}]},
        {"steps": [{"top": {"n": 3}}]},
        {"steps": [{"cap": {"group": "a", "n": "many"}}]},
        {"pools": {"p": {"read": "folder", "path": "a"}}},
        {"releases": [{"table": "t", "layout": "huggingface"}]},
        {"models": {"a": {"modell": "onnx:a"}}},
    ],
    ids=str,
)
def test_mistakes_are_not_valid(piece: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        schema().validate(whole(piece))
