"""Find img2dataset in an environment of its own, and run its command line there.

img2dataset pins pandas below 3 and brings OpenCV and wandb, so it is never imported here. Its command line is made by
python-fire from the signature of `img2dataset.download`: each argument is `--name=value`, the value a Python literal.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poolwright.core.errors import PoolwrightError, RecipeError

TOOL = "img2dataset"

_INSTALL = (
    "img2dataset was not found. It cannot share an environment with pandas 3, so it is run from one of its own: "
    "'uv tool install img2dataset' or 'pipx install img2dataset' puts it on PATH; or run 'python -m venv i2d' and "
    "'i2d/bin/pip install img2dataset', and add --executable i2d/bin/img2dataset"
)

_VERSION = "import importlib.metadata as m; print(m.version('img2dataset'))"

_QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
"""Switches off telemetry and version checks of the libraries that img2dataset imports."""

_LOG_LINES = 5


@dataclass(frozen=True)
class Launcher:
    """Commands that run img2dataset.

    Attributes:
        command: command line that its arguments are appended to.
        python: command line of the Python in its environment; None if unknown.
    """

    command: tuple[str, ...]
    python: tuple[str, ...] | None

    def version(self) -> str | None:
        """Return the version of img2dataset in its environment; None if unknown. uvx and pipx install it first."""
        if self.python is None:
            return None
        asked = subprocess.run(
            [*self.python, "-c", _VERSION], capture_output=True, text=True, env=_environment(), check=False
        )
        lines = asked.stdout.split()
        return lines[-1] if asked.returncode == 0 and lines else None

    def run(self, arguments: Mapping[str, Any], log: Path) -> None:
        """Run img2dataset to its end.

        Args:
            arguments: arguments of `img2dataset.download`; None leaves one out.
            log: file that its output is appended to.

        Raises:
            PoolwrightError: it cannot be started, or it failed.
        """
        words = [*self.command, *flags(arguments)]
        with log.open("ab") as out:
            begun = out.tell()
            try:
                ended = subprocess.run(words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=_environment())
            except OSError as error:
                raise PoolwrightError(f"{self.command[0]}: cannot be run: {error.strerror or error}") from None
        if ended.returncode:
            raise PoolwrightError(
                f"img2dataset failed with exit status {ended.returncode}; its output is in {log}, and ends with: "
                f"{_ending(log, begun)}"
            )


def find_launcher(executable: str | Path | None = None) -> Launcher:
    """Find img2dataset: the executable that is named, or one on PATH, or what uvx or pipx install for a run.

    Raises:
        RecipeError: the file is not executable, or nothing was found.
    """
    if executable is not None:
        found = shutil.which(str(Path(executable).expanduser()))
        if found is None:
            raise RecipeError(f"{executable}: is not executable; name the file of img2dataset, such as bin/img2dataset")
    else:
        found = shutil.which(TOOL)
    if found is not None:
        path = os.path.abspath(found)
        return Launcher((path,), _python_of(Path(path)))
    for runner, *before in (("uvx", "--from", TOOL), ("pipx", "run", "--spec", TOOL)):
        path = shutil.which(runner) or ""
        if path:
            return Launcher((path, *before, TOOL), (path, *before, "python"))
    raise RecipeError(_INSTALL)


def flags(arguments: Mapping[str, Any]) -> list[str]:
    """Return arguments as command-line flags, each value as a Python literal, so that its type is kept."""
    return [f"--{name}={value!r}" for name, value in arguments.items() if value is not None]


def _python_of(executable: Path) -> tuple[str, ...] | None:
    """Return the Python that runs a console script: that of its first line, or the one in its folder."""
    with executable.open("rb") as file:
        first = file.readline(500)
    if first.startswith(b"#!"):
        words = first[2:].decode(errors="replace").split()
        if words and "python" in Path(words[0]).name:
            return tuple(words)
    for name in ("python", "python.exe"):
        path = executable.resolve().with_name(name)
        if path.exists():
            return (str(path),)
    return None


def _environment() -> dict[str, str]:
    """Return the environment for the process: without telemetry, and without variables that point to our packages."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, **_QUIET}


def _ending(log: Path, begun: int) -> str:
    with log.open("rb") as file:
        file.seek(begun)
        lines: Sequence[str] = file.read().decode(errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return " | ".join(said[-_LOG_LINES:]) or "nothing"
