"""Opens the rows that a path names: a release, a finished table, a folder of images, a dataset, a file of rows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from poolwright.core.errors import RecipeError
from poolwright.core.table import RECORD, Table
from poolwright.jobs.apply import kind_of_folder
from poolwright.recipe.recipe import make_pool
from poolwright.release.record import RELEASE
from poolwright.run.sources.source import Source, pool_source, table_source

_SAVED = ("dataset_info.json", "dataset_dict.json", "state.json")
"""Files that `datasets` writes with `save_to_disk`."""


def open_source(given: str, kind: str | None = None, parameters: Mapping[str, Any] | None = None) -> Source:
    """Open the rows that a path names.

    Args:
        given: folder of images, release, table of a run (`RUN/tables/NAME`), dataset of the Hugging Face Hub (a folder,
            or hf://datasets/USER/NAME), or the path of a pool.
        kind: kind of the pool, if the path does not show it.
        parameters: further parameters of the pool.

    Raises:
        RecipeError: there is no such file or folder, or it cannot be read as this kind.
    """
    path = given if "://" in given else os.path.abspath(os.path.expanduser(given))
    if kind is None and _is_table(Path(path)):
        return table_source(Table(Path(path)))
    if kind is None and "://" not in path and not os.path.exists(path):
        raise RecipeError(f"{given}: no such file or folder")
    kind = kind or _kind_of(path)
    return pool_source(kind, make_pool(kind, {**(parameters or {}), "path": path}, Path.cwd()))


def _is_table(folder: Path) -> bool:
    return (folder / RECORD).is_file() and not (folder / RELEASE).exists()


def _kind_of(path: str) -> str:
    if path.startswith("hf://"):
        return "huggingface"
    if not os.path.isdir(path):
        return "table"
    folder = Path(path)
    card = folder / "README.md"
    if not (folder / RELEASE).exists():
        if any((folder / name).exists() for name in _SAVED):
            return "huggingface"
        if card.is_file() and card.read_text(encoding="utf-8", errors="replace").startswith("---"):
            return "huggingface"
    return kind_of_folder(path)
