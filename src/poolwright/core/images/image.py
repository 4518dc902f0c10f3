"""Probes and decodes image files within limits, or refuses them with a reason.

Image files of a pool come from untrusted sources. This module trusts nothing that a file says of itself, and
does not depend on Pillow's global switches (`MAX_IMAGE_PIXELS`, `LOAD_TRUNCATED_IMAGES`), which any library in
the process may have set; but Pillow's own limit, 179 million pixels, holds for WebP, TIFF and multi-picture JPEG.
A function returns either its result or the name of one of `REASONS`.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from poolwright.core.columns import IMAGE_ERROR
from poolwright.core.images.formats import HAS_HEIF, IMAGE_FORMATS
from poolwright.core.images.headers import claimed_size, cut_short, jpeg_headers, plain_jpeg_size, unfinished
from poolwright.core.images.image_files import DEFAULT_LIMITS, Limits, refused
from poolwright.core.images.pixels import to_rgb, upright
from poolwright.core.rows import Rows
from poolwright.core.step import Reason

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MISSING_FILE = Reason("missing_file", "the image file is not there", bad=True)

REASONS: tuple[Reason, ...] = (
    MISSING_FILE,
    Reason("unreadable_file", "the image file cannot be read", bad=True),
    Reason(
        "outside_root",
        "the image path leads out of the image folder; see `outside` of the pool",
        bad=True,
    ),
    Reason("empty_file", "the image file is empty", bad=True),
    Reason("too_many_bytes", "the image file is larger than allowed", bad=True),
    Reason("too_many_pixels", "the image has more pixels than allowed", bad=True),
    Reason("not_an_image", "the file is not an image of a known format", bad=True),
    Reason("truncated_image", "the image file is cut off", bad=True),
    Reason("broken_image", "the image file is damaged", bad=True),
)
"""Reasons why there is no image; shared by all steps that read image files, and first in their list of reasons."""

FORMATS = tuple(IMAGE_FORMATS)
"""Formats that are opened. Pillow knows more, some of which start other programs (EPS) or are not pictures."""

DECODING = 1
"""Version of the decoding rules below; part of the digest of whatever is computed from pixels."""

_JPEG = b"\xff\xd8\xff"

DRAFT_MARGIN = 2
"""A JPEG is decoded at 1/2, 1/4 or 1/8 if that leaves this many times the wanted size on both edges."""

_CODES = {reason.name: code for code, reason in enumerate(REASONS, start=1)}


@dataclass(frozen=True)
class Probe:
    """The header of an image file.

    Attributes:
        format: Pillow's name of the format: 'JPEG', 'PNG'.
        width: pixels of the upright image.
        height: pixels of the upright image.
        frames: pictures in the file; for GIF and TIFF, of which counting would read the whole file, 2 means several.
        orientation: what EXIF says of the pixels in the file, 1 to 8.
    """

    format: str
    width: int
    height: int
    frames: int
    orientation: int = 1


class _Refused(Exception):
    """Carries a reason out of the depth of a decoder; never leaves this module."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def drop_codes(found: Sequence[str | None], more: Sequence[str] = ()) -> np.ndarray | None:
    """Convert names of reasons to an `Outcome.drop`, for a step whose `reasons` are `REASONS` and then `more`.

    Returns:
        uint8 (n,), or None if nothing is dropped.
    """
    if not any(found):
        return None
    codes = _CODES | {name: code for code, name in enumerate(more, start=len(REASONS) + 1)}
    return np.array([codes[name] if name else 0 for name in found], dtype=np.uint8)


def unread(rows: Rows) -> list[str]:
    """Return per row the reason to give if it has no image file: its `image_error`, else missing_file."""
    names = rows.strings(IMAGE_ERROR) if IMAGE_ERROR in rows.schema.names else [None] * len(rows)
    return [name if name in _CODES else "missing_file" for name in names]


def probe(data: bytes | None, limits: Limits = DEFAULT_LIMITS) -> Probe | str:
    """Read the header without decoding pixels, or return a reason. A truncated file may still have its header."""
    try:
        if data is not None and not refused(data, limits) and (size := plain_jpeg_size(data)):
            _check_pixels(size, limits)
            return Probe("JPEG", *size, frames=1)
        image, _ = _open(data, limits)
    except _Refused as refusal:
        return refusal.reason
    width, height = image.size
    turn = _orientation(image)
    if image.format != "TIFF" and turn >= 5:  # Pillow has turned the size of a TIFF already
        width, height = height, width
    return Probe(_name(image), width, height, _frames(image), turn)


def has_signature(head: bytes) -> bool:
    """Whether a file that begins with these 16 bytes, or more, may be an image of a format that is opened."""
    try:
        _opener(head[:16])
    except _Refused:
        return False
    return True


def is_turned(data: bytes) -> bool:
    """Whether the EXIF of an image file says to turn or flip its pixels before they are shown."""
    if data.startswith(_JPEG):
        headers = jpeg_headers(data)
        if b"Exif" not in headers and b"Orientation" not in headers:
            return False  # neither EXIF nor XMP, which Pillow would parse all headers to find out
    try:
        return _orientation(_open(data, Limits(max_bytes=len(data)))[0]) != 1
    except _Refused:
        return False


