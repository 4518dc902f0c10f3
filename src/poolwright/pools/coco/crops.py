"""Cut the boxes of objects out of image files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from poolwright.core.files import ImageRoot
from poolwright.core.images.encoding import Encoding, encode, pixels_for
from poolwright.core.images.image import load_image
from poolwright.core.images.image_files import read_bytes

if TYPE_CHECKING:
    from PIL import Image

Corners = tuple[int, int, int, int]
"""Left, top, right, bottom: the pixels from left to right - 1."""


def corners(box: Sequence[float], width: float = math.inf, height: float = math.inf) -> Corners | None:
    """Return the pixels that a box (left, top, width, height) touches, within an image; None if it touches none.

    Left and top are rounded down, right and bottom up. A box that ends within a millionth of a pixel of a whole
    number ends there: floats of JSON are rarely exact.
    """
    left, top = (max(0, math.floor(start + 1e-6)) for start in box[:2])
    right = min(width, math.ceil(box[0] + box[2] - 1e-6))
    bottom = min(height, math.ceil(box[1] + box[3] - 1e-6))
    return (left, top, int(right), int(bottom)) if right > left and bottom > top else None


def crops(
    root: ImageRoot, paths: Sequence[str | None], boxes: Sequence[Sequence[float] | None], encoding: Encoding
) -> Iterator[bytes | str]:
    """Yield the image file of each box, or the reason why there is none.

    Boxes are in the pixels as they are stored: EXIF is not followed, as in COCO. Consecutive boxes of one image decode
    it once.

    Args:
        root: what paths are relative to.
        paths: image file of each box; None for a row without one.
        encoding: 'png' keeps pixels exactly.
    """
    opened: str | None = None
    image: Image.Image | str = "missing_file"
    for path, box in zip(paths, boxes, strict=True):
        if path is None or box is None:
            yield "missing_file"
            continue
        if path != opened:
            image, opened = _pixels(root, path, encoding), path
        found = corners(box, *image.size) if not isinstance(image, str) else None
        if isinstance(image, str):
            yield image
        else:
            yield encode(image.crop(found), encoding, None, b"", b"") if found else "broken_image"


def _pixels(root: ImageRoot, path: str, encoding: Encoding) -> Image.Image | str:
    data = read_bytes(root, path)
    image = load_image(data) if isinstance(data, bytes) else data
    if isinstance(image, str):
        return image
    try:
        return pixels_for(image, encoding)
    except ValueError:  # a mode that cannot be converted
        return "broken_image"
