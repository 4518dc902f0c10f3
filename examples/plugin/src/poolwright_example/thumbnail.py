"""The encoder kind `thumbnail`: `thumbnail:EDGE`, the pixels of a small copy of the image."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from poolwright import EncoderKind, EncoderSpec, Peek, RecipeError
from poolwright.core.images.image import open_image
from poolwright.core.images.image_files import Limits

LIMITS = Limits()
FORM = 1
"""Incremented with every change that gives other vectors; part of the digest of the weights."""


class Thumbnail(EncoderKind):
    """The pixels of the image, shrunk to a square of EDGE pixels: for images only, and without a model file."""

    kind = "thumbnail"
    example = "thumbnail:8"
    fixed = "the edge follows the colon, as in thumbnail:8"

    def check(self, spec: EncoderSpec) -> None:
        """Check that the edge is a number from 1 to 64."""
        if not spec.name_or_path.isdecimal() or not 1 <= int(spec.name_or_path) <= 64:
            raise RecipeError(f"{spec.model}: an edge is a number from 1 to 64, as in thumbnail:8")

    def peek(self, spec: EncoderSpec) -> Peek:
        """Return name, width and digest, which are known without loading."""
        self.check(spec)
        encoder = ThumbnailEncoder(int(spec.name_or_path))
        return Peek(encoder.name, encoder.width, encoder.weights, texts=False)

    def load(self, spec: EncoderSpec) -> ThumbnailEncoder:
        """Return the encoder, which has no file to load."""
        self.check(spec)
        return ThumbnailEncoder(int(spec.name_or_path))


class ThumbnailEncoder:
    """The encoder of one edge."""

    def __init__(self, edge: int) -> None:
        self.edge, self.width = edge, 3 * edge * edge
        self.name = f"thumbnail {edge}"
        self.weights = sha256(f"thumbnail, form {FORM}, edge {edge}".encode()).hexdigest()

    def images(self, files: Sequence[bytes | None], limits: Limits = LIMITS) -> tuple[np.ndarray, list[str | None]]:
        """Return vectors float32 (n, width) of unit length, NaN with a reason if an image cannot be read."""
        vectors = np.full((len(files), self.width), np.nan, np.float32)
        problems: list[str | None] = [None] * len(files)
        for index, data in enumerate(files):
            image = open_image(data, limits)
            if isinstance(image, str):
                problems[index] = image
                continue
            pixels = np.asarray(image.resize((self.edge, self.edge)), np.float64).reshape(-1) + 1
            vectors[index] = pixels / np.linalg.norm(pixels)
        return vectors, problems

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Raise an error, since there is no text encoder."""
        raise RecipeError(f"{self.name} has no text encoder; name a CLIP for texts")
