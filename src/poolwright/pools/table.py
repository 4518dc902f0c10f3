"""Pool `table`: rows of Parquet, Arrow, CSV, TSV, JSON Lines or text files, with vectors in a column or in files."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, PrivateAttr, model_validator

from poolwright.core.columns import IMAGE, IMAGE_PATH, ROW_ERROR, UID
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.params import Encoding
from poolwright.core.pool import Part, PathOrUrl, Pool
from poolwright.core.remote.schemes import is_url
from poolwright.core.rows import one_array
from poolwright.core.wording import some
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import DeclaredTypes, table_of
from poolwright.pools.columns.image_paths import ImagePath
from poolwright.pools.columns.made_columns import Expressions, MadeColumns
from poolwright.pools.columns.mapping import ROW, ColumnRequest, Given, class_names, drifts, row_uids
from poolwright.pools.columns.path_columns import (
    FILE_NAME,
    FolderColumns,
    folder_values,
    path_details,
    root_of,
    row_prefixes,
)
from poolwright.pools.columns.path_pattern import PatternText
from poolwright.pools.columns.sidecar_vectors import TableVectors, VectorReader, find_vectors
from poolwright.pools.columns.table_plan import (
    SUFFIXES,
    TYPED,
    Format,
    ReadPlan,
    format_of,
    parquet_columns,
    parquet_parts,
    text_parts,
)
from poolwright.pools.columns.vectors import fewer_rows
from poolwright.pools.readers.columnar import read_footer, read_rows
from poolwright.pools.readers.parquet import Footer, read_parquet
from poolwright.pools.readers.paths import PathsOrUrls, find_files, map_files, reading, stem
from poolwright.pools.text.dialects import Dialect, Quote, dialect_of

__all__ = ["TablePool", "TableVectors", "read_parquet"]


class TablePool(Pool):
    """Rows of one or more files of one format.

    Columns keep their names unless `columns` renames them; one without a name, such as the index that pandas writes to
    CSV, is called `unnamed`. Well-known columns get their types; a value that does not fit becomes null. Lists of 16
    or more floats, all of one length, are taken as embeddings: float16 of unit length; a vector with NaN, infinity, no
    length or another width is null. Indices of classes that Hugging Face describes in Parquet (`ClassLabel`), and
    lists of them, become the names of the classes, except in a column of indices such as `label_index`.

    A column whose type differs between Parquet or Arrow files has the widest of these types, such as double for int64
    and double, unless `types` names one; a value that does not fit it is null, and counted.

    CSV, TSV, JSON Lines and lists (.txt, with white space between values) have no types. They are inferred from the
    first, middle and last lines of every file, as the type that holds all values there unchanged, else as text; `types`
    has the last word. A row with a value that does not fit later, with a key that no sampled line has, or with more or
    fewer values than there are columns, is dropped at admission, counted as bad, with its line in `row_error`.

    `image_path` may be a template over the columns of the row; a row without one of its values has none. `derive` makes
    further columns first, which the template may name.

    Folders called 'name=value', as Hive and Spark write them, are columns, unless the files have these columns.
    `file_name` in files called `metadata`, as Hugging Face's ImageFolder has them, is relative to the file's folder.
    """

    kind: ClassVar[str] = "table"
    example: ClassVar[str] = """\
