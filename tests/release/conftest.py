"""A small finished table with its images, and releases of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.core.table import Table
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.layout import About
from tests.release.build import pictures, toy_rows, write_table

ABOUT = About(
    title="Toy | pictures",
    description="Random squares.",
    license="CC-BY-4.0",
    authors=("Ada Lovelace",),
    citation="@misc{toy, title={Toy}}",
    known_limits=("Random.",),
    language=("en",),
    published="2026-01-02",  # type: ignore[arg-type]
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "hf-cache"))


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """130 rows in two parts, two splits, three classes, with images."""
    root = tmp_path_factory.mktemp("toy")
    rows = toy_rows(130)
    pictures(root / "images", rows.column("image_path").to_pylist())
    return write_table(root / "run" / "tables" / "toy", rows, cuts=(50,), image_root=root / "images")


@pytest.fixture(scope="session")
def released(toy: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table as a Hugging Face release; do not change it, copy it."""
    folder = tmp_path_factory.mktemp("released") / "toy"
    HuggingFace(class_label="label", shard_bytes=60_000).write(toy, folder, ABOUT)
    return folder
