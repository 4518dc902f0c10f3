"""Build the schema of released Parquet shards, with the features that Hugging Face `datasets` reads from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_PATH, SHA256, UID, is_groupable, meaning_of, vector_model
from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.table import Table
from poolwright.release.lineage import lineage
from poolwright.release.record import ReleasedColumn, ReleasedImages, ReleaseRecord, type_words

IMAGE_TYPE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""Type in which `datasets` stores an Image feature."""
FILE_NAME = "file_name"
CLASS_ID = "class_id"
_METADATA_KEY = b"huggingface"


def plain_field(field: pa.Field) -> pa.Field:
    """Return the field as it is released: nullable, and of a type that `datasets` and most readers of Parquet know."""
    return pa.field(field.name, _plain_type(field.type), metadata=field.metadata)


def _plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return a type without dictionaries, extensions, views and narrow decimals, which few readers expect."""
    kinds = pa.types
    if isinstance(dtype, pa.BaseExtensionType):
        return _plain_type(dtype.storage_type)
    if kinds.is_dictionary(dtype) or kinds.is_run_end_encoded(dtype):
        return _plain_type(dtype.value_type)
    if kinds.is_decimal(dtype) and dtype.bit_width < 128:
        return pa.decimal128(dtype.precision, dtype.scale)
    if kinds.is_map(dtype):
        return pa.list_(pa.struct([("key", _plain_type(dtype.key_type)), ("value", _plain_type(dtype.item_type))]))
    if kinds.is_struct(dtype):
        return pa.struct([plain_field(field) for field in dtype])
    if kinds.is_fixed_size_list(dtype):
        return pa.list_(_plain_type(dtype.value_type), dtype.list_size)
    if kinds.is_large_list(dtype):
        return pa.large_list(_plain_type(dtype.value_type))
    if kinds.is_list(dtype) or kinds.is_list_view(dtype) or kinds.is_large_list_view(dtype):
        return pa.list_(_plain_type(dtype.value_type))
    return {"string_view": pa.string(), "binary_view": pa.binary()}.get(str(dtype), dtype)


def released_schema(table: pa.Schema, columns: list[str], embedded: bool, class_column: str | None) -> pa.Schema:
    """Return the schema of a shard: the columns, the image after the uid, and the hash of its bytes."""
    fields = [plain_field(table.field(name)) for name in columns]
    if class_column:
        fields = [pa.field(field.name, pa.int64()) if field.name == class_column else field for field in fields]
    if embedded:
        at = next((index + 1 for index, field in enumerate(fields) if field.name == UID), 0)
        fields.insert(at, pa.field(IMAGE, IMAGE_TYPE))
        fields = [pa.field(SHA256, pa.string()) if field.name == SHA256 else field for field in fields]
        if SHA256 not in columns:
            fields.append(pa.field(SHA256, pa.string()))
    return pa.schema(fields)


def copied_schema(table: pa.Schema) -> pa.Schema:
    """Return the schema of metadata next to image files: file name and uid first, and the hash of the file's bytes."""
    names = [name for name in table.names if name not in (IMAGE, IMAGE_PATH, UID)]
    fields = list(released_schema(table, [UID, *names], embedded=False, class_column=None))
    hashed = pa.field(SHA256, pa.string())
    fields = [hashed if field.name == SHA256 else field for field in fields]
    return pa.schema([pa.field(FILE_NAME, pa.string()), *fields, *([] if SHA256 in names else [hashed])])


def with_features(schema: pa.Schema, class_column: str | None, classes: tuple[str, ...]) -> pa.Schema:
    """Return the schema with the metadata from which `datasets` learns of images and class labels.

    Lists and structs are left to be inferred: their spelling differs between versions of `datasets`.
    """
    features: dict[str, Any] = {}
    for field in schema:
        if field.name == IMAGE and field.type == IMAGE_TYPE:
            features[field.name] = {"_type": "Image"}
        elif field.name == class_column:
            features[field.name] = {"names": list(classes), "_type": "ClassLabel"}
        elif not pa.types.is_nested(field.type):
            features[field.name] = {"dtype": _dtype(field.type), "_type": "Value"}
    document = json.dumps({"info": {"features": features}}, ensure_ascii=False)
    return schema.with_metadata({_METADATA_KEY: document})


