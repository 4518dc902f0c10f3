"""Names of rows besides those of a table: a pool or table of the recipe, or a file of rows."""

from __future__ import annotations

from pydantic import ValidationInfo

from poolwright.core.pool import resolve_path
from poolwright.core.runtime.packed import unpacked_name

_FILES = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")


def is_file(name: str) -> bool:
    """Whether a name is that of a file: it has a '/' or an ending such as .csv."""
    return "/" in name or unpacked_name(name).lower().endswith(_FILES)


def resolved(name: str, info: ValidationInfo) -> str:
    """Return the path of a file as it is from here; other names are as they were."""
    return resolve_path(name, info) if is_file(name) else name
