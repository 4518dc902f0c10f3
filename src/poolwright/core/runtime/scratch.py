"""Sort and join more rows than fit into memory, in a database that is removed at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from poolwright.core.runtime.cores import cores

_MEMORY = "2GB"
_free: list[Any] = []
"""Open instances of DuckDB without a database: each takes 30 ms to start."""

_inherited: list[Any] = []
"""Those of the process that this one was forked from: without their threads, they must not even be closed."""


@contextmanager
def scratch_database(prefix: str, folder: Path | None = None) -> Iterator[tuple[Any, Path]]:
    """Open an empty database. What does not fit into 2 GB of memory goes to files.

    Args:
        prefix: begins the name of the folder of its files.
        folder: where to put that folder; default the system's folder for temporary files.

    Yields:
        A connection to it, and the folder of its files, where others may be put.
    """
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=prefix, dir=folder) as work:
        instance = _instance(Path(work))
        base = instance.cursor()
        try:
            base.execute("attach ':memory:' as scratch")
            base.execute("use scratch")
            yield base, Path(work)
        finally:
            base.close()
            _give_back(instance)


def _instance(folder: Path) -> Any:
    import duckdb

    quoted = str(folder / "spill").replace("'", "''")
    spill = f"set temp_directory = '{quoted}'"
    while _free:
        instance = _free.pop()
        try:
            instance.execute(spill)
            return instance
        except duckdb.Error:  # it has used another folder, and cannot change it
            instance.close()
    instance = duckdb.connect(":memory:")
    for setting in (f"memory_limit = '{_MEMORY}'", f"threads = {cores()}", "autoinstall_known_extensions = false"):
        instance.execute(f"set {setting}")
    instance.execute(spill)
    return instance


def _give_back(instance: Any) -> None:
    import duckdb

    try:
        instance.execute("detach scratch")
        _free.append(instance)
    except duckdb.Error:  # a statement was interrupted
        instance.close()


def _after_fork() -> None:
    _inherited.extend(_free)
    _free.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
