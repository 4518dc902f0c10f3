"""Answer the fields of Croissant's RAI extension that the record of a release can answer.

https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html, version 1.0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from poolwright.core.table import TableRecord
from poolwright.release.card.facts.facts import Facts
from poolwright.release.card.markdown import counted


def responsible(facts: Facts) -> dict[str, Any]:
    """Return the fields with an answer; what only the author knows comes from the recipe."""
    said = facts.about.datasheet
    return {
        "rai:dataCollection": " ".join(_collection(facts)),
        "rai:dataCollectionRawData": ", ".join(f"{name}: {counted(n, 'row')}" for name, n in facts.sources.items()),
        "rai:dataCollectionMissingData": facts.missing_words,
        "rai:dataPreprocessingProtocol": [words for record in facts.family.records for words in _steps(record)],
        "rai:dataManipulationProtocol": facts.changed,
        "rai:dataAnnotationProtocol": "; ".join(
            f"{work.step}: {work.question or 'verdicts on rows'} ({work.words})" for work in facts.people
        ),
        "rai:dataAnnotationAnalysis": [f"{work.step}: {work.learned}" for work in facts.people if work.learned],
        "rai:annotationsPerItem": "; ".join(
            f"{work.verdicts / work.rows:.2g} per row in {work.step}" for work in facts.people if work.rows
        ),
        "rai:machineAnnotationTools": [
            f"{name}, weights {weights}" for name, weights in facts.models.items() if "model" in facts.labelled_by
        ],
        "rai:personalSensitiveInformation": [f"column {name}: {words}" for name, words in facts.personal.items()],
        "rai:dataLimitations": list(facts.about.known_limits),
        "rai:dataUseCases": [said[key] for key in ("purpose", "uses_other") if key in said],
        "rai:dataBiases": [said[key] for key in ("errors", "risks") if key in said],
        "rai:dataSocialImpact": said.get("impact"),
        "rai:dataReleaseMaintenancePlan": " ".join(said[key] for key in ("maintainer", "updates") if key in said),
    }


def _collection(facts: Facts) -> Iterator[str]:
    for name, rows in facts.sources.items():
        yield f"{counted(rows, 'row')} were read from {name}."
    lost = sum(len(record.quarantined) for record in facts.family.records)
    if lost:
        yield f"{counted(lost, 'input part')} could not be read."
    if "collection" in facts.about.datasheet:
        yield facts.about.datasheet["collection"]


def _steps(record: TableRecord) -> Iterator[str]:
    """Yield each step with what it learned, and the rows it dropped by reason."""
    reasons = {(reason.step, reason.name): reason.words for reason in record.reasons}
    dropped = {
        row.step: "; ".join(f"{counted(n, 'row')} dropped: {reasons.get((row.step, name), name)}" for name, n in gone)
        for row in record.funnel
        if (gone := [(name, count) for name, count in row.dropped.items() if count])
    }
    if -1 in dropped:
        yield f"{record.name}, read: {dropped[-1]}"
    for step in record.steps:
        words = "; ".join(part for part in (step.learned, dropped.get(step.index, "")) if part)
        yield f"{record.name}, {step.index + 1}. {step.verb}{f': {words}' if words else ''}"
