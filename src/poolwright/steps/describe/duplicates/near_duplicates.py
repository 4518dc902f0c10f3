"""near_duplicates: groups of rows that show nearly the same, so that a split keeps them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from poolwright.core.columns import SHA256, UID, is_groupable, is_text, is_vector
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Columns, Share
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import groups as in_groups
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.group_counts import count_rows
from poolwright.kernels.selection.groups import check_groupable
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.selection.ranks import check_orderable
from poolwright.kernels.similarity.connected_components import Links
from poolwright.steps.describe.duplicates.groups import MEMBERS, Grouping, as_state
from poolwright.steps.describe.duplicates.hashes import HashCount, count_hashes, hash_links, parse_hashes
from poolwright.steps.describe.duplicates.links import Pairs, linked_rows
from poolwright.steps.describe.duplicates.recall import words
from poolwright.steps.describe.duplicates.same import AlikeRows, equal_links
from poolwright.steps.describe.duplicates.spans import Span
from poolwright.steps.describe.duplicates.values import collect
from poolwright.steps.describe.duplicates.vectors import Linked, Method, VectorLinks

Keep = Literal["all", "first", "best", "far", "near"]

_COMPARING = ("method", "probes", "recall")


class NearDuplicates(Step):
    """Group rows that show nearly the same, so that `split: {group: duplicate_group}` keeps them on one side.

    Rows are linked if one of these holds, and the connected components of the links are the groups:

    - `same`: equal values in all these columns. With `within`, one of them is a time, and times at most that far apart
      count as equal: {same: [author, taken_at], within: 1 minute}.
    - `vectors`: the cosine is `above` or more. `method: exact` compares all pairs. `cells` compares rows that are near
      each other by a rough measure, which takes far less time; it measures how many pairs that misses, and compares
      more rows until the recall is the wanted one. `auto` is exact up to 500 MB of vectors. Vectors are written to
      files in the run folder for the time of the fit, and are not held in memory. With `clusters`, such as those of
      `cluster`, all pairs within a cluster are compared and no others, as in SemDeDup (Abbas et al. 2023, arXiv
      2303.09540).
    - `phash`: hashes of 64 or 256 bits, as `hash` gives them (`phash` and `pdq`), that differ in at most `distance`
      bits. Flat pictures have none; they, and other rows without a hash, are linked by an equal `sha256` alone, if the
      table has it. A hash of 64 bits that is zeros alone (or ones, or of which the first bit alone is 1) counts as
      none, as it is that of any flat picture.

    All pairs that are close by values or hashes are found. Rows are dealt out to files in the run folder for the time
    of the fit, so that memory grows with the linked rows alone.

    A group is named by its smallest uid, and a row without near-duplicates by its own, whatever the order of the rows.
    Rows that lack a value are not linked by it. With `keep`, one row of each group stays: that with the smallest uid
    (first), that with the highest value of `by` (best), or that whose vector is farthest from the centre of its cell,
    (far), or nearest to it (near). `keep: best, by: cluster_distance` is the rule of SemDeDup's paper: of each group
    within a cluster the row farthest from its centroid.

    With `against`, rows are compared with those of other tables, pools or files, and dropped if they are near one: this
    is the step `decontaminate`, whose parameters it takes then, and whose name states, reports and `why` give.

    State: the rows of groups of two and more, with the row that stays and the cosine with it; how many rows would be
    dropped at higher cosines; the recall.
    """

    verb: ClassVar[str] = "near_duplicates"
    kind: ClassVar[Kind] = "describe"
    other_verbs: ClassVar[Mapping[str, str]] = {"against": "decontaminate"}
    example: ClassVar[str] = "near_duplicates: {same: [author, taken_at], within: 1 minute, vectors: clip, above: 0.95}"
    fits_rows: ClassVar[bool] = True
    state_kind: ClassVar[str] = "duplicates"
    needs_refit: ClassVar[str] = "new rows were not compared with any other"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("near_duplicate", "a near-duplicate of it is kept"),)

    same: Columns | None = Field(default=None, description="columns whose equal values link rows")
    within: Span | None = Field(
        default=None, description="largest difference of times in `same`, such as 1 minute; a number means seconds"
    )
    vectors: Column | None = Field(default=None, description="column of vectors that are compared")
    above: float = Field(default=0.95, gt=0, le=1, description="least cosine that links two rows")
    method: Method = Field(default="auto", description="how vectors are compared")
    probes: float = Field(
        default=2, ge=1, le=16, description="cells: cells that a row is compared in, on average; widened for `recall`"
    )
    recall: Share = Field(default=0.99, description="cells: share of the pairs that are to be found, as measured")
    clusters: Column | None = Field(
        default=None, description="column of clusters: vectors are compared with those of the same cluster alone"
    )
    phash: Column | None = Field(default=None, description="column of hashes in 16 hex digits (phash) or 64 (pdq)")
    distance: int = Field(
        default=4, ge=0, le=31, description="most bits in which linked hashes differ; for hashes of 64 bits at most 16"
    )
    keep: Keep = Field(default="all", description="rows of a group that stay")
    by: Column | None = Field(default=None, description="keep: best: column of numbers or times, the highest is kept")
    into: Column = Field(default="duplicate_group", description="column to give")

    @model_validator(mode="after")
    def _fitting(self) -> NearDuplicates:
        if not (self.same or self.vectors or self.phash):
            raise ValueError("needs same, vectors or phash: give at least one")
        if self.within is not None and not self.same:
            raise ValueError("within is about a time in `same`")
        if (self.keep == "best") != (self.by is not None):
            raise ValueError("keep: best and by: COLUMN go together")
        if not self.vectors:
            about = [name for name in ("above", *_COMPARING, "clusters") if name in self.model_fields_set]
            if about and about != ["above"]:
                raise ValueError(f"{about[-1]} is about `vectors`: name their column")
            if self.keep in ("far", "near"):
                raise ValueError(f"keep: {self.keep} is about `vectors`: name their column")
        if self.clusters:
            unused = [name for name in _COMPARING if name in self.model_fields_set]
            if unused:
                raise ValueError(
                    f"{unused[0]} has no effect with `clusters`: all pairs of each are compared; remove it"
                )
            if self.keep in ("far", "near"):
                raise ValueError(
                    f"keep: {self.keep} is about cells that the step makes itself; with `clusters`, keep the row "
                    "farthest from its centroid by 'keep: best, by: cluster_distance', a column of `cluster`"
                )
        if self.into == UID:
            raise ValueError("'uid' names the rows; give the groups another column")
        return self

    def needs(self) -> tuple[str, ...]:
        named = (*(self.same or ()), self.vectors, self.clusters, self.phash, self.by, UID)
        return tuple(dict.fromkeys(name for name in named if name))

    def optional(self) -> tuple[str, ...]:
        return (SHA256,) if self.phash else ()

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        for name in self.same or ():
            dtype = given.field(name).type
            if not (is_groupable(dtype) or pa.types.is_temporal(dtype)):
                raise StepError(f"near_duplicates: '{name}' is of {dtype}; use strings, integers, booleans or times")
        if self.within is not None and len(self._times(given)) != 1:
            raise StepError(f"near_duplicates: 'within' needs one column of times among {', '.join(self.same or ())}")
        if self.vectors and not is_vector(given.field(self.vectors).type):
            raise StepError(f"near_duplicates: '{self.vectors}' holds no vectors")
        if self.clusters:
            check_groupable(self.verb, given, (self.clusters,))
        if self.phash and not is_text(given.field(self.phash).type):
            raise StepError(f"near_duplicates: '{self.phash}' holds no text; `hash` gives hashes of 16 hex digits")
        if self.by:
            check_orderable(self.verb, given, self.by)
        return [pa.field(self.into, pa.string())]

    def _times(self, given: pa.Schema) -> list[str]:
        return [name for name in self.same or () if pa.types.is_timestamp(given.field(name).type)]

    def fit(self, frame: Frame, context: Context) -> State:
        with ExitStack() as files:
            return self._fit(frame, context, files)

    def _fit(self, frame: Frame, context: Context, files: ExitStack) -> State:
        compared = VectorLinks.of(frame, context, self) if self.vectors else None
        hashed = count_hashes(frame, self.phash, self.distance) if self.phash else HashCount()
        rows = compared.count if compared else hashed.rows or count_rows(frame)
        linked = [compared.find(files)] if compared else []
        if self.same or self.phash:
            linked.append(linked_rows(frame, self._value_links(frame, rows, hashed)))
        uids = pc.unique(pa.chunked_array([one.uids for one in linked]))
        names = list(dict.fromkeys(name for name in (UID, self.by, self.phash) if name))
        table = pa.table({UID: uids.take(pc.sort_indices(uids))}) if names == [UID] else collect(frame, names, uids)
        links, values = Links(len(table)), {"rows": rows, "unhashed": hashed.rows - hashed.hashed}
        for one in linked:
            _link(links, table, one)
            values |= one.values
        hashes = parse_hashes(one_array(table.column(self.phash)), self.phash) if self.phash else None
        grouping = Grouping(frame, table, links.first(), self.keep, self.by, compared, hashes)
        return as_state(grouping, values)

    def _value_links(self, frame: Frame, rows: int, hashed: HashCount) -> Iterator[Pairs]:
        """Yield links of rows of equal values and close hashes; of rows without a hash, by equal files."""
        if self.same:
            time = self._times(frame.schema)[0] if self.within is not None else None
            alike = AlikeRows(tuple(name for name in self.same if name != time), time, self.within or 0)
            yield from equal_links(frame, alike, rows, "same")
        if self.phash:
            yield from hash_links(frame, self.phash, hashed, self.distance)
            if SHA256 in frame.schema.names and hashed.hashed < hashed.rows:
                yield from equal_links(frame, AlikeRows((SHA256,), unhashed=self.phash), rows, "files")

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.mapped[MEMBERS]
        uids = rows.column(UID).cast(pa.string())
        indices = once("lookup", table, _lookup_of).find(uids)
        groups = one_array(table.column("group")).take(pa.array(indices, mask=indices < 0)).cast(pa.string())
        drop = np.append(table.column("drop").to_numpy(), np.uint8(0))[indices]
        return Outcome({self.into: pc.coalesce(groups, uids)}, drop if self.keep != "all" else None)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        table = state.mapped[MEMBERS]
        found = table.filter(pc.equal(table.column(UID), pa.scalar(row[UID], table.schema.field(UID).type)))
        if not len(found):
            return "no near-duplicates"
        (mine,) = found.to_pylist()
        count = pc.sum(pc.equal(table.column("group"), found.column("group")[0])).as_py()
        text = f"one of {in_rows(count)} that are near-duplicates"
        if mine["twin"] == row[UID]:
            return text + (", and the one that is kept" if self.keep != "all" else "")
        likeness = [] if mine["cosine"] is None else [f"cosine {mine['cosine']:.4f}"]
        likeness += [] if mine["bits"] is None else [f"{mine['bits']} bits apart"]
        if self.vectors and mine["cosine"] is not None and mine["cosine"] < self.above and not self.same:
            likeness.append("linked through others")
        what = f"'{mine['twin']}'" + (", which is kept" if self.keep != "all" else ", the first of them")
        return f"{text}, of {what}" + (f" ({', '.join(likeness)})" if likeness else "")

    def learned(self, state: State) -> str:
        values = dict(state.values)
        members = f"{in_rows(values['members'])} of {values['rows']:,}"
        text = f"{members} are in {in_groups(values['groups'])} of near-duplicates"
        text += f", the largest of {in_rows(values['largest'])}" if values["largest"] else ""
        if values.get("unhashed"):
            text += f"; {in_rows(values['unhashed'])} without a hash that says something"
        if values.get("undirected"):
            text += f"; {in_rows(values['undirected'])} without a vector that has a direction"
            text += ", or without a cluster" if self.clusters else ""
        if self.clusters:
            text += f"; compared within the clusters of {self.clusters}"
        if values.get("method") == "cells":
            text += f"; {words(values, self.probes, self.recall)}"
        return f"{text}; one of each kept" if self.keep != "all" else text


def _link(links: Links, table: pa.Table, linked: Linked) -> None:
    """Add the links of vectors to those of the rows of a table."""
    row = ValueIndex(one_array(table.column(UID))).find(linked.uids)
    links.add(row[linked.left], row[linked.right])


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(one_array(table.column(UID)))
