"""Builds of torch and torchvision that do not fit: the error names the installs that do."""

from __future__ import annotations

import importlib
import importlib.metadata

import pytest

from poolwright.core.errors import RecipeError
from poolwright.models.encoders.networks.network import import_library


@pytest.mark.parametrize(
    ("torch", "pair"),
    [
        ("2.13.0+cpu", "torch==2.13.0 torchvision==0.28.0"),
        ("2.5.1", "torch==2.5.1 torchvision==0.20.1"),
        ("3.0.0", "torch torchvision"),
    ],
)
def test_the_error_names_both_installs(torch: str, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": torch, "torchvision": "0.28.0"}

    def fail(name: str) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    with pytest.raises(RecipeError) as caught:
        import_library("torchvision", "the model torchvision:resnet50")
    text = str(caught.value)
    assert f"Installed: torch {torch} and torchvision 0.28.0." in text
    assert f"for CPUs: pip install --force-reinstall {pair} --index-url https://download.pytorch.org/whl/cpu\n" in text
    assert text.endswith(f"for CUDA: pip install --force-reinstall {pair}")
