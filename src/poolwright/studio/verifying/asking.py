"""Serve the pages with pictures, and the requests they send."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from poolwright.annotation.certificate import describe_conclusion
from poolwright.core.columns import is_vector
from poolwright.core.errors import InputError
from poolwright.studio.access import Session
from poolwright.studio.pages import SessionOf, StudioOf, drawn, page
from poolwright.studio.verifying.guide import Guide, read_guide
from poolwright.studio.verifying.live import MOST_AT_ONCE, LiveQueue, QuestionCard, SentVerdict

router = APIRouter(prefix="/verify/{queue}")

_Uid = Annotated[str, Field(max_length=2000)]
_Class = Annotated[str, Field(max_length=1000)]
_Key = Annotated[str, Field(min_length=8, max_length=80)]


def _live(studio: StudioOf, queue: str) -> LiveQueue:
    try:
        return studio.queues.queue(queue)
    except InputError as error:
        raise HTTPException(404, str(error)) from None


LiveOf = Annotated[LiveQueue, Depends(_live)]
"""A parameter of a route: the queue of its path."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Take(_Request):
    """A request for rows to be asked about."""

    number: int = Field(ge=1, le=MOST_AT_ONCE)
    group: str = Field("", max_length=1000)
    have: list[_Uid] = Field([], max_length=2 * MOST_AT_ONCE)


