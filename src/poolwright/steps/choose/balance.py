"""balance: groups of equal size, or in given proportions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, Field, model_validator

from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.params import Columns, Count, Weight, exact
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Outcome, Reason
from poolwright.core.wording import some
from poolwright.kernels.selection.apportion import apportion, largest_total
from poolwright.kernels.selection.groups import Groups, groups_of
from poolwright.kernels.selection.many_groups import GROUPS
from poolwright.steps.choose.reasons import NO_GROUP
from poolwright.steps.choose.sampling import NOT_DRAWN, SamplingStep


def _text_keys(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {str(key).lower() if isinstance(key, bool) else str(key): weight for key, weight in value.items()}


class Balance(SamplingStep):
    """Make groups equal in size, or bring them into given proportions, by drawing rows of the larger ones.

    - by default every group is cut to the size of the smallest;
    - with `n`, every group is cut to n rows (a smaller one stays whole);
    - with `proportions`, the rows of the listed groups are the most there can be in these proportions,
      rounded by largest remainders; other groups are dropped. `total` limits the sum.
    """

    verb: ClassVar[str] = "balance"
    example: ClassVar[str] = "balance: {group: continent, proportions: {Europe: 1, Asia: 1, Africa: 1}}"
    reasons: ClassVar[tuple[Reason, ...]] = (
        NO_GROUP,
        NOT_DRAWN,
        Reason("not_listed", "its group has no share in the proportions"),
    )

    group: Columns = Field(description="column or columns whose values make a group")
    n: Count | None = Field(default=None, description="rows of every group; default: those of the smallest")
    proportions: Annotated[dict[str, Weight], BeforeValidator(_text_keys)] | None = Field(
        default=None, description="weights by value of the group column, such as {indoor: 7, outdoor: 3}"
    )
    total: Count | None = Field(default=None, description="rows of all groups together, at most; with proportions")

    @model_validator(mode="after")
    def _fitting(self) -> Balance:
        if self.proportions is None:
            if self.total is not None:
                raise ValueError("total goes with proportions; without them give n, the rows of every group")
            return self
        if self.n is not None:
            raise ValueError("takes n or proportions, not both")
        if len(self.group) != 1:
            raise ValueError("proportions are over the values of one column")
        if not any(self.proportions.values()):
            raise ValueError("proportions need a weight above 0")
        return self

    def by(self) -> tuple[str, ...]:
        return self.group

    @property
    def alone(self) -> bool:
        return self.n is not None

    def wanted(self, groups: Groups, counts: np.ndarray, key: int) -> np.ndarray:
        if self.proportions is not None:
            return self._in_proportion(groups, counts)
        smallest = int(counts.min()) if len(counts) else 0
        return np.full(len(counts), smallest if self.n is None else self.n)

    def _in_proportion(self, groups: Groups, counts: np.ndarray) -> np.ndarray:
        shares = self.proportions or {}
        names = groups.values[0].cast(pa.string()).to_pylist()
        missing = [name for name, weight in shares.items() if weight and name not in names]
        if missing and names:
            known = did_you_mean(missing[0], names) if len(names) < 50 else ""
            raise StepError(
                f"balance: no row has {self.group[0]} = {some(missing)}, so no rows are in these proportions; {known}"
            )
        weights = [exact(shares.get(name, 0.0)) for name in names]
        total = largest_total(counts.tolist(), weights)
        total = total if self.total is None else min(total, self.total)
        return np.array(apportion(total, weights), dtype=np.int64)

    def apply(self, rows: Rows, state: State) -> Outcome:
        outcome = super().apply(rows, state)
        if self.proportions is None or outcome.drop is None:
            return outcome
        listed = np.array([bool(self.proportions.get(name)) for name in self._names(state)] + [False])
        ids = groups_of(state.tables[GROUPS]).ids(rows)
        return Outcome(drop=np.where((outcome.drop != 1) & ~listed[ids], 3, outcome.drop).astype(np.uint8))

    def _names(self, state: State) -> list[str]:
        names: list[str] = groups_of(state.tables[GROUPS]).values[0].cast(pa.string()).to_pylist()
        return names
