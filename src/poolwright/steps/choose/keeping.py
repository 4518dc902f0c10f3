"""Steps that keep or drop whole groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from poolwright.core.frame import Context, Frame
from poolwright.core.params import Columns
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison
from poolwright.kernels.selection.by_group.many_groups import GroupFit, figures_of, fit_by_group, group_table
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of, lacks_value

_SHOWN = 5


class KeepingStep(Step):
    """Keep some groups whole and drop the others; subclasses decide which.

    The first reason is that of rows without a group, the second that of a group that is not kept or was
    not there at the fit. State: a table of groups with `rows` and `drop` (0 keeps, i is `reasons[i - 1]`).
    """

    kind: ClassVar[Kind] = "choose"
    fits_rows: ClassVar[bool] = True

    group: Columns

    def comparison(self, key: int) -> GroupComparison | None:
        """Return how groups are compared; None if their own rows, and the number of all, decide on each."""
        return None

    def drops(self, counted: Counted, among: AmongGroups) -> np.ndarray:
        """Return the drop code of each group, integers (k,): 0 keeps it, i drops it with `reasons[i - 1]`.

        Args:
            counted: the groups; its `total` is that of all rows.
            among: what the comparison found.
        """
        raise NotImplementedError

    def needs(self) -> tuple[str, ...]:
        return self.group

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.group)
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        fit = GroupFit(self.group, self.group, self._count, self._table, self.comparison(context.key))
        return fit_by_group(frame, fit)

    def _count(self, frame: Frame, most: int | None) -> Counted:
        return count_groups(frame, self.group, most)

    def _table(self, frame: Frame, counted: Counted, among: AmongGroups) -> pa.Table:
        counted = counted if among.rows is None else replace(counted, total=among.rows)
        drop = self.drops(counted, among).astype(np.uint8)
        return counted.groups.table({"rows": counted.counts, "drop": drop})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = group_table(state)
        drop = figures_of(table, "drop", groups_of(table).ids(rows), absent=2)
        drop[lacks_value(rows, self.group)] = 1
        return Outcome(drop=drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if any(row.get(name) is None for name in self.group):
            return f"no value in {' and '.join(self.group)}"
        table = group_table(state)
        groups = groups_of(table)
        index = groups.index_of(row)
        if index < 0:
            return "a group that was not there when the groups were chosen: dropped"
        drop = table.column("drop")[index].as_py()
        verdict = self.reasons[drop - 1].words if drop else "kept"
        return f"{groups.name(index)} has {in_rows(table.column('rows')[index].as_py())}: {verdict}"

    def learned(self, state: State) -> str:
        table = group_table(state)
        kept, kept_rows, rows, largest = _summary(table)
        text = f"{kept:,} of {in_groups(len(table))} of {', '.join(self.group)} kept, {kept_rows:,} of {in_rows(rows)}"
        if not largest:
            return text
        groups = groups_of(table)
        shown = ", ".join(f"{groups.name(index)} ({count:,})" for index, count in largest)
        more = len(table) - kept - len(largest)
        return f"{text}; dropped: {shown}" + (f" and {more:,} more" if more else "")


def _summary(table: pa.Table) -> tuple[int, int, int, list[tuple[int, int]]]:
    """Return how many groups are kept, their rows, all rows, and index and rows of the largest groups dropped."""
    kept = kept_rows = total = start = 0
    largest: list[tuple[int, int]] = []
    for batch in table.select(["rows", "drop"]).to_batches():
        rows, keep = batch.column(0).to_numpy(), batch.column(1).to_numpy() == 0
        kept, kept_rows, total = kept + int(keep.sum()), kept_rows + int(rows[keep].sum()), total + int(rows.sum())
        dropped = np.flatnonzero(~keep)
        dropped = dropped[np.argsort(-rows[dropped], kind="stable")[:_SHOWN]]
        largest += zip((dropped + start).tolist(), rows[dropped].tolist(), strict=True)
        largest = sorted(largest, key=lambda one: -one[1])[:_SHOWN]
        start += len(batch)
    return kept, kept_rows, total, largest
