"""largest: the n largest groups."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from poolwright.core.params import Columns, Count
from poolwright.core.runtime.spread import Integers
from poolwright.core.step import Reason
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison, GroupValues
from poolwright.kernels.selection.group_counts import Counted
from poolwright.steps.choose.keeping import KeepingStep
from poolwright.steps.choose.reasons import NO_GROUP


class Largest(KeepingStep):
    """Keep the `n` groups with the most rows, and of those only the ones with `at_least` rows.

    Of groups of equal size the one whose name sorts first (by UTF-8 bytes) is the larger.
    """

    verb: ClassVar[str] = "largest"
    example: ClassVar[str] = "largest: {group: label, n: 350, at_least: 450}"
    reasons: ClassVar[tuple[Reason, ...]] = (
        NO_GROUP,
        Reason("not_largest", "its group is not among the largest"),
        Reason("small_group", "its group is too small"),
    )

    group: Columns = Field(description="column or columns whose values make a group")
    n: Count = Field(description="groups to keep")
    at_least: Count = Field(default=0, description="rows a group must have")

    def comparison(self, key: int) -> GroupComparison:
        return GroupComparison(_largest_first)

    def drops(self, counted: Counted, among: AmongGroups) -> np.ndarray:
        return np.where(counted.counts < self.at_least, 3, np.where(among.place < self.n, 0, 2))


def _largest_first(groups: GroupValues, counts: Integers, known: None) -> tuple[Integers]:
    return (-counts,)
