"""What a training of an encoder leaves beside the weights: its settings and its losses, in `training.json`."""

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
        name: of the encoder, for people.
        model: how a recipe names it, with a path relative to the folder it lies in.
        settings: all that the weights depend on, the seed among them.
        images, data: how many images, and the digest of their uids and bytes.
        left_out: rows that are no images for training, by reason.
        epoch_steps: steps an epoch.
        epochs: mean of each loss over every epoch.
        curves: each loss over all steps, in `CURVE_POINTS` means at most.
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
        """Every loss in the first and in the last epoch."""
        return {
            name: {"first epoch": round(means[0], 6), "last epoch": round(means[-1], 6)}
            for name, means in self.epochs.items()
        }


def curve_of(values: Sequence[float]) -> list[float]:
    """Means of consecutive runs of values, `CURVE_POINTS` at most."""
    parts = np.array_split(np.asarray(values, np.float64), min(CURVE_POINTS, len(values)))
    return [float(f"{part.mean():.6g}") for part in parts]
