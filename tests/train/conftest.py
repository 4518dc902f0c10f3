"""Fixtures of trainings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.models.conftest import torchvision  # noqa: F401 - lightly and timm import it
from tests.models.making import encoded, picture


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks: more threads would wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty small pictures in two folders, and two files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("a", "b"):
        (folder / name).mkdir()
    for seed in range(40):
        (folder / "ab"[seed % 2] / f"{seed:02d}.png").write_bytes(encoded(picture(seed, 40 + seed, 36), "PNG"))
    (folder / "a" / "text.jpg").write_bytes(b"no picture")
    (folder / "b" / "cut.png").write_bytes((folder / "a" / "00.png").read_bytes()[:200])
    return folder
