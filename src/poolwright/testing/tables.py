"""Generates tables with hypothesis: every kind of column and every kind of bad value."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from PIL import Image

from poolwright.core.columns import WELL_KNOWN, vector_field, vector_type

WIDTH = 16
VECTORS = vector_type(WIDTH)
CODINGS = ("plain", "dictionary", "large")
TEXTS = ["", "a", "A", "\0", "a\0b", "ä", "ä", "𝔘𝔫𝔦", "🙂🙂", " ", "\n", "null", "a,b", '["a"]', "x" * 300]
SIZES = (0, 1, 2, 7, 60, 400)
"""Rows of the tables."""
WORDS = ["\u0301x", "0", "ǅ", "\U0010ffff", "\ud7ff", "-"]
"""Strings that properties add to tables, besides those that are generated."""
LICENSES = ["CC-BY-2.0", "cc by-sa 4.0", "CC0", "All Rights Reserved", "what?", ""]
HUGE = [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63), 7, 7, 7]
FLOATS = [0.0, -0.0, 1.5, -1.5, float("nan"), float("inf"), float("-inf"), 5e-324, 1e308, 0.25, 0.25]


def _picture(color: tuple[int, int, int], size: tuple[int, int], kind: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind)
    return out.getvalue()


FILES: list[bytes | None] = [
    _picture((200, 20, 20), (12, 9), "PNG"),
    _picture((20, 200, 20), (8, 8), "JPEG"),
    _picture((20, 20, 200), (1, 30), "BMP"),
    _picture((20, 20, 200), (20, 20), "PNG")[:40],
    b"",
    b"not an image",
    None,
]


def make(
    seed: int, rows: int, coding: str, words: list[str], images: bool, more: Mapping[str, pa.DataType] | None = None
) -> pa.Table:
    """Make a table with columns of all kinds, and nulls in all but uid.

    Args:
        seed: seed of everything random in it.
        rows: number of rows.
        coding: coding of strings, one of `CODINGS`.
        words: further strings of the column `label`.
        images: whether to add the column `image`, with whole and broken image files.
        more: further columns by name, with their types; a vector has 16 dimensions.
    """
    return _made(seed, rows, coding, tuple(words), images, tuple((more or {}).items()))


@lru_cache(maxsize=256)  # the tests of all steps draw the same tables
def _made(
    seed: int, rows: int, coding: str, words: tuple[str, ...], images: bool, more: tuple[tuple[str, pa.DataType], ...]
) -> pa.Table:
    """Make the table that `make` describes."""
    draw = np.random.default_rng(seed)

    def some(values: list[Any], dtype: pa.DataType, nulls: float = 0.15) -> pa.Array:
        indices = draw.integers(0, len(values), rows)
        lacking = draw.random(rows) < nulls
        return pa.array([None if no else values[index] for index, no in zip(indices, lacking, strict=True)], dtype)

    texts = [*TEXTS[: int(draw.integers(1, len(TEXTS)))], *words]
    columns = {
        "uid": pa.array([_uid(draw, number) for number in range(rows)], pa.string()),
        "label": some(texts, pa.string()),
        "country": some(texts[:3], pa.string()),
        "text": some(["a dog", "a boat", "", "straße 🙂"], pa.string()),
        "url": some([f"https://example.org/{number}" for number in range(9)], pa.string()),
        "license": some(LICENSES, pa.string()),
        "fetch_error": some(["not_found", "too_large"], pa.string(), 0.8),
        "year": some([2004, 2005, 2006, *HUGE], pa.int64()),
        "small": some([-128, 0, 127], pa.int8()),
        "whole": some([0, 1, 2**64 - 1, 2**63], pa.uint64()),
        "flag": some([True, False], pa.bool_()),
        "score": some([*FLOATS, *draw.normal(size=5).tolist()], pa.float64()),
        "similarity": pa.array(draw.normal(0.2, 0.1, rows).round(2).astype(np.float32)),
        "half": some([0.5, 0.25, float("nan"), float("inf")], pa.float16()),
        "taken_at": some([0, 10**15, 10**15 + 1, -(10**12)], pa.timestamp("us", tz="UTC")),
        "embedding": _vectors(draw, rows),
        **_coordinates(seed, rows),
        "rank": _ranks(seed, rows),
    }
    if images:
        columns["image"] = some(FILES, pa.binary(), 0.0)
        unread = pa.array(
            ["missing_file" if file is None else None for file in columns["image"].to_pylist()], pa.string()
        )
        columns["image_error"] = unread
    for name in ("label", "country", "text", "url", "license"):
        columns[name] = code(columns[name], coding)
    for number, (name, dtype) in enumerate(more):
        columns[name] = _column(np.random.default_rng([seed, 3, number]), rows, dtype, words)
    fields = [
        vector_field(name, WIDTH, "tiny-clip", "") if values.type == VECTORS else pa.field(name, values.type)
        for name, values in columns.items()
    ]
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))


def more_columns(names: Iterable[str], given: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Return the columns that `make` has to add: those `given`; well-known ones, `clip` and `matches` among `names`.

    Raises:
        LookupError: a column is neither given nor well known.
    """
    standard = make(0, 0, "plain", [], True).column_names
    known = {
        "clip": VECTORS,
        "matches": pa.list_(pa.int32()),
        **{column.name: column.type for column in WELL_KNOWN.values()},
    }
    added = dict(given)
    for name in names:
        if name not in standard and name not in added:
            if name not in known:
                raise LookupError(f"tables of the suite have no column '{name}'; give its type in `columns`")
            added[name] = known[name]
    return added


