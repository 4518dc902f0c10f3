"""Read the digest that an image is expected to have, in the forms in which lists give them."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence

from poolwright.core.errors import RecipeError

ALGORITHMS = {16: "md5", 20: "sha1", 32: "sha256", 64: "sha512"}
"""Algorithm by the number of bytes of a digest."""

_NO_DIGEST = frozenset({"", "-", "nan", "none", "null", "n/a", "na", "<na>"})
_PREFIX = re.compile(r"(?:(?:md5|sha-?1|sha-?256|sha-?512)[:=-]|0x|\\x)", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_LOOKED_AT = 1_000


def read_digest(value: str | bytes | None) -> str | None:
    """Return a digest in lower-case hex; its length says the algorithm. None if there is none, as in 'NaN' or ''.

    Args:
        value: hex or Base64, perhaps as 'sha256:...' or 'sha256-...'; or the bytes themselves.

    Raises:
        ValueError: it is not a digest.
    """
    if isinstance(value, bytes):
        if len(value) in ALGORITHMS and not value.isalnum():
            return value.hex()
        value = value.decode("ascii", "replace")
    text = (value or "").strip(" \t\r\n\"'")
    if text.lower() in _NO_DIGEST:
        return None
    prefix = _PREFIX.match(text)
    text = text[prefix.end() :].strip(" :") if prefix else text
    digest = _bytes_of(text)
    if len(digest) not in ALGORITHMS:
        raise ValueError(f"{value!r} is not a digest")
    return digest.hex()


def _bytes_of(text: str) -> bytes:
    if re.fullmatch(r"[0-9A-Fa-f]+", text) and len(text) % 2 == 0 and len(text) // 2 in ALGORITHMS:
        return bytes.fromhex(text)
    if not _BASE64.fullmatch(text):
        return b""
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return b""


def matches(data: bytes, sha256: str | None, expected: str) -> bool:
    """Whether bytes have a digest.

    Args:
        data: the bytes.
        sha256: their SHA-256 in hex.
        expected: a digest from `read_digest`.
    """
    algorithm = algorithm_of(expected)
    if algorithm == "sha256":
        return sha256 == expected
    return hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() == expected


def algorithm_of(digest: str) -> str:
    """Return the algorithm of a digest from `read_digest`, such as 'md5'."""
    return ALGORITHMS[len(digest) // 2]


def common_algorithm(place: str, values: Iterable[str | bytes | None]) -> str:
    """Return the algorithm of the first values of a column; 'sha256' if they are all null.

    Args:
        place: file and column, for the error.
        values: values of the column.

    Raises:
        RecipeError: there are values, and none is a digest.
    """
    odd: list[str | bytes] = []
    for value in _first(values):
        try:
            found = read_digest(value)
        except ValueError:
            odd.append(value or "")
            continue
        if found:
            return algorithm_of(found)
    if odd:
        raise RecipeError(
            f"{place} holds {_described(odd[0])}, which is not a digest: MD5, SHA-1, SHA-256 or SHA-512 in hexadecimal "
            "or Base64, or as bytes. Name another column (--sha256-col), or none (--sha256-col '')"
        )
    return "sha256"


def _first(values: Iterable[str | bytes | None]) -> Sequence[str | bytes | None]:
    return [value for value, _ in zip(values, range(_LOOKED_AT), strict=False)]


def _described(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return f"{value[:40]!r}{' ...' if len(value) > 40 else ''} ({len(value)} characters)"
