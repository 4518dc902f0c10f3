"""sample: n rows, or a share of them."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field, model_validator

from poolwright.core.params import Columns, Count, Share, exactly_one, share_of
from poolwright.kernels.selection.groups import Groups
from poolwright.steps.choose.sampling import SamplingStep


class Sample(SamplingStep):
    """Keep exactly `n` rows, or the share `fraction` rounded half up; with `group`, of each group.

    Rows are drawn by the hash of (seed, step, uid): a larger n keeps all rows that a smaller one keeps.
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

    def wanted(self, groups: Groups, counts: np.ndarray) -> np.ndarray:
        if self.n is not None:
            return np.full(len(counts), self.n)
        return np.array([share_of(self.fraction or 0.0, int(count)) for count in counts], dtype=np.int64)
