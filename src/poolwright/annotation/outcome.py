"""Summarize a round as the state of `verify`: votes and decisions per row, counts, agreement. It names nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.annotation.answers import CLASSES
from poolwright.annotation.candidates import Candidates
from poolwright.annotation.deciding.class_by_class import classes_of_rows
from poolwright.annotation.deciding.judging import RowState, Terms
from poolwright.annotation.round import RoundResult
from poolwright.core.columns import UID
from poolwright.core.wording import counted, some
from poolwright.core.wording import rows as in_rows

KEPT, REJECTED, UNSURE, NOT_NEEDED, NO_VERDICT, REVIEWED = 0, 2, 3, 4, 5, 6
"""Drop codes: 1-based indices into `Verify.reasons`."""

_NAMES = {
    KEPT: "kept",
    REJECTED: "rejected",
    UNSURE: "unsure",
    NOT_NEEDED: "not_needed",
    NO_VERDICT: "no_verdict",
    REVIEWED: "rejected_on_review",
}


_DROP = np.zeros(len(RowState), np.uint8)
"""Drop code by state of a row. Rows are dropped only once nothing waits any more."""
_DROP[[RowState.WRONG, RowState.UNSURE, RowState.GIVEN_UP, RowState.NOT_NEEDED]] = REJECTED, UNSURE, UNSURE, NOT_NEEDED
_DROP[[RowState.OPEN, RowState.SKIPPED, RowState.NO_VERDICT]] = NO_VERDICT


def drop_codes(found: RoundResult) -> npt.NDArray[np.uint8]:
    """Return the drop code of each candidate: uint8 (n,)."""
    drop = _DROP[found.states]
    return np.where(found.reviewed & (drop == REJECTED), np.uint8(REVIEWED), drop)


def decided(candidates: Candidates, found: RoundResult, terms: Terms | None = None) -> pa.Table:
    """Return the table of a state: uid, class, votes by meaning, skips, probability, if reviewed, drop code, classes.

    Args:
        candidates: the rows.
        found: the answers.
        terms: terms by which they are judged, if people named all classes that they see: their classes are decided.
    """
    counts = found.votes.counts().astype(np.int32)
    known = ~np.isnan(found.probability)
    table = pa.table(
        {
            UID: pa.array(candidates.uids, pa.string()),
            "class": pa.array(candidates.classes, pa.string()),
            **{name: counts[:, index] for index, name in enumerate(("yes", "no", "unsure"))},
            "skipped": pa.array(found.votes.skips, pa.int32()),
            "probability": pa.array(found.probability, pa.float64(), mask=~known),
            "reviewed": found.reviewed,
            "drop": drop_codes(found),
        }
    )
    if terms:
        names = classes_of_rows(found.votes, terms, found.decided)
        table = table.append_column(CLASSES, pa.array(names, pa.list_(pa.string())))
    return table.sort_by(UID)


def measured(found: RoundResult, sampled: bool) -> dict[str, Any]:
    """Return the values of a state.

    Args:
        sampled: whether groups were accepted by sampling.
    """
    drop = drop_codes(found)
    counts = {name: int((drop == code).sum()) for code, name in _NAMES.items()}
    review = {"reviewed": int(found.reviewed.sum()), "reviewed_kept": int((found.reviewed & (drop == KEPT)).sum())}
    return {
        "candidates": found.votes.rows, **counts, **review, **gathered(found), **(_sampled(found) if sampled else {})
    }  # fmt: skip


def gathered(found: RoundResult) -> dict[str, Any]:
    """Return what was gathered as values of a state: numbers of verdicts, agreement, people, digests of files."""
    people = found.people
    return {
        "verdicts": len(found.votes.row),
        "changed": found.votes.changed,
        "left_out": found.left_out,
        "annotators": len(found.votes.people),
        "skipped": sum(group.skipped for group in found.groups),
        "agreement": {
            "rows": found.agreement.items,
            "pairwise": _rounded(found.agreement.pairwise),
            "alpha": _rounded(found.agreement.alpha),
        },
        "people": [
            {
                "rated": int(people.rated[person]),
                "compared": int(people.compared[person]),
                "agreement": _rounded(people.agreement[person]),
                "kappa": _rounded(people.kappa[person]),
                "careless": bool(people.outlier[person]),
            }
            for person in range(len(found.votes.people))
        ],
        **({CLASSES: [one.document() for one in found.decided]} if found.decided else {}),
        "files": list(found.digests),
    }


def _sampled(found: RoundResult) -> dict[str, int]:
    """Return the counts of acceptance sampling."""
    met = sum(group.judgement.conclusion == "met" for group in found.groups)
    unseen = int((found.states == RowState.UNSEEN).sum())
    return {"groups": len(found.groups), "groups_met": met, "unseen": unseen}


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), 4)


def careless(values: Mapping[str, Any]) -> list[str]:
    """List, by number, people whose answers hardly agree with those of the others."""
    found = []
    for number, person in enumerate(values["people"], start=1):
        if person["careless"]:
            equal = f"equal in {person['agreement']:.0%} of {in_rows(person['compared'])}"
            found.append(f"person {number} ({equal}, kappa {person['kappa']:.2f})")
    return found


def learned(values: Mapping[str, Any]) -> str:
    """Describe a state in one line."""
    people = values["annotators"]
    text = (
        f"{values['kept']:,} of {in_rows(values['candidates'])} kept, by {values['verdicts']:,} verdicts of "
        f"{counted(people, 'person', 'people')} ({values['rule']})"
    )
    if values.get("unseen"):
        text += (
            f"; {values['unseen']:,} of them unseen, as {values['groups_met']:,} of {values['groups']:,} groups were "
            "shown to be good"
        )
    if values["reviewed"]:
        decided = f"a reviewer decided about {in_rows(values['reviewed'])}, {values['reviewed_kept']:,} of them kept"
        text += f"; where people differed, {decided}"
    return text + agreement_in_words(values)


def agreement_in_words(values: Mapping[str, Any]) -> str:
    """Say how far people agree, and who hardly agrees with the others: '; they agree in ...', or ''."""
    agreement, text = values["agreement"], ""
    if agreement["rows"]:
        text += (
            f"; they agree in {agreement['pairwise']:.1%} of pairs over {in_rows(agreement['rows'])}, "
            f"Krippendorff's alpha {agreement['alpha']:.2f}"
        )
    measured = [one for one in values.get(CLASSES, ()) if one["agreement"]["rows"]]
    if measured:
        least = min(measured, key=lambda one: (one["agreement"]["krippendorff_alpha"], one["class"]))
        text += f"; of {len(values[CLASSES]):,} classes they agree least on '{least['class']}', "
        text += f"alpha {least['agreement']['krippendorff_alpha']:.2f}"
    found = careless(values)
    return f"{text}; careless, or of another understanding: {some(found, 5)}" if found else text


def describe_row(row: Mapping[str, Any], keep: int | None) -> str:
    """Describe the verdicts on one row of a state's table, and the decision."""
    votes = ", ".join(f"{row[name]:,} {name}" for name in ("yes", "no", "unsure") if row[name]) or "nobody answered"
    votes += f", skipped {row['skipped']} times" if row.get("skipped") else ""
    asked = f"is it '{row['class']}'? " if row["class"] else ""
    sure = f"; probability {row['probability']:.3f}" if row["probability"] is not None else ""
    enough = f"; {keep:,} before it were enough" if row["drop"] == NOT_NEEDED else ""
    unseen = "; kept, as its group was shown to be good" if row["drop"] == KEPT and not row["yes"] else ""
    review = "; people differed, and a reviewer decided" if row["reviewed"] else ""
    return f"{asked}{votes}{sure}{review}{enough}{unseen}"
