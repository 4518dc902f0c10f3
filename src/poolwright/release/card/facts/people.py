"""Sum up the work of people on the tables of a release, from the states of the steps that asked them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from poolwright.core.documents import DOCUMENTS, FOLDER
from poolwright.core.table import StepRecord, Table
from poolwright.core.wording import counted
from poolwright.release.lineage import Lineage

CERTIFICATE = "certificate"
"""The document of a step that says what people verified and concluded, by group."""


@dataclass(frozen=True)
class HumanWork:
    """The verdicts that one step of a table used.

    Attributes:
        table: name of the table.
        step: the step, as it is called in texts.
        question: what people were asked, if the recipe says so.
        learned: what the step learned, with the agreement if several people saw the same rows.
        people: number of people; 0 if it is not known.
        verdicts: number of verdicts.
        rows: rows that have a verdict or were candidates.
        certificate: what was verified and concluded; empty if the step does not certify that.
    """

    table: str
    step: str
    question: str
    learned: str
    people: int
    verdicts: int
    rows: int
    certificate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """The people and their verdicts, in words."""
        who = counted(self.people, "person", "people") if self.people else "people"
        return f"{who}, {counted(self.verdicts, 'verdict')} on {counted(self.rows, 'row')}"


def work_of_people(family: Lineage) -> tuple[HumanWork, ...]:
    """Return the work of people on the tables of a lineage, without steps that came with another release."""
    return tuple(_work(family))


def _work(family: Lineage) -> Iterator[HumanWork]:
    for table, record in zip(family.tables, family.records, strict=True):
        for step in record.steps:
            if step.labelled_by == "people" and not step.released:
                values = _values(table, step)
                yield HumanWork(
                    table=table.name,
                    step=f"{step.verb}, step {step.index + 1} of table {table.name}",
                    question=str(step.parameters.get("question") or ""),
                    learned=step.learned,
                    people=int(values.get("annotators", 0)),
                    verdicts=int(values.get("verdicts", 0)),
                    rows=int(values.get("candidates", values.get("rows", 0))),
                    certificate=_certificate(table, values),
                )


def _values(table: Table, step: StepRecord) -> dict[str, Any]:
    path = table.folder / "states" / f"{step.state_name}.json"
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["values"] if path.exists() else {}
    return values


def _certificate(table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    for document in values.get(DOCUMENTS, ()):
        if document["name"].startswith(CERTIFICATE):
            (name,) = document["files"]
            path = table.folder / FOLDER / document["name"] / name
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {}
