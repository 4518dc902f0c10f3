"""Read the lists of a large JSON object entry by entry, in memory of one entry."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from poolwright.pools.readers.paths import Unreadable, open_text

_CHUNK = 1 << 20
_LONGEST = 1 << 28
"""Characters of one entry, at most."""
_SLACK = 32
"""An error this close to the end of what was read may only mean that more is to be read."""


def read_lists(path: str, wanted: Mapping[str, Callable[[Any], None]]) -> set[str]:
    """Call a function with every entry of some lists of a JSON object, in the order of the file.

    Args:
        path: file or URL, possibly packed.
        wanted: function by key of the list.

    Returns:
        The keys whose values are lists.

    Raises:
        Unreadable: the file is no JSON object in UTF-8, or is cut off.
        OSError: it cannot be read.
    """
    with open_text(path) as file:
        text, lists = _Text(path, file), set[str]()
        text.expect("{", "no JSON object at its beginning")
        while text.peek() != "}":
            key = text.value()
            text.expect(":", "no ':' after a key")
            if text.peek() == "[":
                lists.add(str(key))
                _entries(text, wanted.get(key, _ignore))
            else:
                text.value()
            if text.peek() != "}":
                text.expect(",", "no ',' between two keys")
        text.at += 1
        if text.peek():
            raise text.broken("there is more after its end")
        return lists


def _entries(text: _Text, take: Callable[[Any], None]) -> None:
    text.expect("[", "no list")
    while text.peek() != "]":
        take(text.value())
        if text.peek() != "]":
            text.expect(",", "no ',' between two entries")
    text.at += 1


def _ignore(entry: Any) -> None:
    """Leave an entry out."""


class _Text:
    """The text of a file, read as far as the next value needs it."""

    def __init__(self, path: str, file: BinaryIO) -> None:
        self.at = 0
        self._path, self._file, self._text, self._passed, self._ended = path, file, "", 0, False
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._values = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is not white space, without passing it; '' at the end."""
        while True:
            while self.at < len(self._text):
                if not self._text[self.at].isspace():
                    return self._text[self.at]
                self.at += 1
            if not self._more():
                return ""

    def expect(self, character: str, otherwise: str) -> None:
        """Pass a character; raise Unreadable if another one follows."""
        if self.peek() != character:
            raise self.broken(otherwise)
        self.at += 1

    def value(self) -> Any:
        """Read the next value."""
        self.peek()
        while True:
            try:
                found, end = self._values.raw_decode(self._text, self.at)
            except json.JSONDecodeError as error:
                within = error.pos < len(self._text) - _SLACK and not error.msg.startswith("Unterminated string")
                if within or len(self._text) > _LONGEST or not self._more():
                    raise self.broken(error.msg, error.pos) from None
            except RecursionError:
                raise self.broken("it is nested too deeply") from None
            else:
                if end == len(self._text) and isinstance(found, int | float) and self._more():
                    continue  # a number may go on
                self.at = end
                return found

    def broken(self, what: str, at: int | None = None) -> Unreadable:
        """Return the error for what is wrong, with its place."""
        place = self._passed + (self.at if at is None else at)
        return Unreadable(self._path, f"broken JSON at character {place:,}: {what}")

    def _more(self) -> bool:
        """Read on, at least as much as is held; return whether there was more."""
        if self._ended:
            return False
        data = self._file.read(max(_CHUNK, len(self._text) - self.at))
        self._ended = not data
        try:
            added = self._decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise self.broken(f"not UTF-8: {error.reason}") from None
        self._passed += self.at
        self._text, self.at = self._text[self.at :] + added, 0
        return True
