"""Locks on files: a second process is refused or waits, and a lock goes with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from poolwright.core.errors import PoolwrightError
from poolwright.core.runtime.locks import one_at_a_time
from poolwright.run.lock import run_lock

HOLD = """
import sys
from pathlib import Path
from poolwright.run.lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of a folder, until it is killed."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_another_process_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as process:
        message = rf"run: another process is using it \(process {process.pid} on .+\); wait for it, or stop it first"
        with pytest.raises(PoolwrightError, match=message), run_lock(tmp_path / "run"):
            pass
        process.communicate("")
    with run_lock(tmp_path / "run"):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.lock"]


@pytest.mark.skipif(os.name == "nt", reason="no kill -9")
def test_a_lock_goes_with_its_process(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with run_lock(tmp_path), pytest.raises(PoolwrightError, match=f"process {os.getpid()} on"):
            with run_lock(tmp_path):
                pass


def test_errors_within_free_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), run_lock(tmp_path):
        raise ZeroDivisionError
    with run_lock(tmp_path):
        pass


def test_a_damaged_note_of_the_holder_is_left_out(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        (tmp_path / "run.lock.holder").write_text("[")
        with pytest.raises(PoolwrightError, match="another process is using it; wait"), run_lock(tmp_path):
            pass


def test_others_wait_their_turn(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(3):
            with one_at_a_time(tmp_path / ".lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
