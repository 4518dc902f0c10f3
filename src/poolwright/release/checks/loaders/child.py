"""The process that loads a release with one library."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

from poolwright.release.checks.loaders.loader import RESULT, TASK, Loader
from poolwright.release.checks.result import Check, Skip, as_check

_LONGEST = 300
_HERE = ("localhost", "127.0.0.1", "::1")
_NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.sendto")


def main() -> None:
    """Load the release of the task in the folder that the command line names, and write the result next to it."""
    own = Path(sys.argv[1])
    loader, folder, release, full = pickle.loads((own / TASK).read_bytes())  # written by the process that waits for us
    sys.addaudithook(_refuse_network(loader.local))
    (own / RESULT).write_text(json.dumps(asdict(_load(loader, folder, release, full))), encoding="utf-8")


def _refuse_network(local: bool) -> Callable[[str, Any], None]:
    """Return a hook that refuses connections, except to this machine if `local`."""

    def hook(event: str, arguments: Any) -> None:
        if event in _NETWORK:
            address = arguments[0 if event == "socket.getaddrinfo" else 1]
            host = address[0] if isinstance(address, tuple) else address
            if not local or host not in _HERE:
                raise OSError("a release is verified without network")

    return hook


def _load(loader: Loader, *task: Any) -> Check:
    named = f"{loader.module} {_version(loader)}".strip()
    try:
        wrong, words = loader.load(*task)
    except Skip as skipped:
        return Check(loader.module, None, f"skipped: {skipped}")
    except Exception as error:  # a library may fail in any way; the result says how
        wrong, words = [_one_line(error)], ""
    check = as_check(loader.module, wrong, words)
    return Check(check.name, check.ok, f"{named}: {check.words}")


def _version(loader: Loader) -> str:
    try:
        names = packages_distributions().get(loader.module) or [loader.package or loader.module]
        return version(names[0])
    except PackageNotFoundError:
        return ""


def _one_line(error: BaseException) -> str:
    """Return the error that began a chain, on one line: libraries wrap it in ones that say less."""
    while error.__cause__ is not None:
        error = error.__cause__
    words = " ".join(str(error).split())
    words = f"{words[:_LONGEST]}..." if len(words) > _LONGEST else words
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
