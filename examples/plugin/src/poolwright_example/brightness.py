"""The step `brightness`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from poolwright import Outcome, Reason, Rows, State, Step
from poolwright.core.columns import IMAGE, IMAGE_ERROR
from poolwright.core.images.image import REASONS, drop_codes, open_image, unread
from poolwright.core.params import Share
from poolwright.core.step import Kind

BRIGHTNESS = "brightness"


class Brightness(Step):
    """Give each image its mean brightness, from 0 (black) to 1 (white), and drop those that are too dark."""

    verb: ClassVar[str] = "brightness"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "brightness: {least: 10%}"
    reasons: ClassVar[tuple[Reason, ...]] = (*REASONS, Reason("too_dark", "the image is too dark"))
    costly: ClassVar[bool] = True

    least: Share = Field(default=0.0, description="images that are darker are dropped, such as 10%")

    def needs(self) -> tuple[str, ...]:
        """Return the column of the image bytes."""
        return (IMAGE,)

    def optional(self) -> tuple[str, ...]:
        """Return the column with the reason why there are no bytes, if the source has it."""
        return (IMAGE_ERROR,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        """Return the column `brightness`."""
        return [pa.field(BRIGHTNESS, pa.float32())]

    def apply(self, rows: Rows, state: State) -> Outcome:
        """Decode each image and average its pixels."""
        found: list[float | None] = []
        problems: list[str | None] = []
        for value, missing in zip(rows.column(IMAGE), unread(rows), strict=True):
            image = missing if value.as_py() is None else open_image(value.as_py())
            if isinstance(image, str):
                found.append(None)
                problems.append(image)
                continue
            bright = float(np.asarray(image, np.float64).mean() / 255)
            found.append(bright)
            problems.append("too_dark" if bright < self.least else None)
        return Outcome({BRIGHTNESS: pa.array(found, pa.float32())}, drop_codes(problems, ["too_dark"]))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        """Compare the brightness with the least one allowed."""
        value = row.get(BRIGHTNESS)
        return f"brightness {value:.3f}, at least {self.least:.3f}" if value is not None else ""
