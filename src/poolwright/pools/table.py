"""Pool `table`: rows of Parquet, CSV, TSV or JSON Lines files, with vectors in a column or in NumPy files."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from typing import ClassVar

import pyarrow as pa
from pydantic import Field, PrivateAttr, field_validator

from poolwright.core.columns import IMAGE, IMAGE_PATH, WELL_KNOWN
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part, Place, Pool
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import table_of
from poolwright.pools.columns.mapping import ROW, ColumnRequest, Given, check_stems, row_uids
from poolwright.pools.columns.sidecar_vectors import TableVectors, VectorReader, find_vectors
from poolwright.pools.columns.table_plan import (
    SUFFIXES,
    Format,
    ReadPlan,
    format_of,
    parquet_columns,
    parquet_parts,
    text_columns,
    text_parts,
)
from poolwright.pools.columns.vectors import fewer_rows
from poolwright.pools.readers import csv_files, json_lines
from poolwright.pools.readers.parquet import Footer, read_footer, read_parquet
from poolwright.pools.readers.paths import Places, find_files, is_url, map_files, reading

__all__ = ["TablePool", "TableVectors", "read_parquet"]


class TablePool(Pool):
    """Rows of one or more files of one format.

    Columns keep their names unless `columns` renames them. Well-known columns get their types; a value that does not
    fit becomes null. Lists of 16 or more floats, all of one length, are taken as embeddings: float16 of unit length;
    a vector with NaN, infinity, no length or another width is null.
    """

    kind: ClassVar[str] = "table"
    example: ClassVar[str] = """\
