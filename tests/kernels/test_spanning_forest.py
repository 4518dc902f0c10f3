"""A spanning forest keeps, at any threshold, which rows are connected."""

from __future__ import annotations

import numpy as np
import pytest

from poolwright.kernels.clusters import spanning_forest
from poolwright.kernels.clusters.spanning_forest import SpanningForest
from poolwright.kernels.similarity.connected_components import Links


@pytest.mark.parametrize("held", [3, 1_000])
def test_groups_are_those_of_all_links(monkeypatch: pytest.MonkeyPatch, held: int) -> None:
    monkeypatch.setattr(spanning_forest, "PENDING", held)
    draw = np.random.default_rng(1)
    left, right = draw.integers(0, 40, (2, 200))
    left, right = left[left != right] * 10, right[left != right] * 10
    weight = np.round(0.5 + 0.5 * draw.random(len(left)), 1)  # with ties
    forest = SpanningForest()
    for start in range(0, len(left), 7):
        forest.add(left[start : start + 7], right[start : start + 7], weight[start : start + 7])
    one, other, kept = forest.edges()
    assert (one > other).all()
    for least in np.unique(weight):
        expected, found = Links(400), Links(400)
        expected.add(left[weight >= least], right[weight >= least])
        found.add(one[kept >= least - 1e-12], other[kept >= least - 1e-12])
        np.testing.assert_array_equal(expected.first(), found.first())
        groups = len(np.unique(expected.first()))
        assert int((kept >= least - 1e-12).sum()) == 400 - groups


def test_no_links_are_no_forest() -> None:
    assert [len(part) for part in SpanningForest().edges()] == [0, 0, 0]
