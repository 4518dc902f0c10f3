"""Plan how a `table` pool is read: its columns and parts, found from its files before a row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from poolwright.core.columns import WELL_KNOWN
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.pool import Part
from poolwright.pools.columns.mapping import ColumnRequest, Given, check_same, map_columns, sources_of
from poolwright.pools.columns.sidecar_vectors import VectorFiles
from poolwright.pools.readers import csv_files, json_lines
from poolwright.pools.readers.parquet import Footer, read_parquet, runs
from poolwright.pools.readers.paths import Unreadable, base_name, suffix

Format = Literal["parquet", "csv", "tsv", "jsonl"]

SUFFIXES: dict[str, Format] = {
    "parquet": "parquet",
    "pq": "parquet",
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
}
"""Format by extension."""

FIRST_ROWS = 1_000


@dataclass(frozen=True)
class ReadPlan:
    """All that reading needs besides a part; made once, and sent to the workers.

    Attributes:
        format: of all files.
        given: columns of the source.
        sidecars: vector columns from files, by name.
        types: of all source columns, if the files do not have them (CSV, JSON Lines).
    """

    format: Format
    given: tuple[Given, ...]
    sidecars: Mapping[str, VectorFiles]
    types: Mapping[str, pa.DataType]

    def fields(self) -> list[pa.Field]:
        """Return the fields of all columns."""
        return [given.field for given in self.given] + [files.field for files in self.sidecars.values()]


def format_of(path: str, files: Sequence[str]) -> Format:
    """Return the one format of files, by their extensions.

    Raises:
        RecipeError: an extension is not known, or there are several formats.
    """
    found: dict[Format, str] = {}
    for file in files:
        if suffix(file) not in SUFFIXES:
            raise RecipeError(f"{file}: the extension does not show the format; name it, such as 'format: csv'")
        found.setdefault(SUFFIXES[suffix(file)], file)
    if len(found) > 1:
        shown = " and ".join(f"{kind} ({base_name(file)})" for kind, file in sorted(found.items()))
        raise RecipeError(f"{path}: holds {shown}; name one with 'format', or a glob as 'path'")
    return next(iter(found))


def parquet_columns(files: Sequence[str], footers: Sequence[Footer], wanted: ColumnRequest) -> list[Given]:
    """Return the columns of Parquet files.

    Raises:
        RecipeError: a column is missing, or two files differ in a column.
        InputError: no footer can be read.
    """
    good = [(file, footer.rows, footer.schema) for file, footer in zip(files, footers, strict=True) if footer.schema]
    if not good:
        raise InputError(f"{files[0]}: {footers[0].damage}; no file of the pool can be read")
    first, schema = good[0][0], _without_nulls([schema for _, _, schema in good])
    full = next((file for file, rows, _ in good if rows), first)
    given = map_columns(schema, wanted, first, lambda names: _first_rows(full, names, schema))
    for file, _, other in good[1:]:
        if not other.equals(schema):
            check_same(given, schema, other, wanted, (first, base_name(file)))
    return given


def text_columns(
    files: Sequence[str], kind: Format, wanted: ColumnRequest, types: Mapping[str, pa.DataType], delimiter: str
) -> tuple[list[Given], dict[str, pa.DataType]]:
    """Return the columns of CSV, TSV or JSON Lines files, and the types of the source columns.

    Raises:
        RecipeError: a column is missing.
        InputError: no file can be read.
    """
    damage: Unreadable | None = None
    for file in files:
        try:
            rows = _first_text_rows(file, kind, wanted, types, delimiter)
        except Unreadable as error:
            damage = damage or error
            continue
        given = map_columns(rows.schema, wanted, file, rows.select)
        return given, {field.name: field.type for field in rows.schema}
    raise damage or InputError("no file of the pool can be read")


def _first_text_rows(
    file: str, kind: Format, wanted: ColumnRequest, types: Mapping[str, pa.DataType], delimiter: str
) -> pa.Table:
    if kind == "jsonl":
        return json_lines.first_rows(file, types)
    rows = csv_files.first_rows(file, delimiter, types)
    unknown = set(types) - set(rows.column_names)
    if unknown:
        name = min(unknown)
        raise RecipeError(f"{file}: no column '{name}' of 'types'; {did_you_mean(name, rows.column_names)}")
    # As texts, ids and labels keep their leading zeros, and one odd number does not spoil a file.
    sources = sources_of(rows.column_names, wanted, file)
    texts = {source: pa.string() for name, source in sources.items() if source is not None and name in WELL_KNOWN}
    return csv_files.first_rows(file, delimiter, {**texts, **types})


def _first_rows(file: str, names: list[str], schema: pa.Schema) -> pa.Table:
    try:
        for table in read_parquet(file, None, names, FIRST_ROWS):
            return table
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: its first rows cannot be read: {error}") from None
    return pa.schema([schema.field(name) for name in names]).empty_table()


def _without_nulls(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return the first schema; a column without a type there has the type it has in another file."""
    fields = []
    for field in schemas[0]:
        if pa.types.is_null(field.type):
            types = [schema.field(field.name).type for schema in schemas if schema.get_field_index(field.name) >= 0]
            field = field.with_type(next((dtype for dtype in types if not pa.types.is_null(dtype)), pa.string()))
        fields.append(field)
    return pa.schema(fields)


def parquet_parts(files: Sequence[str], footers: Sequence[Footer], sidecars: Mapping[str, VectorFiles]) -> list[Part]:
    """Return runs of row groups of about 131,072 rows. A file that cannot be read is one part, to be quarantined."""
    total, start = sum(footer.rows for footer in footers), 0
    parts: list[Part] = []
    for index, (file, footer) in enumerate(zip(files, footers, strict=True)):
        vectors = {name: found.detail(index, start, footer.rows, total) for name, found in sidecars.items()}
        parts += _parts_of_file(len(parts), file, footer, vectors)
        start += footer.rows
    return parts


def _parts_of_file(index: int, file: str, footer: Footer, vectors: dict[str, dict[str, object]]) -> list[Part]:
    files, name = _with_vectors(file, vectors), base_name(file)
    if footer.schema is None:
        return [Part(index=index, name=name, files=files, detail={"damage": footer.damage})]
    found: list[Part] = []
    start = 0
    cut = runs(footer.groups)
    for groups in cut:
        rows = sum(footer.groups[group] for group in groups)
        shown = f"{name} rows {start}-{start + rows - 1}" if len(cut) > 1 else name
        detail = {"groups": list(groups), "vectors": vectors}
        found.append(Part(index=index + len(found), name=shown, files=files, start=start, rows=rows, detail=detail))
        start += rows
    return found


def text_parts(files: Sequence[str], sidecars: Mapping[str, VectorFiles]) -> list[Part]:
    """Return one part per file, of unknown length."""
    parts = []
    for index, file in enumerate(files):
        vectors = {name: found.detail(index, 0, None, None) for name, found in sidecars.items()}
        part = Part(index=index, name=base_name(file), files=_with_vectors(file, vectors), detail={"vectors": vectors})
        parts.append(part)
    return parts


def _with_vectors(file: str, vectors: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    return (file, *dict.fromkeys(str(detail["file"]) for detail in vectors.values()))
