"""quality: how sharp, bright, varied and informative pictures are, and how odd their size is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from poolwright.core.columns import HEIGHT, IMAGE, IMAGE_ERROR, WIDTH
from poolwright.core.frame import Context, Frame
from poolwright.core.images.image import REASONS, drop_codes, open_image, unread
from poolwright.core.images.image_files import Limits
from poolwright.core.images.measures import Measures, measure
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Reason, Step
from poolwright.kernels.selection.quantiles import at_positions, extent

_MEASURED = tuple(one.name for one in fields(Measures))
_ODDITY = "size_distance"


class Quality(Step):
    """Measure what makes pictures bad training data; `where` then says how much of it is too much.

    The checks are those of CleanVision; docs/quality.md has each as a condition, with its thresholds.

    - `sharpness`: standard deviation of the edges of the picture in grey, shrunk to at most 64 pixels; low if blurred.
    - `grey_peaks`: how unevenly its pixels are spread over grey levels; high for drawings, which have few edges too.
    - `brightness`: of the mean colour, 0 to 1; `brightness_p99`, the 99th percentile of pixels, is low for dark
      pictures; `brightness_p5` is high for overexposed ones.
    - `contrast`: standard deviation of grey levels, 0 to 0.5; about 0 if the picture is nearly one colour.
    - `entropy`: of the levels of red, green and blue, the mean in bits, 0 to 8; low if there is little to see.
    - `size_distance`: how far the root of width times height is outside the quartiles of all rows, in interquartile
      ranges (one of at least a pixel); 0 between them. Odd sizes are above 3.

    `width` and `height` are those of `size`, which also gives `aspect`, for odd shapes. Pictures are decoded at full
    size. A row whose picture cannot be read or decoded is dropped for that reason.

    State: the quartiles of the size.
    """

    verb: ClassVar[str] = "quality"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "quality"
    reasons: ClassVar[tuple[Reason, ...]] = REASONS
    fits_rows: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    max_bytes: int = Field(default=Limits.max_bytes, ge=1, description="largest image file, in bytes")
    max_pixels: int = Field(default=Limits.max_pixels, ge=1, description="largest image, width times height")

    def needs(self) -> tuple[str, ...]:
        return (IMAGE, WIDTH, HEIGHT)

    def optional(self) -> tuple[str, ...]:
        return (IMAGE_ERROR,)

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        return [pa.field(name, pa.float32()) for name in (*_MEASURED, _ODDITY)]

    def fit(self, frame: Frame, context: Context) -> State:
        found = extent(frame, (WIDTH, HEIGHT), _areas)
        if not found.rows:
            return State({"rows": 0, "quartiles": [0.0, 0.0]})
        places = np.array([0.25, 0.75]) * (found.rows - 1)
        around = np.concatenate([np.floor(places), np.ceil(places)]).astype(np.int64)
        below, above = np.sqrt(at_positions(frame, (WIDTH, HEIGHT), _areas, found, around)).reshape(2, 2)
        quartiles = below + (above - below) * (places - np.floor(places))
        return State({"rows": found.rows, "quartiles": quartiles.tolist()})

    def apply(self, rows: Rows, state: State) -> Outcome:
        limits = Limits(self.max_bytes, self.max_pixels)
        files = ((value.as_py(), error) for value, error in zip(rows.column(IMAGE), unread(rows), strict=True))
        found = [error if data is None else _measured(data, limits) for data, error in files]
        columns = {
            name: pa.array([None if isinstance(one, str) else getattr(one, name) for one in found], pa.float32())
            for name in _MEASURED
        }
        columns[_ODDITY] = _distances(rows, state)
        return Outcome(columns, drop_codes([one if isinstance(one, str) else None for one in found]))

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        known = [(name, row.get(name)) for name in (*_MEASURED, _ODDITY)]
        return ", ".join(f"{name} {value:.4g}" for name, value in known if value is not None)

    def learned(self, state: State) -> str:
        low, high = state.values["quartiles"]
        return f"half of the pictures have a root of width times height of {low:.0f} to {high:.0f} pixels"


def _measured(data: bytes, limits: Limits) -> Measures | str:
    image = open_image(data, limits)
    return image if isinstance(image, str) else measure(image)


def _areas(rows: Rows) -> npt.NDArray[np.int64]:
    """Width times height of the rows that have both."""
    areas = _all_areas(rows)
    return areas[areas > 0]


def _all_areas(rows: Rows) -> npt.NDArray[np.int64]:
    """Width times height (n,), 0 if one is unknown."""
    width, height = (rows.column(name).fill_null(0).to_numpy().astype(np.int64) for name in (WIDTH, HEIGHT))
    return np.asarray(np.maximum(width, 0) * np.maximum(height, 0), np.int64)


def _distances(rows: Rows, state: State) -> pa.Array:
    areas = _all_areas(rows)
    low, high = state.values["quartiles"]
    size = np.sqrt(areas)
    outside = np.maximum(np.maximum(low - size, size - high), 0) / max(high - low, 1.0)
    return pa.array(outside.astype(np.float32), mask=areas == 0)
