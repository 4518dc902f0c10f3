"""Shared parts of all encoders: vectors of texts, and digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from poolwright.core.encoder import Encoder
from poolwright.core.files import sha256_file
from poolwright.core.images.image_files import Limits
from poolwright.kernels.similarity.unit_length import unit_rows

EVERYTHING = Limits()


@dataclass(frozen=True)
class Peek:
    """Properties of an encoder known without loading its weights.

    Attributes:
        name: as `Encoder.name`.
        width: as `Encoder.width`.
        weights: as `Encoder.weights`; empty if only loading them (and first downloading) gives it.
        texts: whether it has a text encoder.
    """

    name: str
    width: int
    weights: str
    texts: bool


class ImageEncoder(Encoder, Protocol):
    """An encoder as `load_encoder` returns it: `images` takes limits."""

    def images(
        self, files: Sequence[bytes | None], limits: Limits = EVERYTHING
    ) -> tuple[np.ndarray, list[str | None]]: ...


def encode_unique(texts: Sequence[str], encode: Callable[[list[str]], np.ndarray], width: int) -> np.ndarray:
    """Return vectors of texts, each distinct text encoded once."""
    numbers: dict[str, int] = {}
    index = [numbers.setdefault(text, len(numbers)) for text in texts]
    if not numbers:
        return np.zeros((0, width), np.float32)
    return unit_rows(encode(list(numbers)), zero=np.nan)[index]


def identity_digest(identity: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a description in canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, cached while its size and modification time stay the same."""
    status = path.stat()
    return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return sha256_file(path)
