"""Vectors: what all encoders do alike with what their models give."""

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
from poolwright.core.images.image import Limits
from poolwright.kernels.similarity.unit_length import unit_rows

EVERYTHING = Limits()


@dataclass(frozen=True)
class Peek:
    """What is known of an encoder without loading its weights.

    Attributes:
        name: as `Encoder.name`.
        width: as `Encoder.width`.
        weights: as `Encoder.weights`; empty where only loading (and first downloading) tells.
        texts: whether it has a text encoder.
    """

    name: str
    width: int
    weights: str
    texts: bool


class ImageEncoder(Encoder, Protocol):
    """An encoder as `load_encoder` gives it: `images` takes limits."""

    def images(
        self, files: Sequence[bytes | None], limits: Limits = EVERYTHING
    ) -> tuple[np.ndarray, list[str | None]]: ...


def encode_unique(texts: Sequence[str], encode: Callable[[list[str]], np.ndarray], width: int) -> np.ndarray:
    """Vectors of texts, each different text encoded once."""
    places: dict[str, int] = {}
    index = [places.setdefault(text, len(places)) for text in texts]
    if not places:
        return np.zeros((0, width), np.float32)
    return unit_rows(encode(list(places)), zero=np.nan)[index]


def identity_digest(identity: Mapping[str, Any]) -> str:
    """SHA-256 of a description in canonical JSON."""
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered while its size and time of change stay the same."""
    status = path.stat()
    return _digest(str(path.resolve()), status.st_size, status.st_mtime_ns)


@cache
def _digest(path: str, size: int, changed: int) -> str:
    return sha256_file(path)
