"""Record the training of an encoder next to its weights: settings and losses, in `training.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from poolwright.core.files import write_text

RECORD = "training.json"
CURVE_POINTS = 400


class TrainingRecord(BaseModel):
    """A finished training.

    Attributes:
        kind: 'mmd-vae' or 'moco'.
        name: display name of the encoder.
        model: its name in a recipe, with a path relative to its folder.
        settings: everything that the weights depend on, including the seed.
        images, data: number of images, and the digest of their uids and bytes.
        left_out: rows without an image for training, by reason.
        epoch_steps: steps per epoch.
        epochs: mean of each loss over every epoch.
        curves: each loss over all steps, in at most `CURVE_POINTS` means.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = 1
    kind: str
    name: str
    model: str
    settings: dict[str, Any]
    images: int
    data: str
    left_out: dict[str, int]
    epoch_steps: int
    epochs: dict[str, list[float]]
    curves: dict[str, list[float]]

    def write(self, folder: Path) -> None:
        """Write `training.json`."""
        write_text(folder / RECORD, self.model_dump_json(indent=2) + "\n")

    def ends(self) -> dict[str, dict[str, float]]:
        """Return every loss in the first and in the last epoch."""
        return {
            name: {"first epoch": round(means[0], 6), "last epoch": round(means[-1], 6)}
            for name, means in self.epochs.items()
        }


def curve_of(values: Sequence[float]) -> list[float]:
    """Return means of consecutive runs of values, at most `CURVE_POINTS`."""
    parts = np.array_split(np.asarray(values, np.float64), min(CURVE_POINTS, len(values)))
    return [float(f"{part.mean():.6g}") for part in parts]
