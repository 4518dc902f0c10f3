"""The vectors of an MMD-VAE tell more of classes than the pixels that it was trained on."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from poolwright.api import train_encoder
from poolwright.core.encoder import EncoderSpec
from poolwright.core.images.image_files import Limits
from poolwright.jobs.train import TrainedEncoder
from poolwright.models.encoders.load import forget_encoders, load_encoder
from poolwright.models.encoders.networks.mmd_vae import Architecture

SETTINGS = {"size": 32, "channels": 16, "batch": 32, "epochs": 12, "device": "cpu"}


def accuracy(rows: np.ndarray, labels: list[str]) -> float:
    """Of a linear probe: five folds, at its best regularisation."""
    probe = make_pipeline(StandardScaler(), RidgeClassifier())
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found = GridSearchCV(probe, {"ridgeclassifier__alpha": 10.0 ** np.arange(1, 6, 2)}, cv=folds).fit(rows, labels)
    return float(found.best_score_)


def against_pixels(trained: TrainedEncoder, files: list[Path], labels: list[str]) -> tuple[float, float]:
    """Accuracy with vectors, and with the pixels that the encoder sees."""
    data = [path.read_bytes() for path in files]
    forget_encoders()
    vectors, reasons = load_encoder(EncoderSpec(model=trained.model, device="cpu")).images(data)
    assert not any(reasons)
    pixels = np.zeros((len(data), 32, 32, 3), np.uint8)
    for image, out in zip(data, pixels, strict=True):
        Architecture(size=32).preparation.decode(image, Limits(), out)
    return accuracy(vectors, labels), accuracy(pixels.reshape(len(pixels), -1) / 255.0, labels)


def every(step: int, files: Sequence[Path], folder: Path) -> Path:
    """Copy every so many files into a new folder: enough to learn from, and quick."""
    folder.mkdir()
    for number, path in enumerate(files[::step]):
        shutil.copy(path, folder / f"{number}{path.suffix}")
    return folder


def halved(trained: TrainedEncoder) -> bool:
    errors = trained.record.epochs["reconstruction error"]
    return errors[-1] <= errors[0] / 2


@pytest.mark.real
@pytest.mark.slow
def test_on_cifar(real_data: Path, tmp_path: Path) -> None:
    files = sorted((real_data / "cifar10").glob("*/*.jpg"))
    trained = train_encoder("mmd-vae", [every(5, files, tmp_path / "some")], tmp_path / "vae", SETTINGS)
    vectors, pixels = against_pixels(trained, files, [path.parent.name for path in files])
    print(f"CIFAR: vectors {vectors:.3f}, pixels {pixels:.3f}", trained.record.ends())
    assert halved(trained)
    assert vectors > pixels + 0.03


@pytest.mark.slow
def test_on_the_demo_world(made_demo: Any, tmp_path: Path) -> None:
    world = made_demo.folder / "demo" / "world"
    rows = pq.read_table(world / "truth.parquet").to_pylist()
    kinds = {row["uid"]: row["kind"] for row in rows if not row["corrupt"] and row["duplicate_of"] is None}
    often = {kind for kind, count in Counter(kinds.values()).items() if count >= 5}  # one a fold
    files = [path for path in sorted(world.glob("images/**/*.*")) if kinds.get(path.stem) in often]
    assert len(files) > 500
    trained = train_encoder("mmd-vae", [every(3, files, tmp_path / "some")], tmp_path / "vae", SETTINGS)
    vectors, pixels = against_pixels(trained, files, [kinds[path.stem] for path in files])
    print(f"demo world: vectors {vectors:.3f}, pixels {pixels:.3f}", trained.record.ends())
    assert halved(trained)
    assert vectors > pixels + 0.03
