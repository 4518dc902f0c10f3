"""Stores columns in files that are mapped into memory: any rows of any column are read without the rest.

A column is an Arrow IPC file of one field, in chunks of one size. A column of few different values has a second
file with their numbers (int32, -1 for null), by which rows are counted and filtered. Memory is one chunk of each
column in use; the rest is the page cache of the system.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_groupable, is_orderable, is_text
from poolwright.core.rows import RowGroups, Rows, one_array

CHUNK = 1 << 18
"""Rows of a chunk, a multiple of 8."""

MOST_VALUES = 50_000
"""A column with more different values is not a facet."""

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]


def is_stored(dtype: pa.DataType) -> bool:
    """Whether a column is stored: text, numbers, booleans and times. Vectors, lists and bytes are not."""
    return is_text(dtype) or is_groupable(dtype) or is_orderable(dtype)


def stored_type(dtype: pa.DataType) -> pa.DataType:
    """Return the type that a column is stored with: texts as large strings, half floats as floats."""
    if pa.types.is_dictionary(dtype):
        return stored_type(dtype.value_type)
    if pa.types.is_string(dtype):
        return pa.large_string()
    return pa.float32() if pa.types.is_float16(dtype) else dtype


def most_values(rows: int) -> int:
    """Return the most different values of a facet of this many rows: if nearly all differ, it groups nothing."""
    return min(MOST_VALUES, max(64, rows // 4))


class _File:
    """Writes the values of one column, whatever batches they come in, in chunks of one size."""

    def __init__(self, path: Path, dtype: pa.DataType, chunk_rows: int) -> None:
        self.chunks = RowGroups(chunk_rows)
        self.schema = pa.schema([pa.field("value", dtype)])
        self.writer = pa.ipc.new_file(str(path), self.schema)

    def add(self, values: pa.Array) -> None:
        for chunk in self.chunks.add(pa.table([values], schema=self.schema)):
            self._write(chunk)

    def _write(self, chunk: pa.Table) -> None:
        self.writer.write_batch(pa.record_batch([one_array(chunk.column(0))], schema=self.schema))

    def close(self) -> None:
        rest = self.chunks.rest()
        if rest is not None:
            self._write(rest)
        self.writer.close()


class ColumnWriter:
    """Writes one column and, while its values are few, their numbers.

    Args:
        folder: the folder of its files.
        number: names the files.
        field: name and type, as stored.
        facet: whether it may be a facet.
        chunk_rows: rows of a chunk.
    """

    def __init__(self, folder: Path, number: int, field: pa.Field, facet: bool, chunk_rows: int) -> None:
        self.folder, self.stem, self.field = folder, f"{number:03d}", field
        self.file = _File(folder / f"{self.stem}.arrow", field.type, chunk_rows)
        self.numbers: dict[Any, int] | None = {} if facet and is_groupable(field.type) else None
        self.codes = _File(self._codes_path, pa.int32(), chunk_rows) if self.numbers is not None else None
        self.low, self.high = np.inf, -np.inf
        self.rows = 0

    @property
    def _codes_path(self) -> Path:
        return self.folder / f"{self.stem}.codes.arrow"

    def add(self, values: pa.Array) -> None:
        self.file.add(values)
        self.rows += len(values)
        if self.numbers is not None and self.codes is not None:
            self.codes.add(pa.array(_code(values, self.numbers)))
            if len(self.numbers) > MOST_VALUES:
                self._no_facet()
        if is_orderable(self.field.type):
            numbers = as_numbers(values)
            finite = numbers[np.isfinite(numbers)]
            if len(finite):
                self.low, self.high = min(self.low, finite.min()), max(self.high, finite.max())

    def _no_facet(self) -> None:
        if self.codes is not None:
            self.codes.close()
            self._codes_path.unlink()
        self.numbers = self.codes = None

    def close(self) -> dict[str, Any]:
        """Finish the files; return the column's entry in the index."""
        self.file.close()
        if self.numbers is not None and len(self.numbers) > most_values(self.rows):
            self._no_facet()
        if self.numbers is not None and self.codes is not None:
            self.codes.close()
            names = json.dumps([as_text(value) for value in self.numbers], ensure_ascii=False)
            (self.folder / f"{self.stem}.values.json").write_text(names, encoding="utf-8")
        known = self.low <= self.high
        return {
            "name": self.field.name,
            "stem": self.stem,
            "facet": self.numbers is not None,
            "low": float(self.low) if known else None,
            "high": float(self.high) if known else None,
        }


