"""Decode image files ahead of the forward pass, in groups of fixed size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from poolwright.core.images.image_files import Limits
from poolwright.models.encoders.prepare import Preparation


@dataclass(frozen=True)
class Slot:
    """Memory for the pixels of one group: uint8 (size, edge, edge, 3), and what owns it (a pinned tensor)."""

    pixels: np.ndarray
    owner: Any = None


@dataclass(frozen=True)
class Group:
    """Some consecutive files, decoded.

    Attributes:
        start: index of the first among the files.
        slot: pixels; zeros where there is no image, and after the last file.
        reasons: per file None, or why there is no image.
    """

    start: int
    slot: Slot
    reasons: list[str | None]

    @property
    def good(self) -> np.ndarray:
        """Indices within the group that have an image."""
        return np.array([index for index, reason in enumerate(self.reasons) if reason is None], np.int64)


@dataclass(frozen=True)
class Feed:
    """Decodes files in groups.

    Attributes:
        preparation: from image to pixels.
        size: images per group.
        new_slot: makes the memory of a group.
        workers: threads that decode ahead; None decodes when a group is requested.
        ahead: most groups in memory, without the one in use.
        grain: files that a thread decodes per task.
    """

    preparation: Preparation
    size: int
    new_slot: Callable[[], Slot]
    workers: Executor | None = None
    ahead: int = 2
    grain: int = 8

    def groups(self, files: Sequence[bytes | None], limits: Limits) -> Iterator[Group]:
        """Yield all files as groups, in order."""
        waiting: deque[_Decoding] = deque()
        try:
            for start in range(0, len(files), self.size):
                waiting.append(self._begin(files, start, limits))
                if len(waiting) > self.ahead or self.workers is None:
                    yield waiting.popleft().finish()
            while waiting:
                yield waiting.popleft().finish()
        finally:
            for decoding in waiting:
                decoding.cancel()

    def _begin(self, files: Sequence[bytes | None], start: int, limits: Limits) -> _Decoding:
        stop = min(start + self.size, len(files))
        group = Group(start, self.new_slot(), [None] * (stop - start))
        tasks = [
            _Task(files, group, range(first, min(first + self.grain, stop)), self.preparation, limits)
            for first in range(start, stop, self.grain)
        ]
        return _Decoding(group, [(task, self.workers.submit(task) if self.workers else None) for task in tasks])


@dataclass(frozen=True)
class _Task:
    """Decode some files of a group into their rows of the slot."""

    files: Sequence[bytes | None]
    group: Group
    indices: range
    preparation: Preparation
    limits: Limits

    def __call__(self) -> None:
        for index in self.indices:
            at = index - self.group.start
            out = self.group.slot.pixels[at]
            self.group.reasons[at] = self.preparation.decode(self.files[index], self.limits, out)


@dataclass(frozen=True)
class _Decoding:
    group: Group
    tasks: list[tuple[_Task, Future[None] | None]]

    def finish(self) -> Group:
        """Wait for the group; the caller runs tasks that no thread has begun, so that few threads never delay it."""
        for task, future in self.tasks:
            if future is None or future.cancel():
                task()
            else:
                future.result()
        return self.group

    def cancel(self) -> None:
        for _, future in self.tasks:
            if future is not None:
                future.cancel()
