"""Find all pairs of rows with a high cosine: exactly, and without most of the products.

A unit vector x has a part p in a subspace, and a rest q. Two of them have the cosine p.p' + q.q', which is at most
p.p' + |q| |q'| by Cauchy and Schwarz: the product of (p, |q|) and (p', |q'|), their *codes*, of k + 1 numbers instead
of d. Embeddings vary in few directions, so that most pairs are ruled out by the codes of the directions in which some
of the rows vary most. All pairs are multiplied in very few directions, those that pass in some more, both as many as a
trial on other rows finds to be cheapest. The remaining pairs are compared in float32, and those that pass in float64,
which decides.

The bound, with rounding: let eta = sqrt(k) e, e = `float32_error(d)`. Rows of unit length and an orthonormal basis,
both rounded to float32, give a p~ in float32 that is within eta of p, so |q|^2 = 1 - |p|^2 <= 1 - |p~|^2 + 3 eta; a
fourth eta covers the arithmetic. p.p' <= p~.p~' + 3 eta, and the product of two codes in float32 is off by at most
2 eta more. Any basis is right; a good one is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.kernels.similarity.cosine import float32_error
from poolwright.kernels.similarity.unit_length import has_direction, unit_rows

Floating = npt.NDArray[np.floating[Any]]
Float32 = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Pairs = tuple[Integers, Integers, npt.NDArray[np.float64]]

ROUNDING = 1e-9
"""A cosine counts as one if it is short of it by no more than this."""

_ROWS = 8_192
"""Rows of each side that are held in float32 at once."""

_TILE = (256, 1_024)
"""Products at once: they stay in cache."""

_LEARN_FROM, _TRY_ON = 1_024, 256
_SIZES = (8, 16, 24, 32, 40, 48, 64, 96, 128, 192)
_ANY, _PICKED, _CODE, _VECTOR = 6.0, 1_500.0, 20.0, 60.0
"""Measured costs, relative to one product of two numbers in a tile: of any pair; of a candidate, for each number of its
finer codes, and for each of its vectors, which are widened to float32 for it."""

_BLOCK = 1_024
"""Candidates that are multiplied at once."""

_SMALL = 5_000_000
"""Pairs that are compared in less time than it takes to learn a basis."""

_DENSE = 0.02
"""Part of a tile from which on its float32 products cost less than those of its candidates."""


def pairs_above(left: Floating, right: Floating | None, least: float) -> Pairs:
    """Return all pairs of rows whose cosine is `least` or more.

    Decided in float64, so that the pairs depend on the two rows alone. Rows that are zero or hold NaN or infinity have
    no pairs. Takes 60 MB for 512 dimensions, besides the arguments and the result; see `scan_pairs` for many pairs.

    Args:
        left: (n, d), of any float type and length.
        right: (m, d); None for the pairs within `left`, each once.
        least: above 0.

    Returns:
        int64 i and j and float64 cosine, (p,) each: row i of `left` and j of `right`, in order of i, then j; within
        `left`, i is above j.
    """
    parts = list(scan_pairs(left, right, least))
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    i, j, cosine = (np.concatenate(some) for some in zip(*parts, strict=True))
    order = np.lexsort((j, i))
    return i[order], j[order], cosine[order]


def scan_pairs(left: Floating, right: Floating | None, least: float, screen: Screen | None = None) -> Iterator[Pairs]:
    """Yield the pairs of `pairs_above` a few at a time, in any order.

    With a screen, it holds the codes of `left`, a few hundred bytes for each row.

    Args:
        left: as `pairs_above`.
        right: as `pairs_above`.
        least: as `pairs_above`.
        screen: of `learn_screen`; by default it is learned from the rows if they are many.
    """
    ours = _Side.of(left)
    others = ours if right is None else _Side.of(right)
    screen = screen or _learn(ours, others, least)
    held: dict[int, _Chunk] = {}  # codes are short; without a screen they are whole vectors, which are made again
    for start in range(0, len(others.rows), _ROWS):
        chunk = held.get(start) if right is None else None
        chunk = chunk or others.chunk(start, screen)
        for at in range(start if right is None else 0, len(ours.rows), _ROWS):
            mine = chunk if right is None and at == start else held.get(at) or ours.chunk(at, screen)
            if screen is not None:
                held[at] = mine
            yield from _compare(mine, chunk, least, screen, within=mine is chunk)


@dataclass(frozen=True)
class _Side:
    """The rows of one side, of which `rows` have a direction."""

    vectors: Floating
    rows: Integers

    @classmethod
    def of(cls, vectors: Floating) -> _Side:
        return cls(vectors, np.flatnonzero(has_direction(vectors)))

    def some(self, count: int, other: bool) -> Float32:
        """Return up to `count` rows, evenly spread, at unit length; `other` ones than without it."""
        picked = np.linspace(0, len(self.rows), min(count, len(self.rows)), endpoint=False).astype(np.int64)
        if other:
            picked = (picked + len(self.rows) // (2 * count)) % max(len(self.rows), 1)
        return unit_rows(self.vectors[self.rows[picked]])

    def chunk(self, start: int, screen: Screen | None) -> _Chunk:
        rows = self.rows[start : start + _ROWS]
        unit = unit_rows(self.vectors[rows])
        return _Chunk(self.vectors, rows, *((unit, unit) if screen is None else screen.both(unit)))


@dataclass(frozen=True)
class _Chunk:
    vectors: Floating
    rows: Integers
    codes: Float32  # (n, k + 1)
    finer: Float32  # (n, m + 1)

    def unit(self, at: Integers | slice) -> Float32:
        """Return some of the rows at unit length (m, d)."""
        if isinstance(at, slice):
            return unit_rows(self.vectors[self.rows[at]])
        few, again = np.unique(at, return_inverse=True)
        return unit_rows(self.vectors[self.rows[few]])[again]

    def some_finer(self, at: Integers) -> Float32:
        """Return some of the finer codes (p, m + 1)."""
        return self.finer.take(at, axis=0, mode="clip")  # which is faster, as no index is checked


@dataclass(frozen=True)
class Screen:
    """A subspace, and the error of products in it.

    Attributes:
        basis: (d, k) float32, orthonormal but for rounding.
        finer: a screen whose m directions begin with these k, for the pairs that pass; None for none.
    """

    basis: Float32
    finer: Screen | None = None

    @property
    def error(self) -> float:
        """The eta of this module."""
        d, k = self.basis.shape
        return float(k**0.5 * float32_error(d))

    @property
    def slack(self) -> float:
        """What the cosine of two rows can exceed the product of their codes by."""
        return 6 * self.error

    def codes(self, unit: Float32) -> Float32:
        """Return the codes (n, k + 1) of rows of unit length (n, d)."""
        return self.with_rest(unit @ self.basis)

    def both(self, unit: Float32) -> tuple[Float32, Float32]:
        """Return the codes of rows of unit length (n, d), and those of the finer screen, or these again."""
        if self.finer is None:
            return (codes := self.codes(unit)), codes
        projected = unit @ self.finer.basis
        return self.with_rest(projected[:, : self.basis.shape[1]]), self.finer.with_rest(projected)

    def with_rest(self, projected: Float32) -> Float32:
        """Return the codes (n, k + 1) of rows of unit length from their products with the basis (n, k)."""
        codes = np.empty((len(projected), self.basis.shape[1] + 1), np.float32)
        codes[:, :-1] = projected
        inside = np.einsum("ij,ij->i", projected, projected)
        codes[:, -1] = np.sqrt(np.maximum(1 - inside, 0) + np.float32(4 * self.error))
        return codes


def learn_screen(rows: Float32, trials: Sequence[tuple[Float32, Float32]], least: float) -> Screen | None:
    """Return the subspace of the main directions of `rows` that makes comparing rows as those of the trials cheapest.

    Args:
        rows: (n, d) of unit length, a few thousand.
        trials: rows (a, d) and (b, d) of unit length that are compared with each other, preferably not among `rows`.
        least: as `pairs_above`.

    Returns:
        None if comparing all pairs in float32 is cheaper.
    """
    basis = main_directions(rows, _SIZES[-1]).astype(np.float32)
    projected = [(left @ basis, right @ basis, (left @ right.T) < 0.999) for left, right in trials]
    compared = max(sum(other.size for _, _, other in projected), 1)
    exactly = _PICKED + _VECTOR * rows.shape[1]
    screens: list[tuple[Screen, float]] = []
    for k in _SIZES:
        if k >= min(rows.shape) // 2:
            break
        screen = Screen(np.ascontiguousarray(basis[:, :k]))
        bound, passed = np.float32(least - screen.slack), 0
        for left, right, other in projected:  # the same row on both sides says nothing about two of them
            reached = screen.with_rest(left[:, :k]) @ screen.with_rest(right[:, :k]).T >= bound
            passed += int(np.count_nonzero(reached & other))
        screens.append((screen, passed / compared))
    best, cheapest = None, _ANY + rows.shape[1]
    for at, (screen, passes) in enumerate(screens):
        for finer, left_over in [(None, passes), *screens[at + 1 :]]:
            picked = 0.0 if finer is None else passes * (_PICKED + _CODE * finer.basis.shape[1])
            cost = _ANY + screen.basis.shape[1] + picked + left_over * exactly
            if cost < cheapest:
                best, cheapest = Screen(screen.basis, finer), cost
    return best


def main_directions(rows: Float32, count: int) -> npt.NDArray[np.float64]:
    """Orthonormal (d, k <= count) of the directions of most length, by subspace iteration (Halko et al. 2011).

    Args:
        rows: (n, d).
        count: most directions.
    """
    directions: npt.NDArray[Any] = rows[:count].T
    for _ in range(3):
        directions, _ = np.linalg.qr(directions)
        directions = rows.T @ (rows @ directions)
    basis, _ = np.linalg.qr(directions.astype(np.float64))
    _, _, turn = np.linalg.svd(rows @ basis.astype(np.float32), full_matrices=False)
    return np.asarray(np.linalg.qr(basis @ turn.T.astype(np.float64))[0])


def _learn(left: _Side, right: _Side, least: float) -> Screen | None:
    if len(left.rows) * len(right.rows) <= _SMALL or left.vectors.shape[1] <= _SIZES[0]:
        return None
    rows = np.concatenate([left.some(_LEARN_FROM, False), right.some(_LEARN_FROM, True)])
    return learn_screen(rows, [(left.some(_TRY_ON, True), right.some(_TRY_ON, False))], least)


def _compare(left: _Chunk, right: _Chunk, least: float, screen: Screen | None, within: bool) -> Iterator[Pairs]:
    """Yield the pairs of two chunks, some columns of tiles at a time; of tiles with many pairs, tile by tile."""
    margin = left.vectors.shape[1] * float(np.finfo(np.float32).eps) + 1e-6  # error of a sum of this many products
    bound = np.float32(least - (margin if screen is None else screen.slack + 1e-6))
    whole = np.float32(least - margin)
    height, width = _TILE
    for start in range(0, len(right.rows), width):
        columns = np.ascontiguousarray(right.codes[start : start + width].T)
        waiting: list[tuple[Integers, Integers]] = []
        theirs: Float32 | None = None
        for at in range(start // height * height if within else 0, len(left.rows), height):
            found = np.flatnonzero(left.codes[at : at + height] @ columns >= bound)
            dense = screen is not None and len(found) > _DENSE * height * width
            if dense:
                theirs = right.unit(slice(start, start + width)).T if theirs is None else theirs
                found = np.flatnonzero(left.unit(slice(at, at + height)) @ theirs >= whole)
            if not len(found):
                continue
            i, j = np.divmod(found, columns.shape[1])
            i, j = i + at, j + start
            if within:
                i, j = i[i > j], j[i > j]
            if screen is None or dense:
                yield _decided(left, right, i, j, least)
            elif screen.finer is None:
                waiting.append((i, j))
            else:
                bounds = _products(left.some_finer, right.some_finer, i, j)
                close = np.flatnonzero(bounds >= np.float32(least - screen.finer.slack - 1e-6))
                waiting.append((i[close], j[close]))
        if waiting:
            i, j = (np.concatenate(some) for some in zip(*waiting, strict=True))
            close = np.flatnonzero(_products(left.unit, right.unit, i, j) >= whole)
            yield _decided(left, right, i[close], j[close], least)


def _decided(left: _Chunk, right: _Chunk, i: Integers, j: Integers, least: float) -> Pairs:
    one, other = left.rows[i], right.rows[j]
    cosine = cosines(left.vectors, right.vectors, one, other)
    sure = cosine >= least - ROUNDING
    return one[sure], other[sure], cosine[sure]


def _products(left: Callable[..., Float32], right: Callable[..., Float32], i: Integers, j: Integers) -> Float32:
    """Return the products of the vectors that two functions give for some indices: float32 (n,)."""
    blocks = [slice(at, at + _BLOCK) for at in range(0, len(i), _BLOCK)]
    return np.concatenate([np.empty(0, np.float32), *(np.vecdot(left(i[at]), right(j[at])) for at in blocks)])


def cosines(left: Floating, right: Floating, i: Integers, j: Integers) -> npt.NDArray[np.float64]:
    """Cosines of left[i[p]] and right[j[p]] in float64, at most 1; the same bits in whichever order and company."""
    found = np.empty(len(i))
    for at in range(0, len(i), _TILE[0] * _TILE[1]):
        block = slice(at, at + _TILE[0] * _TILE[1])
        (ours, mine), (others, theirs) = (np.unique(some[block], return_inverse=True) for some in (i, j))
        one, other = unit_rows(left[ours], np.float64), unit_rows(right[others], np.float64)
        for start in range(0, len(mine), 256):
            few = slice(start, start + 256)
            found[block][few] = np.multiply(one[mine[few]], other[theirs[few]]).sum(axis=1)
    return np.minimum(found, 1.0)
