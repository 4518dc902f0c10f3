"""Define the cosine that decides labels, and bound how far float32 products deviate from it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ROUNDOFF = 2.0**-24
"""Unit roundoff of float32: one rounding is off by at most this part of the result."""

_PAIRS_AT_ONCE = 128
"""Pairs processed together: at 1,024 dimensions both sides take half a megabyte and stay in cache."""

_LONG_RUN = 16
"""Pairs of one row, on the mean, from which on a product for each row costs less than copies of it."""


def exact_similarity(
    rows: npt.NDArray[np.floating], texts_picked: npt.NDArray[np.floating], *, unit_texts: bool = True
) -> Float32:
    """Cosine of each row and its own text vector, the same bits on every machine.

    Stored vectors have unit length only as far as their type allows: in float16 it is off by up to a thousandth, more
    than the cosines of neighbours in a ranking differ. So the inner product is divided by the length of the row.

    The product of two float32 numbers is exact in float64. The d products, and the d squares, are added in float64 in
    the fixed order of NumPy's pairwise sum (eight running sums over blocks of at most 128, the blocks added as a tree),
    and the quotient is rounded once to float32. So the result depends on the two vectors and on nothing else: not
    on the batch, its order, threads, BLAS or the processor.

    Args:
        rows: (n, d) float16 or float32, of any length.
        texts_picked: (n, d) float32, row by row the text to compare with.
        unit_texts: texts are of unit length in float32, as text features are; if not, their lengths divide too.

    Returns:
        (n,) float32, 0 for a vector of zeros. NaN where a row or its text holds NaN or infinity.
    """
    if rows.shape != texts_picked.shape or rows.ndim != 2:
        raise ValueError(f"rows {rows.shape} and texts_picked {texts_picked.shape} must both be (n, d)")
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        left = rows[block].astype(np.float32).astype(np.float64)
        right = texts_picked[block].astype(np.float32).astype(np.float64)
        lengths = _lengths(left) if unit_texts else _lengths(left) * _lengths(right)
        out[block] = _similarity_of_block(left, right, lengths)
    return out


def _lengths(block: Float64) -> Float64:
    """Lengths (n,) of rows, 1 instead of 0; the squares of float32 numbers neither overflow nor vanish in float64."""
    with np.errstate(invalid="ignore"):
        lengths = np.sqrt(np.square(block).sum(axis=1))
    lengths[lengths == 0] = 1.0
    return np.asarray(lengths)


def _similarity_of_block(left: Float64, right: Float64, lengths: Float64) -> Float32:
    """Products, pairwise sum, quotient, one rounding. Overwrites `left`, which must be contiguous."""
    with np.errstate(invalid="ignore", over="ignore"):
        np.multiply(left, right, out=left)
        cosine = np.asarray(left.sum(axis=1) / lengths + 0.0, np.float32)  # + 0.0 turns -0.0 into 0.0
    cosine[~np.isfinite(cosine)] = np.nan
    return cosine


def exact_pairs(rows: Float32, texts: Float32 | Float64, i: Integers, j: Integers) -> Float32:
    """`exact_similarity` of rows[i[p]] and texts[j[p]] for every pair p, gathering a few pairs at a time.

    Args:
        texts: float32, or the same values as float64, which saves a pass.
    """
    out = np.empty(len(i), np.float32)
    in_order = len(i) == len(rows) and bool((i == np.arange(len(rows))).all())
    lengths = None if in_order else _lengths_of_rows(rows)
    for start in range(0, len(i), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        left = (rows[block] if in_order else rows[i[block]]).astype(np.float64)
        of_left = _lengths(left) if lengths is None else lengths[i[block]]
        out[block] = _similarity_of_block(left, texts[j[block]].astype(np.float64, copy=False), of_left)
    return out


def _lengths_of_rows(rows: Float32) -> Float64:
    """`_lengths` of all rows, a block at a time; a row has several pairs."""
    out = np.empty(len(rows), np.float64)
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        block = slice(start, start + _PAIRS_AT_ONCE)
        out[block] = _lengths(rows[block].astype(np.float64))
    return out


def float32_pairs(rows: Float32, texts: Float32, i: Integers, j: Integers) -> Float32:
    """Inner products of rows[i[p]] and texts[j[p]] in float32, within `float32_error` of the exact ones.

    Runs of many pairs of one row are quick, as the row is not copied for each of them.
    """
    out = np.empty(len(i), np.float32)
    runs = np.append(np.flatnonzero(np.diff(i, prepend=-1)), len(i))
    if len(i) < _LONG_RUN * len(runs):
        for start in range(0, len(i), _PAIRS_AT_ONCE):
            block = slice(start, start + _PAIRS_AT_ONCE)
            np.vecdot(rows[i[block]], texts[j[block]], out=out[block])
        return out
    for first, end in pairwise(runs.tolist()):
        for start in range(first, end, _PAIRS_AT_ONCE):
            block = slice(start, min(start + _PAIRS_AT_ONCE, end))
            np.dot(texts.take(j[block], axis=0, mode="clip"), rows[i[first]], out=out[block])
    return out


def float32_error(d: int) -> float:
    """Bound e: |float32 inner product - exact similarity |r|| <= e |r| |t|, whatever the order of additions.

    With u = 2^-24 a sum of d rounded products, added in any order, with or without fused operations, is
    within gamma_d = d u / (1 - d u) times sum |r_l t_l| <= |r| |t| of the true inner product (Higham,
    *Accuracy and Stability of Numerical Algorithms*, section 3.1). The exact similarity, times |r|, is within
    u |r| |t| of it by its last rounding and within 2 d 2^-53 by its additions: 2 u |r| |t| in all.
    One part in a hundred is added for second-order terms and for the float64 arithmetic around the bound.
    """
    gamma = d * ROUNDOFF / (1 - d * ROUNDOFF)
    return 1.01 * (gamma + 2 * ROUNDOFF)