commonpool:
  read: table
  path: data/*.parquet
  columns: {width: original_width, height: original_height}
  vectors:
    clip: {file: "{stem}.npz", key: l14_img, model: OpenAI ViT-L/14}"""

    @classmethod
    def recognises(cls, path: Path) -> int:
        files = [path] if path.is_file() else [*path.glob("*"), *path.glob("*/*")]
        return 2 * any(file.suffix in (".parquet", ".arrow") for file in files)

    path: PathsOrUrls = Field(
        description="file, glob, folder (all files of the one format in it, at any depth), fsspec URL, or a list of "
        "these; text files may be packed (.gz, .bz2, .xz, .zst)"
    )
    format: Format | None = Field(
        default=None,
        description="parquet, arrow, csv, tsv, jsonl or txt, if the extension does not show it; text files of a folder "
        "are read only if it is named",
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
        "the rows as '<file stem>:<row>', with the path if two files have one stem; default: the column 'uid'",
    )
    vectors: dict[str, TableVectors] = Field(
        default_factory=dict,
        description="vector columns: from files next to the table, or source columns with their encoder",
    )
    images: PathOrUrl | None = Field(default=None, description="folder or URL that 'image_path' is relative to")
    types: DeclaredTypes = Field(
        default_factory=dict,
        description="Arrow type by source column, such as {score: float32}; it replaces the type of Parquet files, and "
        "the one inferred from others",
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        description="what stands between the values of text files: one or more characters, or 'whitespace' for any "
        "number of spaces and tabs; default: ',' in .csv, a tab in .tsv, whitespace in .txt, whose lines are one value "
        "each if 'header' has one name",
    )
    quote: Quote | None = Field(
        default=None,
        description="'\"' if quote marks enclose values, as in .csv by default; none if they are characters like any "
        "other, as in .tsv and .txt",
    )
    header: list[str] | None = Field(
        default=None, min_length=1, description="names of the columns of text files without a line of names"
    )
    encoding: Encoding = Field(
        default="utf-8",
        description="encoding of text files without a byte order mark, such as cp1252, latin-1 or shift_jis",
    )
    derive: Expressions = Field(default_factory=dict)
    image_path: ImagePath | None = Field(
        default=None,
        description="image file of a row, such as '{id}.jpg', '{number:08d}.jpg' or '{hash[0:3]}/{hash}.jpg': a "
        "template over columns of text and whole numbers, with Python's slices and formats",
    )
    index: PathOrUrl | None = Field(
        default=None,
        description="folder for the places where large text files are cut, so that several workers read them; default: "
        "next to each file",
    )
    pattern: PatternText | None = Field(
        default=None,
        description="columns from the path of each file, such as '{config}/*', matched against its path below 'path' "
        "without the extension",
    )

    _plan: Once[ReadPlan] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _files: Once[list[str]] = PrivateAttr(default_factory=Once)
    _footers: Once[list[Footer]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    @model_validator(mode="before")
    @classmethod
    def _former_name(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "names" not in data:
            return data
        if "header" in data:
            raise ValueError("'names' is the former name of 'header'; leave it out")
        return {("header" if name == "names" else name): value for name, value in data.items()}

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

    def class_names(self) -> dict[str, tuple[str, ...]]:
        return class_names(self._planned().given)

    def remarks(self) -> list[str]:
        plan = self._planned()
        if plan.text is None:
            return drifts(plan.given)
        from poolwright.pools.text.row_cuts import one_worker

        return [*drifts(plan.given), *one_worker(self._listed())]

    def image_root(self) -> str | None:
        return self.images

    def known_images(self) -> bool:
        return IMAGE in self.arrow_schema().names

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        plan = self._planned()
        fields, needed = plan.every_field(), {*columns, *plan.made.needs(columns)}
        given = {column.field.name: column for column in plan.given if column.field.name in needed}
        sources = sorted({column.source for column in given.values() if column.source is not None})
        sidecars = {name: files for name, files in plan.sidecars.items() if name in needed}
        batch_rows = fewer_rows(batch_rows, [files.field for files in sidecars.values()])
        checks = ROW_ERROR in columns
        with reading(part), VectorReader(part, sidecars) as vectors:
            row = part.start
            for table in self._source_rows(plan, part, sources, batch_rows, checks):
                found = {name: vectors.take(name, row, len(table)) for name in sidecars}
                found.update((name, _column(column, table, part, row, self.images)) for name, column in given.items())
                for field in plan.folders:
                    found[field.name] = folder_values(field, part.detail["folders"][field.name], len(table))
                found.update(plan.made.values(found, columns, fields, len(table)))
                if checks and plan.text is not None:
                    found[ROW_ERROR] = _errors(found.get(ROW_ERROR), table)
                yield table_of([found[name] for name in columns], [fields[name] for name in columns], len(table))
                row += len(table)
            vectors.finish(row)

    def _source_rows(
        self, plan: ReadPlan, part: Part, sources: list[str], batch_rows: int, checks: bool
    ) -> Iterator[pa.Table]:
        if plan.text is None:
            return read_rows(part.files[0], part.detail["groups"], sources, batch_rows)
        from poolwright.pools.text.row_cuts import RowCut
        from poolwright.pools.text.text_plan import read_text

        cut = RowCut(**part.detail["cut"]) if "cut" in part.detail else None
        return read_text(part.files[0], plan.text, sources, batch_rows, checks, cut)

    def _dialect(self, kind: Format) -> Dialect | None:
        if kind in ("jsonl", *TYPED):
            taken = ("delimiter", "quote", "header", *(["encoding"] if kind in TYPED else []))
            named = [name for name in taken if getattr(self, name) != TablePool.model_fields[name].default]
            if named:
                what = "JSON Lines" if kind == "jsonl" else f"{kind.title()} files"
                raise RecipeError(f"{self.path[0]}: {what} have names and a form of their own; leave out '{named[0]}'")
            return None
        return dialect_of(kind, self.delimiter, self.quote, self.header, self.encoding, self.path[0])

    def _planned(self) -> ReadPlan:
        return self._plan.get(self._make_plan)

    def _listed(self) -> list[str]:
        return self._files.get(self._find)

    def _find(self) -> list[str]:
        wanted = [name for name, kind in SUFFIXES.items() if kind == self.format or (not self.format and kind != "txt")]
        files = find_files(self.path, wanted)
        if self.uid == ROW:
            row_prefixes(files)
        return files

    def _wanted(self) -> ColumnRequest:
        named = {name: spec.column for name, spec in self.vectors.items() if spec.column is not None}
        made = self._made()
        return ColumnRequest(
            columns={**self.columns, **named},
            uid=self.uid,
            keep=self.keep,
            vectors={name: spec for name, spec in self.vectors.items() if spec.file is None},
            sidecars=[*(name for name, spec in self.vectors.items() if spec.file is not None), *made.names],
            folders=self._folders().names,
            also=made.needs(made.names if self.keep is None else self.keep),
        )

    def _made(self) -> MadeColumns:
        return MadeColumns(self.derive, self.image_path)

    def _folders(self) -> FolderColumns:
        return FolderColumns.of(self.path, self._listed(), self.pattern)

    def _make_plan(self) -> ReadPlan:
        wanted, files = self._wanted(), self._listed()
        kind = self.format or format_of(self.path[0], files)
        types = {name: pa.type_for_alias(dtype) for name, dtype in self.types.items()}
        dialect = self._dialect(kind)
        if kind in TYPED:
            given, text = parquet_columns(files, self._read_footers(), wanted, types), None
        else:
            from poolwright.pools.text.text_plan import text_columns

            given, text = text_columns(files, wanted, types, self.encoding, dialect)
        files_of = [name for name, spec in self.vectors.items() if spec.file is not None]
        kept = [name for name in files_of if self.keep is None or name in self.keep]
        sidecars = {name: find_vectors(name, self.vectors[name], files) for name in kept}
        names = [column.field.name for column in given]
        keep = None if self.keep is None else [*self.keep, *wanted.also]
        folders, made = self._folders().kept([*names, *kept], keep), self._made()
        plain = [*(column.field for column in given), *folders]
        fields = made.fields(plain, files[0]) if made.names else []
        self._check_images([field.name for field in (*plain, *fields)])
        hidden = frozenset() if self.keep is None else frozenset({*wanted.also, *made.names} - {UID, *self.keep})
        return ReadPlan(kind, tuple(given), sidecars, text, folders, made, tuple(fields), hidden)

    def _check_images(self, names: list[str]) -> None:
        if self.images is None:
            return
        if IMAGE_PATH not in names:
            raise RecipeError(
                f"{self.path[0]}: 'images' needs a column '{IMAGE_PATH}'; map one with 'columns: {{image_path: NAME}}' "
                f"(there are: {some(names, 30)})"
            )
        if not is_url(self.images) and not os.path.isdir(self.images):
            raise RecipeError(f"{self.images}: no such folder of images")

    def _read_footers(self) -> list[Footer]:
        return self._footers.get(lambda: map_files(read_footer, self._listed(), self._listed()[0]))

    def _make_parts(self) -> list[Part]:
        plan, files = self._planned(), self._listed()
        if plan.text is not None:
            self._check_one_for_all(plan, known=len(files) == 1)
            parts = text_parts(files, plan.sidecars, plan.text, self.index)
        else:
            footers = self._read_footers()
            known = len(files) == 1 or all(footer.schema is not None for footer in footers)
            self._check_one_for_all(plan, known)
            parts = parquet_parts(files, footers, plan.sidecars)
        more = dict(zip(files, self._details(plan, files), strict=True))
        return [part.model_copy(update={"detail": {**part.detail, **more[part.files[0]]}}) for part in parts]

    def _details(self, plan: ReadPlan, files: Sequence[str]) -> Iterator[dict[str, object]]:
        root = self.images if self.images and files[0].startswith(f"{self.images}/") else root_of(self.path, files)
        texts = self._folders().texts if plan.folders else {}
        return path_details(files, root, texts, numbered=self.uid == ROW)

    def _check_one_for_all(self, plan: ReadPlan, known: bool) -> None:
        for name, vectors in plan.sidecars.items():
            if not known and len(vectors.files) == 1:
                raise InputError(
                    f"{vectors.files[0]}: holds the vectors '{name}' of all table files, but the number of rows of "
                    "some of them is unknown; give one vector file for each table file"
                )


def _column(given: Given, table: pa.Table, part: Part, row: int, images: str | None) -> pa.Array:
    if given.source is None:
        return row_uids(part.detail.get("prefix", stem(part.files[0])), row, len(table))
    values = given.values(table.column(given.source), images or posixpath.dirname(part.files[0]) or ".")
    if part.detail.get("below") and str(given.source).endswith(FILE_NAME) and given.field.name in (UID, IMAGE_PATH):
        return pc.binary_join_element_wise(part.detail["below"], values, "/")
    return values


def _errors(given: pa.Array | None, table: pa.Table) -> pa.Array:
    """Return what is wrong with each row: as the reader found it, else as the source itself says."""
    found = one_array(table.column(ROW_ERROR))
    return found if given is None else pc.coalesce(found, given)
