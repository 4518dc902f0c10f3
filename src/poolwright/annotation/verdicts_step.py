"""The step verdicts: keeps the rows that people judged, with their verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, WithJsonSchema

from poolwright.annotation.exchange.read_answers import verdict_file
from poolwright.annotation.verdicts import MEANINGS, Verdict, Words, merge
from poolwright.core.columns import UID
from poolwright.core.errors import InputError, StepError
from poolwright.core.frame import Context, Frame
from poolwright.core.pool import PathOrUrl
from poolwright.core.remote.files import local_file
from poolwright.core.remote.listing import is_file
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.core.wording import counted, some
from poolwright.kernels.selection.lookup.value_index import ValueIndex

VERDICT = "verdict"
JUDGED = "judged"


def _as_files(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Files = Annotated[
    tuple[PathOrUrl, ...],
    BeforeValidator(_as_files),
    Field(min_length=1),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}),
]


class Verdicts(Step):
    """Keep the rows that people judged, with the column `verdict`: positive, negative or unsure.

    Reads sheets as they were filled in (csv, jsonl, exports of Label Studio; see docs/verification.md). Each
    annotator has one vote per row, the last; the majority decides, ties are unsure. Rows without a verdict are
    dropped.
    """

    verb: ClassVar[str] = "verdicts"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = "verdicts: {path: sheet.csv, words: {map: positive, other: negative}}"
    labelled_by: ClassVar[Literal["", "model", "people"]] = "people"
    shorthand: ClassVar[str | None] = "path"
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_verdict", "nobody gave a verdict on it"),
        Reason("other_verdict", "its verdict is not a wanted one"),
    )

    path: Files = Field(description="one or more filled-in sheets or exports")
    words: dict[str, str] = Field(
        default_factory=dict, description="meanings of further words, such as {map: positive, other: negative}"
    )
    field: str = Field(
        default=VERDICT,
        min_length=1,
        description="name of the field that has the verdicts: a column, a key, a control of Label Studio, an answer of "
        "Mechanical Turk",
    )
    only: tuple[str, ...] = Field(default=MEANINGS, min_length=1, description="verdicts of the rows to keep")

    def needs(self) -> tuple[str, ...]:
        return (UID,)

    def files(self) -> tuple[str, ...]:
        return self.path

    def check_files(self, given: pa.Schema) -> None:
        for path in self.path:
            if not is_file(path):
                raise StepError(f"verdicts: there is no file {path}; `poolwright audit` writes a sheet to fill in")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        try:
            Words(self.words)
        except InputError as error:
            raise StepError(f"verdicts: {error}") from None
        wrong = [meaning for meaning in self.only if meaning not in MEANINGS]
        if wrong:
            raise StepError(f"verdicts: 'only' names '{wrong[0]}'; verdicts are {', '.join(MEANINGS)}")
        return [pa.field(VERDICT, pa.string())]

    def fit(self, frame: Frame, context: Context) -> State:
        read = [verdict_file(local_file(path), self.words, field=self.field) for path in self.path]
        given: list[Verdict] = [one for file in read for one in file.answers]
        merged = merge(given)
        table = pa.table({UID: pa.array(list(merged), pa.string()), VERDICT: pa.array(merged.values(), pa.string())})
        counts = {meaning: list(merged.values()).count(meaning) for meaning in MEANINGS}
        annotators = len({verdict.annotator for verdict in given})
        values = {"rows": len(merged), "verdicts": len(given), "annotators": annotators, **counts}
        return State({**values, "read": [file.found for file in read]}, {JUDGED: table})

    def apply(self, rows: Rows, state: State) -> Outcome:
        judged = state.tables[JUDGED]
        positions = once("lookup", judged, _lookup_of).find(rows.column(UID).cast(pa.string()))
        known = positions >= 0
        found = one_array(judged.column(VERDICT)).take(pa.array(positions, mask=~known))
        wanted = pc.is_in(found, value_set=pa.array(self.only)).to_numpy(zero_copy_only=False)
        drop = np.where(known, np.where(wanted, 0, 2), 1).astype(np.uint8)
        return Outcome({VERDICT: found}, drop)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        return f"verdict: {row[VERDICT]}" if row.get(VERDICT) else ""

    def learned(self, state: State) -> str:
        counts = ", ".join(f"{state.values[meaning]:,} {meaning}" for meaning in MEANINGS if state.values[meaning])
        people = state.values["annotators"]
        read = f" (read {some(state.values['read'], 5)})" if state.values.get("read") else ""
        by = counted(people, "person", "people")
        return f"{state.values['rows']:,} rows by {by}: {counts or 'none'}{read}"


def _lookup_of(judged: pa.Table) -> ValueIndex:
    return ValueIndex(one_array(judged.column(UID)))
