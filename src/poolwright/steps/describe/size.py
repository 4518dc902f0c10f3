"""size: bytes, width, height and aspect of image files, from their headers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import ASPECT, BYTES, HEIGHT, IMAGE, IMAGE_ERROR, WELL_KNOWN, WIDTH
from poolwright.core.images.image import REASONS, Probe, drop_codes, probe, unread
from poolwright.core.images.image_files import Limits
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step

_GIVEN = (BYTES, WIDTH, HEIGHT, ASPECT)


class Size(Step):
    """Measure image files: bytes, and width, height and aspect of the upright image.

    Only headers are read, so the row of a file that is truncated after its header stays; steps that decode drop it.
    """

    verb: ClassVar[str] = "size"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "size"
    reasons: ClassVar[tuple[Reason, ...]] = REASONS
    costly: ClassVar[bool] = True

    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")
    max_pixels: int = Field(default=Limits.max_pixels, ge=1, description="largest image, width times height")

    def needs(self) -> tuple[str, ...]:
        return (IMAGE,)

    def optional(self) -> tuple[str, ...]:
        return (IMAGE_ERROR,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        return [pa.field(name, WELL_KNOWN[name].type) for name in _GIVEN]

    def apply(self, rows: Rows, state: State) -> Outcome:
        limits = Limits(self.max_bytes, self.max_pixels)
        files = ((value.as_py(), error) for value, error in zip(rows.column(IMAGE), unread(rows), strict=True))
        measured = [(0, error) if data is None else (len(data), probe(data, limits)) for data, error in files]
        good = [(size, seen) if isinstance(seen, Probe) else (None, None) for size, seen in measured]
        values = {
            BYTES: [size for size, _ in good],
            WIDTH: [seen and seen.width for _, seen in good],
            HEIGHT: [seen and seen.height for _, seen in good],
            ASPECT: [seen and _aspect(seen) for _, seen in good],
        }
        columns = {name: pa.array(values[name], WELL_KNOWN[name].type) for name in _GIVEN}
        return Outcome(columns, drop_codes([seen if isinstance(seen, str) else None for _, seen in measured]))


def _aspect(seen: Probe) -> float:
    return float(np.float32(max(seen.width, seen.height)) / np.float32(max(1, min(seen.width, seen.height))))
