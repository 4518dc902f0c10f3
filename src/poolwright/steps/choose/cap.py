"""cap: at most n rows of each group."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from poolwright.core.frame import Context
from poolwright.core.params import Columns, Count
from poolwright.kernels.selection.by_group.comparison import AmongGroups
from poolwright.kernels.selection.groups import Groups
from poolwright.kernels.selection.hashing import hash_key
from poolwright.steps.choose.sampling import SamplingStep


class Cap(SamplingStep):
    """Keep at most `n` rows of each group, drawn by the hash of (seed, group columns, uid).

    Tables of one run that cap the same groups keep the same rows, so a subset of the classes is a subset
    of the rows, and a lower cap keeps a part of what a higher one keeps. With `redraw` a table draws for itself.
    """

    verb: ClassVar[str] = "cap"
    example: ClassVar[str] = "cap: {group: label, n: 2000}"

    group: Columns = Field(description="column or columns whose values make a group")
    n: Count = Field(description="rows of a group that are kept at most")
    redraw: bool = Field(default=False, description="draw other rows than the caps of other tables do")

    def by(self) -> tuple[str, ...]:
        return self.group

    def key(self, context: Context) -> int:
        return context.key if self.redraw else hash_key(context.shared_key, *self.group)

    def wanted(self, groups: Groups, counts: np.ndarray, key: int, among: AmongGroups) -> np.ndarray:
        return np.full(len(counts), self.n)
