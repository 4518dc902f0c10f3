"""Serve the report of a run, as `poolwright report` writes it, within the studio.

It is a page with a script and styles of its own, so it is shown in a sandboxed frame: it has no origin, sees neither
cookies nor the studio, and only the script that this version of poolwright writes runs in it.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, Response

from poolwright.core.table import RECORD
from poolwright.studio.exploring.rows import ViewsOf
from poolwright.studio.exploring.views import Work
from poolwright.studio.guard import POLICY
from poolwright.studio.opened import OpenedRun
from poolwright.studio.pages import StudioOf, page

router = APIRouter()


def script_digest() -> str:
    """Return the SHA-256 of the script of reports in the form of content security policies."""
    script = files("poolwright.report").joinpath("templates", "script.js").read_bytes()
    return "sha256-" + base64.b64encode(hashlib.sha256(script).digest()).decode()


def report_policy() -> str:
    """Return the content security policy of a report."""
    return (
        f"default-src 'none'; script-src '{script_digest()}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts"
    )


def up_to_date(opened: OpenedRun) -> Path | None:
    """Return the report in the run folder if this version wrote it and no table is newer, otherwise None."""
    path = opened.folder / "report.html"
    if not path.exists() or not opened.table_names():
        return None
    newest = max((opened.run.table_folder(name) / RECORD).stat().st_mtime_ns for name in opened.table_names())
    if path.stat().st_mtime_ns < newest:
        return None
    with path.open("rb") as file:
        return path if script_digest().encode() in file.read(4_096) else None


def drawn(studio: StudioOf, views: ViewsOf) -> Path | Work:
    """Return the report, or the work on it."""
    return up_to_date(studio.opened) or views.report(studio.opened.folder)


DrawnReport = Annotated[Path | Work, Depends(drawn)]


@router.get("/report")
def report_page(request: Request, found: DrawnReport) -> Response:
    """Show the report in its frame."""
    if isinstance(found, Work):
        return page(request, "explore_wait.html.j2", table="Report", work=found, what="drawing it")
    source = f"/report/page?{found.stat().st_mtime_ns}"
    answer = page(request, "explore_report.html.j2", title="Report", source=source)
    answer.headers["content-security-policy"] = f"{POLICY}; frame-src 'self'"
    return answer


@router.get("/report/page")
def report_itself(found: DrawnReport) -> Response:
    """Serve the report itself."""
    if isinstance(found, Work):
        return Response("the report is being drawn", 503, media_type="text/plain")
    headers = {"content-security-policy": report_policy(), "x-frame-options": "SAMEORIGIN", "cache-control": "no-cache"}
    return FileResponse(found, media_type="text/html; charset=utf-8", headers=headers)
