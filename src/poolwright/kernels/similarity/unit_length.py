"""Scale rows to unit length, the same way for embeddings, text features, centroids and examples."""

from __future__ import annotations

from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

Floating = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]
F = TypeVar("F", bound=np.floating[Any])

_ROWS_AT_ONCE = 256  # so that the passes over them stay in cache, and memory for float64 stays small


@overload
def unit_rows(vectors: Floating, *, zero: float = 0.0) -> npt.NDArray[np.float32]: ...


@overload
def unit_rows(vectors: Floating, dtype: type[F], zero: float = 0.0) -> npt.NDArray[F]: ...


def unit_rows(vectors: Floating, dtype: Any = np.float32, zero: float = 0.0) -> Floating:
    """Rows (n, d) scaled to Euclidean length 1.

    Worked out in float64, whatever the input (float16 and float32 are widened exactly), and rounded once to `dtype`.
    Each row by itself with NumPy's pairwise sum, so that neither the number, the order nor the memory layout of rows
    changes a bit. Rows whose squares float64 cannot hold are divided by their largest value first.

    Args:
        vectors: (n, d), of any float type.
        dtype: of the result.
        zero: value that replaces those of a row of zeros: 0, or NaN for 'no direction'.

    Returns:
        (n, d) in C order. A row that holds NaN or infinity is NaN throughout.
    """
    out = np.empty(vectors.shape, dtype)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        out[rows] = _scaled(np.array(vectors[rows], np.float64, order="C"), zero)
    return out


def _scaled(rows: Float64, zero: float) -> Float64:
    """Rows (n, d) at unit length, in place."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        squares = np.square(rows).sum(axis=1)
        odd = np.flatnonzero(~((squares > _SMALL) & (squares < np.inf)))
        if len(odd):
            _rescue(rows, squares, odd, zero)
        rows /= np.sqrt(squares)[:, None]
    return rows


_SMALL = 1e-280  # squares below have lost digits to underflow


def _rescue(rows: Float64, squares: Float64, odd: npt.NDArray[np.intp], zero: float) -> None:
    """Rescale rows that are tiny, huge, zero or not finite, so that `rows / sqrt(squares)` is right."""
    picked = rows[odd]
    largest = np.abs(picked).max(axis=1, initial=0.0)
    usable = np.isfinite(largest) & (largest > 0)
    picked[~usable] = np.where(largest[~usable, None] == 0, zero, np.nan)
    picked[usable] /= largest[usable, None]
    rows[odd] = picked
    squares[odd] = np.where(usable, np.square(picked).sum(axis=1), 1.0)


def has_direction(vectors: Floating) -> npt.NDArray[np.bool_]:
    """Return which rows are finite and not zero, so that `unit_rows` can scale them: bool (n,)."""
    found = np.empty(len(vectors), bool)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = vectors[start : start + _ROWS_AT_ONCE]
        if rows.dtype == np.float16:  # by its bits, ten times as fast: those without the sign are in order of magnitude
            largest = (rows.view(np.uint16) & np.uint16(0x7FFF)).max(axis=1, initial=0)
            found[start : start + len(rows)] = (largest > 0) & (largest < 0x7C00)
        else:
            found[start : start + len(rows)] = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
    return found
