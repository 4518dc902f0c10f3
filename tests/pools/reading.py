"""Reading pools in tests."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from poolwright.core.pool import Pool


def read_all(pool: Pool, columns: Sequence[str] | None = None, batch_rows: int = 1_000) -> pa.Table:
    """All rows of a pool, with what every pool must keep checked on the way."""
    schema = pool.arrow_schema()
    names = schema.names if columns is None else list(columns)
    wanted = pa.schema([schema.field(name) for name in names])
    found = []
    for index, part in enumerate(pool.parts()):
        assert part.index == index
        rows = 0
        for table in pool.read(part, names, batch_rows):
            assert table.schema.equals(wanted, check_metadata=True)
            assert 0 <= len(table) <= batch_rows
            rows += len(table)
            found.append(table)
        assert part.rows in (None, rows)
    if not names:
        return pa.table({"": pa.nulls(sum(map(len, found)))}).select([])
    return pa.concat_tables([wanted.empty_table(), *found])


def column(pool: Pool, name: str) -> list[object]:
    """One column of a pool."""
    return read_all(pool, [name]).column(name).to_pylist()
