"""Shards: numbered Parquet files, each with arrays beside it in its row order."""

from __future__ import annotations

import os
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
from poolwright.pools.readers.paths import Unreadable, base_name, file_system, find_files, is_url, reading

Check = Callable[[pa.Table, int], "npt.NDArray[np.bool_] | None"]
"""Looks at source rows and the row they begin at; which of them are of the pool, None where all are."""


@dataclass(frozen=True)
class Shard:
    """One Parquet file and what lies beside it.

    Attributes:
        table: the Parquet file.
        footer: what its end says.
        arrays: file by column of vectors.
        name: what numbered rows begin with.
    """

    table: str
    footer: Footer
    arrays: Mapping[str, str]
    name: str


def numeric_order(path: str) -> tuple[list[str | int], str]:
    """Sort key of a path whose numbers count as numbers: shard 2 comes before shard 10."""
    pieces = re.split(r"([0-9]+)", path)
    return [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)], path


def find_numbered(paths: Sequence[str], suffixes: Collection[str]) -> list[str]:
    """Like `find_files`, each path's files in numeric order.

    Raises:
        RecipeError: a path does not exist or holds no such file, or a file is named twice.
    """
    found = [file for path in paths for file in sorted(find_files([path], suffixes), key=numeric_order)]
    twice = next((file for file in found if found.count(file) > 1), None) if len(set(found)) < len(found) else None
    if twice:
        raise RecipeError(f"{twice}: named twice; each file may be read once")
    return found


def is_file(path: str) -> bool:
    """Whether there is a file at a path or URL."""
    if not is_url(path):
        return os.path.isfile(path)
    system, inner = file_system(path)
    return bool(system.isfile(inner))


def source_names(footers: Sequence[Footer]) -> list[str]:
    """Column names of the first file that can be read; empty where none can."""
    return next((list(footer.schema.names) for footer in footers if footer.schema is not None), [])


def renamed(names: Sequence[str], renames: Mapping[str, str]) -> dict[str, str]:
    """Source column by given name, out of `renames`, where the source has the one and not the other."""
    return {given: source for given, source in renames.items() if source in names and given not in names}


def find_arrays(
    shards: Sequence[Shard], keys: Mapping[str, str], made_by: Mapping[str, MadeBy]
) -> dict[str, VectorFiles]:
    """The columns of vectors, with the widths of the first shard whose arrays can be read.

    Args:
        keys: name of the array by column.
        made_by: encoder by column.

    Raises:
        RecipeError: an array is not there, or holds no vectors.
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
    """Header of each column's array; every file is opened once."""
    found: dict[str, ArrayHeader] = {}
    for file in dict.fromkeys(shard.arrays[name] for name in keys):
        here = {name: key for name, key in keys.items() if shard.arrays[name] == file}
        headers = read_headers(file, list(here.values()))
        found.update({name: headers.get(key) or headers[""] for name, key in here.items()})
    return found


def shard_parts(
    shard: Shard, beside: Mapping[str, VectorFiles], index: int, files: Sequence[str] = (), more: Collection[str] = ()
) -> list[Part]:
    """Runs of row groups of about 131,072 rows; one part where arrays are packed, or something is damaged.

    A packed array can only be read from its beginning, so that cutting would unpack it again and again.

    Args:
        shard: its arrays are opened, and their lengths held against the rows of the table.
        beside: its columns of vectors.
        index: of the first part.
        files: further files that the rows depend on.
        more: further arrays, a value a row, in the file of the first column.
    """
    name = base_name(shard.table)
    files = tuple(dict.fromkeys((shard.table, *shard.arrays.values(), *files)))
    try:
        packed = _checked(shard, beside, more)
    except Unreadable as error:
        return [Part(index=index, name=name, files=files, detail={"damage": error.reason})]
    groups = shard.footer.groups
    cut = [tuple(range(len(groups)))] if packed else runs(groups)
    found: list[Part] = []
    start = 0
    for run in cut:
        rows = sum(groups[group] for group in run)
        shown = f"{name} rows {start}-{start + rows - 1}" if len(cut) > 1 else name
        vectors = {key: {"file": shard.arrays[key], "start": 0, "rows": shard.footer.rows} for key in beside}
        detail = {"groups": list(run), "vectors": vectors, "name": shard.name}
        found.append(Part(index=index + len(found), name=shown, files=files, start=start, rows=rows, detail=detail))
        start += rows
    return found


def _checked(shard: Shard, beside: Mapping[str, VectorFiles], more: Collection[str]) -> bool:
    """Whether an array is packed, after holding lengths and widths against table and plan."""
    if shard.footer.schema is None:
        raise Unreadable(shard.table, shard.footer.damage)
    keys = {name: files.key for name, files in beside.items()}
    headers = _headers(shard, keys)
    for name, header in headers.items():
        width = beside[name].field.type.list_size
        if len(header.shape) != 2 or header.shape[1] != width or header.dtype.kind != "f":
            found = f"{header.dtype} of {header.shape}"
            raise Unreadable(shard.table, f"the array '{keys[name]}' beside it is {found}, not (n, {width}) floats")
    first = next(iter(shard.arrays.values()), "")
    headers.update(read_headers(first, more) if more else {})
    for name, header in headers.items():
        if header.rows != shard.footer.rows:
            there = f"{base_name(shard.arrays.get(name, first))} has {header.rows:,} rows of '{header.name or name}'"
            raise Unreadable(shard.table, f"has {shard.footer.rows:,} rows and {there}; they must be as many")
    return any(header.packed for header in headers.values())


def read_shard(
    plan: ReadPlan, part: Part, columns: Sequence[str], batch_rows: int, check: Check | None = None, sees: str = ""
) -> Iterator[pa.Table]:
    """Rows of a part that `shard_parts` made.

    Args:
        columns: names out of the plan; only they are read.
        check: says of each batch which rows are of the pool; vectors are not read where none is.
        sees: the source column that `check` looks at.

    Raises:
        BadPart: the part cannot be read.
    """
    fields = {field.name: field for field in plan.fields()}
    given = {column.field.name: column for column in plan.given if column.field.name in columns}
    beside = {name: files for name, files in plan.beside.items() if name in columns}
    sources = sorted({column.source for column in given.values() if column.source} | ({sees} if check else set()))
    batch_rows = fewer_rows(batch_rows, [files.field for files in beside.values()])
    with reading(part), VectorReader(part, beside) as vectors:
        row = part.start
        for table in read_parquet(part.files[0], part.detail["groups"], sources, batch_rows):
            mine = check(table, row) if check else None
            if mine is None or mine.any():
                found = {name: vectors.take(name, row, len(table)) for name in beside}
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
