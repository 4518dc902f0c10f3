"""Bring values that name the same row into one spelling: ids, hashes and URLs as lists of them write them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from poolwright.kernels.selection.lookup.value_index import plain

_AROUND = " \t\r\n\v\f\"'\u00a0\ufeff"
_HEX = r"^(?:0[xX])?([0-9a-fA-F]{16,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
_INTEGER = r"^\+?(-?)0*(\d+)(?:\.0*)?$"
_URL = (
    r"^(?i:https?)://(?:[^/?#@]*@)?(?P<host>[^/?#:]*)(?::(?:80|443)?)?(?P<port>(?::\d+)?)"
    r"(?P<path>[^?#]*)(?P<query>(?:\?[^#]*)?)(?:#.*)?$"
)
_FLICKR = r"^(?:farm\d+|c\d+|live)\.static\.?flickr\.com$"
_BARE = r"^[^\pL1-9]+|[^\pL\pN]"
_BARE_ASCII = r"^[^a-z1-9]+|[^a-z0-9]"
"""The same in lower case: to compile the classes of Unicode takes a millisecond, at each call."""
_PICTURE = r"(?i)\.(?:jpe?g|jpe|jfif|png|gif|webp|bmp|tiff?|avif|heic|jp2)$"


def as_spelled(values: pa.Array, integers: bool = False) -> pa.Array:
    """Return values as strings (n,) in one spelling.

    White space and quotation marks around a value do not belong to it; hexadecimal numbers of 16 and more digits, and
    UUIDs, are in lower case and without 0x; raw bytes are hexadecimal.
    URLs have no scheme, user, default port, fragment, and their host is in lower case; a query after the name of a
    picture file is left out, and the hosts that Flickr served static files from are one.

    Args:
        values: strings, integers, floats or bytes, with nulls.
        integers: whether the values are compared with integers, so that 007 and 7.0 are 7.
    """
    values = plain(values)
    if pa.types.is_binary(values.type) or pa.types.is_large_binary(values.type):
        values = _of_bytes(values)
    elif pa.types.is_fixed_size_binary(values.type):
        values = pa.array([None if one is None else one.hex() for one in values.to_pylist()], pa.string())
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    texts = pc.utf8_trim(values.cast(pa.string()), _AROUND)
    if integers:
        return pc.replace_substring_regex(texts, _INTEGER, r"\1\2")
    hexadecimal = pc.fill_null(pc.match_substring_regex(texts, _HEX), False)
    if pc.any(hexadecimal).as_py():
        lower = pc.utf8_lower(pc.replace_substring_regex(texts, _HEX, r"\1"))
        texts = pc.if_else(hexadecimal, lower, texts)
    return _of_urls(texts) if pc.any(pc.match_substring(texts, "://")).as_py() else texts


def _of_bytes(values: pa.Array) -> pa.Array:
    """Return bytes that are UTF-8 text as that, others as hexadecimal numbers."""

    def text(one: bytes | None) -> str | None:
        if one is None:
            return None
        try:
            found = one.decode()
        except UnicodeDecodeError:
            return one.hex()
        return found if found.isprintable() else one.hex()

    return pa.array([text(one) for one in values.to_pylist()], pa.string())


def _of_urls(texts: pa.Array) -> pa.Array:
    found = pc.extract_regex(texts, _URL)
    host, port, path, query = (pc.struct_field(found, name) for name in ("host", "port", "path", "query"))
    host = pc.replace_substring_regex(pc.utf8_lower(host), _FLICKR, "live.staticflickr.com")
    query = pc.if_else(pc.match_substring_regex(path, _PICTURE), "", query)
    path = pc.if_else(pc.equal(path, ""), "/", path)
    return pc.coalesce(pc.binary_join_element_wise("//", host, port, path, query, ""), texts)


def loosely(texts: pa.Array) -> list[pa.Array]:
    """Return texts without case, marks, zeros in front, scheme and host; and so their last part without extension.

    Two values that differ in these alone may be meant to be the same.
    """
    plain = pc.replace_substring_regex(pc.utf8_lower(pc.utf8_normalize(texts, "NFKC")), r"^[a-z]*:?//[^/]*", "")
    last = pc.replace_substring_regex(plain, r"^.*/|\.[a-z0-9]{2,4}$", "")
    ascii_only = pc.all(pc.string_is_ascii(plain)).as_py() is not False
    bare = _BARE_ASCII if ascii_only else _BARE
    return [pc.replace_substring_regex(some, bare, "") for some in (plain, last)]
