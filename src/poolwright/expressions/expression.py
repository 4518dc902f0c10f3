"""Parse and evaluate row-wise SQL expressions over columns, in DuckDB's SQL and by DuckDB.

An expression's value on a row depends on that row alone: aggregates, window functions, subqueries, random values, the
clock, files and settings are refused. A comparison with null is null, and NaN counts as null, in columns as in results.
Column names are case-sensitive; names with characters other than letters, digits and '_' are written in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa

from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.rows import Rows, empty_table
from poolwright.expressions.evaluation import evaluated, failure, statement
from poolwright.expressions.functions import CLOCK, SESSION
from poolwright.expressions.pointing import caret_of, pointed_value
from poolwright.expressions.syntax import Reference, references


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: as written.
        columns: names of the columns it reads, each once, in order.
    """

    text: str
    columns: tuple[str, ...]
    _references: tuple[Reference, ...] = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return (parse, (self.text,))

    def type_in(self, given: pa.Schema) -> pa.DataType:
        """Return the type of its values over columns of these types.

        Raises:
            StepError: the expression does not fit the types.
        """
        return self.values(Rows(empty_table(given))).type

    def values(self, rows: Rows) -> pa.Array:
        """Return one value per row.

        Integers that overflow, casts that fail and roots of negative numbers are errors; a division by zero is null.

        Raises:
            StepError: the expression does not fit the columns' types, or fails on a value.
        """
        import duckdb

        known = rows.table.column_names
        for name in self.columns:
            if name not in known:
                raise StepError(f"{self.text}: there is no column '{name}'; {did_you_mean(name, known)}")
        aliases = _aliases(self.columns, self.text)
        sql = _renamed(self.text, self._references, aliases)
        columns = {aliases[name]: rows.column(name) for name in self.columns}
        try:
            return evaluated(sql, columns, len(rows))
        except StepError as error:
            raise StepError(f"{self.text}: {error}") from None
        except duckdb.Error as error:
            message = str(error)
            if caret_of(message, statement(sql)) is None:
                message = failure(sql, ((name, column.type) for name, column in columns.items())) or message
            raise self._failed(message, sql, aliases) from None

    def _failed(self, message: str, sql: str, aliases: dict[str, str]) -> StepError:
        at = caret_of(message, statement(sql))
        if at is not None:
            at -= statement(sql).index(sql)
            for reference in self._references:  # from the left, so that positions are already those of the text
                alias = _written(self.text, reference, aliases)
                longer = len(alias) - (reference.end - reference.start)
                if at > reference.start:
                    at = max(reference.start, at - longer)
        first, *others = message.strip().split("\n")
        kind, _, rest = first.partition("Error: ")
        said = rest if rest and len(kind) < 20 else first
        if said.startswith("Overflow in "):
            # Without the values: which row overflows first depends on the order of the rows.
            said = re.sub(r" \([^()]*\)(?=!)", "", said) + " Cast one side, as in width::bigint * height"
        entries = next((f"; {line.strip()}" for line in others if line.startswith("Candidate Entries:")), "")
        return pointed_value(self.text, at, said.strip() + entries)


@lru_cache(maxsize=256)
def parse(text: str) -> Expression:
    """Parse an expression and check that it is row-wise.

    Raises:
        RecipeError: the expression is not valid; shows the text with a caret under the error.
    """
    found = references(text)
    return Expression(text, tuple(dict.fromkeys(reference.name for reference in found)), found)


def _aliases(columns: Iterable[str], text: str) -> dict[str, str]:
    """Return names for DuckDB, which ignores case, by column: most keep theirs, and no alias occurs in the text."""
    taken: set[str] = {*SESSION, *CLOCK}
    aliases = {}
    for name in columns:
        alias, number = name, 1
        while alias.lower() in taken or (alias != name and alias.lower() in text.lower()):
            alias, number = f"{name}_{number}", number + 1
        taken.add(alias.lower())
        aliases[name] = alias
    return aliases


def _renamed(text: str, found: Iterable[Reference], aliases: dict[str, str]) -> str:
    """Return the text with aliases for the columns."""
    parts, end = [], 0
    for reference in found:
        parts += [text[end : reference.start], _written(text, reference, aliases)]
        end = reference.end
    return "".join([*parts, text[end:]])


def _written(text: str, reference: Reference, aliases: dict[str, str]) -> str:
    alias = aliases[reference.name]
    if alias == reference.name:
        return text[reference.start : reference.end]
    return '"' + alias.replace('"', '""') + '"'
