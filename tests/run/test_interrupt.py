"""Ctrl-C at random moments ends at once with status 130; the same command continues to the same files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from poolwright.cli import main
from tests.run.pools import STEPS, final_files, make_rows, recipe_data, write_pool

RUN = "from poolwright.cli.main import main; main()"
LONG_UNITS = """
import time
from poolwright.run import write

def long(self, unit):
    if unit == 0:
        return short(self, unit)
    time.sleep(300)

short, write.WriteUnit.__call__ = write.WriteUnit.__call__, long
"""
AT_ONCE = 10  # seconds; the machine may be busy
NOISE = ("Traceback", "Abort", "terminate", "Fatal", "KeyboardInterrupt", "Exception")


def start(code: str, folder: Path, run: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, "run", str(folder / "recipe.yaml"), "--run", str(folder / run), *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def interrupt(process: subprocess.Popen[str], times: int = 1) -> tuple[int, str, float]:
    """Send Ctrl-C; exit status, what was printed, and the seconds until the end."""
    begun = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002 * (times > 1))
    try:
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, errors, time.monotonic() - begun


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pool(tmp_path, make_rows(100_000), parts=16, row_group=2500)
    tables = {
        "labelled": {"from": "rows", "steps": STEPS[:2]},
        "chosen": {"from": "labelled", "steps": [STEPS[0], *STEPS[2:]]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe_data(), "tables": tables}))
    return tmp_path


def test_a_second_ctrl_c_while_the_first_is_handled(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before, change, again = signal.getsignal(signal.SIGINT), signal.signal, [1, 2]

    def late(number: int, handler: Any) -> Any:
        if handler == signal.SIG_IGN and again:
            again.pop()
            signal.raise_signal(signal.SIGINT)
        return change(number, handler)

    def end(status: int) -> None:
        raise SystemError(status)

    monkeypatch.setattr(signal, "signal", late)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(main, "app", lambda **_: signal.raise_signal(signal.SIGINT))
    try:
        with pytest.raises(SystemError, match="130"):
            main.main()
    finally:
        change(signal.SIGINT, before)
    assert not again
    assert capsys.readouterr().err == "stopped; the same command continues\n"


@pytest.mark.slow
def test_interrupted_again_and_again_the_run_ends_as_if_undisturbed(folder: Path) -> None:
    begun = time.monotonic()
    whole = start(RUN, folder, "whole")
    whole.communicate()
    assert whole.returncode == 0
    seconds = time.monotonic() - begun
    moments, stopped = random.Random(3), 0
    for _ in range(6):
        process = start(RUN, folder, "stopped")
        assert process.stderr is not None
        process.stderr.readline()  # the first units begin, or the run is done
        time.sleep(moments.uniform(0, 0.25) * seconds)
        if process.poll() is None:
            status, errors, took = interrupt(process)
            if status == 0 or "chosen: done" in errors:
                continue  # it had ended just then
            assert status == 130, errors
            assert errors.endswith("stopped; the same command continues\n")
            assert not any(word in errors for word in NOISE), errors
            assert took < AT_ONCE
            stopped += 1
    process = start(RUN, folder, "stopped")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    assert final_files(folder / "stopped") == final_files(folder / "whole")
    assert stopped >= 2


def test_a_long_unit_does_not_keep_the_process_alive(folder: Path) -> None:
    process = start(LONG_UNITS + RUN, folder, "long", "--workers", "2")
    done = folder / "long" / "tables" / "labelled" / "work" / "done" / "unit-00000.json"
    deadline = time.monotonic() + 100
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    status, errors, took = interrupt(process, times=4)
    assert (status, took < AT_ONCE) == (130, True), errors
    assert not any(word in errors for word in NOISE), errors
    process = start(RUN, folder, "long")
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    whole = start(RUN, folder, "whole")
    whole.communicate()
    assert whole.returncode == 0
    assert final_files(folder / "long") == final_files(folder / "whole")
