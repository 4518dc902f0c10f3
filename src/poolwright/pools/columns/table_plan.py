"""Plan how a `table` pool is read: its columns and parts, found from its files before a row is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import pyarrow as pa

from poolwright.core.columns import ROW_ERROR, WELL_KNOWN, wider_type
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.pool import Part
from poolwright.core.wording import some
from poolwright.pools.columns.casting import plain_type
from poolwright.pools.columns.made_columns import MadeColumns
from poolwright.pools.columns.mapping import ColumnRequest, Given, check_classes, check_same, map_columns
from poolwright.pools.columns.sidecar_vectors import VectorFiles
from poolwright.pools.readers.columnar import ARROW, first_values
from poolwright.pools.readers.parquet import Footer, runs
from poolwright.pools.readers.paths import base_name, damage_of, suffix

if TYPE_CHECKING:
    from poolwright.pools.text.row_cuts import RowCut
    from poolwright.pools.text.text_plan import TextLayout

Format = Literal["parquet", "arrow", "csv", "tsv", "jsonl", "txt"]

TYPED: tuple[Format, ...] = ("parquet", "arrow")
"""Formats whose files have names and types of columns."""

SUFFIXES: dict[str, Format] = {
    "parquet": "parquet",
    "pq": "parquet",
    **dict.fromkeys(ARROW, "arrow"),
    "csv": "csv",
    "tsv": "tsv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "txt": "txt",
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
        folders: columns from the path of the file; a part has their values.
        text: what reading CSV, TSV, JSON Lines and lists needs besides.
        made: columns that are made of others, and
        made_fields: their fields.
        hidden: columns that are only read because others are made of them, and made ones that are not kept.
    """

    format: Format
    given: tuple[Given, ...]
    sidecars: Mapping[str, VectorFiles]
    text: TextLayout | None = None
    folders: tuple[pa.Field, ...] = ()
    made: MadeColumns = field(default_factory=lambda: MadeColumns({}, None))
    made_fields: tuple[pa.Field, ...] = ()
    hidden: frozenset[str] = frozenset()

    def every_field(self) -> dict[str, pa.Field]:
        """Return the fields of all columns by name, of hidden ones too."""
        found = [given.field for given in self.given] + [files.field for files in self.sidecars.values()]
        names = {field.name for field in found}
        errors = [pa.field(ROW_ERROR, pa.string())] if self.text is not None and ROW_ERROR not in names else []
        return {field.name: field for field in (*found, *self.folders, *self.made_fields, *errors)}

    def fields(self) -> list[pa.Field]:
        """Return the fields of the columns that the pool gives."""
        return [field for name, field in self.every_field().items() if name not in self.hidden]


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


def parquet_columns(
    files: Sequence[str],
    footers: Sequence[Footer],
    wanted: ColumnRequest,
    declared: Mapping[str, pa.DataType] | None = None,
) -> list[Given]:
    """Return the columns of Parquet or Arrow files; one whose type differs between them has the widest type.

    Args:
        declared: types that the recipe names, by source column; they replace those of the files.

    Raises:
        RecipeError: a column is missing, or two files differ in a column, and no type holds the values of both.
        InputError: no footer can be read.
    """
    good = [(file, footer.schema) for file, footer in zip(files, footers, strict=True) if footer.schema]
    if not good:
        raise InputError(f"{files[0]}: {footers[0].damage}; no file of the pool can be read")
    first, schema = good[0][0], _widest([schema for _, schema in good], declared or {}, good[0][0])
    named = {name: schema.field(name) for name in declared or {}}
    given = map_columns(schema, wanted, first, lambda names: _first_rows([file for file, _ in good], names, schema))
    for file, other in good[1:]:
        other = pa.schema([named.get(field.name, field) for field in other], metadata=other.metadata)
        if not other.equals(schema):
            check_same(given, (good[0][1], schema), other, wanted, (first, base_name(file)))
        check_classes(given, other, wanted, (first, base_name(file)))
    return [replace(column, drift=_drift(column, good)) for column in given]


