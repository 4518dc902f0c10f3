"""Write certificates of queues: verified rows, conclusions, annotators. The same verdicts give the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from poolwright.annotation.annotators import ratings_of
from poolwright.annotation.deciding.class_by_class import DecidedClass, decide_classes
from poolwright.annotation.deciding.judging import JudgedGroup
from poolwright.annotation.deciding.rules import Votes
from poolwright.annotation.exchange.write_sheets import Form
from poolwright.annotation.queue.queue import CERTIFICATE, Queue
from poolwright.annotation.queue.store import Said
from poolwright.annotation.queue.tally import Snapshot
from poolwright.annotation.round import RoundResult
from poolwright.core.files import write_text
from poolwright.kernels.statistics.agreement import agreement

FORMAT = 1


def certificate(now: Snapshot) -> dict[str, Any]:
    """Return the certificate of a queue as a document.

    Annotators are numbered by the order of their first verdict: a release names nobody. `reviewed` counts the rows
    that a reviewer decided about; agreement leaves reviewers out. `bound` is a lower bound, at the confidence level, of
    the share of right rows of the group before the rows found wrong are removed.
    """
    queue, said = now.queue, now.counted
    given = Counter(one.annotator for one in said)
    settings, golds = queue.settings, now.on_gold
    times = [one.time for one in said if one.time]
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
        "skips": len(now.skips),
        "reviewed": now.reviewed,
        "first": times[0] if times else "",
        "last": times[-1] if times else "",
        "groups": [group_document(group) for group in now.groups],
        "annotators": [
            {
                "number": number,
                "verdicts": count,
                "gold_right": golds.get(name, (0, 0))[0],
                "gold_answered": golds.get(name, (0, 0))[1],
            }
            for number, (name, count) in enumerate(given.items(), start=1)
        ],
        "agreement": agreement_of(now.independent),
        **_by_class(decided_classes(now)),
    }


def group_document(group: JudgedGroup) -> dict[str, Any]:
    """Return the entry of a group in a certificate."""
    found = group.judgement
    return {
        "group": group.name,
        "rows": group.rows,
        "verified": group.verified,
        "right": group.right,
        "wrong": group.wrong,
        "unsure": group.unsure,
        "skipped": group.skipped,
        "conclusion": found.conclusion,
        "concluded_after": found.verified,
        "errors": found.errors,
        "passed_over": group.passed_over,
        "bound": round(found.bound, 6) if found.conclusion in ("met", "complete") else None,
    }


def agreement_of(said: Sequence[Said]) -> dict[str, Any]:
    """Measure how far people agree on the rows that several of them judged."""
    found = agreement(ratings_of(said, sorted({one.annotator for one in said})))
    return {"rows": found.items, "pairwise": found.pairwise, "krippendorff_alpha": found.alpha}


def decided_classes(now: Snapshot) -> tuple[DecidedClass, ...]:
    """Decide about each class that somebody named, if people name all classes that they see."""
    if not now.queue.several:
        return ()
    terms, given = now.queue.terms, (one.as_verdict() for one in now.counted if one.uid in now.queue.row_of)
    return decide_classes(Votes.of(given, now.queue.uids, terms.reviewers), terms)


def _by_class(decided: Sequence[DecidedClass]) -> dict[str, Any]:
    return {"classes": [one.document() for one in decided]} if decided else {}


def certificate_of_step(found: RoundResult, form: Form) -> dict[str, Any]:
    """Return the certificate of a step `verify` as a document that names nobody."""
    votes, people, terms, page = found.votes, found.people, form.terms, form.instructions
    return {
        "format": FORMAT,
        "question": form.question,
        "rule": terms.rule,
        "target": terms.precision,
        "confidence": terms.confidence if terms.precision else None,
        "annotators_per_row": terms.annotators,
        "instructions_sha256": sha256(page.text.encode()).hexdigest() if page else "",
        "verdicts": len(votes.row),
        "skips": int(votes.skips.sum()),
        "reviewed": int(found.reviewed.sum()),
        "groups": [group_document(group) for group in found.groups],
        "annotators": [
            {"number": number, "verdicts": int((votes.person == number - 1).sum()),
             "careless": bool(people.outlier[number - 1])}
            for number in range(1, len(votes.people) + 1)
        ],
        "agreement": {"rows": found.agreement.items, "pairwise": found.agreement.pairwise,
                      "krippendorff_alpha": found.agreement.alpha},
        **_by_class(found.decided),
    }  # fmt: skip


def in_json(document: dict[str, Any]) -> bytes:
    """Encode a certificate as the bytes of its file."""
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def write_certificate(queue: Queue, document: dict[str, Any]) -> None:
    """Write `certificate.json` into the folder of the queue."""
    write_text(queue.folder / CERTIFICATE, in_json(document).decode())


def describe_conclusion(queue: Queue, group: JudgedGroup) -> str:
    """Describe a group's conclusion: 'at least 99.2 % right, with 95 % confidence'."""
    found = group.judgement
    if found.conclusion == "met":
        return f"at least {_share(found.bound)} right, with {_share(queue.settings.confidence)} confidence"
    if found.conclusion == "complete":
        return f"all verified: {group.right:,} of {group.rows:,} right"
    if found.conclusion == "enough":
        return f"{queue.settings.keep:,} right ones found, which is enough"
    skipped = f"; {group.skipped:,} skipped" if group.skipped else ""
    if queue.asked is not None and not queue.asked[queue.groups[group.name][group.lacking]].any():
        return f"everything asked about is verified{skipped}; run the recipe again to ask for more"
    more = f"{found.left:,} more" if found.left else "a few more"
    if queue.settings.rule == "first":
        return f"{group.right:,} of {queue.settings.keep:,} right ones found{skipped}"
    return f"{more} without an error{skipped}" if queue.settings.rule == "precision" else f"{more} to verify{skipped}"


def _share(share: float) -> str:
    """A share in percent, rounded down: a bound is not made better by rounding."""
    return f"{int(share * 10_000 + 1e-9) / 100:g} %"
