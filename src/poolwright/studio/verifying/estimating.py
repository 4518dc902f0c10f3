"""Estimate precision, recall and prevalence of a filter while verdicts arrive, and the number of verdicts needed."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from poolwright.annotation.sample import accuracy
from poolwright.core.errors import PoolwrightError
from poolwright.kernels.statistics.accuracy import MEASURES, Estimates
from poolwright.kernels.statistics.sample_size import MoreVerdicts, how_many_more, parse_wanted
from poolwright.studio.pages import SessionOf, only_owner, page
from poolwright.studio.verifying.asking import LiveOf
from poolwright.studio.verifying.live import LiveQueue

router = APIRouter(prefix="/verify/{queue}")

_Width = Annotated[str, Query(max_length=12)]


@router.get("/estimates")
def estimates(
    request: Request,
    session: SessionOf,
    live: LiveOf,
    precision: _Width = "",
    recall: _Width = "",
    prevalence: _Width = "",
) -> Response:
    """Show the page of estimates."""
    only_owner(session)
    wanted = {"precision": precision, "recall": recall, "prevalence": prevalence}
    return page(request, "estimates.html.j2", wanted=wanted, **_found(live, wanted))


@router.get("/estimates/state")
def state(
    request: Request,
    session: SessionOf,
    live: LiveOf,
    precision: _Width = "",
    recall: _Width = "",
    prevalence: _Width = "",
) -> Response:
    """Return the estimates alone, to update an open page."""
    only_owner(session)
    wanted = {"precision": precision, "recall": recall, "prevalence": prevalence}
    return page(request, "estimates_state.html.j2", wanted=wanted, **_found(live, wanted))


def _found(live: LiveQueue, wanted: dict[str, str]) -> dict[str, Any]:
    if live.queue.sample is None:
        raise HTTPException(404, "this queue is not a sample of a filter's decisions")
    found = _estimates(live, live.version)
    more, wrong = None, ""
    asked = tuple(f"{measure}={width}" for measure, width in wanted.items() if width.strip())
    if asked:
        try:
            more = _more(live, live.version, asked)
        except PoolwrightError as error:
            wrong = str(error)
    measures = [(name, getattr(found, name)) for name in MEASURES]
    return {"queue": live.queue, "found": found, "measures": measures, "more": more, "wrong": wrong}


@lru_cache(maxsize=8)
def _estimates(live: LiveQueue, version: tuple[int, int]) -> Estimates:
    """Compute estimates once for all browsers, until the next verdict."""
    assert live.queue.sample is not None
    said = [one.as_verdict() for one in live.snapshot().counted]
    return accuracy(live.queue.sample, said, confidence=live.queue.settings.confidence)


@lru_cache(maxsize=32)
def _more(live: LiveQueue, version: tuple[int, int], wanted: tuple[str, ...]) -> MoreVerdicts:
    return how_many_more(_estimates(live, version), parse_wanted(wanted))
