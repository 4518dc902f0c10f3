"""Find the rows of a source whose URL an earlier row has, in bounded memory, and keep them on disk.

.fetch/repeated.npy   int64 (n, 2): every such row, in order, and the first row with its URL; both count from 0
.fetch/awaited.npy    int64 (m,): the first rows whose URL a row of a later shard has, in order
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.files import PARTIAL, remove, sync_folder
from poolwright.core.rows import one_array
from poolwright.fetch.http.digests import read_digest
from poolwright.fetch.http.urls import parse_url
from poolwright.fetch.outcome import Failure
from poolwright.fetch.shards.records import EXPECTED, URL

REPEATED, AWAITED = "repeated.npy", "awaited.npy"
_WORK = f"urls{PARTIAL}"
_SAFE = r"A-Za-z0-9!$&'()*+,/:;=@~._-"
_CODE = "%[0-9A-Fa-f]{2}"
_PLAIN_URL = (
    r"^https?://[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]*[a-z0-9])+/"
    rf"(?:[{_SAFE}]|{_CODE})*(?:\?(?:[?{_SAFE}]|{_CODE})+)?$"
)
"""A URL that is requested as it is written."""
_PLAIN_DIGEST = r"^(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})$"
_MEMORY = "1GB"
_KEYS = pa.schema([("url", pa.string()), ("number", pa.int64())])


class FirstRows:
    """The rows whose URL an earlier row has.

    Args:
        folder: folder of the two files.
        shard_rows: rows of a shard.
    """

    def __init__(self, folder: Path, shard_rows: int) -> None:
        self.shard_rows = shard_rows
        self._repeated = _mapped(folder / REPEATED).reshape(-1, 2)
        self._awaited = _mapped(folder / AWAITED)

    def of(self, shard: int) -> dict[int, tuple[int, int]]:
        """Return shard and row of the first row with the same URL, by row of a shard; nothing for first rows."""
        start, stop = self._range(self._repeated[:, 0], shard)
        firsts = [divmod(first, self.shard_rows) for first in self._repeated[start:stop, 1].tolist()]
        rows = self._repeated[start:stop, 0] - shard * self.shard_rows
        return dict(zip(rows.tolist(), firsts, strict=True))

    def awaited(self, shard: int) -> list[int]:
        """Return the rows of a shard whose URL a row of a later shard has."""
        start, stop = self._range(self._awaited, shard)
        return list((self._awaited[start:stop] - shard * self.shard_rows).tolist())

    def _range(self, rows: np.ndarray, shard: int) -> tuple[int, int]:
        edges = np.searchsorted(rows, [shard * self.shard_rows, (shard + 1) * self.shard_rows])
        return int(edges[0]), int(edges[1])


def first_rows(folder: Path, tables: Iterator[pa.Table], shard_rows: int) -> FirstRows:
    """Return the first rows of a source by URL; those that were found once are read from disk.

    Args:
        folder: where to keep them.
        tables: the source, read once if they are not known yet.
        shard_rows: rows of a shard.
    """
    if not has_first_rows(folder):
        _find(folder, tables, shard_rows)
    return FirstRows(folder, shard_rows)


def has_first_rows(folder: Path) -> bool:
    """Whether the first rows were found."""
    return all((folder / name).exists() for name in (REPEATED, AWAITED))


def _find(folder: Path, tables: Iterator[pa.Table], shard_rows: int) -> None:
    import duckdb

    work = folder / _WORK
    remove(work)
    work.mkdir(parents=True)
    failed: list[Exception] = []
    config: dict[str, Any] = {"memory_limit": _MEMORY, "threads": 2, "temp_directory": str(work)}
    base = duckdb.connect(str(work / "rows.duckdb"), config={**config, "preserve_insertion_order": False})
    try:
        base.execute("set autoinstall_known_extensions = false")
        base.register("keys", pa.RecordBatchReader.from_batches(_KEYS, _keys(tables, failed)))
        base.execute("create table urls as select md5_number(url) hash, number from keys where url is not null")
        base.unregister("keys")
        base.execute(
            "create table firsts as select hash, min(number) first from urls group by hash having count(*) > 1"
        )
        base.execute(
            "create table repeated as select number, first from urls join firsts using (hash) where number <> first"
        )
        _save(base, "select number, first from repeated order by number", folder / REPEATED)
        later = f"number // {shard_rows} > first // {shard_rows}"
        _save(base, f"select distinct first from repeated where {later} order by first", folder / AWAITED)
    except duckdb.Error:
        if failed:  # while the source was read; DuckDB makes an error of its own of it
            raise failed[0] from None
        raise
    finally:
        base.close()
    remove(work)


def _keys(tables: Iterator[pa.Table], failed: list[Exception]) -> Iterator[pa.RecordBatch]:
    """Yield keys and numbers of rows; an error is kept in `failed`, too."""
    at = 0
    try:
        for table in tables:
            numbers = pa.array(np.arange(at, at + len(table)))
            yield pa.RecordBatch.from_arrays([request_keys(table), numbers], schema=_KEYS)
            at += len(table)
    except Exception as error:
        failed.append(error)
        raise


def request_keys(table: pa.Table) -> pa.Array:
    """Return the URL that is requested for each row; null for rows that are not requested."""
    urls = one_array(table.column(URL))
    odd = pc.invert(pc.fill_null(pc.match_substring_regex(urls, _PLAIN_URL), False))
    expected = pa.nulls(len(table), pa.string())
    if EXPECTED in table.column_names:
        expected = one_array(table.column(EXPECTED))
        odd = pc.or_(odd, pc.invert(pc.fill_null(pc.match_substring_regex(expected, _PLAIN_DIGEST), True)))
    places = pc.indices_nonzero(odd)
    given = zip(urls.take(places).to_pylist(), expected.take(places).to_pylist(), strict=True)
    return pc.replace_with_mask(urls, odd, pa.array([_asked(*pair) for pair in given], urls.type))


def _asked(url: str | None, expected: str | None) -> str | None:
    try:
        read_digest(expected)
        return parse_url(url).url
    except (Failure, ValueError):
        return None


def _save(base: Any, query: str, path: Path) -> None:
    """Write the numbers of a query as an array of int64, batch by batch."""
    columns = len(base.execute(f"describe {query}").fetchall())
    rows = base.execute(f"select count(*) from ({query})").fetchall()[0][0]
    partial = path.with_name(path.name + PARTIAL)
    with partial.open("wb") as out:
        shape = (rows, columns) if columns > 1 else (rows,)
        np.lib.format.write_array_header_1_0(out, {"descr": "<i8", "fortran_order": False, "shape": shape})
        for batch in base.cursor().sql(query).to_arrow_reader(65_536):
            np.stack([column.to_numpy() for column in batch], axis=1).astype("<i8").tofile(out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(partial, path)
    sync_folder(path.parent)


def _mapped(path: Path) -> np.ndarray:
    """Map an array into memory; an empty one, which cannot be mapped, is read."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, _ = np.lib.format.read_array_header_1_0(file)
    found: np.ndarray = np.load(path, mmap_mode="r" if shape[0] else None)
    return found
