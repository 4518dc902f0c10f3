"""Build rows for a page, with their filter and order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml

from poolwright.core.columns import (
    IMAGE_PATH,
    LABEL,
    PDQ,
    PHASH,
    SHA256,
    SIMILARITY,
    SPLIT,
    TEXT,
    TITLE,
    UID,
    URL,
)
from poolwright.core.results.search_result import SearchResult
from poolwright.inspect.search import SCORE, search_steps
from poolwright.inspect.views.answers import Counts
from poolwright.inspect.views.build import DROPPED_BY
from poolwright.inspect.views.clauses import Between, Filter, HasOutcome, Picked
from poolwright.inspect.views.selections import selection_steps
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.query_state import PageState, brief
from poolwright.studio.exploring.views import SearchedView

PAGE = 60

_FIRST = (SCORE, LABEL, SIMILARITY, SPLIT, TITLE, TEXT)
_LAST = (IMAGE_PATH, URL, SHA256, PHASH, PDQ)


@dataclass(frozen=True)
class RowCard:
    """A row on the page."""

    position: int
    uid: str
    title: str
    tag: str
    kept: bool
    why: str
    values: tuple[str, ...] = ()


def base_of(name: str) -> str:
    """Return the base URL of the pages of a table."""
    return f"/explore/{quote(name, safe='')}"


def filter_of(asked: PageState, search: SearchedView | None) -> Filter:
    """Return the whole filter, with the threshold of a search. A search shows only rows that have a score."""
    if search is None:
        return asked.filter
    return asked.filter & Between(SCORE, asked.cut)


def order_of(asked: PageState, search: SearchedView | None) -> tuple[str | None, bool]:
    """Return the column to sort by, and whether the order is descending; by default the highest scores come first."""
    if asked.sort or search is None:
        return asked.sort or None, asked.descending
    return SCORE, not asked.descending


def cards_of(
    view: View, asked: PageState, search: SearchedView | None, start: int
) -> tuple[Counts, list[RowCard], int | None]:
    """Return the counts of the filter without the outcome, one page of rows, and the start of the next page or None."""
    chosen = filter_of(asked, search)
    sort, descending = order_of(asked, search)
    found = view.page(chosen, sort, descending, start, PAGE)
    following = start + PAGE if start + PAGE < found.rows else None
    count = view.count(chosen.without(lambda clause: isinstance(clause, HasOutcome)))
    return count, _drawn(view, found.positions, sort, asked.layout == "table"), following


def _drawn(view: View, positions: Sequence[int], sort: str | None, table: bool) -> list[RowCard]:
    known = {column.name for column in view.columns}
    titles = [name for name in (LABEL, TITLE, TEXT) if name in known]
    tag = sort if sort in known else SIMILARITY if SIMILARITY in known else None
    wide = table_columns(view) if table else []
    names = list(dict.fromkeys([UID, DROPPED_BY, *titles, *([tag] if tag else []), *wide]))
    return [
        RowCard(
            position=position,
            uid=row[UID] or "",
            title=brief(next((row[name] for name in titles if row[name] is not None), row[UID]), 60),
            tag=_tag(view, tag, row) if tag else "",
            kept=position < view.kept,
            why=row[DROPPED_BY] or "kept",
            values=tuple(brief(row[name], 80) for name in wide),
        )
        for position, row in zip(positions, view.read(positions, names), strict=True)
    ]


def _tag(view: View, name: str, row: dict[str, Any]) -> str:
    value = row[name]
    return brief(value, 19) if not isinstance(value, float) else f"{value:.3f}"


def table_columns(view: View) -> list[str]:
    """Return the columns of a table of rows: well-known ones first, paths and URLs of images last."""
    names = [column.name for column in view.columns if column.name not in (UID, DROPPED_BY)]
    return sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST) + (name in _LAST))


def sorts_of(view: View) -> list[str]:
    """List the columns that rows can be sorted by."""
    return [name for name in view.numbers if name != SCORE]


def steps_of(view: View, asked: PageState, search: SearchedView | None, n: int | None = None) -> str:
    """Return the filter and the search as steps of a recipe; outcomes and selections by hand are no steps.

    A selection that a rule made, such as a sample, has the steps of its own, which come first.

    Args:
        view: the rows.
        asked: state of the page.
        search: search of the page.
        n: keep the `n` best of a search instead of those above its threshold.
    """
    picked = [one.selection for one in asked.filter.clauses if isinstance(one, Picked)]
    said = "".join(selection_steps(view.folder, one) for one in picked)
    said += f"- where: {_yaml(text)}\n" if (text := asked.filter.sql(view)) else ""
    if search is None:
        return said
    if not isinstance(search.result, SearchResult):
        return said + "- remove: {file: uids.txt}\n"  # no step scores rows by these means
    return said + search_steps(view, search.result, asked.cut if n is None else None, n)


def _yaml(text: str) -> str:
    return str(yaml.safe_dump(text, width=1 << 20, allow_unicode=True)).removesuffix("...\n").strip()
