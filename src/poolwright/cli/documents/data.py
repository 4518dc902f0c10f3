"""Defines the documents of commands that bring in data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from poolwright.api import BuiltEncoder, Converted, Fetched, Recovery

if TYPE_CHECKING:
    from poolwright.api import TrainedEncoder


@dataclass(frozen=True)
class ConvertDocument:
    """A pool that was written to Parquet.

    Attributes:
        to: the file or folder.
        converted: what was written and rejected.
    """

    to: Path
    converted: Converted

    @classmethod
    def of(cls, to: Path, converted: Converted) -> Self:
        """Make it from a conversion."""
        return cls(to, converted)


@dataclass(frozen=True)
class FetchDocument:
    """Images that were fetched, over all calls.

    Attributes:
        succeeded: number of rows with an image.
        fetched: outcomes of all rows.
    """

    succeeded: int
    fetched: Fetched

    @classmethod
    def of(cls, fetched: Fetched) -> Self:
        """Make it from a fetch."""
        return cls(fetched.succeeded, fetched)


@dataclass(frozen=True)
class RebuildDocument:
    """What was recovered of a release.

    Attributes:
        succeeded: number of rows with an image.
        recovery: outcomes of all rows, and what was recovered by class.
    """

    succeeded: int
    recovery: Recovery

    @classmethod
    def of(cls, recovery: Recovery) -> Self:
        """Make it from a recovery."""
        return cls(recovery.fetched.succeeded, recovery)


@dataclass(frozen=True)
class EncoderDocument:
    """An encoder that was built.

    Attributes:
        encoder: the encoder.
    """

    encoder: BuiltEncoder

    @classmethod
    def of(cls, built: BuiltEncoder) -> Self:
        """Make it from what was built."""
        return cls(built)


@dataclass(frozen=True)
class TrainDocument:
    """An encoder that was trained.

    Attributes:
        folder: its folder.
        model: its name in a recipe.
        fresh: whether this call trained; false if everything was done before.
        images: number of images.
        left_out: rows without an image for training, by reason.
        settings: everything that the weights depend on.
        losses: every loss in the first and in the last epoch.
        report: the page about the training.
    """

    folder: Path
    model: str
    fresh: bool
    images: int
    left_out: dict[str, int]
    settings: dict[str, Any]
    losses: dict[str, dict[str, float]]
    report: Path

    @classmethod
    def of(cls, trained: TrainedEncoder) -> Self:
        """Make it from a training."""
        record, folder = trained.record, trained.folder
        return cls(
            folder, trained.model, trained.fresh, record.images, record.left_out, record.settings, record.ends(),
            folder / "report.html",
        )  # fmt: skip