class Answered(_Request):
    """The verdict of a person on a row, or the classes that they chose."""

    uid: _Uid
    verdict: Literal["positive", "negative", "unsure", ""] = ""
    chosen: tuple[_Class, ...] = ()
    key: _Key
    seconds: float | None = Field(None, ge=0, le=86_400)
    comment: str = Field("", max_length=1000)

    @field_validator("chosen", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        # A page of an earlier version, whose verdicts wait in the browser, sends one as a text.
        return ((value,) if value else ()) if isinstance(value, str) else value


class Say(_Request):
    """Verdicts that are given at once."""

    act: _Key
    group: str = Field("", max_length=1000)
    answers: list[Answered] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Undo(_Request):
    """A request to take back the last act."""

    key: _Key
    group: str = Field("", max_length=1000)


class NamedRows(_Request):
    """Rows that are skipped or given back; `key` identifies a skip, and is the same when it is sent again."""

    uids: list[_Uid] = Field(max_length=2 * MOST_AT_ONCE)
    key: str = Field("", max_length=80)


@router.get("/one")
def one(
    request: Request, studio: StudioOf, session: SessionOf, live: LiveOf, group: Annotated[str, Query()] = ""
) -> Response:
    """Show one large picture at a time."""
    return _page(request, studio, session, live, group, "one.html.j2")


@router.get("/grid")
def grid(
    request: Request, studio: StudioOf, session: SessionOf, live: LiveOf, group: Annotated[str, Query()] = ""
) -> Response:
    """Show the pictures of a group in a grid, in which people mark the wrong ones; if asked for classes, one by one."""
    if live.queue.choices:
        return RedirectResponse(f"/verify/{quote(live.queue.name)}/one", 303)
    return _page(request, studio, session, live, group, "grid.html.j2")


def _page(
    request: Request, studio: StudioOf, session: SessionOf, live: LiveQueue, group: str, template: str
) -> Response:
    url = f"{request.url.path}?group={quote(group)}" if group else request.url.path
    if not session.name:
        return RedirectResponse(f"/enter?next={quote(url)}", 303)
    queue = live.queue
    if group and group not in queue.groups:
        raise HTTPException(404, f"the queue has no group '{group}'")
    if queue.choices:
        group = ""  # rows of all classes in turns
    elif not group:
        open_to = (one.name for one in live.progress() if live.asks(session.name, one.name))
        group = next(open_to, next(iter(queue.groups), ""))
    sets = {"queue": queue.name, "table": queue.settings.table, "group": group}
    guide = guide_of(live)
    name = queue.classes[int(queue.groups[group][0])] if group in queue.groups else ""
    return page(
        request, template, queue=queue, group=group, sets=sets, guide=guide, shown=guide.of(name) if guide else "",
        state=state_of(live, session, group), wanted=queue.settings.question.replace("{class}", name or "…"),
    )  # fmt: skip


def guide_of(live: LiveQueue) -> Guide | None:
    """Return the page of instructions of a queue, or None."""
    path = live.queue.instructions
    return read_guide(path, live.queue.name) if path else None


@router.post("/take")
def take(live: LiveOf, session: SessionOf, asked: Take) -> dict[str, Any]:
    """Return the next rows."""
    cards = live.take(_name(session), asked.number, asked.group, asked.have)
    return {"cards": [_card(card) for card in cards], "state": state_of(live, session, asked.group)}


@router.post("/say")
def say(live: LiveOf, session: SessionOf, said: Say) -> dict[str, Any]:
    """Store verdicts; they are on disk before the response."""
    answers = [SentVerdict(one.uid, one.verdict, one.key, one.seconds, one.comment, one.chosen) for one in said.answers]
    kept = live.say(_name(session), answers, said.act)
    return {"kept": [one.key for one in kept], "state": state_of(live, session, said.group)}


@router.post("/undo")
def undo(live: LiveOf, session: SessionOf, request: Undo) -> dict[str, Any]:
    """Take back the last act of this person."""
    cards = live.undo(_name(session), request.key)
    return {"cards": [_card(card) for card in cards], "state": state_of(live, session, request.group)}


@router.post("/skip")
def skip(live: LiveOf, session: SessionOf, about: NamedRows) -> dict[str, Any]:
    """Skip rows."""
    for uid in about.uids:
        live.skip(_name(session), uid, f"{about.key} {uid}" if about.key else "")
    return {"skipped": about.uids}


@router.post("/leave")
def leave(live: LiveOf, session: SessionOf, about: NamedRows) -> dict[str, Any]:
    """Give back rows that were shown and not answered."""
    live.give_back(_name(session), about.uids)
    return {}


@router.get("/row")
def row(request: Request, studio: StudioOf, live: LiveOf, uid: Annotated[str, Query(max_length=2000)]) -> Response:
    """Show the values of a row."""
    found = studio.opened.row(live.queue.settings.table, uid) if uid in live.queue.row_of else None
    if found is None:
        raise HTTPException(404, "there is no such row")
    values = [(field.name, found.column(field.name)[0].as_py()) for field in found.schema if not is_vector(field.type)]
    # The class of a row would give the answer away.
    hidden = (None, "", *([live.queue.classes[live.queue.row_of[uid]]] if live.queue.choices else []))
    return page(request, "row.html.j2", values=[(name, value) for name, value in values if value not in hidden])


@router.get("/shown/{number}")
async def shown(request: Request, live: LiveOf, number: int) -> Response:
    """Serve a picture of the instructions, re-encoded."""
    from poolwright.core.images.image_files import read_bytes
    from poolwright.studio.pictures import reduced

    guide, path = guide_of(live), live.queue.instructions
    if guide is None or path is None or not 0 <= number < len(guide.images):
        raise HTTPException(404, "there is no such picture")
    root, image = str(path.parent), guide.images[number]

    def draw() -> bytes | str:
        data = read_bytes(root, image)
        return data if isinstance(data, str) else reduced(data, 640)

    return await drawn(request, draw, {"cache-control": "private, max-age=600"})


def state_of(live: LiveQueue, session: Session, group: str) -> dict[str, Any]:
    """Return the progress of a group, as the pages show it.

    Annotators get the number of all answers, not of rows: whether a row that they answered was verified already, such
    as a gold question, would show in that.
    """
    mine = live.mine(session.name)
    found = live.progress(group)
    if len(found) != 1:
        return _state_of_all(live, session) | {"mine": mine}
    (one,) = found
    following = next((other.name for other in live.progress() if live.asks(session.name, other.name)), "")
    state = {"group": group, "rows": one.rows, "done": one.done, "next": following, "mine": mine, "words": ""}
    if not session.owner:
        return state | {"answers": live.answers(group), "wanted": one.rows * live.queue.terms.annotators}
    return state | {
        "verified": one.verified,
        "wrong": one.wrong,
        "unsure": one.unsure,
        "skipped": one.skipped,
        "left": one.judgement.left,
        "conclusion": one.judgement.conclusion,
        "words": describe_conclusion(live.queue, one),
    }


def _state_of_all(live: LiveQueue, session: Session) -> dict[str, Any]:
    groups, rows = live.progress(), len(live.queue)
    state = {"group": "", "rows": rows, "done": all(one.done for one in groups), "next": "", "words": ""}
    if not session.owner:
        answers = sum(live.answers(one.name) for one in groups)
        return state | {"answers": answers, "wanted": rows * live.queue.terms.annotators}
    sums = {name: sum(getattr(one, name) for one in groups) for name in ("verified", "wrong", "unsure", "skipped")}
    return state | sums


def _card(card: QuestionCard) -> dict[str, Any]:
    return asdict(card)


def _name(session: SessionOf) -> str:
    if not session.name:
        raise HTTPException(401, "enter your name first")
    return session.name
