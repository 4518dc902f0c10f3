"""Index a file whose lines are 'number, tab, value', in any order, to look up the value of a number.

Next to a file is the folder '<file>.poolwright-index' with one folder inside for the file as it is now, named after
its size and time: `ids.npy` (int64, sorted), `offsets.npy` and `lengths.npy` (positions of the values in the file), and
`lines.data`, the unpacked file, if it is packed or behind a URL. The arrays are memory-mapped, so that a lookup
needs memory only for what it finds.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from poolwright.core.errors import InputError
from poolwright.core.remote.listing import info_of
from poolwright.core.remote.schemes import is_url
from poolwright.core.runtime.locks import one_at_a_time
from poolwright.pools.readers.line_index_build import ARRAYS, DATA, is_copied, make_index
from poolwright.pools.readers.paths import base_name, first_line, raise_if_unreachable

_VERSION = "v1"


@dataclass(frozen=True)
class LineIndex:
    """An index, open.

    Attributes:
        ids: int64 (n,), sorted.
        offsets: int64 (n,): first byte of each value in the data.
        lengths: int32 (n,): bytes of each value.
        data: the unpacked file.
    """

    ids: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    data: mmap.mmap | bytes

    def values(self, ids: np.ndarray) -> pa.Array:
        """Return the values of numbers (n,) as bytes; null if there is no line. Of several lines the first counts."""
        order = np.argsort(ids, kind="stable")
        positions = np.searchsorted(self.ids, ids[order])
        inside = positions < len(self.ids)
        inside[inside] = self.ids[positions[inside]] == ids[order[inside]]
        rows, positions = order[inside], positions[inside]
        offsets, lengths = self.offsets[positions], self.lengths[positions]
        found: list[bytes | None] = [None] * len(ids)
        for at in np.argsort(offsets):  # forward through the file
            found[rows[at]] = self.data[offsets[at] : offsets[at] + lengths[at]]
        return pa.array(found, pa.binary())


def open_index(file: str, folder: str | None) -> LineIndex:
    """Open the index of a file; it is made if there is none of the file as it is now.

    Args:
        file: path or URL.
        folder: folder of indexes; None for next to the file.

    Raises:
        InputError: the file cannot be read, a line of it has no tab or no number, or the index cannot be written.
    """
    path = index_folder(file, folder) / stamp(file)
    if not path.is_dir():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with one_at_a_time(path.parent / ".lock"):
                if not path.is_dir():
                    make_index(file, path)
        except OSError as error:
            raise InputError(
                f"{path.parent}: the index of {base_name(file)} cannot be written ({first_line(error)}); "
                "name a folder that can be with 'index: FOLDER', or make room"
            ) from None
    return _opened(file, path)


def index_folder(file: str, folder: str | None) -> Path:
    """Return the folder of the index of a file: next to it, or in `folder` under a name of its own."""
    if folder is None:
        return Path(f"{file}.poolwright-index")
    whole = file if is_url(file) else os.path.abspath(file)
    return Path(folder) / f"{base_name(file)}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.poolwright-index"


def stamp(file: str) -> str:
    """Return a file name that identifies the file as it is now, by its size and time.

    Raises:
        InputError: the file is gone, or may not be read.
    """
    try:
        if not is_url(file):
            status = os.stat(file)
            return f"{status.st_size}-{status.st_mtime_ns}-{_VERSION}"
        found = info_of(file)
    except OSError as error:
        raise_if_unreachable(error, file)
        raise InputError(f"{file}: cannot be examined: {first_line(error)}") from None
    return f"{found.size}-{hashlib.sha256(found.state.encode()).hexdigest()[:16]}-{_VERSION}"


def _opened(file: str, path: Path) -> LineIndex:
    arrays = {name: _mapped(path / f"{name}.npy") for name in ARRAYS}
    data = path / DATA if is_copied(file) else Path(file)
    with data.open("rb") as source:
        mapped = mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) if data.stat().st_size else b""
    return LineIndex(arrays["ids"], arrays["offsets"], arrays["lengths"], mapped)


def _mapped(file: Path) -> np.ndarray:
    try:
        return cast(np.ndarray, np.load(file, mmap_mode="r"))
    except ValueError:  # an empty array cannot be mapped
        return cast(np.ndarray, np.load(file))
