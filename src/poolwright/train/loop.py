"""The loop of a training: steps in an order and with a randomness that depend on the seed alone.

Kill it at any moment and start it again: it goes on from its last checkpoint, and as every step depends only on the
step before, the seed and its number, it ends with the very weights of a training that was never interrupted.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.files import write_atomically
from poolwright.core.runtime.threads import import_torch
from poolwright.kernels.selection.hashing import hash_key
from poolwright.train.options import TrainOptions
from poolwright.train.pictures import Pictures

CHECKPOINT = "checkpoint.pt"
SAVE_SECONDS = 30.0


class Task(Protocol):
    """What is trained."""

    def build(self, device: str, steps: int) -> None:
        """Make networks and optimiser, with weights from torch's generator; `steps` there will be in all."""
        ...

    def view(self, data: bytes, key: int) -> Any:
        """One image file as tensors that can be stacked; its randomness comes from torch, numpy and random, which
        are seeded with `key` before."""
        ...

    def step(self, batch: Any, number: int) -> Mapping[str, Any]:
        """One step on stacked views; gives losses, tensors of one number. torch's generator is seeded before."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on: tensors and plain containers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put a state back."""
        ...

    def epoch_done(self, epoch: int) -> None:
        """Called after every epoch, counted from 1."""
        ...

    def done(self, pictures: Pictures) -> None:
        """Called after the last step, also where that was taken by an earlier start."""
        ...


@dataclass
class TrainingProgress:
    """How far a training is.

    Attributes:
        step: steps done.
        epoch_steps, steps: steps an epoch and in all.
        losses: of every step so far, by name.
        seconds: of all starts together, those lost to kills not counted.
    """

    epoch_steps: int
    steps: int
    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.step // self.epoch_steps

    def means(self, name: str) -> list[float]:
        """The mean of a loss over every finished epoch."""
        values = np.array(self.losses[name][: self.epoch * self.epoch_steps], np.float64)
        return [float(value) for value in values.reshape(self.epoch, self.epoch_steps).mean(axis=1)]


Tell = Callable[[TrainingProgress], None]


def device_for(options: TrainOptions) -> str:
    """'cuda' or 'cpu'.

    Raises:
        RecipeError: a GPU is asked for and there is none.
    """
    there = bool(import_torch().cuda.is_available())
    if options.device == "cuda" and not there:
        raise RecipeError("device 'cuda', but torch finds no GPU; say 'device: auto' or 'cpu'")
    return "cuda" if there and options.device != "cpu" else "cpu"


