"""Make the files of a WebDataset sample from a released row, and their headers in a tar. The same row, the same bytes.

The JSON has no null: `datasets` takes the types of a tar from its first five samples, and cannot read a text where
those have null. A null text is '', other nulls, empty lists and numbers that are not finite are left out. Vectors and
bytes are in the Parquet files alone.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa

from poolwright.core.columns import TEXT, is_text, is_vector
from poolwright.core.images.tar import BLOCK, tar_member

KEY, CLS = "key", "cls"
"""Columns that the layout adds: the key of the sample, and the index of its class; -1 if it has none."""

_TO_JSON = json.JSONEncoder(ensure_ascii=False).encode
NO_CLASS = -1
_NAMED = ("jpg", "png", "webp")
_OTHERS = "jpg"


def picture_extension(formats: Mapping[str, int]) -> str:
    """Return the extension that all pictures of a release have: that of their format, if it is one that readers know.

    Several formats are called 'jpg', as by img2dataset: readers know a format by the bytes, some want one extension.
    """
    (first, *others) = formats or (_OTHERS,)
    return first if not others and first in _NAMED else _OTHERS


@dataclass(frozen=True)
class SampleForm:
    """The files of every sample besides its picture.

    Attributes:
        columns: in the JSON.
        texts: those of them that are texts, or written as such.
        has_text: whether there is a '.txt'.
        has_class: whether there is a '.cls'.
    """

    columns: tuple[str, ...]
    texts: frozenset[str]
    has_text: bool
    has_class: bool

    @classmethod
    def of(cls, schema: pa.Schema) -> SampleForm:
        """Return the files of samples of released rows."""
        columns = [field for field in schema if field.name not in (KEY, CLS) and _is_in_json(field.type)]
        texts = frozenset(field.name for field in columns if _is_written_as_text(field.type))
        has_text = TEXT in schema.names and is_text(schema.field(TEXT).type)
        return cls(tuple(field.name for field in columns), texts, has_text, CLS in schema.names)

    @property
    def count(self) -> int:
        """The number of files of a sample besides its picture."""
        return 1 + self.has_text + self.has_class

    def files(self, rows: pa.Table) -> Iterator[list[tuple[str, bytes]]]:
        """Yield the extension and content of the files of each row, without its picture."""
        names = [*self.columns, *([CLS] if self.has_class else [])]
        values = {name: rows.column(name).to_pylist() for name in names}
        texts = values[TEXT] if self.has_text else []
        pairs = [self._pairs(name, values[name]) for name in self.columns]
        for row, found in enumerate(zip(*pairs, strict=True)):
            files = [("txt", (texts[row] or "").encode("utf-8", "replace"))] if self.has_text else []
            if self.has_class:
                files.append(("cls", str(values[CLS][row]).encode()))
            document = f"{{{', '.join(filter(None, found))}}}"
            yield [*files, ("json", document.encode("utf-8", "replace"))]

    def _pairs(self, name: str, values: Sequence[Any]) -> list[str]:
        """Return a column as it is in the JSON of each row: its name and value; '' if it is left out."""
        label, is_text = _TO_JSON(name), name in self.texts
        return [f"{label}: {text}" if (text := _json_text(value, is_text)) else "" for value in values]


def _json_text(value: Any, is_text: bool) -> str:
    """Return a value in JSON; '' if it is to be left out."""
    if isinstance(value, str):
        return encode_basestring(value)
    if type(value) in (int, float):
        return repr(value) if math.isfinite(value) else ""
    if value is None:
        return '""' if is_text else ""
    found = _json_value(value)
    return "" if found is None else _TO_JSON(found)


def _json_value(value: Any) -> Any:
    """Return a value as JSON has it; None if it is to be left out."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, list):
        return [_json_value(item) for item in value] or None
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def _is_in_json(dtype: pa.DataType) -> bool:
    kinds = pa.types
    if kinds.is_nested(dtype) and not kinds.is_struct(dtype):
        is_list = kinds.is_list(dtype) or kinds.is_large_list(dtype) or kinds.is_fixed_size_list(dtype)
        return is_list and not _is_vectors(dtype) and _is_in_json(dtype.value_type)
    if kinds.is_struct(dtype):
        return all(_is_in_json(field.type) for field in dtype)
    return not (kinds.is_binary(dtype) or kinds.is_large_binary(dtype) or kinds.is_fixed_size_binary(dtype))


def _is_vectors(dtype: pa.DataType) -> bool:
    """Whether a column holds vectors; those of which some are missing are released as plain lists."""
    return is_vector(dtype) or bool(pa.types.is_float16(dtype.value_type))


def _is_written_as_text(dtype: pa.DataType) -> bool:
    number = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_boolean(dtype)
    return not (number or pa.types.is_nested(dtype))


def tar_sample(key: str, files: Iterable[tuple[str, bytes]]) -> tuple[list[bytes], int]:
    """Return the bytes of a sample in a tar, in parts that are not copied, and their number.

    Args:
        key: name of the sample.
        files: extension and content of its files.
    """
    parts, size = [], 0
    for extension, data in files:
        parts += tar_member(f"{key}.{extension}", data)
        size += BLOCK + len(data) + -len(data) % BLOCK
    return parts, size


def sample_features(schema: pa.Schema, extension: str, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the features of a release in the form of the header of a card, for `datasets`.

    Args:
        schema: of the released rows.
        extension: of the pictures.
        classes: names by index.
    """
    form = SampleForm.of(schema)
    found: list[dict[str, Any]] = [{"name": name, "dtype": "string"} for name in ("__key__", "__url__")]
    found.append({"name": extension, "dtype": "image"})
    if form.has_text:
        found.append({"name": "txt", "dtype": "string"})
    if form.has_class:
        names = {str(index): name for index, name in enumerate(classes)}
        found.append({"name": CLS, "dtype": {"class_label": {"names": names}}})
    return [*found, {"name": "json", "struct": [_feature(schema.field(name)) for name in form.columns]}]


def _feature(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_feature_type(field.type)}


def _feature_type(dtype: pa.DataType) -> dict[str, Any]:
    if pa.types.is_struct(dtype):
        return {"struct": [_feature(field) for field in dtype]}
    if pa.types.is_nested(dtype):
        inner = _feature_type(dtype.value_type)
        return {"list": inner.get("dtype", inner.get("struct", inner))}
    if _is_written_as_text(dtype):
        return {"dtype": "string"}
    return {"dtype": {"halffloat": "float32", "float": "float32", "double": "float64"}.get(str(dtype), str(dtype))}
