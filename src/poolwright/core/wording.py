"""Formats numbers, counts, names and cells for messages, reports, cards and sheets."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any

RISKY = r"^'*[=+\-@\t\r\n]"
"""What a text begins with that a spreadsheet evaluates, or that `guarded` has escaped."""
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


def number(value: Any) -> str:
    """Format a value for people: '1,000,000', '0.2731', '2004-01-01', 'yes'."""
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime.date | datetime.time):
        return str(value)
    return str(value)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Format a count with its noun: '1 file', '2,000 files', '3 people'; the plural is with an 's' by default."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or noun + 's'}"


def rows(count: int) -> str:
    """Format a count of rows: '1 row', '1,000 rows'."""
    return counted(count, "row")


def groups(count: int) -> str:
    """Format a count of groups: '1 group', '350 groups'."""
    return counted(count, "group")


def some(names: Sequence[str], most: int = 8) -> str:
    """List the first few names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def natural_order(text: str) -> list[tuple[int, str]]:
    """Return a sort key that orders the numbers in texts by value: 2 before 10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)]


def guarded(text: str) -> str:
    """Escape a text for a cell of a sheet or CSV file, so that no spreadsheet evaluates it as a formula.

    A caption from the web can begin with '=' and would be evaluated when the file is opened. Such texts get a leading
    apostrophe (OWASP, CSV injection), which `unguarded` removes: every text is restored unchanged.
    """
    return f"'{text}" if re.match(RISKY, text) else text


def unguarded(cell: str) -> str:
    """Unescape a cell: the inverse of `guarded`."""
    return cell[1:] if _GUARDED.match(cell) else cell
