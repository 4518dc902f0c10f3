"""Reads the rows that are joined, with the hash of their key and their place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, ROW_ERROR, WELL_KNOWN
from poolwright.core.errors import BadPart, InputError, StepError, did_you_mean
from poolwright.core.frame import OtherRows
from poolwright.core.rows import one_array
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.lookup.key_index import key_hashes, with_key
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.steps.describe.columns.sorted_rows import HASH, KEY, PART, ROW, VALUE, Repeats

_BATCH_ROWS = 131_072
_FEW_ROWS, _FEW_BYTES = 200_000, 16 << 20


@dataclass(frozen=True)
class OtherColumns:
    """The columns of other rows that are joined.

    Attributes:
        where: the rows, as messages name them.
        keys: names of the columns of the key.
        values: name there by name here.
    """

    where: str
    keys: tuple[str, ...]
    values: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """The names there, each once."""
        return list(dict.fromkeys((*self.keys, *self.values.values())))

    def types(self, schema: pa.Schema) -> pa.Schema:
        """Return the columns as they are joined: keys as `KEY` and name there, values as `VALUE` and name here.

        Raises:
            StepError: a column is missing, or a well-known one cannot have its values.
        """
        for name in self.names:
            if name not in schema.names or name in (IMAGE, IMAGE_ERROR):
                text = f"join: {self.where} has no column '{name}' to join; {did_you_mean(name, schema.names)}"
                raise StepError(f"{text} (there are: {some(schema.names, 30)})")
        keys = [pa.field(KEY + name, plain(pa.nulls(0, schema.field(name).type)).type) for name in self.keys]
        return pa.schema([*keys, *(_field(schema.field(there), here) for here, there in self.values.items())])


def _field(there: pa.Field, name: str) -> pa.Field:
    dtype = _unnamed(there.type.value_type if pa.types.is_dictionary(there.type) else there.type)
    if name in WELL_KNOWN and dtype != WELL_KNOWN[name].type:
        wanted = WELL_KNOWN[name].type
        try:
            pa.nulls(0, dtype).cast(wanted)
        except pa.ArrowException:
            raise StepError(
                f"join: '{there.name}' is {dtype}, and '{name}' is {wanted} in every table; choose another name"
            ) from None
        dtype = wanted
    return pa.field(VALUE + name, dtype, metadata=there.metadata)


def _unnamed(dtype: pa.DataType) -> pa.DataType:
    """Return a type whose lists call their items as PyArrow calls them; Parquet files call them otherwise."""
    if pa.types.is_struct(dtype):
        return pa.struct([one.with_type(_unnamed(one.type)) for one in dtype])
    if pa.types.is_fixed_size_list(dtype):
        return pa.list_(_unnamed(dtype.value_type), dtype.list_size)
    return pa.list_(_unnamed(dtype.value_type)) if pa.types.is_list(dtype) else dtype


class OtherReader:
    """Reads other rows for a join.

    Args:
        wanted: the columns.
        other: the rows.
    """

    def __init__(self, wanted: OtherColumns, other: OtherRows) -> None:
        self.wanted, self.other = wanted, other
        self.rows = 0
        self.without_key = 0
        place = [pa.field(PART, pa.int32()), pa.field(ROW, pa.int64())]
        self.schema = pa.schema([pa.field(HASH, pa.uint64()), *wanted.types(other.schema), *place])

    def tables(self) -> Iterator[pa.Table]:
        """Yield the rows that have a key; `rows` and `without_key` count all of them, and those that have none.

        Raises:
            InputError: a row or a part cannot be read.
        """
        names = self.wanted.names
        columns = [*names, *({ROW_ERROR} & set(self.other.schema.names) - set(names))]
        for part in self.other.parts:
            start = 0
            try:
                for table in self.other.read(part, columns, _BATCH_ROWS):
                    yield self._keyed(table, part.index, start)
                    start += len(table)
            except BadPart as error:
                raise InputError(f"join: {error}; mend or remove the file") from None

    def _keyed(self, table: pa.Table, part: int, start: int) -> pa.Table:
        self._check_errors(table, part, start)
        keys = [plain(one_array(table.column(name))) for name in self.wanted.keys]
        values = [self._values(table, here, there) for here, there in self.wanted.values.items()]
        place = [np.full(len(table), part, np.int32), np.arange(start, start + len(table))]
        found = pa.table([key_hashes(keys), *keys, *values, *place], schema=self.schema)
        keyed = with_key(keys)
        self.rows += len(keyed)
        self.without_key += int((~keyed).sum())
        return found.filter(pa.array(keyed))

    def _values(self, table: pa.Table, here: str, there: str) -> pa.Array:
        values, wanted = one_array(table.column(there)), self.schema.field(VALUE + here).type
        try:
            # Types of lists are equal whatever their items are called.
            return values if values.type == wanted and not pa.types.is_nested(wanted) else values.cast(wanted)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"join: '{there}' of {self.wanted.where} cannot be '{here}', which is {wanted}: {error}; correct the "
                "values, or choose another name"
            ) from None

    def _check_errors(self, table: pa.Table, part: int, start: int) -> None:
        errors = table.column(ROW_ERROR) if ROW_ERROR in table.column_names else None
        if errors is not None and errors.null_count < len(errors):
            at = int(np.flatnonzero(errors.is_valid().to_numpy())[0])
            raise InputError(
                f"join: {self._place({PART: part, ROW: start + at})} cannot be read: {errors[at].as_py()}; correct it, "
                "or join a table of the recipe made from these rows, which counts and drops those that cannot be read"
            )

    def differing(self, repeats: Repeats) -> str:
        """Return the message about rows that repeat a key with other values, which names some and their places."""
        shown = []
        for one, again in repeats.shown:
            key = ", ".join(f"{name} {one[KEY + name]!r}" for name in self.wanted.keys)
            here = next(name for name in self.wanted.values if repr(one[VALUE + name]) != repr(again[VALUE + name]))
            values = [f"{row[VALUE + here]!r} ({self._place(row)})" for row in (one, again)]
            shown.append(f"{key} with {self.wanted.values[here]} {values[0]} and {values[1]}")
        repeat = "repeats" if repeats.differing == 1 else "repeat"
        return (
            f"join: {in_rows(repeats.differing)} of {self.wanted.where} {repeat} a key with other values: "
            f"{'; '.join(shown)}. A row gets the values of one: correct them, keep one row of each key in a table of "
            "the recipe and join that, or join on more columns"
        )

    def _place(self, row: Mapping[str, Any]) -> str:
        part = self.other.parts[row[PART]]
        return f"{part.name}, row {part.start + row[ROW]}"


def few_keys(other: OtherRows, names: Sequence[str]) -> dict[tuple[Any, ...], None] | None:
    """Return the keys of other rows, in order, if there are so few that reading them takes no time; else None.

    Args:
        names: columns of the key.
    """
    files = {file for part in other.parts for file in part.files}
    if not files or not all(os.path.isfile(file) for file in files):
        return None
    counted = sum(_FEW_ROWS + 1 if part.rows is None else part.rows for part in other.parts)
    if counted > _FEW_ROWS and sum(map(os.path.getsize, files)) > _FEW_BYTES:
        return None
    found: dict[tuple[Any, ...], None] = {}
    for part in other.parts:
        for table in other.read(part, list(names), _BATCH_ROWS):
            columns = [plain(one_array(table.column(name))).to_pylist() for name in names]
            found |= dict.fromkeys(key for key in zip(*columns, strict=True) if None not in key)
    return found
