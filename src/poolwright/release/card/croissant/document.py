"""Write the Croissant metadata of a release, which dataset search engines and `mlcroissant` read.

The document follows version 1.1 of the format (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html), with
terms of PROV for lineage, and the RAI extension as far as the record answers it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, LICENSE, UID
from poolwright.core.table import RECORD
from poolwright.release.card.about import croissant_license
from poolwright.release.card.croissant.context import CONTEXT
from poolwright.release.card.croissant.nodes import ROWS, SPLITS, column_fields, constant, file_type, split_field
from poolwright.release.card.croissant.provenance import of_column, provenance
from poolwright.release.card.croissant.responsible import responsible
from poolwright.release.card.facts.facts import ReleaseFacts
from poolwright.release.card.presentation import Presentation
from poolwright.release.card.sections.changes import based_on
from poolwright.release.record import ReleaseRecord

CROISSANT = "croissant.json"
RECIPE = "recipe.yaml"
DESCRIBED = {
    RECIPE: ("The recipe that made the dataset", "application/yaml"),
    RECORD: ("Record of the table: inputs, steps, rows dropped by reason, digests", "application/json"),
}
"""Words and media type of the documents of a release that are described as files."""
_PURPOSES = {
    "train": "cr:TrainingSplit",
    "validation": "cr:ValidationSplit",
    "val": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


def croissant(folder: Path, facts: ReleaseFacts, presentation: Presentation, digests: Mapping[str, str]) -> str:
    """Return the text of `croissant.json` for a release whose data files are in `folder`.

    Args:
        facts: what is known about the release.
        presentation: file sets and record sets of the layout.
        digests: SHA-256 of each file that is described.
    """
    release, about = facts.release, facts.about
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": about.title or release.table,
        "description": about.description
        or f"Table {release.table} of the recipe {facts.family.record.recipe}: {release.rows:,} rows.",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "license": croissant_license(about, release.has(LICENSE)),
        "usageInfo": _usage(facts),
        "version": about.version,
        "citeAs": about.citation,
        "creator": [{"@type": "sc:Person", "name": name} for name in about.authors],
        "datePublished": about.published.isoformat() if about.published else None,
        "inLanguage": list(about.language),
        "keywords": list(about.tags),
        "url": about.homepage,
        "isBasedOn": based_on(release.parent),
        **provenance(facts, RECIPE),
        **responsible(facts),
        "distribution": [*_files(folder, release, digests), *presentation.file_sets],
        "recordSet": [*_record_sets(folder, facts), *presentation.record_sets],
    }
    kept = {key: value for key, value in document.items() if value not in (None, [], "")}
    return json.dumps(kept, indent=1, ensure_ascii=False) + "\n"


def _usage(facts: ReleaseFacts) -> dict[str, Any] | None:
    """Return the licences of the images as conditions of use, if rows have them."""
    counts = facts.statistics.counts(LICENSE)
    if not counts or not facts.release.has(LICENSE):
        return None
    words = ", ".join(f"{value if value is not None else 'not stated'} ({rows:,})" for value, rows in counts[:50])
    return {
        "@type": "sc:CreativeWork",
        "name": "Licences of the images",
        "description": f"Each image has the licence in the field '{LICENSE}': {words}",
    }


def _files(folder: Path, release: ReleaseRecord, digests: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for file in release.files:
        yield _file(folder, file.path, f"{file.rows:,} rows of the split {file.split}", file_type(file.path), digests)
    for other in release.others:
        yield _file(folder, other.path, other.words, other.type, digests)
    for path, (words, encoding) in DESCRIBED.items():
        yield _file(folder, path, words, encoding, digests)


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


def _record_sets(folder: Path, facts: ReleaseFacts) -> Iterator[dict[str, Any]]:
    release = facts.release
    yield _splits(release)
    if release.class_column and release.classes:
        yield _classes(release)
    meanings = {column.name: column.meaning for column in release.columns}
    fields: list[dict[str, Any]] = []
    unknown = []
    for field in _schema(folder / release.files[0].path):
        made = [*column_fields(field, meanings.get(field.name, ""), of_column(field.name, facts.family))]
        fields += made
        unknown += [] if made else [field.name]
    words = "One record per row" + (", with its image" if release.images and release.has(IMAGE) else "")
    if unknown:
        words += f"; without {', '.join(unknown)}, as Croissant does not have their types"
    split = split_field(release, f"{SPLITS}/name")
    yield {
        "@type": "cr:RecordSet",
        "@id": ROWS,
        "name": ROWS,
        "description": words,
        **({"key": {"@id": f"{ROWS}/{UID}"}} if UID in meanings else {}),
        "field": [*fields, *([split] if split else [])],
    }


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
        constant("splits/name", "sc:Text", "Name of the split"),
        constant("splits/rows", "sc:Integer", "Rows in it"),
    ]
    if any("splits/url" in row for row in data):
        data = [{**row, "splits/url": row.get("splits/url")} for row in data]
        fields.append(constant("splits/url", "sc:URL", "Purpose of the split"))
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
            constant("classes/index", "sc:Integer", "Index of the class"),
            constant("classes/name", "sc:Text", "Name of the class"),
        ],
        "data": [{"classes/index": index, "classes/name": name} for index, name in enumerate(release.classes)],
    }
