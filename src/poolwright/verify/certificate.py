"""Certificate: what was verified in a queue, what was concluded, and by whom. The same verdicts give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from poolwright.core.files import write_text
from poolwright.kernels.agreement import agreement
from poolwright.verify.people import ratings_of
from poolwright.verify.queue import CERTIFICATE, Queue
from poolwright.verify.store import Said
from poolwright.verify.tally import GroupTally, Tally

FORMAT = 1


def certificate(tally: Tally) -> dict[str, Any]:
    """The certificate of a queue, as a document.

    Annotators are numbered by the order of their first verdict: a release names nobody. `bound` is the share of right
    rows of the group at least, with the confidence, before the rows that were found wrong are taken out.
    """
    queue, said = tally.queue, tally.counted()
    names = list(dict.fromkeys(one.annotator for one in said))
    golds, agreed = tally.on_gold(), agreement_of(said, names)
    settings = queue.settings
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
        "groups": [_group(group) for group in tally.groups()],
        "annotators": [
            {
                "number": number,
                "verdicts": sum(one.annotator == name for one in said),
                "gold_right": golds.get(name, (0, 0))[0],
                "gold_answered": golds.get(name, (0, 0))[1],
            }
            for number, name in enumerate(names, start=1)
        ],
        "agreement": agreed,
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
        "bound": round(found.bound, 6) if found.conclusion != "open" else None,
    }


def agreement_of(said: Sequence[Said], names: Sequence[str]) -> dict[str, Any]:
    """How far people agree on the rows that several of them judged."""
    found = agreement(ratings_of(said, names))
    return {"rows": found.items, "pairwise": found.pairwise, "krippendorff_alpha": found.alpha}


def write_certificate(queue: Queue, document: dict[str, Any]) -> None:
    """Write `certificate.json` into the folder of the queue."""
    write_text(queue.folder / CERTIFICATE, json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def told(queue: Queue, group: GroupTally) -> str:
    """A group's conclusion in words: 'at least 99.2 % right, with 95 % confidence'."""
    found = group.judgement
    if found.conclusion == "met":
        return f"at least {_share(found.bound)} right, with {_share(queue.settings.confidence)} confidence"
    if found.conclusion == "complete":
        return f"all verified: {group.right:,} of {group.rows:,} right"
    more = f"{found.left:,} more" if found.left else "a few more"
    return f"{more} without an error" if queue.settings.rule == "precision" else f"{more} to verify"


def _share(share: float) -> str:
    """A share in percent, rounded down: a bound is not made better by rounding."""
    return f"{int(share * 10_000 + 1e-9) / 100:g} %"
