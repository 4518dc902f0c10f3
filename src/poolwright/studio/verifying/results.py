"""Serve the results of a queue: groups, people, certificate, import and export."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from poolwright.annotation.annotators import people_of, reliability
from poolwright.annotation.certificate import agreement_of, certificate, decided_classes, describe_conclusion, in_json
from poolwright.annotation.deciding.class_by_class import DecidedClass
from poolwright.annotation.exchange.import_export import FORMS, exported, imported
from poolwright.annotation.queue.tally import Snapshot
from poolwright.core.errors import PoolwrightError
from poolwright.studio.access import names_in
from poolwright.studio.pages import SessionOf, StudioOf, only_owner, page
from poolwright.studio.verifying.asking import LiveOf, guide_of
from poolwright.studio.verifying.live import LiveQueue
from poolwright.studio.verifying.parts import deal
from poolwright.studio.verifying.reviewing import differing

router = APIRouter(prefix="/verify/{queue}")

MOST_IMPORTED = 32_000_000
"""Maximum size of an imported file in bytes."""


@router.get("")
def overview(request: Request, live: LiveOf) -> Response:
    """Show the groups and people of a queue."""
    return page(request, "queue.html.j2", guide=guide_of(live), forms=FORMS, imported=live.imported, **_found(live))


@router.get("/progress")
def progress(request: Request, live: LiveOf) -> Response:
    """Return the groups and people alone, to update an open page."""
    return page(request, "queue_state.html.j2", **_found(live))


@router.get("/reliability")
def reliable(request: Request, session: SessionOf, live: LiveOf) -> Response:
    """Estimate the reliability of each annotator by the model of Dawid and Skene; it takes a while."""
    only_owner(session)
    return page(request, "reliability.html.j2", found=sorted(_reliability(live, live.version).items()))


@lru_cache(maxsize=8)
def _reliability(live: LiveQueue, version: tuple[int, int]) -> dict[str, float]:
    return reliability(live.snapshot().counted)


def _found(live: LiveQueue) -> dict[str, Any]:
    now = live.snapshot()
    return {
        "queue": now.queue,
        "groups": now.groups,
        "conclusions": {group.name: describe_conclusion(now.queue, group) for group in now.groups},
        "done": sum(group.done for group in now.groups),
        "verified": sum(group.verified for group in now.groups),
        "people": people_of(now, live.store.aside(now.queue.name)),
        "agreed": agreement_of(now.independent),
        "gold": now.gold,
        "reviewed": now.reviewed,
        "parts": live.parts.people,
        "shares": _shares(live, now),
        "differing": len(differing(now)),
        "classes": _classes(live, live.version) if now.queue.several else (),
    }


@lru_cache(maxsize=8)
def _classes(live: LiveQueue, version: tuple[int, int]) -> list[tuple[DecidedClass, int]]:
    """Return what people decided about each class that somebody named, and the number of rows it was proposed for."""
    now = live.snapshot()
    proposed = Counter(now.queue.classes)
    return [(one, proposed[one.name]) for one in decided_classes(now)]


def _shares(live: LiveQueue, now: Snapshot) -> dict[str, tuple[int, int]]:
    """Return by person the rows of their groups that they answered, and all rows of these groups."""
    mine = {name: {part for part, names in live.parts.people.items() if name in names} for name in
            {name for names in live.parts.people.values() for name in names}}  # fmt: skip
    group_of = {uid: live.queue.names[row] for uid, row in live.queue.row_of.items()} if mine else {}
    done = Counter(one.annotator for one in now.said if group_of.get(one.uid) in mine.get(one.annotator, ()))
    return {
        name: (done[name], sum(len(live.queue.groups.get(part, ())) for part in parts)) for name, parts in mine.items()
    }


@router.get("/certificate.json")
def certified(session: SessionOf, live: LiveOf) -> Response:
    """Download the certificate, as a release includes it."""
    only_owner(session)
    data = in_json(certificate(live.snapshot()))
    return _file(data, "application/json", f"certificate-{live.queue.name}.json")


@router.get("/export/{form}")
def export(session: SessionOf, live: LiveOf, form: str) -> Response:
    """Download all verdicts that count, as a file."""
    only_owner(session)
    if form not in FORMS:
        raise HTTPException(404, f"no format '{form}'; there are {', '.join(FORMS)}")
    ending, kind = FORMS[form]
    return _file(exported(live.snapshot(), form), kind, f"verdicts-{live.queue.name}{ending}")


@router.post("/import")
async def take_in(
    request: Request,
    studio: StudioOf,
    session: SessionOf,
    live: LiveOf,
    file: Annotated[UploadFile, File()],
    gold: Annotated[bool, Form()] = False,
    field: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Import verdicts from a file, as those of the people named in it, or as gold."""
    from starlette.concurrency import run_in_threadpool

    only_owner(session)
    data = await file.read(MOST_IMPORTED + 1)
    if len(data) > MOST_IMPORTED:
        raise HTTPException(413, f"a file of verdicts may have {MOST_IMPORTED:,} bytes at most")
    name = Path(file.filename or "import.csv").name
    try:
        found = await run_in_threadpool(imported, data, name, live.queue, field.strip())
        if gold:
            sure = [(one.uid, one.verdict) for one in found.answers if one.verdict != "unsure"]
            live.make_gold(sure, session.name or "owner")
            live.imported = found.found
        else:
            live.take_in(found)
    except PoolwrightError as error:
        return page(request, "error.html.j2", 400, title="Not imported", words=str(error))
    return Response(headers={"hx-redirect": f"/verify/{live.queue.name}"})


@router.post("/again")
def ask_again(session: SessionOf, live: LiveOf, annotator: Annotated[str, Form(max_length=200)]) -> Response:
    """Set aside the verdicts of somebody, so that their rows are asked about again."""
    only_owner(session)
    live.ask_again(annotator, session.name or "owner")
    return RedirectResponse(f"/verify/{live.queue.name}/progress", 303)


@router.post("/count")
def let_count(session: SessionOf, live: LiveOf, annotator: Annotated[str, Form(max_length=200)]) -> Response:
    """Let verdicts that were set aside count again."""
    only_owner(session)
    live.let_count(annotator, session.name or "owner")
    return RedirectResponse(f"/verify/{live.queue.name}/progress", 303)


@router.post("/parts")
def assign(
    session: SessionOf,
    live: LiveOf,
    people: Annotated[str, Form(max_length=2000)] = "",
    group: Annotated[list[str] | None, Form()] = None,
    dealt: Annotated[bool, Form()] = False,
) -> Response:
    """Assign groups to people, all to each or dealt out among them; those of nobody are asked of everybody."""
    only_owner(session)
    names = names_in(people)
    rows = {name: len(live.queue.groups[name]) for name in group or live.queue.groups if name in live.queue.groups}
    parts = deal(rows, names) if dealt and names else dict.fromkeys(rows, tuple(names))
    live.parts.assign(parts, session.name or "owner")
    return RedirectResponse(f"/verify/{live.queue.name}/progress", 303)


@router.post("/gold")
def gold(
    session: SessionOf, live: LiveOf, uid: Annotated[str, Form(max_length=2000)], verdict: Annotated[str, Form()]
) -> Response:
    """Make a row gold, or no longer gold."""
    only_owner(session)
    live.make_gold([(uid, verdict)], session.name or "owner")
    return Response("gold" if verdict != "withdrawn" else "no longer gold", media_type="text/plain")


def _file(data: bytes, kind: str, name: str) -> Response:
    from urllib.parse import quote

    return Response(data, 200, {"content-disposition": f"attachment; filename*=UTF-8''{quote(name)}"}, kind)
