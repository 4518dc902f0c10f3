"""Inspect the bytes of a response: whether they are an image, its format and size, and its EXIF."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache

from poolwright.core.images.image import Probe, open_image, probe
from poolwright.core.images.image_files import Limits
from poolwright.fetch.http.digests import matches
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.outcome import Failure, FetchOutcome

_EXIF = b"Exif\0\0"
_TAG_CHARACTERS = 500
_limits = lru_cache(64)(Limits)


@dataclass(frozen=True)
class Inspector:
    """Checks the bytes of an image. Stateless, so that it may run in a thread."""

    options: FetchOptions

    def look(self, data: bytes, outcome: FetchOutcome) -> None:
        """Fill in format, size and EXIF. The outcome fails if the bytes are not an image.

        Args:
            data: bytes of the file.
            outcome: with `sha256` and `content_type` filled in.
        """
        try:
            self._look(data, outcome)
        except Failure as failure:
            outcome.fail(failure.error_class, failure.message)

    def compare(self, data: bytes, outcome: FetchOutcome, expected: str | None) -> None:
        """Fail an outcome whose bytes are a placeholder, or not those that were expected.

        Args:
            data: bytes of the file.
            outcome: after `look`.
            expected: digest from `read_digest`, if one is known.
        """
        if outcome.sha256 in self.options.placeholders:
            outcome.fail("placeholder", f"the placeholder {outcome.sha256}")
        elif expected and not matches(data, outcome.sha256, expected):
            outcome.fail("hash_mismatch", f"expected {expected}")

    def _look(self, data: bytes, outcome: FetchOutcome) -> None:
        limits = _limits(max(self.options.max_bytes, len(data)))
        found = probe(data, limits)
        if isinstance(found, Probe):
            outcome.format, outcome.width, outcome.height = found.format, found.width, found.height
            outcome.exif = exif_json(data) if self.options.exif else None
        elif self.options.check != "none":
            kind = "not_an_image" if found == "not_an_image" else "broken_image"
            raise Failure(kind, f"{found}; {outcome.content_type or 'no content type'}, begins with {data[:24]!r}")
        if self.options.check == "decode":
            whole = open_image(data, limits)
            if isinstance(whole, str):
                raise Failure("broken_image", whole)


def exif_json(data: bytes) -> str | None:
    """Return the EXIF tags of a JPEG by name, as JSON; None if it has none or they cannot be read."""
    if data[:2] != b"\xff\xd8":
        return None
    block = _exif_block(data)
    if block is None:
        return None
    from PIL import ExifTags, Image

    tags = Image.Exif()
    try:
        tags.load(block)
        pairs = [*tags.items(), *tags.get_ifd(ExifTags.IFD.Exif).items()]
    except Exception:  # EXIF is optional: the image is good whatever is wrong with it
        return None
    named = {ExifTags.TAGS.get(tag, f"0x{tag:04x}"): _text(value) for tag, value in pairs}
    return json.dumps({name: value for name, value in sorted(named.items()) if value is not None})


def _exif_block(data: bytes) -> bytes | None:
    """Return the APP1 segment of a JPEG that holds EXIF."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == _EXIF:
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return None


def _text(value: object) -> str | None:
    """Return the value of a tag as text; None for raw bytes such as maker notes."""
    if isinstance(value, bytes):
        return None
    return str(value).replace("\0", "").strip()[:_TAG_CHARACTERS]
