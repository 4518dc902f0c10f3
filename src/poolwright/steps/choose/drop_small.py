"""drop_small: drop the groups with few rows."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from poolwright.core.params import Columns, Count, Share, exact, exactly_one
from poolwright.core.step import Reason
from poolwright.kernels.selection.by_group.comparison import AmongGroups
from poolwright.kernels.selection.group_counts import Counted
from poolwright.steps.choose.keeping import KeepingStep
from poolwright.steps.choose.reasons import NO_GROUP


class DropSmall(KeepingStep):
    """Drop the groups whose share of the rows is less than `below`, or that have fewer than `count` rows.

    The share is of all live rows, including those without a group. It is compared exactly: 4% of 25 rows is one row.
    """

    verb: ClassVar[str] = "drop_small"
    example: ClassVar[str] = "drop_small: {group: continent, below: 4%}"
    reasons: ClassVar[tuple[Reason, ...]] = (NO_GROUP, Reason("small_group", "its group is too small"))

    group: Columns = Field(description="column or columns whose values make a group")
    below: Share | None = Field(default=None, description="share of the rows a group must reach, such as 4%")
    count: Count | None = Field(default=None, description="rows a group must reach")

    @model_validator(mode="after")
    def _one_limit(self) -> DropSmall:
        exactly_one(self, "below", "count")
        return self

    def drops(self, counted: Counted, among: AmongGroups) -> np.ndarray:
        if self.count is not None:
            return np.where(counted.counts < self.count, 2, 0)
        least = exact(self.below or 0.0) * counted.total
        return np.array([2 if int(count) < least else 0 for count in counted.counts], dtype=np.uint8)
