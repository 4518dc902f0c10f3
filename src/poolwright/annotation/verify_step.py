"""The step verify: asks people about rows, waits for their answers, and keeps the rows that they verify."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from poolwright.annotation.answers import CLASSES
from poolwright.annotation.asking_step import AskingStep
from poolwright.annotation.candidates import is_one_of
from poolwright.annotation.certificate import certificate_of_step, in_json
from poolwright.annotation.deciding.judging import Terms
from poolwright.annotation.deciding.rules import Rule
from poolwright.annotation.outcome import decided, describe_row, learned, measured
from poolwright.annotation.queue.queue import CERTIFICATE
from poolwright.core.columns import UID
from poolwright.core.documents import DOCUMENTS
from poolwright.core.frame import Context, Frame
from poolwright.core.params import Column, Share
from poolwright.core.rows import Rows, one_array
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason
from poolwright.kernels.selection.groups import check_groupable, lacks_value
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.kernels.selection.ranks import check_orderable

ROWS = "rows"
VERIFIED_BY = "verified_by"
VERIFIED_CLASSES = "verified_classes"


class Verify(AskingStep):
    """Ask people whether rows are of their class, and keep those that they verify; the run waits for their answers.

    Writes sheets to `RUN/verify/TABLE/sheets/`, and reads the files in `RUN/verify/TABLE/verdicts/`. As long as
    answers are missing, the run stops with exit status 3 and reports what it waits for; run again, it continues. See
    docs/verification.md for the formats of sheets and answers, and for the page of instructions.

    With `precision`, a class and bucket is done as soon as acceptance sampling shows that enough of it is right: its
    other rows are kept unseen; a class that is not good enough is verified in full; see
    `annotation/deciding/judging.py`.

    With `keep`, the first `keep` verified rows of each class and bucket are kept, in the order of `by`; once it has
    them, nobody is asked about more of its rows. Each annotator has one vote per row, their last. Rules: `agree`, all
    verdicts are the same; `majority`, most of them are; `dawid_skene`, votes are weighted by the estimated reliability
    of each annotator. A verdict of somebody in `reviewers` replaces those of the others on a row on which they differ.

    With `answer: classes` people name all classes that they see. A row is of its class if that is among them, and the
    rule decides about every class by itself: those that a row shows are the column `verified_classes`.

    State: the votes and the decision on each candidate, without names; how far people agree with each other; the
    digests of the files of answers.
    """

    verb: ClassVar[str] = "verify"
    kind: ClassVar[Kind] = "choose"
    example: ClassVar[str] = (
        "verify: {class: label, bucket: year, by: similarity, keep: 150, annotators: 3, rule: majority}"
    )
    reasons: ClassVar[tuple[Reason, ...]] = (
        Reason("no_group", "no value in the class or bucket column"),
        Reason("rejected", "people say that it is not of its class"),
        Reason("unsure", "people are unsure of its class, or do not agree"),
        Reason("not_needed", "enough rows of its class were verified before it"),
        Reason("no_verdict", "nobody gave a verdict on it"),
        Reason("rejected_on_review", "people differ, and a reviewer says that it is not of its class"),
    )

    unasked: tuple[str, ...] = Field(
        default=(), description="classes whose rows are kept without asking anybody, such as [BACKGROUND]"
    )
    bucket: Column | None = Field(default=None, description="column that divides classes into parts with a `keep` each")
    by: Column | None = Field(
        default=None, description="column to order by, the highest first, such as similarity; default by hash"
    )
    keep: int | None = Field(default=None, ge=1, description="verified rows of a class and bucket to keep; default all")
    precision: Share | None = Field(
        default=None, description="a class and bucket is done when this share of it is shown to be right, such as 99%"
    )
    confidence: Share = Field(default=0.95, description="for precision: confidence level at which it is to be shown")
    rule: Rule = Field(default="agree", description="how their answers are combined")
    probability: Share = Field(
        default=0.5, description="for dawid_skene: minimum probability that a kept row is of its class"
    )

    reviewers: tuple[str, ...] = Field(
        default=(),
        description="people whose verdict decides about rows on which others differ; rows that `rule` cannot decide "
        "wait for it. Recipes are released, and these names with them",
    )

    @model_validator(mode="after")
    def _fitting(self) -> Verify:
        if self.unasked and self.class_ is None:
            raise ValueError("unasked names classes, and there is no column of the class")
        if not all(name.strip() for name in self.reviewers):
            raise ValueError("reviewers has an empty name")
        if self.rule == "dawid_skene" and self.annotators < 2:
            raise ValueError("rule: dawid_skene compares people; it needs annotators: 2 or more")
        if self.rule != "dawid_skene" and "probability" in self.model_fields_set:
            raise ValueError("probability is for rule: dawid_skene")
        if self.precision is not None:
            self._check_precision(self.precision)
        elif "confidence" in self.model_fields_set:
            raise ValueError("confidence is for precision")
        return self

    def _check_precision(self, precision: float) -> None:
        if not 0.5 <= precision < 1 or not 0.5 < self.confidence < 1:
            raise ValueError("precision and confidence must be between 50% and 100%, such as 99% and 95%")
        for name in ("keep", "by", "at_once"):
            if getattr(self, name) is not None:
                raise ValueError(f"precision needs rows in random order and keeps all of them; leave out {name}")
        if self.partial:
            raise ValueError("precision decides when there are enough answers; leave out partial")
        if self.rule == "dawid_skene":
            raise ValueError("precision needs decisions that later verdicts do not change; use rule: agree or majority")

    @property
    def group(self) -> tuple[str, ...]:
        """Columns of the groups that `keep` counts in."""
        return tuple(name for name in (self.class_, self.bucket) if name)

    @property
    def terms(self) -> Terms:
        """Terms by which rows are verified."""
        return Terms(
            rule=self.rule,
            probability=self.probability,
            annotators=self.annotators,
            keep=self.keep,
            precision=self.precision,
            confidence=self.confidence,
            partial=self.partial,
            reviewers=self.reviewers,
        )

    def needs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.group, *([self.by] if self.by else []), UID)))

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        check_groupable(self.verb, given, self.group)
        if self.by:
            check_orderable(self.verb, given, self.by)
        self.check_words()
        classes = [pa.field(VERIFIED_CLASSES, pa.list_(pa.string()))] if self.answer == CLASSES else []
        return [pa.field(VERIFIED_BY, pa.int32()), *classes]

    def fit(self, frame: Frame, context: Context) -> State:
        candidates, form, found = self.ask(frame, context, self.by, self.unasked)
        values = {"rule": self.rule, **measured(found, self.precision is not None)}
        document = certificate_of_step(found, form)
        about = "rows verified by people and the conclusions, per class: counts, errors, bounds, agreement; no names"
        values[DOCUMENTS] = self.keep_files(context, "certificate", about, {CERTIFICATE: in_json(document)})
        values[DOCUMENTS] += self.keep_instructions(context)
        return State(values, {ROWS: decided(candidates, found, form.terms if form.several else None)})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[ROWS]
        positions = once("lookup", table, _lookup_of).find(rows.column(UID).cast(pa.string()))
        drop = np.append(table.column("drop").to_numpy(), np.uint8(5))[positions].astype(np.uint8)
        drop[self._unasked(rows)] = 0
        drop[lacks_value(rows, self.group)] = 1
        at = pa.array(positions, mask=positions < 0)
        columns = {VERIFIED_BY: one_array(table.column("yes")).take(at)}
        if self.answer == CLASSES:
            columns[VERIFIED_CLASSES] = one_array(table.column(CLASSES)).take(at)
        return Outcome(columns, drop)

    def _unasked(self, rows: Rows) -> np.ndarray:
        """Return which rows are of a class that nobody is asked about: bool (n,)."""
        return is_one_of(rows.column(self.class_), self.unasked) if self.class_ else np.zeros(len(rows), np.bool_)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        if self.class_ and row.get(self.class_) in self.unasked:
            return "nobody is asked about its class"
        table = state.tables[ROWS]
        position = once("lookup", table, _lookup_of).find(pa.array([row.get(UID)], pa.string()))[0]
        if position < 0:
            return "not a candidate when people were asked"
        return describe_row(table.slice(position, 1).to_pylist()[0], self.keep)

    def learned(self, state: State) -> str:
        return learned(state.values)


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(one_array(table.column(UID)))
