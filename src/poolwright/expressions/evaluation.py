"""Evaluate a checked expression over Arrow columns with DuckDB.

Columns are read without a copy, except for values that DuckDB treats differently: NaN counts as null here, and is
the greatest number in DuckDB.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.errors import StepError
from poolwright.core.rows import empty_table, one_array
from poolwright.expressions.connection import ExpressionSession, session

_CASTS = {
    "hugeint": "BIGINT",  # such as the sum of a list of integers
    "uhugeint": "BIGINT",
    "enum": "VARCHAR",
    "bit": "VARCHAR",
    "bignum": "VARCHAR",
}
_TYPES = """
    array bigint blob boolean date decimal double float integer list map smallint struct time timestamp timestamp_ms
    timestamp_ns timestamp_s time_ns tinyint ubigint uinteger usmallint utinyint uuid varchar
"""
_STORED = frozenset(_TYPES.split()) | {"timestamp with time zone", "timestamptz_ns"}
_NAMES = itertools.count()
_KEPT = 64
"""Number of relations that a session keeps, so that the next batch need not be planned again."""


class _Batches:
    """A source of rows for DuckDB that holds another batch, of the same schema, at each evaluation."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.table: pa.Table | None = None

    def __arrow_c_schema__(self) -> Any:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        table = empty_table(self.schema) if self.table is None else self.table
        return table.__arrow_c_stream__(requested_schema)


@dataclass(frozen=True)
class _Projection:
    """An expression over rows of a schema, bound by DuckDB; `relation` is None if it is always null."""

    batches: _Batches
    relation: Any
    boolean: bool = False

    def values(self, table: pa.Table) -> pa.Array:
        if self.relation is None:
            return pa.nulls(table.num_rows)
        self.batches.table = table
        try:
            if self.boolean and table.num_rows:  # one byte each: DuckDB takes twice as long to pack them
                flags = self.relation.fetchnumpy()["value"]
                return pa.array(np.ma.getdata(flags), mask=None if (no := np.ma.getmask(flags)) is np.ma.nomask else no)
            result = self.relation.to_arrow_table(max(table.num_rows, 1))  # one chunk
        finally:
            self.batches.table = None
        return one_array(result.column("value"))


