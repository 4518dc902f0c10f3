"""Make image paths from a template over columns, such as '{photo_id}.jpg'.

A placeholder names a column, and may slice its text as Python does: the multimedia-commons bucket keeps the photo
with hash d41d8cd98f... as '{hash[0:3]}/{hash[3:6]}/{hash}.jpg'.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from poolwright.core.columns import IMAGE_PATH

_PLACEHOLDER = re.compile(r"(\w+)(?:\[(-?\d*):(-?\d*)\])?")
_SLICES = "{name}, {name[0:3]}, {name[:3]} or {name[-2:]}"


@dataclass(frozen=True)
class _Placeholder:
    column: str
    start: int
    stop: int | None


def _check(template: str) -> str:
    _parsed(template)
    return template


ImagePath = Annotated[
    str,
    AfterValidator(_check),
    Field(description="image file of a row below 'images', such as '{photo_id}.jpg' or '{hash[0:3]}/{hash}.jpg'"),
]
"""A template in a recipe."""


def columns(template: str) -> list[str]:
    """Return the columns that a template names, each once, in order.

    Raises:
        ValueError: the template is not valid.
    """
    return list(dict.fromkeys(piece.column for piece in _parsed(template) if isinstance(piece, _Placeholder)))


def fill(template: str, values: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Return the path of each row; null if one of its values is null.

    Args:
        template: as in the recipe.
        values: at least the `columns` of the template; numbers become decimal.
        rows: length of each.

    Returns:
        `rows` strings.
    """
    texts = {name: _texts(values[name]) for name in columns(template)}
    pieces = [piece if isinstance(piece, str) else _cut(texts[piece.column], piece) for piece in _parsed(template)]
    if rows == 0:
        return pa.array([], pa.string())
    return pc.binary_join_element_wise(*pieces, "")


def _texts(values: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    return values.cast(pa.string())


def _cut(texts: pa.Array, piece: _Placeholder) -> pa.Array:
    if piece.start == 0 and piece.stop is None:
        return texts
    return pc.utf8_slice_codeunits(texts, piece.start, piece.stop)


@lru_cache(maxsize=64)
def _parsed(template: str) -> tuple[str | _Placeholder, ...]:
    pieces: list[str | _Placeholder] = []
    for text in re.split(r"(\{[^{}]*\})", template):
        if text.startswith("{") and text.endswith("}"):
            pieces.append(_placeholder(template, text))
        elif "{" in text or "}" in text:
            raise ValueError(f"'{template}': a brace is not closed; write columns as {_SLICES}")
        elif text:
            pieces.append(text)
    if not any(isinstance(piece, _Placeholder) for piece in pieces):
        raise ValueError(f"'{template}': names no column, so all rows would have one file; write columns as {_SLICES}")
    if template.startswith("/") or ".." in re.split(r"[/\\]", template):
        raise ValueError(f"'{template}': must be below 'images'; leave out a leading '/' and '..'")
    return tuple(pieces)


def _placeholder(template: str, text: str) -> _Placeholder:
    found = _PLACEHOLDER.fullmatch(text[1:-1])
    if found is None:
        raise ValueError(f"'{template}': '{text}' is no column; write columns as {_SLICES}")
    name, start, stop = found.groups()
    if "-" in (start, stop):
        raise ValueError(f"'{template}': '{text}' has no number after '-'; write columns as {_SLICES}")
    if name == IMAGE_PATH:
        raise ValueError(f"'{template}': '{IMAGE_PATH}' is what the template makes; name other columns")
    return _Placeholder(name, int(start) if start else 0, int(stop) if stop else None)
