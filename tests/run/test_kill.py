"""kill -9 at random moments, then the same command: the files are those of an undisturbed run."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from tests.run.pools import STEPS, final_files, make_rows, recipe_data, write_pool

FOLDERS, KILLS = 5, 4  # twenty kills


def command(folder: Path, run: str) -> list[str]:
    code = "from poolwright.cli.main import main; main()"
    return [sys.executable, "-c", code, "run", str(folder / "recipe.yaml"), "--run", str(folder / run)]


def start(folder: Path, run: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(folder, run), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def test_killed_twenty_times_the_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(40_000), parts=16, row_group=2500)
    tables = {
        "labelled": {"from": "rows", "steps": STEPS[:2]},
        "chosen": {"from": "labelled", "steps": [STEPS[0], *STEPS[2:]]},
    }
    data = {**recipe_data(), "tables": tables}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(data))
    begun = time.monotonic()
    assert start(tmp_path, "whole").wait() == 0
    whole = time.monotonic() - begun
    expected = final_files(tmp_path / "whole")
    moments = random.Random(20)
    killed = 0
    for number in range(FOLDERS):
        run = f"killed-{number}"
        for _ in range(KILLS):
            process = start(tmp_path, run)
            try:
                process.wait(timeout=moments.uniform(0.25, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        process = start(tmp_path, run)
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
        assert final_files(tmp_path / run) == expected
    assert killed >= FOLDERS
