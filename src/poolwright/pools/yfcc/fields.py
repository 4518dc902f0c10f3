"""Split lines of YFCC100M into fields and check them, without decoding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

TAIL = (
    "user_nsid",
    "author",
    "taken",
    "uploaded_at",
    "capture_device",
    "title",
    "description",
    "user_tags",
    "machine_tags",
    "longitude",
    "latitude",
    "accuracy",
    "page_url",
    "url",
    "license_name",
    "license_url",
    "server",
    "farm",
    "secret",
    "original_secret",
    "extension",
    "media",
)
"""The fields at the end of every line, after the photo id and perhaps a line number and a hash."""

ALIASES = (
    ("photoid", "id"), ("hash", "photohash", "key"), ("uid", "usernsid", "nsid", "userid"),
    ("unickname", "usernickname", "nickname", "author"), ("datetaken", "taken"), ("dateuploaded", "uploaded"),
    ("capturedevice", "device"), ("title",), ("description",), ("usertags", "tags"), ("machinetags",), ("longitude",),
    ("latitude",), ("accuracy", "longlatacc"), ("pageurl",), ("downloadurl", "url"), ("licensename", "license"),
    ("licenseurl",), ("serverid", "serveridentifier", "server"), ("farmid", "farmidentifier", "farm"), ("secret",),
    ("secretoriginal", "originalsecret"), ("ext", "extension", "extensionoriginal", "originalextension"),
    ("marker", "media", "video"),
)  # fmt: skip
"""Names in use for the fields of a line without its number, in order, as `plain_name` gives them."""

_LEAST, _MOST = len(TAIL) + 1, len(TAIL) + 3
_HASH = r"^[0-9a-fA-F]{1,32}$"
_MOST_DIGITS = 18
"""Digits of a photo id. A hash of digits alone has more, except for one in 10^15."""


def plain_name(name: str) -> str:
    """Return the name of a field in lower case, without '_' and spaces."""
    return name.lower().replace("_", "").replace(" ", "")


def fields_of(record: Mapping[str, Any]) -> list[str]:
    """Return the fields of a line, without its number, from a record by field; a missing field is empty."""
    named = {plain_name(name): value for name, value in record.items()}
    found = (next((named[alias] for alias in aliases if named.get(alias) is not None), "") for aliases in ALIASES)
    return [str(value) for value in found]


def split_lines(texts: pa.Array) -> tuple[Fields, np.ndarray, dict[int, str]]:
    """Split lines into fields.

    Args:
        texts: strings (n,); null where there is no line.

    Returns:
        Fields of the good lines, their rows in `texts`, and the error of each bad line by its row.
    """
    split = pc.split_pattern(texts, "\t")
    offsets = split.offsets.to_numpy()
    ends, counts = offsets[1:].astype(np.int64), np.diff(offsets)
    given = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    fits = given & (counts >= _LEAST) & (counts <= _MOST)
    errors = {
        int(row): _count_message(int(counts[row]), texts[int(row)].as_py()) for row in np.flatnonzero(given & ~fits)
    }
    rows = np.flatnonzero(fits)
    fields = Fields(split.values, ends[rows], counts[rows])
    wrong = fields.wrong()
    if wrong:
        errors.update((int(rows[at]), message) for at, message in wrong.items())
        rows = np.delete(rows, list(wrong))
        fields = Fields(split.values, ends[rows], counts[rows])
    return fields, rows, errors


def _count_message(count: int, line: str) -> str:
    if not line.strip():
        return "blank line"
    return f"{count} field{'s' if count > 1 else ''} where {_LEAST}, {_LEAST + 1} or {_MOST} are expected"


class Fields:
    """Raw fields of (n,) lines with a valid number of fields.

    Args:
        values: fields of all lines, one after another.
        ends: int64 (n,): index in `values` after the last field of each line.
        counts: (n,): fields of each line.
    """

    def __init__(self, values: pa.Array, ends: np.ndarray, counts: np.ndarray) -> None:
        self._values, self._ends, self._counts = values, ends, counts
        before = self._take(ends - len(TAIL) - 1)
        # Of 24 fields, the one before the NSID is the photo id after a line number, or a hash after the photo id.
        numbered = (counts == _LEAST + 1) & _is_number(before)
        self._has_number = (counts == _MOST) | numbered
        self._has_hash = (counts > _LEAST) & ~numbered

    def __len__(self) -> int:
        return len(self._ends)

    def raw(self, name: str) -> pa.Array:
        """Return the texts of a field (n,); null if it is empty or missing."""
        texts = self._take(self._positions(name))
        empty = pc.equal(pc.binary_length(texts), 0)
        return pc.if_else(empty, None, texts) if pc.any(empty).as_py() else texts

    def wrong(self) -> dict[int, str]:
        """Return the error of each bad line, by its index."""
        found: dict[int, str] = {}
        photo, number, code = self.raw("photo_id"), self.raw("line_number"), self.raw("hash")
        nsid, media = self.raw("user_nsid"), self.raw("media")
        is_code = pc.match_substring_regex(code, _HASH)
        is_marker = pc.is_in(media, pa.array(["0", "1"]))
        _note(found, ~_is_number(photo), photo, "photo id {} is no number")
        _note(found, self._has_number & ~_is_number(number), number, "line number {} is no number")
        _note(found, _no(pc.match_substring(nsid, "@"), nsid), nsid, "user NSID {} has no '@'")
        _note(found, _no(is_code, code), code, "hash {} is not hexadecimal")
        _note(found, _no(is_marker, media), media, "marker {} is neither 0 (photo) nor 1 (video)")
        return found

    def _positions(self, name: str) -> np.ndarray:
        """Return int64 (n,): the index of the field among all fields; -1 if a line has none."""
        if name in TAIL:
            return self._ends - len(TAIL) + TAIL.index(name)
        before = self._ends - len(TAIL) - 1
        if name == "photo_id":
            return np.asarray(before - self._has_hash)
        if name == "hash":
            return np.where(self._has_hash, before, -1)
        return np.where(self._has_number, self._ends - self._counts, -1)

    def _take(self, positions: np.ndarray) -> pa.Array:
        missing = positions < 0
        return self._values.take(pa.array(positions, mask=missing if missing.any() else None))


def _is_number(texts: pa.Array) -> np.ndarray:
    """Return bool (n,): whether texts are whole decimal numbers that fit in 64 bits."""
    short = pc.less_equal(pc.binary_length(texts), _MOST_DIGITS)
    return _bools(pc.and_(pc.ascii_is_decimal(texts), short))


def _no(holds: pa.Array, texts: pa.Array) -> np.ndarray:
    """Return bool (n,): whether there is a text for which `holds` is false."""
    return np.asarray(~_bools(holds) & _bools(pc.is_valid(texts)))


def _bools(mask: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))


def _note(found: dict[int, str], wrong: np.ndarray, texts: pa.Array, message: str) -> None:
    for at in np.flatnonzero(wrong):
        text = texts[int(at)].as_py() or ""
        found.setdefault(int(at), message.format(repr(text if len(text) <= 40 else text[:40] + "...")))
