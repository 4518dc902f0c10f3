"""Run the training loop: the order of images and all randomness depend on the seed alone.

A killed training continues from its last checkpoint when started again. As every step depends only on the previous
step, the seed and its number, it ends with exactly the weights of an uninterrupted training.
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
    """A model to train: its networks, its optimiser and its steps."""

    def build(self, device: str, steps: int) -> None:
        """Create networks and optimiser for `steps` steps in total, with weights from torch's generator."""
        ...

    def view(self, data: bytes, key: int) -> Any:
        """Return one image file as tensors that can be stacked. Randomness comes from torch, numpy and random, which
        are seeded with `key` before."""
        ...

    def step(self, batch: Any, number: int) -> Mapping[str, Any]:
        """Do one step on stacked views and return losses as scalar tensors. torch's generator is seeded before."""
        ...

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on: tensors and plain containers."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore a state."""
        ...

    def epoch_done(self, epoch: int) -> None:
        """Handle the end of an epoch, counted from 1."""
        ...

    def done(self, pictures: Pictures) -> None:
        """Handle the end of the training, also if an earlier start did the last step."""
        ...


@dataclass
class TrainingProgress:
    """The progress of a training.

    Attributes:
        step: number of steps done.
        epoch_steps, steps: number of steps per epoch and in total.
        losses: losses of every step so far, by name.
        seconds: duration of all starts together, without time lost to kills.
    """

    epoch_steps: int
    steps: int
    step: int = 0
    losses: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.step // self.epoch_steps

    def means(self, name: str) -> list[float]:
        """Return the mean of a loss over each finished epoch."""
        values = np.array(self.losses[name][: self.epoch * self.epoch_steps], np.float64)
        return [float(value) for value in values.reshape(self.epoch, self.epoch_steps).mean(axis=1)]


Tell = Callable[[TrainingProgress], None]


def device_for(options: TrainOptions) -> str:
    """Return the device to train on: 'cuda' or 'cpu'.

    Raises:
        RecipeError: a GPU is requested and there is none.
    """
    available = bool(import_torch().cuda.is_available())
    if options.device == "cuda" and not available:
        raise RecipeError("device 'cuda', but torch finds no GPU; use 'device: auto' or 'cpu'")
    return "cuda" if available and options.device != "cpu" else "cpu"


def train(
    task: Task,
    pictures: Pictures,
    options: TrainOptions,
    folder: Path,
    tell: Tell,
    identity: str,
    save_seconds: float = SAVE_SECONDS,
) -> TrainingProgress:
    """Train, or continue where an earlier call stopped.

    Args:
        folder: folder of the checkpoint.
        tell: called after every step.
        identity: digest of settings and images; a checkpoint with another one is refused.
        save_seconds: time between checkpoints. It changes no result.

    Returns:
        The finished training.

    Raises:
        ChangedError: settings or images differ from those of the checkpoint.
        RecipeError: there are fewer than two images.
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
            f"{path.parent.parent}: this folder holds a training with other settings or images; restore them, train "
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
    """Iterate over (step number, stacked views) of all remaining steps."""
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
    """The images of one epoch as a dataset of torch. A view depends on seed, epoch and uid only."""

    task: Task
    pictures: Pictures
    seed: int
    epoch: int

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Any:
        key = hash_key(self.seed, "view", str(self.epoch), self.pictures.uid(index))
        _seed(key)
        return self.task.view(self.pictures.read(index), key)


def _seed(key: int) -> None:
    """Seed every generator that libraries use; `reproducible` restores their states."""
    import_torch().manual_seed(key % 2**63)
    np.random.seed(key % 2**32)
    random.seed(key)


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Restore generators and threads on exit; on a GPU, use only algorithms that sum in a fixed order."""
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
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # otherwise cuBLAS may sum in another order
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
    """Return a learning rate that decays from `rate` to zero along half a cosine."""
    return float(rate * 0.5 * (1 + np.cos(np.pi * step / steps)))


Images = npt.NDArray[np.uint8]
"""RGB images (n, edge, edge, 3)."""
