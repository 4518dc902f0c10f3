"""A row of a product has the same bits wherever it lies, on whatever BLAS kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROBE = """
import numpy as np
from poolwright.kernels.similarity.row_stable_matmul import even_product
draw = np.random.default_rng(7)
for dtype in (np.float32, np.float64):
    for width, columns in ((16, 16), (48, 32), (97, 5), (768, 112)):
        row, weights = draw.standard_normal(width).astype(dtype), draw.standard_normal((width, columns)).astype(dtype)
        found = even_product(np.tile(row, (256, 1)), weights)
        assert found.dtype == dtype
        assert (found == found[0]).all(), (dtype, width, columns)
        assert np.allclose(found[0], row.astype(float) @ weights.astype(float), rtol=1e-3, atol=1e-4)
"""


@pytest.mark.parametrize("kernel", ["", "Haswell", "Zen", "Sandybridge"])
def test_rows_are_treated_alike(kernel: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    environment |= {"OPENBLAS_CORETYPE": kernel} if kernel else {}
    found = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
