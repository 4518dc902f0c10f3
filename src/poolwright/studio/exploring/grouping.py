"""Show the groups of near-duplicates of a table, and those that leak across its splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

import yaml
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from poolwright.core.columns import UID
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Filter, Picked
from poolwright.inspect.views.repeats import ABOVE, RepeatedRows
from poolwright.inspect.views.selections import save_selection
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.cards import base_of
from poolwright.studio.exploring.query_state import PageState
from poolwright.studio.exploring.rows import ViewsOf, open_view, ready
from poolwright.studio.pages import StudioOf, page

router = APIRouter()

_AT_ONCE, _PICTURES = 24, 12
_GROUP = "duplicate_group"

By = Annotated[str, Query(max_length=500)]


@dataclass(frozen=True)
class GroupedRow:
    """A row of a group on the page."""

    position: int
    uid: str
    side: str
    kept: bool
    why: str


@dataclass(frozen=True)
class RowGroup:
    """A group on the page, with its first rows."""

    number: int
    size: int
    rows: tuple[GroupedRow, ...]


def groups_url(column: str, across: str = "") -> str:
    """Return the URL of the groups by a column, relative to the pages of a table."""
    return "/groups?" + urlencode({"by": column} | ({"across": across} if across else {}))


def step_of(view: View, column: str, across: str = "") -> str:
    """Return the steps that keep one row of each group; or with `across`, those that keep groups within one split.

    The sizes of the splits are those of the step that made them. If no step of the recipe did, the rows that leak are
    removed by a list, which the page of the rows saves.
    """
    by = {"vectors": column, "above": ABOVE} if column in vector_columns(view) else {"same": column}
    if not across:
        return _written({"near_duplicates": {**by, "keep": "first", "into": _GROUP}})
    parameters = _split_of(view, across)
    if parameters is None:
        return _written({"remove": {"file": "uids.txt"}})
    verb, given = parameters
    grouped = _written({"near_duplicates": {**by, "into": _GROUP}}) if "vectors" in by else ""
    return grouped + _written({verb: {**given, "group": _GROUP if grouped else column}})


def _split_of(view: View, column: str) -> tuple[str, dict[str, object]] | None:
    """Return verb and parameters of the step that gave a column of splits and can keep groups together."""
    names = [view.name]
    for name in names:  # grows by the tables that these come from
        spec = view.run.recipe.tables.get(name)
        for one in spec.steps if spec else ():
            step = one.step
            if step.kind == "split" and "group" in type(step).model_fields and getattr(step, "into", None) == column:
                return step.verb, one.parameters
        names += [source for source in (spec.sources if spec else ()) if source not in names]
    return None


def _written(step: dict[str, object]) -> str:
    text = yaml.safe_dump([step], width=1 << 20, allow_unicode=True, sort_keys=False, default_flow_style=None)
    return str(text)


@router.get("/explore/{name}/groups")
def groups(
    request: Request,
    studio: StudioOf,
    views: ViewsOf,
    name: str,
    by: By,
    across: By = "",
    start: Annotated[int, Query(ge=0)] = 0,
) -> Response:
    """Show the groups by a column, the largest first."""
    view = open_view(request, views, name)
    if isinstance(view, Response):
        return view
    found = views.grouped(view, by, across)
    return page(
        request,
        "explore_groups.html.j2",
        table=name,
        base=base_of(name),
        of=view.digest,
        tables=studio.opened.table_names(),
        found=found,
        groups=_drawn(view, found, start),
        step=step_of(view, by, across),
        url=groups_url(by, across),
        start=start,
        following=start + _AT_ONCE if start + _AT_ONCE < len(found) else None,
    )


@router.get("/explore/{name}/grouped")
def grouped(views: ViewsOf, name: str, by: By, across: By = "", group: int | None = None) -> Response:
    """Redirect to the rows of all groups, or of one."""
    view = ready(views, name)
    found = views.grouped(view, by, across)
    known = group is not None and 0 <= group < len(found)
    positions = found.group(group) if known and group is not None else found.positions
    chosen = save_selection(view.folder, positions.tolist(), view.rows)
    return RedirectResponse(f"{base_of(name)}?{PageState(filter=Filter((Picked(chosen),))).query()}", 303)


def _drawn(view: View, found: RepeatedRows, start: int) -> list[RowGroup]:
    columns = [UID, DROPPED_BY, *([found.across] if found.across else [])]
    made = []
    for number in range(start, min(start + _AT_ONCE, len(found))):
        positions = found.group(number)
        shown = positions[:_PICTURES].tolist()
        rows = tuple(
            GroupedRow(
                position,
                row[UID] or "",
                str(row[found.across]) if found.across else "",
                position < view.kept,
                row[DROPPED_BY] or "kept",
            )
            for position, row in zip(shown, view.read(shown, columns), strict=True)
        )
        made.append(RowGroup(number, len(positions), rows))
    return made
