"""join: columns of another pool, table or file, brought onto the rows that have the same key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from poolwright.core.columns import IMAGE, UID
from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, Frame, OtherRows
from poolwright.core.params import Column, Columns
from poolwright.core.roles import JoiningStep, KeyedStep
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.lookup.key_index import KeyIndex, key_kind, take_or_null
from poolwright.kernels.selection.lookup.met import Met, NothingMet
from poolwright.kernels.selection.lookup.value_index import as_plain, plain
from poolwright.steps.describe.columns.other_rows import OtherColumns, OtherReader, few_keys
from poolwright.steps.describe.columns.sorted_rows import HASH, KEY, VALUE, sort_rows
from poolwright.steps.other_sources import is_file, resolved

ROWS = "rows"
_IMAGE = "image name"
"""Name of the column `image` of a file: there it is no picture but the name of one."""


def _pairs(value: Any) -> Any:
    """'uid' and [uid, year] as {uid: uid, year: year}."""
    names = [value] if isinstance(value, str) else value
    if isinstance(names, list | tuple):
        if len(set(map(str, names))) < len(names):
            raise ValueError("a column is named twice")
        return {name: name for name in names}
    return value


Pairs = Annotated[
    dict[Column, Column],
    BeforeValidator(_pairs),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
                {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
            ]
        }
    ),
]


class Join(JoiningStep, KeyedStep):
    """Bring columns of another pool, table or file onto the rows that have the same key: labels, scores, splits.

    The other rows are a pool or a table of the recipe, or a file of rows, which is read as the pool `table` reads it:
    whatever has a '/' or an ending such as .csv is a file. They become part of what the table is made from.

    Keys are compared exactly: 007 is not 7, and a null is equal to nothing. Texts are compared with texts and integers
    with integers; a step refuses to compare '1' with 1. Each row gets the values of one other row at most: if a key
    occurs there with different values, that is an error, which names some; rows that repeat a key with the same values
    count as one. Names of classes come as names. Well-known columns get their types.

    A row whose key no other row has is kept with nulls, or dropped. Both kinds of rows without a match are counted.
    The other rows are sorted on disk, and read from there as they are needed, so that there may be more of them than
    fit in memory. `check` looks up the keys of the first 1,000 rows, if the other rows are few, and says how many have
    one; if it does not, it says that this is not known before the run.

    State: the other rows, each key once, with the columns that were asked for.
    """

    model_config = ConfigDict(populate_by_name=True)

    verb: ClassVar[str] = "join"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = (
        "join: {with: annotations, on: uid, columns: {class: label, confidence: score}, missing: drop}"
    )
    fits_rows: ClassVar[bool] = True
    reasons: ClassVar[tuple[Reason, ...]] = (Reason("no_match", "no row that is joined has its key"),)

    with_: Annotated[str, AfterValidator(resolved)] = Field(
        alias="with",
        description="pool or table of the recipe, or a file: .parquet, .csv, .tsv or .jsonl, text also packed",
    )
    on: Pairs = Field(
        default={UID: UID}, description="key: a column that both have, a list, or {column here: column there}"
    )
    columns: Pairs = Field(description="columns to bring: a list of names, or {name here: name there}")
    missing: Literal["keep", "drop"] = Field(
        default="keep", description="rows whose key no other row has: kept with nulls, or dropped"
    )
    replace: Columns | None = Field(default=None, description="columns here that may be replaced; default: none")
    types: dict[str, str] = Field(
        default_factory=dict, description="Arrow type by column of a CSV, TSV or JSON Lines file, such as {id: string}"
    )

    _known: pa.Schema | None = PrivateAttr(default=None)
    """Types of the other rows: keys under `KEY` and their name there, values under `VALUE` and their name here."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.types and not is_file(self.with_):
            raise ValueError(f"'types' are about a file; give those of '{self.with_}' to the pool itself")
        if UID in self.columns:
            raise ValueError("'uid' names the rows; give the column another name: {other_uid: uid}")
        if len(set(self.on.values())) < len(self.on):
            raise ValueError("'on' compares two columns with one; name each column there once")
        unused = sorted(set(self.replace or ()) - set(self.columns))
        if unused:
            raise ValueError(f"'replace' names '{unused[0]}', which is not among 'columns'")
        return self

    def needs(self) -> tuple[str, ...]:
        return tuple(self.on)

    def other(self) -> str | Mapping[str, Any]:
        if not is_file(self.with_):
            return self.with_
        names = self._wanted.names
        columns = {name: IMAGE if name == _IMAGE else name for name in names if name != UID}
        parameters: dict[str, Any] = {"read": "table", "path": self.with_, "columns": columns, "keep": list(columns)}
        if UID not in names:
            parameters[UID] = "row"
        return {**parameters, "types": self.types} if self.types else parameters

    @property
    def _wanted(self) -> OtherColumns:
        return OtherColumns(self._name, tuple(self._there(self.on).values()), self._there(self.columns))

    def _there(self, pairs: Mapping[str, str]) -> dict[str, str]:
        """Return pairs with the names that the other rows have as they are read."""
        image = _IMAGE if is_file(self.with_) else IMAGE
        return {here: image if there == IMAGE else there for here, there in pairs.items()}

    def knowing(self, other: OtherRows) -> Self:
        return self._with(self._wanted.types(other.schema))

    def recalling(self, state: State) -> Self:
        return self._with(pa.schema([one for one in state.mapped[ROWS].schema if one.name != HASH]))

    def _with(self, known: pa.Schema) -> Self:
        step = self.model_copy()
        step._known = known
        return step

    @property
    def _name(self) -> str:
        """The other rows, as messages name them."""
        return PurePath(self.with_).name if is_file(self.with_) else f"'{self.with_}'"

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        if self._known is None:
            raise StepError(f"join: the columns of {self._name} are not known here")
        for here, there in self._there(self.on).items():
            self._check_kinds(given.field(here), self._known.field(KEY + there), there)
        taken = [name for name in self.columns if name in given.names and name not in (self.replace or ())]
        if taken:
            raise StepError(
                f"join: the rows have {some(taken)} already; bring them under other names, columns: "
                f"{{their_{taken[0]}: {self.columns[taken[0]]}}}, or say that they replace: [{', '.join(taken)}]"
            )
        values = [one for one in self._known if one.name.startswith(VALUE)]
        return [one.with_name(one.name.removeprefix(VALUE)) for one in values]

    def _check_kinds(self, here: pa.Field, there: pa.Field, name: str) -> None:
        kind, other = key_kind(here.type), key_kind(there.type)
        if kind is None or other is None:
            column, dtype = (here.name, here.type) if kind is None else (name, there.type)
            raise StepError(f"join: '{column}' is {dtype}; keys are texts, integers or truth values")
        if kind != other:
            typed = f"types: {{{name}: {'string' if kind == 'text' else 'int64'}}}"
            advice = f"write {typed}" if is_file(self.with_) else f"give '{name}' its type in the pool, {typed},"
            raise StepError(
                f"join: '{here.name}' is {kind} ({here.type}) and '{name}' of {self._name} is {other} ({there.type}), "
                f"which are never equal; {advice} or make a column of the same type first with `derive`"
            )

    def foresee(self, rows: Rows, other: OtherRows | None) -> str | None:
        names = list(self._there(self.on).values())
        keys = few_keys(other, names) if other is not None else None
        if keys is None:
            return None
        here = list(zip(*(plain(rows.column(name)).to_pylist() for name in self.on), strict=True))
        met = sum(key in keys for key in here if None not in key)
        words = f"{met:,} have their key in {self._name}, which has {len(keys):,}"
        if met or not keys or not here:
            return words
        there, row = (", ".join(map(repr, key)) for key in (next(iter(keys)), here[0]))
        return f"{words}, such as {there}; a row has {row}"

    def fit(self, frame: Frame, context: Context) -> State:
        other = context.other()
        reader = OtherReader(self._wanted, other)
        table, repeats = sort_rows(reader.tables(), reader.schema, context.work)
        if repeats.differing:
            raise InputError(reader.differing(repeats))
        met = frame.fold(list(self.on), NothingMet(len(table)), _Meet(self, table), Met.merge)
        values = {"with": self._name, "on": self.on, "missing": self.missing, "rows": met.rows, "matched": met.matched}
        values |= {"other_rows": reader.rows, "without_key": reader.without_key, "repeated": repeats.equal}
        return State({**values, "unmet": int((~met.there).sum())}, mapped={ROWS: table})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.mapped[ROWS]
        found = _find(self, rows, table)
        names = [name for name in table.column_names if name.startswith(VALUE)]
        columns = {name.removeprefix(VALUE): take_or_null(table.column(name), found) for name in names}
        return Outcome(columns, (found < 0).astype(np.uint8) if self.missing == "drop" else None)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        table = state.mapped[ROWS]
        keys = {
            here: _key_of(row.get(here), table.schema.field(KEY + there).type)
            for here, there in self._there(self.on).items()
        }
        shown = ", ".join(f"{here} = {row.get(here)}" for here in self.on)
        if _find(self, Rows(pa.table(keys)), table)[0] >= 0:
            return f"{shown}: in {state.values['with']}"
        null = any(row.get(here) is None for here in self.on)
        return f"{shown}: " + ("no key" if null else f"not in {state.values['with']}")

    def learned(self, state: State) -> str:
        values = state.values
        left = values["rows"] - values["matched"]
        text = f"{values['matched']:,} of {in_rows(values['rows'])} found in {values['with']} by {', '.join(self.on)}"
        if left:
            text += f", {left:,} not: {'dropped' if values['missing'] == 'drop' else 'kept with nulls'}"
        text += f"; {values['unmet']:,} of its {in_rows(values['other_rows'])} met none"
        text += f", {values['repeated']:,} repeat a key with the same values" if values["repeated"] else ""
        return text + (f", {values['without_key']:,} have no key" if values["without_key"] else "")


