"""balance: groups of equal size, or in given proportions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.params import Columns, Count, Weight, exact
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Integers
from poolwright.core.state import State
from poolwright.core.step import Outcome, Reason
from poolwright.core.wording import some
from poolwright.kernels.selection.apportion import apportion, largest_total
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison, GroupValues
from poolwright.kernels.selection.by_group.many_groups import group_table
from poolwright.kernels.selection.groups import Groups, groups_of
from poolwright.kernels.selection.lookup.value_index import plain
from poolwright.steps.choose.reasons import NO_GROUP
from poolwright.steps.choose.sampling import NOT_DRAWN, SamplingStep

_NAMED = 50
"""Groups at most of which one is suggested for a name that none has."""


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

    def comparison(self, key: int) -> GroupComparison | None:
        if self.n is not None:
            return None
        return GroupComparison(survey=_smallest if self.proportions is None else self._in_proportion)

    def wanted(self, groups: Groups, counts: np.ndarray, key: int, among: AmongGroups) -> np.ndarray:
        if self.proportions is None:
            return np.full(len(counts), among.known if self.n is None else self.n)
        rows = np.array([*among.known.values(), 0], np.int64)
        return rows[_find(groups.values[0], list(among.known))]

    def _in_proportion(self, groups: Iterable[tuple[GroupValues, Integers]]) -> dict[str, int]:
        """Return the rows to keep of the groups that are listed."""
        shares = self.proportions or {}
        listed: list[tuple[Any, str, int]] = []
        some_names: list[str] = []
        for (values,), counts in groups:
            at = np.flatnonzero(_find(values, list(shares)) >= 0)
            found = values.take(pa.array(at))
            listed += zip(found.to_pylist(), _texts(found).to_pylist(), counts[at].tolist(), strict=True)
            some_names += _texts(values.slice(0, _NAMED)).to_pylist()
        listed.sort()  # by value
        names = [name for _, name, _ in listed]
        missing = [name for name, weight in shares.items() if weight and name not in names]
        if missing and some_names:
            known = did_you_mean(missing[0], some_names) if len(some_names) < _NAMED else ""
            raise StepError(
                f"balance: no row has {self.group[0]} = {some(missing)}, so no rows are in these proportions; {known}"
            )
        weights = [exact(shares[name]) for name in names]
        total = largest_total([count for _, _, count in listed], weights)
        total = total if self.total is None else min(total, self.total)
        return dict(zip(names, apportion(total, weights), strict=True))

    def apply(self, rows: Rows, state: State) -> Outcome:
        outcome = super().apply(rows, state)
        if self.proportions is None or outcome.drop is None:
            return outcome
        listed = _find(plain(rows.column(self.group[0])), [name for name, weight in self.proportions.items() if weight])
        known = groups_of(group_table(state)).ids(rows) >= 0
        return Outcome(drop=np.where((outcome.drop == 1) | (known & (listed >= 0)), outcome.drop, 3).astype(np.uint8))


def _smallest(groups: Iterable[tuple[GroupValues, Integers]]) -> int:
    return min((int(counts.min()) for _, counts in groups if len(counts)), default=0)


def _texts(values: pa.Array) -> pa.Array:
    return values.cast(pa.string())


def _find(values: pa.Array, names: list[str]) -> Integers:
    """Return the index of each value in a list of names: int64 (n,), -1 for none."""
    found = pc.index_in(_texts(values), value_set=pa.array(names, pa.string()))
    return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)
