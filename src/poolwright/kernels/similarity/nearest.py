"""Find the nearest texts of each row: labels for millions of images, exact and fast.

Screening in low precision gives every similarity within a proven radius (`lower_bounds`); only texts that could be
among the k best are computed again, in float32 and, if still undecided, by `exact_similarity`, which alone
decides. So every backend gives the labels of the definition: most similar first, ties to the smallest index.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import (
    Float32,
    Float64,
    Integers,
    exact_pairs,
    exact_similarity,
    float32_error,
    float32_pairs,
)
from poolwright.kernels.similarity.float16 import widen
from poolwright.kernels.similarity.lower_bounds import Float32Screen, Int8Screen, Screened, TextScreen, has_torch, norms
from poolwright.kernels.similarity.tiles import GROUP, Pairs, Space

Labels = tuple[npt.NDArray[np.int32], Float32]

__all__ = ["FEW", "TextIndex", "exact_similarity", "has_torch", "index_texts", "nearest"]

BACKENDS = ("auto", "torch", "numpy")

_CANDIDATES_PER_ROW = 256
"""Above this many candidates per row, on the mean of a tile, a finer screen is cheaper than scoring them."""

FEW = 1024
"""Up to this many texts, float32 products of all pairs cost less than avoiding some of them."""

_USUAL = 2.0**30
"""Squared lengths within this factor of 1 are those of safe vectors, and exclude NaN and infinity (see `widen`)."""

_SAFE = 2.0**50
"""Screens are trusted with vectors whose largest element is within this factor of 1: nothing overflows."""


@dataclass(frozen=True)
class TextIndex:
    """Text vectors prepared for `nearest`. Built once by `index_texts`, can be shared by any number of threads."""

    texts: Float32  # (m, d)
    screens: tuple[TextScreen, ...]  # coarse to fine
    longest: float  # upper bound of the lengths
    doubles: Float64 | None = None  # the texts in float64 if they are few


def index_texts(texts: npt.NDArray[np.floating], *, backend: str = "auto") -> TextIndex:
    """Prepare text vectors, in 0.4 seconds (numpy 0.02) and twice their memory for 21,843 x 1,024.

    Args:
        texts: (m, d) float32, finite, each zero or of a largest element within 2^-50 .. 2^50.
        backend: "torch" screens with 8-bit products first, "numpy" with float32 ones. "auto" takes "torch"
            if it is installed and the processor has fast 8-bit products (`has_torch`).

    Raises:
        ValueError: unknown or unusable backend; no texts, or texts that are not finite or of extreme length.
    """
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    if backend == "torch" and not has_torch():
        raise ValueError("backend 'torch' needs torch and a processor with VNNI; 'numpy' labels the same")
    if texts.ndim != 2 or 0 in texts.shape:
        raise ValueError(f"texts must be (m, d) with m, d >= 1, not {texts.shape}")
    vectors = np.ascontiguousarray(texts, np.float32)
    if not _is_safe(_largest(vectors)).all():
        raise ValueError("texts must be finite vectors near unit length")
    longest = float(norms(vectors).max())
    fine: tuple[TextScreen, ...] = (Float32Screen(vectors),)
    if len(vectors) <= FEW and backend == "auto":
        return TextIndex(vectors, fine, longest, vectors.astype(np.float64))
    use_torch = backend == "torch" or (backend == "auto" and has_torch())
    return TextIndex(vectors, (Int8Screen(vectors), *fine) if use_torch else fine, longest)


def nearest(
    rows: npt.NDArray[np.floating],
    texts: npt.NDArray[np.floating] | TextIndex,
    *,
    k: int = 1,
    backend: str = "auto",
) -> tuple[npt.NDArray[np.int32], Float32]:
    """Return the k texts of highest `exact_similarity` to each row, best first, ties to the smallest index.

    The answer for a row depends on that row and the texts only: not on the other rows, threads or backend.
    Sets no thread counts: one call uses the threads BLAS and torch are given, and calls from several Python
    threads run at the same time. Takes some 60 MB ("numpy" 110) besides its arguments for each concurrent call.

    Args:
        rows: (n, d) float16 or float32, unit vectors (other lengths are right too).
        texts: (m, d) float32, or the same prepared by `index_texts`, which pays when calling more than once.
        k: number of texts, 1 <= k <= m.
        backend: as in `index_texts`; no effect on texts that are already prepared.

    Returns:
        index (n, k) int32 and similarity (n, k) float32. A row with NaN or infinity has -1 and NaN.

    Raises:
        ValueError: if k is not within 1..m, or shapes do not fit together.
    """
    index = texts if isinstance(texts, TextIndex) else index_texts(texts, backend=backend)
    m, d = index.texts.shape
    if not 1 <= k <= m:
        raise ValueError(f"k = {k} texts asked for, but there are {m}")
    if rows.ndim != 2 or rows.shape[1] != d:
        raise ValueError(f"rows {rows.shape} must be (n, {d}) as the texts are {index.texts.shape}")
    labels = np.full((len(rows), k), -1, np.int32)
    similarity = np.full((len(rows), k), np.nan, np.float32)
    size = min(len(rows), int(np.clip(index.screens[0].products // m, 16, 2048)))
    space = Space(size, m, GROUP if k * GROUP <= m else 1)
    for start in range(0, len(rows), max(size, 1)):
        tile = slice(start, start + size)
        labels[tile], similarity[tile] = _label(rows[tile], index, space, k)
    return labels, similarity


def _label(rows: npt.NDArray[np.floating], index: TextIndex, space: Space, k: int) -> Labels:
    """Labels and similarity (n, k) of a tile of rows, most of which are usual vectors."""
    floats = widen(rows)
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.vecdot(floats, floats)
    usual = (squares >= 1 / _USUAL) & (squares <= _USUAL)
    if usual.all():
        return _search_all(floats, index, space, k)
    labels, similarity = np.empty((len(rows), k), np.int32), np.empty((len(rows), k), np.float32)
    if usual.any():
        labels[usual], similarity[usual] = _search_all(floats[usual], index, space, k)
    labels[~usual], similarity[~usual] = _label_unusual(rows[~usual].astype(np.float32), index, space, k)
    return labels, similarity


def _label_unusual(rows: Float32, index: TextIndex, space: Space, k: int) -> Labels:
    """Labels and similarity (n, k) of rows that may be zero, not finite, or of any length."""
    labels = np.full((len(rows), k), -1, np.int32)
    similarity = np.full((len(rows), k), np.nan, np.float32)
    largest = _largest(rows)
    zero = largest == 0
    labels[zero], similarity[zero] = np.arange(k), 0
    for i in np.flatnonzero(np.isfinite(largest) & ~_is_safe(largest)):
        everything = np.arange(len(index.texts))
        labels[[i]], similarity[[i]] = _decide(rows[[i]], index.texts, 0 * everything, everything, k)
    usual = np.flatnonzero(_is_safe(largest) & ~zero)
    if len(usual):
        labels[usual], similarity[usual] = _search_all(rows[usual], index, space, k)
    labels[np.isnan(similarity)] = -1
    return labels, similarity


def _search_all(rows: Float32, index: TextIndex, space: Space, k: int) -> Labels:
    return _search(rows, index, space, k, 0) if index.doubles is None else _search_few(rows, index, k)


def _largest(vectors: Float32) -> Float32:
    """Largest magnitude of each vector (n,); NaN or infinity if it holds one."""
    return np.asarray(np.maximum(vectors.max(axis=1), -vectors.min(axis=1)))


def _is_safe(largest: Float32) -> npt.NDArray[np.bool_]:
    """Whether screens can be trusted with vectors of this largest magnitude: zero, or not far from 1."""
    return np.asarray((largest == 0) | ((largest >= 1 / _SAFE) & (largest <= _SAFE)))


def _search(rows: Float32, index: TextIndex, space: Space, k: int, level: int) -> Labels:
    """Screen, keep the texts that could be among the k best, and decide; screen more finely if they are too many.

    Why no text is lost: let `floor` be a lower bound of the k-th best exact similarity, here the lowest of k
    texts that the screen likes, less the error of float32. A text among the k best, ties included, has exact
    similarity >= floor, so its screened one is at least floor - radius and its float32 one at
    least floor - slack. All texts that reach both are kept.
    """
    n, finest = len(rows), level + 1 == len(index.screens)
    screen = index.screens[level]
    tile = space.tile(n, screen.dtype, screen.chunk)
    screened = screen.screen(rows, tile)
    slack = float32_error(rows.shape[1]) * index.longest * norms(rows)
    floor = _lowest(rows, index.texts, tile.best_texts(k)) - slack
    limit = None if finest and n == 1 else (_CANDIDATES_PER_ROW + 4 * k) * n
    pairs = tile.candidates(_thresholds(screened, screen, floor), limit)
    if pairs is None and not finest:
        return _search(rows, index, space, k, level + 1)
    if pairs is None:
        halves = [_search(half, index, space, k, level) for half in (rows[: n // 2], rows[n // 2 :])]
        return np.concatenate([h[0] for h in halves]), np.concatenate([h[1] for h in halves])
    near = _is_near(screened, screen, floor, pairs)
    i, j = pairs.i[near], pairs.j[near]
    close = float32_pairs(rows, index.texts, i, j) >= (floor - slack)[i]
    return _decide(rows, index.texts, i[close], j[close], k)


def _search_few(rows: Float32, index: TextIndex, k: int) -> Labels:
    """All products in float32; texts within twice its error of the k-th best are decided exactly.

    Why no text is lost: the k-th best exact similarity is at least the k-th best product less the error, and
    the product of a text is at least its exact similarity less the error.
    """
    products = rows @ index.texts.T
    last = products.shape[1] - k
    best = products.max(axis=1) if k == 1 else np.partition(products, last, axis=1)[:, last]
    slack = float32_error(rows.shape[1]) * index.longest * norms(rows)
    i, j = np.divmod(np.flatnonzero(products >= (best - 2 * slack)[:, None]), products.shape[1])
    return _decide(rows, index.texts if index.doubles is None else index.doubles, i, j, k)


def _lowest(rows: Float32, texts: Float32, picked: Integers) -> Float64:
    """(n,) the lowest float32 similarity of each row to its texts picked (n, k)."""
    n, k = picked.shape
    scores = float32_pairs(rows, texts, np.repeat(np.arange(n), k), picked.ravel())
    return np.asarray(scores.reshape(n, k).min(axis=1), np.float64)


def _thresholds(screened: Screened, screen: TextScreen, floor: Float64) -> Float64:
    """(n,) the smallest product that a text of similarity >= floor can have, by the largest text errors."""
    radius = screened.row_errors @ screen.text_errors.max(axis=0)
    return np.asarray((floor - screened.offset - radius) / screened.unit)


def _is_near(screened: Screened, screen: TextScreen, floor: Float64, pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Which pairs still reach the floor (n,) of their row with the errors of their own text."""
    radius = np.vecdot(screened.row_errors[pairs.i], screen.text_errors[pairs.j])
    estimate = screened.offset[pairs.i] + screened.unit[pairs.i] * pairs.product
    return np.asarray(estimate + radius >= floor[pairs.i])


def _decide(rows: Float32, texts: Float32 | Float64, i: Integers, j: Integers, k: int) -> Labels:
    """The k best texts of each row among pairs (i, j), by exact similarity, ties to the smallest index.

    Every row must have k pairs or more.
    """
    similarity = exact_pairs(rows, texts, i, j)
    if len(i) == len(rows):  # one candidate per row, so k is 1
        return j[:, None].astype(np.int32), similarity[:, None]
    order = np.lexsort((j, -similarity, i))
    first = np.searchsorted(i[order], np.arange(len(rows)))
    best = order[first[:, None] + np.arange(k)]
    return j[best].astype(np.int32), similarity[best]
