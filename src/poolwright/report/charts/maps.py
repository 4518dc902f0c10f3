"""Map vectors to two dimensions by t-SNE, reproducibly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import MissingExtra
from poolwright.core.runtime.threads import one_blas_thread

ROWS = 400
"""Rows of a map, which takes one to two seconds."""

_FEWEST = 8
_COMPONENTS = 50
_PERPLEXITY = 30


def map_of(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float64] | None:
    """Return points (n, 2) within 0 .. 1 for vectors (n, d), similar ones close; None for fewer than eight rows.

    Raises:
        MissingExtra: openTSNE is not installed.
    """
    try:
        from openTSNE import TSNE
    except ImportError:
        raise MissingExtra("openTSNE", "the map of clusters") from None
    if len(vectors) < _FEWEST:
        return None
    with one_blas_thread():  # with more threads the last bits would vary, and the map with them
        parts = _components(vectors.astype(np.float64))
        spread = float(np.std(parts[:, 0])) or 1.0
        embed = TSNE(
            perplexity=min(_PERPLEXITY, (len(vectors) - 1) / 3),
            initialization=parts[:, :2] / spread * 1e-4,
            neighbors="exact",
            negative_gradient_method="bh",
            n_jobs=1,
            random_state=0,
        )
        points = np.asarray(embed.fit(parts), np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    middle, size = (low + high) / 2, float((high - low).max()) or 1.0
    return np.asarray((points - middle) / size + 0.5)


def _components(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the first principal components, each with the sign that makes its largest entry positive."""
    left, lengths, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    parts = left * lengths
    if parts.shape[1] < 2:
        parts = np.column_stack([parts, np.zeros(len(parts))])
    largest = np.take_along_axis(parts, np.abs(parts).argmax(axis=0)[None], axis=0)
    return np.asarray((parts * np.where(largest < 0, -1, 1))[:, :_COMPONENTS])
