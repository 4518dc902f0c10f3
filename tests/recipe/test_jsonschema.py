"""The JSON Schema of the recipe language is shipped, current, and takes the shipped recipes."""

from __future__ import annotations

import copy
import json
from importlib.resources import files

import jsonschema
import pytest
import yaml

from poolwright.recipe.jsonschema import recipe_schema, schema_text
from poolwright.recipe.shipped import shipped


def test_the_shipped_schema_is_that_of_the_code() -> None:
    text = (files("poolwright.recipe") / "recipe.schema.json").read_text(encoding="utf-8")
    assert text == schema_text(), "run `make docs`"


@pytest.mark.parametrize("recipe", shipped(), ids=lambda recipe: recipe.name)
def test_shipped_recipes_are_valid(recipe) -> None:  # type: ignore[no-untyped-def]
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    data = yaml.safe_load(recipe.text)
    jsonschema.validate(data, schema)
    wrong = copy.deepcopy(data)
    next(iter(wrong["tables"].values()))["steps"].append({"topp": {}})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(json.dumps(wrong)), schema)
