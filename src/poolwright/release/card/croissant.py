"""Croissant: metadata of a release that dataset search engines and `mlcroissant` read.

Written by hand to version 1.0 of the format (https://docs.mlcommons.org/croissant/docs/croissant-spec.html),
which all readers know, with the RAI extension for limits and preparation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, LICENSE, UID, URL
from poolwright.release.card.about import About, license_place
from poolwright.release.lineage import Lineage
from poolwright.release.record import ReleasedFile, ReleaseRecord

CROISSANT = "croissant.json"
ROWS = "rows"
FORMATS = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "bmp": "image/bmp",
    "tif": "image/tiff",
    "avif": "image/avif",
    "jp2": "image/jp2",
}
_FILE_TYPES = {".parquet": "application/x-parquet", ".csv": "text/csv"}
_PURPOSES = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "val": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(folder: Path, release: ReleaseRecord, family: Lineage, about: About, digests: Mapping[str, str]) -> str:
    """The text of `croissant.json` for a release whose data files are in `folder`.

    Args:
        digests: SHA-256 of each data file.
    """
    per_image = any(column.name == LICENSE for column in release.columns)
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": about.title or release.table,
        "description": about.description
        or f"Table {release.table} of the recipe {family.record.recipe}: {release.rows:,} rows.",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "license": license_place(about, per_image),
        "version": about.version,
        "citeAs": about.citation,
        "creator": [{"@type": "sc:Person", "name": name} for name in about.authors],
        "datePublished": about.published.isoformat() if about.published else None,
        "inLanguage": list(about.language),
        "keywords": list(about.tags),
        "url": about.homepage,
        "rai:dataLimitations": list(about.known_limits),
        "rai:dataPreprocessingProtocol": [
            f"{record.name}, {step.index + 1}. {step.verb}: {step.learned}"
            for record in family.records
            for step in record.steps
            if step.learned
        ],
        "distribution": [*_files(folder, release, digests), *_file_sets(release)],
        "recordSet": list(_record_sets(folder, release)),
    }
    kept = {key: value for key, value in document.items() if value not in (None, [], "")}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def _files(folder: Path, release: ReleaseRecord, digests: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for file in release.files:
        yield _file(folder, file.path, f"{file.rows:,} rows of the split {file.split}", _file_type(file), digests)
    for other in release.others:
        yield _file(folder, other.path, other.words, other.type, digests)


def _file(folder: Path, path: str, words: str, encoding: str, digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "description": words,
        "contentUrl": quote(path),
        "contentSize": f"{(folder / path).stat().st_size} B",
        "encodingFormat": encoding,
        "sha256": digests[path],
    }


def _file_type(file: ReleasedFile) -> str:
    return _FILE_TYPES[Path(file.path).suffix]


def _file_sets(release: ReleaseRecord) -> Iterator[dict[str, Any]]:
    first = release.files[0]
    if release.layout == "huggingface":
        names = [f"{name}/*" for name in release.configs] or [f"{split}-*" for split in release.splits]
        yield _file_set(ROWS, "All shards", _file_type(first), [f"data/{name}.parquet" for name in names])
        return
    yield _file_set(ROWS, "Metadata of all splits", _file_type(first), [file.path for file in release.files])
    for kind in release.images.formats if release.images else ():
        patterns = [f"{name}/*.{kind}" for name in release.domains or release.splits]
        yield _file_set(
            f"{kind}_files", f"Image files, {kind}", FORMATS.get(kind, "application/octet-stream"), patterns
        )


def _file_set(name: str, words: str, encoding: str, includes: Sequence[str]) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{name}_set" if name == ROWS else name,
        "name": words,
        "encodingFormat": encoding,
        "includes": list(includes) if len(includes) > 1 else includes[0],
    }


def _record_sets(folder: Path, release: ReleaseRecord) -> Iterator[dict[str, Any]]:
    yield _splits(release)
    if release.class_column:
        yield _classes(release)
    schema = _schema(folder / release.files[0].path)
    meanings = {column.name: column.meaning for column in release.columns}
    fields = [made for field in schema for made in _field(field, meanings.get(field.name, ""), release)]
    words = "One record a row" + (", with its image" if release.images and release.layout == "huggingface" else "")
    yield {
        "@type": "cr:RecordSet",
        "@id": ROWS,
        "name": ROWS,
        "description": words,
        **({"key": {"@id": f"{ROWS}/{UID}"}} if UID in meanings else {}),
        "field": fields,
    }
    if release.layout != "huggingface" and release.images:
        below = "the release" if release.domains else "the folder of the split"
        yield from (_image_set(kind, below) for kind in release.images.formats if kind in ("jpg", "png"))


def _schema(path: Path) -> pa.Schema:
    if path.suffix == ".csv":
        with pacsv.open_csv(path) as reader:
            return reader.schema
    return pq.read_schema(path)


def _splits(release: ReleaseRecord) -> dict[str, Any]:
    data = [
        {"splits/name": name, "splits/rows": rows, **({"splits/url": _PURPOSES[name]} if name in _PURPOSES else {})}
        for name, rows in release.splits.items()
    ]
    fields = [
        _constant("splits/name", "sc:Text", "Name of the split"),
        _constant("splits/rows", "sc:Integer", "Rows in it"),
    ]
    if any("splits/url" in row for row in data):
        data = [{**row, "splits/url": row.get("splits/url")} for row in data]
        fields.append(_constant("splits/url", "sc:URL", "What the split is for"))
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "description": "The splits of the dataset",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": fields,
        "data": data,
    }


def _classes(release: ReleaseRecord) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": f"Names of the classes by the index that the field '{release.class_column}' holds",
        "dataType": "sc:Enumeration",
        "key": {"@id": "classes/index"},
        "field": [
            _constant("classes/index", "sc:Integer", "Index of the class"),
            _constant("classes/name", "sc:Text", "Name of the class"),
        ],
        "data": [{"classes/index": index, "classes/name": name} for index, name in enumerate(release.classes)],
    }


def _constant(name: str, data_type: str, words: str) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": name,
        "name": name.partition("/")[2],
        "description": words,
        "dataType": data_type,
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
                **_constant(f"{name}/image", "sc:ImageObject", "The image"),
                "source": {**source, "extract": {"fileProperty": "content"}},
            },
            {
                **_constant(f"{name}/path", "sc:Text", "Path in the release"),
                "source": {**source, "extract": {"fileProperty": "fullpath"}},
            },
        ],
    }


def _field(field: pa.Field, meaning: str, release: ReleaseRecord) -> Iterator[dict[str, Any]]:
    """The Croissant field of a column; none for types that Croissant 1.0 has no word for."""
    dtype, repeated = field.type, False
    source: dict[str, Any] = {"fileSet": {"@id": f"{ROWS}_set"}, "extract": {"column": field.name}}
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
    """Croissant's word for an Arrow type; None where it has none."""
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
        # In 1.0 these are the types that every reader knows; widths came with later versions of readers.
        return "sc:Integer" if pa.types.is_integer(dtype) else "sc:Float"
    return None
