"""Shortlists: the best rows of every class, whatever comes when, and however much is held at once."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.similarity import candidates as shortlists
from poolwright.kernels.similarity.candidates import Shortlist

CLASSES, ROWS = 3, 700


def expected(scores: np.ndarray, ranks: np.ndarray, size: int) -> list[set[tuple[float, int]]]:
    """(score, rank) of the best rows of each class."""
    orders = [np.lexsort((ranks, -one))[:size] for one in scores]
    return [{(float(one[row]), int(ranks[row])) for row in order} for one, order in zip(scores, orders, strict=True)]


def listed(shortlist: Shortlist, low: bool = False) -> list[set[tuple[float, int]]]:
    (found,), (ranks,) = shortlist.low if low else shortlist.high, shortlist.ranks
    return [
        {(float(score), int(ranks[row])) for score, row in zip(*pair, strict=True)}
        for pair in zip(found.scores, found.rows, strict=True)
    ]


@pytest.mark.parametrize("levels", [7, 10_000])
@pytest.mark.parametrize("size", [1, 20, ROWS])
@pytest.mark.parametrize("fewest", [0, 8192])
def test_any_cut_and_order_lists_the_same(levels: int, size: int, fewest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortlists, "_FEWEST", fewest)
    draw = np.random.default_rng(levels + size)
    scores = (draw.integers(0, levels, (CLASSES, ROWS)) / levels).astype(np.float32)
    ranks = draw.permutation(ROWS).astype(np.int64)
    order = draw.permutation(ROWS)
    units = []
    for part in np.array_split(order, 6):
        unit = Shortlist(size, worst=True)
        for batch in np.array_split(part, 4):
            unit.add(scores[:, batch], ranks[batch])
        units.append(unit)
    merged = units[3]
    for unit in (units[0], units[5], units[1], units[2], units[4]):
        merged.merge(unit)
    merged.settle()
    assert merged.seen == ROWS
    assert listed(merged) == expected(scores, ranks, size)
    assert listed(merged, low=True) == expected(-scores, ranks, size)
    assert len(merged.ranks[0]) <= min(ROWS, 2 * CLASSES * size), "rows on no list are let go"
