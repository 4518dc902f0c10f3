"""Compute products of a tile of rows with all texts, reduced to maxima of small groups while they are in cache.

The texts are stored in chunks; in a chunk of width w, group g holds the texts g, g + w / size, g + 2 w / size, ...,
so that the maxima of all groups come from element-wise maxima of `size` neighbouring runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import Float64, Integers

Products = npt.NDArray[Any]  # of ProductType
ProductType = type[np.int32] | type[np.float32]

GROUP = 16
"""Texts whose products are reduced to one maximum. Candidates are looked for among the maxima first."""


def chunk_bounds(m: int, chunk: int) -> list[int]:
    """Return the starts of chunks of texts, and the end: m rounded up to whole groups, as `chunk` must be."""
    padded = -(-m // GROUP) * GROUP
    return [*range(0, padded, chunk), padded]


@dataclass(frozen=True)
class Pairs:
    """Candidates: rows i, texts j and their products, (p,) each, in the order of i."""

    i: Integers
    j: Integers
    product: Products


class TextGroups:
    """The layout of texts in groups. `size` is GROUP, or 1 if k asks for more texts than groups."""

    def __init__(self, m: int, size: int, chunk: int) -> None:
        self.m, self.size, self.bounds = m, size, chunk_bounds(m, chunk)
        widths = np.diff(self.bounds)
        counts = widths // size
        self.count = int(counts.sum())
        self.ends = np.cumsum(counts)
        self.chunk_start = np.repeat(np.array(self.bounds[:-1]), counts)
        self.chunk_width = np.repeat(widths, counts)
        self.stride = np.repeat(counts, counts)
        self.within = np.arange(self.count) - np.repeat(self.ends - counts, counts)

    def texts(self, groups: Integers) -> Integers:
        """(p, size) the texts of groups (p,); those >= m are padding."""
        first = self.chunk_start[groups] + self.within[groups]
        return np.asarray(first[:, None] + self.stride[groups][:, None] * np.arange(self.size))


class Space:
    """Memory for the products of up to `rows` rows with m texts, reused for every tile."""

    def __init__(self, rows: int, m: int, group: int) -> None:
        self._m, self._group = m, group
        self._products = np.empty(rows * chunk_bounds(m, m)[-1], np.int32)

    def tile(self, n: int, dtype: ProductType, chunk: int) -> Tile:
        """Return an empty tile of n rows, in chunks of `chunk` texts. Overwrites the one before."""
        groups = TextGroups(self._m, self._group, chunk)
        products = self._products[: n * groups.bounds[-1]].view(dtype)
        return Tile(n, products, np.empty((n, groups.count), dtype), groups)


@dataclass
class Tile:
    """Products of n rows with every text: a screen fills the chunks and calls `reduce` after each."""

    n: int
    flat: Products
    maxima: Products  # (n, groups)
    groups: TextGroups

    @cached_property
    def chunks(self) -> list[Products]:
        """One (n, width) array per chunk."""
        bounds = pairwise(self.groups.bounds)
        return [self.flat[self.n * a : self.n * b].reshape(self.n, b - a) for a, b in bounds]

    def reduce(self, c: int) -> None:
        """Fill the maxima of chunk c."""
        products, groups = self.chunks[c], self.groups
        if c == len(self.chunks) - 1:
            lowest = np.iinfo(np.int32).min if products.dtype == np.int32 else -np.inf
            products[:, groups.m - groups.bounds[c] :] = lowest  # of the padding
        start = groups.ends[c - 1] if c else 0
        runs = products.reshape(self.n, groups.size, -1)
        np.maximum.reduce(runs, axis=1, out=self.maxima[:, start : groups.ends[c]])

    def best_texts(self, k: int) -> Integers:
        """(n, k) k different texts of high product: the best one of each of the k best groups."""
        maxima = self.maxima
        groups = maxima.argmax(axis=1) if k == 1 else np.argpartition(maxima, -k, axis=1)[:, -k:]
        row = np.repeat(np.arange(self.n), k)
        texts, products = self._members(row, groups.ravel())
        best = products.argmax(axis=1)
        return np.asarray(texts[np.arange(len(row)), best].reshape(self.n, k))

    def candidates(self, thresholds: Float64, limit: int | None) -> Pairs | None:
        """Pairs with product >= thresholds (n,) of their row; None if more than `limit` groups hold some."""
        found = np.flatnonzero(self.maxima >= thresholds[:, None])
        if limit is not None and len(found) > limit:
            return None
        row, group = np.divmod(found, self.groups.count)
        texts, products = self._members(row, group)
        hit = (products >= thresholds[row][:, None]) & (texts < self.groups.m)
        return Pairs(np.repeat(row, hit.sum(axis=1)), texts[hit], products[hit])

    def _members(self, row: Integers, group: Integers) -> tuple[Integers, Products]:
        """Texts and products (p, size) of groups (p,) in rows (p,)."""
        groups = self.groups
        texts = groups.texts(group)
        start = groups.chunk_start[group]
        offset = self.n * start + row * groups.chunk_width[group] - start
        return texts, self.flat[offset[:, None] + texts]
