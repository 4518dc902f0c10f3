"""kill -9 of the process, then the same command: the files are those of an undisturbed run.

`test_crash.py` has what a kill at any other change of the disk leaves; here the process really ends, with its lock held
and other units half written.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.run.pools import STEPS, final_files, make_rows, recipe_data, write_pool

KILLS = [4, 15, 30, 14]
"""Renames before each kill, counted from the start of its process: early, among units, in the second table, and
again while it continues."""
CODE = """
import os, signal, sys, threading
from poolwright.cli.main import main
from poolwright.run.sources import source

source.UNIT_ROWS = 64 * 1000
left, lock, replace = int(sys.argv.pop(1)), threading.Lock(), os.replace

def counted(*names):
    global left
    with lock:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)

os.replace = counted
main()
"""


def run(folder: Path, run_folder: str, renames: int = 0) -> int:
    """Run the recipe in a process that is killed before so many renames; return its exit status."""
    command = [sys.executable, "-c", CODE, str(renames), "run", str(folder / "recipe.yaml")]
    done = subprocess.run([*command, "--run", str(folder / run_folder)], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.returncode


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_killed_again_and_again_the_run_ends_as_if_undisturbed(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(8000), parts=8)
    tables = {
        "labelled": {"from": "rows", "steps": STEPS[:2]},
        "chosen": {"from": "labelled", "steps": [STEPS[0], *STEPS[2:]]},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump({**recipe_data(), "tables": tables}))
    assert run(tmp_path, "whole") == 0
    for renames in KILLS:
        assert run(tmp_path, "killed", renames) == -signal.SIGKILL
    assert run(tmp_path, "killed") == 0
    assert final_files(tmp_path / "killed") == final_files(tmp_path / "whole")
