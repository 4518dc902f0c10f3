"""Make thumbnails small enough that hundreds of them fit into a page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from poolwright.core.images.image import open_image

if TYPE_CHECKING:
    from PIL import Image

_SIZES = ((208, 78), (176, 68), (144, 56), (112, 44), (88, 32), (64, 20))
"""Longer edge in pixels and WebP quality, tried in turn until the picture is small enough."""

NO_ROOM = "no_room"
"""Reason for a missing thumbnail: the picture does not get small enough."""


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def thumbnail(data: bytes, most_bytes: int) -> Thumbnail | str:
    """Return a small WebP of an image file, or the reason for none: `NO_ROOM` or one of `core.images.image.REASONS`.

    Args:
        data: encoded image file.
        most_bytes: largest size of the WebP; pixels and quality are lowered until it fits.
    """
    picture = open_image(data, wanted=_SIZES[0][0])
    if isinstance(picture, str):
        return picture
    small = picture
    for edge, quality in _SIZES:
        small = _shrunk(picture, edge)
        encoded = _webp(small, quality)
        if len(encoded) <= most_bytes:
            text = base64.b64encode(encoded).decode("ascii")
            return Thumbnail(f"data:image/webp;base64,{text}", *small.size)
    return NO_ROOM


def _shrunk(picture: Image.Image, edge: int) -> Image.Image:
    from PIL.Image import Resampling

    scale = min(1.0, edge / max(picture.size))
    if scale == 1.0:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


def _webp(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=4)
    return out.getvalue()
