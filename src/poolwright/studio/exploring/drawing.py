"""Draw a sample of the rows of a page by steps of a recipe: at random, balanced, diverse, or typical rows."""

from __future__ import annotations

import hashlib
import threading
from typing import Annotated, Literal
from urllib.parse import parse_qsl

import yaml
from fastapi import APIRouter, Form
from fastapi.responses import Response

from poolwright.api import Recipe, run
from poolwright.core.columns import UID
from poolwright.core.errors import InputError
from poolwright.core.results.search_result import SearchResult
from poolwright.inspect.views.clauses import EVERYTHING, Filter, HasOutcome, Picked
from poolwright.inspect.views.selections import save_selection, selection_steps
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.cards import base_of, filter_of, steps_of
from poolwright.studio.exploring.query_state import PageState, read_asked
from poolwright.studio.exploring.rows import ViewsOf, ready
from poolwright.studio.exploring.views import SearchedView
from poolwright.studio.pages import SessionOf, only_owner

router = APIRouter()

Strategy = Literal["random", "balanced", "diverse", "typical"]

_MOST_CLUSTERS = 256
_DRAWN = "drawn"
"""Name of the table of a sample, and of the columns of its clusters."""

_DRAWING = threading.Lock()


@router.post("/explore/{name}/draw")
def draw(
    session: SessionOf,
    views: ViewsOf,
    name: str,
    strategy: Annotated[Strategy, Form()],
    n: Annotated[int, Form(ge=1, le=10_000_000)],
    classes: Annotated[str, Form(max_length=500)] = "",
    vectors: Annotated[str, Form(max_length=500)] = "",
    query: Annotated[str, Form(max_length=20_000)] = "",
) -> Response:
    """Draw a sample of the kept rows of a page, and show it; its steps can be copied."""
    only_owner(session)
    view = ready(views, name)
    asked = read_asked(view, parse_qsl(query))
    search = views.searched(view, asked) if asked.searches else None
    before = _before(view, asked, search)
    of = search.view if search else view
    steps = before + strategy_steps(of, strategy, n, classes, vectors, filter_of(asked, search) & HasOutcome(True))
    with _DRAWING:
        uids = drawn_uids(view, steps)
    positions = [one for one in view.positions_of(uids) if one < view.kept]
    if not positions:
        raise InputError("no row was drawn: no kept row passes the filter of this page")
    chosen = save_selection(view.folder, positions, view.rows, steps)
    to = PageState(filter=Filter((Picked(chosen),)), layout=asked.layout)
    return Response(headers={"hx-redirect": f"{base_of(name)}?{to.query()}"})


def _before(view: View, asked: PageState, search: SearchedView | None) -> str:
    """Return the filter and the search of a page as steps.

    Raises:
        InputError: some of it is no step.
    """
    by_hand = [one for one in asked.filter.clauses if isinstance(one, Picked)]
    if any(not selection_steps(view.folder, one.selection) for one in by_hand):
        raise InputError("rows selected by hand are no step of a recipe; remove the selection, or tag its rows")
    if HasOutcome(False) in asked.filter.clauses:
        raise InputError("dropped rows are not in the table; a sample is drawn of kept rows")
    if search is not None and not isinstance(search.result, SearchResult):
        raise InputError("rows of this gallery are found by no step of a recipe; end the search, or tag its rows")
    return steps_of(search.view if search else view, asked, search)


def strategy_steps(
    view: View, strategy: Strategy, n: int, classes: str, vectors: str, chosen: Filter = EVERYTHING
) -> str:
    """Return the steps that draw `n` rows of a table.

    `random`: each row is as likely as any other. `balanced`: as evenly from the classes as their sizes allow.
    `diverse`: as evenly from clusters of the vectors, as many as rows up to 256. `typical`: of each class an equal
    number, those nearest to its mean.

    Args:
        view: the rows.
        strategy: one of these.
        n: number of rows.
        classes: a facet; for balanced and typical.
        vectors: a column of vectors; for diverse and typical.
        chosen: a filter of the rows, whose classes are counted.

    Raises:
        InputError: the strategy lacks its column.
    """
    if strategy in ("balanced", "typical") and classes not in view.facets:
        raise InputError(f"a {strategy} sample needs a column of classes")
    if strategy in ("diverse", "typical") and vectors not in vector_columns(view):
        raise InputError(f"a {strategy} sample needs a column of vectors")
    steps: list[dict[str, object]]
    if strategy == "random":
        steps = [{"sample": {"n": n}}]
    elif strategy == "balanced":
        steps = [{"sample": {"n": n, "balance": classes}}]
    elif strategy == "diverse":
        k = min(n, _MOST_CLUSTERS)
        steps = [
            {"cluster": {"of": vectors, "k": k, "restarts": 1, "into": _DRAWN}},
            {"sample": {"n": n, "balance": f"{_DRAWN}_cluster"}},
        ]
    else:
        there = int((view.value_counts(classes, chosen)[1:] > 0).sum())
        of_each = max(1, n // max(1, there))
        steps = [
            {"cluster": {"of": vectors, "group": classes, "k": 1, "restarts": 1, "into": _DRAWN}},
            {"top": {"by": f"{_DRAWN}_distance", "n": of_each, "group": classes, "lowest": True}},
        ]
    return str(yaml.safe_dump(steps, width=1 << 20, allow_unicode=True, sort_keys=False, default_flow_style=None))


def drawn_uids(view: View, steps: str) -> list[str]:
    """Run steps over the kept rows of a table, in a run next to its index, and return the uids that they keep.

    Steps that ran before are not run again. Encoders and paths mean what they mean in the recipe of the run.
    """
    recipe = view.run.recipe
    data = {
        "recipe": 1,
        "name": _DRAWN,
        "seed": recipe.seed,
        "models": recipe.source.unfilled.get("models") or {},
        "pools": {"kept": {"read": "table", "path": str(view.table.folder / "part-*.parquet")}},
        "tables": {_DRAWN: {"from": "kept", "steps": [*yaml.safe_load(steps), {"keep_columns": [UID]}]}},
    }
    folder = view.folder / _DRAWN / hashlib.sha256(steps.encode()).hexdigest()[:16]
    table = run(Recipe.from_data(data, recipe.folder), folder, release=False).tables[_DRAWN]
    return [str(uid) for uid in table.select([UID]).to_arrow().column(UID).to_pylist()]
