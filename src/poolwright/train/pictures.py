"""Read the images of a training by index, from files or packed bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.files import ImageRoot
from poolwright.core.images.image_files import read_bytes
from poolwright.kernels.selection.hashing import hash64, hash_key


@dataclass(frozen=True)
class Pictures:
    """Images that can be read, in order of their uid. May be sent to other processes.

    Attributes:
        uids: (n,) string, ascending.
        roots: what paths are relative to.
        root_of: (n,) index into `roots`; -1 if the bytes are in `packed`.
        paths: (n,) paths of files, null if the bytes are in `packed`.
        starts, lengths: (n,) offsets and sizes in bytes within `packed`.
        packed: file of bytes, one image after another.
        digest: of uids and bytes of all images.
        left_out: number of rows that are left out of the training, by reason.
    """

    uids: pa.Array
    roots: tuple[ImageRoot, ...]
    root_of: npt.NDArray[np.int64]
    paths: pa.Array
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    packed: Path | None
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.uids)

    def uid(self, index: int) -> str:
        """Return the uid of one image."""
        return str(self.uids[index].as_py())

    def read(self, index: int) -> bytes:
        """Read the bytes of one image file.

        Raises:
            OSError: it cannot be read any more.
        """
        if self.root_of[index] < 0:
            if self.packed is None:
                raise OSError(f"the bytes of {self.uid(index)} are not stored; start the training again with --fresh")
            with self.packed.open("rb") as file:
                file.seek(int(self.starts[index]))
                return file.read(int(self.lengths[index]))
        found = read_bytes(self.roots[self.root_of[index]], self.paths[index].as_py())
        if isinstance(found, str):
            raise OSError(f"image {self.uid(index)}: {found}")
        return found

    def order(self, seed: int, epoch: int) -> npt.NDArray[np.int64]:
        """Return the indices of all images in the order of one epoch: by a hash of seed, epoch and uid."""
        return np.argsort(hash64(self.uids, hash_key(seed, "epoch", str(epoch))), kind="stable")

    def sample(self, seed: int, count: int) -> npt.NDArray[np.int64]:
        """Return the indices of some images, always the same ones for a seed."""
        return np.argsort(hash64(self.uids, hash_key(seed, "sample")), kind="stable")[:count]
