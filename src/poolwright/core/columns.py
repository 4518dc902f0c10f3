"""Defines the well-known columns: name, type, unit and meaning.

Steps and pools name these by constant. Other columns may exist as well; they are passed through untouched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from poolwright.core.errors import RecipeError, StepError

UID = "uid"
URL = "url"
TEXT = "text"
IMAGE = "image"
IMAGE_ERROR = "image_error"
ROW_ERROR = "row_error"
IMAGE_PATH = "image_path"
SHA256 = "sha256"
PHASH = "phash"
PDQ = "pdq"
BYTES = "bytes"
WIDTH = "width"
HEIGHT = "height"
ASPECT = "aspect"
TAKEN_AT = "taken_at"
UPLOADED_AT = "uploaded_at"
LATITUDE = "latitude"
LONGITUDE = "longitude"
COUNTRY = "country"
COUNTRY_CODE = "country_code"
REGION = "region"
CONTINENT = "continent"
LICENSE = "license"
AUTHOR = "author"
ATTRIBUTION = "attribution"
TITLE = "title"
LABEL = "label"
LABEL_INDEX = "label_index"
SIMILARITY = "similarity"
SPLIT = "split"
ATTRIBUTE = "attribute"
CLUSTER = "cluster"
CLUSTER_DISTANCE = "cluster_distance"
CLASS_INDEX = "class_index"
BUCKET = "bucket"
PROMPT = "prompt"


@dataclass(frozen=True)
class Column:
    """One well-known column.

    Attributes:
        name: the name in every table and release.
        type: Arrow type.
        unit: unit or coding of the values, empty if the meaning says it all.
        meaning: one sentence for the card, Croissant and the steps reference.
    """

    name: str
    type: pa.DataType
    unit: str
    meaning: str


_TIME = pa.timestamp("us", tz="UTC")

WELL_KNOWN: dict[str, Column] = {
    column.name: column
    for column in (
        Column(UID, pa.string(), "", "Stable id of the row, unique in its pool"),
        Column(URL, pa.string(), "URL", "Where the image was or can be downloaded"),
        Column(TEXT, pa.string(), "", "Caption or alternative text of the image"),
        Column(IMAGE, pa.binary(), "encoded file", "Bytes of the image file; read when a step needs them"),
        Column(IMAGE_ERROR, pa.string(), "reason", "Why the image file could not be read; null if it was read"),
        Column(ROW_ERROR, pa.string(), "reason", "Why the source row could not be read; null if it was read"),
        Column(IMAGE_PATH, pa.string(), "path", "Image file, relative to the image root of its pool"),
        Column(SHA256, pa.string(), "hex", "SHA-256 of the bytes of the image file"),
        Column(PHASH, pa.string(), "hex, 64 bit", "DCT perceptual hash of the upright image"),
        Column(PDQ, pa.string(), "hex, 256 bit", "PDQ perceptual hash of the upright image"),
        Column(BYTES, pa.int64(), "bytes", "Size of the image file"),
        Column(WIDTH, pa.int32(), "pixels", "Width of the upright image"),
        Column(HEIGHT, pa.int32(), "pixels", "Height of the upright image"),
        Column(ASPECT, pa.float32(), "ratio", "Longer edge over shorter edge, at least 1"),
        Column(TAKEN_AT, _TIME, "UTC", "When the picture was taken"),
        Column(UPLOADED_AT, _TIME, "UTC", "When the picture was uploaded"),
        Column(LATITUDE, pa.float64(), "degrees", "Latitude, WGS 84, north positive"),
        Column(LONGITUDE, pa.float64(), "degrees", "Longitude, WGS 84, east positive"),
        Column(COUNTRY, pa.string(), "", "Country the picture is from"),
        Column(COUNTRY_CODE, pa.string(), "ISO 3166-1 alpha-3", "Code of the country"),
        Column(REGION, pa.string(), "", "Region of the country, such as Western Africa"),
        Column(CONTINENT, pa.string(), "", "Continent of the country"),
        Column(LICENSE, pa.string(), "SPDX-like code", "Licence of the image"),
        Column(AUTHOR, pa.string(), "", "Who to attribute the image to"),
        Column(ATTRIBUTION, pa.string(), "", "Line that attributes the image: title, author, source, licence"),
        Column(TITLE, pa.string(), "", "Title of the image"),
        Column(LABEL, pa.string(), "", "Name of the class of the row"),
        Column(LABEL_INDEX, pa.int32(), "index", "Index of the class in its vocabulary"),
        Column(SIMILARITY, pa.float32(), "cosine", "Cosine of the image and its label or text"),
        Column(SPLIT, pa.string(), "", "Split of the released dataset the row is in"),
        Column(ATTRIBUTE, pa.int32(), "index", "Attribute of the row within its class, 0 the most frequent"),
        Column(CLUSTER, pa.int32(), "index", "Cluster of the row within its class, by size, 0 the largest"),
        Column(CLUSTER_DISTANCE, pa.float32(), "distance", "Distance of the row's vector from its cluster's centroid"),
        Column(BUCKET, pa.int32(), "index", "Bucket of time the row is in, the earliest 0"),
        Column(PROMPT, pa.string(), "", "Text that the row was retrieved by"),
    )
}

# Schema metadata of a vector column: which encoder made it, and the digest of its weights.
MODEL_KEY = b"poolwright.model"
WEIGHTS_KEY = b"poolwright.weights"


# Field metadata of a column of class names: all names, in the order of the indices that its source numbers them by.
CLASSES_KEY = b"poolwright.classes"

DESCRIPTION_KEY = b"description"


def described(field: pa.Field, meaning: str) -> pa.Field:
    """Return the field with a sentence on its meaning, which cards, Croissant and reports show."""
    return field.with_metadata({**(field.metadata or {}), DESCRIPTION_KEY: meaning.encode()})


def meaning_of(field: pa.Field) -> str:
    """Return what a column holds, with its unit: its own description, else that of the well-known column, else ''."""
    if DESCRIPTION_KEY in (field.metadata or {}):
        return str(field.metadata[DESCRIPTION_KEY].decode())
    known = WELL_KNOWN.get(field.name)
    if known is None:
        return ""
    # A unit that only repeats the name of the column says nothing.
    return f"{known.meaning} ({known.unit})" if known.unit and known.unit.lower() != known.name else known.meaning


def with_classes(field: pa.Field, names: Sequence[str]) -> pa.Field:
    """Return the field of a column of class names that records all of them, in the order of their indices."""
    return field.with_metadata({**(field.metadata or {}), CLASSES_KEY: json.dumps(list(names), ensure_ascii=False)})


def classes_of(field: pa.Field) -> tuple[str, ...]:
    """Return the names of classes that a column records, in the order of their indices; () if it records none."""
    known = (field.metadata or {}).get(CLASSES_KEY)
    return tuple(json.loads(known)) if known else ()


def vector_type(width: int) -> pa.DataType:
    """Return the type of a stored embedding: `width` float16 values, unit length."""
    return pa.list_(pa.float16(), width)


def vector_field(name: str, width: int, model: str, weights: str) -> pa.Field:
    """Return the field of an embedding column that records which encoder, with which weights, made it."""
    return pa.field(name, vector_type(width), metadata={MODEL_KEY: model, WEIGHTS_KEY: weights})


def vector_model(field: pa.Field) -> tuple[str, str] | None:
    """Return (model name, weight digest) of an embedding column; None if the source does not say."""
    metadata = field.metadata or {}
    if MODEL_KEY not in metadata:
        return None
    return metadata[MODEL_KEY].decode(), metadata.get(WEIGHTS_KEY, b"").decode()


def same_space(one: pa.Field, other: pa.Field) -> None:
    """Check that two embedding columns may be compared.

    A model name or weight digest that is not known counts as equal.

    Raises:
        StepError: the widths differ, or both name their model and the names or weights differ.
    """
    left, right = vector_model(one), vector_model(other)
    if one.type.list_size != other.type.list_size:
        of, of_other = (f", of {made_by[0]}," if made_by else "" for made_by in (left, right))
        raise StepError(
            f"'{one.name}'{of} has width {one.type.list_size} and '{other.name}'{of_other} has width "
            f"{other.type.list_size}; vectors of one similarity must come from one model"
        )
    if left and right and not _same_model(left, right):
        raise StepError(
            f"'{one.name}' was made by {left[0]} ({left[1][:12]}) and '{other.name}' by {right[0]} ({right[1][:12]}); "
            "vectors of two models must not be mixed in one similarity"
        )


def _same_model(left: tuple[str, str], right: tuple[str, str]) -> bool:
    return left[0] == right[0] and (left[1] == right[1] or not left[1] or not right[1])


def united_field(fields: Mapping[str, pa.Field]) -> pa.Field:
    """Return the field that holds the values of a column of several sources: of the widest of their types.

    Types are promoted as by `pyarrow.concat_tables(promote_options="permissive")`, and dictionaries to their values.
    Vectors keep the encoder that made them, and classes their order if no two sources number them differently.

    Args:
        fields: of the column, by the name of the source.

    Raises:
        RecipeError: no type holds the values of all, or vectors differ in width or encoder; with two of the sources.
    """
    known = {name: field for name, field in fields.items() if not pa.types.is_null(field.type)} or dict(fields)
    first, field = next(iter(known.items()))
    metadata = dict(field.metadata or {})
    for name, other in known.items():
        if is_vector(field.type) and is_vector(other.type):
            _check_vectors(first, field.with_metadata(metadata), name, other)
        if MODEL_KEY not in metadata and vector_model(other):
            first, metadata = name, {**metadata, **other.metadata}
        dtype = wider_type(field.type, other.type)
        if dtype is None:
            types = ", ".join(f"{field.type} in {name}" for name, field in known.items())
            raise RecipeError(f"column '{field.name}' is {types}; no type holds them all")
        field = field.with_type(dtype)
    orders = {classes_of(field): field.metadata[CLASSES_KEY] for field in known.values() if classes_of(field)}
    metadata.pop(CLASSES_KEY, None)
    if len(orders) == 1:
        metadata[CLASSES_KEY] = next(iter(orders.values()))
    return pa.field(field.name, field.type, metadata=metadata or None)


def _check_vectors(first: str, one: pa.Field, second: str, other: pa.Field) -> None:
    try:
        same_space(one, other)
    except StepError:
        words = [
            f"{field.type.list_size} values" + (f" by {made[0]} ({made[1][:12]})" if made else "")
            for field, made in ((one, vector_model(one)), (other, vector_model(other)))
        ]
        raise RecipeError(
            f"the vectors '{one.name}' of {first} ({words[0]}) and of {second} ({words[1]}) are not of one encoder"
        ) from None


def wider_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that both can be cast to; None if there is none."""
    if one == other:
        return one
    plain = [dtype.value_type if pa.types.is_dictionary(dtype) else dtype for dtype in (one, other)]
    try:
        schemas = [pa.schema([pa.field("", dtype)]) for dtype in plain]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return None


