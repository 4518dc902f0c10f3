"""Write column names and texts as SQL."""

from __future__ import annotations

from functools import cache

from poolwright.expressions.connection import answers
from poolwright.expressions.functions import CLOCK, SESSION


def literal(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def column_name(name: str) -> str:
    """Return a column's name in SQL, in double quotes unless it is a plain word."""
    plain = name.isascii() and name.isidentifier() and name.lower() not in keywords()
    return name if plain else '"' + name.replace('"', '""') + '"'


@cache
def keywords() -> frozenset[str]:
    """Return words that are not, or not everywhere, read as a column's name."""
    query = "select keyword_name from duckdb_keywords() where keyword_category <> 'unreserved'"
    return frozenset({name for (name,) in answers(query)} | CLOCK | SESSION)
