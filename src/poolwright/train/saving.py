"""Save the folder of a trained encoder. The manifest is written last: if it exists, the training is finished."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from poolwright.core.errors import MissingExtra
from poolwright.core.files import write_atomically, write_text
from poolwright.core.runtime.threads import import_torch
from poolwright.models.encoders.networks.mmd_vae import MANIFEST, WEIGHTS, MmdVaeManifest, manifest_text
from poolwright.models.encoders.networks.moco import PREPARATION
from poolwright.models.encoders.networks.training_record import TrainingRecord, curve_of
from poolwright.models.encoders.vectors import file_digest
from poolwright.train.loop import TrainingProgress
from poolwright.train.mmd_vae import MmdVaeTask
from poolwright.train.moco import MocoTask
from poolwright.train.options import MmdVaeOptions, MocoOptions, TrainOptions
from poolwright.train.pictures import Pictures

MOCO_WEIGHTS = "moco.pth.tar"


def record_of(
    options: TrainOptions, pictures: Pictures, progress: TrainingProgress, name: str, model: str
) -> TrainingRecord:
    """Return the record of a finished training."""
    return TrainingRecord(
        kind=options.kind,
        name=name,
        model=model,
        settings=options.identity(),
        images=len(pictures),
        data=pictures.digest,
        left_out=dict(pictures.left_out),
        epoch_steps=progress.epoch_steps,
        epochs={loss: [float(f"{mean:.6g}") for mean in progress.means(loss)] for loss in progress.losses},
        curves={loss: curve_of([float(value) for value in values]) for loss, values in progress.losses.items()},
    )


def save_mmd_vae(task: MmdVaeTask, options: MmdVaeOptions, record: TrainingRecord, folder: Path) -> None:
    """Write the weights and their manifest.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    tensors = {name: value.detach().cpu().contiguous() for name, value in task.network.state_dict().items()}
    data = safetensors_bytes(tensors)
    write_atomically(folder / WEIGHTS, lambda out: out.write(data))
    manifest = MmdVaeManifest(
        name=record.name,
        architecture=options.architecture,
        preparation=options.architecture.preparation.identity(),
        weights=file_digest(folder / WEIGHTS),
        images=record.images,
        data=record.data,
        training=record.settings,
        result=record.ends(),
        versions=versions(),
    )
    write_text(folder / MANIFEST, manifest_text(manifest))


def save_moco(task: MocoTask, options: MocoOptions, record: TrainingRecord, folder: Path) -> None:
    """Write the checkpoint and a manifest."""
    checkpoint = task.checkpoint()
    write_atomically(folder / MOCO_WEIGHTS, lambda out: import_torch().save(checkpoint, out))
    manifest = {
        "format": 1,
        "kind": "moco",
        "name": record.name,
        "architecture": options.architecture,
        "preparation": checkpoint[PREPARATION],
        "weights": file_digest(folder / MOCO_WEIGHTS),
        "images": record.images,
        "data": record.data,
        "training": record.settings,
        "result": record.ends(),
        "versions": versions(),
    }
    write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")


def safetensors_bytes(tensors: dict[str, Any]) -> bytes:
    """Encode tensors as the bytes of a .safetensors file.

    Raises:
        MissingExtra: safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ModuleNotFoundError:
        raise MissingExtra("safetensors", "saving the weights") from None
    return bytes(save(tensors))


def versions() -> dict[str, str]:
    """Return the versions of the training libraries; torch's own string names its build."""
    found = {"torch": str(import_torch().__version__)}
    for package in ("poolwright", "lightly", "timm", "torchvision"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
