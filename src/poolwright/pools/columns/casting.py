"""Convert the values of a source to the types of well-known columns.

A value that does not fit its column, such as 'N/A' as a width or 2014-02-31 as a date, becomes null: metadata from
the web is never clean, and a step that needs the value drops the row with a reason. If none of the first values of a
source fits, the column is not what its name says, and `check_values` reports it before a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator

from poolwright.core.columns import IMAGE, LATITUDE, LONGITUDE, PDQ, PHASH, SHA256, TEXT, UID, WELL_KNOWN, declared_type
from poolwright.core.errors import RecipeError
from poolwright.core.rows import cast_or_null
from poolwright.core.runtime.noting import note_unread
from poolwright.pools.values.images import check_base64, images_of_texts
from poolwright.pools.values.texts import first_texts, is_texts
from poolwright.pools.values.times import times_of

_HEX = (UID, SHA256, PHASH, PDQ)
_MOST = {LATITUDE: 90.0, LONGITUDE: 180.0}


def plain_type(dtype: pa.DataType) -> pa.DataType:
    """Return a type without its encoding: dictionaries, views, large texts, extensions."""
    if isinstance(dtype, pa.BaseExtensionType):
        return plain_type(dtype.storage_type)
    if pa.types.is_dictionary(dtype):
        return plain_type(dtype.value_type)
    if pa.types.is_large_string(dtype) or pa.types.is_string_view(dtype):
        return pa.string()
    if pa.types.is_large_binary(dtype) or pa.types.is_binary_view(dtype):
        return pa.binary()
    if pa.types.is_list_view(dtype) or pa.types.is_large_list_view(dtype):
        return pa.list_(dtype.value_field)
    return dtype


def plain(values: pa.Array) -> pa.Array:
    """Return the values in their `plain_type`."""
    if isinstance(values.type, pa.BaseExtensionType):
        return plain(values.storage)
    if pa.types.is_dictionary(values.type):
        return plain(values.dictionary_decode())
    wanted = plain_type(values.type)
    if pa.types.is_list_view(values.type) or pa.types.is_large_list_view(values.type):
        return pa.array(values.to_pylist(), wanted)  # PyArrow's cast gives arrays without their last offset
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
        return bool(pa.types.is_fixed_size_binary(source) or pa.types.is_string(source))
    if pa.types.is_string(wanted):
        if name in _HEX:
            return bool(pa.types.is_integer(source) or _is_bytes(source))
        if name == TEXT and is_texts(source):
            return True
        return bool(is_number or pa.types.is_boolean(source) or pa.types.is_temporal(source))
    if pa.types.is_timestamp(wanted):
        return bool(
            is_number or pa.types.is_string(source) or pa.types.is_timestamp(source) or pa.types.is_date(source)
        )
    return bool(is_number or pa.types.is_boolean(source) or pa.types.is_string(source))


def _is_bytes(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_binary(dtype) or pa.types.is_fixed_size_binary(dtype))


def as_given(values: pa.Array, name: str, wanted: pa.DataType) -> pa.Array:
    """Convert source values to the column `name` of type `wanted`; a value that does not fit is null, and noted."""
    values = plain(values)
    found = _converted(values, name, wanted)
    if found.null_count > values.null_count and not pa.types.is_nested(values.type):
        _note(values, found, name)
    return found


def _note(values: pa.Array, found: pa.Array, name: str) -> None:
    unread = pc.and_(values.is_valid(), found.is_null())
    if pa.types.is_string(values.type):
        unread = pc.and_(unread, pc.not_equal(pc.utf8_trim_whitespace(values), ""))
    elif pa.types.is_floating(values.type):
        unread = pc.and_(unread, pc.invert(pc.is_nan(values)))
    unread = pc.fill_null(unread, False)
    if pc.any(unread).as_py():
        note_unread(name, unread.to_numpy(zero_copy_only=False), repr(values.filter(unread)[0].as_py())[:60])


def _converted(values: pa.Array, name: str, wanted: pa.DataType) -> pa.Array:
    if name in _MOST:
        degrees = _cast(values, name, wanted)
        return pc.if_else(pc.less_equal(pc.abs(degrees), _MOST[name]), degrees, None)
    return _cast(values, name, wanted)


def _cast(values: pa.Array, name: str, wanted: pa.DataType) -> pa.Array:
    if values.type == wanted:
        return values
    if name not in WELL_KNOWN or pa.types.is_null(values.type):
        return cast_or_null(values, wanted)
    if name in _HEX and _is_bytes(values.type):
        return pa.array([None if value is None else value.hex() for value in values.to_pylist()], pa.string())
    if name == IMAGE and pa.types.is_string(values.type):
        return images_of_texts(values)
    if name == TEXT and is_texts(values.type):
        return first_texts(values)
    if pa.types.is_timestamp(wanted):
        return times_of(_trimmed(values) if pa.types.is_string(values.type) else values)
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
    if name not in WELL_KNOWN:
        return None
    wanted = WELL_KNOWN[name].type
    known = plain(values).drop_null()
    if pa.types.is_string(known.type):
        known = known.filter(pc.not_equal(known, ""))
    if name == IMAGE:
        return check_base64(known, where) if pa.types.is_string(known.type) else None
    if not len(known) or as_given(known, name, wanted).null_count < len(known):
        return None
    kind = "ISO 8601 times or Unix seconds" if pa.types.is_timestamp(wanted) else f"numbers ({wanted})"
    raise RecipeError(
        f"{where}: the values of '{name}' are {kind}, but none of the first {len(known)} is one, such as "
        f"{known[0].as_py()!r}; map another column to it, or give this one another name under 'columns'"
    )


def _trimmed(texts: pa.Array) -> pa.Array:
    trimmed = pc.utf8_trim_whitespace(texts)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def _check_types(types: dict[str, str]) -> dict[str, str]:
    for name, alias in types.items():
        declared_type(name, alias)
    return types


DeclaredTypes = Annotated[dict[str, str], AfterValidator(_check_types)]
"""Names of Arrow types by column, as a parameter of a pool."""
