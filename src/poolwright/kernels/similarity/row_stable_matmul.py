"""Compute products in which a row has the same bits at every row index.

Some BLAS kernels (OpenBLAS for Haswell and Zen, float32) add up the terms of every second half dozen of rows in another
order. The result of a row would then depend on the rows before it.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

Floating = npt.NDArray[np.floating]


def even_product(rows: Floating, columns: Floating) -> Floating:
    """rows (n, d) times columns (d, p), both float32 or both float64, in their type; n is a multiple of 128.

    If float32 products depend on the row index, they are computed in float64 and rounded.
    """
    if rows.dtype != np.float32 or _is_even():
        return np.asarray(np.matmul(rows, columns))
    return np.asarray(np.matmul(rows.astype(np.float64), columns.astype(np.float64)), np.float32)


@cache
def _is_even() -> bool:
    """Whether equal rows have equal float32 products here, whatever the shape; tested once per process."""
    draw = np.random.default_rng(0)
    for width in (16, 48, 96, 768):
        row = draw.standard_normal(width, np.float32)
        for columns in (16, 64, 112):
            products = np.matmul(np.tile(row, (256, 1)), draw.standard_normal((width, columns), np.float32))
            if (products != products[0]).any():
                return False
    return True
