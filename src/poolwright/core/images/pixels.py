"""Converts decoded images of any mode to upright RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


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


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to RGB uint8, transparency on white.

    Raises:
        ValueError: a mode that Pillow cannot convert, such as LAB in a TIFF.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode[0] in "IF":
        return _grey(image).convert("RGB")
    if image.mode == "CMYK":
        return _ink(image).convert("RGB")
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    from PIL import Image

    page = Image.new("RGB", image.size, (255, 255, 255))
    page.paste(image, mask=image.getchannel("A"))
    return page


def _grey(image: Image.Image) -> Image.Image:
    """Convert grey of more than 8 bits to 'L'. 16-bit values are divided by 257, floats are taken as 0 to 1."""
    from PIL import Image

    values = np.asarray(image)
    if values.dtype.kind == "f":
        grey = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255)
    else:
        grey = (np.clip(values, 0, 65_535).astype(np.uint32) + 128) // 257
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(values == transparent, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))


def _ink(image: Image.Image) -> Image.Image:
    """Return CMYK with 255 for full ink. Pillow takes every CMYK JPEG as inverted; only those with Adobe's mark are."""
    from PIL import ImageChops

    plain = image.format in ("JPEG", "MPO") and "adobe" not in image.info
    return ImageChops.invert(image) if plain else image
