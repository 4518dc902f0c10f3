"""Pictures: the images of a training, by number, wherever their bytes lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.images.image import read_bytes
from poolwright.kernels.selection.hashing import hash64, hash_key


@dataclass(frozen=True)
class Pictures:
    """Images that can be read, in order of their uid. May be sent to other processes.

    Attributes:
        uids: (n,) string, ascending.
        roots: folders or URLs that paths are relative to; None for whole paths.
        root_of: (n,) index into `roots`; -1 where the bytes lie in `packed`.
        paths: (n,) paths of files, null where the bytes lie in `packed`.
        starts, lengths: (n,) bytes within `packed`.
        packed: file of bytes, one image after another.
        digest: of uids and bytes of all images.
        left_out: rows that are no images for training, by reason in words.
    """

    uids: pa.Array
    roots: tuple[str | None, ...]
    root_of: npt.NDArray[np.int64]
    paths: pa.Array
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    packed: Path | None
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.uids)

    def uid(self, place: int) -> str:
        return str(self.uids[place].as_py())

    def read(self, place: int) -> bytes:
        """The bytes of one image file.

        Raises:
            OSError: it cannot be read any more.
        """
        if self.root_of[place] < 0:
            if self.packed is None:
                raise OSError(f"the bytes of {self.uid(place)} lie nowhere")
            with self.packed.open("rb") as file:
                file.seek(int(self.starts[place]))
                return file.read(int(self.lengths[place]))
        found = read_bytes(self.roots[self.root_of[place]], self.paths[place].as_py())
        if isinstance(found, str):
            raise OSError(f"image {self.uid(place)}: {found}")
        return found

    def order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """All images in the order of one epoch: by a hash of seed, epoch and uid, so whatever order they lie in."""
        return np.argsort(hash64(self.uids, hash_key(seed, "epoch", str(epoch))), kind="stable")

    def sample(self, seed: int, count: int) -> npt.NDArray[np.int64]:
        """Some images, the same ones for a seed."""
        return np.argsort(hash64(self.uids, hash_key(seed, "sample")), kind="stable")[:count]