def declared_type(name: str, alias: str) -> pa.DataType:
    """Return the Arrow type that a recipe declares for a column.

    Raises:
        ValueError: no type has that name.
    """
    try:
        return pa.type_for_alias(alias)
    except ValueError:
        raise ValueError(
            f"'{alias}' of column '{name}' is no type; use string, bool, int32, int64, float32, float64, "
            "date32 or timestamp[us]"
        ) from None


def is_vector(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds vectors of one fixed width."""
    return bool(pa.types.is_fixed_size_list(dtype) and pa.types.is_floating(dtype.value_type))


def is_text(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds strings, plain or dictionary-coded."""
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    return bool(pa.types.is_string(dtype) or pa.types.is_large_string(dtype))


def is_groupable(dtype: pa.DataType) -> bool:
    """Whether rows can be grouped by a column of this type: strings, integers, booleans."""
    return bool(is_text(dtype) or pa.types.is_integer(dtype) or pa.types.is_boolean(dtype))


def is_orderable(dtype: pa.DataType) -> bool:
    """Whether rows can be ranked by a column of this type: numbers, booleans, times."""
    return bool(
        pa.types.is_floating(dtype)
        or pa.types.is_integer(dtype)
        or pa.types.is_temporal(dtype)
        or pa.types.is_boolean(dtype)
    )
