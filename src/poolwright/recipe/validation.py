"""Validates with pydantic, and reports errors with the file and line of the recipe."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from poolwright.core.errors import Mistakes, PoolwrightError, RecipeError, did_you_mean
from poolwright.recipe.source import Key, RecipeSource

M = TypeVar("M", bound=BaseModel)


def validate(cls: type[M], data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> M:
    """Validate data of a recipe with a pydantic model; raises RecipeError, `Mistakes` if there are several."""
    try:
        return cls.model_validate(data, context=dict(context))
    except (PoolwrightError, ValidationError) as error:
        raise as_recipe_error(error, key, source, cls) from None


def as_recipe_error(error: Exception, key: Key, source: RecipeSource, cls: type[BaseModel]) -> RecipeError:
    """Convert an error of pydantic, or of a validator, to a RecipeError about the key it concerns."""
    if not isinstance(error, ValidationError):
        return source.error(key, str(error))
    # Members of a union report one wrong value several times: the first is shown.
    found: dict[Key, RecipeError] = {}
    for item in _in_order(error.errors(include_url=False), cls):
        place = _existing((*key, *item["loc"]), source)
        missing = (*key, *item["loc"]) if item["type"] in ("missing", "extra_forbidden") else place
        found.setdefault(missing, _as_error(item, key, source, cls))
    return next(iter(found.values())) if len(found) == 1 else Mistakes(tuple(found.values()))


def _in_order(errors: Sequence[Any], cls: type[BaseModel]) -> list[Any]:
    """Return the errors, misspelt keys first, without the missing keys that these were meant to be."""
    unknown = [item for item in errors if item["type"] == "extra_forbidden"]
    others = [item for item in errors if item["type"] != "extra_forbidden"]
    meant = {
        (*item["loc"][:-1], close)
        for item in unknown
        for close in get_close_matches(str(item["loc"][-1]), _fields_at(cls, item["loc"][:-1]), n=1)
    }
    return unknown + [item for item in others if item["type"] != "missing" or tuple(item["loc"]) not in meant]


def _as_error(item: Any, key: Key, source: RecipeSource, cls: type[BaseModel]) -> RecipeError:
    location = tuple(item["loc"])
    if item["type"] == "extra_forbidden":
        known = _fields_at(cls, location[:-1])
        place = (*_existing((*key, *location[:-1]), source), location[-1])
        return source.error(place, f"unknown key; {did_you_mean(str(location[-1]), known)}")
    if item["type"] == "missing":
        return source.error((*key, *location[:-1]), f"'{location[-1]}' is missing")
    place = _existing((*key, *location), source)
    given = item.get("input")
    if item["type"] == "string_type" and isinstance(given, bool | int | float | date):
        return source.not_text(place, given)
    message = item["msg"].removeprefix("Value error, ")
    shown = json.dumps(given, ensure_ascii=False, default=str)
    return source.error(place, f"{message} (given: {shown[:80]})" if len(shown) < 200 else message)


def _existing(key: Key, source: RecipeSource) -> Key:
    """Return the longest prefix of `key` that is in the recipe: pydantic adds names of union members."""
    for length in range(len(key), 0, -1):
        if key[:length] in source.lines or key[:length] in source.overridden:
            return key[:length]
    return key


def _models_of(annotation: Any) -> Iterator[Any]:
    """Yield a type, and those that it is made of."""
    yield annotation
    for one in get_args(annotation):
        yield from _models_of(one)


def _fields_at(cls: type[BaseModel], location: tuple[str | int, ...]) -> list[str]:
    for name in location:
        inner = next((field.annotation for key, field in cls.model_fields.items() if name in (key, field.alias)), None)
        for one in _models_of(inner):
            if isinstance(one, type) and issubclass(one, BaseModel):
                cls = one
    return [field.alias or name for name, field in cls.model_fields.items()]
