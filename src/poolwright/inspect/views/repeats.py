"""Group the rows of a table that share a value or show nearly the same, and find the groups that leak across splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from poolwright.core.columns import SHA256, SPLIT, is_text
from poolwright.core.errors import InputError
from poolwright.core.table import RECORD, StepRecord
from poolwright.inspect.views.vectors import vector_columns, vectors_at
from poolwright.inspect.views.view import View
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.similarity.near_duplicates import similar_groups

ABOVE = 0.95
"""Least cosine of rows that are grouped by their vectors: the default of the step `near_duplicates`."""

MOST_COMPARED = 30_000
"""Maximum number of rows whose vectors are compared, each with each; more are grouped by a step of a recipe."""

_DUPLICATES = "duplicates"
"""The `state_kind` of steps that group near-duplicates."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RepeatedRows:
    """Groups of two rows and more, the largest first, then by their first row.

    Attributes:
        column: whose equal values, or whose vectors, group the rows.
        across: the column of splits of which each group has several; '' if all groups are listed.
        positions: int64 (n,), the rows, group after group, ascending within each.
        starts: int64 (groups + 1,), where each group begins in `positions`.
    """

    column: str
    across: str
    positions: Integers
    starts: Integers

    def __len__(self) -> int:
        return len(self.starts) - 1

    def group(self, number: int) -> Integers:
        """Return the rows of one group."""
        return self.positions[self.starts[number] : self.starts[number + 1]]


def repeat_columns(view: View) -> list[str]:
    """Return what rows can be grouped by: columns of groups of near-duplicates, hashes of files, then vectors.

    Vectors are compared of at most `MOST_COMPARED` rows.
    """
    known = {column.name for column in view.columns}
    named = [*(name for step in _steps(view) if step.state_kind == _DUPLICATES for name in step.gives), SHA256]
    vectors = vector_columns(view) if view.rows <= MOST_COMPARED else []
    return [*dict.fromkeys(name for name in named if name in known), *vectors]


def split_columns(view: View) -> list[str]:
    """Return the columns of splits of a table: those that steps of the run gave, and the well-known one."""
    given = [name for step in _steps(view) if step.kind == "split" for name in step.gives]
    texts = {name for name in view.facets if is_text(view.column(name).type)}
    return [name for name in dict.fromkeys((SPLIT, *given)) if name in texts and len(view.column(name).names) > 1]


def _steps(view: View) -> list[StepRecord]:
    """Return the steps of all finished tables of the run."""
    made = [name for name in view.run.recipe.order if (view.run.table_folder(name) / RECORD).exists()]
    return [step for name in made for step in view.run.table(name).record.steps]


def repeats(view: View, column: str, across: str = "") -> RepeatedRows:
    """Group the rows of a view.

    Texts are compared by a hash of 64 bits. Memory is 24 bytes per row; with vectors, also those.

    Args:
        view: the rows.
        column: a facet, a column of texts, or of vectors: rows are linked by a cosine of `ABOVE` or more.
        across: a facet, such as the split. Then dropped rows, rows without a value in it, and groups with one value of
            it are left out.

    Raises:
        InputError: there are no such columns, they cannot be compared, or there are too many vectors to compare.
    """
    keys, there = _keys(view, column)
    if across:
        sides = _codes(view, across)
        there = there & (sides >= 0) & (np.arange(view.rows) < view.kept)
    rows = np.flatnonzero(there)
    order = np.argsort(keys[rows], kind="stable")
    rows = rows[order]
    bounds = np.concatenate([[0], np.flatnonzero(np.diff(keys[rows])) + 1, [len(rows)]]) if len(rows) else np.zeros(1)
    starts, sizes = bounds[:-1].astype(np.int64), np.diff(bounds).astype(np.int64)
    wanted = sizes > 1
    if across and len(starts):
        of = sides[rows]
        wanted &= np.minimum.reduceat(of, starts) < np.maximum.reduceat(of, starts)
    starts, sizes = starts[wanted], sizes[wanted]
    by_size = np.lexsort((rows[starts], -sizes))
    starts, sizes = starts[by_size], sizes[by_size]
    ends = np.cumsum(sizes)
    within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
    positions = rows[np.repeat(starts, sizes) + within]
    return RepeatedRows(column, across, positions, np.concatenate([[0], ends]).astype(np.int64))


def _keys(view: View, column: str) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_]]:
    """Return a number for each row, equal for rows of a group, and which rows have one."""
    if column in vector_columns(view):
        if view.rows > MOST_COMPARED:
            raise InputError(
                f"the vectors of {view.rows:,} rows are too many to compare here; group them by a step: "
                f"near_duplicates: {{vectors: {column}}}"
            )
        vectors = vectors_at(view, column, np.arange(view.rows))
        return similar_groups(vectors, ABOVE), np.asarray(np.isfinite(vectors).all(axis=1))
    stored = view.column(column)
    if stored.facet:
        codes = _codes(view, column)
        return codes, np.asarray(codes >= 0)
    if not is_text(stored.type):
        raise InputError(f"'{column}' holds {stored.type}; rows are grouped by a column of texts or of few values")
    keys, there = np.empty(view.rows, np.uint64), np.empty(view.rows, bool)
    for chunk in range(view.chunks):
        values, start = stored.chunk(chunk), chunk * view.chunk_rows
        keys[start : start + len(values)] = hash64(values, 0)
        there[start : start + len(values)] = pc.is_valid(values).to_numpy(zero_copy_only=False)
    return keys, there


def _codes(view: View, facet: str) -> npt.NDArray[np.int32]:
    if not view.column(facet).facet:
        raise InputError(f"'{facet}' has too many different values to be counted by")
    pieces = [view.column(facet).codes(chunk) for chunk in range(view.chunks)]
    return np.concatenate([np.empty(0, np.int32), *pieces])
