"""A stable 64-bit hash of strings: the only randomness there is. Rows are sampled by the rank of their hash.

The hash is XXH3-64 (https://xxhash.com, specification in its doc/xxhash_spec.md) of the UTF-8 bytes with the
key as seed, as Daft's `Series.hash` computes it. So a query of the engine that needs the same numbers writes
`daft.functions.hash(column, seed=key, hash_function="xxhash3_64")`; the two differ for nulls only.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.runtime.quiet import import_daft

_CHUNK = 1 << 18
"""Strings hashed at once, which bounds the memory beside the result."""

_NULL = b"\xff"
"""What a null hashes as. No string has these bytes, as they are not UTF-8."""


def hash64(values: pa.Array | pa.ChunkedArray, key: int) -> npt.NDArray[np.uint64]:
    """XXH3-64 of every string with `key` as seed: the same for the same string, everywhere and for ever.

    Over 50 million short strings a second on one core.

    Args:
        values: (n,) string, large_string, string_view, or a dictionary of these; with nulls.
        key: 0 <= key < 2^64, see `hash_key`.

    Returns:
        (n,) uint64. All nulls have one hash, that of no string.

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
    """The 64-bit key of one use of randomness: seed and names, such as table and step.

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
    places = values.indices.cast(pa.int64()).fill_null(len(words))
    return np.asarray(hashes[places.to_numpy(zero_copy_only=False)])


def _xxh3(part: pa.Array, key: int) -> npt.NDArray[np.uint64]:
    daft = import_daft()
    seed = daft.Series.from_arrow(pa.array([key], pa.uint64()))
    hashes = daft.Series.from_arrow(part).hash(seed).to_arrow()
    return np.asarray(hashes.to_numpy(zero_copy_only=False), np.uint64)
