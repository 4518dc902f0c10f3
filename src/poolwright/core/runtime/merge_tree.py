"""Merges summaries of many units in a binary tree whose shape depends on their number alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Pair:
    """Two neighbours that can be merged now, and the node that their merged summary becomes.

    Attributes:
        level, index: of the node; leaves are on level 0.
        left, right: the two summaries, in the order of the units.
    """

    level: int
    index: int
    left: Any
    right: Any


class MergeTree:
    """Pairs up summaries as they come, from any thread.

    Node `index` of a level is the merge of nodes `2 index` and `2 index + 1` of the level below; the last node of a
    level moves up unmerged if it has no neighbour. The result is therefore the same, to the last bit of a
    floating-point sum, whatever the order in which units finish.

    Args:
        leaves: number of units, at least 1.
    """

    def __init__(self, leaves: int) -> None:
        self._leaves = leaves
        self._waiting: dict[tuple[int, int], Any] = {}
        self._lock = threading.Lock()
        self.root: Any = None

    def add(self, level: int, index: int, summary: Any) -> Pair | None:
        """Put a summary at its node.

        Returns:
            The pair that it completes; the caller merges it and adds the result. None if the neighbour is still
            missing, or if this is the root.
        """
        while (width := -(-self._leaves // (1 << level))) > 1:
            if index % 2 or index + 1 < width:
                return self._pair(level, index, summary)
            level, index = level + 1, index // 2
        self.root = summary
        return None

    def _pair(self, level: int, index: int, summary: Any) -> Pair | None:
        neighbour = index ^ 1
        with self._lock:
            if (level, neighbour) not in self._waiting:
                self._waiting[level, index] = summary
                return None
            other = self._waiting.pop((level, neighbour))
        left, right = (other, summary) if index % 2 else (summary, other)
        return Pair(level + 1, index // 2, left, right)

    def merge_in(self, index: int, summary: Any, merge: Callable[[Any, Any], Any]) -> None:
        """Add the summary of a unit, and merge upwards as far as neighbours have been added."""
        pair = self.add(0, index, summary)
        while pair is not None:
            pair = self.add(pair.level, pair.index, merge(pair.left, pair.right))


def merge_all(summaries: Sequence[T], merge: Callable[[T, T], T]) -> T:
    """Merge the summaries of all units, at least one, as an engine merges them."""
    tree = MergeTree(len(summaries))
    for index, summary in enumerate(summaries):
        tree.merge_in(index, summary, merge)
    root: T = tree.root
    return root
