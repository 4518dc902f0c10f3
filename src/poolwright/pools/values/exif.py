"""Read when and where a photograph was taken from its EXIF data."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, BinaryIO

import pyarrow as pa

from poolwright.core.columns import LATITUDE, LONGITUDE, TAKEN_AT, WELL_KNOWN
from poolwright.core.remote.files import open_file
from poolwright.core.runtime.noting import note_unread
from poolwright.pools.readers.paths import join, map_files
from poolwright.pools.values.times import read_time

_EXIF, _GPS = 0x8769, 0x8825
_TAKEN, _OFFSET = 0x9003, 0x9011  # DateTimeOriginal, OffsetTimeOriginal
_FORMATS = ("JPEG", "TIFF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class Taken:
    """Time and position from EXIF; None for what is absent or not sensible.

    Attributes:
        at: DateTimeOriginal with OffsetTimeOriginal; taken as UTC if there is no offset, or none that is valid.
        latitude: degrees, WGS 84, north positive.
        longitude: degrees, WGS 84, east positive.
        unread: by column, what EXIF has but nothing was made of.
    """

    at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    unread: Mapping[str, str] = field(default_factory=dict)


_CLOSED = Taken(unread=dict.fromkeys((TAKEN_AT, LATITUDE), "a link that leads out of the folder, and so no EXIF,"))


def exif_columns(root: str, images: Sequence[str], closed: Collection[str] = ()) -> dict[str, pa.Array]:
    """Return taken_at, latitude and longitude of image files below a folder or URL.

    Args:
        root: the folder or URL.
        images: paths below it.
        closed: those that are not to be read, as links lead out of the folder.
    """
    found = map_files(lambda image: _CLOSED if image in closed else _read(join(root, image)), images, root)
    for column in (TAKEN_AT, LATITUDE):
        odd = [taken.unread.get(column, "") for taken in found]
        if any(odd):
            first = next(at for at, text in enumerate(odd) if text)
            note_unread(column, [bool(text) for text in odd], f"{odd[first]} in {images[first]}")
    columns = {
        TAKEN_AT: [taken.at for taken in found],
        LATITUDE: [taken.latitude for taken in found],
        LONGITUDE: [taken.longitude for taken in found],
    }
    return {name: pa.array(values, WELL_KNOWN[name].type) for name, values in columns.items()}


def _read(path: str) -> Taken:
    with open_file(path) as file:
        return read_exif(file)


def read_exif(file: BinaryIO) -> Taken:
    """Read the EXIF of an image file from its header. Whatever is wrong with it gives None: EXIF is optional."""
    try:
        exif = _exif(file)
        if not exif:
            return Taken()
        inner, gps = exif.get_ifd(_EXIF), exif.get_ifd(_GPS)
    except MemoryError:
        raise
    except Exception:  # Pillow raises all kinds of errors (struct.error, SyntaxError, ...) on damaged files
        return Taken()
    at, odd_time = _time(_text(inner.get(_TAKEN)), _text(inner.get(_OFFSET)))
    latitude, longitude, odd_place = _position(gps)
    odd = {TAKEN_AT: odd_time, LATITUDE: odd_place}
    return Taken(at, latitude, longitude, {column: text for column, text in odd.items() if text})


def _exif(file: BinaryIO) -> Any:
    """Read EXIF with Pillow but without `Image.open`, which checks pixels against a global and warns."""
    from PIL import Image

    Image.init()
    prefix = file.read(16)
    file.seek(0)
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is not None and accept is not None and accept(prefix) is True:
            image = factory(file, "")
            # For a PNG without EXIF before its pixels, Pillow would decode them to look for one after them.
            return None if name == "PNG" and "exif" not in image.info else image.getexif()
    return None


def _text(value: Any) -> str:
    """Return the text of a tag; empty if it has none. The standard fills unknown times with blanks, cameras with 0."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value if value is not None else "")
    text = text.split("\0")[0].strip()
    return text if any(letter not in "0:/-. " for letter in text) else ""


def _time(text: str, offset: str) -> tuple[datetime | None, str]:
    """Return the time in UTC, and what of it could not be read."""
    at = read_time(text) if text else None
    if at is None:
        return None, repr(text) if text else ""
    if not offset or _has_offset(text):
        return at, ""
    zoned = read_time(text + offset)
    return (zoned, "") if zoned is not None else (at, f"the offset {offset!r}")


def _has_offset(text: str) -> bool:
    return text[-1] in "Zz" or any(sign in text[10:] for sign in "+-")


def _position(gps: Any) -> tuple[float | None, float | None, str]:
    """Return latitude and longitude, and what of them could not be read.

    Phones write 0, 0 if they have no fix: that is no position.
    """
    latitude, longitude = _degrees(gps, 1, "NS", 90), _degrees(gps, 3, "EW", 180)
    if latitude is not None and longitude is not None and (latitude or longitude):
        return latitude, longitude, ""
    values = [f"{gps[tag]!s} {_text(gps.get(tag - 1))}".strip() for tag in (2, 4) if gps.get(tag)]
    return None, None, ", ".join(values)


def _degrees(gps: Any, reference: int, sides: str, most: int) -> float | None:
    """Return the degrees of a GPS value of three rationals.

    Args:
        reference: tag of the letter; the value has the next one.
        sides: letters of positive and of negative degrees.
        most: largest value.
    """
    try:
        degrees, minutes, seconds = (*(float(part) for part in gps[reference + 1]), 0.0, 0.0)[:3]
        value = degrees + minutes / 60 + seconds / 3600
        side = _text(gps[reference]).upper()
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(value) or not (0 <= value <= most and 0 <= minutes <= 60 and 0 <= seconds <= 60):
        return None
    if len(side) != 1 or side not in sides:
        return None
    return -value if side == sides[1] else value
