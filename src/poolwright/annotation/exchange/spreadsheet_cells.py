"""Escape cells of a sheet, so that spreadsheets do not evaluate texts as formulas.

A caption from the web can begin with '=' and would be evaluated when the file is opened. Such texts get a leading
apostrophe (OWASP, CSV injection), which is removed when reading: every text is restored unchanged.
"""

from __future__ import annotations

import re

_RISKY = re.compile(r"'*[=+\-@\t\r\n]")
_GUARDED = re.compile(r"'+[=+\-@\t\r\n]")


def guarded(text: str) -> str:
    """Escape a text for a cell."""
    return f"'{text}" if _RISKY.match(text) else text


def unguarded(cell: str) -> str:
    """Unescape a cell: the inverse of `guarded`."""
    return cell[1:] if _GUARDED.match(cell) else cell