def _first_rows(files: Sequence[str], names: list[str], schema: pa.Schema) -> pa.Table:
    """Read the first rows of each of these columns from where it has values, in whichever file."""
    found: dict[str, pa.ChunkedArray] = {}
    for file in files:
        for name in [name for name in names if name not in found]:
            try:
                values = first_values(file, name, FIRST_ROWS)
            except (pa.ArrowException, OSError) as error:
                raise InputError(f"{file}: its first rows cannot be read: {damage_of(error)}") from None
            if values is not None:
                found[name] = values
        if len(found) == len(names):
            break
    return pa.table(found)


def _widest(schemas: Sequence[pa.Schema], declared: Mapping[str, pa.DataType], where: str) -> pa.Schema:
    """Return the first schema, with the declared or the widest type of each column; the own type if there is none."""
    unknown = next((name for name in declared if name not in schemas[0].names), None)
    if unknown is not None:
        raise RecipeError(f"{where}: no column '{unknown}' of 'types'; {did_you_mean(unknown, schemas[0].names)}")
    fields, distinct = [], list(dict.fromkeys(schemas))
    for column in schemas[0]:
        types = {schema.field(column.name).type for schema in distinct if schema.get_field_index(column.name) >= 0}
        if column.name in declared:
            column = column.with_type(_castable(column.name, types, declared[column.name], where))
        elif types - {column.type}:
            column = column.with_type(widest_type(column.type, types))
        elif pa.types.is_null(column.type):
            column = column.with_type(pa.string())
        fields.append(column)
    return pa.schema(fields, metadata=schemas[0].metadata)


def widest_type(first: pa.DataType, types: Collection[pa.DataType]) -> pa.DataType:
    """Return the type that values of all types can be cast to; the first one if there is none."""
    found = plain_type(first)
    for dtype in sorted(types, key=str):
        wider = wider_type(found, plain_type(dtype))
        if wider is None:
            return first
        found = wider
    return pa.string() if pa.types.is_null(found) else found


def _castable(name: str, types: Collection[pa.DataType], wanted: pa.DataType, where: str) -> pa.DataType:
    for dtype in types:
        try:
            pa.nulls(0, plain_type(dtype)).cast(wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise RecipeError(f"{where}: '{name}' is {dtype}, which cannot become {wanted}, as 'types' says") from None
    return wanted


def _drift(column: Given, files: Sequence[tuple[str, pa.Schema]]) -> str:
    """Return a sentence on a column whose type is wider than in some of the files; '' if it is not."""
    if column.how != "value" or column.field.name in WELL_KNOWN:
        return ""
    return drift_of(str(column.source), column.field.type, files)


def drift_of(name: str, given: pa.DataType, files: Sequence[tuple[str, pa.Schema]]) -> str:
    """Return a sentence on the types of a column in files that do not have it as it is given; '' if there are none."""
    found: dict[str, list[str]] = {}
    for file, schema in files:
        dtype = plain_type(schema.field(name).type)
        if dtype != given:
            found.setdefault(str(dtype), []).append(base_name(file))
    types = ", ".join(f"{dtype} in {some(names, 2)}" for dtype, names in found.items())
    return f"'{name}' is {given}: {types}" if found else ""


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


def text_parts(
    files: Sequence[str], sidecars: Mapping[str, VectorFiles], text: TextLayout, index: str | None
) -> list[Part]:
    """Return one part for each file, or for each cut of a large one, of unknown length.

    Args:
        text: how the files are read.
        index: folder of the cuts; None for next to each file.
    """
    from poolwright.pools.text.row_cuts import row_cuts

    parts: list[Part] = []
    for at, file in enumerate(files):
        vectors = {name: found.detail(at, 0, None, None) for name, found in sidecars.items()}
        whole = Part(
            index=len(parts), name=base_name(file), files=_with_vectors(file, vectors), detail={"vectors": vectors}
        )
        cuts = [] if vectors else row_cuts(file, text.dialect, text.encoding, index)
        parts += [_cut_part(whole, cut, number) for number, cut in enumerate(cuts)] or [whole]
    return parts


def _cut_part(whole: Part, cut: RowCut, number: int) -> Part:
    changes = {"index": whole.index + number, "name": f"{whole.name} from row {cut.rows}", "start": cut.rows}
    return whole.model_copy(update={**changes, "detail": {**whole.detail, "cut": asdict(cut)}})


def _with_vectors(file: str, vectors: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    return (file, *dict.fromkeys(str(detail["file"]) for detail in vectors.values()))
