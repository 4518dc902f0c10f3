"""Keep of many links between rows those that decide which rows are linked at any threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]
Edges = tuple[Integers, Integers, Float64]

PENDING = 2_000_000
"""Links that are held before all but those of the forest are given up, 24 bytes each."""


class SpanningForest:
    """A spanning forest of most weight of links that come a few at a time, in memory that grows with the rows alone.

    Rows that some of the links of at least a weight connect are connected by such links of the forest as well, for
    every weight (Kruskal 1956). So the forest's links of at least that weight are as many as rows that go if one of
    each connected component stays.
    """

    def __init__(self) -> None:
        self._parts: list[Edges] = []
        self._pending = self._kept = 0

    def add(self, left: Integers, right: Integers, weight: Float64) -> None:
        """Add links between row `left[i]` and row `right[i]`, of a weight above -1."""
        if len(left):
            self._parts.append((left, right, weight))
            self._pending += len(left)
        if self._pending > max(PENDING, 2 * self._kept):
            self.edges()

    def edges(self) -> Edges:
        """Return the links of the forest: left, right, weight (e,) each, left above right."""
        if len(self._parts) != 1 or self._pending > self._kept:
            found = _forest(*(np.concatenate(some) for some in zip(*self._parts, strict=True))) if self._parts else None
            self._parts = [found or (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
            self._pending = self._kept = len(self._parts[0][0])
        return self._parts[0]


def _forest(left: Integers, right: Integers, weight: Float64) -> Edges:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    rows, place = np.unique(np.concatenate([left, right]), return_inverse=True)
    one, other = np.maximum(*place.reshape(2, -1)), np.minimum(*place.reshape(2, -1))
    # Each link once, with its highest weight: a sparse matrix adds up what stands twice.
    order = np.lexsort((-weight, one * len(rows) + other))
    number = (one * len(rows) + other)[order]
    order = order[np.append(True, number[1:] != number[:-1])]
    cost = 2 - weight[order]  # above 0, as a sparse matrix needs
    graph = coo_array((cost, (one[order], other[order])), shape=(len(rows), len(rows)))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    one, other = np.maximum(tree.row, tree.col), np.minimum(tree.row, tree.col)
    return rows[one], rows[other], np.asarray(2 - tree.data, np.float64)
