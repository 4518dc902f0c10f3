"""Hash strings to 64 bits, stably: the only source of randomness. Rows are sampled by the rank of their hash.

The hash is XXH3-64 (https://xxhash.com, specification in its doc/xxhash_spec.md) of the UTF-8 bytes with the
key as seed: the same numbers as `xxhash.xxh3_64_intdigest(text.encode(), key)`.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from xxhash import xxh3_64_intdigest

from poolwright.kernels.selection.xxh3 import LONGEST, hash_equal_lengths

_CHUNK = 1 << 17
"""Strings hashed together, which bounds the memory beyond the result."""

_FEW, _FEW_PER_BYTE = 100, 12
"""Up to this many strings of one length, at least and per byte, hashing them one by one is faster."""

_NULL = b"\xff"
"""Bytes that a null is hashed as. No string has them, as they are not UTF-8."""


def hash64(values: pa.Array | pa.ChunkedArray, key: int) -> npt.NDArray[np.uint64]:
    """XXH3-64 of every string with `key` as seed: the same for the same string on every machine and in every version.

    Args:
        values: (n,) string, large_string, string_view, or a dictionary of these; with nulls.
        key: 0 <= key < 2^64, see `hash_key`.

    Returns:
        (n,) uint64. All nulls have the same hash, which is not that of a string.

    Raises:
        TypeError: if the values are not strings.
    """
    if not 0 <= key < 2**64:
        raise ValueError(f"key {key} is not an unsigned 64-bit integer")
    if pa.types.is_dictionary(values.type):
        _check_is_text(values.type.value_type)
        return _hash_dictionary(values, key)
    _check_is_text(values.type)
    out = np.empty(len(values), np.uint64)
    start = 0
    for array in values.chunks if isinstance(values, pa.ChunkedArray) else [values]:
        for at in range(0, len(array), _CHUNK):
            part = array.slice(at, _CHUNK)
            out[start : start + len(part)] = _hash_part(part, key)
            start += len(part)
    return out


def hash_key(seed: int, *names: str) -> int:
    """Return the 64-bit key of one use of randomness, from the seed and names such as table and step.

    The first 8 bytes, little-endian, of SHA-256 over the parts `str(seed), *names`, each in UTF-8 after its
    length in bytes as 8 bytes little-endian. So ("ab", "c") and ("a", "bc") give different keys.
    """
    digest = hashlib.sha256()
    for part in (str(seed), *names):
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return int.from_bytes(digest.digest()[:8], "little")


def _check_is_text(kind: pa.DataType) -> None:
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)):
        raise TypeError(f"hash64 is for strings, not {kind}")


def _hash_part(part: pa.Array, key: int) -> npt.NDArray[np.uint64]:
    if pa.types.is_string_view(part.type):
        part = part.cast(pa.large_string())
    hashes = _xxh3(part, key)
    if part.null_count:
        null = _xxh3(pa.array([_NULL], pa.large_binary()), key)
        return np.where(part.is_null().to_numpy(zero_copy_only=False), null, hashes)
    return hashes


def _hash_dictionary(values: pa.Array | pa.ChunkedArray, key: int) -> npt.NDArray[np.uint64]:
    """Hash each distinct string once."""
    if isinstance(values, pa.ChunkedArray):
        parts = [_hash_dictionary(chunk, key) for chunk in values.chunks]
        return np.concatenate([np.empty(0, np.uint64), *parts])
    words = values.dictionary
    hashes = hash64(pa.concat_arrays([words, pa.nulls(1, words.type)]), key)
    indices = values.indices.cast(pa.int64()).fill_null(len(words))
    return np.asarray(hashes[indices.to_numpy(zero_copy_only=False)])


def _xxh3(part: pa.Array, key: int) -> npt.NDArray[np.uint64]:
    """Hash the bytes of a string or binary array; the hashes of nulls are undefined."""
    starts, data = _layout(part)
    lengths = np.diff(starts)
    if not len(lengths):
        return np.empty(0, np.uint64)
    if lengths[0] <= LONGEST and (lengths == lengths[0]).all():
        return hash_equal_lengths(data[starts[0] : starts[-1]], int(lengths[0]), len(lengths), key)
    return _by_length(part, lengths, key)


def _layout(part: pa.Array) -> tuple[npt.NDArray[np.signedinteger], npt.NDArray[np.uint8]]:
    """Return the offsets of the strings, with the end of the last, and the bytes of all."""
    wide = pa.types.is_large_string(part.type) or pa.types.is_large_binary(part.type)
    _, offsets, data = part.buffers()
    kind: type[np.signedinteger] = np.int64 if wide else np.int32
    if offsets is None or not len(part):
        return np.zeros(1, kind), np.empty(0, np.uint8)
    starts = np.frombuffer(offsets, kind, len(part) + 1, part.offset * np.dtype(kind).itemsize)
    return starts, np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)


def _by_length(part: pa.Array, lengths: npt.NDArray[np.signedinteger], key: int) -> npt.NDArray[np.uint64]:
    """Hash strings of several lengths: those of each length together if there are many."""
    short = np.minimum(lengths, LONGEST + 1).astype(np.uint8)
    order = np.argsort(short, kind="stable")
    starts, data = _layout(part.take(pa.array(order)))
    ends = np.cumsum(np.bincount(short, minlength=LONGEST + 2))
    hashes = np.empty(len(part), np.uint64)
    for length in np.unique(short).tolist():
        first, end = int(ends[length - 1]) if length else 0, int(ends[length])
        if length > LONGEST or end - first <= max(_FEW, _FEW_PER_BYTE * length):
            hashes[first:end] = _one_by_one(starts[first : end + 1], data, key)
        else:
            hashes[first:end] = hash_equal_lengths(data[starts[first] : starts[end]], length, end - first, key)
    out = np.empty(len(part), np.uint64)
    out[order] = hashes
    return out


def _one_by_one(starts: npt.NDArray[np.signedinteger], data: npt.NDArray[np.uint8], key: int) -> list[int]:
    whole = data[starts[0] : starts[-1]].tobytes()  # slices of bytes are made faster than those of a memoryview
    edges = (starts - starts[0]).tolist()
    return [xxh3_64_intdigest(whole[start:end], key) for start, end in pairwise(edges)]
