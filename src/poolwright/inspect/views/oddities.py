"""Score how odd the rows of a table are: nearer to another class than to their own, or far from all of their class.

Classes are compared by the mean of their vectors of unit length: the nearest-class-mean classifier of T. Mensink et
al., Distance-based image classification, IEEE TPAMI 35 (2013) 2624-2637.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.inspect.views.vectors import read_segment, vector_field, with_vectors
from poolwright.inspect.views.view import View
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

Kind = Literal["mislabelled", "outliers"]
KINDS: tuple[Kind, ...] = ("mislabelled", "outliers")

_MOST_CLASSES = 5_000
_EDGE_ROWS = 30


@dataclass(frozen=True)
class Oddities:
    """How odd the rows are.

    Attributes:
        words: what was looked for.
        column: of the vectors.
        rows: number of rows that have a score.
        scores: float32 (n,), greater for odder rows; NaN for rows without a vector or a class.
    """

    words: str
    column: str
    rows: int
    scores: npt.NDArray[np.float32]


def oddities(view: View, column: str, label: str, kind: Kind) -> Oddities:
    """Score all rows that have a vector and a class.

    `mislabelled`: cosine to the mean of the nearest other class, less that to the mean of the own class. `outliers`: 1
    less the cosine to the mean of the own class. The vectors are read twice. Memory is 12 bytes per row, and the means.

    Args:
        view: the rows.
        column: the column of vectors.
        label: the facet of classes.
        kind: which of the two.

    Raises:
        InputError: there are no such columns, or the facet has one class or too many.
    """
    names = view.column(label).names
    if not (2 if kind == "mislabelled" else 1) <= len(names) <= _MOST_CLASSES:
        raise InputError(f"'{label}' has {len(names):,} classes; choose a column of 2 to {_MOST_CLASSES:,}")
    codes = np.concatenate([np.empty(0, np.int64), *(view.column(label).codes(at) for at in range(view.chunks))])
    sums = np.zeros((len(names), vector_field(view, column).type.list_size), np.float64)
    for start, vectors, usable in _vectors(view, column, codes):
        np.add.at(sums, codes[start : start + len(usable)][usable], vectors)
    means = np.zeros(sums.shape, np.float32)
    there = has_direction(sums)
    means[there] = unit_rows(sums[there]).astype(np.float32)
    scores = np.full(view.rows, np.nan, np.float32)
    for start, vectors, usable in _vectors(view, column, codes):
        of = np.flatnonzero(usable)
        scores[start + of] = _odd(vectors @ means.T, codes[start + of], there, kind)
    words = f"rows nearer to another {label} than to their own" if kind == "mislabelled" else f"far from their {label}"
    return Oddities(words, column, int(np.isfinite(scores).sum()), scores)


def _odd(
    cosines: npt.NDArray[np.float32], codes: npt.NDArray[np.int64], there: npt.NDArray[np.bool_], kind: Kind
) -> npt.NDArray[np.float32]:
    own = cosines[np.arange(len(codes)), codes]
    if kind == "outliers":
        return np.asarray(1 - own, np.float32)
    others = np.where(there, cosines, -np.inf)
    others[np.arange(len(codes)), codes] = -np.inf
    return np.asarray(others.max(axis=1) - own, np.float32)


def _vectors(
    view: View, column: str, codes: npt.NDArray[np.int64]
) -> Iterator[tuple[int, npt.NDArray[np.float32], npt.NDArray[np.bool_]]]:
    """Yield (position of the first row, vectors of unit length of the usable rows, which rows are usable)."""
    for segment in with_vectors(view, column):
        for start, vectors in read_segment(view, column, segment):
            usable = np.asarray(has_direction(vectors) & (codes[start : start + len(vectors)] >= 0))
            yield start, unit_rows(vectors[usable].astype(np.float32)), usable


@dataclass(frozen=True)
class Edge:
    """A cut that a table made: all kept rows are on one side of a number, the rows dropped for a reason on the other.

    Attributes:
        reason: why rows were dropped.
        column: the column of numbers.
        low, high: the range that has some rows of both sides, those nearest to the cut.
        cut: the number of the kept row that is nearest to it.
        above: whether the kept rows are those above it.
        below: number of rows of the range that are below it.
    """

    reason: str
    column: str
    low: float
    high: float
    cut: float
    above: bool
    below: int


def edges(view: View, reasons: str) -> list[Edge]:
    """Find the cuts of a table by its rows.

    Args:
        view: the rows.
        reasons: the facet of the reasons, which kept rows lack.
    """
    codes = np.concatenate([np.empty(0, np.int64), *(view.column(reasons).codes(at) for at in range(view.chunks))])
    found = []
    for name in view.numbers:
        numbers = np.concatenate([view.column(name).numbers(at) for at in range(view.chunks)])
        kept = np.sort(numbers[: view.kept][np.isfinite(numbers[: view.kept])])
        for code, reason in enumerate(view.column(reasons).names):
            lost = np.sort(numbers[(codes == code) & np.isfinite(numbers)])
            if len(kept) and len(lost) and kept[0] < kept[-1]:
                found += _edge(reason, name, kept, lost)
    return found


def _edge(reason: str, column: str, kept: npt.NDArray[np.float64], lost: npt.NDArray[np.float64]) -> list[Edge]:
    above = bool(lost[-1] < kept[0])
    if above:
        low, high, cut = lost[-min(_EDGE_ROWS, len(lost))], kept[min(_EDGE_ROWS, len(kept)) - 1], kept[0]
    elif lost[0] > kept[-1]:
        low, high, cut = kept[-min(_EDGE_ROWS, len(kept))], lost[min(_EDGE_ROWS, len(lost)) - 1], kept[-1]
    else:
        return []
    below = min(_EDGE_ROWS, len(lost if above else kept))
    return [Edge(reason, column, float(low), float(high), float(cut), above, below)]
