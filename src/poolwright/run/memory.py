"""Remember in the run folder which recipe it was last run with, and report what went wrong in it."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from poolwright.core.errors import InputError, PoolwrightError
from poolwright.core.files import write_text
from poolwright.recipe.recipe import Recipe

MEMORY = "run.json"


def remember(recipe: Recipe, folder: Path) -> None:
    """Keep the recipe in the run folder: as written, and as data with the names of its variables."""
    source = recipe.source
    memory = {"folder": str(source.folder), "name": source.name, "data": source.unfilled}
    if (source.folder / source.name).is_file():
        memory["file"] = _relative(source.folder / source.name, folder)
    write_text(folder / "recipe.yaml", source.text)
    write_text(folder / MEMORY, json.dumps(memory, indent=1, ensure_ascii=False, default=str) + "\n")


def recall(folder: Path) -> Recipe:
    """Return the recipe that a run folder was last run with.

    Paths in it are relative to the folder of the recipe file, also after that was moved or copied with the run.

    Raises:
        InputError: the folder is not a run folder, or its memory is damaged.
    """
    path = folder / MEMORY
    try:
        memory = json.loads(path.read_text(encoding="utf-8"))
        data, of = memory["data"], memory["folder"]
        file = folder / memory.get("file", "")
        of = str(file.resolve().parent) if file.is_file() else of
    except FileNotFoundError:
        raise InputError(f"{folder}: no run in this folder ({MEMORY} is missing); give the folder of a run") from None
    except (OSError, ValueError, TypeError, KeyError):
        raise InputError(f"{path}: the file is damaged; run the recipe again, and it is written anew") from None
    return Recipe.from_data(data, of, unset=True)


def check_same_recipe(recipe: Recipe, folder: Path) -> Path | None:
    """Check that the default run folder of a recipe is not in use by another recipe file, which is still there.

    A recipe that was renamed, and a project that was moved or copied, go on as before; so does a folder that was named.

    Returns:
        The other recipe file whose run a folder that was named holds; None if it holds none.

    Raises:
        PoolwrightError: the default folder is in use; the message says what to do.
    """
    try:
        before = json.loads((folder / MEMORY).read_text(encoding="utf-8")).get("file")
    except (OSError, ValueError, AttributeError):
        return None
    now = recipe.source.folder / recipe.source.name
    if not before or not now.is_file():
        return None
    known = Path(os.path.normpath(folder / before))
    if not known.is_file() or known.samefile(now):
        return None
    if folder != recipe.default_run:
        return known
    raise PoolwrightError(
        f"{folder} holds a run of another recipe, {known}, and {now.name} has the same name: '{recipe.name}'. "
        "Give this recipe another name, or a folder of its own with --run"
    )


def _relative(path: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return path.as_posix()


@contextmanager
def in_words(recipe: Recipe, folder: Path) -> Iterator[None]:
    """Report errors of the file system in one line, and keep values of environment variables out of all errors.

    Raises:
        PoolwrightError: in place of an OSError, or as it was raised.
    """
    try:
        yield
    except PermissionError as error:
        text = f"{error.filename}: no permission; the run folder {folder} must be writable, inputs readable"
        raise PoolwrightError(recipe.source.hide(text)) from None
    except OSError as error:
        text = f"{error.filename or folder}: {error.strerror or error}; run the same command again to continue"
        if error.errno == errno.EROFS:
            text = f"{error.filename or folder}: the file system is read-only; the run folder {folder} must be writable"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or folder
            text = f"{where}: the disk is full; make room and run the same command again: it continues"
        raise PoolwrightError(recipe.source.hide(text)) from None
    except PoolwrightError as error:
        error.args = tuple(recipe.source.hide(list(error.args)))
        raise
