"""Encoder: image -> vector and text -> vector, behind one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class EncoderSpec(BaseModel):
    """An encoder, such as `onnx:PATH` or `timm:MODEL`, and its options.

    Attributes:
        model: kind and path or name, as in a recipe.
        manifest: as canonical JSON, so that a spec is hashable; onnx only.
        resize: edge in pixels that the shorter edge of an image is resized to.
        crop: edge in pixels of the middle square that the model sees.
        device: 'auto', 'cpu' or 'cuda'.
        batch: images per forward pass.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    model: str = Field(description="KIND:MODEL, or a name from 'models'")
    manifest: str | None = Field(
        default=None, description="how images are prepared, if the model has no manifest file next to it; onnx only"
    )
    resize: int | None = Field(
        default=None, ge=1, description="pixels that the shorter edge is resized to; default as the model was trained"
    )
    crop: int | None = Field(
        default=None, ge=1, description="edge in pixels of the middle square; default as the model was trained"
    )
    device: str = Field(default="auto", description="auto, cpu or cuda")
    batch: int = Field(default=32, ge=1, description="images per forward pass")

    @property
    def kind(self) -> str:
        """The part of `model` before the colon, such as 'onnx'."""
        return self.model.partition(":")[0]

    @property
    def name_or_path(self) -> str:
        """The part of `model` after the colon: a path, or the name of a model."""
        return self.model.partition(":")[2]


class Encoder(Protocol):
    """Turns images and texts into vectors of one space.

    A vector depends only on its own image or text: not on the others of the call, nor on how many there are.
    """

    @property
    def name(self) -> str:
        """Name for people and for the schema metadata of vectors, without local paths."""
        ...

    @property
    def weights(self) -> str:
        """SHA-256 of the weights and of how inputs are prepared, hex."""
        ...

    @property
    def width(self) -> int:
        """Number of dimensions of a vector."""
        ...

    def images(self, files: Sequence[bytes | None]) -> tuple[np.ndarray, list[str | None]]:
        """Compute the vectors of encoded image files.

        Args:
            files: bytes of one image file each; None if it could not be read.

        Returns:
            float32 (n, width), unit length, NaN for an image without a vector; and per image None or the
            reason why it has no vector (a name of `poolwright.core.images.image.REASONS`).
        """
        ...

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Compute the vectors of texts: float32 (n, width), unit length.

        Raises:
            RecipeError: the model has no text encoder.
        """
        ...
