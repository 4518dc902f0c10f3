"""Find the rows of different parts of a dataset whose vectors are near each other, in bounded memory and time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.kernels.similarity.pairs import pairs_above
from poolwright.release.leaks.tally import LeakTally

MOST_PRODUCTS = 5_000_000_000_000
"""Products of two numbers for all pairs of rows: 10 billion pairs at 512 dimensions. Of more, a sample is compared."""
_BLOCK = 32_768

Integers = npt.NDArray[np.int64]


def add_near_rows(tally: LeakTally, how: str, batches: Iterable[tuple[pa.Array, np.ndarray]], above: float) -> None:
    """Add the pairs of rows of different parts whose vectors have a cosine of `above` or more to a tally.

    Args:
        tally: has the parts of the rows.
        how: column of the vectors.
        batches: names of rows, and their vectors (n, d).
    """
    file = tally.folder / "vectors"
    count, width, dtype = 0, 0, np.dtype(np.float16)
    with file.open("wb") as out:
        for names, vectors in batches:
            tally.add_numbers(names, count)
            vectors.tofile(out)
            count, width, dtype = count + len(vectors), vectors.shape[1], vectors.dtype
    if not count:
        return
    rows, cell, ranks = tally.numbered()
    sizes = np.bincount(cell)
    pairs = len(rows) ** 2 - (0 if tally.within else int((sizes.astype(np.int64) ** 2).sum()))
    share = MOST_PRODUCTS / max(pairs // 2 * width, 1)
    drawn = np.flatnonzero(ranks < share * 2.0**64) if share < 1 else None
    if drawn is not None:
        tally.draw(how, rows[drawn])
    vectors = np.memmap(file, dtype, "r", shape=(count, width))
    for left, right in _blocks(cell, drawn, tally.within):
        i, j, _ = pairs_above(vectors[rows[left]], vectors[rows[right]], above)
        i, j = left[i], right[j]
        wanted = cell[i] != cell[j]
        if tally.within:
            wanted |= i < j if drawn is None else i != j
        tally.add_near(how, rows[i[wanted]], rows[j[wanted]])
    file.unlink()


def _blocks(cell: Integers, drawn: Integers | None, within: bool) -> Iterator[tuple[Integers, Integers]]:
    """Yield the blocks of rows to compare, all or those drawn with all, but not two of one cell, unless `within`.

    Args:
        cell: int64 (n,), ascending: rows of one cell are in the same part of every division.
    """
    every = np.arange(len(cell))
    edges = [*range(0, len(cell), _BLOCK), len(cell)]
    blocks = [every[first:last] for first, last in pairwise(edges)]
    lefts = blocks if drawn is None else [drawn[at : at + _BLOCK] for at in range(0, len(drawn), _BLOCK)]
    for number, left in enumerate(lefts):
        for right in blocks if drawn is not None else blocks[number:]:
            same = cell[left[0]] == cell[left[-1]] == cell[right[0]] == cell[right[-1]]
            if within or not same:
                yield left, right
