"""Steps that keep the rows with the lowest hash ranks, overall or of each group."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import UID
from poolwright.core.frame import Context, Frame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.by_group.comparison import AmongGroups, CountedGroups, GroupComparison, count_table
from poolwright.kernels.selection.by_group.many_groups import GroupFit, figures_of, fit_by_group, group_table
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import Groups, check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.ranks import ALL, hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.steps.choose.reasons import NO_GROUP

NOT_DRAWN = Reason("not_drawn", "not drawn into the sample")


class SamplingStep(Step):
    """Keep the rows of each group with the lowest hash ranks; subclasses decide how many.

    State: the key of the hash ranks, and a table of groups with `rows`, `kept` and `rank`, the greatest
    hash rank that is kept (-1 for none). A row of a group that is not in the table is kept.
    """

    kind: ClassVar[Kind] = "choose"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (NO_GROUP, NOT_DRAWN)

    @property
    def top(self) -> int:
        """Return how many of the group columns make the groups that are compared, the first ones; 0 for all."""
        return 0

    def by(self) -> tuple[str, ...]:
        """Return the group columns; none for one draw from all rows."""
        raise NotImplementedError

    def compared(self, key: int) -> Callable[[CountedGroups], pa.Table]:
        """Return what gives the groups that are compared, see `GroupFit`; `top` says by how many columns."""
        return count_table

    def comparison(self, key: int) -> GroupComparison | None:
        """Return how groups are compared; None if their own rows decide on each."""
        return None

    def wanted(self, groups: Groups, counts: np.ndarray, key: int, among: AmongGroups) -> np.ndarray:
        """Return the rows to keep of each group, int64 (k,).

        Args:
            groups: the groups.
            counts: int64 (k,) rows of each.
            key: that of the hash ranks.
            among: what the comparison found.
        """
        raise NotImplementedError

    def key(self, context: Context) -> int:
        """Return the key of the hash ranks."""
        return context.key

    def needs(self) -> tuple[str, ...]:
        return (*self.by(), UID)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.by())
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        key = self.key(context)
        table, comparison = partial(self._table, key), self.comparison(key)
        fit = GroupFit(self.by(), self.needs(), self._count, table, comparison, self.top, self.compared(key))
        return fit_by_group(frame, fit, {"key": str(key)})

    def _count(self, frame: Frame, most: int | None) -> Counted:
        return count_groups(frame, self.by(), most)

    def _table(self, key: int, frame: Frame, counted: Counted, among: AmongGroups) -> pa.Table:
        groups, counts = counted.groups, counted.counts
        kept = np.minimum(self.wanted(groups, counts, key, among), counts)
        ranks = cut_ranks(frame, groups, counts, key, kept[None, :])[0]
        return groups.table({"rows": counts, "kept": kept, "rank": ranks})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = group_table(state)
        ids = groups_of(table).ids(rows)
        cut = figures_of(table, "rank", ids, absent=ALL)
        drawn = np.ones(len(rows), dtype=bool)
        ranked = np.flatnonzero(cut < ALL)
        if len(ranked):
            uids = rows.column(UID)
            uids = uids if len(ranked) == len(rows) else uids.take(pa.array(ranked))
            drawn[ranked] = hash_ranks(uids, int(state.values["key"])) <= cut[ranked]
        drop = np.where(drawn, 0, 2).astype(np.uint8)
        drop[lacks_value(rows, self.by())] = 1
        return Outcome(drop=drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if any(row.get(name) is None for name in self.by()):
            return f"no value in {' and '.join(self.by())}"
        table = group_table(state)
        groups = groups_of(table)
        index = groups.index_of(row)
        if index < 0:
            return "a group that was not there when the sample was drawn: kept"
        kept, rows = (table.column(name)[index].as_py() for name in ("kept", "rows"))
        return f"{kept:,} of the {in_rows(rows)} of {groups.name(index)} drawn by hash"

    def learned(self, state: State) -> str:
        table = group_table(state)
        kept, rows = (pc.sum(table.column(name)).as_py() or 0 for name in ("kept", "rows"))
        whole = f"{kept:,} of {in_rows(rows)}"
        if not self.by():
            return f"{whole} drawn by hash"
        cut = pc.sum(pc.less(table.column("kept"), table.column("rows"))).as_py() or 0
        text = f"{whole} kept; {cut:,} of {in_groups(table.num_rows)} of {', '.join(self.by())} were cut"
        return text + without_rows(table)


def without_rows(table: pa.Table) -> str:
    """Say how many groups of a state's table keep no row: '; 3 groups keep none', or ''."""
    empty = pc.sum(pc.equal(table.column("kept"), 0)).as_py() or 0
    return f"; {in_groups(empty)} {'keeps' if empty == 1 else 'keep'} none" if empty else ""
