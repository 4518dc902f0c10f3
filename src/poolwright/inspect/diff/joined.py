"""Join the rows of two versions by uid, in bounded memory, in a database on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, LABEL, SPLIT, UID, is_groupable, is_vector
from poolwright.core.errors import RecipeError
from poolwright.core.results.changes import ColumnChange, GroupChange, ValueChange
from poolwright.core.rows import one_array
from poolwright.core.runtime.cores import cores
from poolwright.inspect.diff.versions import Version, types_of
from poolwright.recipe.tables import SOURCE

_MEMORY = "2GB"
_MOST_FLOWS = 200
_OF_PATHS = (IMAGE, IMAGE_ERROR, IMAGE_PATH)
"""Columns that are not compared: where images are stored differs, and `sha256` says whether they do."""
_OWN = ("split", "class", "source")


@dataclass(frozen=True)
class ComparedColumns:
    """The columns in which two versions are compared.

    Attributes:
        names: columns that both have, besides the following, with the type in which they are compared.
        split, label, source: whether they have splits, the column of the classes, and that of the sources.
    """

    names: dict[str, pa.DataType]
    split: bool
    label: str | None
    source: str | None

    @property
    def own(self) -> tuple[str | None, ...]:
        """Columns that are kept as texts: of split, class and source."""
        return (SPLIT if self.split else None, self.label, self.source)


def compared_columns(before: Version, after: Version) -> ComparedColumns:
    """Choose the columns in which two versions are compared."""
    one, other = types_of(before.schema), types_of(after.schema)
    both = [name for name in one if name in other]
    classes = [version.release.class_column for version in (before, after) if version.release]
    label = next((name for name in (LABEL, *classes) if name and name in both and is_groupable(one[name])), None)
    source = next((name for name in (SOURCE,) if name in one or name in other), None)
    split = SPLIT in one or SPLIT in other
    rest = [name for name in both if name not in {UID, SPLIT, label, source, *_OF_PATHS}]
    return ComparedColumns({name: _common(one[name], other[name]) for name in rest}, split, label, source)


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type in which values of two types are compared: the narrower one of two kinds of numbers."""
    if is_vector(one) or is_vector(other):
        return pa.list_(pa.float32())
    numbers = [pa.types.is_floating(dtype) or pa.types.is_integer(dtype) for dtype in (one, other)]
    if all(numbers) and (pa.types.is_floating(one) or pa.types.is_floating(other)):
        narrow = any(pa.types.is_floating(dtype) and dtype.bit_width < 64 for dtype in (one, other))
        return pa.float32() if narrow else pa.float64()
    return one if one == other else pa.string()