def as_text(value: Any) -> str:
    """Return the name of a facet's value: booleans as SQL writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _code(values: pa.Array, numbers: dict[Any, int]) -> Codes:
    """Return the numbers of the values, assigning new ones as they come; -1 for null."""
    coded = values.dictionary_encode()
    here = [numbers.setdefault(value, len(numbers)) for value in coded.dictionary.to_pylist()]
    indices = pc.fill_null(coded.indices.cast(pa.int64()), len(here)).to_numpy(zero_copy_only=False)
    return np.asarray(np.array([*here, -1], np.int32)[indices])


def as_numbers(values: pa.Array) -> Float64:
    """Convert numbers, booleans or times to float64 (n,), NaN for null; times in the unit of their type."""
    return Rows(pa.table({"value": values})).numbers("value")


@dataclass(frozen=True)
class StoredColumn:
    """A column of a store.

    Attributes:
        name, type: as stored.
        path: path of its files, without their extension.
        facet: whether its values are few.
        low, high: least and greatest finite number; None if there is none, and for texts.
        chunk_rows: rows of every chunk but the last.
    """

    name: str
    type: pa.DataType
    path: Path
    facet: bool
    low: float | None
    high: float | None
    chunk_rows: int = CHUNK

    @cached_property
    def _chunks(self) -> list[pa.Array]:
        return _mapped(self.path.with_suffix(".arrow"))

    @cached_property
    def _codes(self) -> list[pa.Array]:
        return _mapped(self.path.with_suffix(".codes.arrow"))

    @cached_property
    def names(self) -> list[str]:
        """Values of a facet, as text, by number."""
        found: list[str] = json.loads(self.path.with_suffix(".values.json").read_text(encoding="utf-8"))
        return found

    @cached_property
    def code_of(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names)}

    @property
    def orderable(self) -> bool:
        return is_orderable(self.type)

    def chunk(self, number: int) -> pa.Array:
        """Return the values of one chunk, mapped, not read."""
        return self._chunks[number]

    def codes(self, number: int) -> Codes:
        """Return the numbers of the values of one chunk, -1 for null. Facets only."""
        return np.asarray(self._codes[number].to_numpy(zero_copy_only=True))

    def codes_at(self, positions: npt.ArrayLike) -> Codes:
        """Return the numbers of the values of some rows, -1 for null. Facets only."""
        return np.asarray(_take(self._codes, self.chunk_rows, np.asarray(positions, np.int64), pa.int32()))

    def numbers(self, number: int) -> Float64:
        """Return one chunk as float64, NaN for null."""
        return as_numbers(self.chunk(number))

    def take(self, positions: npt.ArrayLike) -> pa.Array:
        """Return the values of some rows, in the order of `positions`."""
        return _take(self._chunks, self.chunk_rows, np.asarray(positions, np.int64), self.type)


class MemoryColumn(StoredColumn):
    """A column of numbers in memory, such as the scores of a search."""

    def __init__(self, name: str, values: npt.NDArray[Any], chunk_rows: int) -> None:
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
        dtype = pa.from_numpy_dtype(values.dtype)
        super().__init__(name, dtype, Path(), False, low, high, chunk_rows)
        pieces = [values[at : at + chunk_rows] for at in range(0, len(values), chunk_rows)]
        self.__dict__["_chunks"] = [pa.array(piece, from_pandas=True) for piece in pieces]


def _mapped(path: Path) -> list[pa.Array]:
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    return [reader.get_batch(number).column(0) for number in range(reader.num_record_batches)]


def _take(chunks: Sequence[pa.Array], size: int, positions: Integers, dtype: pa.DataType) -> pa.Array:
    if not len(positions):
        return pa.array([], dtype)
    numbers = positions // size
    order = np.argsort(numbers, kind="stable")
    pieces = [chunks[number].take(pa.array(positions[rows] % size)) for number, rows in _runs(numbers, order)]
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return one_array(pa.chunked_array(pieces)).take(pa.array(back))


def _runs(numbers: Integers, order: Integers) -> Iterator[tuple[int, Integers]]:
    """Yield (chunk, indices of the positions in it); `order` sorts the numbers of the chunks."""
    numbers = numbers[order]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1, [len(order)]])
    for first, last in pairwise(starts):
        yield int(numbers[first]), order[first:last]
