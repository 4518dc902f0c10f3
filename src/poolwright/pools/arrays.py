"""Pool `arrays`: arrays of .npz and .npy files as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from poolwright.core.columns import UID
from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part, Pool
from poolwright.pools.columns.array_columns import ArrayGiven, damage_of, given_of, headers_of, read_whole, widened
from poolwright.pools.columns.cached import Once
from poolwright.pools.columns.casting import table_of
from poolwright.pools.columns.mapping import ROW, row_uids
from poolwright.pools.columns.path_columns import row_prefixes
from poolwright.pools.columns.vectors import MadeBy, fewer_rows
from poolwright.pools.readers.numpy_files import SUFFIXES, ArrayReader, NoArray
from poolwright.pools.readers.paths import PathsOrUrls, Unreadable, base_name, find_files, reading, stem, suffix

PART_ROWS = 65_536


class ArrayColumn(MadeBy):
    """One array, with the encoder that made it if it holds vectors."""

    array: str = Field(description="name of the array in the .npz; for an .npy any name")


class Lookup(BaseModel):
    """Values looked up by an index, such as class names by label."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    values: str = Field(description="1-d array of values, such as class_names")
    by: str = Field(description="array, or column given here, of integers: the index of each row's value, from 0")


def _as_columns(value: Any) -> Any:
    if isinstance(value, str):
        value = {value: value}
    if isinstance(value, Mapping):
        return {name: {"array": given} if isinstance(given, str) else given for name, given in value.items()}
    return value