def train(
    task: Task,
    pictures: Pictures,
    options: TrainOptions,
    folder: Path,
    tell: Tell,
    identity: str,
    save_seconds: float = SAVE_SECONDS,
) -> TrainingProgress:
    """Train, or go on where an earlier call stopped.

    Args:
        folder: where the checkpoint lies.
        tell: is called after every step.
        identity: digest of what is trained on what; a checkpoint of another one is refused.
        save_seconds: between checkpoints. Changes no result.

    Returns:
        The finished training.

    Raises:
        ChangedError: settings or images differ from those of the checkpoint.
        RecipeError: there are not two images.
    """
    if len(pictures) < 2:
        raise RecipeError(f"there are {len(pictures)} images to train on; give a pool with more")
    batch = min(options.batch, len(pictures))
    progress = TrainingProgress(len(pictures) // batch, len(pictures) // batch * options.epochs)
    device = device_for(options)
    with reproducible(device):
        _seed(hash_key(options.seed, "weights"))
        task.build(device, progress.steps)
        _resume(task, progress, folder / CHECKPOINT, identity)
        saved = begun = monotonic()
        before = progress.seconds
        for number, views in _batches(task, pictures, options, progress, batch, device):
            _seed(hash_key(options.seed, "step", str(number)))
            for name, value in task.step(views, number).items():
                progress.losses.setdefault(name, []).append(value)
            progress.step = number + 1
            if progress.step % progress.epoch_steps == 0:
                task.epoch_done(progress.epoch)
            progress.seconds = before + monotonic() - begun
            if monotonic() - saved >= save_seconds or progress.step == progress.steps:
                _save(task, progress, folder / CHECKPOINT, identity)
                saved = monotonic()
            tell(progress)
        task.done(pictures)
    return progress


def _resume(task: Task, progress: TrainingProgress, path: Path, identity: str) -> None:
    if not path.is_file():
        return
    torch = import_torch()
    found = torch.load(path, map_location="cpu", weights_only=True)
    if found["identity"] != identity:
        raise ChangedError(
            f"{path.parent.parent}: a training with other settings or images was begun here; put them back, train "
            "into another folder, or start over with --fresh"
        )
    torch.set_num_threads(found["threads"])  # sums over a batch depend on it in their last bits
    task.restore(found["task"])
    progress.step, progress.seconds = found["step"], found["seconds"]
    progress.losses.update({name: values.tolist() for name, values in found["losses"].items()})


def _save(task: Task, progress: TrainingProgress, path: Path, identity: str) -> None:
    torch = import_torch()
    progress.losses = {name: [float(value) for value in values] for name, values in progress.losses.items()}
    state = {
        "identity": identity,
        "threads": torch.get_num_threads(),
        "step": progress.step,
        "seconds": progress.seconds,
        "losses": {name: torch.tensor(values, dtype=torch.float64) for name, values in progress.losses.items()},
        "task": task.state(),
    }
    write_atomically(path, lambda out: torch.save(state, out))


def _batches(
    task: Task, pictures: Pictures, options: TrainOptions, progress: TrainingProgress, batch: int, device: str
) -> Iterator[tuple[int, Any]]:
    """(number of the step, stacked views) of all steps that are left."""
    from torch.utils.data import DataLoader

    workers = options.workers if options.workers is not None else 0 if device == "cpu" else min(16, os.cpu_count() or 1)
    while progress.step < progress.steps:
        epoch, first = divmod(progress.step, progress.epoch_steps)
        order = pictures.order(options.seed, epoch)
        chosen = [order[at * batch : (at + 1) * batch].tolist() for at in range(first, progress.epoch_steps)]
        views = AugmentedViews(task, pictures, options.seed, epoch)
        loader = DataLoader(views, batch_sampler=chosen, num_workers=workers, pin_memory=device == "cuda")
        yield from enumerate(loader, start=epoch * progress.epoch_steps + first)


@dataclass(frozen=True)
class AugmentedViews:
    """The images of one epoch as a data set of torch. A view depends on seed, epoch and uid, on nothing else."""

    task: Task
    pictures: Pictures
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, place: int) -> Any:
        key = hash_key(self.seed, "view", str(self.epoch), self.pictures.uid(place))
        _seed(key)
        return self.task.view(self.pictures.read(place), key)


def _seed(key: int) -> None:
    """Seed every generator that libraries draw from; `reproducible` puts their states back."""
    import_torch().manual_seed(key % 2**63)
    np.random.seed(key % 2**32)
    random.seed(key)


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Generators and threads are as before afterwards; on a GPU with algorithms that always sum in one order."""
    torch = import_torch()
    states, threads = (np.random.get_state(), random.getstate()), torch.get_num_threads()
    devices = range(torch.cuda.device_count()) if device == "cuda" else []
    try:
        with torch.random.fork_rng(devices=devices), _one_order(torch) if device == "cuda" else nullcontext():
            yield
    finally:
        np.random.set_state(states[0])
        random.setstate(states[1])
        torch.set_num_threads(threads)


@contextmanager
def _one_order(torch: Any) -> Iterator[None]:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS may sum in another order
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    try:
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = benchmark


def cosine(rate: float, step: int, steps: int) -> float:
    """A learning rate that falls from `rate` to zero along half a cosine."""
    return float(rate * 0.5 * (1 + np.cos(np.pi * step / steps)))


Images = npt.NDArray[np.uint8]
"""(n, edge, edge, 3)."""
