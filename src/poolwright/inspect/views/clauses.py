"""Clauses of a filter: single conditions on rows, all of which must be true."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import is_text
from poolwright.core.errors import InputError, did_you_mean
from poolwright.core.rows import Rows
from poolwright.expressions.expression import parse
from poolwright.expressions.writing import column_name, literal
from poolwright.inspect.views.finding.words import contains, escaped
from poolwright.inspect.views.store import StoredColumn

Bools = npt.NDArray[np.bool_]

_LONGEST = 36
"""Digits of a decimal literal in DuckDB."""

_FIRST_ROWS, _GROWTH, _SECONDS = 64, 16, 0.2
"""Rows of the first evaluation of an expression, the factor by which the next may have more, and their seconds.

An expensive expression is evaluated on few rows at a time: DuckDB is interrupted between vectors of rows only, and does
not count texts that functions such as `repeat` make towards its memory limit.
"""


class Chunks(Protocol):
    """The part of a view that clauses use."""

    @property
    def kept(self) -> int: ...

    @property
    def chunk_rows(self) -> int: ...

    def column(self, name: str) -> StoredColumn: ...

    def size(self, chunk: int) -> int: ...

    def picked(self, selection: str) -> npt.NDArray[np.int64]: ...


@dataclass(frozen=True)
class HasOutcome:
    """Rows that were kept, or dropped."""

    kept: bool

    def mask(self, view: Chunks, chunk: int) -> Bools:
        mask = np.full(view.size(chunk), not self.kept)
        mask[: max(0, view.kept - chunk * view.chunk_rows)] = self.kept
        return mask

    def sql(self, view: Chunks) -> str | None:
        return None


@dataclass(frozen=True)
class Among:
    """Rows whose value of a facet is one of these, as text; None is no value."""

    column: str
    values: tuple[str | None, ...]

    def mask(self, view: Chunks, chunk: int) -> Bools:
        column = view.column(self.column)
        if not column.facet:
            raise InputError(f"'{self.column}' has too many different values to choose some; use a `where`")
        wanted = [-1 if value is None else column.code_of.get(value, len(column.names)) for value in self.values]
        codes = column.codes(chunk)
        if len(wanted) == 1:
            return np.asarray(codes == wanted[0])
        chosen = np.zeros(len(column.names) + 2, bool)  # the last is for -1, the one before for unknown values
        chosen[wanted] = True
        return np.asarray(chosen[codes])

    def sql(self, view: Chunks) -> str | None:
        column = view.column(self.column)
        quote = literal if is_text(column.type) else str  # the others are integers and booleans
        values = sorted(value for value in self.values if value is not None)
        said = [f"{column_name(self.column)} is null"] if None in self.values else []
        if len(values) == 1:
            said.append(f"{column_name(self.column)} = {quote(values[0])}")
        elif values:
            said.append(f"{column_name(self.column)} in ({', '.join(map(quote, values))})")
        return said[0] if len(said) == 1 else f"({' or '.join(said)})"


@dataclass(frozen=True)
class Between:
    """Rows whose number is in a range, its ends included; times in the unit of their type. Null and NaN are not.

    A bound has the column's precision, as a literal has in SQL: 0.7 is in a range of float32 that ends at 0.7.
    """

    column: str
    low: float | None = None
    high: float | None = None

    def mask(self, view: Chunks, chunk: int) -> Bools:
        column = view.column(self.column)
        if not column.orderable:
            raise InputError(f"'{self.column}' holds {column.type}, which has no ranges; use a `where`")
        numbers = column.numbers(chunk)
        mask = ~np.isnan(numbers)
        if self.low is not None:
            mask &= numbers >= _rounded(self.low, column.type)
        if self.high is not None:
            mask &= numbers <= _rounded(self.high, column.type)
        return mask

    def sql(self, view: Chunks) -> str | None:
        name, kind = column_name(self.column), view.column(self.column).type
        said = []
        for sign, value in ((">=", self.low), ("<=", self.high)):
            if value is not None:
                said.append(f"{name} {sign} {_number_in_sql(value, kind)}")
        return " and ".join(said) or None


@dataclass(frozen=True)
class Satisfies:
    """Rows for which an expression is true: the one that the step `where` takes."""

    expression: str

    def mask(self, view: Chunks, chunk: int) -> Bools:
        expression = parse(self.expression)
        columns = pa.table({name: view.column(name).chunk(chunk) for name in expression.columns})
        if not columns.num_columns:
            raise InputError(f"'{self.expression}' names no column; write something such as: width >= 120")
        found, first, rows = list[Bools](), 0, _FIRST_ROWS
        while not found or first < columns.num_rows:
            begun = time.monotonic()
            values = expression.values(Rows(columns.slice(first, rows)))
            if not pa.types.is_boolean(values.type):
                raise InputError(
                    f"'{self.expression}' gives {values.type}, not true or false; compare it with something"
                )
            found.append(pc.fill_null(values, False).to_numpy(zero_copy_only=False))
            first += rows
            rows = max(1, int(rows * min(_GROWTH, _SECONDS / max(time.monotonic() - begun, 1e-6))))
        return np.concatenate(found)

    def sql(self, view: Chunks) -> str | None:
        return f"({self.expression})"


@dataclass(frozen=True)
class Contains:
    """Rows with a text, in any column or in one, that contains these words, ignoring case."""

    words: str
    columns: tuple[str, ...]

    def mask(self, view: Chunks, chunk: int) -> Bools:
        found = np.zeros(view.size(chunk), bool)
        for name in self.columns:
            values = view.column(name).chunk(chunk)
            if not is_text(values.type):
                raise InputError(f"'{name}' is {values.type}, not text")
            found |= contains(values, self.words)
        return found

    def sql(self, view: Chunks) -> str | None:
        # Arrow and DuckDB both search with RE2, so that both ignore case in the same way.
        words = literal(escaped(self.words))
        said = [f"regexp_matches({column_name(name)}, {words}, 'i')" for name in self.columns]
        return said[0] if len(said) == 1 else f"({' or '.join(said)})"


@dataclass(frozen=True)
class Picked:
    """Rows of a saved selection, such as one drawn with a lasso."""

    selection: str

    def mask(self, view: Chunks, chunk: int) -> Bools:
        positions = view.picked(self.selection)
        start = chunk * view.chunk_rows
        first, last = np.searchsorted(positions, (start, start + view.chunk_rows))
        mask = np.zeros(view.size(chunk), bool)
        mask[positions[first:last] - start] = True
        return mask

    def sql(self, view: Chunks) -> str | None:
        return None


Clause = HasOutcome | Among | Between | Satisfies | Contains | Picked


@dataclass(frozen=True)
class Filter:
    """Rows for which every clause is true."""

    clauses: tuple[Clause, ...] = ()

    def __and__(self, clause: Clause) -> Filter:
        return self if clause in self.clauses else Filter((*self.clauses, clause))

    def without(self, test: Callable[[Clause], bool]) -> Filter:
        """Return the filter without the clauses for which `test` is true."""
        return Filter(tuple(clause for clause in self.clauses if not test(clause)))

    def sql(self, view: Chunks) -> str | None:
        """Return the filter as an expression of the step `where`; None if none of its clauses can be expressed."""
        said = [text for clause in self.clauses if (text := clause.sql(view))]
        return " and ".join(said) or None


EVERYTHING = Filter()
"""All rows."""


def _rounded(value: float, kind: pa.DataType) -> float:
    return float(np.float32(value)) if pa.types.is_float32(kind) else value


def _number_in_sql(value: float, kind: pa.DataType) -> str:
    if pa.types.is_temporal(kind):
        whole = pa.scalar(int(value), pa.int32() if kind.bit_width == 32 else pa.int64())
        return literal(whole.cast(kind).cast(pa.string()).as_py())  # DuckDB reads it as the column's type
    if not np.isfinite(value):
        return f"cast('{value}' as double)"
    if float(value).is_integer() and abs(value) < 2**53:
        return f"{value:.0f}"
    text = format(Decimal(repr(float(value))), "f")  # without exponent, a literal has the column's precision
    return (
        text if len(text) < _LONGEST else f"cast('{value!r}' as {'float' if pa.types.is_float32(kind) else 'double'})"
    )


def unknown_column(name: str, known: list[str]) -> InputError:
    """Make an error about a column that does not exist."""
    return InputError(f"there is no column '{name}'; {did_you_mean(name, known)}")