def _column(draw: np.random.Generator, rows: int, dtype: pa.DataType, words: tuple[str, ...]) -> pa.Array:
    """Make values of a type, including odd ones and nulls."""
    if pa.types.is_fixed_size_list(dtype):
        return _vectors(draw, rows)
    values = _values(draw, dtype, words)
    chosen = draw.integers(0, len(values), rows)
    lacking = draw.random(rows) < 0.15
    return pa.array([None if no else values[index] for index, no in zip(chosen, lacking, strict=True)], dtype)


def _values(draw: np.random.Generator, dtype: pa.DataType, words: tuple[str, ...]) -> list[Any]:
    if pa.types.is_string(dtype) or pa.types.is_large_string(dtype):
        return [*TEXTS, *words]
    if pa.types.is_boolean(dtype):
        return [True, False]
    if pa.types.is_floating(dtype):
        return [*FLOATS, *draw.normal(size=5).tolist()]
    if pa.types.is_timestamp(dtype):
        return [0, 10**15, 10**15 + 1, -(10**12)]
    if pa.types.is_integer(dtype):
        largest = 2 ** (dtype.bit_width - (0 if pa.types.is_unsigned_integer(dtype) else 1)) - 1
        return [0, 1, 2, 7, 7, largest]
    if pa.types.is_binary(dtype):
        return [b"", b"\0", b"bytes"]
    if pa.types.is_list(dtype):
        return [[], [7], [0, 7], [7, 2, 7], [3, None]]
    raise LookupError(f"tables of the suite have no values of the type {dtype}; override `tables`")


def code(values: pa.Array, coding: str) -> pa.Array:
    """Encode strings in one of the ways they may come: plain, dictionary-coded, or with 64-bit offsets."""
    if coding == "dictionary":
        return values.dictionary_encode()
    return values.cast(pa.large_string()) if coding == "large" else values


def _uid(draw: np.random.Generator, number: int) -> str:
    strange = ["", "é", "\0", "🙂", " ", "/"][int(draw.integers(0, 6))]
    return f"{strange}{number:x}{strange}"


def _vectors(draw: np.random.Generator, rows: int) -> pa.Array:
    matrix = draw.normal(size=(rows, WIDTH))
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    matrix[draw.random(rows) < 0.1] = np.nan
    flat = pa.array(matrix.astype(np.float16).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, WIDTH, mask=pa.array(draw.random(rows) < 0.1))


def _coordinates(seed: int, rows: int) -> dict[str, pa.Array]:
    """Make latitude and longitude: on land and at sea, out of range, one without the other."""
    draw = np.random.default_rng([seed, 1])
    latitudes = [48.86, 35.68, 0.0, -0.0, 90.0, -90.0, 91.0, float("nan"), float("inf"), -33.9, None]
    longitudes = [2.35, 139.69, 0.0, 180.0, -180.0, 181.0, float("nan"), float("-inf"), 18.4, None]
    values = {"latitude": latitudes, "longitude": longitudes}
    return {
        name: pa.array([of[index] for index in draw.integers(0, len(of), rows)], pa.float64())
        for name, of in values.items()
    }


def _ranks(seed: int, rows: int) -> pa.Array:
    """Make ranks of clusters: 0, 1 and 2, each rarer than the one before."""
    indices = np.random.default_rng([seed, 2]).integers(0, 10, rows)
    return pa.array([[0, 0, 0, 0, 0, 1, 1, 1, 2, None][index] for index in indices], pa.int32())


_WORD_LISTS = st.lists(st.text(max_size=4), max_size=5, unique=True)


def tables(
    most: int, images: bool, more: Mapping[str, pa.DataType] | None = None
) -> st.SearchStrategy[Callable[[str], pa.Table]]:
    """Return a strategy for functions that make a table, given a coding of its strings.

    Args:
        most: rows of the largest table.
        images: as for `make`.
        more: as for `make`.
    """
    sizes = [size for size in SIZES if size <= most]

    def recipe(seed: int, rows: int, words: list[str]) -> Callable[[str], pa.Table]:
        return lambda coding: make(seed, rows, coding, words, images, more)

    return st.builds(recipe, st.integers(0, 2**32), st.sampled_from(sizes), _WORD_LISTS)
