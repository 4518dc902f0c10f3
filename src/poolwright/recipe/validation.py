"""Validation by pydantic, told with the place in the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from poolwright.core.errors import PoolwrightError, RecipeError, did_you_mean
from poolwright.recipe.source import Key, RecipeSource

M = TypeVar("M", bound=BaseModel)


def validate(cls: type[M], data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> M:
    try:
        return cls.model_validate(data, context=dict(context))
    except (PoolwrightError, ValidationError) as error:
        raise as_recipe_error(error, key, source, cls) from None


def as_recipe_error(error: Exception, key: Key, source: RecipeSource, cls: type[BaseModel]) -> RecipeError:
    if not isinstance(error, ValidationError):
        return source.error(key, str(error))
    errors = error.errors(include_url=False)
    # A misspelt key is told before the missing one it was meant to be.
    first = next((item for item in errors if item["type"] == "extra_forbidden"), errors[0])
    place = tuple(first["loc"])
    full = _existing((*key, *place), source)
    if first["type"] == "extra_forbidden":
        name = str(place[-1])
        return source.error((*key, *place), f"unknown key; {did_you_mean(name, _fields_at(cls, place[:-1]))}")
    if first["type"] == "missing":
        return source.error((*key, *place[:-1]), f"'{place[-1]}' is missing")
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = json.dumps(given, ensure_ascii=False, default=str)
    return source.error(full, f"{message} (given: {shown[:80]})" if len(shown) < 200 else message)


def _existing(key: Key, source: RecipeSource) -> Key:
    """The longest start of `key` that stands in the recipe: pydantic adds names of union members."""
    for length in range(len(key), 0, -1):
        if key[:length] in source.lines or key[:length] in source.overridden:
            return key[:length]
    return key


def _fields_at(cls: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    for name in place:
        field = cls.model_fields.get(str(name))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            cls = inner
    return [field.alias or name for name, field in cls.model_fields.items()]
