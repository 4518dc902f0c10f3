"""Generate from the code: docs/steps.md, docs/pools.md, docs/layouts.md, docs/json.md and the JSON Schemas.

    python tools/make_reference.py [ROOT]

ROOT is the folder to write into, laid out as the repository; default: the repository. Run by `make docs`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pydantic import BaseModel

from poolwright.core.columns import WELL_KNOWN, vector_type
from poolwright.core.step import Step
from poolwright.core.texts.yaml_text import load
from poolwright.demo.demo import clip_folder
from poolwright.models.encoders.spec import model_spec
from poolwright.recipe.jsonschema import recipe_schema, schema_text
from poolwright.registry import LAYOUTS, POOLS, STEPS, layout_class, pool_class, step_class
from poolwright.release.card.about import About
from poolwright.release.data.image_changes import ImageChanges
from poolwright.testing.fixtures import knowing

sys.path.insert(0, str(Path(__file__).parent))  # it may be loaded by its path
from json_reference import json_page, json_schema
from markdown_parts import doc as _doc
from markdown_parts import page as _page
from markdown_parts import table as _table

CHOICE = Path(__file__).with_name("pools.md")
"""Which pool reads what, for docs/pools.md."""

VALUES = Path(__file__).with_name("values.md")
"""The forms in which sources write values, for docs/pools.md."""


def main() -> None:
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    for page, text in reference().items():
        path = root / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def reference() -> dict[str, str]:
    """Every generated file: text by path below the repository."""
    return {
        "docs/steps.md": steps_page(),
        "docs/pools.md": pools_page(),
        "docs/layouts.md": layouts_page(),
        "docs/json.md": json_page(),
        "docs/json.schema.json": json.dumps(json_schema(), indent=1) + "\n",
        "src/poolwright/recipe/recipe.schema.json": schema_text(),
    }


def steps_page() -> str:
    """docs/steps.md: every step, in flow order."""
    parts = [
        "# Steps",
        "A step is one line of a table's `steps`, in the order they run. *Describe* steps give columns, *choose* steps "
        "drop rows, each for a reason in the ledger, *split* steps name the part of the release a row goes to. "
        "`poolwright steps VERB` prints the same.",
        _table(("step", "kind", "what it does"), [_step_row(verb) for verb in STEPS]),
        *(part for verb in STEPS for part in _step_parts(verb)),
        "### A rule for `sizes` of glt",
        _fields_of(recipe_schema()["$defs"]["Profile"]),
    ]
    return _page(parts)


def _step_row(verb: str) -> tuple[str, str, str]:
    step = step_class(verb)
    return f"[`{verb}`](#{verb})", step.kind, _first_line(step)


def _step_parts(verb: str) -> list[str]:
    cls = step_class(verb)
    step = _example_step(verb)
    parts = [f"## {verb}", _doc(cls), _fragment("steps", "- " + step_class(verb).example)]
    parts += [f"The example {_reads_and_gives(step)}."]
    parts += [_fields(cls, cls.shorthand)] if cls.model_fields else []
    if cls.reasons:
        rows = [(f"`{reason.name}`", reason.words, "yes" if reason.bad else "") for reason in cls.reasons]
        parts += ["Drops rows for these reasons; bad rows count towards `max_bad`:"]
        parts += [_table(("reason", "in words", "bad row"), rows)]
    return parts


def _example_step(verb: str) -> Step:
    """The step of an example, built as a recipe builds it."""
    data = load(step_class(verb).example, verb)
    parameters = data[verb] if isinstance(data, dict) else {}
    cls = step_class(verb)
    if cls.shorthand and not isinstance(parameters, dict):
        parameters = {cls.shorthand: parameters}
    models = {"clip": model_spec(f"onnx:{clip_folder()}")}
    return knowing(cls.model_validate(parameters, context={"models": models, "folder": "."}))


def _reads_and_gives(step: Step) -> str:
    """The columns that the example reads and gives, as declared by the step."""
    live, reads = _live_columns(), step.needs()
    if not set(reads) <= set(live.names):  # columns of no known type: what it gives may depend on them
        return f"reads {_listed(reads)}"
    gives, takes = [field.name for field in step.gives(live)], step.takes(live)
    clauses = [f"reads {_listed(reads)}"] if reads else []
    clauses += [f"gives {_listed(gives)}"] if gives else []
    clauses += [f"takes {_listed(takes)} away"] if takes and len(takes) < 8 else []
    return " and ".join(clauses) or "reads no column"


def _live_columns() -> pa.Schema:
    fields = {name: column.type for name, column in WELL_KNOWN.items()}
    return pa.schema([*fields.items(), ("clip", vector_type(96)), ("year", pa.int64()), ("fetch_error", pa.string())])


def pools_page() -> str:
    """docs/pools.md: every kind of pool."""
    parts = [
        "# Pools",
        "A pool is where rows come from; `read` names its kind. Rows are read in place, part by part, and only the "
        "columns that steps ask for. Every row needs a `uid` of its own.",
        _table(("kind", "what it reads"), [(f"[`{kind}`](#{kind})", _first_line(pool_class(kind))) for kind in POOLS]),
        CHOICE.read_text(encoding="utf-8").strip(),
    ]
    for kind in POOLS:
        cls = pool_class(kind)
        parts += [f"## {kind}", _doc(cls), _fragment("pools", cls.example), _fields(cls)]
    nested = {
        "TableVectors": "`vectors` of a table pool",
        "ArrayColumn": "`columns` of an arrays pool",
        "Lookup": "`lookup` of an arrays pool",
    }
    for name, title in nested.items():
        parts += [f"### {title}", _fields_of(recipe_schema()["$defs"][name])]
    parts += [
        "## Well-known columns",
        "A column of one of these names has this type and meaning everywhere; other columns travel as they are.",
        _table(
            ("column", "type", "unit", "meaning"),
            [(f"`{column.name}`", f"`{column.type}`", column.unit, column.meaning) for column in WELL_KNOWN.values()],
        ),
        VALUES.read_text(encoding="utf-8").strip(),
    ]
    return _page(parts)


def layouts_page() -> str:
    """docs/layouts.md: every release layout, and the card."""
    parts = [
        "# Release layouts",
        "A release is a table written in a layout its users know. Whatever the layout, it holds the card "
        "(`README.md`), `croissant.json`, the record, states and recipe it was made from, and `SHA256SUMS`; "
        "`poolwright verify` checks all of it. The same table gives the same bytes.",
        "Image files are released as they were found, unless `images` is a mapping: see "
        "[`images` of a release](#images-of-a-release). `width`, `height`, hashes and what people saw are of the "
        "upright picture; if EXIF says to turn an image that is released as it was found, the card counts it and names "
        "the readers that do (`datasets`, OpenCV, FiftyOne) and do not (torchvision, webdataset, TensorFlow, "
        "mlcroissant).",
        _table(
            ("layout", "what it writes"),
            [(f"[`{name}`](#{name})", _first_line(layout_class(name))) for name in LAYOUTS],
        ),
    ]
    parts += [
        "`to` may be a folder of an object store, `s3://BUCKET/FOLDER`: see [publishing](publishing.md#object-stores).",
        "There is no layout of TFRecords: TensorFlow Datasets (tried with 4.9.10, and Apache Beam, which it needs for "
        "this) makes them from a release in the layout `huggingface`, by "
        '`tfds.dataset_builders.CroissantBuilder(jsonld="croissant.json", record_set_ids=["rows"], '
        'file_format="tfrecord").download_and_prepare()`.',
    ]
    for name in LAYOUTS:
        cls = layout_class(name)
        example = _fragment("releases", "- " + cls.example)
        parts += [f"## {name}", _doc(cls), f"```text\n{cls.tree}\n```", example, _fields(cls)]
    parts += [
        "## `images` of a release",
        _fragment(
            "releases", "- {table: best, layout: image_folder, images: {resize: 512, format: jpeg}, to: out/best}"
        ),
        _doc(ImageChanges),
        _fields(ImageChanges),
    ]
    parts += ["### `columns` of a geoyfcc release", _fields_of(recipe_schema()["$defs"]["PublishedColumns"])]
    parts += [
        "## The card",
        "`card:` at the top of a recipe is for all releases; `card:` of a release overrides it key by key.",
        _fields(About),
    ]
    return _page(parts)


def _fragment(key: str, text: str) -> str:
    """A piece of a recipe under its top-level key."""
    lines = "\n".join("  " + line for line in text.splitlines())
    return f"```yaml\n{key}:\n{lines}\n```"


def _first_line(cls: type[BaseModel]) -> str:
    return _doc(cls).partition("\n")[0]


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fields(cls: type[BaseModel], shorthand: str | None = None) -> str:
    schema = cls.model_json_schema(by_alias=True)
    return _fields_of(schema, shorthand, cls)


def _fields_of(schema: Mapping[str, Any], shorthand: str | None = None, cls: type[BaseModel] | None = None) -> str:
    required, verb = schema.get("required", []), getattr(cls, "verb", "")
    rows = []
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else _value(field.get("default", _made_default(cls, name)))
        meaning = field.get("description", "")
        meaning += f" (may stand alone: `- {verb}: ...`)" if shorthand == name else ""
        rows.append((f"`{name}`", _type(field), default, meaning))
    return _table(("parameter", "type", "default", "meaning"), rows)


def _made_default(cls: type[BaseModel] | None, name: str) -> Any:
    """The default of a field that has a factory, which the JSON Schema lacks."""
    for field_name, field in cls.model_fields.items() if cls else ():
        if name in (field_name, field.alias):
            return field.get_default(call_default_factory=True)
    return None


def _value(value: Any) -> str:
    if value is None or value in ("", [], (), {}):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int):
        return f"`{value:_}`"
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix('...').strip()}`"


_PLAIN = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "mapping"}
_DEFINED = {
    "EncoderSpec": "[encoder](recipes.md#models)",
    "TableVectors": "[vectors](#vectors-of-a-table-pool)",
    "ArrayColumn": "name, or [column](#columns-of-an-arrays-pool)",
    "Lookup": "[lookup](#lookup-of-an-arrays-pool)",
    "PublishedColumns": "[columns](#columns-of-a-geoyfcc-release)",
    "ImageChanges": "[changes](#images-of-a-release)",
    "Profile": "[rule](#a-rule-for-sizes-of-glt)",
}


def _type(field: Mapping[str, Any]) -> str:
    """The type of a parameter in words, of its JSON Schema."""
    if "$ref" in field:
        return _DEFINED.get(field["$ref"].rpartition("/")[2], "mapping")
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        kinds = dict.fromkeys(_type(choice) for choice in field["anyOf"] if choice.get("type") != "null")
        return " or ".join(kind for kind in kinds if kind != "text" or "path or URL" not in kinds)
    if field.get("description", "").startswith("path, relative"):
        return "path or URL"
    if field.get("pattern") == "%$":
        return "percentage"
    if field.get("format") == "date":
        return "date"
    kind = field.get("type")
    if isinstance(kind, list):
        return " or ".join(_PLAIN[name] for name in kind if name != "null")
    if kind == "array":
        items = _type(field["items"]) if field.get("items") else "values"
        return "list of texts" if items == "text" else f"list of {items}"
    if kind == "object" and isinstance(field.get("additionalProperties"), Mapping):
        return f"mapping of names to {_type(field['additionalProperties'])}"
    return _PLAIN.get(str(kind), "value")


if __name__ == "__main__":
    main()
