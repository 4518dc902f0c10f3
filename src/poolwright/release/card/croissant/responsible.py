"""Answer the fields of Croissant's RAI extension that the record of a release can answer.

https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html, version 1.0
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from poolwright.core.wording import counted
from poolwright.release.card.facts.dropped import dropped_rows
from poolwright.release.card.facts.facts import ReleaseFacts


def responsible(facts: ReleaseFacts) -> dict[str, Any]:
    """Return the fields with an answer; what only the author knows comes from the recipe."""
    said = facts.about.datasheet
    return {
        "rai:dataCollection": " ".join(_collection(facts)),
        "rai:dataCollectionRawData": ", ".join(f"{name}: {counted(n, 'row')}" for name, n in facts.sources.items()),
        "rai:dataCollectionMissingData": facts.missing_words,
        "rai:dataPreprocessingProtocol": list(_steps(facts)),
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


def _collection(facts: ReleaseFacts) -> Iterator[str]:
    for name, rows in facts.sources.items():
        yield f"{counted(rows, 'row')} were read from {name}."
    lost = sum(len(record.quarantined) for record in facts.family.records)
    if lost:
        yield f"{counted(lost, 'input part')} could not be read."
    if "collection" in facts.about.datasheet:
        yield facts.about.datasheet["collection"]


def _steps(facts: ReleaseFacts) -> Iterator[str]:
    """Yield each step with what it learned, then the rows that were dropped, by step and reason."""
    for record in facts.family.records:
        for step in record.steps:
            yield f"{record.name}, {step.index + 1}. {step.verb}{f': {step.learned}' if step.learned else ''}"
    for gone in dropped_rows(facts.family):
        yield f"{gone.table}, {gone.verb}: {counted(gone.rows, 'row')} dropped: {gone.reason}"
    if facts.changed:
        yield facts.changed
