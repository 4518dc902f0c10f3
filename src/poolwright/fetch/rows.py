"""Read the rows of a table with their outcomes of fetching."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from poolwright.core.columns import BYTES, HEIGHT, IMAGE_PATH, SHA256, UID, WELL_KNOWN, WIDTH
from poolwright.core.errors import BadPart
from poolwright.core.images.formats import extension_of
from poolwright.core.pool import Part, Pool
from poolwright.core.table import Table
from poolwright.fetch.outcome import SUCCESS
from poolwright.fetch.shards.shard_files import shard_name

FETCH_ERROR = "fetch_error"
"""Column with the error class of a row whose image could not be fetched; null if it could."""

_GIVEN = (IMAGE_PATH, SHA256, WIDTH, HEIGHT, BYTES, FETCH_ERROR)
_RECORDED = ["key", "status", "error_class", "format", SHA256, WIDTH, HEIGHT, BYTES]


def with_outcomes(schema: pa.Schema) -> pa.Schema:
    """Add the columns from fetching to those of a table; they replace columns of the same name."""
    fields = [field for field in schema if field.name not in _GIVEN]
    types = {name: WELL_KNOWN[name].type for name in _GIVEN if name in WELL_KNOWN}
    return pa.schema(fields + [pa.field(name, types.get(name, pa.string())) for name in _GIVEN])


class FetchedRows(Pool):
    """A finished table whose images were fetched: its i-th row is the i-th row of the shards."""

    kind: ClassVar[str] = "fetched"
    unique: ClassVar[bool] = True

    table: str = Field(description="folder of the table")
    images: str = Field(description="folder that its images were fetched to, in img2dataset's layout of files")
    shard_rows: int = Field(description="rows per shard")

    def arrow_schema(self) -> pa.Schema:
        return with_outcomes(Table(Path(self.table)).schema)

    def image_root(self) -> str | None:
        return self.images

    def parts(self) -> list[Part]:
        """Return one part for each of the table: its file, and the shards that contain its rows."""
        found, start = [], 0
        for index, part in enumerate(Table(Path(self.table)).record.parts):
            shards = range(start // self.shard_rows, -(-(start + part.rows) // self.shard_rows)) if part.rows else ()
            files = (f"{self.table}/{part.file}", *(self._shard(shard) for shard in shards))
            name = f"{Path(self.table).name}/{part.file}"
            found.append(Part(index=index, name=name, files=files, start=start, rows=part.rows))
            start += part.rows
        return found

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        stored = [name for name in columns if name not in _GIVEN] or [UID]
        at = part.start
        try:
            with pq.ParquetFile(part.files[0], pre_buffer=False) as file:
                for batch in file.iter_batches(batch_size=batch_rows, columns=stored, use_threads=False):
                    table = pa.Table.from_batches([batch])
                    if set(columns) & set(_GIVEN):
                        outcomes = self._outcomes(at, at + len(table))
                        for name in _GIVEN:
                            table = table.append_column(name, outcomes.column(name))
                    at += len(table)
                    yield table.select(list(columns))
        except (OSError, pa.ArrowException) as error:
            raise BadPart(part.index, part.name, str(error)) from None

    def _shard(self, shard: int) -> str:
        return f"{self.images}/{shard_name(shard)}.parquet"

    def _outcomes(self, start: int, stop: int) -> pa.Table:
        """Read the outcomes of the rows from `start` to `stop` of the table."""
        found = []
        for shard in range(start // self.shard_rows, -(-stop // self.shard_rows)):
            first = shard * self.shard_rows
            rows = _read_shard(self._shard(shard), os.stat(self._shard(shard)).st_mtime_ns)
            found.append(rows.slice(max(start - first, 0), min(stop - first, len(rows)) - max(start - first, 0)))
        return pa.concat_tables(found)


@lru_cache(maxsize=4)
def _read_shard(file: str, time: int) -> pa.Table:
    """Read the columns of a shard, cached by its modification time: most batches are in the shard of the last one."""
    rows = pq.read_table(file, columns=_RECORDED)
    extensions = pa.array([extension_of(kind) for kind in rows.column("format").to_pylist()])
    names = pc.binary_join_element_wise(rows.column("key"), extensions, ".")
    paths = pc.binary_join_element_wise(pa.scalar(Path(file).stem), names, "/")
    succeeded = pc.equal(rows.column("status"), SUCCESS)
    return pa.table(
        {
            IMAGE_PATH: pc.if_else(succeeded, paths, pa.scalar(None, pa.string())),
            **{name: rows.column(name) for name in (SHA256, WIDTH, HEIGHT, BYTES)},
            FETCH_ERROR: rows.column("error_class"),
        }
    )
