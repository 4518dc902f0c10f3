"""Generate the reference of what commands print with `--json`: its page and its JSON Schema."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter

from markdown_parts import doc, page, table
from poolwright.cli.documents import documents
from poolwright.cli.rendering.json_output import SCHEMA


def json_page() -> str:
    """docs/json.md: what every command prints with `--json`."""
    found = documents()
    commands: dict[Any, list[str]] = {}
    for command, cls in found.items():
        commands.setdefault(cls, []).append(command)
    parts = [
        "# JSON of commands",
        "With `--json`, a command prints one JSON object to standard output and nothing else; progress and messages go "
        "to standard error. The exit status is the same. Every object has these fields, and those of its command:",
        table(("field", "type", "meaning"), _ENVELOPE),
        "Numbers are numbers, paths are texts, NaN and infinite numbers are null, times are ISO 8601. "
        "[json.schema.json](json.schema.json) has the JSON Schema. Fields may be added; if one is removed or changes "
        "its meaning, `schema` grows.",
        "## Errors",
        "If a command fails, the object has `error` in place of the fields of the command:",
        table(("field", "type", "meaning"), _ERROR),
    ]
    for cls, names in commands.items():
        parts += [f"## {', '.join(names)}", _summary(cls), _attribute_table(cls)]
    parts.append("## Types of fields")
    for cls in _types_below(commands):
        parts += [f"### {cls.__name__}", _summary(cls), _attribute_table(cls)]
    return page(parts)


_ENVELOPE = [
    ("`poolwright`", "text", "version of poolwright"),
    ("`command`", "text", "name of the command"),
    ("`schema`", "integer", f"number of this schema: {SCHEMA}"),
]
_ERROR = [
    ("`kind`", "text", "class of the error, such as `RecipeError`; `UsageError` and others for a wrong call"),
    ("`message`", "text", "what is wrong, where, and what to do"),
    ("`where`", "object", "`file`, `line` and, in a recipe, `key`, if the message names a line"),
    ("`errors`", "list of errors", "if several mistakes were found at once (`kind` is `Mistakes`): each as an error"),
    ("`continue`", "text", "if people are waited for (`kind` is `WaitingForPeople`): the command that continues"),
]


def json_schema() -> dict[str, Any]:
    """The JSON Schema of what commands print with `--json`."""
    error = {
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "message": {"type": "string"},
            "where": {
                "type": "object",
                "properties": {"file": {"type": "string"}, "line": {"type": "integer"}, "key": {"type": "string"}},
                "required": ["file", "line"],
            },
            "errors": {"type": "array", "items": {"$ref": "#/$defs/Error"}},
            "continue": {"type": "string"},
        },
        "required": ["kind", "message"],
    }
    defs: dict[str, Any] = {"Error": error}
    choices = [_envelope({"type": "string"}, {"error": {"$ref": "#/$defs/Error"}}, ["error"])]
    for command, cls in documents().items():
        schema = _with_null(TypeAdapter(cls).json_schema(mode="serialization"))
        defs |= schema.pop("$defs", {})
        choices.append(_envelope({"const": command}, schema["properties"], schema.get("required", [])))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "oneOf": choices,
        "$defs": dict(sorted(defs.items())),
    }


def _envelope(command: Mapping[str, Any], fields: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    whole = {"poolwright": {"type": "string"}, "command": command, "schema": {"const": SCHEMA}, **fields}
    return {"type": "object", "properties": whole, "required": ["poolwright", "command", "schema", *required]}


def _with_null(schema: Any) -> Any:
    """A schema whose numbers may be null, as those that are not finite are; without titles."""
    if isinstance(schema, list):
        return [_with_null(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _with_null(one) for name, one in schema.items() if not (name == "title" and isinstance(one, str))}
    return {**plain, "type": ["number", "null"]} if plain.get("type") == "number" else plain


def _types_below(classes: Iterable[Any]) -> list[Any]:
    """The classes that fields of others have as types, over any number of steps, by name."""
    found: dict[str, Any] = {}
    todo = [hint for cls in classes for hint in get_type_hints(cls).values()]
    while todo:
        hint = todo.pop()
        todo += get_args(hint)
        if (dataclasses.is_dataclass(hint) or (inspect.isclass(hint) and issubclass(hint, BaseModel))) and (
            hint.__name__ not in found
        ):
            found[hint.__name__] = hint
            todo += get_type_hints(hint).values()
    return [found[name] for name in sorted(found)]


def _summary(cls: type[Any]) -> str:
    return doc(cls).partition("Attributes:")[0].strip()


def _attribute_table(cls: type[Any]) -> str:
    """Fields of a class, with the meanings in the section `Attributes` of its docstring."""
    schema = TypeAdapter(cls).json_schema(mode="serialization")
    meanings: dict[str, str] = {}
    for line in doc(cls).partition("Attributes:\n")[2].splitlines():
        if entry := re.match(r"    ([\w, ]+): (.*)", line):
            names = entry[1].split(", ")
            meanings |= dict.fromkeys(names, entry[2])
        elif line.strip():
            meanings |= {name: f"{meanings[name]} {line.strip()}" for name in names}
    rows = [
        (f"`{name}`", _json_type(field), meanings.get(name, "").removesuffix(".").replace("None", "null"))
        for name, field in schema["properties"].items()
    ]
    return table(("field", "type", "meaning"), rows)


def _json_type(field: Mapping[str, Any]) -> str:
    """The type of a field in words, of its JSON Schema."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(_json_type(choice) for choice in field["anyOf"])
    kind = field.get("type")
    if kind == "array":
        items = field.get("items") or field["prefixItems"][0]  # tuples have values of one type
        return f"list of {_json_type(items)}"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"object of names to {_json_type(field['additionalProperties'])}"
    return {"string": "text", "object": "object", "null": "null", None: "value"}.get(kind, str(kind))