class JoinedVersions:
    """The rows of two versions, joined by uid. Use `joined_versions` to make one.

    Its table `differing` has the rows that differ: uid, is_added, is_removed, the split, class and source of each
    version, and whether each other column differs.
    """

    def __init__(self, base: Any, compared: ComparedColumns) -> None:
        self.base, self.compared = base, compared

    def query(self, text: str, *values: object) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        rows: list[tuple[Any, ...]] = self.base.execute(text, list(values)).fetchall()
        return rows

    def count(self, condition: str) -> int:
        """Count the rows that differ for which a condition holds."""
        return int(self.query(f"select count(*) from differing where {condition}")[0][0])

    @property
    def any_differs(self) -> str:
        """Condition that a column other than split and class differs."""
        return " or ".join(f"d{at}" for at in range(len(self.compared.names))) or "false"

    def flows(self, name: str) -> tuple[ValueChange, ...]:
        """Count rows of both versions by what they were and are: 'split' or 'class'."""
        rows = self.query(
            f"select {name}_a, {name}_b, count(*) n from differing where {DIFFERS.format(name)} "
            f"group by all order by n desc, 1, 2 limit {_MOST_FLOWS}"
        )
        return tuple(ValueChange(*row) for row in rows)

    def columns(self) -> list[ColumnChange]:
        """Count the rows in which each column differs; `by` is left empty."""
        counts = self.query(
            "select "
            + ", ".join(
                [f"count(*) filter ({DIFFERS.format(name)})" for name in ("split", "class")]
                + [f"count(*) filter ({IN_BOTH} and d{at})" for at in range(len(self.compared.names))]
            )
            + " from differing"
        )[0]
        names = [SPLIT, self.compared.label or LABEL, *self.compared.names]
        return [ColumnChange(name, rows, "") for name, rows in zip(names, counts, strict=True) if rows]

    def groups(self, name: str) -> tuple[GroupChange, ...]:
        """Count changes by split, class or source; those with most rows first."""
        rows = self.query(
            f"""
            with counted as (
                select {name} v, count(*) before, 0 after, 0 added, 0 removed, 0 moved, 0 relabelled, 0 changed
                from a group by v
                union all select {name}, 0, count(*), 0, 0, 0, 0, 0 from b group by {name}
                union all select if(is_removed, {name}_a, {name}_b), 0, 0,
                    count(*) filter (is_added), count(*) filter (is_removed),
                    count(*) filter ({DIFFERS.format("split")}), count(*) filter ({DIFFERS.format("class")}),
                    count(*) filter ({IN_BOTH} and ({self.any_differs}))
                from differing group by 1)
            select v, sum(before)::bigint, sum(after)::bigint, sum(added)::bigint, sum(removed)::bigint,
                sum(moved)::bigint, sum(relabelled)::bigint, sum(changed)::bigint
            from counted group by v order by greatest(sum(before), sum(after)) desc, v nulls last
            """
        )
        return tuple(GroupChange(*row) for row in rows)

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query in batches."""
        yield from self.base.cursor().sql(query).to_arrow_reader(65_536)

    def insert(self, table: str, rows: Iterator[pa.RecordBatch], schema: pa.Schema, where: str) -> None:
        """Insert rows that a condition holds for into a table that exists; a row is called `given`."""
        self.base.register("given", pa.RecordBatchReader.from_batches(schema, rows))
        self.base.execute(f"insert into {table} select * from given where {where}")
        self.base.unregister("given")


IN_BOTH = "not is_added and not is_removed"
DIFFERS = IN_BOTH + " and {0}_a is distinct from {0}_b"


@contextmanager
def joined_versions(before: Version, after: Version, folder: Path | None = None) -> Iterator[JoinedVersions]:
    """Join the rows of two versions; the database is removed at the end.

    Args:
        folder: where to put it; default the system's folder for temporary files.

    Raises:
        RecipeError: a version has two rows with one uid.
    """
    import duckdb

    compared = compared_columns(before, after)
    with TemporaryDirectory(prefix="poolwright-diff-", dir=folder) as work:
        base = duckdb.connect(f"{work}/rows.duckdb")
        try:
            for name, value in (("memory_limit", _MEMORY), ("threads", cores()), ("temp_directory", f"{work}/spill")):
                base.execute(f"set {name} = '{value}'")
            base.execute("set autoinstall_known_extensions = false")
            for name, version in (("a", before), ("b", after)):
                _store(base, name, version, compared)
            _join(base, compared)
            yield JoinedVersions(base, compared)
        finally:
            base.close()


def _store(base: Any, name: str, version: Version, compared: ComparedColumns) -> None:
    """Store uid, split, class and source of every row, and a hash of every other column."""
    own = dict(zip(_OWN, compared.own, strict=True))
    stored = [name for name in (UID, *own.values(), *compared.names) if name and name in version.schema.names]
    schema = pa.schema(
        [pa.field(UID, pa.string()), *(pa.field(f"own_{one}", pa.string()) for one in _OWN)]
        + [pa.field(f"c{at}", dtype) for at, dtype in enumerate(compared.names.values())]
    )
    columns = [UID, *own.values(), *compared.names]

    def batches() -> Iterator[pa.RecordBatch]:
        for table in version.batches(list(dict.fromkeys(stored))):
            arrays = [_as(table, column, field.type) for column, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    hashes = "".join(f", hash(c{at}) h{at}" for at in range(len(compared.names)))
    base.register("given", pa.RecordBatchReader.from_batches(schema, batches()))
    texts = ", ".join(f"own_{one} as {one}" for one in _OWN)
    base.execute(f"create table {name} as select uid, {texts}{hashes} from given")
    base.unregister("given")
    rows, distinct = base.execute(f"select count(*), (select count(distinct uid) from {name}) from {name}").fetchall()[
        0
    ]
    if rows != distinct:
        raise RecipeError(f"{version.info.name}: {rows:,} rows have {distinct:,} uids; rows are compared by their uid")


def _as(table: pa.Table, column: str | None, dtype: pa.DataType) -> pa.Array:
    if column not in table.column_names:
        return pa.nulls(len(table), dtype)
    values = one_array(table.column(column))
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if values.type == dtype:
        return values
    try:
        return values.cast(dtype, safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in values.to_pylist()], pa.string()).cast(
            dtype
        )


def _join(base: Any, compared: ComparedColumns) -> None:
    names = ", ".join(f"a.{one} {one}_a, b.{one} {one}_b" for one in _OWN)
    differs = [f"a.h{at} is distinct from b.h{at}" for at in range(len(compared.names))]
    flags = "".join(f", {one} d{at}" for at, one in enumerate(differs))
    own = [f"a.{name} is distinct from b.{name}" for name in ("split", "class")]
    different = " or ".join(["a.uid is null", "b.uid is null", *own, *differs])
    base.execute(
        "create table differing as "
        "select coalesce(a.uid, b.uid) uid, a.uid is null is_added, b.uid is null is_removed, "
        f"{names}{flags} from a full join b on a.uid = b.uid where {different}"
    )
