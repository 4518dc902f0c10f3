"""sample: n rows, or a share of them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from poolwright.core.params import Columns, Count, Share, exact, exactly_one
from poolwright.kernels.selection.controlled_rounding import share_by_group
from poolwright.kernels.selection.groups import Groups
from poolwright.steps.choose.sampling import SamplingStep


class Sample(SamplingStep):
    """Keep exactly `n` rows, or the share `fraction` rounded half up; with `group`, of each group.

    Rows are drawn by the hash of (seed, step, uid): a larger n keeps all rows that a smaller one keeps. A fraction of
    groups holds over all of them, too: what rounding leaves of one group is carried over to the next, in hash order, so
    each group and the total are within a row of it, and 10% of groups of 4 rows keeps one row of four groups in ten.
    """

    verb: ClassVar[str] = "sample"
    example: ClassVar[str] = "sample: {fraction: 10%, group: label}"
    shorthand: ClassVar[str | None] = "n"

    n: Count | None = Field(default=None, description="rows to keep")
    fraction: Share | None = Field(default=None, description="share of the rows to keep, such as 10%")
    group: Columns | None = Field(default=None, description="keep this many of each group")

    @model_validator(mode="after")
    def _one_amount(self) -> Sample:
        exactly_one(self, "n", "fraction")
        return self

    def by(self) -> tuple[str, ...]:
        return self.group or ()

    def wanted(self, groups: Groups, counts: np.ndarray, key: int) -> np.ndarray:
        if self.n is not None:
            return np.full(len(counts), self.n)
        return share_by_group(groups, counts, exact(self.fraction or 0.0), key)
