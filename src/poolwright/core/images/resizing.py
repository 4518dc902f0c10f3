"""Resize upright images as img2dataset does: its modes, by their names here and there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from PIL import Image

Mode = Literal["shortest", "longest", "center_crop", "border"]
Size = tuple[int, int]

PEERS: dict[str, Mode] = {"keep_ratio": "shortest", "keep_ratio_largest": "longest"}
"""Modes by the names that img2dataset gives them; center_crop and border have the same names there."""


@dataclass(frozen=True)
class Fitting:
    """How an image is resized, and what of it is kept.

    Attributes:
        source: width and height of the image, in pixels.
        scaled: width and height that it is resized to.
        size: width and height of the result.
        left: column of the resized image at the left edge of the result; negative if that edge is a border.
        top: row of the resized image at the upper edge of the result; negative if that edge is a border.
    """

    source: Size
    scaled: Size
    size: Size
    left: int = 0
    top: int = 0

    @property
    def changes(self) -> bool:
        """Whether the result differs from the image."""
        return not self.source == self.scaled == self.size

    def apply(self, image: Image.Image) -> Image.Image:
        """Return the resized image, cropped, or on white; the image may have been decoded at a fraction of `source`."""
        from PIL import Image as images

        if image.size != self.scaled:
            image = image.resize(self.scaled, images.Resampling.LANCZOS, reducing_gap=3.0)
        if self.size == self.scaled:
            return image
        if self.size[0] > self.scaled[0] or self.size[1] > self.scaled[1]:
            page = images.new(image.mode, self.size, (255,) * len(image.getbands()))
            page.paste(image, (-self.left, -self.top))
            return page
        return image.crop((self.left, self.top, self.left + self.size[0], self.top + self.size[1]))

    def box(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return where a box (left, top, width, height) of the image is in the result, without what is cropped off."""
        across, down = (scaled / source for scaled, source in zip(self.scaled, self.source, strict=True))
        edges = []
        for start, length, scale, offset, most in (
            (box[0], box[2], across, self.left, self.size[0]),
            (box[1], box[3], down, self.top, self.size[1]),
        ):
            first = min(max(start * scale - offset, 0.0), float(most))
            last = min(max((start + length) * scale - offset, 0.0), float(most))
            edges.append((first, last - first))
        return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def fitting(source: Size, edge: int | None, mode: Mode, upscale: bool) -> Fitting:
    """Return how an image is resized.

    Args:
        source: width and height of the upright image, in pixels.
        edge: wanted length in pixels of the shorter edge ('shortest', 'center_crop') or the longer one ('longest',
            'border'); None leaves the size as it is.
        mode: 'center_crop' cuts the middle square out, 'border' fills up to a square with white.
        upscale: enlarge images that are smaller; otherwise they keep their pixels, 'center_crop' cuts out the largest
            square of at most `edge`, and 'border' fills up to a square of `edge` nevertheless.
    """
    if edge is None:
        return Fitting(source, source, source)
    measured = min(source) if mode in ("shortest", "center_crop") else max(source)
    wanted = edge if upscale else min(edge, measured)
    width, height = (max(1, (2 * length * wanted + measured) // (2 * measured)) for length in source)
    if mode in ("shortest", "longest"):
        return Fitting(source, (width, height), (width, height))
    square = edge if mode == "border" else wanted
    return Fitting(source, (width, height), (square, square), (width - square) // 2, (height - square) // 2)
