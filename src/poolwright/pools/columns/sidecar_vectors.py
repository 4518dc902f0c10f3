"""Read vectors from NumPy files next to a table, in its row order."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa
from pydantic import Field, StringConstraints, model_validator

from poolwright.core.errors import RecipeError
from poolwright.core.pool import Part, PathOrUrl
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.vectors import MadeBy, field_of, unit_vectors
from poolwright.pools.readers.numpy_files import SUFFIXES, ArrayReader, NoArray, read_headers
from poolwright.pools.readers.paths import Unreadable, base_name, find_files, stem, suffix

STEM = "{stem}"


class TableVectors(MadeBy):
    """Source of the vectors of one column, and the encoder that made them."""

    file: Annotated[str, StringConstraints(pattern=r"^[^/\\]*\{stem\}[^/\\]*$")] | PathOrUrl | None = Field(
        default=None,
        union_mode="left_to_right",
        description=".npy or .npz file, glob or folder, in the row order of the table: one for each table file, in the "
        "order of their names, or one for all; '{stem}.npz' is the file of that name next to each table file",
    )
    key: str | None = Field(default=None, description="name of the array in the .npz files; default: the column's name")
    column: str | None = Field(
        default=None, description="source column with the vectors, if no file is named; default: the column's name"
    )

    @model_validator(mode="after")
    def _check(self) -> TableVectors:
        if self.file is not None and self.column is not None:
            raise ValueError("vectors come from a 'file' or from a 'column', not from both")
        if self.key is not None and self.file is None:
            raise ValueError("'key' names an array in a file; name the 'file'")
        return self


@dataclass(frozen=True)
class VectorFiles:
    """Files of one vector column: as many as table files, or one for all.

    Attributes:
        files: paths or URLs.
        key: name of the array in .npz files.
        field: of the column.
    """

    files: tuple[str, ...]
    key: str
    field: pa.Field

    def detail(self, index: int, file_start: int, file_rows: int | None, all_rows: int | None) -> dict[str, Any]:
        """Return the location of the vectors of table file `index`, for `Part.detail`.

        Args:
            file_start: row of the whole table at which the file begins.
            file_rows: rows of the file, if known; the vectors must be as many.
            all_rows: the same for the whole table.
        """
        if len(self.files) > 1 or all_rows == file_rows:
            return {"file": self.files[index if len(self.files) > 1 else 0], "start": 0, "rows": file_rows}
        return {"file": self.files[0], "start": file_start, "rows": all_rows}


def find_vectors(name: str, spec: TableVectors, tables: Sequence[str]) -> VectorFiles:
    """Find the vector files of a table, with the width of the first that can be read.

    Raises:
        RecipeError: files are missing, not as many as table files, or hold no vectors.
        InputError: none can be read.
    """
    files, key = _files(name, spec, tables), spec.key or name
    damage: Unreadable | None = None
    for file in files:
        try:
            header = next(iter(read_headers(file, [key]).values()))
        except NoArray as error:
            raise RecipeError(str(error)) from None
        except Unreadable as error:
            damage = damage or error
            continue
        if len(header.shape) != 2 or header.dtype.kind != "f":
            raise RecipeError(f"{file}: vectors are a 2-d array of floats; '{key}' is {header.dtype} of {header.shape}")
        return VectorFiles(files, key, field_of(name, header.shape[1], spec))
    raise damage or RecipeError(f"vectors of '{name}': no files")


def _files(name: str, spec: TableVectors, tables: Sequence[str]) -> tuple[str, ...]:
    pattern = str(spec.file)
    if STEM in pattern:
        found = [_sidecar_path(pattern, table) for table in tables]
        lost = [file for file in found if not is_url(file) and not os.path.isfile(file)]
        if lost:
            more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
            raise RecipeError(f"vectors of '{name}': no file {lost[0]}{more}; '{STEM}' is the name of each table file")
    else:
        found = find_files([pattern], SUFFIXES)
    for file in found:
        if suffix(file) not in SUFFIXES:
            raise RecipeError(f"{file}: vectors are read from .npy and .npz files")
    if len(found) not in (1, len(tables)):
        raise RecipeError(
            f"vectors of '{name}': {len(found)} files for {len(tables)} table files; "
            "there must be one for each, in the order of their names, or one for all"
        )
    return tuple(found)


def _sidecar_path(pattern: str, table: str) -> str:
    file = pattern.replace(STEM, stem(table))
    if "/" in pattern or "\\" in pattern:
        return file
    if is_url(table):
        return table.rpartition(base_name(table))[0] + file
    return posixpath.join(os.path.dirname(table), file)


class VectorReader:
    """The vectors of one part, by rows of its table file. To be used in `with`.

    Args:
        part: with `detail['vectors']`, as `VectorFiles.detail` gives it by column.
        columns: files by column; only these are opened.

    Raises:
        Unreadable: a file is damaged, of another width, or has more or fewer vectors than the table has rows.
    """

    def __init__(self, part: Part, columns: Mapping[str, VectorFiles]) -> None:
        self._stack, self._part = ExitStack(), part
        self._readers: dict[str, ArrayReader] = {}
        try:
            for name, files in columns.items():
                self._readers[name] = self._stack.enter_context(self._open(name, files))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> VectorReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _open(self, name: str, files: VectorFiles) -> ArrayReader:
        detail = self._part.detail["vectors"][name]
        header = next(iter(read_headers(detail["file"], [files.key]).values()))
        width = files.field.type.list_size
        if len(header.shape) != 2 or header.shape[1] != width or header.dtype.kind != "f":
            raise Unreadable(
                detail["file"], f"the array of '{name}' is {header.dtype} of {header.shape}, not (n, {width})"
            )
        if detail["rows"] is not None and header.rows != detail["rows"]:
            raise self._lengths(name, detail["rows"], header.rows)
        return ArrayReader(detail["file"], header)

    def take(self, name: str, row: int, count: int) -> pa.Array:
        """Read the vectors of `count` rows from row `row` of the table file."""
        reader = self._readers[name]
        start = self._part.detail["vectors"][name]["start"] + row
        if start + count > reader.header.rows:
            raise self._lengths(name, None, reader.header.rows)
        return unit_vectors(reader.rows(start, count))

    def finish(self, rows: int) -> None:
        """Check the number of rows after reading a table file whose length was unknown."""
        for name, reader in self._readers.items():
            if self._part.detail["vectors"][name]["rows"] is None and reader.header.rows != rows:
                raise self._lengths(name, rows, reader.header.rows)

    def _lengths(self, name: str, rows: int | None, vectors: int) -> Unreadable:
        table, file = base_name(self._part.files[0]), base_name(self._part.detail["vectors"][name]["file"])
        counted = f"{rows:,}" if rows is not None else f"more than {vectors:,}"
        return Unreadable(
            table, f"has {counted} rows and {file} has {vectors:,} vectors of '{name}'; the numbers must be equal"
        )
