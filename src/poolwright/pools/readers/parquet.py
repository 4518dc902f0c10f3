"""Read Parquet files: footers, runs of row groups, and rows in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.core.remote.failures import reaching
from poolwright.core.remote.files import open_file
from poolwright.core.remote.schemes import is_url
from poolwright.pools.readers.paths import DAMAGE, first_line, raise_if_unreachable

PART_ROWS = 131_072

BATCH_BYTES = 1 << 23
"""Batches of wide rows are cut at about this many bytes: larger ones of vectors decode at half the speed."""

_BUFFER = 1 << 18  # a column chunk is read through this, not whole
_REMOTE_BUFFER = 1 << 23
_REMOTE_AHEAD = 1 << 17  # columns that are not wanted are not fetched


@dataclass(frozen=True)
class Footer:
    """The footer of a Parquet file.

    Attributes:
        schema: columns; None if the footer cannot be read.
        groups: rows of each row group.
        damage: why the footer cannot be read.
    """

    schema: pa.Schema | None
    groups: tuple[int, ...] = ()
    damage: str = ""

    @property
    def rows(self) -> int:
        return sum(self.groups)


def read_footer(path: str) -> Footer:
    """Read the footer of a file; damage is reported in the footer.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        with reaching(path), _open(path) as file:
            metadata = file.metadata
            groups = tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
            return Footer(file.schema_arrow, groups)
    except DAMAGE as error:
        raise_if_unreachable(error, path)
        return Footer(None, damage=f"is no Parquet file, or cut off: {first_line(error)}")


def runs(groups: Sequence[int], most: int = PART_ROWS) -> list[tuple[int, ...]]:
    """Group row groups in runs of at most `most` rows, or a single one that has more."""
    found: list[tuple[int, ...]] = []
    current: list[int] = []
    rows = 0
    for index, count in enumerate(groups):
        if current and rows + count > most:
            found.append(tuple(current))
            current, rows = [], 0
        current.append(index)
        rows += count
    return [*found, tuple(current)] if current or not found else found


def read_parquet(
    path: str,
    row_groups: Sequence[int] | None,
    columns: Sequence[str],
    batch_rows: int,
    dictionary: Collection[str] = (),
) -> Iterator[pa.Table]:
    """Read the rows of a Parquet file in order, in batches of at most `batch_rows`, fewer if rows are wide.

    One thread reads, and only the batch and the pages around it are held in memory, which is why `pre_buffer` of
    pyarrow is off.

    Args:
        path: path or URL.
        row_groups: indices of the row groups to read; None for all.
        columns: names of top-level columns; only they are read, in this order.
        dictionary: string columns that stay dictionary-encoded, if the file stores them so.

    Raises:
        OSError, pyarrow.ArrowException: the file cannot be opened or is damaged.
    """
    with _open(path, dictionary) as file:
        groups = list(range(file.metadata.num_row_groups)) if row_groups is None else list(row_groups)
        if not columns:
            rows = sum(file.metadata.row_group(group).num_rows for group in groups)
            for at in range(0, rows, batch_rows):
                yield pa.table({"": pa.nulls(min(batch_rows, rows - at))}).select([])
        elif groups:
            names = list(columns)
            rows = _fewer(file.metadata, groups, set(columns), batch_rows)
            for batch in file.iter_batches(rows, row_groups=groups, columns=names, use_threads=False):
                yield pa.Table.from_batches([batch]).select(names)


def first_values(path: str, column: str, rows: int) -> pa.ChunkedArray | None:
    """Read the first `rows` values of a column from where it has any; None if there is no value in the file.

    Empty lists are no values. Row groups that have nulls alone, by their statistics, are not read.

    Raises:
        OSError, pyarrow.ArrowException: the file cannot be opened or is damaged.
    """
    with _open(path) as file:
        if column not in file.schema_arrow.names:
            return None
        groups = [group for group in range(file.metadata.num_row_groups) if _has_values(file.metadata, group, column)]
        for batch in file.iter_batches(rows, row_groups=groups, columns=[column], use_threads=False):
            values = pa.chunked_array([batch.column(0)])
            if pc.any(has_value(values)).as_py():
                return values
    return None


def has_value(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return which values are there; empty lists are not."""
    lists = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    return pc.greater(pc.list_value_length(values), 0) if lists else values.is_valid()


def _has_values(metadata: Any, group: int, column: str) -> bool:
    chunks = (metadata.row_group(group).column(index) for index in range(metadata.num_columns))
    known = [chunk for chunk in chunks if chunk.path_in_schema.split(".")[0] == column]
    return not all(
        chunk.statistics is not None
        and chunk.statistics.has_null_count
        and chunk.statistics.null_count == chunk.num_values
        for chunk in known
    )


def _fewer(metadata: Any, groups: Sequence[int], columns: set[str], batch_rows: int) -> int:
    """Return `batch_rows`, or fewer if these columns would exceed `BATCH_BYTES`."""
    size = rows = 0
    for group in map(metadata.row_group, groups):
        rows += group.num_rows
        chunks = (group.column(index) for index in range(group.num_columns))
        size += sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema.split(".")[0] in columns)
    return max(1, min(batch_rows, BATCH_BYTES * rows // max(size, 1)))


@contextmanager
def _open(path: str, dictionary: Collection[str] = ()) -> Iterator[Any]:
    coded = list(dictionary) or None
    if not is_url(path):
        with pq.ParquetFile(path, read_dictionary=coded, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield file
        return
    with open_file(path, _REMOTE_AHEAD) as source:
        with pq.ParquetFile(source, read_dictionary=coded, buffer_size=_REMOTE_BUFFER, pre_buffer=False) as file:
            yield file
