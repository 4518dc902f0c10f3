"""How the rows of text files are written: what separates values, quotes, names and the encoding."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from poolwright.core.errors import RecipeError

WHITESPACE = "whitespace"
"""Instead of a delimiter: any number of spaces and tabs between two values."""

Quote = Literal['"', "none"]

_DELIMITERS = {"csv": ",", "tsv": "\t", "txt": WHITESPACE}
_UNIT = "\x1f"  # 'unit separator', which stands for what is not one ASCII character
_MARGIN = re.compile(rb"(?m)^[ \t]+|[ \t]+(?=\r?$)")
_SPACES = re.compile(rb"[ \t]+")


@dataclass(frozen=True)
class Dialect:
    """How rows are written.

    Attributes:
        delimiter: one ASCII character.
        quoted: whether quote marks enclose values, as in CSV; in TSV they are plain characters.
        names: columns of files without a header line; empty if the first line has the names.
        encoding: of files without a byte order mark.
        written: what `delimiter` stands for, if it is not what the file has: `WHITESPACE`, or several characters.
    """

    delimiter: str
    quoted: bool
    names: tuple[str, ...] = ()
    encoding: str = "utf-8"
    written: str = ""

    def delimited(self, lines: bytes) -> bytes:
        """Return whole lines with `delimiter` between their values."""
        if self.written == WHITESPACE:
            return _SPACES.sub(_UNIT.encode(), _MARGIN.sub(b"", lines))
        return lines.replace(self.written.encode(), _UNIT.encode()) if self.written else lines

    def opened(self, file: BinaryIO) -> BinaryIO:
        """Return a file with `delimiter` between the values."""
        return io.BufferedReader(_Delimited(file, self), 1 << 20) if self.written else file


def dialect_of(
    kind: str, delimiter: str | None, quote: Quote | None, names: list[str] | None, encoding: str, where: str
) -> Dialect:
    """Return how the rows of files of a format are written, by what a recipe says of them.

    Args:
        kind: 'csv', 'tsv' or 'txt'.
        delimiter: as written in the recipe; None for that of the format. If a text file has one column and no
            delimiter, each line is a value.
        quote: the quote mark, 'none', or None for that of the format.
        names: columns of files without a header line.
        encoding: of files without a byte order mark.
        where: the source, for errors.

    Raises:
        RecipeError: the delimiter does not go with quotes.
    """
    given = None if delimiter is None else delimiter.replace("\\t", "\t")
    single = given is None and kind == "txt" and names is not None and len(names) == 1
    written = given or _DELIMITERS[kind]
    plain = len(written) == 1 and written.isascii()
    if quote == '"' and not plain and not single:
        raise RecipeError(
            f"{where}: quotes need a delimiter of one ASCII character; leave out 'quote', or write another"
        )
    quoted = plain and (quote == '"' or (quote is None and kind == "csv"))
    if single:
        return Dialect(_UNIT, quote == '"', tuple(names or ()), encoding)
    if plain:
        return Dialect(written, quoted, tuple(names or ()), encoding)
    return Dialect(_UNIT, False, tuple(names or ()), encoding, written)


class _Delimited(io.RawIOBase):
    """Lines of a file with the delimiter of a dialect between their values."""

    def __init__(self, file: BinaryIO, dialect: Dialect) -> None:
        self._file, self._dialect, self._left = file, dialect, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            lines = self._file.read(len(buffer))
            lines += self._file.readline() if lines and not lines.endswith(b"\n") else b""
            self._left = self._dialect.delimited(lines)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size
