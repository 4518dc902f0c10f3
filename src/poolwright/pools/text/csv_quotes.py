"""Find quote marks in CSV files that are opened and never closed: a parser takes the lines after them as one value."""

from __future__ import annotations

from typing import Any

import numpy as np

from poolwright.core.texts.csv_quotes import unclosed_quote
from poolwright.pools.readers.paths import Unreadable, open_text

_QUOTE = ord('"')


class QuoteWatch:
    """A binary file that notes, as it is read, whether any quote mark is not where RFC 4180 has it.

    Marks within unquoted values are harmless, so `check_quotes` has the last word.
    """

    closed = False
    mode = "rb"

    def __init__(self, file: Any, delimiter: str) -> None:
        self.doubtful = False
        self._file = file
        self._ends = np.frombuffer(f'{delimiter}\r\n"'.encode(), np.uint8)
        self._tail = b"\n"
        self._marks = 0

    def read(self, size: int = -1) -> bytes:
        """Read like the file."""
        data: bytes = self._file.read(size)
        if not self.doubtful:
            self._look(self._tail + (data or b"\n\n"))
            self.doubtful = self.doubtful or (not data and self._marks % 2 == 1)
        return data

    def _look(self, data: bytes) -> None:
        """Examine all bytes but the first and last, whose neighbours they are."""
        self._tail = data[-2:]
        if b'"' not in data:
            return
        values = np.frombuffer(data, np.uint8)
        marks = np.flatnonzero(values[1:-1] == _QUOTE) + 1
        opening = (np.arange(len(marks)) + self._marks) % 2 == 0
        neighbours = values[np.where(opening, marks - 1, marks + 1)]
        self.doubtful = not np.isin(neighbours, self._ends).all()
        self._marks += len(marks)


def check_quotes(path: str, delimiter: str, encoding: str) -> None:
    """Check that every quoted value of several lines is closed before a delimiter or the end of a line.

    Raises:
        Unreadable: one is not; the message names the line that it begins on.
        OSError: the file cannot be opened.
    """
    with open_text(path, encoding) as file:
        unclosed = unclosed_quote(file, delimiter)
    if unclosed:
        raise Unreadable(path, unclosed)
