"""remove: drop the rows that a list of tombstones names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from poolwright.core.columns import PHASH, SHA256, UID, is_text
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, exactly_one
from poolwright.core.pool import Place
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.selection.lookup import ValueIndex, plain
from poolwright.steps.choose.tombstones import read_tombstones

TOMBSTONES = "tombstones"
_HEX = (SHA256, PHASH)


def _as_texts(value: Any) -> Any:
    value = [value] if isinstance(value, str | int) else value
    return tuple(str(entry) for entry in value) if isinstance(value, list | tuple) else value


class Remove(Step):
    """Drop the rows whose uid, URL or hash is on a list: opt-outs, takedowns, leaked test images.

    The list is in the recipe (`ids`) or in a file: text with one entry per line, csv, parquet, or npy
    (strings, integers, or DataComp's uids of two uint64). Hashes are compared in lower case. The list is the state,
    so that a release records which rows may not come back.
    """

    verb: ClassVar[str] = "remove"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "remove: {ids: [b-17, b-23], by: uid}"
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("removed", "on the list of rows to remove"),)

    ids: Annotated[tuple[str, ...], BeforeValidator(_as_texts)] | None = Field(
        default=None, description="the entries themselves"
    )
    file: Place | None = Field(default=None, description="file with the entries: txt, csv, parquet or npy")
    by: Column = Field(default=UID, description="column that is compared: uid, url, sha256, phash or another")
    column: Column | None = Field(
        default=None, description="column of a csv or parquet file; default: the name in `by`"
    )

    @model_validator(mode="after")
    def _one_list(self) -> Remove:
        exactly_one(self, "ids", "file")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.by,)

    def files(self) -> tuple[str, ...]:
        return (self.file,) if self.file else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.file is not None and "://" not in self.file and not os.path.isfile(self.file):
            raise StepError(f"remove: there is no file {self.file}; name a txt, csv, parquet or npy file")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        dtype = given.field(self.by).type
        if not (is_text(dtype) or pa.types.is_integer(dtype)):
            raise StepError(f"remove: '{self.by}' is {dtype}; entries are strings or integers")
        return []

    def fit(self, frame: Frame, context: Context) -> State:
        if self.ids is not None:
            entries = pa.array(self.ids, pa.string())
        else:
            entries = read_tombstones(str(self.file), self.column or self.by)
        entries = pc.unique(pc.drop_null(self._normal(entries)))
        entries = entries.take(pc.sort_indices(entries))
        return State({"by": self.by, "entries": len(entries)}, {TOMBSTONES: pa.table({self.by: entries})})

    def _normal(self, values: pa.Array) -> pa.Array:
        values = plain(values).cast(pa.string())
        return pc.utf8_lower(values) if self.by in _HEX else values

    def apply(self, rows: Rows, state: State) -> Outcome:
        lookup = once("lookup", state.tables[TOMBSTONES], _lookup_of)
        found = lookup.find(self._normal(rows.column(self.by))) >= 0
        return Outcome(drop=found.astype(np.uint8))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value = row.get(self.by)
        text = pa.array([None if value is None else str(value)], pa.string())
        drop = self.apply(Rows(pa.table({self.by: text})), state).drop
        there = drop is not None and bool(drop[0])
        return f"{self.by} = {value}: {'on' if there else 'not on'} the list of {state.values['entries']:,}"

    def learned(self, state: State) -> str:
        count = state.values["entries"]
        return f"a list of {count:,} {'entry' if count == 1 else 'entries'} of {self.by}"


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(table.column(0).combine_chunks())
