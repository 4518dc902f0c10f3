"""Decode URL-encoded text, a column at a time."""

from __future__ import annotations

from urllib.parse import unquote_plus

import numpy as np
import pyarrow as pa

_HEX = np.full(256, 255, np.uint8)
for _digits, _first in (("0123456789", 0), ("abcdef", 10), ("ABCDEF", 10)):
    for _at, _digit in enumerate(_digits):
        _HEX[ord(_digit)] = _first + _at


def decode(texts: pa.Array) -> pa.Array:
    """Decode strings with '+' as space and '%41' as byte, as `urllib.parse.unquote_plus` does.

    Bytes that are not UTF-8 become U+FFFD; '%' without two hexadecimal digits stays.

    Args:
        texts: strings (n,), null allowed.

    Returns:
        strings (n,).
    """
    texts = texts if texts.offset == 0 else texts.take(pa.array(np.arange(len(texts))))
    offsets = np.frombuffer(texts.buffers()[1] or bytes(4), np.int32, len(texts) + 1)
    data = np.frombuffer(texts.buffers()[2] or b"", np.uint8)[: offsets[-1]]
    pluses, escapes = data == ord("+"), _escapes(data, offsets)
    if not len(escapes) and not pluses.any():
        return texts
    decoded = np.where(pluses, np.uint8(ord(" ")), data)
    if len(escapes):
        decoded[escapes] = _HEX[data[escapes + 1]] << 4 | _HEX[data[escapes + 2]]
        kept = np.ones(len(data), np.bool_)
        kept[escapes + 1] = kept[escapes + 2] = False
        decoded = decoded[kept]
        offsets = offsets - 2 * np.searchsorted(escapes, offsets).astype(np.int32)
    buffers = [texts.buffers()[0], pa.py_buffer(np.ascontiguousarray(offsets)), pa.py_buffer(decoded)]
    return _valid(pa.Array.from_buffers(pa.binary(), len(texts), buffers), texts)


def _escapes(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the positions of each '%' followed by two hexadecimal digits of the same text."""
    positions = np.flatnonzero(data[:-2] == ord("%")) if len(data) > 2 else np.zeros(0, np.int64)
    if not len(positions):
        return positions
    starts = np.zeros(len(data) + 1, np.bool_)
    starts[offsets] = True
    digits = (_HEX[data[positions + 1]] < 16) & (_HEX[data[positions + 2]] < 16)
    whole = digits & ~starts[positions + 1] & ~starts[positions + 2]
    return np.asarray(positions[whole])


def _valid(decoded: pa.Array, texts: pa.Array) -> pa.Array:
    """Return the decoded bytes as strings; texts that are not UTF-8 are decoded again by Python."""
    try:
        return decoded.cast(pa.string())
    except pa.ArrowInvalid:
        values = zip(decoded.to_pylist(), texts, strict=True)
        return pa.array([None if value is None else _text(value, text) for value, text in values], pa.string())


def _text(decoded: bytes, text: pa.Scalar) -> str:
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return unquote_plus(text.as_py(), errors="replace")