@dataclass(frozen=True)
class _Meet:
    """Notes which of the other rows are met by a batch of rows."""

    step: Join
    table: pa.Table

    def __call__(self, met: Met, rows: Rows) -> Met:
        return met.add(_find(self.step, rows, self.table))


def _find(step: Join, rows: Rows, table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the other row of each row: int64 (n,), -1 for none.

    Raises:
        StepError: a key is of another kind than it was when the others were read.
    """
    index = once("keys", table, _index_of)
    keys = []
    for (here, there), dtype in zip(step.on.items(), index.types, strict=True):
        column = plain(rows.column(here))
        if key_kind(column.type) != key_kind(dtype):
            raise StepError(f"join: '{here}' is {column.type}, and was joined with '{there}', which is {dtype}")
        keys.append(column if column.type == dtype else as_plain(column, dtype))
    return index.find(keys)


def _index_of(table: pa.Table) -> KeyIndex:
    keys = [name for name in table.column_names if name.startswith(KEY)]
    return KeyIndex(table.column(HASH), [table.column(name) for name in keys])


def _key_of(value: Any, dtype: pa.DataType) -> pa.Array:
    """Return one key as an array; null if it cannot be one of this type."""
    try:
        return pa.array([value], dtype)
    except (pa.ArrowException, OverflowError, TypeError):
        return pa.nulls(1, dtype)
