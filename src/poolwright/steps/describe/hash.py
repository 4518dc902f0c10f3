"""hash: SHA-256 of image files, and perceptual hashes of what they show."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import BeforeValidator, Field

from poolwright.core.columns import IMAGE, IMAGE_ERROR, PDQ, PHASH, SHA256, WELL_KNOWN
from poolwright.core.images.image import REASONS, drop_codes, open_image, unread
from poolwright.core.images.image_files import Limits, refused
from poolwright.core.images.phash import check_pdq, check_phash, pdq, phash
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step

HashKind = Literal["sha256", "phash", "pdq"]
_OF_PICTURES = {PHASH: (phash, check_phash), PDQ: (pdq, check_pdq)}
"""How hashes of what pictures show are computed, and how it is checked that they can be."""


def _one_or_more(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Hash(Step):
    """Hash image files: `sha256` of the bytes; `phash` and `pdq` of the upright picture, 64 and 256 bits.

    `phash` is the DCT hash of imagehash; `pdq` is that of ThreatExchange (https://github.com/facebook/ThreatExchange,
    hashing/pdq), as 64 hex digits: it tells more pictures apart and is the one that platforms exchange.

    A picture of one shade of grey has no perceptual hash: null, as all such pictures would have the same; of `pdq`,
    that is a picture of quality 0, by its own measure. Transparency is laid on white, or on black if what is visible is
    light, so that white drawings have a hash of their own.

    A row whose file is missing, empty or too large is dropped; with `phash` or `pdq`, also one that does not decode.
    """

    verb: ClassVar[str] = "hash"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "hash: {kinds: [sha256, phash]}"
    reasons: ClassVar[tuple[Reason, ...]] = REASONS
    shorthand: ClassVar[str | None] = "kinds"
    costly: ClassVar[bool] = True

    kinds: Annotated[tuple[HashKind, ...], BeforeValidator(_one_or_more)] = Field(
        default=("sha256", "phash"), min_length=1, description="hashes to compute"
    )
    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")
    max_pixels: int = Field(default=Limits.max_pixels, ge=1, description="largest image, width times height")

    def needs(self) -> tuple[str, ...]:
        return (IMAGE,)

    def optional(self) -> tuple[str, ...]:
        return (IMAGE_ERROR,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        for kind, (_, check) in _OF_PICTURES.items():
            if kind in self.kinds:
                check()
        return [pa.field(name, WELL_KNOWN[name].type) for name in self._given()]

    def _given(self) -> list[str]:
        return [name for name in (SHA256, PHASH, PDQ) if name in self.kinds]

    def apply(self, rows: Rows, state: State) -> Outcome:
        limits = Limits(self.max_bytes, self.max_pixels)
        files = ((value.as_py(), error) for value, error in zip(rows.column(IMAGE), unread(rows), strict=True))
        hashed = [error if data is None else self._hash(data, limits) for data, error in files]
        columns: dict[str, pa.Array] = {
            name: pa.array([found[name] if isinstance(found, dict) else None for found in hashed], pa.string())
            for name in self._given()
        }
        return Outcome(columns, drop_codes([found if isinstance(found, str) else None for found in hashed]))

    def _hash(self, data: bytes, limits: Limits) -> dict[str, str | None] | str:
        """Return the hashes by kind, or the reason why there are none."""
        reason = refused(data, limits)
        if reason:
            return reason
        found: dict[str, str | None] = {SHA256: hashlib.sha256(data).hexdigest()} if SHA256 in self.kinds else {}
        if _OF_PICTURES.keys() & set(self.kinds):
            image = open_image(data, limits, contrast=True)  # at full size, so that the libraries alone give the same
            if isinstance(image, str):
                return image
            found |= {kind: hashed(image) for kind, (hashed, _) in _OF_PICTURES.items() if kind in self.kinds}
        return found
