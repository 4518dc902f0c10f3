"""Certificate: what was verified in a queue, what was concluded, and by whom. The same verdicts give the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from poolwright.annotation.annotators import ratings_of
from poolwright.annotation.candidates import Candidates
from poolwright.annotation.exchange.instructions import Instructions
from poolwright.annotation.exchange.write_sheets import Form
from poolwright.annotation.queue.queue import CERTIFICATE, Queue
from poolwright.annotation.queue.store import Said
from poolwright.annotation.queue.tally import GroupTally, Snapshot
from poolwright.annotation.round import Found
from poolwright.annotation.rules import REJECTED, UNCLEAR, VERIFIED
from poolwright.core.files import write_text
from poolwright.kernels.statistics.acceptance_sampling import Judgement
from poolwright.kernels.statistics.agreement import agreement

FORMAT = 1


def certificate(now: Snapshot) -> dict[str, Any]:
    """The certificate of a queue, as a document.

    Annotators are numbered by the order of their first verdict: a release names nobody. `bound` is the share of right
    rows of the group at least, with the confidence, before the rows that were found wrong are taken out.
    """
    queue, said = now.queue, now.counted
    given = Counter(one.annotator for one in said)
    settings, golds = queue.settings, now.on_gold
    return {
        "format": FORMAT,
        "queue": queue.name,
        "table": settings.table,
        "record": settings.record,
        "question": settings.question,
        "rule": settings.rule,
        "target": settings.target if settings.rule == "precision" else None,
        "confidence": settings.confidence,
        "annotators_per_row": settings.overlap,
        "instructions_sha256": queue.instructions_digest,
        "verdicts": len(said),
        "first": said[0].time if said else "",
        "last": said[-1].time if said else "",
        "groups": [_group(group) for group in now.groups],
        "annotators": [
            {
                "number": number,
                "verdicts": count,
                "gold_right": golds.get(name, (0, 0))[0],
                "gold_answered": golds.get(name, (0, 0))[1],
            }
            for number, (name, count) in enumerate(given.items(), start=1)
        ],
        "agreement": agreement_of(said),
    }


def _group(group: GroupTally) -> dict[str, Any]:
    found = group.judgement
    return {
        "group": group.name,
        "rows": group.rows,
        "verified": group.verified,
        "right": group.right,
        "wrong": group.wrong,
        "unsure": group.unsure,
        "conclusion": found.conclusion,
        "concluded_after": found.verified,
        "errors": found.errors,
        "bound": round(found.bound, 6) if found.conclusion in ("met", "complete") else None,
    }


def agreement_of(said: Sequence[Said]) -> dict[str, Any]:
    """How far people agree on the rows that several of them judged."""
    found = agreement(ratings_of(said, sorted({one.annotator for one in said})))
    return {"rows": found.items, "pairwise": found.pairwise, "krippendorff_alpha": found.alpha}


def certificate_of_step(
    candidates: Candidates, found: Found, rule: str, form: Form, page: Instructions | None
) -> dict[str, Any]:
    """The certificate of a step `verify`, as a document that names nobody."""
    ends = list(pairwise(candidates.starts.tolist()))
    seen, people = found.votes, found.people
    judged: Sequence[Judgement | None] = found.judgements or [None] * len(ends)
    return {
        "format": FORMAT,
        "question": form.question,
        "rule": rule,
        "target": form.precision,
        "confidence": form.confidence if form.precision else None,
        "annotators_per_row": form.annotators,
        "instructions_sha256": sha256(page.text.encode()).hexdigest() if page else "",
        "verdicts": len(seen.row),
        "groups": [
            {"group": " · ".join(candidates.groups[first]), "rows": last - first}
            | _counts(found.code[first:last], found.answered[first:last])
            | _concluded(one, found.answered[first:last])
            for (first, last), one in zip(ends, judged, strict=True)
        ],
        "annotators": [
            {"number": number, "verdicts": int((seen.person == number - 1).sum()),
             "careless": bool(people.outlier[number - 1])}
            for number in range(1, len(seen.people) + 1)
        ],
        "agreement": {"rows": found.agreement.items, "pairwise": found.agreement.pairwise,
                      "krippendorff_alpha": found.agreement.alpha},
    }  # fmt: skip


def _counts(code: npt.NDArray[np.int64], answered: npt.NDArray[np.bool_]) -> dict[str, int]:
    names = {VERIFIED: "right", REJECTED: "wrong", UNCLEAR: "unsure"}
    counts = {name: int((answered & (code == place)).sum()) for place, name in names.items()}
    return {"verified": int(answered.sum()), **counts}


def _concluded(judged: Judgement | None, answered: npt.NDArray[np.bool_]) -> dict[str, Any]:
    if judged is None:
        return {"conclusion": "complete" if answered.all() else "open"}
    bound = round(judged.bound, 6) if judged.conclusion != "open" else None
    return {"conclusion": judged.conclusion, "concluded_after": judged.verified, "errors": judged.errors,
            "bound": bound}  # fmt: skip


def in_json(document: dict[str, Any]) -> bytes:
    """A certificate as the bytes of its file."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def write_certificate(queue: Queue, document: dict[str, Any]) -> None:
    """Write `certificate.json` into the folder of the queue."""
    write_text(queue.folder / CERTIFICATE, in_json(document).decode())


def told(queue: Queue, group: GroupTally) -> str:
    """A group's conclusion in words: 'at least 99.2 % right, with 95 % confidence'."""
    found = group.judgement
    if found.conclusion == "met":
        return f"at least {_share(found.bound)} right, with {_share(queue.settings.confidence)} confidence"
    if found.conclusion == "complete":
        return f"all verified: {group.right:,} of {group.rows:,} right"
    if found.conclusion == "enough":
        return f"{queue.settings.keep:,} right ones found, which is enough"
    more = f"{found.left:,} more" if found.left else "a few more"
    if queue.settings.rule == "first":
        return f"{group.right:,} of {queue.settings.keep:,} right ones found"
    return f"{more} without an error" if queue.settings.rule == "precision" else f"{more} to verify"


def _share(share: float) -> str:
    """A share in percent, rounded down: a bound is not made better by rounding."""
    return f"{int(share * 10_000 + 1e-9) / 100:g} %"
