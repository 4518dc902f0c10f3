"""provenance: whether image files say that generative AI made them, and whether they hold a manifest of C2PA."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import IMAGE, IMAGE_ERROR, described
from poolwright.core.images.image import REASONS, drop_codes, unread
from poolwright.core.images.image_files import Limits, refused
from poolwright.core.images.marks import Marks, marks_of
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step

MADE_BY_AI, C2PA = "made_by_ai", "c2pa"

_FIELDS = (
    described(
        pa.field(MADE_BY_AI, pa.string()),
        "'trained' if the file says that generative AI made the picture, 'composite' if a part of it; null if it says "
        "nothing",
    ),
    described(pa.field(C2PA, pa.bool_()), "Whether the file holds a C2PA manifest; its signature is not checked"),
)


class Provenance(Step):
    """Read what image files say of how they were made: `made_by_ai` and `c2pa`.

    `made_by_ai` is 'trained' if IPTC's digital source type is trainedAlgorithmicMedia, 'composite' if it is
    compositeWithTrainedAlgorithmicMedia or compositeSynthetic, and null otherwise; it is read from XMP and from the
    manifests of C2PA. `c2pa` is whether there is a manifest (JPEG, PNG, WebP, AVIF). Signatures are not checked: a mark
    is what the file says, and marks are lost when a site re-encodes a picture, so null does not mean that a camera took
    it. To leave marked pictures out: `where: made_by_ai is null`.

    Pixels are not decoded. A row whose file is missing, empty or too large is dropped.
    """

    verb: ClassVar[str] = "provenance"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "provenance"
    reasons: ClassVar[tuple[Reason, ...]] = REASONS
    costly: ClassVar[bool] = True

    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")

    def needs(self) -> tuple[str, ...]:
        return (IMAGE,)

    def optional(self) -> tuple[str, ...]:
        return (IMAGE_ERROR,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        return list(_FIELDS)

    def apply(self, rows: Rows, state: State) -> Outcome:
        limits = Limits(self.max_bytes)
        files = ((value.as_py(), error) for value, error in zip(rows.column(IMAGE), unread(rows), strict=True))
        found = [error if data is None else refused(data, limits) or marks_of(data) for data, error in files]
        marks = [one if isinstance(one, Marks) else None for one in found]
        columns = {
            MADE_BY_AI: pa.array([one and one.made_by_ai for one in marks], pa.string()),
            C2PA: pa.array([one and one.c2pa for one in marks], pa.bool_()),
        }
        return Outcome(columns, drop_codes([one if isinstance(one, str) else None for one in found]))
