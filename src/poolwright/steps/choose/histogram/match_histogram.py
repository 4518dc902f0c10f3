"""match_histogram: so many rows of each group, with the histogram that another table has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field, PrivateAttr, field_validator

from poolwright.core.columns import ROW_ERROR, UID, is_groupable
from poolwright.core.errors import BadPart, InputError, StepError, did_you_mean
from poolwright.core.frame import Context, Frame, OtherRows
from poolwright.core.params import Column, Columns, Count
from poolwright.core.roles import JoiningStep, OtherSource
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import number, some
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.group_counts import AddGroupCount, GroupCount, count_groups
from poolwright.kernels.selection.groups import check_groupable, groups_of, lacks_value
from poolwright.kernels.selection.lookup.key_index import key_kind
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.kernels.selection.sampling import cut_ranks
from poolwright.steps.choose.histogram.bins import (
    HistogramCells,
    Integers,
    bins_of,
    in_precision,
    scaled,
    with_overflow,
)
from poolwright.steps.choose.reasons import NO_GROUP, NO_VALUE
from poolwright.steps.choose.sampling import NOT_DRAWN
from poolwright.steps.other_sources import is_file, resolved

GROUPS, CELLS = "groups", "cells"
_BATCH_ROWS = 65_536
_NO_GROUP, _NO_VALUE, _NOT_DRAWN, _NO_REFERENCE = 1, 2, 3, 4


class MatchHistogram(JoiningStep):
    """Draw `n` rows of each group, whose histogram of a column is that of the same group in another table.

    The values of `by` are sorted into the bins between the `edges`; a value equal to an edge is in the bin above it.
    The histogram of the rows of the group in `like` is scaled to n rows by largest remainders, a tie going to the later
    bin. So many rows are drawn from each bin by the hash of (seed, step, uid). What a bin lacks is taken from the next
    one, and what the last one lacks, from the ones before it, the last first. So a group has n rows if it has as many
    at all. MatchedFrequency of ImageNetV2 is such a draw (Recht et al. 2019, arXiv 1902.10811).

    `like` is a pool or table of the recipe, or a file of rows, which is read as the pool `table` reads it: whatever has
    a '/' or an ending such as .csv is a file. It becomes part of what the table is made from. Its columns have the same
    names. Groups that it has no row of are dropped. Rows that were taken from another bin, rows that a group lacks, and
    groups that have no candidate are counted.

    State: the groups, and per group and bin the rows of either table, those wanted and drawn, and the greatest hash
    rank that is drawn.
    """

    verb: ClassVar[str] = "match_histogram"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = (
        "match_histogram: {group: label, by: score, like: annotations, edges: [0.2, 0.4, 0.6, 0.8], n: 10}"
    )
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (
        NO_GROUP,
        NO_VALUE,
        NOT_DRAWN,
        Reason("no_reference", "the other table has no row of its group"),
    )

    group: Columns = Field(description="column or columns whose values make a group")
    by: Column = Field(description="column of the histogram: numbers")
    like: Annotated[str, AfterValidator(resolved)] = Field(
        description="the other table, or a pool of the recipe, or a file of rows"
    )
    edges: tuple[float, ...] = Field(min_length=1, description="edges between the bins, ascending")
    n: Count = Field(description="rows of every group")

    _known: pa.Schema | None = PrivateAttr(default=None)
    """Columns of the other table."""

    @field_validator("edges")
    @classmethod
    def _ascending(cls, edges: tuple[float, ...]) -> tuple[float, ...]:
        if not all(low < high for low, high in pairwise(edges)) or not np.isfinite(edges).all():
            raise ValueError("edges are numbers in ascending order, each once, such as [0.2, 0.4, 0.6, 0.8]")
        return edges

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.group, self.by, UID)))

    def other(self) -> OtherSource:
        return {"read": "table", "path": self.like} if is_file(self.like) else self.like

    @property
    def _where(self) -> str:
        return PurePath(self.like).name if is_file(self.like) else self.like

    def knowing(self, other: OtherRows) -> Self:
        names = other.schema.names
        for column in (*self.group, self.by):
            if column not in names:
                close = did_you_mean(column, names)
                raise StepError(
                    f"{self.verb}: '{self._where}' has no column '{column}'; {close} (there are: {some(names, 30)})"
                )
        self._check(other.schema, f" of '{self._where}'")
        step = self.model_copy()
        step._known = other.schema
        return step

    def recalling(self, state: State) -> Self:
        return self

    def _check(self, schema: pa.Schema, where: str = "") -> None:
        for name in self.group:
            dtype = schema.field(name).type
            if not is_groupable(dtype):
                raise StepError(f"{self.verb}: '{name}'{where} is {dtype}; group by strings, integers or booleans")
        dtype = schema.field(self.by).type
        if not (pa.types.is_integer(dtype) or pa.types.is_floating(dtype)):
            raise StepError(f"{self.verb}: '{self.by}'{where} is {dtype}; a histogram is of numbers")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.group)
        self._check(given)
        for name in self.group:
            here = given.field(name).type
            there = self._known.field(name).type if self._known is not None else here
            if key_kind(here) != key_kind(there):
                raise StepError(
                    f"{self.verb}: '{name}' is {here}, and {there} in '{self._where}', so that no groups are equal; "
                    "give both one type with `derive`"
                )
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        edges = in_precision(self.edges, frame.schema.field(self.by).type)
        cells = HistogramCells(count_groups(frame, self.group).groups, self.by, edges)
        there = cells.count(frame)
        like, missing, without = self._reference(context.other(), cells)
        wanted = np.array([scaled(rows, self.n) for rows in like], np.int64).reshape(like.shape)
        drawn = np.array([with_overflow(*rows) for rows in zip(wanted, there, strict=True)], np.int64)
        ranks = cut_ranks(frame, cells, there.reshape(-1), context.key, drawn.reshape(1, -1))[0]
        figures = {"like": like, "wanted": wanted, "rows": there, "drawn": drawn, "rank": ranks}
        table = pa.table({name: counts.reshape(-1) for name, counts in figures.items()})
        groups = cells.groups.table({"like": like.sum(axis=1)})
        values = {"key": str(context.key), "edges": list(edges), "missing": missing, "without": without}
        return State(values, {GROUPS: groups, CELLS: table})

    def _reference(self, other: OtherRows, cells: HistogramCells) -> tuple[Integers, int, int]:
        """Count the rows of the other table.

        Returns:
            int64 (g, bins) by group and bin; groups there that have no candidate; rows there without a group or value.

        Raises:
            InputError: a row or a part cannot be read.
        """
        cells = replace(cells, edges=in_precision(self.edges, other.schema.field(self.by).type))
        counters, groups, without = cells.start(), GroupCount(), 0
        names = list(dict.fromkeys([*cells.columns, *({ROW_ERROR} & set(other.schema.names))]))
        count = AddGroupCount(tuple(self.group))
        for part in other.parts:
            try:
                for table in other.read(part, names, _BATCH_ROWS):
                    self._check_errors(part.name, table)
                    rows = Rows(table)
                    valid = ~lacks_value(rows, self.group) & (bins_of(rows, self.by, cells.edges) >= 0)
                    without += int((~valid).sum())
                    rows = rows.filter(valid)
                    counters, groups = cells.add(counters, rows), count(groups, rows)
            except BadPart as error:
                raise InputError(f"{self.verb}: {error}; mend or remove the file") from None
        like = cells.shaped(counters)
        known = len(groups.counted(other.schema, self.group).counts)
        return like, known - int((like.sum(axis=1) > 0).sum()), without

    def _check_errors(self, part: str, table: pa.Table) -> None:
        errors = table.column(ROW_ERROR) if ROW_ERROR in table.column_names else None
        if errors is not None and errors.null_count < len(errors):
            raise InputError(
                f"{self.verb}: a row of '{self._where}' cannot be read ({part}: {errors.drop_null()[0].as_py()}); "
                "correct it, or name a table of the recipe made from these rows, which counts and drops those that "
                "cannot be read"
            )

    def apply(self, rows: Rows, state: State) -> Outcome:
        cells, cut, like = once(CELLS, state, self._cuts_of)
        drawn = hash_ranks(rows.column(UID), int(state.values["key"])) <= cut[cells.ids(rows)]
        drop = np.where(drawn, 0, _NOT_DRAWN).astype(np.uint8)
        drop[like[cells.groups.ids(rows)] == 0] = _NO_REFERENCE
        drop[bins_of(rows, self.by, cells.edges) < 0] = _NO_VALUE
        drop[lacks_value(rows, self.group)] = _NO_GROUP
        return Outcome(drop=drop)

    def _cuts_of(self, state: State) -> tuple[HistogramCells, Integers, Integers]:
        """Return the cells, the greatest rank of each and the rows of each group in the other table.

        The entries at the end are for the id -1.
        """
        groups = state.tables[GROUPS]
        cells = HistogramCells(groups_of(groups), self.by, tuple(state.values["edges"]))
        return cells, _with_last(state.tables[CELLS], "rank", -1), _with_last(groups, "like", 1)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value = row.get(self.by)
        if any(row.get(name) is None for name in self.group):
            return f"no value in {' and '.join(self.group)}"
        if value is None or value != value:
            return f"no value in {self.by}"
        cells, _, _ = once(CELLS, state, self._cuts_of)
        at = cells.groups.index_of(row)
        if at < 0:
            return "a group that was not there when rows were drawn: dropped"
        inside = int(np.searchsorted(np.array(cells.edges), value, side="right"))
        cell = state.tables[CELLS].slice(at * cells.bins + inside, 1).to_pylist()[0]
        return (
            f"{self.by} = {number(value)}, bin {inside + 1} of {cells.bins} of {cells.groups.names()[at]}: "
            f"{cell['like']:,} in {self._where}, {cell['wanted']:,} wanted, {cell['drawn']:,} of "
            f"{in_rows(cell['rows'])} drawn by hash"
        )

    def learned(self, state: State) -> str:
        groups, values = state.tables[GROUPS], state.values
        cells = {name: state.tables[CELLS].column(name).to_numpy() for name in ("wanted", "drawn", "rows")}
        wanted, drawn = cells["wanted"], cells["drawn"]
        bins = len(self.edges) + 1
        short = (wanted - drawn).reshape(-1, bins).sum(axis=1)
        text = (
            f"{in_rows(int(drawn.sum()))} of {in_groups(len(groups))} of {', '.join(self.group)}, with the histograms "
            f"of {self.by} in {self._where}"
        )
        if other := int(np.maximum(drawn - wanted, 0).sum()):
            text += f"; {in_rows(other)} from another bin than wanted"
        if short.any():
            lacking = [
                f"{name} ({int(lack):,})" for name, lack in zip(groups_of(groups).names(), short, strict=True) if lack
            ]
            text += f"; {in_rows(int(short.sum()))} lacking, as the candidates are too few: {some(lacking, 5)}"
        if nothing := pc.sum(pc.equal(groups.column("like"), 0)).as_py():
            text += f"; {in_groups(nothing)} that {self._where} has no row of"
        if values["missing"]:
            text += f"; {in_groups(values['missing'])} of {self._where} without candidates"
        if values["without"]:
            text += f"; {in_rows(values['without'])} of {self._where} without a value left out"
        return text


def _with_last(table: pa.Table, name: str, last: int) -> Integers:
    """Return a column, with the value of rows that are in no entry of it at the end."""
    return np.append(table.column(name).to_numpy(), last)
