"""The Slurm script of the examples, with stand-ins for the commands of Slurm, for `ray` and for `poolwright`."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "examples" / "cluster" / "slurm.sh"
STAND_INS = {
    "scontrol": "printf 'one\\ntwo\\nthree\\n'",
    "srun": """for word in "$@"; do case $word in --nodelist=*) export NODE=${word#*=};; esac; done
        while [[ $1 == -* ]]; do shift; done
        exec "$@\"""",
    "hostname": "echo 10.0.0.1",
    "ray": """[[ $1 == status ]] && exec test -e "$STARTED"
        echo "$NODE: ray $* with ${#RAY_AUTH_TOKEN} $RAY_AUTH_TOKEN" >> "$LOG"
        touch "$STARTED"
        exec sleep 60""",
    "poolwright": """until [[ $(grep -c "ray start" "$LOG") == 3 ]]; do sleep 0.05; done
        echo "poolwright $*" >> "$LOG"
        exit $STATUS""",
}


def run(folder: Path, *arguments: str, status: int = 0) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    for name, body in STAND_INS.items():
        (folder / name).write_text(f"#!/bin/bash\n{body}\n")
        (folder / name).chmod(0o755)
    job = {"SLURM_JOB_NODELIST": "one,two,three", "SLURM_CPUS_PER_TASK": "8", "STATUS": str(status)}
    job |= {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "LOG": str(folder / "log")}
    job["STARTED"] = str(folder / "started")
    command = ["bash", str(SCRIPT), *arguments]
    done = subprocess.run(command, env={**os.environ, **job}, capture_output=True, text=True, timeout=20)
    log = folder / "log"
    return done, log.read_text().splitlines() if log.exists() else []


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_a_cluster_is_started_used_and_ended(tmp_path: Path) -> None:
    assert subprocess.run(["bash", "-n", str(SCRIPT)]).returncode == 0
    done, log = run(tmp_path, "recipe.yaml", "/shared/run", status=3)
    assert done.returncode == 3, done.stderr  # within the timeout: nothing is left running
    assert log[-1] == "poolwright run recipe.yaml --run /shared/run --engine ray --address 10.0.0.1:6379"
    assert log[0].startswith("one: ray start --head --node-ip-address=10.0.0.1 --port=6379")
    joined = sorted(line.partition(" with")[0] for line in log[1:-1])
    assert joined == [
        f"{node}: ray start --address=10.0.0.1:6379 --num-cpus=8 --disable-usage-stats --block"
        for node in ("three", "two")
    ]
    tokens = {line.partition(" with ")[2] for line in log[:-1]}
    assert len(tokens) == 1
    assert tokens.pop().startswith("64 ")


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_what_is_missing_is_said(tmp_path: Path) -> None:
    done, log = run(tmp_path, "recipe.yaml")
    assert "name a run folder on shared storage: sbatch slurm.sh RECIPE RUN" in done.stderr
    assert not log
