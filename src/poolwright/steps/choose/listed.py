"""Steps that compare rows with a list of ids, URLs or hashes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from poolwright.core.columns import PDQ, PHASH, SHA256, UID, is_text
from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, Frame, OtherRows
from poolwright.core.params import Column, exactly_one
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.listing import is_file
from poolwright.core.roles import KeyedStep
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome
from poolwright.core.wording import counted, some
from poolwright.kernels.selection.lookup.met import Met, NothingMet
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.selection.spelling import as_spelled, loosely
from poolwright.steps.choose.read_list import KINDS, ListFile, read_list

LIST = "list"
_NAMED = 5  # entries that a message names
_COMPARED = 2_000_000
"""Rows that unmet entries are compared with at most: looking for those that come close takes 2 to 4 us per row."""
_CHEAP_BYTES = 16 << 20
"""Largest list that a check reads."""
_NONE = (0, "")
Close = dict[str, tuple[int, str]]


def _as_entries(value: Any) -> Any:
    return (value,) if isinstance(value, str | int | float) else value


def _as_entry(value: Any) -> Any:
    if not isinstance(value, str) and type(value) is not int:
        raise PydanticCustomError("string_type", "an entry is a text or an integer")
    return value


Entry = Annotated[str | int, BeforeValidator(_as_entry)]
Entries = Annotated[
    tuple[Entry, ...],
    BeforeValidator(_as_entries),
    WithJsonSchema(
        {"anyOf": [{"type": ["string", "integer"]}, {"type": "array", "items": {"type": ["string", "integer"]}}]}
    ),
]


class ListedStep(KeyedStep):
    """Compare the uid, URL, hash or another column of each row with a list, in the recipe or in a file."""

    kind: ClassVar[Kind] = "choose"
    fits_rows: ClassVar[bool] = True

    ids: Entries | None = Field(default=None, description="the entries themselves, texts in quotes")
    file: PathOrUrl | None = Field(
        default=None, description=f"file with the entries: {KINDS}, also packed (.gz, .bz2, .xz, .zst)"
    )
    by: Column = Field(default=UID, description="column that is compared: uid, url, sha256, phash or another")
    column: Column | None = Field(
        default=None, description="column of the file, if it has columns; default: the name in `by`"
    )
    strict: bool = Field(default=False, description="whether an entry that no row has is an error")

    @model_validator(mode="before")
    @classmethod
    def _path_as_file(cls, data: Any) -> Any:
        if isinstance(data, dict) and "path" in data and "file" not in data:
            return {("file" if name == "path" else name): value for name, value in data.items()}
        return data

    @model_validator(mode="after")
    def _one_list(self) -> ListedStep:
        exactly_one(self, "ids", "file")
        return self

    def drops(self, on_list: np.ndarray) -> np.ndarray:
        """Return `Outcome.drop` of rows: uint8 (n,), from whether they are on the list: bool (n,)."""
        raise NotImplementedError

    def needs(self) -> tuple[str, ...]:
        return (self.by,)

    def files(self) -> tuple[str, ...]:
        return (self.file,) if self.file else ()

    def check_files(self, given: pa.Schema) -> None:
        if self.file is not None and not is_file(self.file):
            raise StepError(f"{self.verb}: there is no file {self.file}; name a {KINDS} file")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        dtype = given.field(self.by).type
        if pa.types.is_integer(dtype):
            return []
        if not is_text(dtype):
            raise StepError(f"{self.verb}: '{self.by}' is {dtype}; entries are strings or integers")
        numbers = [str(entry) for entry in self.ids or () if isinstance(entry, int)]
        if numbers:
            raise StepError(
                f"{self.verb}: '{self.by}' is text, and {some(numbers)} no text; write ids in quotes: '{numbers[0]}'"
            )
        return []

    def foresee(self, rows: Rows, other: OtherRows | None) -> str | None:
        if self.file is not None and ("://" in self.file or os.path.getsize(self.file) > _CHEAP_BYTES):
            return None
        entries = _distinct(_spelled(self._listed().entries, self.by, pa.types.is_integer(rows.column(self.by).type)))
        met = int((_find(rows, self.by, pa.table({self.by: entries})) >= 0).sum())
        words = f"{met:,} are on the list of {len(entries):,}"
        if met or not len(entries):
            return words
        return f"{words}, such as {entries[0].as_py()!r}; a row has {str(rows.column(self.by)[0].as_py())!r}"

    def fit(self, frame: Frame, context: Context) -> State:
        listed = self._listed()
        integers = pa.types.is_integer(frame.schema.field(self.by).type)
        entries = _distinct(_spelled(listed.entries, self.by, integers))
        head = _distinct(_spelled(pa.array([listed.other], pa.string()), self.by, integers))
        head = head.filter(pc.invert(pc.is_in(head, value_set=entries)))
        # The only column has another name: if rows have that name, too, it is the first entry of a file without header.
        table = pa.table({self.by: pa.concat_arrays([head, entries])})
        found = frame.fold([self.by], NothingMet(table.num_rows), _Meet(table, self.by), Met.merge)
        met = found.there
        if listed.other and len(entries) and not met.any():
            raise InputError(
                f"{self.file}: has no column '{self.column or self.by}', and no entry of its only column "
                f"'{listed.other}' is the {self.by} of a row; name the column of the entries: column: NAME"
            )
        first = len(head) if len(head) and not met[0] else 0
        table, met = table.slice(first), met[first:]
        named = table.column(0).filter(pa.array(~met)).slice(0, _NAMED).combine_chunks()
        close = self._close(frame, named) if found.rows <= _COMPARED else {}
        return self._state(table, met, [f"'{text}'{close.get(text, _NONE)[1]}" for text in named.to_pylist()])

    def _close(self, frame: Frame, entries: pa.Array) -> Close:
        """Return what to say of rows that come close to entries that no row has."""
        if not len(entries):
            return {}
        columns = [self.by, *({UID} & set(frame.schema.names) - {self.by})]
        return frame.fold(columns, dict, _ComeClose(entries, tuple(loosely(entries)), self.by), _best)

    def _listed(self) -> ListFile:
        if self.ids is not None:
            return ListFile(pa.array([str(entry) for entry in self.ids], pa.string()))
        return read_list(str(self.file), self.column or self.by)

    def _state(self, entries: pa.Table, met: np.ndarray, unmet: Sequence[str]) -> State:
        count = int((~met).sum())
        more = ", ..." if count > len(unmet) else ""
        of = counted(len(met), "entry", "entries")
        words = f"{count:,} of {of} met no row: {', '.join(unmet)}{more}" if count else ""
        if words and self.strict:
            raise InputError(f"{self.verb}: {words}; correct the list, or leave out strict: true")
        values = {"by": self.by, "entries": len(met), "unmet": count, "words": words}
        return State(values, {LIST: entries.combine_chunks()})

    def apply(self, rows: Rows, state: State) -> Outcome:
        return Outcome(drop=self.drops(_find(rows, self.by, state.tables[LIST]) >= 0))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        value = row.get(self.by)
        text = pa.array([None if value is None else str(value)], pa.string())
        there = _find(Rows(pa.table({self.by: text})), self.by, state.tables[LIST])[0] >= 0
        return f"{self.by} = {value}: {'on' if there else 'not on'} the list of {state.values['entries']:,}"

    def learned(self, state: State) -> str:
        count = state.values["entries"]
        words = f"a list of {counted(count, 'entry', 'entries')} of {self.by}"
        return f"{words}; {state.values['words']}" if state.values["words"] else words


@dataclass(frozen=True)
class _Meet:
    """Notes which entries are met by a batch of rows."""

    table: pa.Table
    by: str

    def __call__(self, met: Met, rows: Rows) -> Met:
        return met.add(_find(rows, self.by, self.table))


@dataclass(frozen=True)
class _ComeClose:
    """Finds, for entries that no row has, what to say of a row that comes close: the best by its rank and words."""

    entries: pa.Array
    loose: tuple[pa.Array, ...]
    by: str

    def __call__(self, found: Close, rows: Rows) -> Close:
        return reduce(_best, ({text: close} for text, close in self._close(rows)), found)

    def _close(self, rows: Rows) -> Iterator[tuple[str, tuple[int, str]]]:
        if self.by != UID and UID in rows.schema.names:
            for text in self.entries.filter(pc.is_in(self.entries, value_set=rows.column(UID))).to_pylist():
                yield text, (0, f" (a uid, not a {self.by})")
        values = rows.column(self.by)
        texts = _spelled(values, self.by, pa.types.is_integer(values.type))
        for rank, (keys, wanted) in enumerate(zip(loosely(texts), self.loose, strict=True), start=1):
            here = pc.and_(pc.is_in(keys, value_set=wanted), pc.greater(pc.utf8_length(keys), 0))
            for key, value in zip(keys.filter(here).to_pylist(), values.filter(here).to_pylist(), strict=True):
                yield self.entries[wanted.index(key).as_py()].as_py(), (rank, f" (a row has '{value}')")


def _best(one: Close, other: Close) -> Close:
    return one | {text: min(close, one.get(text, close)) for text, close in other.items()}


def _find(rows: Rows, by: str, table: pa.Table) -> np.ndarray:
    """Return the index of each row's entry: int64 (n,), -1 for rows that are not on the list."""
    values = rows.column(by)
    return once("lookup", table, _lookup_of).find(_spelled(values, by, pa.types.is_integer(values.type)))


def _spelled(values: pa.Array, by: str, integers: bool) -> pa.Array:
    texts = as_spelled(values, integers)
    return pc.utf8_lower(texts) if by in (SHA256, PHASH, PDQ) else texts


def _distinct(texts: pa.Array) -> pa.Array:
    """Return the distinct entries, in order."""
    entries = pc.unique(texts.filter(pc.fill_null(pc.not_equal(texts, ""), False)))
    return entries.take(pc.sort_indices(entries))


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(table.column(0).combine_chunks())
