"""cap: at most n rows of each group."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from poolwright.choose.sampling import SamplingStep
from poolwright.core.params import Columns, Count
from poolwright.kernels.groups import Groups


class Cap(SamplingStep):
    """Keep at most `n` rows of each group, drawn by the hash of (seed, step, uid)."""

    verb: ClassVar[str] = "cap"

    group: Columns = Field(description="column or columns whose values make a group")
    n: Count = Field(description="rows of a group that are kept at most")

    def by(self) -> tuple[str, ...]:
        return self.group

    def wanted(self, groups: Groups, counts: np.ndarray) -> np.ndarray:
        return np.full(len(counts), self.n)
