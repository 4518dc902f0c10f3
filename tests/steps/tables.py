"""Tables that hypothesis makes: every kind of column and every kind of bad value."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st
from PIL import Image

from poolwright.core.columns import vector_field

WIDTH = 16
CODINGS = ("plain", "dictionary", "large")
TEXTS = ["", "a", "A", "\0", "a\0b", "ä", "ä", "𝔘𝔫𝔦", "🙂🙂", " ", "\n", "null", "a,b", '["a"]', "x" * 300]
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


def make(seed: int, rows: int, coding: str, words: list[str], images: bool) -> pa.Table:
    """A table of so many rows with columns of all kinds, and nulls in all but uid."""
    draw = np.random.default_rng(seed)

    def some(values: list[Any], dtype: pa.DataType, nulls: float = 0.15) -> pa.Array:
        places = draw.integers(0, len(values), rows)
        lacking = draw.random(rows) < nulls
        return pa.array([None if no else values[place] for place, no in zip(places, lacking, strict=True)], dtype)

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
    fields = [pa.field(name, values.type) for name, values in columns.items()]
    fields = [vector_field("embedding", WIDTH, "tiny-clip", "") if f.name == "embedding" else f for f in fields]
    return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))


def code(values: pa.Array, coding: str) -> pa.Array:
    """Strings as they may come: plain, dictionary-coded, or with 64-bit offsets."""
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
    """Latitude and longitude: places on land and at sea, out of range, one without the other."""
    draw = np.random.default_rng([seed, 1])
    latitudes = [48.86, 35.68, 0.0, -0.0, 90.0, -90.0, 91.0, float("nan"), float("inf"), -33.9, None]
    longitudes = [2.35, 139.69, 0.0, 180.0, -180.0, 181.0, float("nan"), float("-inf"), 18.4, None]
    values = {"latitude": latitudes, "longitude": longitudes}
    return {
        name: pa.array([of[place] for place in draw.integers(0, len(of), rows)], pa.float64())
        for name, of in values.items()
    }


def _ranks(seed: int, rows: int) -> pa.Array:
    """Ranks of clusters: 0, 1 and 2, each rarer than the one before."""
    places = np.random.default_rng([seed, 2]).integers(0, 10, rows)
    return pa.array([[0, 0, 0, 0, 0, 1, 1, 1, 2, None][place] for place in places], pa.int32())


def tables(most: int, images: bool) -> st.SearchStrategy[Callable[[str], pa.Table]]:
    """Recipes of tables: call one with a coding of strings to get the table."""
    sizes = [size for size in (0, 1, 2, 7, 60, 400) if size <= most]
    words = st.lists(st.text(max_size=4), max_size=5, unique=True)

    def recipe(seed: int, rows: int, words: list[str]) -> Callable[[str], pa.Table]:
        return lambda coding: make(seed, rows, coding, words, images)

    return st.builds(recipe, st.integers(0, 2**32), st.sampled_from(sizes), words)
