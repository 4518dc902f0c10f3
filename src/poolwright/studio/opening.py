"""Open anything that holds images or rows as a run: a run itself, or a recipe of one table over what a path holds."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any

from xxhash import xxh3_64_hexdigest

from poolwright.api import Recipe, run
from poolwright.core.columns import IMAGE_PATH, LABEL
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.pool import Pool
from poolwright.pools.image_folder import ImageFolder
from poolwright.recipe.recipe import make_pool
from poolwright.registry import pool_class, pool_registry
from poolwright.run.memory import MEMORY

TABLE = "rows"
"""Name of the table of what is opened."""

_LABEL = f"nullif(regexp_extract({IMAGE_PATH}, '([^/]+)/[^/]*$', 1), '')"
_WALKED = 50
_FOLDER = f"nullif(regexp_extract({IMAGE_PATH}, '^(.*)/[^/]+/[^/]*$', 1), '')"


def run_of(path: Path) -> Path:
    """Return the run folder of a path; of anything but a run, one is made in the cache of this user.

    Pools are recognised by `Pool.recognises`. What has changed since it was opened last is read again. Nothing is
    written where the path is.

    Args:
        path: a run folder, a release, a folder of images, a Parquet file or a folder of them, a Hugging Face folder.

    Raises:
        InputError: there is nothing at the path, or nothing that can be opened.
        RecipeError: it can be recognised, but not read.
    """
    path = path.expanduser().resolve()
    if (path / MEMORY).is_file():
        return path
    kind = _kind_of(path)
    folder = _cache_of(path)
    recipe = Recipe.from_data(_recipe(kind, path), path.parent)
    try:
        run(recipe, folder, release=False)
    except ChangedError:
        run(recipe, folder, fresh=[TABLE], release=False)
    return folder


def runs_cache(path: Path) -> Path:
    """Return the folder in the cache of this user for the key of a folder of runs."""
    return _cache_of(path.resolve(), "runs-")


def _cache_of(path: Path, before: str = "") -> Path:
    return _cache() / f"{before}{plain(path.name)}-{xxh3_64_hexdigest(str(path).encode())}"


def _kind_of(path: Path) -> type[Pool]:
    if not path.exists():
        raise InputError(f"{path}: no run in this folder, since there is no such file or folder")
    runs = sorted(one.parent.name for one in path.glob(f"*/{MEMORY}")) if path.is_dir() else []
    if runs:
        raise InputError(f"{path}: no run in this folder, but in those below it: {', '.join(runs)}; open one of them")
    kinds = [pool_class(kind) for kind in pool_registry().names()]
    best = max(kinds, key=lambda kind: kind.recognises(path))
    if best.recognises(path):
        return best
    raise InputError(
        f"{path}: no run in this folder, nor a release, images, Parquet or a folder of Hugging Face; give such a path"
    )


def _recipe(kind: type[Pool], path: Path) -> dict[str, Any]:
    parameters: dict[str, Any] = {"path": str(path)}
    if "uid" in kind.model_fields:
        try:
            make_pool(kind.kind, parameters, path.parent).arrow_schema()
        except RecipeError:
            parameters["uid"] = "row"  # it has no column of ids
    return {
        "recipe": 1,
        "name": plain(path.stem),
        "pools": {"opened": {"read": kind.kind, **parameters}},
        "tables": {TABLE: {"from": "opened", "steps": _folder_columns(path) if kind is ImageFolder else []}},
    }


def _folder_columns(path: Path) -> list[dict[str, Any]]:
    """Return the step that gives images the name of their folder as `label`, and those above it as `folder`.

    There are no such columns if there are no folders, as far as the first ones show.
    """
    deep = [any(not name.startswith(".") for name in names) for _, names, _ in islice(os.walk(path), _WALKED)]
    columns = {LABEL: _LABEL, **({"folder": _FOLDER} if any(deep[1:]) else {})}
    return [{"derive": columns}] if any(deep) else []


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "poolwright" / "studio"


def plain(name: str) -> str:
    """Return a name in small letters, digits and hyphens, for URLs and folders."""
    return "-".join("".join(one if one.isalnum() else " " for one in name.casefold()).split()) or "opened"
