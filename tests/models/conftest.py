"""Fixtures of encoders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models.making import encoded, picture, write_clip


@pytest.fixture(scope="session")
def photos() -> list[bytes]:
    """Twelve JPEG files of different sizes."""
    return [encoded(picture(seed, 120 + 17 * seed, 260 - 11 * seed), quality=90) for seed in range(12)]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX encoder of images and texts with its manifest."""
    return write_clip(tmp_path_factory.mktemp("clip") / "model")


@pytest.fixture
def fresh_clip(tmp_path: Path) -> Path:
    """The same in a folder that a test may change."""
    return write_clip(tmp_path / "clip")


@pytest.fixture(scope="session")
def torchvision() -> Any:
    """torchvision; where it has no operators for this torch, their names are declared so that it imports."""
    torch = pytest.importorskip("torch")
    try:
        import torchvision as module
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        sys.modules["tests"].torchvision_operators = library  # type: ignore[attr-defined]  # lives as long as needed
        import torchvision as module

    return module


@pytest.fixture(scope="session")
def open_clip(torchvision: Any) -> Any:
    """open_clip, which imports torchvision."""
    import open_clip as module

    return module
