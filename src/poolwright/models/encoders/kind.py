"""Define the contract of a kind of encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from poolwright.core.encoder import EncoderSpec
from poolwright.models.encoders.vectors import ImageEncoder, Peek


class EncoderKind(ABC):
    """A kind of encoder, which a recipe names before the colon of `KIND:MODEL`. One object serves the process.

    Its module is imported when a recipe names the kind, so heavy libraries are imported in its methods.
    """

    kind: ClassVar[str]
    example: ClassVar[str]
    """Example of a recipe's entry, such as 'onnx:models/clip'."""
    on_gpu: ClassVar[bool] = False
    """Whether it runs on a GPU, if PyTorch finds one and the recipe allows it."""
    fixed: ClassVar[str] = ""
    """Reason why a recipe cannot set `resize` and `crop`, and what to do instead; empty if it can."""

    def resolve(self, name_or_path: str, folder: str) -> str:
        """Return the text after the colon with its path, if it has one, made absolute.

        Args:
            name_or_path: text after the colon.
            folder: folder that relative paths are relative to.
        """
        return name_or_path

    @abstractmethod
    def check(self, spec: EncoderSpec) -> None:
        """Check a spec without loading weights: its files, its libraries.

        Raises:
            RecipeError: the spec, a file or an option is not valid.
            MissingExtra: a library is not installed.
        """

    @abstractmethod
    def peek(self, spec: EncoderSpec) -> Peek:
        """Return name, width and weight digest, without loading the weights if possible.

        Raises:
            RecipeError: the model does not exist, or is not valid.
        """

    @abstractmethod
    def load(self, spec: EncoderSpec) -> ImageEncoder:
        """Return the encoder, which may be called from several threads.

        Raises:
            RecipeError: the model cannot be loaded.
        """
