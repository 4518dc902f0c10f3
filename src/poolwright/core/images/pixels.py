"""Converts decoded images of any mode to upright RGB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

_LIGHT = 191
"""Grey level above which a drawing is light: white is less than a quarter of the scale away."""

BACK = {6: 8, 8: 6}
"""Orientation that turns an image back; every other one is its own."""


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn and flip an image as its EXIF orientation (1 to 8) says."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(turns[orientation]) if orientation in turns else image


def turned_box(
    box: Sequence[float], orientation: int, upright_size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return where a box (left, top, width, height) is once the image is turned as `upright` does.

    Args:
        upright_size: width and height of the turned image.
    """
    left, top, width, height = box
    if orientation >= 5:
        left, top, width, height = top, left, height, width
    if orientation in (2, 3, 6, 7):
        left = upright_size[0] - left - width
    if orientation in (3, 4, 7, 8):
        top = upright_size[1] - top - height
    return left, top, width, height


def to_rgb(image: Image.Image, contrast: bool = False) -> Image.Image:
    """Convert a decoded image of any mode to RGB uint8, transparency on white.

    Args:
        contrast: lay transparency on black if what is visible is light, as a white drawing on white is nothing.

    Raises:
        ValueError: a mode that Pillow cannot convert, such as LAB in a TIFF.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode[0] in "IF":
        return _grey(image, contrast).convert("RGB")
    if image.mode == "CMYK":
        return ink(image).convert("RGB")
    if image.has_transparency_data:
        return _on_ground(image.convert("RGBA"), contrast)
    return image.convert("RGB")


def _on_ground(image: Image.Image, contrast: bool) -> Image.Image:
    from PIL import Image

    opacity = image.getchannel("A")
    ground = _ground(np.asarray(image.convert("L")), np.asarray(opacity)) if contrast else 255
    page = Image.new("RGB", image.size, (ground, ground, ground))
    page.paste(image, mask=opacity)
    return page


def _ground(grey: npt.NDArray[np.uint8], opacity: npt.NDArray[np.uint8]) -> int:
    """Return 0 (black) if the visible pixels are light on the mean, weighted by their opacity; else 255 (white)."""
    weight = int(opacity.sum(dtype=np.int64))
    light = int(np.vdot(grey.astype(np.int64), opacity.astype(np.int64)))
    return 0 if light > _LIGHT * weight else 255


def _grey(image: Image.Image, contrast: bool) -> Image.Image:
    """Convert grey of more than 8 bits to 'L'. 16-bit values are divided by 257, floats are taken as 0 to 1."""
    from PIL import Image

    values = np.asarray(image)
    if values.dtype.kind == "f":
        grey = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255)
    else:
        grey = (np.clip(values, 0, 65_535).astype(np.uint32) + 128) // 257
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        seen = np.asarray(values != transparent, np.uint8)
        grey = np.where(seen, grey, _ground(grey.astype(np.uint8), seen) if contrast else 255)
    return Image.fromarray(grey.astype(np.uint8))


def ink(image: Image.Image) -> Image.Image:
    """Return CMYK with 255 for full ink. Pillow takes every CMYK JPEG as inverted; only those with Adobe's mark are."""
    from PIL import ImageChops

    plain = image.format in ("JPEG", "MPO") and "adobe" not in image.info
    return ImageChops.invert(image) if plain else image
