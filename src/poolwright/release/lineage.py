"""Lineage: a table and the tables it comes from, and their records without this machine's paths."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from poolwright.core.errors import InputError
from poolwright.core.table import RECORD, Table, TableRecord

# An absolute path inside a text. What stands before it must not make it part of a URL or a relative path.
_ABSOLUTE = re.compile(
    r"(?<![\w:/\\.~-])(?:file://)?(?:/|[A-Za-z]:[\\/]|\\\\)(?:[^\s'\"<>|:;,/\\]+[/\\])+([^\s'\"<>|:;,/\\]+)"
)


@dataclass(frozen=True)
class Lineage:
    """A table with its forebears.

    Attributes:
        tables: from the first table over a pool down to the released one.
        records: their records, with file names in place of local paths.
    """

    tables: tuple[Table, ...]
    records: tuple[TableRecord, ...]

    @property
    def table(self) -> Table:
        return self.tables[-1]

    @property
    def record(self) -> TableRecord:
        return self.records[-1]


def lineage(table: Table) -> Lineage:
    """The table and those it comes from, as far as they lie beside it."""
    tables = [table]
    while tables[0].record.source.startswith("tables."):
        first = tables[0]
        try:
            parent = Table(first.folder.parent / first.record.source.removeprefix("tables."))
        except (InputError, ValueError):
            break
        # A table that was made anew since is not the one these rows come from.
        if parent.record.rows_kept != first.record.rows_in or parent.folder in [known.folder for known in tables]:
            break
        tables.insert(0, parent)
    return Lineage(tuple(tables), tuple(without_paths(known.record) for known in tables))


def between(other: Table, base: Table) -> Iterator[Table]:
    """The tables that lead to another one: those after the base, or all where it does not come from the base."""
    chain = lineage(other).tables
    names = [table.name for table in chain]
    yield from chain[names.index(base.name) + 1 :] if base.name in names else chain


def save_lineage(folder: Path, other: Table, base: Table) -> None:
    """Write what a release of `base` tells of how another table came about, as far as its own lineage does not."""
    own = {table.name for table in lineage(base).tables}
    for ancestor in between(other, base):
        place = folder / "lineage" / ancestor.name
        if ancestor.name not in own and not place.exists():
            save_record(place, ancestor, without_paths(ancestor.record))


def save_record(folder: Path, table: Table, clean: TableRecord) -> None:
    """Write what a release tells of a table: its record without paths, and its states."""
    folder.mkdir(parents=True, exist_ok=True)
    text = clean.model_dump_json(indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8", newline="\n")
    if (table.folder / "states").is_dir():
        ignore = shutil.ignore_patterns("*.partial")
        shutil.copytree(table.folder / "states", folder / "states", copy_function=shutil.copyfile, ignore=ignore)


def without_paths(record: TableRecord) -> TableRecord:
    """The record with file names in place of absolute local paths; the user's recipe stays as written."""
    clean = _cleaner(record)
    data = record.model_dump(mode="json", exclude={"recipe_text"})
    data["image_root"] = record.image_root if record.image_root and _is_url(record.image_root) else None
    return TableRecord.model_validate({**_map(data, clean), "recipe_text": record.recipe_text})


def _cleaner(record: TableRecord) -> Callable[[str], str]:
    known = [file.path for file in record.files if not _is_url(file.path)]
    names = {path: _file_name(path) for path in sorted(known, key=len, reverse=True)}

    def clean(text: str) -> str:
        if text in names:
            return names[text]
        for path, name in names.items() if len(names) <= 1_000 else ():
            text = text.replace(path, name)
        return _ABSOLUTE.sub(r"\1", text)

    return clean


def _file_name(path: str) -> str:
    return PurePosixPath(PureWindowsPath(path).as_posix()).name or path


def _is_url(text: str) -> bool:
    return "://" in text and not text.startswith("file://")


def _map(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {key: _map(inner, change) for key, inner in value.items()}
    return [_map(inner, change) for inner in value] if isinstance(value, list) else value
