"""Test-GBL of MSCOCO-GLT: 20,000 objects of a class with attributes out of 196, of which 200 are chosen one by one.

The plain loop tries every object that is left at every step, as the rule is stated. In numbers of whole attributes, not
in floating-point deviations, so that the same objects must be chosen.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.kernels.statistics.even_counts import most_even

ROWS, ATTRIBUTES, CHOSEN, SEED = 20_000, 196, 200, 3


def run(work: Path) -> float:
    """Seconds of the plain loop over ours; at least 50 is wanted, with the same rows in the same order."""
    draw = np.random.default_rng(SEED)
    chance = 0.5 / np.arange(1, ATTRIBUTES + 1) ** 0.9
    has = draw.random((ROWS, ATTRIBUTES)) < chance
    has[np.arange(ROWS), draw.integers(0, ATTRIBUTES, ROWS)] = True
    begun = time.perf_counter()
    sets, of = np.unique(np.packbits(has, axis=1), axis=0, return_inverse=True)
    order = np.argsort(of.reshape(-1), kind="stable")  # rows are in the order of their ranks
    bits = np.unpackbits(sets, axis=1)[:, :ATTRIBUTES].astype(np.bool_)
    found = order[most_even(bits, of.reshape(-1)[order], order, CHOSEN)]
    ours = time.perf_counter() - begun
    begun = time.perf_counter()
    expected = plain(has.astype(np.int64), CHOSEN)
    theirs = time.perf_counter() - begun
    if found.tolist() != expected:
        raise SystemExit("even: other rows than those of the plain loop")
    print(f"  {len(sets):,} sets of attributes; plain loop {theirs:.1f} s, poolwright {ours:.3f} s, the same rows")
    return theirs / ours


def plain(has: npt.NDArray[np.int64], n: int) -> list[int]:
    """The rows that a loop over all rows chooses, the first of equal ones."""
    counts, left, chosen = np.zeros(has.shape[1], np.int64), list(range(len(has))), []
    for _ in range(n):
        best, above, below = -1, 1, 0
        for row in left:
            after = counts + has[row]
            squares, total = int(after @ after), int(after.sum())
            if squares * below < above * total**2 or best < 0:
                best, above, below = row, squares, total**2
        counts += has[best]
        left.remove(best)
        chosen.append(best)
    return chosen
