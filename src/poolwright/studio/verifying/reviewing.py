"""Look again at rows on which people differ: a reviewer sees all their verdicts and comments, and gives theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from poolwright.annotation.queue.store import Said
from poolwright.annotation.queue.tally import Snapshot
from poolwright.studio.pages import SessionOf, only_owner, page
from poolwright.studio.verifying.asking import LiveOf

router = APIRouter(prefix="/verify/{queue}")

REVIEW = "review "
"""Begins the act of a verdict that was given as a second look."""

_SHOWN = 60

_PAGE = 120


@dataclass(frozen=True)
class DifferingRow:
    """A row on which people differ, and their verdicts by time."""

    uid: str
    name: str
    said: tuple[Said, ...]

    @property
    def named(self) -> list[str]:
        """The classes that people named, sorted."""
        return sorted({name for one in self.said for name in one.chosen})

    @property
    def agreed(self) -> set[str]:
        """The classes that all of them named, who are not unsure."""
        sure = [set(one.chosen) for one in self.said if one.verdict != "unsure"]
        return set.intersection(*sure) if sure else set()


def differing(now: Snapshot) -> list[DifferingRow]:
    """Return the rows on which people differ and nobody has looked again, in order of their first verdict."""
    return [
        DifferingRow(uid, now.queue.classes[now.queue.row_of[uid]], tuple(said))
        for uid, said in _by_row(now).items()
        if uid in now.queue.row_of
        and len({(one.verdict, one.chosen) for one in said}) > 1
        and not any(one.act.startswith(REVIEW) or one.annotator in now.queue.terms.reviewers for one in said)
    ]


@router.get("/review")
def review(request: Request, session: SessionOf, live: LiveOf) -> Response:
    """Show the rows on which people differ, to the owner and to reviewers."""
    if session.name not in live.queue.terms.reviewers:
        only_owner(session)
    if not session.name:
        return RedirectResponse(f"/enter?next={request.url.path}", 303)
    found = differing(live.snapshot())
    return page(request, "review.html.j2", queue=live.queue, rows=found[:_SHOWN], number=len(found))


@router.get("/rows")
def rows(
    request: Request,
    session: SessionOf,
    live: LiveOf,
    group: Annotated[str, Query(max_length=1000)] = "",
    start: Annotated[int, Query(ge=0, le=1 << 40)] = 0,
) -> Response:
    """Show the rows of a queue, or of one of its groups, with the verdicts so far: a table that waits, to look at."""
    only_owner(session)
    queue, said = live.queue, _by_row(live.snapshot())
    found = queue.groups[group].tolist() if group in queue.groups else range(len(queue))
    shown = [(queue.uids[row], queue.names[row], said.get(queue.uids[row], [])) for row in found[start : start + _PAGE]]
    following = start + _PAGE if start + _PAGE < len(found) else None
    return page(
        request, "queue_rows.html.j2", queue=queue, group=group, rows=shown, number=len(found), following=following
    )


def _by_row(now: Snapshot) -> dict[str, list[Said]]:
    of_row: dict[str, list[Said]] = {}
    for one in now.counted:
        of_row.setdefault(one.uid, []).append(one)
    return of_row
