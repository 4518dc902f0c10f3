"""Decision values with a proven bound on the error of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import Float32, Float64

DOUBLE = 2.0**-53
"""Unit roundoff of float64."""


@dataclass(frozen=True)
class BoundedValues:
    """|values - true| <= errors, where not NaN. Each row depends on its own vector only."""

    values: Float64
    errors: Float64


class DecisionScreen(Protocol):
    """A cheap estimate of a binary decision."""

    def estimate(self, rows: Float32, squares: Float64) -> BoundedValues:
        """Values and errors (n,) of float32 rows (n, d) and their squared lengths in float32."""


class Exact(Protocol):
    """Decisions in float64. The errors also cover the roundings of `classifiers.decisions`."""

    def estimate(self, rows: Float64) -> BoundedValues:
        """Values and errors (n, p) of float64 rows (n, d)."""


def lengths(vectors: npt.NDArray[Any]) -> Float64:
    """Euclidean lengths (n,) of float64 vectors, rounded up."""
    return np.asarray(np.sqrt(np.vecdot(vectors, vectors)) * (1 + (vectors.shape[1] + 4) * DOUBLE))
