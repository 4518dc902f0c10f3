"""Cells of a sheet that people open in a spreadsheet, where a text may not turn into a formula.

A caption from the web can begin with '=' and would be computed when the file is opened. Such texts get a leading
apostrophe (OWASP, CSV injection), which reading takes away: every text comes back as it was.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


def guarded(text: str) -> str:
    """The text as it may stand in a cell."""
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """The inverse of `guarded`."""
    return cell[1:] if _GUARDED.match(cell) else cell
