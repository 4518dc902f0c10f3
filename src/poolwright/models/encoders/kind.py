"""The contract of a kind of encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from poolwright.core.encoder import EncoderSpec
from poolwright.models.encoders.vectors import ImageEncoder, Peek


class EncoderKind(ABC):
    """A kind of encoder: what stands before the colon of `KIND:PLACE` in a recipe. One object serves a process.

    Its module is imported when a recipe names the kind, so heavy libraries are imported in its methods.
    """

    kind: ClassVar[str]
    example: ClassVar[str]
    """How a recipe writes one: 'onnx:models/clip'."""
    on_gpu: ClassVar[bool] = False
    """Whether it runs on a GPU, if PyTorch finds one and the recipe lets it."""
    fixed: ClassVar[str] = ""
    """Why a recipe cannot set `resize` and `crop`, and what to do instead; empty if it can."""

    def resolve(self, place: str, folder: str) -> str:
        """The place with the path in it, if there is one, made absolute.

        Args:
            place: what follows the colon.
            folder: what relative paths are relative to.
        """
        return place

    @abstractmethod
    def check(self, spec: EncoderSpec) -> None:
        """Check a spec without loading weights: its files, its libraries.

        Raises:
            RecipeError: something is wrong.
            MissingExtra: a library is not installed.
        """

    @abstractmethod
    def peek(self, spec: EncoderSpec) -> Peek:
        """Name, width and weight digest, without loading the weights if that is possible.

        Raises:
            RecipeError: the model is not there, or not valid.
        """

    @abstractmethod
    def load(self, spec: EncoderSpec) -> ImageEncoder:
        """The encoder, which may be called from several threads.

        Raises:
            RecipeError: the model cannot be loaded.
        """