def _dtype(dtype: pa.DataType) -> str:
    """Return a type in the spelling of `datasets`, which is PyArrow's except for these."""
    spelling = {"halffloat": "float16", "float": "float32", "double": "float64"}
    return (spelling | {"date32[day]": "date32", "date64[ms]": "date64"}).get(str(dtype), str(dtype))


def released_columns(
    schema: pa.Schema, table: Table, class_column: str | None, images: ReleasedImages | None = None
) -> tuple[ReleasedColumn, ...]:
    """Return name, type and meaning of every column."""
    changed = images.changes if images else None
    given = {
        name: f"step {step.index + 1} of table {record.name}, {step.verb}"
        for record in lineage(table).records
        for step in record.steps
        for name in step.gives
    }
    columns = []
    for field in schema:
        meaning = f"The image file. {changed.words}" if changed and field.name == IMAGE else _meaning(field)
        if field.name == class_column:
            meaning = f"{meaning or 'Class'}, as an index into the class names"
        elif not meaning and field.name in given:
            meaning = f"Given by {given[field.name]}"
        columns.append(
            ReleasedColumn(name=field.name, type=type_words(field.type), meaning=meaning or "As in the source")
        )
    return tuple(columns)


def with_meanings(release: ReleaseRecord, meanings: Mapping[str, str]) -> ReleaseRecord:
    """Return the record with the meanings that some columns have in its layout."""
    columns = [
        column.model_copy(update={"meaning": meanings.get(column.name, column.meaning)}) for column in release.columns
    ]
    return release.model_copy(update={"columns": tuple(columns)})


def _meaning(field: pa.Field) -> str:
    if field.name == IMAGE:
        return "The image file, unchanged"
    if field.name == FILE_NAME:
        return "Path of the image file in the folder of the split"
    meaning = meaning_of(field)
    if meaning:
        return meaning
    model = vector_model(field)
    if not model:
        return ""
    return f"Embedding, unit length, by {model[0]}{'; null if a row has none' if pa.types.is_list(field.type) else ''}"


def require_folders(layout: str, domain: str, by: str, schema: pa.Schema) -> None:
    """Check that the columns `domain` and `by` can name folders, and that the layout's own column names are free.

    Raises:
        StepError: a column is missing, has a type that cannot name a folder, or has a name that the layout uses.
    """
    for name in (FILE_NAME, CLASS_ID):
        if name in schema.names:
            raise StepError(f"layout '{layout}' writes a column '{name}', which the table already has; rename it")
    for name, what in ((domain, "domain"), (by, "by")):
        require(name, schema, f"'{what}'")
        if not is_groupable(schema.field(name).type):
            kind = schema.field(name).type
            raise StepError(f"'{what}: {name}' has type {kind}; folders are named by strings or integers")


def require_more(more: Sequence[str] | None, schema: pa.Schema, taken: Collection[str]) -> tuple[str, ...]:
    """Return the further columns that a release names, after checking that they exist and have names of their own.

    Args:
        taken: names of columns that the layout writes.

    Raises:
        StepError: a column is missing, or its name is taken.
    """
    for name in more or ():
        require(name, schema, "'more'")
        if name in taken or name == IMAGE:
            raise StepError(f"'more' names '{name}', which this layout {'leaves out' if name == IMAGE else 'has'}")
    return tuple(more or ())


def require_published(name: str, column: str, schema: pa.Schema, fits: Callable[[pa.DataType], bool]) -> None:
    """Check that a published column can be made from a column of the table.

    Args:
        fits: tells whether the published column can have a type.

    Raises:
        StepError: the table lacks the column, or it has another type.
    """
    if column not in schema.names:
        raise StepError(
            f"the published column '{name}' is made from '{column}', which the table does not have; "
            f"{did_you_mean(column, schema.names)}; name another one with `columns: {{{name}: COLUMN}}`, or leave it "
            f"out with `columns: {{{name}: null}}`"
        )
    dtype = schema.field(column).type
    if not fits(dtype):
        raise StepError(f"the published column '{name}' cannot be made from '{column}', which has type {dtype}")


def require(name: str, schema: pa.Schema, what: str) -> None:
    """Check that a table has a column.

    Args:
        what: what names the column, for the message.

    Raises:
        StepError: the column is missing.
    """
    if name not in schema.names:
        raise StepError(
            f"{what} names the column '{name}', which the table does not have; {did_you_mean(name, schema.names)}"
        )
