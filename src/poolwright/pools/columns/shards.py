"""Read shards: numbered Parquet files, each with arrays in the same row order."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.errors import InputError, RecipeError
from poolwright.core.pool import Part
from poolwright.pools.columns.casting import table_of
from poolwright.pools.columns.mapping import row_uids
from poolwright.pools.columns.sidecar_vectors import VectorFiles, VectorReader
from poolwright.pools.columns.table_plan import ReadPlan
from poolwright.pools.columns.vectors import MadeBy, fewer_rows, field_of
from poolwright.pools.readers.numpy_files import ArrayHeader, NoArray, read_headers
from poolwright.pools.readers.parquet import Footer, read_parquet, runs
from poolwright.pools.readers.paths import Unreadable, base_name, find_files, reading

Check = Callable[[pa.Table, int], "npt.NDArray[np.bool_] | None"]
"""Takes source rows and the row they begin at; returns which of them belong to the pool, None if all do."""


@dataclass(frozen=True)
class Shard:
    """One Parquet file and the arrays that go with it.

    Attributes:
        table: the Parquet file.
        footer: its footer.
        arrays: file by column of vectors.
        name: prefix of the uids of numbered rows.
    """

    table: str
    footer: Footer
    arrays: Mapping[str, str]
    name: str


def numeric_order(path: str) -> tuple[list[str | int], str]:
    """Return a sort key that compares the numbers in a path as numbers: shard 2 comes before shard 10."""
    pieces = re.split(r"([0-9]+)", path)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path


def find_numbered(paths: Sequence[str], suffixes: Collection[str]) -> list[str]:
    """Find files like `find_files`, with the files of each path in numeric order.

    Raises:
        RecipeError: a path does not exist or holds no such file, or a file is named twice.
    """
    found = [file for path in paths for file in sorted(find_files([path], suffixes), key=numeric_order)]
    twice = next((file for file in found if found.count(file) > 1), None) if len(set(found)) < len(found) else None
    if twice:
        raise RecipeError(f"{twice}: named twice; each file may be read once")
    return found


def source_names(footers: Sequence[Footer]) -> list[str]:
    """Return the column names of the first file that can be read; empty if none can."""
    return next((list(footer.schema.names) for footer in footers if footer.schema is not None), [])


def renamed(names: Sequence[str], renames: Mapping[str, str]) -> dict[str, str]:
    """Return those `renames` (source column by given name) whose source exists and whose given name does not."""
    return {given: source for given, source in renames.items() if source in names and given not in names}


def find_arrays(
    shards: Sequence[Shard], keys: Mapping[str, str], made_by: Mapping[str, MadeBy]
) -> dict[str, VectorFiles]:
    """Find the columns of vectors, with the widths in the first shard whose arrays can be read.

    Args:
        keys: name of the array by column.
        made_by: encoder by column.

    Raises:
        RecipeError: an array is missing, or holds no vectors.
        InputError: no shard's arrays can be read.
    """
    damage: Unreadable | None = None
    for shard in shards:
        try:
            headers = _headers(shard, keys)
        except NoArray as error:
            raise RecipeError(str(error)) from None
        except Unreadable as error:
            damage = damage or error
            continue
        return {name: _vector_files(shard.arrays[name], name, headers[name], made_by[name]) for name in keys}
    raise damage or InputError("no shard has vectors that can be read")


def _vector_files(file: str, name: str, header: ArrayHeader, made_by: MadeBy) -> VectorFiles:
    if len(header.shape) != 2 or header.dtype.kind != "f":
        raise RecipeError(f"{file}: vectors are a 2-d array of floats; '{name}' is {header.dtype} of {header.shape}")
    return VectorFiles((file,), header.name or name, field_of(name, header.shape[1], made_by))


def _headers(shard: Shard, keys: Mapping[str, str]) -> dict[str, ArrayHeader]:
    """Read the header of each column's array; every file is opened once."""
    found: dict[str, ArrayHeader] = {}
    for file in dict.fromkeys(shard.arrays[name] for name in keys):
        here = {name: key for name, key in keys.items() if shard.arrays[name] == file}
        headers = read_headers(file, list(here.values()))
        found.update({name: headers.get(key) or headers[""] for name, key in here.items()})
    return found


