"""Timing whole processes, peer and ours in turn, so that a ratio holds while the machine's speed drifts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PEAKS: dict[str, int] = {}
"""Largest resident memory in bytes of the processes that were measured, by the name of their log."""


@dataclass(frozen=True)
class Usage:
    """Resources of one process: wall seconds, peak resident memory in bytes, and seconds of processor time."""

    seconds: float
    peak: int
    cpu: float = 0.0


def fresh_folder(path: Path) -> Path:
    """An empty folder."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def python(code: str, *arguments: str | Path) -> list[str]:
    """The command that runs some Python code with this interpreter."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def measure(command: Sequence[str], log: Path) -> Usage:
    """Run a command to its end, in a process of its own.

    Raises:
        RuntimeError: it failed; the message has the end of its output.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", "."])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as by pip when it installs them
    with log.open("w") as out:
        begun = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command[:3]} failed:\n{log.read_text()[-2000:]}")
    peak = usage.ru_maxrss * 1024
    PEAKS[log.stem] = max(PEAKS.get(log.stem, 0), peak)
    return Usage(seconds, peak, usage.ru_utime + usage.ru_stime)


def in_turn(commands: Mapping[str, Sequence[str]], work: Path, times: int = 3) -> dict[str, Usage]:
    """Run every command `times` times in turn; the fastest wall time and the largest memory of each."""
    seen: dict[str, list[Usage]] = {name: [] for name in commands}
    for _ in range(times):
        for name, command in commands.items():
            seen[name].append(measure(command, work / f"{name}.log"))
    return {
        name: Usage(min(usage.seconds for usage in usages), max(usage.peak for usage in usages))
        for name, usages in seen.items()
    }