class Arrays(Pool):
    """Arrays of NumPy files as columns: 1-d arrays as numbers or strings, 2-d arrays of floats as vectors.

    Vectors are given as float16 of unit length; one with NaN, infinity or no length is null. All arrays chosen from
    a file must have the same length. Pickled arrays are never loaded.
    """

    kind: ClassVar[str] = "arrays"
    example: ClassVar[str] = """\
imagenet:
  read: arrays
  path: data/imagenet.npz
  columns:
    clip: {array: train_emb, model: OpenAI ViT-B/32}
    label_index: train_label
  lookup:
    label: {values: class_names, by: train_label}"""

    path: PathsOrUrls = Field(description=".npz or .npy file, glob, folder, fsspec URL, or a list of these")
    columns: Annotated[dict[str, ArrayColumn], BeforeValidator(_as_columns)] = Field(
        min_length=1,
        description="array for each column, such as {label_index: train_label, clip: {array: train_emb, "
        "model: OpenAI ViT-B/32}}; for an .npy, the name of its one column",
    )
    lookup: dict[str, Lookup] = Field(
        default_factory=dict,
        description="columns found by index, such as {label: {values: class_names, by: train_label}}; null if the "
        "index is out of range",
    )
    uid: str = Field(
        default=ROW,
        description="array with the id of each row: strings, integers, or pairs of u8 as DataComp writes them; "
        "'row' numbers the rows as '<file stem>:<row>'",
    )

    _given: Once[tuple[ArrayGiven, ...]] = PrivateAttr(default_factory=lambda: Once(travels=True))
    _files: Once[list[str]] = PrivateAttr(default_factory=Once)
    _parts: Once[list[Part]] = PrivateAttr(default_factory=Once)

    @model_validator(mode="after")
    def _check(self) -> Arrays:
        twice = set(self.columns).intersection(self.lookup)
        if twice:
            raise ValueError(f"'{min(twice)}' is given by 'columns' and by 'lookup'; give one of them another name")
        if UID in self.columns or UID in self.lookup:
            raise ValueError("the column 'uid' is named by the key 'uid', such as 'uid: names'")
        return self

    def arrow_schema(self) -> pa.Schema:
        """Return the columns of this pool: those of the first file that can be read, of the widest type of all files.

        Raises:
            RecipeError: an array is missing, or its length, shape or type does not fit.
            InputError: no file can be read.
        """
        return pa.schema([given.field for given in self._columns()])

    def parts(self) -> list[Part]:
        """Return parts of 65,536 rows."""
        return list(self._parts.get(self._make_parts))

    def class_names(self) -> dict[str, list[str]]:
        found = {}
        for given in self._columns():
            if given.values and pa.types.is_string(given.field.type):
                file = self._listed()[0]
                with suppress(Unreadable):  # reported when the file is read
                    names = read_whole(file, headers_of(file, [given])[given.values])
                    found[given.field.name] = given.column(np.arange(len(names)), {given.values: names}).to_pylist()
        return found

    def remarks(self) -> list[str]:
        return [column.drift for column in self._columns() if column.drift]

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        file = part.files[0]
        by_name = {given.field.name: given for given in self._columns()}
        wanted = [by_name[name] for name in columns]
        batch_rows = fewer_rows(batch_rows, [given.field for given in wanted])
        with reading(part), ExitStack() as stack:
            headers = headers_of(file, wanted)
            arrays = sorted({given.array for given in wanted if given.array is not None})
            readers = {array: stack.enter_context(ArrayReader(file, headers[array])) for array in arrays}
            values = {given.values: read_whole(file, headers[given.values]) for given in wanted if given.values}
            end = part.start + (part.rows or 0)
            for row in range(part.start, end, batch_rows):
                count = min(batch_rows, end - row)
                rows = {array: reader.rows(row, count) for array, reader in readers.items()}
                found = [
                    row_uids(part.detail.get("prefix", stem(file)), row, count)
                    if given.array is None
                    else given.column(rows[given.array], values)
                    for given in wanted
                ]
                yield table_of(found, [given.field for given in wanted], count)

    def _listed(self) -> list[str]:
        return self._files.get(self._find)

    def _find(self) -> list[str]:
        files = find_files(self.path, SUFFIXES)
        for file in files:
            if suffix(file) not in SUFFIXES:
                raise RecipeError(f"{file}: arrays are read from .npz and .npy files; convert it with numpy.savez")
            if suffix(file) == "npy" and (len(self.columns) > 1 or self.lookup or self.uid != ROW):
                raise RecipeError(f"{file}: an .npy holds one array, so it gives one column, with 'uid: row'")
        if self.uid == ROW:
            row_prefixes(files)
        return files

    def _columns(self) -> tuple[ArrayGiven, ...]:
        return self._given.get(self._make_columns)

    def _make_columns(self) -> tuple[ArrayGiven, ...]:
        arrays = {name: column.array for name, column in self.columns.items()}
        lookups = {name: (found.values, arrays.get(found.by, found.by)) for name, found in self.lookup.items()}
        damage: Unreadable | None = None
        files = self._listed()
        for number, file in enumerate(files, 1):
            try:
                found = given_of(file, None if self.uid == ROW else self.uid, self.columns, arrays, lookups)
            except NoArray as error:
                raise RecipeError(str(error)) from None
            except Unreadable as error:
                damage = damage or error
                continue
            for other in files[number:]:
                with suppress(Unreadable):  # it is a bad part
                    headers = headers_of(other, found)
                    found = tuple(widened(column, other, headers) for column in found)
            return found
        raise damage or InputError(f"{self.path[0]}: no file")

    def _make_parts(self) -> list[Part]:
        given = self._columns()
        parts: list[Part] = []
        files = self._listed()
        for file, prefix in zip(files, row_prefixes(files) if self.uid == ROW else map(stem, files), strict=True):
            try:
                headers = headers_of(file, given)
                damage = damage_of(headers, given)
            except Unreadable as error:
                damage = error.reason
            if damage:
                parts.append(Part(index=len(parts), name=base_name(file), files=(file,), detail={"damage": damage}))
                continue
            rows = next(headers[column.array].rows for column in given if column.array is not None)
            for start in range(0, max(rows, 1), PART_ROWS):
                count = min(PART_ROWS, rows - start)
                cut = f" rows {start}-{start + count - 1}" if rows > PART_ROWS else ""
                name = base_name(file) + cut
                detail = {"prefix": prefix} if prefix != stem(file) else {}
                parts.append(Part(index=len(parts), name=name, files=(file,), start=start, rows=count, detail=detail))
        return parts
