"""Makes the JSON Schema of the recipe language from the code, so that editors complete and check recipes.

The shipped file is `recipe.schema.json` next to this module: the language of poolwright alone, which a test compares
with the code. `poolwright steps --schema` adds what installed packages provide.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, BeforeValidator

from poolwright.core.encoder import EncoderSpec
from poolwright.core.runtime.plugins import Registry
from poolwright.recipe.recipe import RecipeBody
from poolwright.recipe.tables import TableBody
from poolwright.registry import (
    encoder_registry,
    layout_class,
    layout_registry,
    pool_class,
    pool_registry,
    step_class,
    step_registry,
)
from poolwright.release.layouts.layout import About

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def recipe_schema(installed: bool = False) -> dict[str, Any]:
    """Make the schema of a whole recipe file (JSON Schema draft 2020-12).

    Args:
        installed: whether to add the steps, pools, layouts and encoders of installed packages.

    Raises:
        RecipeError: one of these cannot be imported.
    """

    def names(registry: Registry[Any]) -> tuple[str, ...]:
        return registry.names() if installed else registry.own

    definitions: dict[str, Any] = {}
    body = _of(RecipeBody, definitions)
    table = _of(TableBody, definitions)
    table["properties"]["steps"]["items"] = {"anyOf": _steps(names(step_registry()), definitions)}
    table["properties"]["apply"]["anyOf"].insert(0, {"type": "string"})
    table["properties"]["from"] = _any_source(table["properties"]["from"])
    properties = body["properties"]
    properties["recipe"] = {"const": 1, "description": "version of the recipe language"}
    properties["tables"]["additionalProperties"] = table
    pools = [_pool(kind, definitions) for kind in names(pool_registry())]
    properties["pools"]["additionalProperties"] = {"anyOf": pools}
    properties["releases"]["items"] = {"anyOf": [_release(name, definitions) for name in names(layout_registry())]}
    properties["models"]["additionalProperties"] = {"$ref": "#/$defs/EncoderSpec"}
    definitions["EncoderSpec"] = _encoder(names(encoder_registry()), definitions)
    definitions["About"] = _of(About, definitions)
    return {"$schema": DIALECT, "title": "poolwright recipe", **body, "$defs": dict(sorted(definitions.items()))}


def schema_text(installed: bool = False) -> str:
    """Format the schema as JSON: as it is shipped, or with what `installed` packages add."""
    return json.dumps(recipe_schema(installed), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


def _of(model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
    schema = _add_definitions(schema, definitions)
    schema.pop("title", None)
    for name, field in model.model_fields.items():
        if any(isinstance(rule, BeforeValidator) for rule in field.metadata):
            _loosen(schema["properties"][field.alias or name])
    return schema


def _add_definitions(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without its definitions, which join the others; one whose name is taken is renamed."""
    added = schema.pop("$defs", {})
    taken = [name for name in added if definitions.get(name, added[name]) != added[name]]
    renamed = {name: f"{schema['title']}.{name}" for name in taken}
    text = json.dumps({"schema": schema, "added": added})
    for old, new in renamed.items():
        text = text.replace(f'"#/$defs/{old}"', f'"#/$defs/{new}"')
    found = json.loads(text)
    definitions.update({renamed.get(name, name): value for name, value in found["added"].items()})
    return dict(found["schema"])


def _loosen(field: dict[str, Any]) -> None:
    """Let a field take one text in place of a list of texts, or of a mapping of one name to itself."""
    kind = field.get("type")
    if kind == "array" and field["items"].get("type") == "string":
        strict = {name: field.pop(name) for name in ("type", "items", "minItems") if name in field}
        field["anyOf"] = [strict["items"], strict]
    elif kind == "object" and "$ref" in (field.get("additionalProperties") or {}):
        values = {"anyOf": [{"type": "string"}, field.pop("additionalProperties")]}
        mapping = {"type": field.pop("type"), "additionalProperties": values, "minProperties": 1}
        field.pop("minProperties", None)
        field["anyOf"] = [{"type": "string"}, mapping]


def _any_source(union: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of `from`: a name, a list of names, or the mapping that these stand for."""
    names = {"type": "array", "items": {"type": "string"}, "minItems": 1}
    return {"anyOf": [{"type": "string"}, names, {"$ref": union["$ref"]}], "description": union["description"]}


def _encoder(kinds: Iterable[str], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an encoder: a name, KIND:MODEL, or a mapping whose manifest may be a mapping too."""
    mapping = _of(EncoderSpec, definitions)
    mapping["properties"]["manifest"] = {
        "type": ["object", "string", "null"],
        "description": "how images and texts are prepared, if there is no manifest next to the model",
    }
    words = f"a name from 'models', or KIND:MODEL such as onnx:PATH; kinds: {', '.join(kinds)}"
    return {"anyOf": [{"type": "string", "description": words}, mapping]}


def _steps(verbs: Iterable[str], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    choices: list[dict[str, Any]] = []
    bare = []
    for verb in verbs:
        step = step_class(verb)
        schema = _of(step, definitions)
        forms = [schema, *(_of(step_class(other), definitions) for other in step.other_verbs.values())]
        if step.shorthand:
            forms.append(schema["properties"][step.shorthand])
        if not schema.get("required"):
            bare.append(verb)
            forms.append({"type": "null"})
        choices.append(
            {
                "type": "object",
                "properties": {verb: forms[0] if len(forms) == 1 else {"anyOf": forms}},
                "required": [verb],
                "additionalProperties": False,
                "description": schema.get("description", "").partition("\n")[0],
            }
        )
    return [*choices, {"enum": bare}]


def _pool(kind: str, definitions: dict[str, Any]) -> dict[str, Any]:
    return _tagged(_of(pool_class(kind), definitions), {"read": {"const": kind}})


def _release(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _of(layout_class(name), definitions)
    tags = {
        "table": {"type": "string", "description": "table to release"},
        "layout": {"const": name},
        "to": {"type": "string", "description": "folder, relative to the recipe's folder; or s3://BUCKET/FOLDER"},
        "parent": {"type": "string", "description": "earlier release, a folder or URL: the card lists what changed"},
        "card": {"$ref": "#/$defs/About"},
    }
    return _tagged(schema, tags, required=("table", "layout", "to"))


def _tagged(schema: dict[str, Any], tags: dict[str, Any], required: tuple[str, ...] | None = None) -> dict[str, Any]:
    schema["properties"] = {**tags, **schema.get("properties", {})}
    schema["required"] = [*(required or tags), *schema.get("required", [])]
    return schema
