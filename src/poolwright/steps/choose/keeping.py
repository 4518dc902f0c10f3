"""Steps that keep or drop whole groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.frame import Context, Frame
from poolwright.core.params import Columns
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of, lacks_value

GROUPS = "groups"


class KeepingStep(Step):
    """Keep some groups whole and drop the others; subclasses decide which.

    The first reason is that of rows without a group, the second that of a group that is not kept or was
    not there at the fit. State: a table of groups with `rows` and `drop` (0 keeps, i is `reasons[i - 1]`).
    """

    kind: ClassVar[Kind] = "choose"
    fits_rows: ClassVar[bool] = True

    group: Columns

    def drops(self, counted: Counted, context: Context) -> np.ndarray:
        """Return the drop code of each group, integers (k,): 0 keeps it, i drops it with `reasons[i - 1]`."""
        raise NotImplementedError

    def needs(self) -> tuple[str, ...]:
        return self.group

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.group)
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        counted = count_groups(frame, self.group)
        drop = self.drops(counted, context).astype(np.uint8)
        return State({}, {GROUPS: counted.groups.table({"rows": counted.counts, "drop": drop})})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[GROUPS]
        drop = once("drop", table, _drop_of)[groups_of(table).ids(rows)]
        drop[lacks_value(rows, self.group)] = 1
        return Outcome(drop=drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if any(row.get(name) is None for name in self.group):
            return f"no value in {' and '.join(self.group)}"
        table = state.tables[GROUPS]
        groups = groups_of(table)
        index = groups.index_of(row)
        if index < 0:
            return "a group that was not there when the groups were chosen: dropped"
        drop = table.column("drop")[index].as_py()
        verdict = self.reasons[drop - 1].words if drop else "kept"
        return f"{groups.names()[index]} has {in_rows(table.column('rows')[index].as_py())}: {verdict}"

    def learned(self, state: State) -> str:
        table = state.tables[GROUPS]
        kept = pc.equal(table.column("drop"), 0).to_numpy()
        rows = table.column("rows").to_numpy()
        text = (
            f"{int(kept.sum()):,} of {in_groups(len(kept))} of {', '.join(self.group)} kept, "
            f"{int(rows[kept].sum()):,} of {in_rows(int(rows.sum()))}"
        )
        if kept.all() or not len(kept):
            return text
        largest = np.flatnonzero(~kept)[np.argsort(-rows[~kept], kind="stable")]
        names = groups_of(table).names()
        return f"{text}; dropped: {some([f'{names[index]} ({rows[index]:,})' for index in largest], 5)}"


def _drop_of(table: pa.Table) -> np.ndarray:
    """The drop column, with the second reason at the end for the id -1 of rows whose group is not in the table."""
    return np.append(table.column("drop").to_numpy(), np.uint8(2))
