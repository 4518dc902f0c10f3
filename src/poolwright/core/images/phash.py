"""Computes perceptual hashes of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from poolwright.core.errors import require_module
from poolwright.core.images.image import open_image
from poolwright.core.images.image_files import Limits

if TYPE_CHECKING:
    from PIL import Image

_FLAT = 4
"""Grey levels between the darkest and the lightest pixel, as `phash` shrinks a picture, that are noise alone."""

FLAT_HASHES = ("0" * 16, "8" + "0" * 15, "f" * 16)
"""Perceptual hashes of pictures without structure: no coefficient, the mean alone, or all are above the median."""


def check_phash() -> None:
    """Raise MissingExtra if the library that hashes is not installed."""
    require_module("imagehash", "hash: phash")


def phash_of_file(data: bytes, limits: Limits) -> tuple[str | None, str | None]:
    """Return the perceptual hash of an image file, or None and the reason why it does not decode.

    The picture is upright and at full size, so that imagehash itself gives the same.
    """
    image = open_image(data, limits, contrast=True)
    return (None, image) if isinstance(image, str) else (phash(image), None)


def phash(image: Image.Image) -> str | None:
    """Return the 64-bit DCT hash of imagehash as 16 hex digits; None for a picture without structure.

    Raises:
        MissingExtra: imagehash is not installed.
    """
    from PIL.Image import Resampling

    check_phash()
    import imagehash

    small = image.convert("L").resize((32, 32), Resampling.LANCZOS)  # what it is computed from
    grey = np.asarray(small)
    return None if grey.max() - grey.min() < _FLAT else str(imagehash.phash(small))


def check_pdq() -> None:
    """Raise MissingExtra if the library that computes PDQ hashes is not installed."""
    require_module("pdqhash", "hash: pdq")


def pdq(image: Image.Image) -> str | None:
    """Return the 256-bit PDQ hash of an upright picture as 64 hex digits; None for one of quality 0."""
    import pdqhash

    bits, quality = pdqhash.compute(np.asarray(image.convert("RGB")))
    return np.packbits(bits).tobytes().hex() if quality else None
