"""Show a table side by side with another version of it: a table of another run, or a release, as `poolwright diff`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException
from xxhash import xxh3_64_hexdigest

from poolwright.api import diff, write_diff
from poolwright.core.errors import InputError
from poolwright.studio.access import FOLDER
from poolwright.studio.guard import POLICY
from poolwright.studio.pages import SessionOf, StudioOf, only_owner, page

router = APIRouter(prefix="/diff")

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox"
)
"""Content security policy of a comparison, which has styles of its own and no script."""


@router.post("")
def compare(
    studio: StudioOf,
    session: SessionOf,
    table: Annotated[str, Form(max_length=200)],
    other: Annotated[str, Form(max_length=2000)],
) -> Response:
    """Compare a table with another version of it."""
    only_owner(session)
    if table not in studio.opened.table_names():
        raise InputError(f"no table '{table}' of this run is finished")
    changes = diff(Path(other.strip()).expanduser(), studio.opened.folder / table)
    name = xxh3_64_hexdigest(f"{table}\n{other.strip()}".encode())
    write_diff(changes, _file(studio.opened.folder, name))
    return Response(headers={"hx-redirect": f"/diff/{name}"})


@router.get("/{name}")
def shown(request: Request, studio: StudioOf, name: str) -> Response:
    """Show a comparison in its frame."""
    path = _file(studio.opened.folder, name)
    if not path.exists():
        raise HTTPException(404, "there is no such comparison; compare again")
    of = f"/diff/{name}/page?{path.stat().st_mtime_ns}"
    answer = page(request, "explore_report.html.j2", title="Versions", source=of)
    answer.headers["content-security-policy"] = f"{POLICY}; frame-src 'self'"
    return answer


@router.get("/{name}/page")
def itself(studio: StudioOf, name: str) -> Response:
    """Serve the comparison itself."""
    path = _file(studio.opened.folder, name)
    if not path.exists():
        raise HTTPException(404, "there is no such comparison; compare again")
    headers = {"content-security-policy": _POLICY, "x-frame-options": "SAMEORIGIN", "cache-control": "no-cache"}
    return FileResponse(path, media_type="text/html; charset=utf-8", headers=headers)


def _file(folder: Path, name: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{16}", name):
        raise HTTPException(404, "there is no such comparison; compare again")
    return folder / FOLDER / "diffs" / f"{name}.html"
