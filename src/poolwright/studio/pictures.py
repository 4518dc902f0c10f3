"""Encode pictures for pages: never the file of the pool, always its pixels encoded anew."""

from __future__ import annotations

import io

from poolwright.core.images.image import open_image
from poolwright.core.images.image_files import Limits

EDGES = (160, 320, 640, 1280, 2560)
"""Possible longer edges of pictures, in pixels."""

MOST_CACHED = 192_000_000
"""Maximum size of the picture cache in bytes."""

KEPT_BY_BROWSERS = {"cache-control": "private, max-age=60"}
"""Header of a picture: long enough for pictures that a page loads ahead, short enough for files that are replaced."""

LIMITS = Limits(max_bytes=50_000_000, max_pixels=60_000_000)
"""Limits of a file; a decompression bomb is refused by its header, before any pixel is decoded."""

_QUALITY = {160: 78, 320: 82}


def nearest_edge(wanted: int) -> int:
    """Return the smallest of EDGES that is at least as long, or the longest."""
    return next((edge for edge in EDGES if edge >= wanted), EDGES[-1])


def reduced(data: bytes, edge: int) -> bytes | str:
    """Return a JPEG of an image file, or a reason of `core.images.image` why there is none.

    Args:
        data: the encoded file.
        edge: maximum longer edge, in pixels. Smaller pictures are not enlarged.
    """
    from PIL.Image import Resampling

    picture = open_image(data, LIMITS, wanted=edge)
    if isinstance(picture, str):
        return picture
    scale = edge / max(picture.size)
    if scale < 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Resampling.LANCZOS, reducing_gap=2.0)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY.get(edge, 88))
    return out.getvalue()
