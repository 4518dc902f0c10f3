"""sample_groups: n groups at random."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import numpy as np
from pydantic import Field

from poolwright.core.params import Columns, Count
from poolwright.core.runtime.spread import Integers
from poolwright.core.step import Reason
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison, GroupValues
from poolwright.kernels.selection.group_counts import Counted
from poolwright.kernels.selection.groups import tokens_of
from poolwright.kernels.selection.hashing import hash64
from poolwright.steps.choose.keeping import KeepingStep
from poolwright.steps.choose.reasons import NO_GROUP


class SampleGroups(KeepingStep):
    """Keep `n` whole groups, drawn by the hash of (seed, step, group), whatever their sizes."""

    verb: ClassVar[str] = "sample_groups"
    example: ClassVar[str] = "sample_groups: {group: label, n: 45}"
    reasons: ClassVar[tuple[Reason, ...]] = (NO_GROUP, Reason("group_not_drawn", "its group was not drawn"))

    group: Columns = Field(description="column or columns whose values make a group")
    n: Count = Field(description="groups to keep")

    def comparison(self, key: int) -> GroupComparison:
        return GroupComparison(partial(_by_hash, key))

    def drops(self, counted: Counted, among: AmongGroups) -> np.ndarray:
        return np.where(among.place < self.n, 0, 2)


def _by_hash(key: int, groups: GroupValues, counts: Integers, known: None) -> tuple[np.ndarray]:
    return (hash64(tokens_of(groups), key),)
