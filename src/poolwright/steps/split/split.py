"""split: train, validation and test rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import SHA256, SPLIT, UID, is_text
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns, Count, Share
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import counted
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.by_group.comparison import AmongGroups, GroupComparison, GroupValues
from poolwright.kernels.selection.by_group.many_groups import GroupFit, figures_of, fit_by_group, group_table
from poolwright.kernels.selection.controlled_rounding import rank_order, rounded_up, sizes_of
from poolwright.kernels.selection.group_counts import Counted, count_groups
from poolwright.kernels.selection.groups import Groups, check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.hashing import hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.steps.split.by_group import fit_members, group_ranks
from poolwright.steps.split.copies import count_copies
from poolwright.steps.split.lines import Members
from poolwright.steps.split.sizes import Sizes

Rest = Literal["rest"]
STRATA, MEMBERS = "strata", "members"
_CUT, _ROWS = "cut.", "rows."
_ROWS_OF = "rows"  # value of a state that has the splits of groups as `MEMBERS`


class Split(Step):
    """Assign every row to a split, named in a new column.

    The sizes are `ratios` (that sum to 1) or `counts` of rows; one of them may be 'rest'. Rows beyond the
    counts are in no split and dropped.

    - Alone, the sizes are exact: rows are ranked by the hash of (seed, step, uid), and each split takes its
      number of them, rounded by largest remainders.
    - With `stratify`, this is done within every stratum. Counts are spread over the strata by their sizes. What
      rounding leaves in one stratum is carried over to the next, in hash order (controlled rounding): the size of a
      split is within a row of its share in every stratum and in total, however small the strata.
    - With `group`, rows with the same value in that column are in the same split. Groups are lined up by
      the hash of their value, and a group goes where the middle of its rows falls: each border is off by at
      most half a group. So a group's split depends on the other groups' sizes, not on any order.
    - With both, a group counts to the stratum that holds most of its rows, and what a split lacks in one stratum is
      made up for in the next.
    - With `seeds`, all this is done this many times, each time by hashes of another key: columns split_0, split_1, ...

    If the table has a column `sha256`, files whose copies are in several splits are counted; group: sha256, or the
    groups of `near_duplicates`, keeps them together.

    State: per stratum the greatest hash rank of every split, or per group its split if `group` is given.
    """

    verb: ClassVar[str] = "split"
    kind: ClassVar[Kind] = "split"
    example: ClassVar[str] = "split: {ratios: {train: 80%, val: 10%, test: rest}, stratify: [label], group: author}"
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_group", "no value in the group column"),
        Reason("no_split", "in none of the splits"),
    )

    ratios: dict[str, Share | Rest] | None = Field(
        default=None, description="share of every split, such as {train: 80%, val: 10%, test: rest}"
    )
    counts: dict[str, Count | Rest] | None = Field(
        default=None, description="rows of every split, such as {test: 1000, train: rest}"
    )
    stratify: Columns | None = Field(default=None, description="columns whose values are spread evenly over the splits")
    group: Column | None = Field(default=None, description="column whose equal values stay in one split")
    into: Annotated[str, Field(min_length=1)] = Field(default=SPLIT, description="column to give")
    seeds: Annotated[int, Field(ge=1, le=1_000)] | None = Field(
        default=None, description="draw this many times, each with its own seed, into columns such as split_0, split_1"
    )

    @model_validator(mode="after")
    def _fitting(self) -> Split:
        if UID in self._given:
            raise ValueError("'uid' names the rows; give the split another column")
        self.sizes().check()
        return self

    def sizes(self) -> Sizes:
        """Return the sizes that the step asks for."""
        return Sizes.of(self.ratios, self.counts)

    @property
    def _columns(self) -> tuple[str, ...]:
        return self.stratify or ()

    @property
    def _grouping(self) -> tuple[str, ...]:
        return (*self._columns, self.group) if self.group else self._columns

    @property
    def _given(self) -> list[str]:
        return [self.into] if self.seeds is None else [f"{self.into}_{draw}" for draw in range(self.seeds)]

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self._columns, self.group or UID)))

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self._grouping)
        return [pa.field(name, pa.string()) for name in self._given]

    def fit(self, frame: Frame, context: Context) -> State:
        if self.seeds is None:
            state = self._fit(frame, context.key)
            copies = self._copies(frame, state, self._totals(state))
            return replace(state, values={**state.values, **copies})
        draws = [self._fit(frame, hash_key(context.key, str(draw))) for draw in range(self.seeds)]
        tables, mapped = (
            {f"{name}-{at}": table for at, found in enumerate(every) for name, table in found.items()}
            for every in ([draw.tables for draw in draws], [draw.mapped for draw in draws])
        )
        copies = self._copies(frame, draws[0], self._totals(draws[0]))
        values = [{**draw.values, **copies} for draw in draws[:1]] + [dict(draw.values) for draw in draws[1:]]
        return State({"draws": values}, tables, mapped=mapped)

    def optional(self) -> tuple[str, ...]:
        return () if self.group == SHA256 else (SHA256,)

    def _copies(self, frame: Frame, state: State, totals: Mapping[str, int]) -> dict[str, int]:
        """Return the number of files whose copies are in several splits, to be added to the state; {} if unknown."""
        if SHA256 not in frame.schema.names or self.group == SHA256 or not is_text(frame.schema.field(SHA256).type):
            return {}
        names, rows = [*self._grouping, UID], sum(totals.values())
        return {"copies": count_copies(frame, names, _SplitOf(self, state), len(totals), rows)}

    def _draws(self, state: State) -> list[State]:
        """Return the state of each draw, as that of a single one."""
        if self.seeds is None:
            return [state]
        draws = enumerate(state.values["draws"])
        return [State(values, _of_draw(state.tables, at), mapped=_of_draw(state.mapped, at)) for at, values in draws]

    def _fit(self, frame: Frame, key: int) -> State:
        sizes = self.sizes()
        values = {"key": str(key)}
        if self.group:
            fitted = fit_members(frame, self.group, self._columns, key, sizes)
            division = fitted.division
            if fitted.members is None:
                return State(values, {STRATA: self._table(Groups([], ()), division.ends, division.totals[:, None])})
            rows = dict(zip(sizes.names, division.totals.tolist(), strict=True))
            without = dict(zip(sizes.names, division.without, strict=True))
            return State(
                {**values, _ROWS_OF: rows, "without": without},
                {} if fitted.many else {MEMBERS: fitted.members},
                mapped={MEMBERS: fitted.members} if fitted.many else {},
            )
        comparison = GroupComparison(partial(rank_order, key), _all_rows, partial(_rounded, sizes))
        fit = GroupFit(self._columns, self.needs(), self._count, partial(self._stratum_table, key), comparison)
        return fit_by_group(frame, fit, values, STRATA, f"strata-{key:016x}")

    def _count(self, frame: Frame, most: int | None) -> Counted:
        return count_groups(frame, self._columns, most)

    def _stratum_table(self, key: int, frame: Frame, counted: Counted, among: AmongGroups) -> pa.Table:
        sizes = self.sizes()
        wanted = sizes_of(counted.counts, sizes.shares_of(among.known), among.along)[: len(sizes.names)]
        ranks = cut_ranks(frame, counted.groups, counted.counts, key, np.cumsum(wanted, axis=0))
        return self._table(counted.groups, ranks, wanted)

    def _table(self, groups: Groups, ranks: np.ndarray, wanted: np.ndarray) -> pa.Table:
        names = self.sizes().names
        cuts = {_CUT + name: rank for name, rank in zip(names, ranks, strict=True)}
        return groups.table({**cuts, **{_ROWS + name: rows for name, rows in zip(names, wanted, strict=True)}})

    def apply(self, rows: Rows, state: State) -> Outcome:
        names = pa.array([*self.sizes().names, None], pa.string())
        missing = lacks_value(rows, self._grouping)
        nowhere, columns = np.ones(len(rows), dtype=bool), {}
        for name, draw in zip(self._given, self._draws(state), strict=True):
            index = self.split_indices(rows, draw)
            columns[name] = names.take(pa.array(index))
            nowhere &= index == len(names) - 1
        drop = np.where(nowhere, 2, 0).astype(np.uint8)
        drop[missing] = 1
        return Outcome(columns, drop)

    def split_indices(self, rows: Rows, state: State) -> np.ndarray:
        """Return the index of each row's split in one draw: int64 (n,), past the end for none."""
        index = self._by_rank(rows, state)
        index[lacks_value(rows, self._grouping)] = len(self.sizes().names)
        return index

    def _by_rank(self, rows: Rows, state: State) -> np.ndarray:
        key = int(state.values["key"])
        ranks = group_ranks(rows.column(self.group), key) if self.group else hash_ranks(rows.column(UID), key)
        nominal = self.sizes().nominal()
        if _ROWS_OF in state.values:
            members = once("members", group_table(state, MEMBERS), Members)
            return members.splits_of(ranks, nominal)
        table = group_table(state, STRATA)
        ids = groups_of(table).ids(rows)
        index = np.zeros(len(rows), dtype=np.int64)
        for name, greatest in zip(self.sizes().names, nominal.tolist(), strict=True):
            index += ranks > figures_of(table, _CUT + name, ids, greatest)
        return index

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if any(row.get(name) is None for name in self._grouping):
            return f"no value in {' and '.join(self._grouping)}"
        what = f"{self.group} = {row.get(self.group)}" if self.group else "its uid"
        within = "".join(f", {name} = {row.get(name)}" for name in self._columns)
        splits = ", ".join(f"{name} = {row.get(name) or 'none'}" for name in self._given)
        return f"{splits}, by the hash of {what}{within}"

    def learned(self, state: State) -> str:
        first, *others = self._draws(state)
        return f"{len(others) + 1} draws, the first: {self._learned(first)}" if others else self._learned(first)

    def _learned(self, state: State) -> str:
        totals = self._totals(state)
        sizes = ", ".join(f"{name} {count:,}" for name, count in totals.items())
        text = f"{sizes}: {in_rows(sum(totals.values()))}"
        empty = [name for name, count in totals.items() if not count]
        text += f"; no row is in {' or '.join(empty)}" if empty else ""
        if self.group:
            text += f"; rows of one {self.group} together"
        text += _copies_in_words(state.values.get("copies", 0))
        if not self._columns:
            return text
        parts = [in_groups(len(group_table(state, STRATA)))] if _ROWS_OF not in state.values else []
        parts += [f"{count:,} without {name}" for name, count in self._lacking(state).items() if count and totals[name]]
        return f"{text}; stratified by {', '.join(self._columns)}" + (f" ({', '.join(parts)})" if parts else "")

    def _lacking(self, state: State) -> Mapping[str, int]:
        """Return how many strata have no row of each split."""
        if _ROWS_OF in state.values:
            found: Mapping[str, int] = state.values["without"]
            return found
        table = group_table(state, STRATA)
        return {name: pc.sum(pc.equal(table.column(_ROWS + name), 0)).as_py() or 0 for name in self.sizes().names}

    def _totals(self, state: State) -> dict[str, int]:
        if _ROWS_OF in state.values:
            return {name: state.values[_ROWS_OF][name] for name in self.sizes().names}
        table = group_table(state, STRATA)
        return {name: pc.sum(table.column(_ROWS + name)).as_py() or 0 for name in self.sizes().names}


@dataclass(frozen=True)
class _SplitOf:
    """The split of each row by a fitted state, as a callable that can be pickled."""

    step: Split
    state: State

    def __call__(self, rows: Rows) -> np.ndarray:
        return self.step.split_indices(rows, self.state)


def _copies_in_words(files: int) -> str:
    if not files:
        return ""
    many = counted(files, "file has copies", "files have copies")
    return f"; {many} (equal sha256) in several splits, which group: {SHA256} keeps together"


def _of_draw(tables: Mapping[str, pa.Table], draw: int) -> dict[str, pa.Table]:
    """Return the tables of one draw of several, under the names that those of a single one have."""
    return {name: tables[key] for name in (STRATA, MEMBERS) if (key := f"{name}-{draw}") in tables}


def _all_rows(strata: Iterable[tuple[GroupValues, np.ndarray]]) -> int:
    """Return the rows of all strata."""
    return sum(int(counts.sum()) for _, counts in strata)


def _rounded(sizes: Sizes, strata: Callable[[], Iterator[np.ndarray]], rows: int) -> np.ndarray:
    """Return where the sizes of strata are rounded up, see `rounded_up`, given the rows of all of them."""
    return rounded_up(strata, sizes.shares_of(rows))
