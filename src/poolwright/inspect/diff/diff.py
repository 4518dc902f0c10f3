"""Compare two versions of a dataset row by row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.results.changes import Changes, RowChange
from poolwright.core.results.rows_file import kind_of, write_file
from poolwright.inspect.diff.joined import DIFFERS, IN_BOTH, JoinedVersions, joined_versions
from poolwright.inspect.diff.reasons import find_reasons
from poolwright.inspect.diff.recipes import given_by, recipe_changes
from poolwright.inspect.diff.versions import Version

EXAMPLES = 10
_ROWS = pa.schema([pa.field(name, pa.string()) for name in (UID, "what", "before", "after", "verb", "because")])


@dataclass(frozen=True)
class DiffFiles:
    """Files to write while two versions are compared.

    Attributes:
        removed: list of the uids of removed rows, one per line, or per row of CSV or Parquet; a recipe reads it with
            `remove: {file: FILE}`.
        rows: every difference, one per row: CSV, Parquet or JSON Lines.
    """

    removed: Path | None = None
    rows: Path | None = None


def compare(before: Version, after: Version, files: DiffFiles = DiffFiles(), scratch: Path | None = None) -> Changes:
    """Compare two versions by the uids of their rows, in bounded memory.

    Args:
        files: lists to write.
        scratch: folder for a database on disk meanwhile; default the system's folder for temporary files.

    Raises:
        RecipeError: a version has two rows with one uid, or a file has an unknown ending.
        InputError: a version cannot be read.
    """
    if files.rows is not None:
        kind_of(files.rows, None)
    if files.removed is not None and files.removed.suffix != ".txt":
        kind_of(files.removed, None)
    with joined_versions(before, after, scratch) as joined:
        removed_because, unknown = find_reasons(joined, "removed", after)
        added_because, more = find_reasons(joined, "added", before)
        if files.removed is not None:
            _write_removed(joined, files.removed)
        if files.rows is not None:
            write_file(_rows(joined), _ROWS, files.rows, kind_of(files.rows, None))
        columns = [replace(one, by=given_by(one.column, before.records, after.records)) for one in joined.columns()]
        own = joined.compared
        differing = joined.count("true") - joined.count("is_added")
        return Changes(
            before=before.info,
            after=after.info,
            same=before.info.rows - differing,
            added=joined.count("is_added"),
            removed=joined.count("is_removed"),
            moved=joined.count(DIFFERS.format("split")),
            relabelled=joined.count(DIFFERS.format("class")),
            changed=joined.count(f"{IN_BOTH} and ({joined.any_differs})"),
            removed_because=removed_because,
            added_because=added_because,
            splits=joined.flows("split"),
            classes=joined.flows("class"),
            columns=tuple(columns),
            columns_added=tuple(name for name in after.schema.names if name not in before.schema.names),
            columns_removed=tuple(name for name in before.schema.names if name not in after.schema.names),
            by_split=joined.groups("split") if own.split else (),
            by_class=joined.groups("class") if own.label else (),
            by_source=joined.groups("source") if own.source else (),
            recipe=tuple(recipe_changes(before.records, after.records)),
            examples=tuple(_examples(joined)),
            notes=(*unknown, *more),
        )


def _write_removed(joined: JoinedVersions, path: Path) -> None:
    batches = joined.batches("select uid from differing where is_removed order by uid")
    if path.suffix == ".txt":
        from poolwright.core.files import write_atomically

        def write(out: object) -> None:
            for batch in batches:
                out.write("".join(f"{uid}\n" for uid in batch.column(0).to_pylist()).encode())  # type: ignore[attr-defined]

        write_atomically(path, write)
        return
    write_file(batches, pa.schema([pa.field(UID, pa.string())]), path, kind_of(path, None))


def _differences(joined: JoinedVersions) -> dict[str, str]:
    """Return the query of the rows of each kind, with the columns of `_ROWS`."""
    listed = ", ".join(f"if(d{at}, '{_quoted(name)}', null)" for at, name in enumerate(joined.compared.names))
    changed = f"concat_ws(', ', {listed})" if listed else "''"
    why = "select uid, '{0}', null, null, verb, because from why_{0}"
    between = "select uid, '{1}', {0}_a, {0}_b, '', '' from differing where " + DIFFERS
    differs = f"{IN_BOTH} and ({joined.any_differs})"
    return {
        "removed": why.format("removed"),
        "added": why.format("added"),
        "moved": between.format("split", "moved"),
        "relabelled": between.format("class", "relabelled"),
        "changed": f"select uid, 'changed', null, {changed}, '', '' from differing where {differs}",
    }


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _rows(joined: JoinedVersions) -> Iterator[pa.RecordBatch]:
    for query in _differences(joined).values():
        for batch in joined.batches(f"select * from ({query}) order by uid"):
            yield pa.RecordBatch.from_arrays([column.cast(pa.string()) for column in batch], schema=_ROWS)


def _examples(joined: JoinedVersions) -> Iterator[RowChange]:
    for what, query in _differences(joined).items():
        for uid, _, before, after, verb, because in joined.query(
            f"select * from ({query}) order by uid limit {EXAMPLES}"
        ):
            if what == "changed":
                yield RowChange(uid, what, columns=tuple(after.split(", ")))
            else:
                yield RowChange(uid, what, before, after, (), verb, because)
