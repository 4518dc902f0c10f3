"""Provides fixtures that all tests share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def real_data_folder() -> Path:
    """Return the folder of the real data: POOLWRIGHT_REAL_DATA, else ../shared/data next to the repository."""
    named = os.environ.get("POOLWRIGHT_REAL_DATA")
    return Path(named) if named else REPOSITORY.parent / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; the test is skipped if there is none."""
    folder = real_data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set POOLWRIGHT_REAL_DATA")
    return folder


@dataclass(frozen=True)
class MadeDemo:
    """The small demo: `folder` holds `demo/`; what the command printed."""

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def made_demo(tmp_path_factory: pytest.TempPathFactory) -> MadeDemo:
    """`poolwright demo --images 600`, run once. Tests read it, and write next to it under their own names."""
    from tests.calling import call

    folder = tmp_path_factory.mktemp("demo")
    called = call("demo", "--images", "600", "--to", "demo", folder=folder)
    assert called.code == 0, called.err
    return MadeDemo(folder, called.out, called.err)
