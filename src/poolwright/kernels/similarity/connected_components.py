"""Find the connected components of links between rows, in memory that does not grow with the links."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

PENDING = 4_000_000
"""Links that are held before they are merged into the groups, 16 bytes each."""


class Links:
    """Groups of `count` rows by links between them, which may be added in any order."""

    def __init__(self, count: int) -> None:
        self._first = np.arange(count)
        self._left: list[Integers] = []
        self._right: list[Integers] = []
        self._pending = 0

    def add(self, left: Integers, right: Integers) -> None:
        """Link row `left[i]` with row `right[i]`."""
        self._left.append(left)
        self._right.append(right)
        self._pending += len(left)
        if self._pending > max(PENDING, len(self._first)):
            self._work_in()

    def chain(self, group: Integers) -> None:
        """Link all rows with the same number; rows with a number below 0 are not linked."""
        order = np.argsort(group, kind="stable")
        ordered = group[order]
        same = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
        self.add(order[:-1][same], order[1:][same])

    def first(self) -> Integers:
        """Return the first row of each row's group: int64 (count,)."""
        self._work_in()
        return self._first

    def _work_in(self) -> None:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        if not self._pending:
            return
        count = len(self._first)
        # The groups so far are one link per row.
        left = np.concatenate([*self._left, np.arange(count)])
        right = np.concatenate([*self._right, self._first])
        graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(count, count))
        _, found = connected_components(graph, directed=False)
        self._first = np.asarray(np.unique(found, return_index=True)[1][found], np.int64)
        self._left, self._right, self._pending = [], [], 0
