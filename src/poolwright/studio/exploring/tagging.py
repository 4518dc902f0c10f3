"""Select rows by hand, and tag the rows of a page: tags are files in the run folder that steps read."""

from __future__ import annotations

import threading
from itertools import islice
from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from poolwright.core.errors import InputError
from poolwright.inspect.views.clauses import Filter, Picked
from poolwright.inspect.views.selections import save_selection
from poolwright.inspect.views.tags import (
    MOST_ROWS,
    TaggedRow,
    add_tag,
    parse_tags,
    read_tag,
    remove_tag,
    tag_file,
    tag_names,
)
from poolwright.studio.exploring.cards import base_of, filter_of
from poolwright.studio.exploring.query_state import PageState, read_asked
from poolwright.studio.exploring.rows import ViewsOf, ready, same
from poolwright.studio.pages import SessionOf, StudioOf, only_owner, page

router = APIRouter()

_WRITING = threading.Lock()
_MOST_PICKED = 10_000


class PickedRows(BaseModel):
    """Rows that were picked by hand: their positions, and the digest of the table that these refer to."""

    of: str = Field(max_length=16)
    positions: list[int] = Field(max_length=_MOST_PICKED)


@router.post("/explore/{name}/pick")
def pick(views: ViewsOf, name: str, picked: PickedRows) -> Response:
    """Save rows picked by hand as a selection, which filters know."""
    view = same(views, name, picked.of)
    chosen = save_selection(view.folder, picked.positions, view.rows)
    return JSONResponse({"query": PageState(filter=Filter((Picked(chosen),))).query()})


@router.post("/explore/{name}/tags")
def tag(
    studio: StudioOf,
    session: SessionOf,
    views: ViewsOf,
    name: str,
    word: Annotated[str, Form(max_length=60)],
    query: Annotated[str, Form(max_length=20_000)] = "",
    away: Annotated[bool, Form()] = False,
) -> Response:
    """Tag all rows of a page, or take the tag from them."""
    only_owner(session)
    view = ready(views, name)
    asked = read_asked(view, parse_qsl(query))
    search = views.searched(view, asked) if asked.searches else None
    found = search.view if search else view
    chosen, folder, word = filter_of(asked, search), studio.opened.folder, word.strip()
    if found.count(chosen).rows > MOST_ROWS:
        raise InputError(f"more than {MOST_ROWS:,} rows; tags are for fewer: filter them first")
    uids = [uid for uid in islice(found.uids(chosen), MOST_ROWS) if uid is not None]
    with _WRITING:
        if away:
            number = remove_tag(folder, word, uids)
        else:
            number = add_tag(folder, (TaggedRow(uid, word, name, session.name or "owner") for uid in uids))
    said = f"{number:,} rows {'no longer have' if away else 'got'} the tag {word}"
    return Response(said, media_type="text/plain", headers={"hx-trigger": "tagged"})


@router.get("/explore/{name}/tags")
def tags(request: Request, studio: StudioOf, name: str) -> Response:
    """List the tags of the run."""
    folder = studio.opened.folder
    found = [(one, len(read_tag(folder, one)), str(tag_file(folder, one))) for one in tag_names(folder)]
    return page(request, "explore_tags.html.j2", base=base_of(name), tags=found, run_folder=str(folder))


@router.get("/explore/{name}/tagged")
def tagged(studio: StudioOf, views: ViewsOf, name: str, word: Annotated[str, Query(max_length=60)]) -> Response:
    """Redirect to the rows of a table that have a tag."""
    view = ready(views, name)
    positions = view.positions_of([row.uid for row in read_tag(studio.opened.folder, word)])
    if not positions:
        raise InputError(f"no row of table '{name}' has the tag '{word}'")
    chosen = save_selection(view.folder, positions, view.rows)
    return RedirectResponse(f"{base_of(name)}?{PageState(filter=Filter((Picked(chosen),))).query()}", 303)


@router.get("/tags/{word}.csv")
def export(studio: StudioOf, session: SessionOf, word: str) -> Response:
    """Download the file of a tag."""
    only_owner(session)
    path = tag_file(studio.opened.folder, word)
    if not path.exists():
        raise HTTPException(404, f"no row has the tag '{word}'")
    headers = {"content-disposition": f'attachment; filename="{path.name.encode("ascii", "replace").decode()}"'}
    return Response(path.read_bytes(), 200, headers, "text/csv; charset=utf-8")


@router.post("/tags/import")
async def take_in(studio: StudioOf, session: SessionOf, file: Annotated[UploadFile, File()]) -> Response:
    """Import a file of tags; those that rows have already are left as they are."""
    only_owner(session)
    try:
        text = (await file.read()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{file.filename}: cannot be read as UTF-8 text; save it as UTF-8") from None
    with _WRITING:
        number = add_tag(studio.opened.folder, parse_tags(text, file.filename or "tags.csv"))
    return Response(f"{number:,} rows got tags", media_type="text/plain", headers={"hx-trigger": "tagged"})
