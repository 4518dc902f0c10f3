"""Run in a folder of an object store: by a local work folder that a thread keeps the remote one the same as."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.files import make_folder
from poolwright.core.roles import AnnotationStep
from poolwright.core.runtime.progress import Listener
from poolwright.recipe.recipe import Recipe
from poolwright.run.engine.errors import is_interrupt
from poolwright.run.lock import run_lock
from poolwright.run.memory import recall
from poolwright.run.remote.answers import AnswerExchange
from poolwright.run.remote.contents import SERIAL, passing_files
from poolwright.run.remote.lease import RENEWED, STUDIO, Lease
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
    here = work_folder(recipe, url)
    make_folder(here)
    store = RunStore(url)
    with _held(store) as lease:
        listener.note(f"run folder {url}; its work folder is {here}")
        if any(isinstance(placed.step, AnnotationStep) for table in recipe.tables.values() for placed in table.steps):
            listener.note(f"files of answers may be put into {url}/verify/TABLE/verdicts/, or into the work folder")
        with run_lock(here):  # not while it is replaced by the remote one
            mirror = Mirror(store, here, lease, passing_files(recipe, here))
        answers = AnswerExchange(store, here)
        answers.exchange()
        with _kept_the_same(mirror, answers, lease, here, listener):
            yield here


@contextmanager
def studio_folder(folder: Path) -> Iterator[None]:
    """Send what people give in a studio to the remote run folder while the block runs, if `folder` is its work folder.

    The work folder is brought to the state of the remote one first. Runs may go on meanwhile, here or elsewhere.

    Raises:
        PoolwrightError: another studio is at work on the remote run folder, a run is and not here, or the store fails.
    """
    url = _url_of(folder)
    if url is None:
        yield
        return
    store = RunStore(url)
    with _held(store, STUDIO) as held:
        with suppress(_RunsHere), _not_running(folder), _held(store) as lease:
            Mirror(store, folder, lease, passing_files(recall(folder), folder))
        answers = AnswerExchange(store, folder)
        answers.exchange()
        try:
            with _repeated((SECONDS, answers.exchange), (RENEWED, held.check)):
                yield
        finally:
            try:
                answers.exchange()
            except PoolwrightError as error:
                raise PoolwrightError(
                    f"{error}\nAll answers are in {folder}, and not all of them are in the store; the next studio or "
                    "run in it sends the rest"
                ) from None


class _RunsHere(PoolwrightError):
    """A run goes on in the work folder."""


@contextmanager
def _not_running(folder: Path) -> Iterator[None]:
    """Hold the lock of a work folder; `_RunsHere` if a run does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(run_lock(folder))
        except PoolwrightError as error:
            raise _RunsHere(str(error)) from None
        yield


def _url_of(folder: Path) -> str | None:
    """Return the URL of the remote run folder that a folder is the work folder of."""
    with suppress(OSError, ValueError, AttributeError):
        found: str | None = json.loads((folder / SERIAL).read_text(encoding="utf-8")).get("url")
        return found
    return None


@contextmanager
def _held(store: RunStore, *name: str) -> Iterator[Lease]:
    lease = Lease(store, *name)
    try:
        yield lease
    finally:
        lease.end()


@contextmanager
def _kept_the_same(
    mirror: Mirror, answers: AnswerExchange, lease: Lease, folder: Path, listener: Listener
) -> Iterator[None]:
    calls = (SECONDS, answers.exchange), (SECONDS, mirror.sync), (RENEWED, lease.check)
    try:
        with _repeated(*calls):
            yield
    except BaseException as error:
        if not is_interrupt(error):  # Ctrl-C ends at once; the next run sends the rest
            for _, call in calls[:2]:
                try:
                    call()
                except PoolwrightError as unsent:
                    listener.note(f"{unsent}\nnot all of {folder} is in the store; the same command sends the rest")
        raise
    try:
        answers.exchange()
        mirror.finish()
    except PoolwrightError as error:
        raise PoolwrightError(
            f"{error}\nAll tables are finished in {folder}, and not all of them are in the store; the same command "
            "sends the rest"
        ) from None


@contextmanager
def _repeated(*calls: tuple[float, Callable[[], None]]) -> Iterator[None]:
    """Make each call every so many seconds, in a thread of its own, while the block runs."""
    stopped = threading.Event()
    threads = [threading.Thread(target=_every, args=(*one, stopped), daemon=True) for one in calls]
    for thread in threads:
        thread.start()
    interrupted = False
    try:
        yield
    except BaseException as error:
        interrupted = is_interrupt(error)
        raise
    finally:
        stopped.set()
        for thread in () if interrupted else threads:
            thread.join()


def _every(seconds: float, call: Callable[[], None], stopped: threading.Event) -> None:
    """Call again and again. What fails is tried again; if it still fails at the end, the run says so."""
    while not stopped.wait(seconds):
        with suppress(PoolwrightError, OSError):
            call()
