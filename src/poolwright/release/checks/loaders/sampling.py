"""Choose what is read of a release that is not read whole."""

from __future__ import annotations

SMALL = 64_000_000
"""Bytes of data files up to which a release is loaded whole."""
ROWS = 8
"""Rows that are read at each end of a split, or of a file."""


def ends(count: int) -> list[int]:
    """Return the numbers of the first and last rows of a split."""
    return sorted({*range(min(ROWS, count)), *range(max(0, count - ROWS), count)})


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` of the numbers below `count`, with the first and the last."""
    return sorted({round(at * (count - 1) / max(most - 1, 1)) for at in range(most)}) if count else []