def shard_parts(
    shard: Shard, sidecars: Mapping[str, VectorFiles], index: int, files: Sequence[str] = (), more: Collection[str] = ()
) -> list[Part]:
    """Cut a shard into runs of row groups of about 131,072 rows; one part if arrays are packed, or damaged.

    A packed array can only be read from its beginning, so each further part would unpack it again.

    Args:
        shard: its arrays are opened, and their lengths compared with the rows of the table.
        sidecars: its columns of vectors.
        index: index of the first part.
        files: further files that the rows depend on.
        more: further arrays, with one value per row, in the file of the first column.
    """
    name = base_name(shard.table)
    files = tuple(dict.fromkeys((shard.table, *shard.arrays.values(), *files)))
    try:
        packed = _checked(shard, sidecars, more)
    except Unreadable as error:
        return [Part(index=index, name=name, files=files, detail={"damage": error.reason})]
    groups = shard.footer.groups
    cut = [tuple(range(len(groups)))] if packed else runs(groups)
    found: list[Part] = []
    start = 0
    for run in cut:
        rows = sum(groups[group] for group in run)
        shown = f"{name} rows {start}-{start + rows - 1}" if len(cut) > 1 else name
        vectors = {key: {"file": shard.arrays[key], "start": 0, "rows": shard.footer.rows} for key in sidecars}
        detail = {"groups": list(run), "vectors": vectors, "name": shard.name}
        found.append(Part(index=index + len(found), name=shown, files=files, start=start, rows=rows, detail=detail))
        start += rows
    return found


def _checked(shard: Shard, sidecars: Mapping[str, VectorFiles], more: Collection[str]) -> bool:
    """Whether an array is packed, after comparing lengths and widths with the table and the plan."""
    if shard.footer.schema is None:
        raise Unreadable(shard.table, shard.footer.damage)
    keys = {name: files.key for name, files in sidecars.items()}
    headers = _headers(shard, keys)
    for name, header in headers.items():
        width = sidecars[name].field.type.list_size
        if len(header.shape) != 2 or header.shape[1] != width or header.dtype.kind != "f":
            found = f"{header.dtype} of {header.shape}"
            raise Unreadable(shard.table, f"the array '{keys[name]}' next to it is {found}, not (n, {width}) floats")
    first = next(iter(shard.arrays.values()), "")
    headers.update(read_headers(first, more) if more else {})
    for name, header in headers.items():
        if header.rows != shard.footer.rows:
            there = f"{base_name(shard.arrays.get(name, first))} has {header.rows:,} rows of '{header.name or name}'"
            raise Unreadable(shard.table, f"has {shard.footer.rows:,} rows and {there}; the numbers must be equal")
    return any(header.packed for header in headers.values())


def read_shard(
    plan: ReadPlan, part: Part, columns: Sequence[str], batch_rows: int, check: Check | None = None, sees: str = ""
) -> Iterator[pa.Table]:
    """Read the rows of a part that `shard_parts` made.

    Args:
        columns: names of columns of the plan; only they are read.
        check: which rows of a batch belong to the pool; if none does, no vectors are read.
        sees: the source column that `check` needs.

    Raises:
        BadPart: the part cannot be read.
    """
    fields = {field.name: field for field in plan.fields()}
    given = {column.field.name: column for column in plan.given if column.field.name in columns}
    sidecars = {name: files for name, files in plan.sidecars.items() if name in columns}
    sources = sorted({column.source for column in given.values() if column.source} | ({sees} if check else set()))
    batch_rows = fewer_rows(batch_rows, [files.field for files in sidecars.values()])
    with reading(part), VectorReader(part, sidecars) as vectors:
        row = part.start
        for table in read_parquet(part.files[0], part.detail["groups"], sources, batch_rows):
            mine = check(table, row) if check else None
            if mine is None or mine.any():
                found = {name: vectors.take(name, row, len(table)) for name in sidecars}
                for name, column in given.items():
                    if column.source is None:
                        found[name] = row_uids(part.detail["name"], row, len(table))
                    else:
                        found[name] = column.values(table.column(column.source))
                arrays, count = [found[name] for name in columns], len(table)
                if mine is not None:
                    arrays, count = [array.filter(pa.array(mine)) for array in arrays], int(mine.sum())
                yield table_of(arrays, [fields[name] for name in columns], count)
            row += len(table)
