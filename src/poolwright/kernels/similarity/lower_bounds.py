"""Compute fast, approximate similarities of a tile of rows to all texts, with a proven radius around each.

A screen multiplies in low precision and bounds its error. The exact similarity of row i and text j
then is within `radius` of `offset[i] + unit[i] * product[i, j]`, so every text that could be among the best
is found without computing the others again.

Two screens: `Float32Screen` (BLAS, any machine) and `Int8Screen` (torch, processors with 8-bit dot products,
which compute 3 to 4 times as many of them per second as float32 ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poolwright.core.runtime.threads import import_torch
from poolwright.kernels.similarity.cosine import ROUNDOFF, Float32, Float64, float32_error
from poolwright.kernels.similarity.tiles import ProductType, Tile, chunk_bounds

Int8 = npt.NDArray[np.int8]


_BLOCK = 64
"""Dimensions rotated together. A power of 4, so that float32 holds 1 / sqrt(64)."""

_ROTATION_ERROR = 2 * (_BLOCK + 4) * _BLOCK**0.5 * ROUNDOFF


@dataclass(frozen=True)
class Screened:
    """Approximate similarities of a tile of rows, with their errors.

    |exact(i, j) - (offset[i] + unit[i] * product[i, j])| <= row_errors[i] . text_errors[j]
    """

    unit: Float64  # (n,) > 0
    offset: Float64  # (n,)
    row_errors: Float64  # (n, 2) >= 0


class TextScreen(Protocol):
    """Texts prepared for one kind of approximate product."""

    dtype: ProductType
    chunk: int  # texts multiplied at once
    products: int  # products of a tile of best speed
    text_errors: Float64  # (m, 2) >= 0

    def screen(self, rows: Float32, tile: Tile) -> Screened:
        """Fill and reduce the tile with the products of rows (n, d); return their scale, offset and errors."""


def _chunks(texts: npt.NDArray[Any], chunk: int) -> list[npt.NDArray[Any]]:
    """Texts (m, d), padded with zeros to whole groups, as (d, width) views of chunks."""
    bounds = chunk_bounds(len(texts), chunk)
    padded = np.ascontiguousarray(np.pad(texts, ((0, bounds[-1] - len(texts)), (0, 0))))
    return [padded[a:b].T for a, b in pairwise(bounds)]


class Float32Screen:
    """Products by BLAS in float32, with the bound of `float32_error`. Large tiles: BLAS cuts them itself."""

    dtype: ProductType = np.float32
    chunk = 1 << 15
    products = 22_500_000

    def __init__(self, texts: Float32) -> None:
        self._texts = texts
        self.text_errors = np.stack([norms(texts), np.zeros(len(texts))], axis=1)

    @cached_property
    def _chunks(self) -> list[Float32]:
        # Made when first needed, which is rare after a coarser screen.
        return _chunks(self._texts, self.chunk)

    def screen(self, rows: Float32, tile: Tile) -> Screened:
        for c, chunk in enumerate(self._chunks):
            np.matmul(rows, chunk, out=tile.chunks[c])
            tile.reduce(c)
        errors = np.stack([float32_error(rows.shape[1]) * norms(rows), np.zeros(len(rows))], axis=1)
        return Screened(np.ones(len(rows)), np.zeros(len(rows)), errors)


class Int8Screen:
    """Products of 8-bit integers, exact in int32, around the mean text.

    Let c be the mean of the texts, H an orthogonal matrix, y = H r and z = H (t - c). As H keeps inner
    products, r.t = r.c + y.z. Take vectors p, q of integers in [-127, 127] and scales s (one per row), v (one
    for all texts), so that a = s p is near y and b = v q near z. Then, by Cauchy-Schwarz,

        |y.z - a.b| = |y.(z - b) + (y - a).b| <= |r| |z - b| + |y - a| |b|.

    a.b = s v (p.q), and p.q is computed without any error: d 127^2 < 2^31. |z - b| and |y - a| are not
    estimated but *measured*, text by text and row by row, from the y' and z' that float32 gives.

    Those differ from y and z. H rotates blocks of w = 64 dimensions (after zeros up to whole blocks) by a
    Hadamard matrix with entries +-1/8, which float32 holds exactly; summed in any order it is off by
    at most gamma_w | |H| |r| | <= gamma_w sqrt(w) |r|. Subtracting c, and taking y' - a, add a few roundings
    each. All of it is below eta |r| (for texts eta |t - c|) with eta = 2 (w + 4) sqrt(w) u, u = 2^-24, which
    is added to the measured lengths. r.c comes from float32: this and the last rounding of the exact
    similarity add `float32_error` (|c| + |t|) |r|.

    Reasons: text features of one model share a large common part; without it the remaining vectors are
    shorter, and the error with them. H spreads each outlying dimension that image features have over 64,
    which keeps the scale of a row small. Integers rather than bfloat16 because they are near twice as fast,
    their sums are exact on every processor, and the rounding of bfloat16 products to 8 bits for output
    makes up for most of their coarser scale.
    """

    dtype: ProductType = np.int32
    chunk = 4096
    products = 11_300_000

    def __init__(self, texts: Float32) -> None:
        torch = import_torch()

        d = texts.shape[1]
        if d * 127**2 >= 2**31:
            raise ValueError(f"{d} dimensions are too many for 8-bit products; use backend='numpy'")
        self._mean = texts.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = texts - self._mean
        integers, self._scale, remainder = self._quantise_texts(rotate(centred))
        self._chunks = [torch.from_numpy(chunk.T).T for chunk in _chunks(integers, self.chunk)]
        near = remainder + _ROTATION_ERROR * norms(centred)
        near += float32_error(d) * (norms(texts) + norms(self._mean[None]))
        self.text_errors = np.stack([near, self._scale * norms(integers)], axis=1)

    def screen(self, rows: Float32, tile: Tile) -> Screened:
        integers, scale, remainder = quantise(rotate(rows))
        for c, chunk in enumerate(self._chunks):
            _multiply(integers, chunk, tile.chunks[c])
            tile.reduce(c)
        lengths = norms(rows)
        errors = np.stack([lengths, remainder + _ROTATION_ERROR * lengths], axis=1)
        return Screened(scale * self._scale, (rows @ self._mean).astype(np.float64), errors)

    @staticmethod
    def _quantise_texts(vectors: Float32) -> tuple[Int8, float, Float64]:
        """With the one scale, of a few, that leaves the smallest largest remainder: finer ones clip more."""
        largest = max(float(vectors.max()), -float(vectors.min())) or 1.0
        scale = np.float32(largest / 127)
        integers, remainder = _to_int8(vectors, scale)
        for _ in range(8):
            finer = scale * np.float32(0.88)
            tried, left = _to_int8(vectors, finer)
            if left.max() >= remainder.max():
                break
            scale, integers, remainder = finer, tried, left
        return integers, float(scale), remainder


def _multiply(left: Int8, right: Any, out: npt.NDArray[Any]) -> None:
    """Exact products of left (n, d) and the torch tensor right (d, w) into out (n, w) int32.

    Raises:
        RuntimeError: if the last row shows that nothing was written. oneDNN may refuse a product for its
            strides, and torch does not notice (pytorch issue 195066; seen with d = 1, which does not happen
            here because vectors are whole blocks of 64).
    """
    torch = import_torch()

    torch._int_mm(torch.from_numpy(left), right, out=torch.from_numpy(out))
    if int(out[-1, 0]) != int(np.dot(left[-1].astype(np.int32), right[:, 0].numpy().astype(np.int32))):
        raise RuntimeError(f"torch multiplies {left.shape} int8 wrongly on this machine; use backend='numpy'")


def quantise(vectors: Float32) -> tuple[Int8, Float64, Float64]:
    """Integers p (n, d), scales s (n,) so that the largest |p| of a row is 127, lengths |vector - s p|."""
    largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))
    scale = np.where(largest > 0, largest, 1).astype(np.float32) / np.float32(127)
    integers, remainder = _to_int8(vectors, scale[:, None])
    return integers, scale.astype(np.float64), remainder


def _to_int8(vectors: Float32, scale: Float32 | np.float32) -> tuple[Int8, Float64]:
    """Vectors over scale, rounded and clipped to [-127, 127], and the lengths of the remainders.

    A few vectors at a time, so that the passes over them stay in cache.
    """
    integers, remainder = np.empty(vectors.shape, np.int8), np.empty(len(vectors))
    scales = np.broadcast_to(scale, (len(vectors), 1))
    for start in range(0, len(vectors), 256):
        block = slice(start, start + 256)
        rounded = vectors[block] / scales[block]
        np.rint(rounded, out=rounded)
        np.clip(rounded, -127, 127, out=rounded)
        integers[block] = rounded
        rounded *= scales[block]
        np.subtract(vectors[block], rounded, out=rounded)
        remainder[block] = norms(rounded)
    return integers, remainder


def norms(vectors: npt.NDArray[Any]) -> Float64:
    """Upper bounds of the Euclidean lengths (n,) of vectors (n, d): float32 sums, and their error on top."""
    floats = np.asarray(vectors, np.float32)
    above = 1.001 + floats.shape[1] * ROUNDOFF
    return np.asarray(above * np.sqrt(np.vecdot(floats, floats).astype(np.float64)))


def rotate(vectors: Float32) -> Float32:
    """Each block of 64 dimensions times a Hadamard matrix: (n, d) -> (n, d rounded up to whole blocks)."""
    n, d = vectors.shape
    if d % _BLOCK:
        vectors = np.pad(vectors, ((0, 0), (0, -d % _BLOCK)))
    return np.asarray((vectors.reshape(-1, _BLOCK) @ hadamard()).reshape(n, -1))


@cache
def hadamard() -> Float32:
    """Orthogonal matrix (64, 64) with entries +-1/8."""
    matrix = np.ones((1, 1), np.float32)
    while len(matrix) < _BLOCK:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix / np.float32(_BLOCK**0.5)


@cache
def has_torch() -> bool:
    """Whether torch is installed and runs 8-bit products fast and exactly on this processor.

    It does through oneDNN on processors with VNNI (Intel since 2019, AMD since Zen 4). Without VNNI, or
    if oneDNN is configured not to use it, pairs of products are added in 16 bits, which may saturate (pytorch
    issue 136746): a product of the largest numbers shows it.
    """
    try:
        torch = import_torch()
    except ImportError:
        return False
    vnni = getattr(torch.cpu, "_is_vnni_supported", lambda: False)()
    if not (vnni and torch.backends.mkldnn.is_available() and hasattr(torch, "_int_mm")):
        return False
    largest = torch.full((64, 256), 127, dtype=torch.int8)
    return bool((torch._int_mm(largest, -largest.T) == -256 * 127**2).all())