def evaluated(sql: str, columns: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Evaluate an expression to one value per row.

    Args:
        sql: the expression, over these column names.
        columns: arrays of `rows` values.
        rows: number of rows.

    Raises:
        StepError: the values are of a type that a column cannot have.
        duckdb.Error: the expression does not fit the columns' types, or fails on a value.
    """
    table = pa.table({name: readable(column) for name, column in columns.items()} or _only_rows(rows))
    with session() as taken:
        values = _projection(taken, sql, table.schema).values(table)
    return _null_for_nan(values) if pa.types.is_floating(values.type) else values


def _only_rows(rows: int) -> dict[str, pa.Array]:
    """Return a column that carries the number of rows for an expression without columns."""
    return {"row": pa.nulls(rows, pa.bool_())}


def _projection(taken: ExpressionSession, sql: str, schema: pa.Schema) -> _Projection:
    """Return the session's projection, one of its recent ones or a new one."""
    projections = taken.kept
    found: _Projection = projections.pop((sql, schema), None) or _bound(taken, sql, schema)
    projections[sql, schema] = found
    if len(projections) > _KEPT:
        del projections[next(iter(projections))]
    return found


def _bound(taken: ExpressionSession, sql: str, schema: pa.Schema) -> _Projection:
    batches = _Batches(schema)
    relation = taken.cursor.from_arrow(batches).project(f"({sql}\n) AS value")
    (dtype,) = relation.types
    kind = str(dtype.id)
    if kind == "null":
        return _Projection(batches, None)
    cast = _CASTS.get(kind)
    if kind == "decimal" and not any(pa.types.is_decimal(column) for column in schema.types):
        cast = "DOUBLE"  # of integers and literals such as 1.5, which are decimals in DuckDB
    if cast:
        relation = relation.project(f"CAST(value AS {cast}) AS value")
    elif kind not in _STORED:
        raise StepError(f"it gives {dtype}, which a column cannot have; cast it to another type")
    return _Projection(batches, relation, kind == "boolean")


def failure(sql: str, columns: Iterable[tuple[str, pa.DataType]]) -> str:
    """Return DuckDB's message, with a position, if an expression does not fit its columns' types; '' if it does."""
    import duckdb

    name = f"failed_{next(_NAMES)}"
    empty = {column: pa.array([], dtype) for column, dtype in columns} or _only_rows(0)
    with session() as taken:
        try:
            taken.cursor.register(name, pa.table({column: readable(values) for column, values in empty.items()}))
            taken.cursor.execute(f"{statement(sql)} FROM {name}")
        except duckdb.Error as error:
            return str(error)
        finally:
            taken.cursor.unregister(name)
    return ""


def statement(sql: str) -> str:
    """Return the statement whose lines DuckDB's messages show."""
    return f"SELECT ({sql}\n) AS value"


def readable(column: pa.Array) -> pa.Array:
    """Return a column as DuckDB reads it: null for NaN, float32 for float16.

    A NaN in a struct or a list is null too; a vector (fixed-size list) with NaN is null as a whole.

    Raises:
        StepError: fields of a struct differ only in case, which DuckDB ignores.
    """
    dtype = column.type
    if pa.types.is_dictionary(dtype):
        return readable(column.dictionary_decode()) if _has_floats(dtype.value_type) else column
    if not _has_floats(dtype):
        _check_fields(dtype)
        return column
    wide = _without_halves(dtype)
    column = column if wide == dtype else column.cast(wide)
    if pa.types.is_floating(wide):
        return _null_for_nan(column)
    if pa.types.is_struct(wide):
        _check_fields(wide)
        fields = [readable(child) for child in column.flatten()]
        return pa.StructArray.from_arrays(fields, [field.name for field in wide], mask=pc.is_null(column))
    if pa.types.is_fixed_size_list(wide):
        return _null_for_nan_vector(column)
    return _list(column) if pa.types.is_list(wide) or pa.types.is_large_list(wide) else column


def _null_for_nan(values: pa.Array) -> pa.Array:
    nan = pc.is_nan(values)
    return pc.if_else(nan, pa.scalar(None, values.type), values) if pc.any(nan).as_py() else values


def _null_for_nan_vector(column: pa.FixedSizeListArray) -> pa.Array:
    if not pa.types.is_floating(column.type.value_type):
        return column
    width = column.type.list_size
    values = column.values.slice(column.offset * width, len(column) * width)
    nan = pc.is_nan(values).fill_null(False).to_numpy(zero_copy_only=False).reshape(len(column), width).any(axis=1)
    if not nan.any():
        return column
    return pc.if_else(pa.array(nan), pa.scalar(None, column.type), column)


def _list(column: Any) -> pa.Array:
    """Return a list column with null for the NaNs in it."""
    values = column.values
    plain = readable(values)
    if plain is values or plain.null_count == values.null_count:
        return column
    sizes = pc.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    first = column.offsets[0].as_py()
    if sizes.sum() != column.offsets[-1].as_py() - first:  # null lists that hide values
        column = column.take(pa.array(np.arange(len(column))))
        return _list(column)
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]), column.offsets.type)
    return type(column).from_arrays(offsets, plain.slice(first, int(sizes.sum())), mask=pc.is_null(column))


def _children(dtype: pa.DataType) -> list[pa.DataType]:
    if pa.types.is_map(dtype):
        return []
    return [dtype.field(index).type for index in range(dtype.num_fields)]


def _has_floats(dtype: pa.DataType) -> bool:
    return pa.types.is_floating(dtype) or any(map(_has_floats, _children(dtype)))


def _without_halves(dtype: pa.DataType) -> pa.DataType:
    """Return the type with float32 for float16, which DuckDB does not read."""
    if pa.types.is_float16(dtype):
        return pa.float32()
    if pa.types.is_fixed_size_list(dtype):
        return pa.list_(dtype.value_field.with_type(_without_halves(dtype.value_type)), dtype.list_size)
    if pa.types.is_list(dtype):
        return pa.list_(dtype.value_field.with_type(_without_halves(dtype.value_type)))
    if pa.types.is_large_list(dtype):
        return pa.large_list(dtype.value_field.with_type(_without_halves(dtype.value_type)))
    if pa.types.is_struct(dtype):
        return pa.struct([field.with_type(_without_halves(field.type)) for field in dtype])
    return dtype


def _check_fields(dtype: pa.DataType) -> None:
    """Check that the fields of a struct differ in more than case."""
    if pa.types.is_struct(dtype):
        names = [field.name.lower() for field in dtype]
        if len(set(names)) < len(names):
            raise StepError(f"fields of {dtype} differ only in case, which DuckDB ignores; rename them")
    for child in _children(dtype):
        _check_fields(child)
