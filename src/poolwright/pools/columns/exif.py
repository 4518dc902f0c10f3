"""Read when and where a photograph was taken from its EXIF data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO

import pyarrow as pa

from poolwright.core.columns import LATITUDE, LONGITUDE, TAKEN_AT, WELL_KNOWN
from poolwright.pools.readers.paths import join, map_files, open_file

_EXIF, _GPS = 0x8769, 0x8825
_TAKEN, _OFFSET = 0x9003, 0x9011  # DateTimeOriginal, OffsetTimeOriginal
_FORMATS = ("JPEG", "TIFF", "PNG", "WEBP")


@dataclass(frozen=True)
class Taken:
    """Time and position from EXIF; None for what is absent or not sensible.

    Attributes:
        at: DateTimeOriginal with OffsetTimeOriginal; taken as UTC if there is no offset.
        latitude: degrees, WGS 84, north positive.
        longitude: degrees, WGS 84, east positive.
    """

    at: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None


def exif_columns(root: str, images: Sequence[str]) -> dict[str, pa.Array]:
    """Return taken_at, latitude and longitude of image files below a folder or URL."""
    found = map_files(_read, [join(root, image) for image in images], root)
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
    latitude, longitude = _degrees(gps, 1, "S", 90), _degrees(gps, 3, "W", 180)
    if latitude is None or longitude is None:
        latitude = longitude = None
    return Taken(_time(inner.get(_TAKEN), inner.get(_OFFSET)), latitude, longitude)


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


def _time(value: Any, offset: Any) -> datetime | None:
    try:
        text = str(value).strip().rstrip("\0")
        zone = str(offset).strip().rstrip("\0") if offset else ""
        if not zone:
            return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        return datetime.strptime(text + zone, "%Y:%m:%d %H:%M:%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _degrees(gps: Any, reference: int, negative: str, most: int) -> float | None:
    """Return the degrees of a GPS value of three rationals; `reference` is the tag of its N, S, E or W."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps[reference + 1])
        value = degrees + minutes / 60 + seconds / 3600
        side = str(gps[reference]).strip().rstrip("\0").upper()
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not math.isfinite(value) or not 0 <= value <= most or side not in {"N", "S", "E", "W"}:
        return None
    return -value if side == negative else value
