"""Open the views that the pages of the studio share, once each; large ones are indexed in the background."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from poolwright.core.errors import InputError, PoolwrightError
from poolwright.core.results.search_result import Query, SearchResult
from poolwright.inspect.search import SCORE, search
from poolwright.inspect.views.build import build_index, index_folder, read_index
from poolwright.inspect.views.clauses import Filter, Picked
from poolwright.inspect.views.images import image_of
from poolwright.inspect.views.oddities import KINDS, Oddities, oddities
from poolwright.inspect.views.projection import Method, known_projection, project
from poolwright.inspect.views.repeats import RepeatedRows, repeats
from poolwright.inspect.views.selections import save_selection
from poolwright.inspect.views.vectors import vector_columns
from poolwright.inspect.views.view import View
from poolwright.studio.exploring.query_state import PageState
from poolwright.studio.opened import OpenedRun, PictureCache

AT_ONCE = 300_000
"""Maximum number of rows that are indexed while a page waits; more are indexed in the background."""

FILTER_SECONDS: float | None = 20.0
"""Time after which the evaluation of a filter is interrupted."""

_SEARCHES = 6
"""Number of searches in the cache, and of groupings; each needs four or eight bytes per row."""


@dataclass
class Work:
    """Work in the background.

    Attributes:
        done, all: progress; `all` is 0 if it is not known.
        failed: the error, or ''.
    """

    done: int = 0
    all: int = 0
    failed: str = ""
    thread: threading.Thread | None = field(default=None, repr=False)

    @property
    def share(self) -> float:
        """Share of the work that is done."""
        return self.done / self.all if self.all else 0.0

    @property
    def going(self) -> bool:
        """Whether the work is running."""
        return self.thread is not None and self.thread.is_alive()


class SearchedView(NamedTuple):
    """The result of a search, and the view with the column `SCORE`."""

    view: View
    result: SearchResult | Oddities


class Views:
    """Views of the tables of a run.

    Args:
        opened: the run.
    """

    def __init__(self, opened: OpenedRun) -> None:
        self.opened = opened
        self._views: dict[str, View] = {}
        self._work: dict[tuple[str, ...], Work] = {}
        self._searches: OrderedDict[tuple[str, str, str, str], SearchedView] = OrderedDict()
        self._groups: OrderedDict[tuple[str, ...], RepeatedRows] = OrderedDict()
        self._pictures = PictureCache()
        self._lock = threading.Lock()
        self._building = threading.Lock()

    def get(self, name: str) -> View | Work:
        """Return the view of a finished table, or the work on its index.

        Raises:
            InputError: there is no such table, or it could not be indexed.
        """
        table = self.opened.table(name)
        folder = index_folder(table)
        known = self._views.get(name)
        if known and known.folder == folder:
            return known
        if read_index(folder) is None and table.record.rows_in > AT_ONCE:
            key = ("index", name, folder.name)
            work = self._begin(key, lambda work: self._index(name, work))
            if not self._ended(key, work):
                return work
        with self._building:
            known = self._views.get(name)
            if known is None or known.folder != folder:
                self._views[name] = known = View(self.opened.run, name)
                known.seconds = FILTER_SECONDS
            return known

    def _index(self, name: str, work: Work) -> None:
        def progress(done: int, rows: int) -> None:
            work.done, work.all = done, rows

        build_index(self.opened.run, name, progress)

    def _begin(self, key: tuple[str, ...], function: Callable[[Work], object]) -> Work:
        """Start work in the background, once."""
        with self._lock:
            if key not in self._work:
                work = Work()
                work.thread = threading.Thread(target=_guarded, args=(function, work), daemon=True)
                self._work[key] = work
                work.thread.start()
            return self._work[key]

    def _ended(self, key: tuple[str, ...], work: Work) -> bool:
        """Return whether the work has ended. An error is raised once; then the work may be started again."""
        if work.going:
            return False
        with self._lock:
            self._work.pop(key, None)
        if work.failed:
            raise PoolwrightError(work.failed)
        return True

    def searched(self, view: View, asked: PageState) -> SearchedView:
        """Return the scores of a search, computed once.

        Raises:
            InputError: there are no vectors, no encoder, or no such row.
        """
        columns = vector_columns(view)
        column = asked.vectors if asked.vectors in columns or not columns else columns[0]
        key = (view.name, view.digest, column, repr((asked.like, asked.text, asked.odd)))
        with self._lock:
            if key in self._searches:
                self._searches.move_to_end(key)
                return self._searches[key]
        result: SearchResult | Oddities
        if asked.odd:
            result = _odd(view, column, asked.odd)
        else:
            result = search(view, Query(None if asked.like else asked.text, like=asked.like or None, column=column))
        found = SearchedView(view.with_column(SCORE, result.scores), result)
        with self._lock:
            self._searches[key] = found
            while len(self._searches) > _SEARCHES:
                self._searches.popitem(last=False)
        return found

    def grouped(self, view: View, column: str, across: str) -> RepeatedRows:
        """Return the groups of rows by a column, found once.

        Raises:
            InputError: there is no such column, or rows cannot be grouped by it.
        """
        key = (view.name, view.digest, column, across)
        with self._lock:
            if key in self._groups:
                self._groups.move_to_end(key)
                return self._groups[key]
        found = repeats(view, column, across)
        with self._lock:
            self._groups[key] = found
            while len(self._groups) > _SEARCHES:
                self._groups.popitem(last=False)
        return found

    def projected(self, view: View, column: str, method: Method) -> bool | Work:
        """Return True if the map exists, or the work on it."""
        if known_projection(view, column, method) is not None:
            return True
        key = ("map", view.name, view.digest, column, method)
        work = self._begin(key, lambda _: project(view, column, method))
        if work.going and method == "pca" and work.thread is not None:
            work.thread.join(2.0)
        return self._ended(key, work) or work

    def kept_search(self, view: View, search: SearchedView, chosen: Filter) -> Picked:
        """Save the rows of a search that pass a filter as a selection, which views without the search know."""
        positions = np.flatnonzero(search.view.rows_of(chosen))
        return Picked(save_selection(view.folder, positions, view.rows))

    def report(self, folder: Path) -> Path | Work:
        """Write the report of the run; returns its path, or the work on it."""
        from poolwright.api import report

        key = ("report", str(folder))
        work = self._begin(key, lambda _: report(folder))
        if work.thread is not None:
            work.thread.join(2.0)
        return folder / "report.html" if self._ended(key, work) else work

    def picture(self, view: View, position: int, edge: int) -> bytes | str:
        """Return the picture of a row re-encoded, or a reason why there is none."""
        return self._pictures.get(lambda: image_of(view, position), edge)


def _odd(view: View, column: str, odd: str) -> Oddities:
    kind, _, label = odd.partition(" ")
    found = next((one for one in KINDS if one == kind), None)
    if found is None or label not in view.facets:
        raise InputError(f"'{odd[:80]}' names no kind of odd rows with a column of classes")
    return oddities(view, column, label, found)


def _guarded(function: Callable[[Work], object], work: Work) -> None:
    try:
        function(work)
    except PoolwrightError as error:
        work.failed = str(error)
    except Exception as error:
        work.failed = f"{type(error).__name__}: {error}"
        raise
