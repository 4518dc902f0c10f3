"""Read the rows of other sets, and bring their hashes and vectors into an order in which rows are looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import ROW_ERROR, UID
from poolwright.core.errors import BadPart, InputError
from poolwright.core.frame import OtherRows
from poolwright.core.rows import one_array
from poolwright.core.runtime.scratch import scratch_database
from poolwright.core.state import read_mapped
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.selection.lookup.value_index import plain

HASH, KEY, SET, VECTOR = "hash", "key", "set", "vector"
_BATCH_ROWS = 65_536
_CHUNK_ROWS = 1 << 20
"""Rows of a chunk of sorted keys; a hash is in one chunk."""

Keys = Callable[[pa.Array], pa.Array]
"""Return the values of a column as they are compared, null for those that are not."""


class OtherSets:
    """The rows of other sets. Use `other_sets` to make one.

    Attributes:
        rows: number of rows of each set.
        without: number of rows without a value, by column.
    """

    def __init__(self, base: Any, folder: Path, sets: Sequence[OtherRows]) -> None:
        self._base, self._folder, self._sets = base, folder, sets
        self.rows = [0] * len(sets)
        self.without: dict[str, int] = {}

    def sorted_keys(self, column: str, keys: Keys) -> pa.Table:
        """Return the distinct values of a column by their hash, each with the first row that has it.

        Returns:
            `hash` uint64, `key` string, `set` int32 and `uid` string, mapped from a file without a name.
        """
        self._base.execute("create or replace table given (hash ubigint, key varchar, set integer, uid varchar)")
        for number, uids, values in self._batches(column):
            values = keys(values)
            there = values.is_valid()
            self._note(column, len(values), int(pc.sum(there).as_py() or 0))
            values, uids = values.filter(there), uids.filter(there)
            self._insert(pa.table({HASH: hash64(values, 0), KEY: values, SET: _set(number, len(values)), UID: uids}))
        schema = pa.schema([(HASH, pa.uint64()), (KEY, pa.string()), (SET, pa.int32()), (UID, pa.string())])
        ((count,),) = self._base.execute("select count(*) from given").fetchall()
        pieces = count // _CHUNK_ROWS + 1
        bounds = [piece * 2**64 // pieces for piece in range(pieces)]

        def chunks() -> Iterator[pa.Table]:
            for first, last in zip(bounds, [*bounds[1:], 2**64], strict=True):
                found = self._base.sql(
                    "select hash, key, found[1] as set, found[2] as uid from "
                    "(select hash, key, min((set, uid)) found from given "
                    f"where hash between {first} and {last - 1} group by hash, key) order by hash, key"
                )
                yield found.to_arrow_table().cast(schema).combine_chunks()

        return self._mapped(column, schema, chunks())

    def vectors(self, column: str, field: pa.Field) -> pa.Table:
        """Return all vectors in the order of their sets, with `set` and `uid`, mapped from a file without a name."""
        schema = pa.schema([(SET, pa.int32()), (UID, pa.string()), field.with_name(VECTOR)])

        def chunks() -> Iterator[pa.Table]:
            for number, uids, values in self._batches(column):
                there = values.is_valid()
                self._note(column, len(values), int(pc.sum(there).as_py() or 0))
                values, uids = values.filter(there), uids.filter(there)
                yield pa.table([_set(number, len(values)), uids, values.cast(field.type)], schema=schema)

        return self._mapped(column, schema, chunks())

    def _mapped(self, name: str, schema: pa.Schema, tables: Iterator[pa.Table]) -> pa.Table:
        path = self._folder / "mapped"
        with pa.ipc.new_file(str(path), schema) as writer:
            for table in tables:
                writer.write_table(table)
        found = read_mapped(path)
        path.unlink()
        return found

    def _note(self, column: str, rows: int, there: int) -> None:
        self.without[column] = self.without.get(column, 0) + rows - there

    def _insert(self, rows: pa.Table) -> None:
        self._base.register("batch", rows)
        self._base.execute("insert into given select * from batch")
        self._base.unregister("batch")

    def _batches(self, column: str) -> Iterator[tuple[int, pa.Array, pa.Array]]:
        """Yield the number of a set, and uid and value of some of its rows."""
        for number, other in enumerate(self._sets):
            self.rows[number] = 0
            names = list(dict.fromkeys([UID, column, *({ROW_ERROR} & set(other.schema.names))]))
            for part in other.parts:
                try:
                    for table in other.read(part, names, _BATCH_ROWS):
                        _check_errors(other, part.name, table)
                        self.rows[number] += len(table)
                        yield number, plain(one_array(table.column(UID))), one_array(table.column(column))
                except BadPart as error:
                    raise InputError(f"decontaminate: {error}; mend or remove the file") from None


def _set(number: int, rows: int) -> pa.Array:
    return pa.array(np.full(rows, number, np.int32))


def _check_errors(other: OtherRows, part: str, table: pa.Table) -> None:
    errors = table.column(ROW_ERROR) if ROW_ERROR in table.column_names else None
    if errors is not None and errors.null_count < len(errors):
        first = errors.drop_null()[0].as_py()
        raise InputError(
            f"decontaminate: a row of '{other.name}' cannot be read ({part}: {first}); correct it, or name a table of "
            "the recipe made from these rows, which counts and drops those that cannot be read"
        )


@contextmanager
def other_sets(sets: Sequence[OtherRows], folder: Path | None) -> Iterator[OtherSets]:
    """Open the rows of other sets, with a database on disk for sorting; its files are removed at the end.

    Args:
        folder: where to put them; default the system's folder for temporary files.
    """
    with scratch_database("sets-", folder) as (base, work):
        yield OtherSets(base, work, sets)
