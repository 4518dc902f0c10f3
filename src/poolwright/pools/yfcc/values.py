"""Decode, convert and combine YFCC100M fields into columns, each only when it is needed."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.rows import cast_or_null
from poolwright.pools.columns.url_text import decode
from poolwright.pools.yfcc.fields import Fields
from poolwright.reference.license_codes import code_of

_TIME = pa.timestamp("us", tz="UTC")
_WALL_TIME = r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?$"
_LAST_SECOND = 253_402_300_799  # of the year 9999


class Values:
    """Columns of some lines by the names of `yfcc_lines.FIELDS`, each made once."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields
        self._made: dict[str, pa.Array] = {}

    def column(self, name: str) -> pa.Array:
        """Return the column, one value per line."""
        if name not in self._made:
            self._made[name] = _MAKE[name](self, name)
        return self._made[name]


def _raw(values: Values, name: str) -> pa.Array:
    return values.fields.raw(name)


def _decoded(values: Values, name: str) -> pa.Array:
    return decode(values.fields.raw(name))


def _tags(values: Values, name: str) -> pa.Array:
    lists = pc.split_pattern(values.fields.raw(name), ",")
    return pa.ListArray.from_arrays(lists.offsets, decode(lists.values), mask=pc.is_null(lists))


def _integers(dtype: pa.DataType) -> Callable[[Values, str], pa.Array]:
    def make(values: Values, name: str) -> pa.Array:
        texts = values.fields.raw(name)
        # Arrow would take '0x1F' for a number.
        return cast_or_null(pc.if_else(pc.ascii_is_decimal(texts), texts, None), dtype)

    return make


def _degrees(limit: float) -> Callable[[Values, str], pa.Array]:
    def make(values: Values, name: str) -> pa.Array:
        degrees = cast_or_null(values.fields.raw(name), pa.float64())
        inside = pc.less_equal(pc.abs(degrees), limit)
        return degrees if pc.all(inside).as_py() else pc.if_else(inside, degrees, None)

    return make


def _taken(values: Values, _: str) -> pa.Array:
    texts = values.fields.raw("taken")
    return pc.if_else(pc.equal(texts, "null"), None, texts)


def _taken_at(values: Values, _: str) -> pa.Array:
    texts = values.column("taken")
    times = cast_or_null(pc.if_else(pc.match_substring_regex(texts, _WALL_TIME), texts, None), pa.timestamp("us"))
    times = pc.if_else(pc.equal(pc.year(times), 0), None, times)
    return times.cast(_TIME)  # the same clock, read as UTC


def _uploaded_at(values: Values, name: str) -> pa.Array:
    seconds = _integers(pa.int64())(values, name)
    seconds = pc.if_else(pc.less_equal(seconds, _LAST_SECOND), seconds, None)
    return seconds.cast(pa.timestamp("s")).cast(_TIME)


def _license(values: Values, _: str) -> pa.Array:
    codes = [_each(values.fields.raw(name), code_of) for name in ("license_url", "license_name")]
    return pc.coalesce(*codes)


def _each(texts: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    """Apply a function to texts of which few differ."""
    coded = texts.dictionary_encode()
    return pa.array([function(text) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _media(values: Values, name: str) -> pa.Array:
    return pc.if_else(pc.equal(values.fields.raw(name), "1"), "video", "photo")


def _attribution(values: Values, _: str) -> pa.Array:
    """'"Title" by Author, page, licence (URL)', as Creative Commons recommends: title, author, source, licence."""
    title = pc.replace_substring_regex(values.column("title"), r"\s+", " ")
    author = pc.coalesce(values.column("author"), values.column("user_nsid"))
    untitled = pc.if_else(pc.is_in(values.column("media"), pa.array(["video"])), "Video", "Photo")
    named = pc.coalesce(_joined('"', title, '"'), untitled)
    by = pc.coalesce(_joined(named, " by ", pc.replace_substring_regex(author, r"\s+", " ")), named)
    page = pc.replace_substring_regex(values.column("page_url"), "^http://", "https://")
    name = pc.coalesce(_each(values.column("license"), _short_name), values.column("license_name"))
    link = _each(values.column("license_url"), lambda url: url.replace("http://", "https://", 1))
    license = pc.coalesce(_joined(name, " (", link, ")"), name, link)
    # Arrow skips a row whose texts are all null; the first one here never is.
    return pc.binary_join_element_wise(by, page, license, ", ", null_handling="skip")


def _joined(*pieces: pa.Array | str) -> pa.Array:
    """Join pieces to one text; null if one of them is null."""
    return pc.binary_join_element_wise(*pieces, "")


def _short_name(code: str) -> str | None:
    """Return 'CC BY-NC-ND 2.0' for 'cc-by-nc-nd-2.0'; None if there is no better name than the source's."""
    if code.startswith("cc-"):
        family, _, version = code[3:].rpartition("-") if code[-1].isdigit() else (code[3:], "", "")
        return f"CC {family.upper()} {version}".strip()
    if code.startswith("cc0"):
        return code.upper().replace("-", " ")
    return "Public Domain Mark" + code[3:].replace("-", " ") if code.startswith("pdm") else None


_MAKE: dict[str, Callable[[Values, str], pa.Array]] = {
    "line_number": _integers(pa.int64()),
    "photo_id": _integers(pa.int64()),
    "hash": _raw,
    "user_nsid": _raw,
    "author": _decoded,
    "taken_at": _taken_at,
    "taken": _taken,
    "uploaded_at": _uploaded_at,
    "capture_device": _decoded,
    "title": _decoded,
    "description": _decoded,
    "user_tags": _tags,
    "machine_tags": _tags,
    "longitude": _degrees(180),
    "latitude": _degrees(90),
    "accuracy": _integers(pa.int8()),
    "page_url": _raw,
    "url": _raw,
    "license": _license,
    "license_name": _raw,
    "license_url": _raw,
    "server": _integers(pa.int32()),
    "farm": _integers(pa.int32()),
    "secret": _raw,
    "original_secret": _raw,
    "extension": _raw,
    "media": _media,
    "attribution": _attribution,
}
