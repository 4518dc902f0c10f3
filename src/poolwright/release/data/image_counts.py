"""Count released images: their number, size and formats, and what was done to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from poolwright.core.images.encoding import encoder_versions
from poolwright.core.images.formats import (
    IMAGE_EXTENSIONS,
    UNKNOWN_EXTENSION,
    extension_of_bytes,
    extension_of_name,
)
from poolwright.core.images.image import is_turned
from poolwright.release.data.image_changes import ChangedImage, ImageChanges
from poolwright.release.record import ChangedImages, ReleasedImages


def extension(data: bytes, path: str | None = None) -> str:
    """Return the extension of an image file by its first bytes, else that of its path, else 'bin'."""
    if known := extension_of_bytes(data):
        return known
    suffix = extension_of_name(path or "")
    return suffix if suffix in IMAGE_EXTENSIONS else UNKNOWN_EXTENSION


@dataclass
class ImageCounts:
    """Number of images, bytes of their files, files that EXIF turns, images by format and by what was done to them."""

    count: int = 0
    size: int = 0
    turned: int = 0
    formats: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)

    def note(self, images: Sequence[bytes]) -> None:
        """Count image files as they are released."""
        self.count += len(images)
        self.size += sum(map(len, images))
        self.turned += sum(map(is_turned, images))
        self.formats.update(extension(data) for data in images)

    def note_changes(self, found: Sequence[bytes], made: Sequence[ChangedImage]) -> None:
        """Count what was done to image files."""
        for data, image in zip(found, made, strict=True):
            self.done.update(_work(data, image))

    def add(self, other: ImageCounts) -> None:
        """Add the counts of other images."""
        self.count, self.size, self.turned = (
            self.count + other.count,
            self.size + other.size,
            self.turned + other.turned,
        )
        self.formats.update(other.formats)
        self.done.update(other.done)

    def summary(self, changes: ImageChanges | None) -> ReleasedImages:
        """Return the counts as a release records them."""
        return ReleasedImages(
            count=self.count,
            bytes=self.size,
            formats=dict(sorted(self.formats.items())),
            turned=self.turned,
            changes=changes and ChangedImages(words=changes.words, library=encoder_versions(), **self.done),
        )


def _work(data: bytes, image: ChangedImage) -> Iterator[str]:
    """Yield the fields of `ChangedImages` that count an image."""
    if not image.encoded:
        yield "kept" if image.data == data else "stripped"
        return
    yield "encoded"
    if image.turned:
        yield "turned"
    if image.flattened:
        yield "flattened"
    if image.original.frames > 1:
        yield "first"
