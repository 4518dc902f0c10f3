"""Usage reporting: importing poolwright switches off that of every library that has one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poolwright.core.runtime.quiet import _SWITCHES

CHECKS = {
    "ray": "import ray._common.usage.usage_lib as usage; assert not usage.usage_stats_enabled()",
    "huggingface_hub": "import huggingface_hub.constants as of; assert of.HF_HUB_DISABLE_TELEMETRY",
    "datasets": "import datasets.config as of; assert not of.HF_UPDATE_DOWNLOAD_COUNTS",
    "onnxruntime": "import onnxruntime, os; assert not os.path.exists(os.path.expanduser('~/.cache/Microsoft'))",
}
"""By library, what shows that it does not report: a switch that it read, or a trace that it does not leave."""


def run(code: str, home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in _SWITCHES}
    environment.update(HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"))
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_importing_it_sets_every_switch(tmp_path: Path) -> None:
    run(f"import os, poolwright; assert {_SWITCHES!r}.items() <= os.environ.items()", tmp_path)


@pytest.mark.parametrize("library", CHECKS)
def test_no_library_reports(library: str, tmp_path: Path) -> None:
    pytest.importorskip(library)
    run(f"import poolwright; {CHECKS[library]}", tmp_path)
