"""Run in a folder of an object store: by a local work folder that a thread keeps the remote one the same as."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.files import make_folder
from poolwright.core.roles import AnnotationStep, SourceStep
from poolwright.core.runtime.progress import Listener
from poolwright.recipe.recipe import Recipe
from poolwright.run.engine.errors import is_interrupt
from poolwright.run.lock import run_lock
from poolwright.run.remote.lease import RENEWED, Lease
from poolwright.run.remote.mirror import Mirror
from poolwright.run.remote.store import RunStore

SECONDS = 10.0
"""Seconds from one look for changed files to the next."""

_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(.+)", re.IGNORECASE)
_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")


def remote_url(folder: str | Path) -> str | None:
    """Return the URL of a remote run folder; None if it is a local one. A `Path` has lost one of its slashes."""
    match = _URL.fullmatch(str(folder))
    return f"{match[1].lower()}://{match[2].rstrip('/')}" if match else None


def work_folder(recipe: Recipe, url: str) -> Path:
    """Return the local work folder of a remote run folder, next to the recipe's other run folders."""
    name = url.rpartition("/")[2]
    return recipe.default_run.parent / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def refuse_remote(folder: str | Path) -> None:
    """Refuse a remote run folder where only a local one will do.

    Raises:
        RecipeError: it is one.
    """
    if url := remote_url(folder):
        raise RecipeError(
            f"{url}: only `poolwright run` works in a remote run folder; name its work folder, which the run shows. "
            f"On another machine, the same run brings it: poolwright run RECIPE --run {url}"
        )


@contextmanager
def run_folder(recipe: Recipe, folder: str | Path | None, listener: Listener) -> Iterator[Path]:
    """Give the local folder to run in; a remote run folder is kept the same while the block runs.

    Args:
        recipe: its default run folder is taken if none is named.
        folder: local path or URL.

    Raises:
        PoolwrightError: another process works in the remote folder, or the store fails.
    """
    url = None if folder is None else remote_url(folder)
    if url is None:
        yield recipe.default_run if folder is None else Path(folder).resolve()
        return
    if url.partition("://")[0] not in _STORES:
        raise RecipeError(f"{url}: run folders are local, or in S3, Google Cloud Storage or Azure Blob Storage")
    _check_recipe(recipe, url)
    here = work_folder(recipe, url)
    make_folder(here)
    store = RunStore(url)
    lease = Lease(store)
    try:
        listener.note(f"run folder {url}; its work folder is {here}")
        with run_lock(here):  # not while it is replaced by the remote one
            mirror = Mirror(store, here, lease)
        with _kept_the_same(mirror, lease, here):
            yield here
    finally:
        lease.end()


@contextmanager
def _kept_the_same(mirror: Mirror, lease: Lease, folder: Path) -> Iterator[None]:
    stopped = threading.Event()
    sending = threading.Thread(target=_every, args=(SECONDS, mirror.sync, stopped), daemon=True)
    renewing = threading.Thread(target=_every, args=(RENEWED, lease.check, stopped), daemon=True)
    sending.start()
    renewing.start()
    try:
        yield
    except BaseException as error:
        stopped.set()
        if not is_interrupt(error):  # Ctrl-C ends at once; the next run sends the rest
            sending.join()
            renewing.join()
            with suppress(PoolwrightError):
                mirror.sync()
        raise
    stopped.set()
    sending.join()
    renewing.join()
    try:
        mirror.finish()
    except PoolwrightError as error:
        raise PoolwrightError(
            f"{error}\nAll tables are finished in {folder}, and not all of them are in the store; the same command "
            "sends the rest"
        ) from None


def _every(seconds: float, call: Callable[[], None], stopped: threading.Event) -> None:
    """Call again and again. What fails is tried again; if it still fails at the end, the run says so."""
    while not stopped.wait(seconds):
        with suppress(PoolwrightError, OSError):
            call()


def _check_recipe(recipe: Recipe, url: str) -> None:
    """Check that nothing but the run itself writes into its folder.

    Raises:
        RecipeError: people answer there, or images are fetched into it.
    """
    for table in recipe.tables.values():
        for placed in table.steps:
            if isinstance(placed.step, AnnotationStep | SourceStep):
                raise recipe.source.error(
                    placed.key,
                    f"'{placed.step.verb}' does not work in a remote run folder, {url}: answers and images arrive in "
                    "it while no run keeps it the same; run in a local folder, and send its releases: poolwright push",
                )
