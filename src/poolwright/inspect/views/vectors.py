"""Vectors of the rows of a view, read in place: kept rows from the table, dropped ones from its source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import is_vector, same_space
from poolwright.core.errors import InputError, StepError, did_you_mean
from poolwright.core.rows import Rows, vectors_of
from poolwright.inspect.views.build import PLACE, Segment
from poolwright.inspect.views.dropped import Fallen, pick_rows
from poolwright.inspect.views.view import View
from poolwright.kernels.similarity.cosine import exact_similarity
from poolwright.run.plan import plan_table

_BATCH = 8_192

Floats = npt.NDArray[np.floating]
Float32 = npt.NDArray[np.float32]


def vector_columns(view: View) -> list[str]:
    """Columns of the table that hold vectors."""
    return [field.name for field in view.table.schema if is_vector(field.type)]


def vector_field(view: View, column: str) -> pa.Field:
    """The field of a vector column.

    Raises:
        InputError: the table has none of that name.
    """
    known = vector_columns(view)
    if column not in known:
        raise InputError(f"table '{view.name}' has no vectors '{column}'; {did_you_mean(column, known)}")
    return view.table.schema.field(column)


def with_vectors(view: View, column: str) -> list[Segment]:
    """The segments whose rows have vectors of that column: dropped ones only where the source holds them."""
    field, source = vector_field(view, column), view.run.source(view.name)
    there = source.schema.get_field_index(column) >= 0 and is_vector(source.schema.field(column).type)
    try:
        if there:
            same_space(field, source.schema.field(column))
    except StepError:
        there = False
    return [segment for segment in view.segments if there or not segment.dropped]


def read_segment(view: View, column: str, segment: Segment) -> Iterator[tuple[int, Floats]]:
    """(position of the first row, vectors (n, d) of its float type) in batches; a missing vector is NaN."""
    if segment.dropped:
        yield from _of_dropped(view, column, segment)
        return
    at = segment.start
    path = view.table.folder / view.table.record.parts[segment.part].file
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 18) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=[column], use_threads=False):
            yield at, vectors_of(batch.column(0))
            at += batch.num_rows


def _of_dropped(view: View, column: str, segment: Segment) -> Iterator[tuple[int, Floats]]:
    plan = plan_table(view.run.recipe.tables[view.name], view.run.source(view.name), view.run.recipe.source)
    places = np.arange(segment.start, segment.start + segment.rows)
    rows = view.column(PLACE).take(places).to_numpy(zero_copy_only=False)
    for first, table in pick_rows(plan, Fallen(segment.part, rows, np.zeros(len(rows), np.int64)), (column,)):
        yield segment.start + first, Rows(table).vectors(column)


def scores(view: View, column: str, feature: Float32) -> Float32:
    """Cosine of every row's vector and one feature, as the step `similarity` gives it: bit for bit.

    Reads the vectors once, part by part, on all cores. Memory is a batch a core, and the result.

    Args:
        view: the rows.
        column: with vectors of unit length.
        feature: (d,) float32 of unit length.

    Returns:
        float32 (rows,); NaN for rows without a usable vector.
    """
    found = np.full(view.rows, np.nan, np.float32)

    def score(segment: Segment) -> None:
        for start, vectors in read_segment(view, column, segment):
            similarity = exact_similarity(vectors, np.broadcast_to(feature, vectors.shape))
            zero = np.flatnonzero(similarity == 0)
            similarity[zero[~vectors[zero].any(axis=1)]] = np.nan
            found[start : start + len(vectors)] = similarity

    _each(score, with_vectors(view, column))
    return found


def vectors_at(view: View, column: str, positions: npt.NDArray[np.int64]) -> Floats:
    """Vectors (n, d) of some rows, by ascending position; NaN for rows without one."""
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
