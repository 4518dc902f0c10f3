"""The step selection_frequency: asks several people about every row, and gives the share of them who picked it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.annotation.asking_step import AskingStep
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.outcome import agreement_in_words, gathered
from poolwright.annotation.verdicts import MEANINGS, POSITIVE
from poolwright.core.columns import UID, described
from poolwright.core.documents import DOCUMENTS
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome
from poolwright.core.wording import counted
from poolwright.core.wording import rows as in_rows
from poolwright.kernels.selection.groups import check_groupable
from poolwright.kernels.selection.lookup.value_index import ValueIndex

JUDGED = "judged"
PICKED, JUDGES = "picked", "judges"


class SelectionFrequency(AskingStep):
    """Give every row the share of its judges who picked it, after asking several people about it.

    People are asked as by `verify`: on the pages of the studio, where the pictures of a class are a grid, on sheets,
    or by Mechanical Turk; finished answers come in the files of `verdicts`. The run waits until `annotators` people
    judged each row; with `partial` it continues with what there is. All rows are kept.

    The frequency is the number of people who say that a row is of its class over the number of all who gave a verdict
    on it, also that they are unsure. Each annotator has one verdict per row, their last; a skip is none. A row that
    nobody judged, or that has no class, has no frequency (null). ImageNetV2 was chosen by such frequencies (Recht et
    al. 2019, arXiv 1902.10811).

    State: per row the number of people who judged and who picked it, without names; how far people agree with each
    other; the digests of the files of answers.
    """

    verb: ClassVar[str] = "selection_frequency"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "selection_frequency: {class: label, annotators: 10, verdicts: [judged.csv]}"

    into: Column = Field(default="selection_frequency", description="column to give: shares from 0 to 1")
    judges: Column = Field(default=JUDGES, description="column to give: the number of people who judged the row")

    @model_validator(mode="after")
    def _two_columns(self) -> SelectionFrequency:
        if self.into == self.judges or UID in (self.into, self.judges):
            raise ValueError("'into' and 'judges' need two names, and neither may be 'uid'")
        return self

    @property
    def terms(self) -> Terms:
        """Terms by which rows are judged: by this many people, whatever they say."""
        return Terms(rule="majority", annotators=self.annotators, partial=self.partial)

    def needs(self) -> tuple[str, ...]:
        return (*self.group, UID)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.group)
        self.check_words()
        share, number = pa.field(self.into, pa.float64()), pa.field(self.judges, pa.int32())
        return [
            described(share, "Share of the people who judged the row who say that it is of its class"),
            described(number, "Number of people who judged the row"),
        ]

    def fit(self, frame: Frame, context: Context) -> State:
        candidates, _, found = self.ask(frame, context)
        votes = found.votes.counts()
        picked, judges = votes[:, MEANINGS.index(POSITIVE)], votes.sum(axis=1)
        table = pa.table(
            {
                UID: pa.array(candidates.uids, pa.string()),
                PICKED: picked.astype(np.int32),
                JUDGES: judges.astype(np.int32),
            }
        )
        fewer = int(((judges > 0) & (judges < self.annotators)).sum())
        values = {"rows": len(judges), "unjudged": int((judges == 0).sum()), "fewer": fewer, **gathered(found)}
        if documents := self.keep_instructions(context):
            values[DOCUMENTS] = documents
        return State(values, {JUDGED: table.sort_by(UID)})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[JUDGED]
        found = once("lookup", table, _lookup_of).find(rows.column(UID).cast(pa.string()))
        picked, judges = (np.append(table.column(name).to_numpy(), 0)[found] for name in (PICKED, JUDGES))
        share = pa.array(picked / np.maximum(judges, 1), pa.float64(), mask=judges == 0)
        return Outcome({self.into: share, self.judges: pa.array(judges, pa.int32())})

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        judges, share = row.get(self.judges), row.get(self.into)
        if not judges or share is None:
            return "nobody judged it"
        return f"{self.into} = {share:.3g}: picked by {round(share * judges):,} of {judges:,}"

    def learned(self, state: State) -> str:
        values, table = state.values, state.tables[JUDGED]
        people = values["annotators"]
        text = (
            f"{in_rows(values['rows'] - values['unjudged'])} judged, by {values['verdicts']:,} verdicts of "
            f"{counted(people, 'person', 'people')}"
        )
        if values["verdicts"]:
            picked = int(table.column(PICKED).to_numpy().sum())
            text += f"; picked in {picked / values['verdicts']:.1%} of them"
        if values["unjudged"]:
            text += f"; {in_rows(values['unjudged'])} that nobody judged"
        if values["fewer"]:
            text += f"; {in_rows(values['fewer'])} judged by fewer than {self.annotators:,}"
        if values["left_out"]:
            answers = counted(values["left_out"], "answer")
            text += f"; {answers} on other rows or classes left out"
        return text + agreement_in_words(values)


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(one_array(table.column(UID)))
