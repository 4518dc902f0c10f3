"""Stores selections: positions of rows that someone picked, next to the index and named by their digest.

A selection that a rule made has the steps that do the same in a recipe, next to its positions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from poolwright.core.errors import InputError
from poolwright.core.files import write_atomically, write_text

FOLDER = "selections"
_NAME = re.compile(r"[0-9a-f]{16}")


def save_selection(folder: Path, positions: Iterable[int], rows: int, steps: str = "") -> str:
    """Store some positions.

    Args:
        folder: the folder of the index.
        positions: in any order.
        rows: number of rows of the index.
        steps: the steps of a recipe that the selection stands for; '' if it was made by hand.

    Returns:
        The name of the selection: the same for the same positions and steps.

    Raises:
        InputError: a position is not in the index, or there is none.
    """
    picked = np.unique(np.fromiter(positions, np.int64))
    if not len(picked):
        raise InputError("nothing is selected; draw around some points")
    if picked[0] < 0 or picked[-1] >= rows:
        raise InputError(f"the selection names rows that do not exist (0 to {rows - 1}); reload the page")
    name = hashlib.sha256(picked.astype("<i8").tobytes() + steps.encode()).hexdigest()[:16]
    path = folder / FOLDER / f"{name}.npy"
    if steps and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path.with_suffix(".yaml"), steps)
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


def selection_steps(folder: Path, name: str) -> str:
    """Return the steps that a selection stands for; '' if it was made by hand."""
    path = folder / FOLDER / f"{name}.yaml"
    return path.read_text(encoding="utf-8") if _NAME.fullmatch(name) and path.exists() else ""
