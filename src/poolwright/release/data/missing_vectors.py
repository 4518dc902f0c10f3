"""Choose the type of released vectors: lists of fixed size, or plain lists if some vectors are missing.

PyArrow before 26 cannot read null lists of fixed size from Parquet, and reports "Expected all lists to be of size=512
but index 1 had size=0" (apache/arrow issue 35692). `datasets` and pandas read through it, and users of a release may
have any version. All versions read plain lists with nulls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import is_vector
from poolwright.core.table import Table

_WRITES_NULLS = 26
"""Tables written with an older PyArrow hold NaN for a missing vector, so that their footers do not count them."""


def readable_schema(schema: pa.Schema, table: Table, columns: Mapping[str, str] | None = None) -> pa.Schema:
    """Return the schema of released rows with plain lists for vectors that are missing in some row of the table.

    Args:
        schema: schema of the released rows.
        table: the table that they come from.
        columns: column of the table by released column, if the names differ; also for fields of structs.
    """
    columns = columns or {}
    sources = {columns.get(name, name) for name in _vector_names(schema)}
    missing = missing_vectors(table, [name for name in table.schema.names if name in sources])
    if not missing:
        return schema
    return pa.schema([_readable(field, missing, columns) for field in schema], metadata=schema.metadata)


def missing_vectors(table: Table, columns: Iterable[str]) -> frozenset[str]:
    """Return the columns in which some vector is missing: null, or NaN throughout."""
    schema = table.schema
    vectors = [name for name in columns if is_vector(schema.field(name).type)]
    files = [table.folder / part.file for part in table.record.parts]
    counted = int(table.record.versions.get("pyarrow", "0").split(".")[0]) >= _WRITES_NULLS
    by_footer = [name for name in vectors if counted and schema.field(name).type.list_size > 1]
    metadata = [pq.read_metadata(file) for file in files] if by_footer else []
    found = {
        name
        for name in by_footer
        if any(_null_lists(footer, name, schema.field(name).type.list_size) for footer in metadata)
    }
    return frozenset(found | _seen_missing(table, [name for name in vectors if name not in by_footer]))


def _null_lists(metadata: pq.FileMetaData, name: str, width: int) -> bool:
    """Whether a Parquet file has null lists: a null takes one slot among the values, a vector `width`."""
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for index in range(group.num_columns):
            column = group.column(index)
            if column.path_in_schema.startswith(f"{name}.list.") and column.num_values != group.num_rows * width:
                return True
    return False


def _seen_missing(table: Table, columns: list[str]) -> set[str]:
    found: set[str] = set()
    if columns:
        for rows in table.batches(columns, 8_192):
            found.update(name for name in columns if rows.table.column(name).null_count)
            if len(found) == len(columns):
                break
    return found


def _vector_names(schema: Iterable[pa.Field]) -> Iterable[str]:
    for field in schema:
        if is_vector(field.type):
            yield field.name
        elif pa.types.is_struct(field.type):
            yield from _vector_names(field.type)


def _readable(field: pa.Field, missing: frozenset[str], columns: Mapping[str, str]) -> pa.Field:
    if is_vector(field.type) and columns.get(field.name, field.name) in missing:
        return field.with_type(pa.list_(field.type.value_type))
    if pa.types.is_struct(field.type):
        return field.with_type(pa.struct([_readable(child, missing, columns) for child in field.type]))
    return field
