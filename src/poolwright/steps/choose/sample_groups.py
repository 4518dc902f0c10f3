"""sample_groups: n groups at random."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from poolwright.core.params import Columns, Count
from poolwright.core.step import Reason
from poolwright.kernels.selection.group_counts import Counted
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

    def drops(self, counted: Counted, key: int) -> np.ndarray:
        drop = np.full(len(counted.counts), 2)
        drop[np.argsort(hash64(counted.groups.tokens(), key), kind="stable")[: self.n]] = 0
        return drop
