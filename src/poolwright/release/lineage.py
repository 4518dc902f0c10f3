"""Trace a table back to the tables it comes from, with their records free of local paths."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from poolwright.core.errors import InputError
from poolwright.core.table import RECORD, Table, TableRecord

# An absolute path inside a text. The characters before it must not make it part of a URL or a relative path.
_ABSOLUTE = re.compile(
    r"(?<![\w:/\\.~-])(?:file://)?(?:/|[A-Za-z]:[\\/]|\\\\)(?:[^\s'\"<>|:;,/\\]+[/\\])+([^\s'\"<>|:;,/\\]+)"
)


@dataclass(frozen=True)
class Lineage:
    """A table with its ancestors.

    Attributes:
        tables: from the first table, made from a pool, to the released one; each after those it comes from.
        records: their records, with file names in place of local paths.
    """

    tables: tuple[Table, ...]
    records: tuple[TableRecord, ...]

    @property
    def table(self) -> Table:
        """The released table."""
        return self.tables[-1]

    @property
    def record(self) -> TableRecord:
        """Record of the released table."""
        return self.records[-1]


def lineage(table: Table) -> Lineage:
    """Return the table and those it comes from, as far as they are in the same run folder."""
    tables, seen = [], {table.folder}

    def add(table: Table) -> None:
        for name in table.record.parents:
            try:
                parent = Table(table.folder.parent / name)
            except (InputError, ValueError):
                continue
            # A table that has been made anew since then is not the one these rows come from.
            same = parent.record.rows_kept == table.record.rows_by_source[f"tables.{name}"]
            if same and parent.folder not in seen:
                seen.add(parent.folder)
                add(parent)
        tables.append(table)

    add(table)
    return Lineage(tuple(tables), tuple(without_paths(known.record) for known in tables))


def between(other: Table, base: Table) -> Iterator[Table]:
    """Yield the tables that lead to `other`: those after `base`, or all if it does not come from `base`."""
    chain = lineage(other).tables
    names = [table.name for table in chain]
    yield from chain[names.index(base.name) + 1 :] if base.name in names else chain


def save_lineage(folder: Path, other: Table, base: Table) -> None:
    """Write the records of the tables that lead to `other`, unless they are in the lineage of `base` already."""
    own = {table.name for table in lineage(base).tables}
    for ancestor in between(other, base):
        target = folder / "lineage" / ancestor.name
        if ancestor.name not in own and not target.exists():
            save_record(target, ancestor, without_paths(ancestor.record))


def save_record(folder: Path, table: Table, clean: TableRecord) -> None:
    """Write what a release keeps of a table: its record without paths, and its states."""
    folder.mkdir(parents=True, exist_ok=True)
    text = clean.model_dump_json(indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8", newline="\n")
    if (table.folder / "states").is_dir():
        ignore = shutil.ignore_patterns("*.partial")
        shutil.copytree(table.folder / "states", folder / "states", copy_function=shutil.copyfile, ignore=ignore)


def without_paths(record: TableRecord) -> TableRecord:
    """Return the record with file names instead of absolute local paths; the user's recipe stays as written."""
    clean = _cleaner(record)
    data = record.model_dump(mode="json", exclude={"recipe_text"})
    root = record.image_root
    data["image_root"] = root if isinstance(root, str) and _is_url(root) else None
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
