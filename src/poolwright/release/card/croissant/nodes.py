"""Build the nodes of a Croissant document: file sets, record sets and fields, with Croissant's data types."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from poolwright.core.columns import IMAGE, LABEL, URL
from poolwright.core.images.formats import MEDIA_TYPES
from poolwright.release.record import ReleaseRecord

ROWS = "rows"
"""Id of the record set of all rows."""
SPLITS = "splits"
"""Id of the record set of the splits."""
ROWS_SET = "rows_set"
"""Id of the file set that the rows are read from."""
IN_SPLIT = "in_split"
"""Name of the field that says which split a record is in."""
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


def column_fields(field: pa.Field, meaning: str, more: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the Croissant field of a column; none for types that Croissant does not have.

    Args:
        more: further properties of the field, such as its provenance.
    """
    source: dict[str, Any] = {"fileSet": {"@id": ROWS_SET}, "extract": {"column": field.name}}
    made = {
        "@type": "cr:Field",
        "@id": f"{ROWS}/{quote(field.name, safe='')}",
        "name": field.name,
        "description": meaning,
        **more,
    }
    if field.name == IMAGE and pa.types.is_struct(field.type):
        yield {**made, "dataType": "sc:ImageObject", "source": {**source, "transform": {"jsonPath": "bytes"}}}
    elif pa.types.is_struct(field.type):
        inner = [_sub_field(made["@id"], part, source) for part in field.type if data_type(part.type)]
        if inner:
            yield {**made, "subField": inner}
    else:
        dtype, shape = _items(field.type)
        kind = "sc:URL" if field.name == URL else data_type(dtype)
        if kind:
            label = ["cr:Label"] if field.name == LABEL else []
            array = {"isArray": True, "arrayShape": shape} if shape else {}
            yield {**made, "dataType": [kind, *label] if label else kind, "source": source, **array}


def _items(dtype: pa.DataType) -> tuple[pa.DataType, str]:
    """Return the type of the items of a list and its shape, such as '512', or the type itself and ''."""
    if pa.types.is_fixed_size_list(dtype):
        return dtype.value_type, str(dtype.list_size)
    if pa.types.is_list(dtype) or pa.types.is_large_list(dtype):
        return dtype.value_type, "-1"
    return dtype, ""


def _sub_field(parent: str, part: pa.Field, source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{parent}/{quote(part.name, safe='')}",
        "name": part.name,
        "dataType": data_type(part.type),
        "source": {**source, "transform": {"jsonPath": part.name}},
    }


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
    if pa.types.is_time(dtype):
        return "sc:Time"
    if pa.types.is_integer(dtype):
        return "sc:Integer"
    return "sc:Float" if pa.types.is_floating(dtype) or pa.types.is_decimal(dtype) else None


def split_field(release: ReleaseRecord, references: str) -> dict[str, Any] | None:
    """Return the field that says which split a record is in, by the path of its file.

    None if there is one split, or if paths do not name the splits. `mlcroissant` streams the records of one split by
    this field; it joins it with the record set of the splits, and applies the expression to the bare name again.

    Args:
        references: id of the field with the names of the splits.
    """
    parts = [re.fullmatch(rf"((?:.*/)?){re.escape(file.split)}([-./].*)", file.path) for file in release.files]
    if len(release.splits) < 2 or not all(parts):
        return None
    starts, ends = ({part[side] for part in parts if part} for side in (1, 2))
    start = re.escape(min(starts)) if len(starts) == 1 else ".+/"
    end = re.escape(min(ends)) if len(ends) == 1 else rf"[-./].*\{Path(release.files[0].path).suffix}"
    names = "|".join(re.escape(name) for name in sorted(release.splits, key=lambda name: (-len(name), name)))
    regex = rf"{f'(?:{start})?' if start else ''}({names})(?:{end})?"
    if any((found := re.match(regex, file.path)) is None or found[1] != file.split for file in release.files):
        return None
    name = IN_SPLIT
    while release.has(name):
        name += "_"
    return {
        **constant(f"{ROWS}/{name}", "sc:Text", "Split of the row"),
        "references": {"field": {"@id": references}},
        "source": {
            "fileSet": {"@id": ROWS_SET},
            "extract": {"fileProperty": "fullpath"},
            "transform": {"regex": regex},
        },
    }
