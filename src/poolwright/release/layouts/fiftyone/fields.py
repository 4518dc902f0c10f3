"""Declare the fields of FiftyOne samples for the columns of a release, and write their values as extended JSON.

Follows what `FiftyOneDatasetImporter` of fiftyone 1.22 reads: documents of MongoDB in the notation of
https://www.mongodb.com/docs/manual/reference/mongodb-extended-json.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import io
import math
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import is_text, is_vector, meaning_of, vector_model

_FIELDS = "fiftyone.core.fields."
_TAKEN = frozenset(
    ("_id", "add_labels", "clear_field", "compute_metadata", "copy", "created_at", "dataset", "dataset_id",
     "field_names", "filename", "filepath", "from_dict", "from_doc", "from_frame", "from_json", "get_field",
     "get_media_key", "has_field", "id", "in_dataset", "iter_fields", "last_modified_at", "media_reference",
     "media_type", "merge", "metadata", "pk", "reload", "save", "set_field", "tags", "to_dict", "to_json",
     "to_mongo_dict", "update_fields")
)  # fmt: skip
"""Names of fields that every sample has, and of members of its class, which hide fields of the same name."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_LARGEST = 2**63


def field_names(columns: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Return the name of the field for each column: its own, unless FiftyOne has another use for it.

    Args:
        taken: names of further fields.
    """
    names: dict[str, str] = {}
    used = {*_TAKEN, *taken}
    for column in columns:
        name = column.replace(".", "_").replace("$", "_").lstrip("_") or "column"
        while name in used:
            name += "_"
        used.add(name)
        names[column] = name
    return names


def declared(
    name: str,
    kind: str,
    document: str | None = None,
    inner: str | None = None,
    fields: Iterable[Mapping[str, Any]] = (),
    stored: str | None = None,
    description: str | None = None,
) -> dict[str, Any]:
    """Return the declaration of a field.

    Args:
        kind: class of the field, such as 'StringField'.
        document: class of the embedded documents, if it has some.
        inner: class of the fields of a list.
        fields: declarations of the fields of the embedded documents.
        stored: name in the database, if it differs.
    """
    return {
        "name": name,
        "ftype": _FIELDS + kind,
        "embedded_doc_type": document,
        "subfield": _FIELDS + inner if inner else None,
        "fields": list(fields),
        "db_field": stored or name,
        "description": description,
        "info": None,
        "read_only": False,
        "created_at": None,
    }


def column_field(name: str, column: pa.Field) -> dict[str, Any] | None:
    """Return the declaration of the field for a column; None if its values cannot be shown, as with bytes."""
    kind, inner = _kind(column.type), None
    if is_vector_field(column):
        kind = "VectorField"
    elif kind == "ListField":
        inner = _kind(column.type.value_type)
        inner = inner if inner != "ListField" else None
    return kind and declared(name, kind, inner=inner, description=meaning_of(column) or None)


def is_vector_field(column: pa.Field) -> bool:
    """Whether a column has vectors; of embeddings that some rows lack, the lists have no fixed size."""
    return is_vector(column.type) or (_is_list(column.type) and vector_model(column) is not None)


def _kind(dtype: pa.DataType) -> Any:
    kinds = pa.types
    if kinds.is_boolean(dtype):
        return "BooleanField"
    if kinds.is_integer(dtype):
        return "IntField" if dtype != pa.uint64() else "StringField"
    if kinds.is_floating(dtype) or kinds.is_decimal(dtype):
        return "FloatField"
    if kinds.is_timestamp(dtype):
        return "DateTimeField"
    if kinds.is_date(dtype):
        return "DateField"
    if is_text(dtype) or kinds.is_time(dtype) or kinds.is_duration(dtype) or kinds.is_null(dtype):
        return "StringField"
    if kinds.is_struct(dtype):
        return "DictField" if all(_kind(field.type) for field in dtype) else None
    return "ListField" if _is_list(dtype) and _kind(dtype.value_type) else None


def _is_list(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype))


def values_of(values: pa.Array | pa.ChunkedArray, column: pa.Field) -> list[Any]:
    """Return the values of a column as extended JSON has them."""
    if is_vector_field(column):
        return [_vector(value.values.to_numpy(zero_copy_only=False)) if value.is_valid else None for value in values]
    if pa.types.is_timestamp(column.type):  # to_pylist of nanoseconds needs pandas
        values = values.cast(pa.timestamp("us", column.type.tz), safe=False)
    if column.type == pa.uint64():
        values = values.cast(pa.string())
    return [as_json(value) for value in values.to_pylist()]


def as_json(value: Any) -> Any:
    """Return a value in extended JSON."""
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if -_LARGEST <= value < _LARGEST else str(value)
    if isinstance(value, float | decimal.Decimal):
        number = float(value)
        return number if math.isfinite(number) else {"$numberDouble": _NOT_FINITE[str(number)]}
    if isinstance(value, datetime.datetime):
        value = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
        return {"$date": {"$numberLong": str((value - _EPOCH) // datetime.timedelta(milliseconds=1))}}
    if isinstance(value, datetime.date):
        return as_json(datetime.datetime.combine(value, datetime.time(), datetime.UTC))
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    return str(value)


_NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def _vector(vector: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return a vector as FiftyOne stores it: the bytes of a .npy file through zlib, here without compression."""
    data = _npy_header(vector.dtype.str, len(vector)) + vector.tobytes()
    data = zlib.compress(data, 0)  # of unit vectors little is saved, and the bytes hang on no version of zlib
    return {"$binary": {"base64": base64.b64encode(data).decode("ascii"), "subType": "00"}}


@lru_cache
def _npy_header(dtype: str, length: int) -> bytes:
    out = io.BytesIO()
    np.save(out, np.zeros(length, dtype), allow_pickle=False)
    return out.getvalue()[: -length * np.dtype(dtype).itemsize or None]
