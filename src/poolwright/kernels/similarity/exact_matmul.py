"""Compute cosines of all rows and all prompts by BLAS, exact to the last bit in any order of additions.

Rows are multiples of 2^-24 (every float16 number is one) and shorter than 2, prompts are multiples of 2^-28 and of
unit length. So all products, the squares of rows, and all their sums, in any order, are multiples of 2^-52 and at most
4: float64 holds them exactly. The root, the division by it and the rounding to float32 come last. A score therefore
depends on its row and its prompt alone, not on the batch, threads, BLAS or the processor, and is `exact_similarity` of
the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import Float32, Float64
from poolwright.kernels.similarity.float16 import widen

_ROW_GRID, _PROMPT_GRID = 2.0**24, 2.0**28
_TILE = 256  # whose numbers stay in cache
_SHORT, _LONG = 0.25, 3.9  # squared lengths of rows that are used unscaled


def prompts_on_grid(features: npt.NDArray[np.floating]) -> Float32:
    """Features (p, d) of unit length, rounded to multiples of 2^-28, which float32 holds: off by at most 2e-9 each."""
    return np.asarray(np.rint(features.astype(np.float64) * _PROMPT_GRID) / _PROMPT_GRID, np.float32)


def grid_products(rows: npt.NDArray[np.floating], prompts: Float64) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Cosines of every prompt and every row.

    float32 rows are rounded to multiples of 2^-24 first, and so are rows far from unit length once a power of two
    has brought them near it: that changes a cosine by less than 1e-6.

    Args:
        rows: (n, d) float16 or float32.
        prompts: (p, d) as `prompts_on_grid` gives them, in float64.

    Returns:
        (p, n) float32, and bool (n,): rows that have a direction. The cosines of others are 0.
    """
    products = np.empty((len(prompts), len(rows)), np.float32)
    usable = np.ones(len(rows), bool)
    for start in range(0, len(rows), _TILE):
        tile = slice(start, start + _TILE)
        products[:, tile], usable[tile] = _of_tile(rows[tile], prompts)
    return products, usable


def _of_tile(rows: npt.NDArray[np.floating], prompts: Float64) -> tuple[Float64, npt.NDArray[np.bool_]]:
    doubles = widen(rows).astype(np.float64)
    if rows.dtype != np.float16:
        doubles = _rounded(doubles)
    squares = np.vecdot(doubles, doubles)
    usable = np.ones(len(rows), bool)
    odd = np.flatnonzero(~((squares > _SHORT) & (squares < _LONG)))
    if len(odd):
        doubles[odd], usable[odd] = _near_unit(rows[odd])
        squares[odd] = np.vecdot(doubles[odd], doubles[odd])
        squares[~usable] = 1.0
    products = prompts @ doubles.T
    products /= np.sqrt(squares)
    products += 0.0  # turns -0.0 into 0.0
    return products, usable


def _near_unit(rows: npt.NDArray[np.floating]) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Rows of any length on the grid, divided by powers of two, and which have a direction; the others are zeros."""
    doubles = rows.astype(np.float64)
    lengths = np.sqrt(np.square(doubles).sum(axis=1))
    usable = np.isfinite(lengths) & (lengths > 0)
    doubles[~usable] = 0.0
    exponent = np.frexp(np.where(usable, lengths, 1.0))[1]
    return _rounded(np.ldexp(doubles, -exponent[:, None])), usable


def _rounded(doubles: Float64) -> Float64:
    return np.asarray(np.rint(doubles * _ROW_GRID) / _ROW_GRID)
