"""Compute XXH3-64 with a seed of many byte strings of one length at once.

Follows the specification of xxHash, `doc/xxhash_spec.md` of https://github.com/Cyan4973/xxHash, section "XXH3
Algorithm", for inputs of up to 240 bytes. Arithmetic is modulo 2^64, as in uint64 arrays of NumPy.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LONGEST = 240
"""Bytes of the longest strings that are hashed here; the specification treats longer ones differently."""

_BLOCK = 16_384
"""Strings hashed at once: the intermediate values, 8 bytes each, stay in the cache of a core."""

Words = npt.NDArray[np.uint64]

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME_MX1, _PRIME_MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25
_LOW = np.uint64(0xFFFF_FFFF)
_HALF = np.uint64(32)


def hash_equal_lengths(data: npt.NDArray[np.uint8], length: int, count: int, seed: int) -> Words:
    """XXH3-64 of `count` strings that follow each other in memory.

    Args:
        data: uint8 (count x length,).
        length: bytes of each string, 0 to LONGEST.
        seed: 0 <= seed < 2^64.

    Returns:
        uint64 (count,).
    """
    if length == 0:
        return np.full(count, _avalanche_xxh64(np.array([seed ^ _secret(56) ^ _secret(64)], np.uint64)))
    out = np.empty(count, np.uint64)
    scratch = np.empty((6, min(_BLOCK, count)), np.uint64)
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        strings = _Strings(data[start * length : (start + rows) * length], length, rows)
        out[start : start + rows] = _hash_block(strings, seed, scratch[:, :rows])
    return out


class _Strings:
    """Some strings of one length, and their bytes as little-endian words."""

    def __init__(self, data: npt.NDArray[np.uint8], length: int, count: int) -> None:
        self.data, self.length, self.count = data, length, count

    def word(self, at: int, out: Words, kind: str = "<u8") -> Words:
        """The words that begin at byte `at` of each string, put into `out`."""
        words: npt.NDArray[np.unsignedinteger] = np.ndarray(
            (self.count,), kind, self.data, offset=at, strides=(self.length,)
        )
        np.copyto(out, words)
        return out


def _hash_block(strings: _Strings, seed: int, scratch: Words) -> Words:
    if strings.length <= 3:
        return _hash_1_to_3(strings, seed, scratch)
    if strings.length <= 8:
        return _hash_4_to_8(strings, seed, scratch)
    if strings.length <= 16:
        return _hash_9_to_16(strings, seed, scratch)
    return _hash_17_to_240(strings, seed, scratch)


def _hash_1_to_3(strings: _Strings, seed: int, scratch: Words) -> Words:
    length = strings.length
    combined = strings.word(length - 1, scratch[0], "u1")
    combined |= np.uint64(length << 8)
    for at, shift in ((0, 16), (length >> 1, 24)):
        byte = strings.word(at, scratch[1], "u1")
        byte <<= np.uint64(shift)
        combined |= byte
    combined ^= _word((_secret(0, 4) ^ _secret(4, 4)) + seed)
    return _avalanche_xxh64(combined)


def _hash_4_to_8(strings: _Strings, seed: int, scratch: Words) -> Words:
    swapped = int.from_bytes((seed & 0xFFFF_FFFF).to_bytes(4, "little"), "big")
    modified = seed ^ (swapped << 32)
    value = strings.word(0, scratch[0], "<u4")
    value <<= _HALF
    value |= strings.word(strings.length - 4, scratch[1], "<u4")
    value ^= _word((_secret(8) ^ _secret(16)) - modified)
    value ^= _rotated(value, 49) ^ _rotated(value, 24)
    value *= np.uint64(_PRIME_MX2)
    value ^= (value >> np.uint64(35)) + np.uint64(strings.length)
    value *= np.uint64(_PRIME_MX2)
    value ^= value >> np.uint64(28)
    return value


def _hash_9_to_16(strings: _Strings, seed: int, scratch: Words) -> Words:
    low, high = strings.word(0, scratch[0]), strings.word(strings.length - 8, scratch[1])
    low ^= _word((_secret(24) ^ _secret(32)) + seed)
    high ^= _word((_secret(40) ^ _secret(48)) - seed)
    value = low.byteswap()
    value += high
    value += np.uint64(strings.length)
    value += _folded_product(low, high, scratch[2:])
    return _avalanche(value)


def _hash_17_to_240(strings: _Strings, seed: int, scratch: Words) -> Words:
    length = strings.length
    total = np.full(strings.count, _word(length * _PRIME64_1))
    if length <= 128:
        for turn in reversed(range(((length - 1) >> 5) + 1)):
            total += _mixed(strings, turn * 16, turn * 32, seed, scratch)
            total += _mixed(strings, length - turn * 16 - 16, turn * 32 + 16, seed, scratch)
        return _avalanche(total)
    for chunk in range(8):
        total += _mixed(strings, chunk * 16, chunk * 16, seed, scratch)
    _avalanche(total)
    for chunk in range(8, length >> 4):
        total += _mixed(strings, chunk * 16, (chunk - 8) * 16 + 3, seed, scratch)
    total += _mixed(strings, length - 16, 119, seed, scratch)
    return _avalanche(total)


def _mixed(strings: _Strings, at: int, secret: int, seed: int, scratch: Words) -> Words:
    """The 16 bytes from `at` of each string, mixed with those of the secret; a part of the scratch."""
    one, other = strings.word(at, scratch[0]), strings.word(at + 8, scratch[1])
    one ^= _word(_secret(secret) + seed)
    other ^= _word(_secret(secret + 8) - seed)
    return _folded_product(one, other, scratch[2:])


def _folded_product(one: Words, other: Words, scratch: Words) -> Words:
    """The lower half of the 128-bit products, XORed with the upper half. Overwrites its arguments."""
    folded: Words = scratch[0]
    one_high, other_high, middle = scratch[1:]
    np.multiply(one, other, out=folded)
    np.right_shift(one, _HALF, out=one_high)
    np.right_shift(other, _HALF, out=other_high)
    one &= _LOW
    other &= _LOW
    # Schoolbook multiplication in digits of 32 bits; no sum below exceeds 2^64 - 1.
    np.multiply(one, other, out=middle)
    middle >>= _HALF
    one *= other_high
    other *= one_high
    one_high *= other_high
    middle += other
    np.bitwise_and(one, _LOW, out=other)
    middle += other
    middle >>= _HALF
    one >>= _HALF
    one_high += one
    one_high += middle
    folded ^= one_high
    return folded


def _avalanche(value: Words) -> Words:
    value ^= value >> np.uint64(37)
    value *= np.uint64(_PRIME_MX1)
    value ^= value >> np.uint64(32)
    return value


def _avalanche_xxh64(value: Words) -> Words:
    value ^= value >> np.uint64(33)
    value *= np.uint64(_PRIME64_2)
    value ^= value >> np.uint64(29)
    value *= np.uint64(_PRIME64_3)
    value ^= value >> np.uint64(32)
    return value


def _rotated(value: Words, bits: int) -> Words:
    rotated: Words = (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))
    return rotated


def _secret(at: int, size: int = 8) -> int:
    return int.from_bytes(_SECRET[at : at + size], "little")


def _word(value: int) -> np.uint64:
    return np.uint64(value & _MASK)
