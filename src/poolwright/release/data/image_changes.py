"""Change images on their way into a release: resize, encode, turn upright, strip metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from poolwright.core.columns import ASPECT, BYTES, HEIGHT, SHA256, WELL_KNOWN, WIDTH, described
from poolwright.core.images.encoding import (
    MOST_PIXELS,
    QUALITY,
    Encoding,
    encode,
    exif_of,
    pixels_for,
    profile_of,
)
from poolwright.core.images.image import Probe, load_image, probe
from poolwright.core.images.image_files import Limits
from poolwright.core.images.metadata import Malformed, without_metadata
from poolwright.core.images.pixels import BACK, turned_box, upright
from poolwright.core.images.resizing import PEERS, Fitting, Mode, fitting

ORIGINAL = "original_"
"""Prefix of the columns that describe the image file as it was found."""

_LIMITS = Limits(max_bytes=1_000_000_000)
_FORMATS: dict[str, Encoding] = {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}
_MODES = {
    "shortest": "so that the shorter edge has {} pixels",
    "longest": "so that the longer edge has {} pixels",
    "center_crop": "and cropped to the middle square of {0} x {0} pixels",
    "border": "into squares of {0} x {0} pixels, filled up with white",
}

ResizeMode = Annotated[
    Mode,
    BeforeValidator(lambda value: PEERS.get(value, value) if isinstance(value, str) else value),
    WithJsonSchema({"enum": [*_MODES, *PEERS]}),
]
Strip = Annotated[
    tuple[Literal["gps", "all"], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [{"enum": ["gps", "all"]}, {"type": "array", "items": {"enum": ["gps", "all"]}}]}),
]


@dataclass(frozen=True)
class ChangedImage:
    """An image as it is released.

    Attributes:
        data: bytes of the image file.
        width, height: of the upright image, in pixels.
        original: header of the file as it was found.
        fitted: how the upright picture was resized; None if its pixels are those of the file.
        turn: EXIF orientation of the pixels as they were decoded.
        turned: whether the pixels were turned upright.
        flattened: whether transparency was laid on white.
    """

    data: bytes
    width: int
    height: int
    original: Probe
    fitted: Fitting | None = None
    turn: int = 1
    turned: bool = False
    flattened: bool = False

    @property
    def encoded(self) -> bool:
        """Whether the pixels were encoded anew."""
        return self.fitted is not None

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the pixels as they are stored, in which EXIF is not followed."""
        swapped = self.original.orientation >= 5 and not self.turned and self.original.format != "TIFF"
        return (self.height, self.width) if swapped else (self.width, self.height)

    def box(self, box: Sequence[float]) -> tuple[float, float, float, float]:
        """Return a box (left, top, width, height) of the stored pixels as it is in those of the released file."""
        if self.fitted is None:
            return box[0], box[1], box[2], box[3]
        moved = self.fitted.box(turned_box(box, self.turn, self.fitted.source))
        return moved if self.turned else turned_box(moved, BACK.get(self.turn, self.turn), self.stored)


def measured(data: bytes) -> ChangedImage | str:
    """Return an image as it was found, with its size; or a reason of `core.images.image.REASONS`."""
    found = probe(data, _LIMITS)
    return found if isinstance(found, str) else ChangedImage(data, found.width, found.height, found)


