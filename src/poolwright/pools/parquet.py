"""Parquet files: footers, parts of row groups, and reading in batches of bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.pools.places import DAMAGE, is_url, open_file, raise_if_unreachable, words

PART_ROWS = 131_072
_BUFFER = 1 << 20  # a column chunk is read page by page through this, not whole


@dataclass(frozen=True)
class Footer:
    """What the end of a Parquet file says.

    Attributes:
        schema: columns; None where the footer cannot be read.
        groups: rows of each row group.
        damage: why the footer cannot be read.
    """

    schema: pa.Schema | None
    groups: tuple[int, ...] = ()
    damage: str = ""

    @property
    def rows(self) -> int:
        return sum(self.groups)


def read_footer(place: str) -> Footer:
    """The footer of a file; one that is damaged is said to be so.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        with _open(place) as file:
            metadata = file.metadata
            groups = tuple(metadata.row_group(index).num_rows for index in range(metadata.num_row_groups))
            return Footer(file.schema_arrow, groups)
    except DAMAGE as error:
        raise_if_unreachable(error, place)
        return Footer(None, damage=f"is no Parquet file, or cut off: {words(error)}")


def runs(groups: Sequence[int], most: int = PART_ROWS) -> list[tuple[int, ...]]:
    """Row groups in runs of at most `most` rows together, or a single one that has more."""
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
    place: str,
    row_groups: Sequence[int] | None,
    columns: Sequence[str],
    batch_rows: int,
    dictionary: Collection[str] = (),
) -> Iterator[pa.Table]:
    """Rows of a Parquet file in order, in batches of at most `batch_rows`.

    One thread reads, and no more of a row group lies in memory than the batch and the pages around it.

    Args:
        place: path or URL.
        row_groups: indices of the row groups to read; None for all.
        columns: names of top-level columns; only they are read, in this order.
        dictionary: string columns that stay dictionary-coded, where the file has them so.

    Raises:
        OSError, pyarrow.ArrowException: the file cannot be opened or is damaged.
    """
    with _open(place, dictionary) as file:
        groups = list(range(file.metadata.num_row_groups)) if row_groups is None else list(row_groups)
        if not columns:
            rows = sum(file.metadata.row_group(group).num_rows for group in groups)
            for at in range(0, rows, batch_rows):
                yield pa.table({"": pa.nulls(min(batch_rows, rows - at))}).select([])
        elif groups:
            names = list(columns)
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=names, use_threads=False):
                yield pa.Table.from_batches([batch]).select(names)


@contextmanager
def _open(place: str, dictionary: Collection[str] = ()) -> Iterator[Any]:
    coded = list(dictionary) or None
    if not is_url(place):
        with pq.ParquetFile(place, read_dictionary=coded, buffer_size=_BUFFER) as file:
            yield file
        return
    with open_file(place) as source, pq.ParquetFile(source, read_dictionary=coded, buffer_size=_BUFFER) as file:
        yield file
