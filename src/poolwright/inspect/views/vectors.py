"""Reads vectors of the rows of a table in place: of kept rows from the table, of dropped ones from its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.core.columns import UID, is_vector, same_space
from poolwright.core.errors import InputError, StepError, did_you_mean
from poolwright.core.rows import Rows, vectors_of
from poolwright.core.table import Table
from poolwright.inspect.views.build import Segment, index_folder
from poolwright.inspect.views.dropped import Fallen, pick_rows
from poolwright.kernels.similarity.cosine import exact_similarity
from poolwright.run.run import Run

_BATCH = 8_192

Floats = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]


class VectorRows(Protocol):
    """Rows of one finished table, numbered from 0, whose vectors can be read: a view, or the kept rows alone."""

    @property
    def run(self) -> Run: ...

    @property
    def table(self) -> Table: ...

    @property
    def rows(self) -> int: ...

    @property
    def folder(self) -> Path:
        """Folder of what belongs to this table: its index, and features that were searched for."""
        ...

    @property
    def segments(self) -> tuple[Segment, ...]: ...

    def rows_of_part(self, segment: Segment) -> npt.NDArray[np.int64]:
        """Return the numbers of a segment's rows within their part."""
        ...

    def values(self, column: str) -> Iterator[pa.Array]:
        """Yield a column, piece by piece in the order of the rows."""
        ...

    def position_of(self, uid: str) -> int:
        """Return the number of the first row with this uid; raises InputError if there is none."""
        ...


class TableRows:
    """The kept rows of a finished table, read without an index.

    Args:
        run: the run.
        table: a finished table of the run.
    """

    def __init__(self, run: Run, table: Table) -> None:
        self.run, self.table, self.folder = run, table, index_folder(table)
        starts = np.cumsum([0, *(part.rows for part in table.record.parts)]).tolist()
        self.rows: int = starts[-1]
        self.segments = tuple(
            Segment(False, number, starts[number], part.rows) for number, part in enumerate(table.record.parts)
        )

    def rows_of_part(self, segment: Segment) -> npt.NDArray[np.int64]:
        """Return the numbers of a segment's rows within their part."""
        return np.arange(segment.rows)

    def values(self, column: str) -> Iterator[pa.Array]:
        """Yield a column, batch by batch."""
        return (rows.column(column) for rows in self.table.batches([column]))

    def position_of(self, uid: str) -> int:
        """Return the number of the first row with this uid.

        Raises:
            InputError: no such row was kept.
        """
        start = 0
        for uids in self.values(UID):
            index = pc.index(uids, pa.scalar(uid, uids.type)).as_py()
            if index >= 0:
                return start + int(index)
            start += len(uids)
        raise InputError(f"{self.table.name}: no row '{uid}' was kept; look for it with: poolwright why RUN {uid}")


def vector_columns(view: VectorRows) -> list[str]:
    """Return the columns of the table that hold vectors."""
    return [field.name for field in view.table.schema if is_vector(field.type)]


def vector_field(view: VectorRows, column: str) -> pa.Field:
    """Return the field of a vector column.

    Raises:
        InputError: the table has none of that name.
    """
    known = vector_columns(view)
    if column not in known:
        raise InputError(f"table '{view.table.name}' has no vectors '{column}'; {did_you_mean(column, known)}")
    return view.table.schema.field(column)


def with_vectors(view: VectorRows, column: str) -> list[Segment]:
    """Return the segments whose rows have vectors of that column: dropped ones only if the source holds them."""
    field, source = vector_field(view, column), view.run.source(view.table.name)
    there = source.schema.get_field_index(column) >= 0 and is_vector(source.schema.field(column).type)
    try:
        if there:
            same_space(field, source.schema.field(column))
    except StepError:
        there = False
    return [segment for segment in view.segments if there or not segment.dropped]


def read_segment(view: VectorRows, column: str, segment: Segment) -> Iterator[tuple[int, Floats]]:
    """Yield (position of the first row, vectors (n, d) of its float type) in batches; a missing vector is NaN."""
    if segment.dropped:
        yield from _of_dropped(view, column, segment)
        return
    at = segment.start
    path = view.table.folder / view.table.record.parts[segment.part].file
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 18) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=[column], use_threads=False):
            yield at, vectors_of(batch.column(0))
            at += batch.num_rows


def _of_dropped(view: VectorRows, column: str, segment: Segment) -> Iterator[tuple[int, Floats]]:
    plan = view.run.plan(view.table.name)
    rows = view.rows_of_part(segment)
    for first, table in pick_rows(plan, Fallen(segment.part, rows, np.zeros(len(rows), np.int64)), (column,)):
        yield segment.start + first, Rows(table).vectors(column)


def scores(view: VectorRows, column: str, features: Float32) -> Float32:
    """Compute the cosines of every row's vector and some features, bit for bit as the step `similarity` does.

    The vectors are read once, part by part, on all cores. Memory is a batch per core, and the result.

    Args:
        view: the rows.
        column: the column of vectors, of unit length.
        features: (p, d) float32 of unit length.

    Returns:
        float32 (p, rows); NaN for rows without a usable vector.
    """
    found = np.full((len(features), view.rows), np.nan, np.float32)

    def score(segment: Segment) -> None:
        for start, vectors in read_segment(view, column, segment):
            for feature, of in zip(features, found, strict=True):
                similarity = exact_similarity(vectors, np.broadcast_to(feature, vectors.shape))
                zero = np.flatnonzero(similarity == 0)
                similarity[zero[~vectors[zero].any(axis=1)]] = np.nan
                of[start : start + len(vectors)] = similarity

    _each(score, with_vectors(view, column))
    return found


def vectors_at(view: VectorRows, column: str, positions: npt.NDArray[np.int64]) -> Floats:
    """Read the vectors (n, d) of some rows, by ascending position; NaN for rows without one."""
    kind = vector_field(view, column).type
    found = np.full((len(positions), kind.list_size), np.nan, kind.value_type.to_pandas_dtype())

    def fetch(segment: Segment) -> None:
        for start, vectors in read_segment(view, column, segment):
            first, last = np.searchsorted(positions, (start, start + len(vectors)))
            found[first:last] = vectors[positions[first:last] - start]
            if last == len(positions):
                return

    _each(fetch, [segment for segment in with_vectors(view, column) if _holds(segment, positions)])
    return found


def _holds(segment: Segment, positions: npt.NDArray[np.int64]) -> bool:
    first, last = np.searchsorted(positions, (segment.start, segment.start + segment.rows))
    return bool(last > first)


def _each(function: Callable[[Segment], None], segments: Sequence[Segment]) -> None:
    with ThreadPoolExecutor(cpu_count() or 1) as threads:
        list(threads.map(function, segments))