def open_image(
    data: bytes | None, limits: Limits = DEFAULT_LIMITS, wanted: int | None = None, contrast: bool = False
) -> Image.Image | str:
    """Decode the first picture of an image file, or return a reason.

    Upright by its EXIF orientation, RGB uint8: transparency on white, 16-bit grey scaled by 1/257, CMYK
    inverted if Adobe wrote it so. Colour profiles are not applied. A truncated file is refused as a
    whole. The same bytes give the same pixels.

    Args:
        data: bytes of the file; None is refused as a missing file.
        limits: checked against the header, before any pixel is decoded.
        wanted: edge in pixels that the image will be shrunk to; a JPEG several times larger is decoded
            at a fraction of its size, which is exact to about one grey level after shrinking.
        contrast: as in `to_rgb`.
    """
    image = load_image(data, limits, (wanted, wanted) if wanted is not None else None)
    if isinstance(image, str):
        return image
    try:
        return upright(to_rgb(image, contrast), _orientation(image))
    except ValueError:  # a mode that cannot be converted
        return "broken_image"


def load_image(
    data: bytes | None, limits: Limits = DEFAULT_LIMITS, wanted: tuple[int, int] | None = None
) -> ImageFile.ImageFile | str:
    """Decode the first picture of an image file as it is stored: its own mode, not turned unless it is a TIFF.

    Args:
        data: as in `open_image`.
        limits: as in `open_image`.
        wanted: width and height in pixels that the stored picture will be shrunk to.

    Returns:
        The picture, or a reason.
    """
    try:
        image, source = _open(data, limits)
        if wanted is not None and image.format in ("JPEG", "MPO"):
            image.draft(None, (DRAFT_MARGIN * wanted[0], DRAFT_MARGIN * wanted[1]))
        _load(image, source, limits)
        return image
    except _Refused as refusal:
        return refusal.reason


class _Source(io.BytesIO):
    """The bytes of a file; notices when a decoder wants more of them than there are."""

    short = False  # a read gave less than was asked for
    starved = False  # a read gave nothing

    def __init__(self, data: bytes) -> None:
        super().__init__(data)  # shares the bytes
        self.data = data

    def read(self, size: int | None = -1) -> bytes:
        chunk = super().read(size)
        if size and len(chunk) < size:
            self.short = True
            self.starved = self.starved or not chunk
        return chunk


def _open(data: bytes | None, limits: Limits) -> tuple[ImageFile.ImageFile, _Source]:
    """Read the header. The image returned is within the limits and not decoded yet."""
    reason = refused(data, limits)
    if data is None or reason:
        raise _Refused(reason or "missing_file")
    _check_pixels(claimed_size(data), limits)
    factory = _opener(data[:16])
    source = _Source(data)
    try:
        image = factory(source, "")
    except MemoryError:
        raise
    except Exception as error:
        # Decoders raise anything (struct.error, KeyError, ...) on damaged headers: the file is to blame.
        raise _Refused(_blame(error, data, source.short)) from None
    _check_pixels(image.size, limits)
    return image, source


def _load(image: ImageFile.ImageFile, source: _Source, limits: Limits) -> None:
    """Decode the pixels, all of them."""
    if unfinished(str(image.format), source.data):
        raise _Refused("truncated_image")
    source.starved = False
    try:
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # as in `_open`
        raise _Refused(_blame(error, source.data, source.starved)) from None
    if source.starved and image.format != "JPEG2000":  # LOAD_TRUNCATED_IMAGES is on, and the rest is grey
        raise _Refused("truncated_image")
    _check_pixels(image.size, limits)


def _check_pixels(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise _Refused("too_many_pixels")


def _blame(error: Exception, data: bytes, out_of_bytes: bool) -> str:
    from PIL import Image

    if isinstance(error, Image.DecompressionBombError):
        return "too_many_pixels"
    if out_of_bytes or "truncated" in str(error).lower() or cut_short(data):
        return "truncated_image"
    return "broken_image"


@functools.cache
def _openers() -> list[tuple[Callable[[bytes], Any], Callable[[Any, str], ImageFile.ImageFile]]]:
    """Return how to recognise and how to open each format, from Pillow's registry.

    `Image.open` is not used: it checks sizes against a global that other libraries change, and warns.
    """
    from PIL import Image

    Image.init()
    if HAS_HEIF:
        import pi_heif

        pi_heif.register_heif_opener()
    found = [Image.OPEN[name] for name in FORMATS if name in Image.OPEN]
    return [(accept, factory) for factory, accept in found if accept is not None]


def _opener(prefix: bytes) -> Callable[[Any, str], ImageFile.ImageFile]:
    for accept, factory in _openers():
        answer = accept(prefix)  # a string means that Pillow was built without the format
        if answer and not isinstance(answer, str):
            return factory
    raise _Refused("not_an_image")


def _name(image: ImageFile.ImageFile) -> str:
    return "JPEG" if image.format == "MPO" else str(image.format)


def _frames(image: ImageFile.ImageFile) -> int:
    try:
        if image.format in ("GIF", "TIFF"):
            return 2 if getattr(image, "is_animated", False) else 1
        return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged second frame does not matter to the first
        return 1


def _orientation(image: ImageFile.ImageFile) -> int:
    """Return the EXIF orientation, 1 to 8; 1 if the file gives none that is valid."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # Pillow would decode the pixels to look for one behind them
    try:
        value = image.getexif().get(0x0112, 1)
        return int(value) if value in range(1, 9) else 1
    except Exception:  # EXIF is decoration: whatever is wrong with it, the picture is there
        return 1
