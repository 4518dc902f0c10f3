"""List the rows that were dropped on the way to a release, by table, step and reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.release.lineage import Lineage


@dataclass(frozen=True)
class DropCount:
    """Rows that one step of a table dropped for one reason; `bad` rows were broken rather than unwanted."""

    table: str
    verb: str
    reason: str
    rows: int
    bad: bool


def dropped_rows(family: Lineage) -> Iterator[DropCount]:
    """Yield the dropped rows of a lineage, in the order of tables and steps."""
    for record in family.records:
        known = {(reason.step, reason.name): reason for reason in record.reasons}
        for row in record.funnel:
            for name, count in row.dropped.items():
                reason = known.get((row.step, name))
                words, bad = (reason.words, reason.bad) if reason else (name, False)
                if count:
                    yield DropCount(record.name, row.verb, words, count, bad)
