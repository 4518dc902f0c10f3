"""Build the nodes of a Croissant document: file sets, record sets and fields, with Croissant's data types."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from poolwright.core.columns import IMAGE, URL
from poolwright.core.images.formats import MEDIA_TYPES
from poolwright.release.record import ReleaseRecord

ROWS = "rows"
"""Id of the record set of all rows."""
ROWS_SET = "rows_set"
"""Id of the file set that the rows are read from."""
_FILE_TYPES = {".parquet": "application/x-parquet", ".csv": "text/csv"}
# Formats whose images are listed as records, because readers decode them.
_READ = ("jpg", "png")


def file_type(path: str) -> str:
    """Return the media type of a data file by its extension."""
    return _FILE_TYPES[Path(path).suffix]


def rows_file_set(release: ReleaseRecord, words: str, includes: Sequence[str]) -> dict[str, Any]:
    """Return the file set of all data files, which the record set of the rows is read from.

    Args:
        words: description of the files.
        includes: their paths, or globs.
    """
    return _file_set(ROWS_SET, words, file_type(release.files[0].path), includes)


def image_file_sets(release: ReleaseRecord, folders: Sequence[str]) -> list[dict[str, Any]]:
    """Return a file set for each format of the image files.

    Args:
        folders: folders with the image files; none if there are no image files.
    """
    made = []
    for kind in release.images.formats if release.images and folders else ():
        name, encoding = f"{kind}_files", MEDIA_TYPES.get(kind, "application/octet-stream")
        patterns = [f"{folder}/*.{kind}" for folder in folders]
        made.append(_file_set(name, f"Image files, {kind}", encoding, patterns, change_words(release)))
    return made


def image_record_sets(release: ReleaseRecord, folders: Sequence[str], below: str) -> list[dict[str, Any]]:
    """Return a record set for each format of the image files that readers decode.

    Args:
        folders: as in `image_file_sets`.
        below: folder that the paths in the column `file_name` are relative to, as text.
    """
    kinds = release.images.formats if release.images and folders else ()
    return [_image_set(kind, below) for kind in kinds if kind in _READ]


def change_words(release: ReleaseRecord) -> str:
    """Return what was done to the images, and with which library; '' if they were released as found."""
    changes = release.images.changes if release.images else None
    return f"{changes.words} Made with {changes.library}." if changes else ""


def _file_set(name: str, words: str, encoding: str, includes: Sequence[str], more: str = "") -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": words,
        **({"description": more} if more else {}),
        "encodingFormat": encoding,
        "includes": list(includes) if len(includes) > 1 else includes[0],
    }


def _image_set(kind: str, below: str) -> dict[str, Any]:
    name = f"{kind}_images"
    source = {"fileSet": {"@id": f"{kind}_files"}}
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"The {kind} files; the field 'file_name' of '{ROWS}' is the path below {below}",
        "field": [
            {
                **constant(f"{name}/image", "sc:ImageObject", "The image"),
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
            {
                **constant(f"{name}/path", "sc:Text", "Path in the release"),
                "source": {**source, "extract": {"fileProperty": "fullpath"}},
            },
        ],
    }


def constant(name: str, data_type: str, words: str) -> dict[str, Any]:
    """Return a field whose values are in the document itself."""
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name.partition("/")[2],
        "description": words,
        "dataType": data_type,
    }


def column_fields(field: pa.Field, meaning: str) -> Iterator[dict[str, Any]]:
    """Yield the Croissant field of a column; none for types that Croissant 1.0 does not have."""
    dtype, repeated = field.type, False
    source: dict[str, Any] = {"fileSet": {"@id": ROWS_SET}, "extract": {"column": field.name}}
    if field.name == IMAGE and pa.types.is_struct(dtype):
        kind: str | None = "sc:ImageObject"
        source["transform"] = {"jsonPath": "bytes"}
    else:
        if pa.types.is_list(dtype) or pa.types.is_large_list(dtype) or pa.types.is_fixed_size_list(dtype):
            dtype, repeated = dtype.value_type, True
        kind = "sc:URL" if field.name == URL else data_type(dtype)
    if kind is None:
        return
    made = {
        "@type": "cr:Field",
        "@id": f"{ROWS}/{quote(field.name, safe='')}",
        "name": field.name,
        "description": meaning,
        "dataType": kind,
        "source": source,
    }
    yield {**made, "repeated": True} if repeated else made


def data_type(dtype: pa.DataType) -> str | None:
    """Return the Croissant type of an Arrow type; None if there is none."""
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return "sc:Text"
    if pa.types.is_boolean(dtype):
        return "sc:Boolean"
    if pa.types.is_date(dtype):
        return "sc:Date"
    if pa.types.is_timestamp(dtype):
        return "sc:DateTime"
    if pa.types.is_integer(dtype) or pa.types.is_floating(dtype):
        # In 1.0 every reader knows these types; types with a width came with later versions of readers.
        return "sc:Integer" if pa.types.is_integer(dtype) else "sc:Float"
    return None
