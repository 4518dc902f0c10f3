"""Convert the cells of CSV and TSV files to types. A cell that does not fit, or is not UTF-8, is an error alone."""

from __future__ import annotations

import codecs
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from poolwright.core.rows import cast_or_null, one_array
from poolwright.pools.text.inference import EXACT, NULLS

DAMAGED = "\ufdd0"
"""Stands for bytes that are not UTF-8: a code point that Unicode reserves for use within a program."""

_MARK = DAMAGED.encode()
_CODE = re.compile(r"^[+-]?0\d")
_LOOKS = (
    (pa.types.is_integer, r"^-?\d{1,20}$"),
    (pa.types.is_floating, r"(?i)^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$|^[+-]?(inf|infinity|nan)$"),
    (pa.types.is_boolean, r"(?i)^(true|false|0|1)$"),
    (pa.types.is_date, r"^\d{4}-\d\d-\d\d$"),
    (pa.types.is_timestamp, r"^\d{4}-\d\d-\d\d"),
)
"""How the texts of a type look, before they are parsed."""

_SIGNS = (
    (pa.types.is_integer, b"-0123456789"),
    (pa.types.is_floating, b"-.0123456789Ee"),
    (pa.types.is_boolean, b"01aeflrstuAEFLRSTU"),
    (pa.types.is_date, b"-0123456789"),
    (pa.types.is_timestamp, b"-.:0123456789 TZ"),
)
"""Characters of values of a type. If Arrow casts a column that has no others, all of its texts look as they must."""


class ValidUtf8:
    """A binary file in which `DAMAGED` stands for bytes that are not UTF-8."""

    closed = False
    mode = "rb"

    def __init__(self, file: Any) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-8")("poolwright_damaged")
        self._inside = False

    def read(self, size: int = -1) -> bytes:
        """Read like the file, but at most twice as many bytes more."""
        while data := self._file.read(size):
            if not self._inside and data.isascii():
                return bytes(data)
            text = self._decoder.decode(data)
            self._inside = bool(self._decoder.getstate()[0])
            if text:
                return text.encode()
        self._inside = False
        return self._decoder.decode(b"", final=True).encode()


def _mark(error: UnicodeError) -> tuple[str, int]:
    return DAMAGED, error.end  # type: ignore[attr-defined]


codecs.register_error("poolwright_damaged", _mark)


def converted(cells: pa.ChunkedArray | pa.Array, dtype: pa.DataType, exact: bool) -> tuple[pa.Array, np.ndarray]:
    """Convert cells of a file to a type.

    Args:
        cells: texts (n,); those with `DAMAGED` do not fit.
        exact: whether numbers that would change, such as '007', do not fit.

    Returns:
        The values (n,), null for empty cells, for 'NA' and the like unless they are to be strings, and for what does
        not fit; and which do not fit, bool (n,).
    """
    texts = one_array(cells) if isinstance(cells, pa.ChunkedArray) else cells
    data = _bytes(texts)
    wrong = pc.match_substring(texts, DAMAGED) if _MARK in data else None
    if wrong is not None:
        texts = pc.if_else(wrong, None, texts)
    if pa.types.is_string(dtype):
        empty = pc.equal(pc.binary_length(texts), 0)
        return pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts, _flags(wrong, len(texts))
    values = None if wrong is not None else _at_once(texts, data, dtype)
    if values is not None and not (exact and _is_number(dtype)):
        return values, _flags(None, len(texts))
    trimmed = texts
    if values is None:
        trimmed = pc.utf8_trim_whitespace(texts)
        trimmed = pc.if_else(pc.is_in(trimmed, value_set=pa.array(sorted(NULLS))), None, trimmed)
        values = _cast(trimmed, dtype)
        misfit = pc.and_(trimmed.is_valid(), values.is_null())
        wrong = misfit if wrong is None else pc.or_(wrong, misfit)
    if exact and _is_number(dtype):
        changed = _changed(trimmed, values)
        if changed is not None:
            values = pc.if_else(changed, None, values)
            wrong = changed if wrong is None else pc.or_(wrong, changed)
    return values, _flags(wrong, len(texts))


def _bytes(texts: pa.Array) -> bytes:
    """Return the bytes of all texts, one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return b""
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return bytes(memoryview(data)[ends[0] : ends[-1]])


def _at_once(texts: pa.Array, data: bytes, dtype: pa.DataType) -> pa.Array | None:
    """Cast cells that all fit and need no trimming; None if some do not, or may mean nothing, such as 'NA'."""
    signs = next((signs for is_kind, signs in _SIGNS if is_kind(dtype)), None)
    if signs is None or data.translate(None, signs):
        return None
    empty = pc.equal(pc.binary_length(texts), 0)
    try:
        return (pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts).cast(dtype)
    except pa.ArrowInvalid:
        return None


def _is_number(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))


def _cast(texts: pa.Array, dtype: pa.DataType) -> pa.Array:
    """Cast texts; null for what does not fit. Most of that is found at once, the rest by `cast_or_null`."""
    pattern = next((pattern for is_kind, pattern in _LOOKS if is_kind(dtype)), None)
    if pattern is not None:
        texts = pc.if_else(pc.match_substring_regex(texts, pattern), texts, None)
    if pa.types.is_integer(dtype) and not pa.types.is_uint64(dtype):
        whole = cast_or_null(texts, pa.int64())
        bits, signed = dtype.bit_width, pa.types.is_signed_integer(dtype)
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        inside = pc.and_(pc.greater_equal(whole, low), pc.less_equal(whole, high))
        return pc.if_else(inside, whole, None).cast(dtype)
    return cast_or_null(texts, dtype)


def _flags(wrong: pa.Array | None, rows: int) -> np.ndarray:
    if wrong is None:
        return np.zeros(rows, np.bool_)
    return np.asarray(pc.fill_null(wrong, False).to_numpy(zero_copy_only=False))


def _changed(texts: pa.Array, numbers: pa.Array) -> pa.Array | None:
    """Tell which texts are codes that begin with a zero, or integers that float64 rounds; None if none is."""
    found = None
    beginnings = pc.unique(pc.utf8_slice_codeunits(texts, 0, 3)).to_pylist()
    if any(text and _CODE.match(text) for text in beginnings):
        found = pc.fill_null(pc.match_substring_regex(texts, _CODE.pattern), False)
    if pa.types.is_floating(numbers.type):
        large = pc.fill_null(pc.greater_equal(pc.abs(numbers), float(EXACT)), False)
        if pc.any(large).as_py():
            pairs = zip(texts.to_pylist(), large.to_pylist(), strict=True)
            rounded = pa.array([big and re.fullmatch(r"-?\d+", text) is not None for text, big in pairs], pa.bool_())
            found = rounded if found is None else pc.or_(found, rounded)
    return found
