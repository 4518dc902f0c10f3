"""Say which files of a run folder are copied to a store: those of runs, those of people, or neither."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from poolwright.annotation.exchange.candidate_file import CANDIDATES
from poolwright.annotation.exchange.worklist import ASKED, INSTRUCTIONS, PEOPLE
from poolwright.annotation.queue.queue import CERTIFICATE
from poolwright.annotation.queue.store import STORE
from poolwright.core.files import PARTIAL
from poolwright.recipe.recipe import Recipe
from poolwright.run.lock import LOCK

SERIAL = "remote.json"
"""In the local folder: of which remote run folder it is the work folder, and which manifest it was last the same as."""

KNOWN, KNOWN_LOCK = "remote-answers.json", "remote-answers.lock"
"""In the local folder: the answers that were last the same here and there."""

ANSWER_FOLDERS = ("verify", "tags")
"""Folders of a run that people write to."""

_LOCAL_FILES = (SERIAL, KNOWN, KNOWN_LOCK, f"{STORE}-wal", f"{STORE}-shm")
_LOCAL_FOLDERS = ("logs", "studio")
_LOCKS = (LOCK, f"{LOCK}.holder")
_OF_RUNS = (ASKED, CANDIDATES, PEOPLE, CERTIFICATE)
"""Files of a worklist that follow from the rows and answers."""

Passing = Callable[[str], bool]
"""Whether a file, by its path in the run folder, is of no use elsewhere."""


def passing_files(recipe: Recipe, folder: Path) -> Passing:
    """Return which files in the work folder of a recipe are of no use elsewhere, by what its steps say of theirs."""
    steps = {
        f"{spec.source_step.folder_name}/{name}/": spec.source_step
        for name, spec in recipe.tables.items()
        if spec.source_step
    }

    def passing(path: str) -> bool:
        top = "/".join(path.split("/")[:2]) + "/"
        return top in steps and steps[top].is_passing(folder / top, path.removeprefix(top))

    return passing


def is_answer(path: str) -> bool:
    """Whether a file in a run folder is by people: answers, sheets, the history of a studio and its queues, tags."""
    top, _, inside = path.partition("/")
    if top == "verify":
        within = inside.split("/")[1:]
        return bool(within) and within[0] != INSTRUCTIONS and not (len(within) == 1 and within[0] in _OF_RUNS)
    return path == STORE or top in ANSWER_FOLDERS


def files_of_run(folder: Path, passing: Passing) -> Iterator[str]:
    """Yield the files of a run folder that are whole, by runs, and not of this machine alone, as POSIX paths."""
    return (path for path in _files(folder) if not (is_answer(path) or passing(path)))


def files_of_people(folder: Path) -> Iterator[str]:
    """Yield the files of a run folder that are by people, as POSIX paths."""
    if (folder / STORE).is_file():
        yield STORE
    for top in ANSWER_FOLDERS:
        yield from (path for name in _files(folder / top) if is_answer(path := f"{top}/{name}"))


def _files(top: Path) -> Iterator[str]:
    for inside, folders, names in os.walk(top):
        at_top = inside == str(top)
        local = _LOCAL_FOLDERS if at_top else ()
        folders[:] = sorted(name for name in folders if not name.endswith(PARTIAL) and name not in local)
        for name in sorted(names):
            is_local = name in _LOCKS or name.startswith("run.shared") or (at_top and name in _LOCAL_FILES)
            if not (is_local or name.endswith(PARTIAL)):
                yield os.path.relpath(os.path.join(inside, name), top).replace(os.sep, "/")