class ImageChanges(BaseModel):
    """What is done to images on their way into a release, as a mapping in a recipe.

    An image that already is as asked for keeps its file, byte for byte. Others become 8-bit RGB, or RGBA if they have
    transparency and the format is PNG or WebP; in JPEG, transparency is laid on white. 16-bit grey is scaled to 8 bits,
    CMYK becomes sRGB by its ICC profile, if it has one. ICC profiles of RGB images are kept; colours are not converted
    by them. Of EXIF, what can be read is kept, without the orientation once pixels are turned; XMP, IPTC and comments
    are not. Of several pictures in a file, the first is released.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    resize: Annotated[int, Field(ge=1, le=65_500)] | None = Field(
        default=None, description="length of an edge in pixels; default: images keep their size"
    )
    mode: ResizeMode = Field(
        default="shortest",
        description="edge that `resize` is the length of: the `shortest` (keep_ratio in img2dataset), or the `longest` "
        "(keep_ratio_largest); `center_crop` resizes the shortest and crops the middle square, `border` resizes the "
        "longest and fills up to a square with white",
    )
    upscale: bool = Field(
        default=False,
        description="enlarge images that are smaller than `resize`; otherwise they keep their pixels, and "
        "`center_crop` gives the largest square in them",
    )
    format: Encoding | None = Field(
        default=None,
        description="format of all images; default: that of each file if it is JPEG, PNG or WebP, else PNG",
    )
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None,
        description=f"of JPEG and WebP; if it is named, all of these are encoded anew; default {QUALITY}",
    )
    upright: bool = Field(
        default=True, description="turn pixels as EXIF says, so that every reader shows images upright"
    )
    strip: Strip = Field(
        default=(),
        description="`gps` removes positions from EXIF and XMP, and maker notes; `all` removes all metadata except "
        "colour profiles. JPEG, PNG and WebP files that need no other change keep their pixels as they are coded",
    )

    @model_validator(mode="after")
    def _check(self) -> ImageChanges:
        if self.resize is None and (self.mode != "shortest" or self.upscale):
            raise ValueError("'mode' and 'upscale' need 'resize', a length in pixels")
        if self.quality is not None and self.format == "png":
            raise ValueError("PNG is lossless and has no 'quality'; leave it out, or write format: jpeg or webp")
        if "all" in self.strip and not self.upright:
            raise ValueError("'strip: all' removes the orientation that 'upright: false' leaves to readers; drop one")
        return self

    def apply(self, data: bytes) -> ChangedImage | str:
        """Return the image to release.

        Returns:
            The image, or why there is none: a reason of `core.images.image.REASONS`, or words.
        """
        found = probe(data, _LIMITS)
        if isinstance(found, str):
            return found
        is_turned = found.orientation != 1 and self.upright
        # Without `upright`, sizes are still those of the upright image, but its pixels are resized as they are stored.
        plan = fitting((found.width, found.height), self.resize, self.mode, self.upscale)
        same = self.format in (None, _FORMATS.get(found.format))
        requality = self.quality is not None and (self.format or _FORMATS.get(found.format, "png")) != "png"
        if same and not is_turned and not plan.changes and not requality:
            kept = self._stripped(data, found)
            if kept is not None:
                return ChangedImage(kept, found.width, found.height, found)
        return self._encoded(data, found, plan)

    def _stripped(self, data: bytes, found: Probe) -> bytes | None:
        """Return the file without the metadata that is not released; None if that needs decoding."""
        if not self.strip:
            return data
        if found.format not in _FORMATS:
            return None
        try:
            return without_metadata(data, "all" in self.strip)
        except Malformed:
            return None

    def _encoded(self, data: bytes, found: Probe, plan: Fitting) -> ChangedImage | str:
        turn = 1 if found.format == "TIFF" else found.orientation  # Pillow turns a TIFF itself
        encoding = self.format or _FORMATS.get(found.format, "png")
        if max(plan.size) > MOST_PIXELS[encoding]:
            return f"{encoding} holds at most {MOST_PIXELS[encoding]:,} pixels per edge; see 'resize' and 'format'"
        image = load_image(data, _LIMITS, plan.scaled[::-1] if turn >= 5 else plan.scaled)
        if isinstance(image, str):
            return image
        try:
            pixels = plan.apply(upright(pixels_for(image, encoding), turn))
        except ValueError:  # a mode that cannot be converted
            return "broken_image"
        if not self.upright:
            pixels = upright(pixels, BACK.get(turn, turn))
        exif = b"" if "all" in self.strip else exif_of(image, self.upright, "gps" not in self.strip, pixels.size)
        flattened = encoding == "jpeg" and image.has_transparency_data
        made = encode(pixels, encoding, self.quality, exif, profile_of(image))
        turned = found.orientation != 1 and (self.upright or turn == 1)
        return ChangedImage(made, *plan.size, found, plan, turn, turned, flattened)

    @property
    def words(self) -> str:
        """What is done, in one sentence for the card."""
        parts = []
        if self.resize is not None:
            smaller = "" if self.upscale else "; smaller images were not enlarged"
            parts.append(f"resized {_MODES[self.mode].format(self.resize)}{smaller}")
        if self.format or self.quality:
            quality = f" of quality {self.quality or QUALITY}" if self.format != "png" else ""
            parts.append(f"encoded {f'as {self.format}' if self.format else 'in their format'}{quality}")
        parts += ["turned upright"] if self.upright else []
        parts += ["stripped of all metadata except colour profiles"] if "all" in self.strip else []
        parts += ["stripped of positions (GPS)"] if self.strip == ("gps",) else []
        return f"Images were {', '.join(parts)}." if parts else "Images were checked."


def form_of(value: object) -> str:
    """Return which of two forms a parameter `images` has, so that mistakes are reported for that one alone."""
    return "changes" if isinstance(value, Mapping | ImageChanges) else "word"


_Changes = Annotated[ImageChanges, Tag("changes")]
CopiedImages = Annotated[Annotated[Literal["copy"], Tag("word")] | _Changes, Discriminator(form_of)]
"""Images as they were found, or changed."""
ListedImages = Annotated[Annotated[Literal["copy", "none"], Tag("word")] | _Changes, Discriminator(form_of)]
"""Images as they were found or changed, or no images."""
EmbeddedImages = Annotated[Annotated[Literal["embed", "urls", "none"], Tag("word")] | _Changes, Discriminator(form_of)]
"""Images as they were found or changed, their URLs, or neither."""


def changed_schema(table: pa.Schema, changes: ImageChanges | None) -> pa.Schema:
    """Return the columns of a table; if its images are changed, with those that describe the files of both.

    `width`, `height` and `sha256` are of the released file, as are `bytes` and `aspect` if the table has them; the
    values of the found file are in `original_width` and so on, unless the table has columns of these names.
    """
    if changes is None:
        return table
    names = [WIDTH, HEIGHT, SHA256, *(name for name in (BYTES, ASPECT) if name in table.names)]
    for name in names:
        field = pa.field(name, WELL_KNOWN[name].type)
        table = table.set(table.get_field_index(name), field) if name in table.names else table.append(field)
    for name in names:
        if name != ASPECT and f"{ORIGINAL}{name}" not in table.names:
            meaning = f"{WELL_KNOWN[name].meaning}, as it was found"
            table = table.append(described(pa.field(f"{ORIGINAL}{name}", WELL_KNOWN[name].type), meaning))
    return table
