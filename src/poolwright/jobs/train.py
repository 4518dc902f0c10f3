"""Trains an encoder in its own folder: lists images, trains, saves, resumes."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, MissingExtra
from poolwright.core.files import remove, remove_partials, write_text
from poolwright.core.images.image_files import Limits
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.core.wording import counted
from poolwright.jobs.training_images import PACKED, list_pictures
from poolwright.models.encoders.networks import mmd_vae, moco
from poolwright.models.encoders.networks.mmd_vae import MANIFEST
from poolwright.models.encoders.networks.training_record import RECORD, TrainingRecord
from poolwright.models.encoders.prepare import Preparation
from poolwright.models.encoders.vectors import identity_digest
from poolwright.report.training import Alike, write_training_report
from poolwright.run.lock import run_lock
from poolwright.run.sources.source import Source
from poolwright.train.loop import (
    CHECKPOINT,
    SAVE_SECONDS,
    AugmentedViews,
    Images,
    TrainingProgress,
    device_for,
    reproducible,
    train,
)
from poolwright.train.mmd_vae import MmdVaeTask
from poolwright.train.moco import MocoTask, check_moco, shown_views
from poolwright.train.options import MmdVaeOptions, MocoOptions, TrainOptions
from poolwright.train.pictures import Pictures
from poolwright.train.saving import MOCO_WEIGHTS, record_of, save_mmd_vae, save_moco

WORK = "work"
TIMINGS = "timings.json"
SHOWN = 12
"""Images whose reconstructions are kept for the report."""

_COMPARED, _ASKED, _NEAREST = 1_000, 8, 7
"""For the report: images that are compared, images that are shown, and nearest images of each."""

_TOLD_SECONDS = 0.5
_LIBRARIES = {"mmd-vae": ("torch", "safetensors"), "moco": ("torch", "torchvision", "timm", "lightly")}


@dataclass(frozen=True)
class TrainedEncoder:
    """A trained encoder.

    Attributes:
        folder: its folder.
        model: its name in a recipe: 'mmd_vae:...' or 'moco:...'.
        record: settings, images, losses.
        fresh: whether this call trained; false if everything was done before.
        pictures: the pictures that it was trained on.
        strips: rows of small images for the report, by caption.
    """

    folder: Path
    model: str
    record: TrainingRecord
    fresh: bool
    pictures: Pictures
    strips: dict[str, Images] = field(default_factory=dict)


def train_encoder(
    sources: Sequence[Source],
    folder: Path,
    options: TrainOptions,
    note: Callable[[str], None],
    tell: Callable[[TrainingProgress], None],
    fresh: bool = False,
    save_seconds: float = SAVE_SECONDS,
) -> TrainedEncoder:
    """Train, continue, or find that everything is done.

    Raises:
        MissingExtra: a library is not installed.
        RecipeError: there are too few images, or no GPU although one is asked for.
        ChangedError: there is a training with other settings or images in the folder.
        PoolwrightError: another process is training in the folder.
    """
    for library in _LIBRARIES[options.kind]:
        if importlib.util.find_spec(library) is None:
            raise MissingExtra(library, f"training of {options.kind}")
    device_for(options)
    if isinstance(options, MocoOptions):
        check_moco(options)
    with run_lock(folder / WORK):
        if fresh:
            for name in (f"{WORK}/{CHECKPOINT}", MANIFEST, RECORD):
                remove(folder / name)
        remove_partials(folder)
        # The checkpoint is removed last, once the report is written too: see `finish`.
        done = (folder / MANIFEST).exists() and not (folder / WORK / CHECKPOINT).exists()
        edge = options.model_dump()["size"]
        pictures = list_pictures(sources, folder / WORK, edge, note, reads=not done)
        if done:
            return _done(folder, options, pictures)
        return _train(folder, options, pictures, tell, save_seconds)


def _done(folder: Path, options: TrainOptions, pictures: Pictures) -> TrainedEncoder:
    """Return the finished training in the folder, if it is the one that is asked for."""
    record = TrainingRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))
    changed = [name for name, value in options.identity().items() if record.settings.get(name) != value]
    if record.kind != options.kind:
        changed = [f"kind ({record.kind})"]
    if record.data != pictures.digest:
        changed.append("images")
    if changed:
        raise ChangedError(
            f"{folder}: was trained with other {', '.join(changed)}; train into another folder, or start over "
            "with --fresh"
        )
    return TrainedEncoder(folder, _model(folder, record), record, False, pictures)


def _train(
    folder: Path,
    options: TrainOptions,
    pictures: Pictures,
    tell: Callable[[TrainingProgress], None],
    save_seconds: float,
) -> TrainedEncoder:
    identity = identity_digest({"kind": options.kind, "settings": options.identity(), "data": pictures.digest})
    task = _task(options, pictures)
    progress = train(task, pictures, options, folder / WORK, tell, identity, save_seconds)
    weights = "." if isinstance(options, MmdVaeOptions) else MOCO_WEIGHTS
    name = folder.resolve().name
    record = record_of(options, pictures, progress, name, f"{options.kind.replace('-', '_')}:{weights}")
    seconds = {"device": device_for(options), "seconds": round(progress.seconds, 1)}
    write_text(folder / TIMINGS, json.dumps(seconds, indent=2) + "\n")
    record.write(folder)
    strips = _save(task, options, record, pictures, folder)
    return TrainedEncoder(folder, _model(folder, record), record, True, pictures, strips)


def _task(options: TrainOptions, pictures: Pictures) -> MmdVaeTask | MocoTask:
    if isinstance(options, MmdVaeOptions):
        return MmdVaeTask(options, _decoded(pictures, options.architecture.preparation, options.seed))
    if isinstance(options, MocoOptions):
        return MocoTask(options, len(pictures))
    raise TypeError(f"no training of {options.kind}")


def _save(
    task: MmdVaeTask | MocoTask, options: TrainOptions, record: TrainingRecord, pictures: Pictures, folder: Path
) -> dict[str, Images]:
    """Save the encoder; return rows of images for the report."""
    if isinstance(task, MmdVaeTask) and isinstance(options, MmdVaeOptions):
        save_mmd_vae(task, options, record, folder)
        after = {f"after {counted(count, 'epoch')}": images for count, images in sorted(task.reconstructions.items())}
        return {"images": task.shown} | after
    if isinstance(task, MocoTask) and isinstance(options, MocoOptions):
        save_moco(task, options, record, folder)
        views = AugmentedViews(task, pictures, options.seed, 0)
        with reproducible("cpu"):
            return shown_views([views[index] for index in pictures.sample(options.seed, SHOWN).tolist()])
    raise TypeError(f"no training of {options.kind}")


def finish(trained: TrainedEncoder) -> None:
    """Write the report of a training that this call did, and remove what only an unfinished training needs."""
    if not trained.fresh:
        return
    seconds = json.loads((trained.folder / TIMINGS).read_text(encoding="utf-8"))["seconds"]
    write_training_report(trained.record, trained.strips, _alike(trained), seconds, trained.folder / "report.html")
    remove(trained.folder / WORK / PACKED)
    remove(trained.folder / WORK / CHECKPOINT)  # last: without it the training counts as finished


def _alike(trained: TrainedEncoder) -> list[Alike]:
    """Find, for some images, the nearest ones of a sample by the trained encoder."""
    pictures, seed = trained.pictures, int(trained.record.settings["seed"])
    files = [pictures.read(index) for index in pictures.sample(seed, _COMPARED).tolist()]
    # Not by `load_encoder`, which would return an encoder that an earlier training of this process left in its cache.
    module = mmd_vae if trained.record.kind == "mmd-vae" else moco
    vectors, _ = module.load(EncoderSpec(model=trained.model)).images(files)
    cosines = np.nan_to_num(vectors[:_ASKED] @ vectors.T, nan=-1.0)
    found = []
    for index, line in enumerate(cosines):
        others = [other for other in np.argsort(-line, kind="stable").tolist() if other != index][:_NEAREST]
        found.append(Alike(files[index], tuple((files[other], float(line[other])) for other in others)))
    return found


def teller(name: str, listener: Listener) -> Callable[[TrainingProgress], None]:
    """Return a function that reports steps to a listener, now and then."""
    last = 0.0

    def tell(found: TrainingProgress) -> None:
        nonlocal last
        now = monotonic()
        if now - last >= _TOLD_SECONDS or found.step == found.steps:
            last = now
            listener.progress(TableProgress(name, "train", found.steps, found.step, seconds=found.seconds))

    return tell


def _decoded(pictures: Pictures, preparation: Preparation, seed: int) -> Images:
    """Decode some images as the network sees them."""
    chosen = pictures.sample(seed, SHOWN)
    found = np.zeros((len(chosen), preparation.crop, preparation.crop, 3), np.uint8)
    for index, number in enumerate(chosen.tolist()):
        preparation.decode(pictures.read(number), Limits(), found[index])
    return found


def _model(folder: Path, record: TrainingRecord) -> str:
    kind, _, path = record.model.partition(":")
    return f"{kind}:{folder if path == '.' else folder / path}"
