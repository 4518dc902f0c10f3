"""Principal components of many vectors, block by block: the same numbers for the same rows in the same order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

_BLOCK = 4_096

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def principal_components(vectors: npt.NDArray[np.floating], k: int) -> Float32:
    """Coordinates of the vectors along the directions of greatest variance.

    Exact: eigenvectors of the covariance (d, d), which is added up in float64. Each direction has the sign in which its
    largest entry is positive, so that a plot of them does not flip.

    Args:
        vectors: (n, d), finite; any float type.
        k: coordinates to give; past min(n, d) they are 0.

    Returns:
        float32 (n, k).
    """
    n, d = vectors.shape
    found = np.zeros((n, k), np.float32)
    if not n:
        return found
    mean = sum(block.sum(axis=0) for block in _blocks(vectors)) / n
    covariance = np.zeros((d, d))
    for block in _blocks(vectors):
        centred = block - mean
        covariance += centred.T @ centred
    _, directions = np.linalg.eigh(covariance)
    axes = directions[:, ::-1][:, : min(k, d)]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    for number, block in enumerate(_blocks(vectors)):
        found[number * _BLOCK : (number + 1) * _BLOCK, : axes.shape[1]] = (block - mean) @ axes
    return found


def _blocks(vectors: npt.NDArray[np.floating]) -> Iterator[Float64]:
    for at in range(0, len(vectors), _BLOCK):
        yield vectors[at : at + _BLOCK].astype(np.float64)
