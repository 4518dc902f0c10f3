"""top: the rows with the best values, overall or of each group."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import UID
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns, Count, Share, exact, exactly_one
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.table import Limit
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import number
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison
from poolwright.kernels.selection.by_group.many_groups import GroupFit, figures_of, fit_by_group, group_table
from poolwright.kernels.selection.controlled_rounding import rank_order, share_by_group
from poolwright.kernels.selection.groups import Groups, check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.ranks import ALL, NONE, RankCuts, Ranking, check_orderable
from poolwright.kernels.selection.thresholds import RankableRows, cut, survey
from poolwright.steps.choose.reasons import NO_GROUP, NO_VALUE
from poolwright.steps.choose.sampling import without_rows


class Top(Step):
    """Keep the `n` rows, or the share `fraction`, with the highest (or lowest) values of a column.

    Exactly this many are kept: if several rows have the value at the threshold, the hash of (seed, step,
    uid) decides among them. Infinite values count; rows whose value is null or NaN are dropped. With `group`, this
    many of each group are kept; groups with fewer rows are kept whole. A fraction of groups is rounded as by `sample`:
    each group and the total are within a row of it.

    With `ties: keep` all rows with the value at the threshold are kept, and the threshold of a fraction f of n rows is
    the value at place int(n f), counted from 0 and multiplied in float64, as in DataComp's baselines (Gadre et al.
    2023, arXiv 2304.14108): int(n f) + 1 rows and ties.

    State: the key of the hash ranks, and a table of groups with `rows`, `kept`, the threshold `value`, its
    sort `key` and the greatest hash `rank` that is kept among rows with that value.
    """

    verb: ClassVar[str] = "top"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "top: {by: similarity, n: 1_000_000}"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (NO_GROUP, NO_VALUE, Reason("not_top", "not among the best"))

    by: Column = Field(description="column the rows are ranked by: numbers or times")
    n: Count | None = Field(default=None, description="rows to keep")
    fraction: Share | None = Field(default=None, description="share of the rows with a value to keep, such as 10%")
    group: Columns | None = Field(default=None, description="keep this many of each group")
    ties: Literal["hash", "keep"] = Field(
        default="hash", description="rows with the value at the threshold: exactly as many as wanted, or all"
    )
    lowest: bool = Field(default=False, description="keep the lowest values instead of the highest")

    @model_validator(mode="after")
    def _one_amount(self) -> Top:
        exactly_one(self, "n", "fraction")
        return self

    @property
    def _columns(self) -> tuple[str, ...]:
        return self.group or ()

    def _order(self, key: int) -> Ranking:
        return Ranking(self.by, self.lowest, key)

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._columns, self.by, UID)))

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_orderable(self.verb, given, self.by)
        check_groupable(self.verb, given, self._columns)
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        key, alone = context.key, self.n is not None or self.ties == "keep"
        comparison = None if alone else GroupComparison(partial(rank_order, key))
        fit = GroupFit(self._columns, self.needs(), partial(self._count, key), partial(self._table, key), comparison)
        return fit_by_group(frame, fit, {"key": str(key)})

    def _count(self, key: int, frame: Frame, most: int | None) -> RankableRows:
        return survey(frame, self._columns, self._order(key), most)

    def _table(self, key: int, frame: Frame, ranked: RankableRows, among: AmongGroups) -> pa.Table:
        order = self._order(key)
        kept = np.minimum(self._wanted(ranked.counts, among), ranked.counts)
        cuts = cut(frame, ranked, order, kept)
        if self.ties == "keep":
            cuts = RankCuts(cuts.key, np.full_like(cuts.rank, ALL))
            kept = _count_kept(frame, ranked.groups, order, cuts)
        value = order.value(cuts.key, frame.schema.field(self.by).type)
        figures = {"rows": ranked.counts, "kept": kept, "value": value, "key": cuts.key, "rank": cuts.rank}
        return ranked.groups.table(figures)

    def _wanted(self, counts: np.ndarray, among: AmongGroups) -> np.ndarray:
        if self.n is not None:
            return np.full(len(counts), self.n, dtype=np.int64)
        if self.ties == "keep":
            return (counts * float(self.fraction or 0.0)).astype(np.int64) + 1
        return share_by_group(counts, among.before, exact(self.fraction or 0.0))

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = group_table(state)
        order = self._order(int(state.values["key"]))
        ids = groups_of(table).ids(rows)
        keys, valid = order.keys(rows, table.schema.field("value").type)
        cuts = RankCuts(*(figures_of(table, name, ids, absent=ALL) for name in ("key", "rank")))
        keep = cuts.keeps(keys, np.arange(len(rows)), rows.column(UID), order)
        drop = np.where(keep, 0, 3).astype(np.uint8)
        drop[~valid] = 2
        drop[lacks_value(rows, self._columns)] = 1
        return Outcome(drop=drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        table = group_table(state)
        value = row.get(self.by)
        if any(row.get(name) is None for name in self._columns):
            return f"no value in {' and '.join(self._columns)}"
        if value is None or value != value:
            return f"no value in {self.by}"
        groups = groups_of(table)
        index = groups.index_of(row)
        if index < 0:
            return "a group that was not there when the threshold was found: kept"
        group = table.slice(index, 1).to_pylist()[0]
        of = f" of {groups.name(index)}" if self._columns else ""
        return f"{self.by} = {number(value)}; {self._threshold(group)}{of}"

    def _threshold(self, group: Mapping[str, Any]) -> str:
        best = f"{group['kept']:,} of {in_rows(group['rows'])} kept"
        if group["key"] in (ALL, NONE):
            return best
        tie = "" if group["rank"] == ALL else ", ties by hash"
        return f"kept {self.by} {'<=' if self.lowest else '>='} {number(group['value'])}{tie} ({best})"

    def limits(self, state: State) -> list[Limit]:
        """The one threshold, if rows are not ranked by group."""
        values = group_table(state).column("value").to_pylist() if not self.group else []
        if len(values) != 1 or not isinstance(values[0], int | float) or not math.isfinite(values[0]):
            return []
        sign = "≤" if self.lowest else "≥"
        return [Limit(column=self.by, value=float(values[0]), words=f"top {sign} {number(values[0])}")]

    def learned(self, state: State) -> str:
        table = group_table(state)
        if not self._columns:
            return self._threshold(table.to_pylist()[0])
        kept, rows = (pc.sum(table.column(name)).as_py() or 0 for name in ("kept", "rows"))
        best = "lowest" if self.lowest else "highest"
        names = ", ".join(self._columns)
        text = f"{kept:,} of {in_rows(rows)} kept: the {best} {self.by} of {in_groups(len(table))} of {names}"
        return text + without_rows(table)


def _count_kept(frame: Frame, groups: Groups, order: Ranking, cuts: RankCuts) -> np.ndarray:
    """Count the rows of each group that are within its threshold: int64 (k,)."""
    columns = list(dict.fromkeys([*groups.columns, order.by, UID]))
    count = _CountKept(groups, order, RankCuts(np.append(cuts.key, NONE), np.append(cuts.rank, ALL)))
    return np.asarray(frame.fold(columns, count.start, count, np.add))


@dataclass(frozen=True)
class _CountKept:
    """Add the rows of a batch that are within the threshold of their group to the counts."""

    groups: Groups
    order: Ranking
    cuts: RankCuts

    def start(self) -> np.ndarray:
        return np.zeros(len(self.groups), np.int64)

    def __call__(self, counts: np.ndarray, rows: Rows) -> np.ndarray:
        keys, valid = self.order.keys(rows)
        ids = np.where(valid, self.groups.ids(rows), -1)
        kept = ids[self.cuts.keeps(keys, ids, rows.column(UID), self.order) & (ids >= 0)]
        return np.asarray(counts + np.bincount(kept, minlength=len(counts)))
