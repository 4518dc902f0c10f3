"""Measures pictures: how sharp, bright, varied and informative their pixels are.

The measures are those behind the checks of CleanVision (https://github.com/cleanlab/cleanvision, 0.3.7), as numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image

_EDGE = 64
"""Longest edge in pixels at which sharpness is measured, so that it does not depend on the size of a picture."""

_WEIGHTS = (0.241, 0.691, 0.068)
"""Weights of the squares of red, green and blue in the brightness that people perceive (HSP, Finley 2006)."""

_LEVELS = 1 << 16
"""Levels of brightness that pixels are counted at."""

_BLOCK = 1 << 20
"""Pixels whose brightness is in memory at a time."""


@dataclass(frozen=True)
class Measures:
    """Measures of one picture.

    Attributes:
        sharpness: standard deviation of the edges of the picture in grey, shrunk to at most 64 pixels; 0 to 255.
        grey_peaks: standard deviation of the numbers of its pixels at each of 256 grey levels: high for drawings.
        brightness: perceived brightness of the mean colour, 0 to 1.
        brightness_p5: 5th percentile of the brightness of pixels, 0 to 1.
        brightness_p99: 99th percentile.
        contrast: standard deviation of grey levels over 255, 0 to 0.5.
        entropy: of the levels of red, green and blue, the mean in bits; 0 to 8.
    """

    sharpness: float
    grey_peaks: float
    brightness: float
    brightness_p5: float
    brightness_p99: float
    contrast: float
    entropy: float


def measure(image: Image.Image) -> Measures:
    """Measure an RGB picture."""
    small = _shrunk(image).convert("L")
    channels = np.array(image.histogram(), np.int64).reshape(3, 256)
    means = channels @ np.arange(256) / channels.sum(axis=1)
    low, high = _brightness_percentiles(np.asarray(image), (5, 99))
    return Measures(
        sharpness=_sharpness(small),
        grey_peaks=float(np.std(small.histogram())),
        brightness=float(np.sqrt(np.square(means) @ _WEIGHTS)) / 255,
        brightness_p5=float(low),
        brightness_p99=float(high),
        contrast=_deviation(np.array(image.convert("L").histogram(), np.int64)) / 255,
        entropy=float(np.mean([_entropy(levels) for levels in channels])),
    )


def _shrunk(image: Image.Image) -> Image.Image:
    from PIL.Image import Resampling

    ratio = max(image.size) / _EDGE
    if ratio <= 1:
        return image
    width, height = (max(int(edge // ratio), 1) for edge in image.size)
    return image.resize((width, height), Resampling.BICUBIC)


def _sharpness(grey: Image.Image) -> float:
    from PIL import ImageFilter

    return _deviation(np.array(grey.filter(ImageFilter.FIND_EDGES).histogram(), np.int64))


def _brightness_percentiles(pixels: npt.NDArray[np.uint8], wanted: Sequence[float]) -> list[float]:
    """Percentiles, as of NumPy, of the brightness of pixels (h, w, 3), 0 to 1; exact to 1/65,535."""
    flat = pixels.reshape(-1, 3)
    squares = np.square(np.arange(256) / 255)
    tables = [(squares * weight).astype(np.float32) for weight in _WEIGHTS]
    counts = np.zeros(_LEVELS, np.int64)
    for start in range(0, len(flat), _BLOCK):
        red, green, blue = (table[flat[start : start + _BLOCK, at]] for at, table in enumerate(tables))
        brightness = np.minimum(np.sqrt(red + green + blue), 1)
        counts += np.bincount(np.rint(brightness * (_LEVELS - 1)).astype(np.int64), minlength=_LEVELS)
    upto, places = np.cumsum(counts), np.array(wanted) / 100 * (len(flat) - 1)
    below, above = (np.searchsorted(upto, rounded(places), side="right") for rounded in (np.floor, np.ceil))
    levels = below + (above - below) * (places - np.floor(places))
    return [float(level) / (_LEVELS - 1) for level in levels]


def _deviation(counts: npt.NDArray[np.int64]) -> float:
    """Standard deviation of levels 0 to 255, from the pixels of each level; of whole numbers, so without rounding."""
    levels, pixels = np.arange(256), int(counts.sum())
    first, second = int(counts @ levels), int(counts @ np.square(levels))
    return float(np.sqrt(pixels * second - first * first) / pixels)


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
