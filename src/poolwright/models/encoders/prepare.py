"""Prepare an upright RGB image as the pixels that a model takes.

Resizing and cropping follow torchvision's `Resize`, `CenterCrop` and open_clip's transforms to the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from poolwright.core.images.image import DECODING, open_image
from poolwright.core.images.image_files import Limits

if TYPE_CHECKING:
    from PIL import Image

ResizeMode = Literal["shortest", "longest", "squash"]
Interpolation = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]

LONGEST_STRIP = 16
"""An image longer than this many times its short edge is cropped before it is resized, to bound memory."""


@dataclass(frozen=True)
class Preparation:
    """Steps from an image to the input of a model.

    Attributes:
        resize: edge in pixels that the shorter or longer edge, or both, are resized to.
        resize_mode: 'shortest' and crop the middle, 'longest' and pad, or 'squash' to a square.
        crop: edge in pixels of the square that the model takes.
        interpolation: filter of the resizing.
        mean: per channel, of values 0 to 1; subtracted.
        std: per channel; divisor.
        fill: grey level of the padding, 0 to 255.
    """

    resize: int
    crop: int
    resize_mode: ResizeMode = "shortest"
    interpolation: Interpolation = "bicubic"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 0

    def identity(self) -> dict[str, Any]:
        """Return the settings, including decoding, that vectors depend on, as JSON values."""
        return {
            "decoding": DECODING,
            "resize": self.resize,
            "crop": self.crop,
            "resize_mode": self.resize_mode,
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
            "fill": self.fill,
        }

    def decode(self, data: bytes | None, limits: Limits, out: np.ndarray) -> str | None:
        """Decode one image file into `out`, uint8 (crop, crop, 3); return a reason if that fails."""
        image = open_image(data, limits, wanted=self.resize)
        if isinstance(image, str):
            return image
        out[...] = np.asarray(self.fit(image))
        return None

    def fit(self, image: Image.Image) -> Image.Image:
        """Return the (crop, crop) square of an RGB image."""
        from PIL.Image import Resampling

        image = _without_ends(image) if self.resize_mode == "shortest" else image
        size = self._size(*image.size)
        if image.size != size:
            image = image.resize(size, Resampling[self.interpolation.upper()])
        return _centre(image, self.crop, self.fill)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return (width, height) after resizing."""
        if self.resize_mode == "squash":
            return self.resize, self.resize
        if self.resize_mode == "longest":  # open_clip's ResizeKeepRatio rounds
            ratio = max(height / self.resize, width / self.resize)
            return max(1, round(width / ratio)), max(1, round(height / ratio))
        short, long = sorted((width, height))  # torchvision's Resize truncates
        longer = int(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)


def _without_ends(image: Image.Image) -> Image.Image:
    width, height = image.size
    longest = LONGEST_STRIP * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def _centre(image: Image.Image, edge: int, fill: int) -> Image.Image:
    """Return the middle square of `edge` pixels, padded if the image is smaller."""
    from PIL import Image

    if image.size == (edge, edge):
        return image
    width, height = image.size
    if width < edge or height < edge:
        page = Image.new("RGB", (max(width, edge), max(height, edge)), (fill, fill, fill))
        page.paste(image, (max(0, (edge - width) // 2), max(0, (edge - height) // 2)))
        image, (width, height) = page, page.size
    left, top = round((width - edge) / 2.0), round((height - edge) / 2.0)
    return image.crop((left, top, left + edge, top + edge))


def normalised(pixels: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Normalise uint8 (n, h, w, 3) to float32 (n, 3, h, w), in torchvision's order of operations, so with its bits."""
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), dtype=np.float32)
    values /= np.float32(255)
    values -= np.array(preparation.mean, np.float32)[:, None, None]
    values /= np.array(preparation.std, np.float32)[:, None, None]
    return values
