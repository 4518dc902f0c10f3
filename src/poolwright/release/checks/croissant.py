"""Check the structure of croissant.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from poolwright.release.card.croissant.document import CROISSANT
from poolwright.release.card.croissant.nodes import ROWS
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord

_KEYS = ("@context", "name", "description", "conformsTo", "license", "version", "distribution", "recordSet")


def check_croissant(folder: Path, release: ReleaseRecord, sums: Mapping[str, str]) -> Findings:
    """Check that croissant.json describes the files, columns and splits of the release as they are.

    Args:
        sums: checksums of the release by file; empty if they cannot be read.
    """
    path = folder / CROISSANT
    if not path.exists():
        return [f"'{CROISSANT}' is missing"], ""
    document = json.loads(path.read_text(encoding="utf-8"))
    wrong = [f"'{key}' is missing" for key in _KEYS if not document.get(key)]
    if wrong:
        return wrong, ""
    wrong += [*_file_problems(document, folder, release, sums), *_field_problems(document, release)]
    return wrong, f"{len(release.files):,} files and {len(release.columns)} columns are described as they are"


def _file_problems(
    document: dict[str, Any], folder: Path, release: ReleaseRecord, sums: Mapping[str, str]
) -> Iterator[str]:
    objects = {node["@id"]: node for node in document["distribution"] if node["@type"] == "cr:FileObject"}
    for path in [file.path for file in release.files] + [other.path for other in release.others]:
        node = objects.get(path)
        if node is None:
            yield f"'{path}' is not described"
        elif sums and node.get("sha256") != sums.get(path):
            yield f"the SHA-256 of '{path}' differs from SHA256SUMS"
    for name, node in objects.items():
        if not (folder / unquote(node["contentUrl"])).is_file():
            yield f"'{name}' is described but missing"


def _field_problems(document: dict[str, Any], release: ReleaseRecord) -> Iterator[str]:
    sources = {node["@id"] for node in document["distribution"]}
    sets = {node["@id"]: node for node in document["recordSet"]}
    if ROWS not in sets:
        yield f"the record set '{ROWS}' is missing"
        return
    fields = [field for node in sets.values() for field in _leaves(node["field"]) if "source" in field]
    for field in fields:
        if field["source"]["fileSet"]["@id"] not in sources:
            yield f"the field '{field['@id']}' has a source that is not described"
    extracts = [field["source"]["extract"] for field in _leaves(sets[ROWS]["field"])]
    columns = {extract["column"] for extract in extracts if "column" in extract}
    known = {column.name for column in release.columns}
    yield from (f"the field '{name}' is not a column of the release" for name in sorted(columns - known))
    counted = {row["splits/name"]: row["splits/rows"] for row in sets.get("splits", {}).get("data", ())}
    if counted != release.splits:
        yield f"it counts {counted}, the release has {release.splits}"


def _leaves(fields: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield fields, and in place of a field with parts the parts."""
    for field in fields:
        yield from _leaves(field["subField"]) if "subField" in field else [field]
