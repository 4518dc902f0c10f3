"""Compute similarities of all rows and all prompts by BLAS, exact to the last bit in any order of additions.

Rows are multiples of 2^-24 (every float16 number is one) and shorter than 2, prompts are multiples of 2^-28 and of
unit length. So all products and all their sums, in any order, are multiples of 2^-52 and at most 2: float64 holds
them exactly. The one rounding, to float32, comes last. A score therefore depends on its row and its prompt alone,
not on the batch, threads, BLAS or the processor, and is `exact_similarity` of the two.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import Float32, Float64
from poolwright.kernels.similarity.float16 import widen

_ROW_GRID, _PROMPT_GRID = 2.0**24, 2.0**28
_TILE = 1024
_SHORT, _LONG = 0.25, 3.9  # squared lengths of rows that are used unscaled


def prompts_on_grid(features: npt.NDArray[np.floating]) -> Float32:
    """Features (p, d) of unit length, rounded to multiples of 2^-28, which float32 holds: off by at most 2e-9 each."""
    return np.asarray(np.rint(features.astype(np.float64) * _PROMPT_GRID) / _PROMPT_GRID, np.float32)


def grid_products(rows: npt.NDArray[np.floating], prompts: Float64) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Inner products of every prompt and every row.

    float32 rows are rounded to multiples of 2^-24 first, and so are rows far from unit length once a power of two
    has brought them near it: that changes a cosine by less than 1e-6.

    Args:
        rows: (n, d) float16 or float32.
        prompts: (p, d) as `prompts_on_grid` gives them, in float64.

    Returns:
        (p, n) float32, and bool (n,): rows that have a direction. The products of others are undefined.
    """
    products = np.empty((len(prompts), len(rows)), np.float32)
    usable = np.ones(len(rows), bool)
    for start in range(0, len(rows), _TILE):
        tile = slice(start, start + _TILE)
        products[:, tile], usable[tile] = _of_tile(rows[tile], prompts)
    return products, usable


def _of_tile(rows: npt.NDArray[np.floating], prompts: Float64) -> tuple[Float64, npt.NDArray[np.bool_]]:
    floats = widen(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(floats, floats)
    odd = np.flatnonzero(~((squares > _SHORT) & (squares < _LONG)))
    doubles = floats.astype(np.float64)
    if rows.dtype != np.float16:
        doubles = _rounded(doubles)
    usable = np.ones(len(rows), bool)
    if not len(odd):
        return prompts @ doubles.T + 0.0, usable  # + 0.0 turns -0.0 into 0.0
    doubles[odd], exponent, usable[odd] = _near_unit(rows[odd])
    products = prompts @ doubles.T + 0.0
    products[:, odd] = np.ldexp(products[:, odd], exponent)
    usable[odd] &= (np.abs(products[:, odd]) <= np.finfo(np.float32).max).all(axis=0)
    products[:, ~usable] = 0.0
    return products, usable


def _near_unit(rows: npt.NDArray[np.floating]) -> tuple[Float64, npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Rows of any length on the grid, the powers of two they were divided by, and which have a direction."""
    doubles = rows.astype(np.float64)
    lengths = np.sqrt(np.square(doubles).sum(axis=1))
    usable = np.isfinite(lengths) & (lengths > 0)
    doubles[~usable] = 0.0
    exponent = np.where(usable, np.frexp(np.where(usable, lengths, 1.0))[1], 0).astype(np.int32)
    return _rounded(np.ldexp(doubles, -exponent[:, None])), exponent, usable


def _rounded(doubles: Float64) -> Float64:
    return np.asarray(np.rint(doubles * _ROW_GRID) / _ROW_GRID)
