"""Read text of strangers: bytes in several encodings, delimited files, JSON of any depth, texts that were cut."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decode(data: bytes, encoding: str = "utf-8") -> str:
    """Return bytes as text: by their byte order mark, else in an encoding.

    Raises:
        UnicodeDecodeError: they are not valid in it.
    """
    return data.decode(encoding_of(data, encoding))


def encoding_of(data: bytes, encoding: str) -> str:
    """Return the encoding that the byte order mark at the beginning of a text shows; if there is none, `encoding`."""
    return next((name for mark, name in _MARKS if data.startswith(mark)), encoding)


def checked_encoding(encoding: str) -> str:
    """Return the name that Python has for an encoding of texts.

    Raises:
        ValueError: it has none.
    """
    try:
        if codecs.lookup(encoding)._is_text_encoding:
            return codecs.lookup(encoding).name
    except LookupError:
        pass
    raise ValueError(f"'{encoding}' is no encoding; use utf-8, cp1252, latin-1, utf-16 or shift_jis")


def delimiter_of(text: str) -> str:
    """Return the most frequent delimiter of the header: spreadsheets write ';' if the comma is the decimal sign."""
    first = next((line for line in text.splitlines() if line.strip(" ,;\t")), "")
    return max(",;\t", key=first.count)


def load_json(text: str | bytes, hook: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON.

    Args:
        text: a document.
        hook: makes an object of its pairs of key and value; default: a dict.

    Raises:
        json.JSONDecodeError: it is no JSON, or nested more deeply than Python can follow.
    """
    try:
        return json.loads(text, object_pairs_hook=hook)
    except RecursionError:
        raise json.JSONDecodeError("nested too deeply", "", 0) from None


def whole_text(text: str) -> str:
    """Return a text in which U+FFFD stands for each half of a surrogate pair, such as an emoji that was cut."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