commonpool:
  read: table
  path: data/*.parquet
  columns: {width: original_width, height: original_height}
  vectors:
    clip: {file: "{stem}.npz", key: l14_img, model: OpenAI ViT-L/14}"""

    path: Places = Field(
        description="file, glob, folder (all files of the one format in it, at any depth), fsspec URL, or a list of "
        "these; .gz files are unpacked, except Parquet"
    )
    format: Format | None = Field(
        default=None, description="parquet, csv, tsv or jsonl, if the extension does not show it"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="source column by its name in this pool, such as {url: image_url, text: alt}; "
        "others keep their names",
    )
    keep: list[str] | None = Field(
        default=None, description="the only columns to give, by the names they have in this pool; 'uid' is always given"
    )
    uid: str | None = Field(
        default=None,
        description="source column with the id of each row; integers become decimal, bytes hexadecimal; 'row' numbers "
        "the rows as '<file stem>:<row>'; default: the column 'uid'",
    )
    vectors: dict[str, TableVectors] = Field(
        default_factory=dict,
        description="vector columns: from files next to the table, or source columns with their encoder",
    )
    images: Place | None = Field(default=None, description="folder or URL that 'image_path' is relative to")
    types: dict[str, str] = Field(
        default_factory=dict,
        description="Arrow type by source column of CSV, TSV and JSON Lines files, such as {score: float32}, if the "
        "first rows mislead",
    )
    delimiter: str | None = Field(
        default=None, min_length=1, max_length=1, description="character between the values of CSV or TSV files"
    )

    _plan: Once[ReadPlan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _files: Once[list[str]] = PrivateAttr(default_factory=Once)
    _footers: Once[list[Footer]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    @field_validator("types")
    @classmethod
    def _check_types(cls, types: dict[str, str]) -> dict[str, str]:
        for name, dtype in types.items():
            try:
                pa.type_for_alias(dtype)
            except ValueError:
                raise ValueError(
                    f"'{dtype}' of column '{name}' is no type; use string, bool, int32, int64, float32, float64, "
                    "date32 or timestamp[us]"
                ) from None
        return types

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool; reads all Parquet footers, or the first rows of one file of other formats.

        Raises:
            RecipeError: a file or column is missing, or two Parquet files differ in a column.
            InputError: no file can be read.
        """
        return pa.schema(self._planned().fields())

    def parts(self) -> list[Part]:
        """Return runs of about 131,072 rows for Parquet; for other formats one part per file, of unknown length."""
        return list(self._parts.get(self._make_parts))

    def image_root(self) -> str | None:
        return self.images

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        plan = self._planned()
        fields = {field.name: field for field in plan.fields()}
        given = {column.field.name: column for column in plan.given if column.field.name in columns}
        sources = sorted({column.source for column in given.values() if column.source is not None})
        sidecars = {name: files for name, files in plan.sidecars.items() if name in columns}
        batch_rows = fewer_rows(batch_rows, [files.field for files in sidecars.values()])
        with reading(part), VectorReader(part, sidecars) as vectors:
            row = part.start
            for table in self._source_rows(plan, part, sources, batch_rows):
                found = {name: vectors.take(name, row, len(table)) for name in sidecars}
                found.update(
                    (name, _column(column, table, part.files[0], row, self.images)) for name, column in given.items()
                )
                yield table_of([found[name] for name in columns], [fields[name] for name in columns], len(table))
                row += len(table)
            vectors.finish(row)

    def _source_rows(self, plan: ReadPlan, part: Part, sources: list[str], batch_rows: int) -> Iterator[pa.Table]:
        file = part.files[0]
        if plan.format == "parquet":
            yield from read_parquet(file, part.detail["groups"], sources, batch_rows)
        elif plan.format == "jsonl":
            lenient = {str(column.source) for column in plan.given if column.field.name in WELL_KNOWN}
            yield from json_lines.read_json_lines(file, plan.types, sources, batch_rows, lenient)
        else:
            yield from csv_files.read_csv(file, self._delimiter(plan.format), plan.types, sources, batch_rows)

    def _delimiter(self, kind: Format) -> str:
        return self.delimiter or csv_files.DELIMITERS.get(kind, "")

    def _planned(self) -> ReadPlan:
        return self._plan.get(self._make_plan)

    def _listed(self) -> list[str]:
        return self._files.get(self._find)

    def _find(self) -> list[str]:
        wanted = [name for name, kind in SUFFIXES.items() if self.format in (None, kind)]
        files = find_files(self.path, wanted)
        if self.uid == ROW:
            check_stems(files)
        return files

    def _wanted(self) -> ColumnRequest:
        named = {name: spec.column for name, spec in self.vectors.items() if spec.column is not None}
        return ColumnRequest(
            columns={**self.columns, **named},
            uid=self.uid,
            keep=self.keep,
            vectors={name: spec for name, spec in self.vectors.items() if spec.file is None},
            sidecars=[name for name, spec in self.vectors.items() if spec.file is not None],
        )

    def _make_plan(self) -> ReadPlan:
        wanted, files = self._wanted(), self._listed()
        kind = self.format or format_of(self.path[0], files)
        types = {name: pa.type_for_alias(dtype) for name, dtype in self.types.items()}
        if kind == "parquet":
            if types or self.delimiter:
                raise RecipeError(f"{self.path[0]}: Parquet files have types; leave out 'types' and 'delimiter'")
            given = parquet_columns(files, self._read_footers(), wanted)
        else:
            given, types = text_columns(files, kind, wanted, types, self._delimiter(kind))
        self._check_images([column.field.name for column in given])
        kept = [name for name in wanted.sidecars if self.keep is None or name in self.keep]
        sidecars = {name: find_vectors(name, self.vectors[name], files) for name in kept}
        return ReadPlan(kind, tuple(given), sidecars, types)

    def _check_images(self, names: list[str]) -> None:
        if self.images is None:
            return
        if IMAGE_PATH not in names:
            raise RecipeError(
                f"{self.path[0]}: 'images' needs a column '{IMAGE_PATH}'; map one with 'columns: {{image_path: NAME}}' "
                f"(there are: {', '.join(names)})"
            )
        if not is_url(self.images) and not os.path.isdir(self.images):
            raise RecipeError(f"{self.images}: no such folder of images")

    def _read_footers(self) -> list[Footer]:
        return self._footers.get(lambda: map_files(read_footer, self._listed(), self._listed()[0]))

    def _make_parts(self) -> list[Part]:
        plan, files = self._planned(), self._listed()
        if plan.format != "parquet":
            self._check_one_for_all(plan, known=len(files) == 1)
            return text_parts(files, plan.sidecars)
        footers = self._read_footers()
        self._check_one_for_all(plan, known=len(files) == 1 or all(footer.schema is not None for footer in footers))
        return parquet_parts(files, footers, plan.sidecars)

    def _check_one_for_all(self, plan: ReadPlan, known: bool) -> None:
        for name, vectors in plan.sidecars.items():
            if not known and len(vectors.files) == 1:
                raise InputError(
                    f"{vectors.files[0]}: holds the vectors '{name}' of all table files, but the number of rows of "
                    "some of them is unknown; give one vector file for each table file"
                )


def _column(given: Given, table: pa.Table, file: str, row: int, images: str | None) -> pa.Array:
    if given.source is None:
        return row_uids(file, row, len(table))
    return given.values(table.column(given.source), images or posixpath.dirname(file) or ".")
