"""Convert the values of a source to the types of well-known columns.

A value that does not fit its column, such as 'N/A' as a width or 2014-02-31 as a date, becomes null: metadata from
the web is never clean, and a step that needs the value drops the row with a reason. If none of the first values of a
source fits, the column is not what its name says, and `check_values` reports it before a run.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.columns import IMAGE, PHASH, SHA256, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError

_HEX = (UID, SHA256, PHASH)
_TIME = pa.timestamp("us", tz="UTC")
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # years 1 to 9999, in Unix seconds


def plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return a type without its encoding: dictionaries, large and view types, extensions."""
    if isinstance(dtype, pa.BaseExtensionType):
        return plain_type(dtype.storage_type)
    if pa.types.is_dictionary(dtype):
        return plain_type(dtype.value_type)
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return pa.string()
    if pa.types.is_large_binary(dtype) or pa.types.is_binary_view(dtype):
        return pa.binary()
    return dtype


def plain(values: pa.Array) -> pa.Array:
    """Return the values in their `plain_type`."""
    if isinstance(values.type, pa.BaseExtensionType):
        return plain(values.storage)
    if pa.types.is_dictionary(values.type):
        return plain(values.dictionary_decode())
    wanted = plain_type(values.type)
    return values if values.type == wanted else values.cast(wanted)


def table_of(arrays: Sequence[pa.Array], fields: Sequence[pa.Field], rows: int) -> pa.Table:
    """Make a table of these columns; it has `rows` rows even without any column."""
    if not fields:
        return pa.table({"": pa.nulls(rows)}).select([])
    return pa.Table.from_arrays(list(arrays), schema=pa.schema(list(fields)))


def given_type(name: str, source: pa.DataType, where: str) -> pa.DataType:
    """Return the type of a source column as the column `name`: the well-known type, or its own.

    Raises:
        RecipeError: a source column of that type can never be that well-known column.
    """
    source = plain_type(source)
    if name not in WELL_KNOWN:
        return source
    wanted = WELL_KNOWN[name].type
    if source == wanted or pa.types.is_null(source) or _can_be(name, source, wanted):
        return wanted
    raise RecipeError(
        f"{where}: has type {source}, but '{name}' is {wanted} ({WELL_KNOWN[name].meaning}); "
        "map another column to it, or give this one another name under 'columns'"
    )


def _can_be(name: str, source: pa.DataType, wanted: pa.DataType) -> bool:
    is_number = pa.types.is_integer(source) or pa.types.is_floating(source) or pa.types.is_decimal(source)
    if pa.types.is_binary(wanted):
        return bool(pa.types.is_fixed_size_binary(source))
    if pa.types.is_string(wanted):
        if name in _HEX:
            return bool(pa.types.is_integer(source) or _is_bytes(source))
        return bool(is_number or pa.types.is_boolean(source) or pa.types.is_temporal(source))
    if pa.types.is_timestamp(wanted):
        return bool(
            is_number or pa.types.is_string(source) or pa.types.is_timestamp(source) or pa.types.is_date(source)
        )
    return bool(is_number or pa.types.is_boolean(source) or pa.types.is_string(source))


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_fixed_size_binary(dtype))


def as_given(values: pa.Array, name: str, wanted: pa.DataType) -> pa.Array:
    """Convert source values to the column `name` of type `wanted`; a value that does not fit becomes null."""
    values = plain(values)
    if values.type == wanted:
        return values
    if name not in WELL_KNOWN or pa.types.is_null(values.type):
        return values.cast(wanted)
    if name in _HEX and _is_bytes(values.type):
        return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())
    if pa.types.is_timestamp(wanted):
        return _times(values)
    if pa.types.is_string(values.type):
        values = _trimmed(values)
    elif pa.types.is_floating(values.type) and pa.types.is_integer(wanted):
        values = pc.if_else(pc.is_nan(values), None, values)
    return cast_or_null(values, wanted)


def check_values(values: pa.Array, name: str, where: str) -> None:
    """Check that at least one of the first values can be a value of the well-known column `name`.

    Raises:
        RecipeError: none of them can; the message shows the first.
    """
    if name not in WELL_KNOWN or name == IMAGE:
        return
    wanted = WELL_KNOWN[name].type
    known = plain(values).drop_null()
    if pa.types.is_string(known.type):
        known = known.filter(pc.not_equal(known, ""))
    if not len(known) or as_given(known, name, wanted).null_count < len(known):
        return
    kind = "ISO 8601 times or Unix seconds" if pa.types.is_timestamp(wanted) else f"numbers ({wanted})"
    raise RecipeError(
        f"{where}: the values of '{name}' are {kind}, but none of the first {len(known)} is one, such as "
        f"{known[0].as_py()!r}; map another column to it, or give this one another name under 'columns'"
    )


def _trimmed(texts: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def cast_or_null(values: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Cast; if something does not fit, cast halves, until only what does not fit is null."""
    try:
        return values.cast(wanted)
    except pa.ArrowInvalid:
        if len(values) == 1:
            return pa.nulls(1, wanted)
    half = len(values) // 2
    return pa.concat_arrays([cast_or_null(values[:half], wanted), cast_or_null(values[half:], wanted)])


def _times(values: pa.Array) -> pa.Array:
    """Convert ISO 8601 texts, Unix seconds, dates and timestamps to times. Without a zone they are taken as UTC."""
    if pa.types.is_timestamp(values.type):
        return _zoned(cast_or_null(values, pa.timestamp("us", tz=values.type.tz)))
    if pa.types.is_date(values.type):
        return _zoned(cast_or_null(values, pa.timestamp("us")))
    if pa.types.is_string(values.type):
        return _times_of_text(_trimmed(values))
    return _times_of_seconds(values)


def _zoned(times: pa.Array) -> pa.Array:
    return times.cast(_TIME) if times.type.tz else pc.assume_timezone(times, "UTC")


def _times_of_seconds(values: pa.Array) -> pa.Array:
    """Convert Unix seconds. 1000 to 9999 are years in the wrong column; milliseconds are beyond the year 9999."""
    seconds = cast_or_null(values, pa.float64())
    year = pc.and_(pc.greater_equal(seconds, 1000), pc.less(seconds, 10_000))
    inside = pc.and_(pc.greater_equal(seconds, _FIRST), pc.less_equal(seconds, _LAST))
    seconds = pc.if_else(pc.and_(inside, pc.invert(year)), seconds, None)  # false for NaN
    # Whole seconds and the rest apart: a product of 1e6 would round to more than a microsecond.
    whole = pc.floor(seconds)
    rest = pc.round(pc.multiply(pc.subtract(seconds, whole), 1e6)).cast(pa.int64())
    return pc.add(pc.multiply(whole.cast(pa.int64()), 1_000_000), rest).cast(pa.timestamp("us")).cast(_TIME)


def _times_of_text(texts: pa.Array) -> pa.Array:
    texts = pc.replace_substring_regex(texts, r" ?UTC$", "Z")
    texts = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
    number = pc.match_substring_regex(texts, r"^-?\d{5,}(\.\d*)?$")
    zone = pc.match_substring_regex(texts, r":\d\d.*(Z|[+-]\d\d(:?\d\d)?)$")
    local = pc.if_else(pc.or_(number, zone), None, texts)
    return pc.coalesce(
        _zoned(cast_or_null(local, pa.timestamp("us"))),
        cast_or_null(pc.if_else(zone, texts, None), _TIME),
        _times_of_seconds(pc.if_else(number, texts, None)),
    )
