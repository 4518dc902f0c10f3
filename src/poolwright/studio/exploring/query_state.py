"""Read and write the state of a page in its URL: filter, search, threshold, order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa

from poolwright.core.errors import InputError, PoolwrightError
from poolwright.inspect.views.clauses import (
    EVERYTHING,
    Among,
    Between,
    Clause,
    Contains,
    Filter,
    HasOutcome,
    Picked,
    Satisfies,
)
from poolwright.inspect.views.store import StoredColumn
from poolwright.inspect.views.view import SHUFFLED, View

LAYOUTS = ("grid", "table")
MOST_CLAUSES = 40
LONGEST = 2_000

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class PageState:
    """The state of a page.

    Attributes:
        filter: filter of the rows; the threshold of a search is not among its clauses.
        vectors: column of vectors to search by; '' for no search.
        text: text to search for.
        like: uid of the row to search similar ones of.
        odd: a kind of `inspect.views.oddities` and a facet, such as 'outliers label', whose odd rows are searched for.
        cut: minimum score of a search.
        sort: column, `SHUFFLED`, or '' for the order of the table; a search sorts by its score.
        descending: whether the greatest come first.
        layout: one of LAYOUTS.
    """

    filter: Filter = EVERYTHING
    vectors: str = ""
    text: str = ""
    like: str = ""
    odd: str = ""
    cut: float | None = None
    sort: str = ""
    descending: bool = False
    layout: str = "grid"

    @property
    def searches(self) -> bool:
        """Whether the page shows a search."""
        return bool(self.text or self.like or self.odd)

    @property
    def chosen(self) -> tuple[Clause, ...]:
        """The clauses except the outcome, which pages show in another way."""
        return tuple(clause for clause in self.filter.clauses if not isinstance(clause, HasOutcome))

    def pairs(self) -> Pairs:
        """Return name and value of everything that differs from the default."""
        found = [pair for clause in self.filter.clauses for pair in _pairs(clause)]
        plain = (("vec", self.vectors), ("q", self.text), ("like", self.like), ("odd", self.odd), ("sort", self.sort))
        found += [(name, value) for name, value in plain if value]
        if self.cut is not None:
            found.append(("cut", repr(self.cut)))
        if self.descending:
            found.append(("down", "1"))
        if self.layout != LAYOUTS[0]:
            found.append(("layout", self.layout))
        return found

    def query(self, *more: tuple[str, str]) -> str:
        """Return the state as a query string."""
        return urlencode([*self.pairs(), *more])

    def toggled(self, column: str, value: str | None) -> PageState:
        """Return the state with the choice of a value of a facet toggled."""
        mine = [one for one in self.filter.clauses if isinstance(one, Among) and one.column == column]
        values = {entry for clause in mine for entry in clause.values} ^ {value}
        rest = self.filter.without(lambda clause: clause in mine)
        return replace(self, filter=rest & among(column, values) if values else rest)

    def without(self, clause: Clause) -> PageState:
        """Return the state without a clause."""
        return replace(self, filter=self.filter.without(lambda one: one == clause))

    def ranged(self, column: str) -> PageState:
        """Return the state without the range of a column, so that another can be chosen."""
        mine = [one for one in self.filter.clauses if isinstance(one, Between) and one.column == column]
        return replace(self, filter=self.filter.without(lambda clause: clause in mine))

    def outcome(self, kept: bool | None) -> PageState:
        """Return the state for kept rows, dropped rows, or all (None)."""
        rest = self.filter.without(lambda clause: isinstance(clause, HasOutcome))
        return replace(self, filter=rest if kept is None else rest & HasOutcome(kept))

    def unsearched(self) -> PageState:
        """Return the state without the search."""
        return replace(self, text="", like="", odd="", cut=None, vectors="")

    @property
    def kept(self) -> bool | None:
        """Whether kept or dropped rows are shown; None for all."""
        return next((clause.kept for clause in self.filter.clauses if isinstance(clause, HasOutcome)), None)


def among(column: str, values: Iterable[str | None]) -> Among:
    """Return a choice of values in canonical order."""
    return Among(column, tuple(sorted(values, key=lambda value: (value is not None, value or ""))))


def _pairs(clause: Clause) -> Iterator[tuple[str, str]]:
    match clause:
        case HasOutcome(kept):
            yield "out", "kept" if kept else "dropped"
        case Among(column, values):
            yield from (("null", column) if value is None else (f"is.{column}", value) for value in values)
        case Between(column, low, high):
            yield from ((f"min.{column}", repr(low)),) if low is not None else ()
            yield from ((f"max.{column}", repr(high)),) if high is not None else ()
        case Satisfies(expression):
            yield "where", expression
        case Contains(words, _):
            yield "has", words
        case Picked(selection):
            yield "sel", selection


def read_asked(view: View, pairs: Iterable[tuple[str, str]]) -> PageState:
    """Read the state of a page from a query string. Unknown names are ignored.

    Raises:
        InputError: a column does not exist, a number is not valid, or a value is too long.
    """
    given = [(name, value) for name, value in pairs if value][: 4 * MOST_CLAUSES]
    if any(len(value) > LONGEST for _, value in given):
        raise InputError(f"a part of this address is longer than {LONGEST:,} characters")
    single = dict(given)
    asked = PageState(
        filter=Filter(tuple(_clauses(view, given))[:MOST_CLAUSES]),
        vectors=single.get("vec", ""),
        text=single.get("q", "").strip(),
        like=single.get("like", ""),
        odd=single.get("odd", ""),
        cut=number(None, single["cut"]) if "cut" in single else None,
        sort=single.get("sort", ""),
        descending=single.get("down") == "1",
        layout=single.get("layout", "") if single.get("layout") in LAYOUTS else LAYOUTS[0],
    )
    if asked.sort and asked.sort != SHUFFLED:
        view.column(asked.sort)
    return asked


def _clauses(view: View, pairs: Pairs) -> Iterator[Clause]:
    chosen: dict[str, set[str | None]] = {}
    ends: dict[str, dict[str, float]] = {}
    for name, value in pairs:
        kind, _, column = name.partition(".")
        if name == "null":
            chosen.setdefault(value, set()).add(None)
        elif kind == "is" and column:
            chosen.setdefault(column, set()).add(value)
        elif kind in ("min", "max") and column:
            ends.setdefault(column, {})[kind] = number(view.column(column), value)
        elif name == "out" and value in ("kept", "dropped"):
            yield HasOutcome(value == "kept")
        elif name == "where":
            yield Satisfies(value.strip())
        elif name == "has" and view.texts:
            yield Contains(value.strip(), tuple(view.texts))
        elif name == "sel":
            yield Picked(value)
    for column, values in chosen.items():
        view.column(column)
        yield among(column, values)
    yield from (Between(column, end.get("min"), end.get("max")) for column, end in ends.items())


def number(column: StoredColumn | None, text: str) -> float:
    """Parse a number, or for a column of times a date or time in ISO 8601, in the unit of the column.

    Raises:
        InputError: it is neither, or out of range.
    """
    times = column if column is not None and pa.types.is_temporal(column.type) else None
    try:
        value = float(text) if times is None or _is_number(text) else _time(datetime.fromisoformat(text), times)
        if math.isfinite(value) and (times is None or str(_value(times, value))):
            return value
    except (ValueError, OverflowError, pa.ArrowException):
        pass
    raise InputError(f"'{text[:80]}' is not a {'number' if times is None else 'time'}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _time(value: datetime, column: StoredColumn) -> float:
    dtype = column.type
    if pa.types.is_date(dtype):
        return float(pa.scalar(value.date(), dtype).cast(_whole(dtype)).as_py())
    if pa.types.is_timestamp(dtype):
        value = value.replace(tzinfo=None) if dtype.tz is None else value.replace(tzinfo=value.tzinfo or UTC)
    return float(pa.scalar(value, dtype).cast(pa.int64()).as_py())


def _value(column: StoredColumn, value: float) -> Any:
    """Return the time that a number of a column stands for."""
    return pa.scalar(int(value), _whole(column.type)).cast(column.type).as_py()


def _whole(dtype: pa.DataType) -> pa.DataType:
    return pa.int32() if dtype.bit_width == 32 else pa.int64()


def shown(column: StoredColumn, value: float | None) -> str:
    """Format a number of a column for display: times as dates."""
    if value is None:
        return ""
    if pa.types.is_temporal(column.type):
        try:
            return str(_value(column, value))[:10]
        except (pa.ArrowException, ValueError, OverflowError):
            return f"{value:.6g}"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) >= 1000 else f"{value:.4g}"


def words(view: View, clause: Clause) -> str:
    """Describe a clause for display."""
    match clause:
        case HasOutcome(kept):
            return "kept" if kept else "dropped"
        case Among(column, values):
            names = [value if value is not None else "no value" for value in values]
            return f"{column}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        case Between(column, low, high):
            return _range_words(view.column(column), low, high)
        case Satisfies(expression):
            return expression
        case Contains(text, _):
            return f"“{text}”"
        case Picked(selection):
            return f"selection of {_picked(view, selection)} rows"


def _range_words(column: StoredColumn, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"{column.name} {'≤' if low is None else '≥'} {shown(column, high if low is None else low)}"
    return f"{column.name} {shown(column, low)} – {shown(column, high)}"


def _picked(view: View, selection: str) -> str:
    try:
        return f"{len(view.picked(selection)):,}"
    except PoolwrightError:
        return "lost"


def brief(value: Any, most: int = 160) -> str:
    """Format a value of a row for display, with bounded length."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if len(text) <= most else text[: most - 1] + "…"
