"""Provides a release, and the stand-in for the Hub with the library pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from poolwright.core.table import Table
from poolwright.release import verify as verifying
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.layout import About
from tests.hub.hub_server import TOKEN, HubServer
from tests.release.build import pictures, toy_rows, write_table

ABOUT = About(title="Squares", license="CC-BY-4.0", language=("en",))


def make_release(folder: Path, rows: int, shard_bytes: int = 20_000) -> Path:
    """Write a release of `rows` pictures in several shards.

    With their hashes: else each push and each pull, which verify it, would compute them.
    """
    table = toy_rows(rows)
    table = table.append_column("phash", pa.array([f"{number:016x}" for number in range(1, rows + 1)]))
    pictures(folder / "images", table.column("image_path").to_pylist())
    made: Table = write_table(folder / "tables" / "squares", table, cuts=(rows // 2,), image_root=folder / "images")
    place = folder / "release" / "squares"
    HuggingFace(class_label="label", shard_bytes=shard_bytes, figures=False).write(made, place, ABOUT)
    return place


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 330 pictures; do not change it, copy it."""
    return make_release(tmp_path_factory.mktemp("squares"), 330)


@pytest.fixture(autouse=True)
def _loaded_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a release takes most of the time that `verify` takes, and has tests of its own."""
    monkeypatch.setattr(verifying, "_loading", lambda *_: [])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The stand-in; huggingface_hub finds it, has a token for it, and waits for nothing."""
    with HubServer() as server:
        use_hub(server, monkeypatch, tmp_path)
        yield server


def use_hub(server: HubServer, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Point the library, which reads the environment when it is imported, at the stand-in."""
    from huggingface_hub import HfFileSystem, constants
    from huggingface_hub.utils import _http, close_session

    from poolwright.hub import client

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub-cache"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(client, "_WAITS", (0.0, 0.0))
    close_session()
    HfFileSystem.clear_instance_cache()
