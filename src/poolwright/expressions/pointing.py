"""Make errors that show a line of an expression with a caret under the position."""

from __future__ import annotations

import re

from poolwright.core.errors import RecipeError, StepError

_LINE = re.compile(r"^LINE (?P<line>\d+): (?P<excerpt>[^\n]*)\n(?P<space> *)\^", re.MULTILINE)


def marked(text: str, at: int) -> str:
    """Return the line of the text at a position, indented, with a caret under the position."""
    at = max(0, min(at, len(text)))
    start = text.rfind("\n", 0, at) + 1
    line = text[start:].split("\n", 1)[0]
    margin = "".join("\t" if sign == "\t" else " " for sign in line[: at - start])
    return f"  {line}\n  {margin}^"


def pointed(text: str, at: int, message: str) -> RecipeError:
    """Return an error with the line of the text and a caret under the position."""
    return RecipeError(f"{message}\n{marked(text, at)}")


def pointed_value(text: str, at: int | None, message: str) -> StepError:
    """Return the error of an expression that fails on a table's types or values; with a caret if `at` is given."""
    if at is None or (len(text) < 40 and "\n" not in text):
        return StepError(f"{text}: {message}")
    return StepError(f"{message}\n{marked(text, at)}")


def character(text: str, byte: int) -> int:
    """Return the index of the character at a byte of the text in UTF-8."""
    return len(text.encode()[: max(byte, 0)].decode(errors="ignore"))


def caret_of(message: str, statement: str) -> int | None:
    """Return the index in a statement at which DuckDB's message has its caret; None without one.

    DuckDB shows a part of a long line, between '...'.
    """
    found = _LINE.search(message)
    lines = statement.split("\n")
    if not found or int(found["line"]) > len(lines):
        return None
    number = int(found["line"]) - 1
    line, excerpt = lines[number], found["excerpt"]
    column = len(found["space"]) - len(f"LINE {found['line']}: ")
    if excerpt.startswith("...") and not line.startswith("..."):
        shown = line.find(excerpt[3:].removesuffix("..."))
        column = column - 3 + shown if shown >= 0 else -1
    if not 0 <= column <= len(line):
        return None
    return sum(len(before) + 1 for before in lines[:number]) + column
