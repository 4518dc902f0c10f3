"""Make image paths from a template over columns, such as '{photo_id}.jpg'.

A placeholder names a column, and may slice its text as Python does: the multimedia-commons bucket keeps the photo
with hash d41d8cd98f... as '{hash[0:3]}/{hash[3:6]}/{hash}.jpg'. It may also have a format of Python's for whole numbers
or texts: '{number:08d}.jpg', '{name:0>12}.jpg'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, Field

from poolwright.core.columns import IMAGE_PATH, is_text
from poolwright.core.errors import RecipeError, did_you_mean

_PLACEHOLDER = re.compile(r"(\w+)(?:\[(-?\d*):(-?\d*)\])?(?::(.+))?")
_SLICES = "{name}, {name[0:3]}, {name[:3]}, {name[-2:]} or {number:08d}"


@dataclass(frozen=True)
class _Placeholder:
    column: str
    start: int
    stop: int | None
    form: str

    @property
    def cuts(self) -> bool:
        """Whether only a part of the text is taken."""
        return self.start != 0 or self.stop is not None


def _check(template: str) -> str:
    _parsed(template)
    return template


ImagePath = Annotated[
    str,
    AfterValidator(_check),
    Field(description="image file of a row below 'images', such as '{photo_id}.jpg' or '{number:08d}.jpg'"),
]
"""A template in a recipe."""


def columns(template: str) -> list[str]:
    """Return the columns that a template names, each once, in order.

    Raises:
        ValueError: the template is not valid.
    """
    return list(dict.fromkeys(piece.column for piece in _placeholders(template)))


def check(template: str, types: Mapping[str, pa.DataType]) -> None:
    """Check that a template fits columns.

    Args:
        template: as in the recipe.
        types: of all columns that there are.

    Raises:
        RecipeError: a column is missing, is neither text nor a whole number, or does not have the format.
    """
    for piece in _placeholders(template):
        name = piece.column
        dtype = types.get(name)
        if dtype is None:
            there = f"{did_you_mean(name, types)} (there are: {', '.join(types)})"
            raise RecipeError(f"image_path '{template}': no column '{name}'; {there}")
        if pa.types.is_dictionary(dtype):
            dtype = dtype.value_type
        text = is_text(dtype)
        if not text and not pa.types.is_integer(dtype):
            raise RecipeError(
                f"image_path '{template}': '{name}' is {dtype}; use columns of text or whole numbers, such as "
                f"'types: {{{name}: int64}}' makes"
            )
        try:
            format("0" if text or piece.cuts else 0, piece.form)
        except ValueError as error:
            advice = (
                f"'{{{name}:0>8}}' fills up a text" if text or piece.cuts else f"'{{{name}:08d}}' fills up a number"
            )
            raise RecipeError(
                f"image_path '{template}': '{name}' is {'text' if text else dtype}, which ':{piece.form}' does not "
                f"format ({error}); {advice}"
            ) from None


def fill(template: str, values: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """Return the path of each row; null if one of its values is null.

    Args:
        template: as in the recipe.
        values: at least the `columns` of the template; numbers become decimal.
        rows: length of each.

    Returns:
        `rows` strings.
    """
    if rows == 0:
        return pa.array([], pa.string())
    pieces = [piece if isinstance(piece, str) else _text(values[piece.column], piece) for piece in _parsed(template)]
    return pc.binary_join_element_wise(*pieces, "")


def _text(values: pa.Array, piece: _Placeholder) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if piece.cuts:
        values = pc.utf8_slice_codeunits(values.cast(pa.string()), piece.start, piece.stop)
    if not piece.form:
        return values.cast(pa.string())
    return pa.array([None if one is None else format(one, piece.form) for one in values.to_pylist()], pa.string())


def _placeholders(template: str) -> Iterable[_Placeholder]:
    return (piece for piece in _parsed(template) if isinstance(piece, _Placeholder))


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
    name, start, stop, form = found.groups()
    if "-" in (start, stop):
        raise ValueError(f"'{template}': '{text}' has no number after '-'; write columns as {_SLICES}")
    if name == IMAGE_PATH:
        raise ValueError(f"'{template}': '{IMAGE_PATH}' is what the template makes; name other columns")
    return _Placeholder(name, int(start) if start else 0, int(stop) if stop else None, form or "")
