"""Validates with pydantic, and reports errors with the file and line of the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from poolwright.core.errors import PoolwrightError, RecipeError, did_you_mean
from poolwright.recipe.source import Key, RecipeSource

M = TypeVar("M", bound=BaseModel)


def validate(cls: type[M], data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> M:
    """Validate data of a recipe with a pydantic model; raises RecipeError."""
    try:
        return cls.model_validate(data, context=dict(context))
    except (PoolwrightError, ValidationError) as error:
        raise as_recipe_error(error, key, source, cls) from None


def as_recipe_error(error: Exception, key: Key, source: RecipeSource, cls: type[BaseModel]) -> RecipeError:
    """Convert an error of pydantic, or of a validator, to a RecipeError about the key it concerns."""
    if not isinstance(error, ValidationError):
        return source.error(key, str(error))
    errors = error.errors(include_url=False)
    # A misspelt key is reported before the missing one it was meant to be.
    first = next((item for item in errors if item["type"] == "extra_forbidden"), errors[0])
    location = tuple(first["loc"])
    full = _existing((*key, *location), source)
    if first["type"] == "extra_forbidden":
        name = str(location[-1])
        return source.error((*key, *location), f"unknown key; {did_you_mean(name, _fields_at(cls, location[:-1]))}")
    if first["type"] == "missing":
        return source.error((*key, *location[:-1]), f"'{location[-1]}' is missing")
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = json.dumps(given, ensure_ascii=False, default=str)
    return source.error(full, f"{message} (given: {shown[:80]})" if len(shown) < 200 else message)


def _existing(key: Key, source: RecipeSource) -> Key:
    """Return the longest prefix of `key` that is in the recipe: pydantic adds names of union members."""
    for length in range(len(key), 0, -1):
        if key[:length] in source.lines or key[:length] in source.overridden:
            return key[:length]
    return key


def _fields_at(cls: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for name in location:
        field = cls.model_fields.get(str(name))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            cls = inner
    return [field.alias or name for name, field in cls.model_fields.items()]
