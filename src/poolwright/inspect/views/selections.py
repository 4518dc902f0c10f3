"""Stores selections: positions of rows that someone picked, next to the index and named by their digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.core.files import write_atomically

FOLDER = "selections"
_NAME = re.compile(r"[0-9a-f]{16}")


def save_selection(folder: Path, positions: Iterable[int], rows: int) -> str:
    """Store some positions.

    Args:
        folder: the folder of the index.
        positions: in any order.
        rows: number of rows of the index.

    Returns:
        The name of the selection: the same for the same positions.

    Raises:
        InputError: a position is not in the index, or there is none.
    """
    picked = np.unique(np.fromiter(positions, np.int64))
    if not len(picked):
        raise InputError("nothing is selected; draw around some points")
    if picked[0] < 0 or picked[-1] >= rows:
        raise InputError(f"the selection names rows that do not exist (0 to {rows - 1}); reload the page")
    name = hashlib.sha256(picked.astype("<i8").tobytes()).hexdigest()[:16]
    path = folder / FOLDER / f"{name}.npy"
    if not path.exists():
        write_atomically(path, lambda out: np.save(out, picked))
    return name


def read_selection(folder: Path, name: str) -> npt.NDArray[np.int64]:
    """Read the positions of a selection, ascending.

    Raises:
        InputError: there is no such selection of the table as it is now.
    """
    path = folder / FOLDER / f"{name}.npy"
    if not _NAME.fullmatch(name) or not path.exists():
        raise InputError(f"there is no selection '{name}' of this table any more; select again")
    return np.asarray(np.load(path))
