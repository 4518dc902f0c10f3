"""Load a release with the libraries that its card names, each in a process of its own.

The process has no network, no tokens, no usage reporting, and a temporary folder for whatever libraries cache. A crash
of a library ends its own process alone, and one that takes too long is stopped.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cloudpickle

from poolwright.core.errors import EXTRAS, is_installed
from poolwright.release.checks.result import Check, Findings, Skip
from poolwright.release.record import ReleaseRecord

SECONDS = 120
"""Time that a loader has, unless everything is to be read."""
TASK, RESULT = "task.pkl", "result.json"
_AT_ONCE = 2
_CHILD = "from poolwright.release.checks.loaders.child import main; main()"
_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH")
_OFFLINE = (
    "HF_HUB_OFFLINE",
    "HF_DATASETS_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "FIFTYONE_DO_NOT_TRACK",
)
_CACHES = (
    "HF_HOME",
    "HF_DATASETS_CACHE",
    "HF_HUB_CACHE",
    "XDG_CACHE_HOME",
    "TORCH_HOME",
    "FIFTYONE_DATABASE_DIR",
    "TMPDIR",
    "TEMP",
    "TMP",
)


@dataclass(frozen=True)
class Loader:
    """A library that loads a release as its card says.

    Attributes:
        module: name that the library is imported by; its check has the same name.
        load: loads the release from a folder and returns (problems, what was loaded in words); an exception is a
            problem too. The last argument is True if every row is to be read, else a sample. Runs in another process:
            a function at the top of a module, or a method of the layout.
        package: name that the library is installed by, if it is another one.
        local: whether it connects to a service on this machine, such as a database.
    """

    module: str
    load: Callable[[Path, ReleaseRecord, bool], Findings]
    package: str = ""
    local: bool = False

    @property
    def install(self) -> str:
        """The command that installs the library."""
        extra = EXTRAS.get(self.module)
        wanted = f"'poolwright[{extra}]'" if extra else self.package or self.module
        return f"pip install {wanted}"


@contextmanager
def importing() -> Iterator[None]:
    """Skip a loader whose library is installed but cannot be imported: that is no fault of the release."""
    try:
        yield
    except Exception as error:  # compiled libraries that do not fit each other raise all kinds
        words = " ".join(str(error).split())
        raise Skip(f"it cannot be imported, so it was not tried: {type(error).__name__}: {words}") from None


def check_loaders(loaders: Sequence[Loader], folder: Path, release: ReleaseRecord, full: bool) -> Iterator[Check]:
    """Load a release with every loader that is installed.

    Args:
        full: whether every row is read, however long that takes; otherwise a sample, within `SECONDS`.
    """
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        yield from threads.map(lambda loader: _check(loader, folder.absolute(), release, full), loaders)


def _check(loader: Loader, folder: Path, release: ReleaseRecord, full: bool) -> Check:
    if not is_installed(loader.module):
        return Check(loader.module, None, f"skipped: not installed, so not tried; {loader.install}")
    with TemporaryDirectory(prefix="poolwright-verify-", ignore_cleanup_errors=True) as own:
        task = Path(own, TASK)
        task.write_bytes(cloudpickle.dumps((loader, folder, release, full)))
        command = [sys.executable, "-P", "-c", _CHILD, own]
        try:
            ended = subprocess.run(
                command,
                cwd=own,
                env=_environment(own),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=None if full else SECONDS,
            )
        except subprocess.TimeoutExpired:
            return Check(loader.module, None, f"skipped: not loaded within {SECONDS} s; --full waits for it")
        return _result(loader.module, Path(own, RESULT), ended)


def _result(name: str, path: Path, ended: subprocess.CompletedProcess[bytes]) -> Check:
    if path.is_file():
        return Check(**json.loads(path.read_text(encoding="utf-8")))
    said = ended.stderr.decode(errors="replace").strip().splitlines()
    how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"exit status {ended.returncode}"
    return Check(name, False, f"its process ended with {how}{f': {said[-1]}' if said else ''}")


def _environment(own: str) -> dict[str, str]:
    """Return the environment of a loader: that of this process, but offline and with all caches in `own`."""
    kept = {name: value for name, value in os.environ.items() if name not in _TOKENS}
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**kept, **dict.fromkeys(_OFFLINE, "1"), **dict.fromkeys(_CACHES, own), "PYTHONPATH": path}
