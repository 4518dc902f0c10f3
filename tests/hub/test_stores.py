"""Releases in object stores: S3 as moto's server speaks it, and fsspec's memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pytest

import poolwright
from poolwright.core.errors import ReleaseError, TransferError
from poolwright.hub import stores
from tests.calling import call
from tests.hub.test_push import alter, contents, copy
from tests.stores import s3_service, use_s3  # noqa: F401

ADDRESS = "s3://datasets/atlas/squares"


@pytest.fixture
def bucket(s3_service: str, monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: F811
    """An empty bucket, as a file system."""
    use_s3(monkeypatch, s3_service)
    system = fsspec.filesystem("s3")
    if system.exists("datasets"):
        system.rm("datasets", recursive=True)
    system.mkdir("datasets")
    system.invalidate_cache()
    return system


def stored(system: Any, root: str = "datasets/atlas/squares") -> dict[str, bytes]:
    system.invalidate_cache()
    return {str(path).partition(f"{root}/")[2]: data for path, data in system.cat(system.find(root)).items()}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are sent, in their order."""
    names: list[str] = []
    put = stores.StorePush._put

    def noted(self: stores.StorePush, name: str) -> None:
        names.append(name)
        put(self, name)

    monkeypatch.setattr(stores, "_THREADS", 1)
    monkeypatch.setattr(stores.StorePush, "_put", noted)
    return names


def test_a_release_goes_to_s3_and_comes_back(squares: Path, bucket: Any, tmp_path: Path) -> None:
    pushed = call("push", squares, ADDRESS)
    assert pushed.code == 0, pushed.err
    assert stored(bucket) == contents(squares)
    again = call("push", squares, ADDRESS)
    assert "unchanged: everything was there already" in again.out
    done = call("pull", ADDRESS, tmp_path / "back")
    assert done.code == 0, done.err
    assert "a release of poolwright: table 'squares'" in done.out
    assert contents(tmp_path / "back") == contents(squares)


def test_an_interrupted_push_goes_on(
    squares: Path, bucket: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = stores.StorePush.path

    def gone(self: stores.StorePush, name: str) -> str:
        if len(sent) > 5:
            raise OSError(5, "the network is gone")
        return path(self, name)

    def one_by_one(self: stores.StorePush, phase: str, names: Sequence[str], call: Callable[[str], None]) -> Any:
        for name in names:
            call(name)
            yield name  # what was sent is noted before the next one

    with monkeypatch.context() as patch:
        patch.setattr(stores, "_SAVE_SECONDS", 0.0)
        patch.setattr(stores.StorePush, "path", gone)
        patch.setattr(stores.StorePush, "each", one_by_one)
        failed = call("push", squares, ADDRESS)
    assert failed.code == 1
    assert "the same command continues where it stopped" in failed.err
    with pytest.raises(TransferError, match="a push has not finished"):
        poolwright.pull(ADDRESS, tmp_path / "back")
    first = {*sent[:4]}
    sent.clear()
    assert call("push", squares, ADDRESS).code == 0
    assert not first & {*sent}
    assert stored(bucket) == contents(squares)


def test_another_version_replaces_what_changed_and_the_checksums_come_last(
    squares: Path, bucket: Any, sent: list[str], tmp_path: Path
) -> None:
    poolwright.push(squares, ADDRESS)
    other = copy(squares, tmp_path)
    alter(other)
    sent.clear()
    pushed = poolwright.push(other, ADDRESS)
    assert pushed.removed == ("ATTRIBUTION.csv",)
    assert sent == ["README.md", "notes.txt", "SHA256SUMS"]
    assert stored(bucket) == contents(other)


def test_what_is_refused(squares: Path, bucket: Any, tmp_path: Path) -> None:
    bucket.pipe_file("datasets/theirs/notes.txt", b"theirs")
    with pytest.raises(ReleaseError, match=r"holds what is not a release \(notes\.txt\)"):
        poolwright.push(squares, "s3://datasets/theirs")
    assert "no such bucket or folder" in call("push", squares, "s3://nowhere-at-all/x").err
    assert "there are no files" in call("pull", "s3://datasets/none", tmp_path / "x").err
    for option in ("--public", "--revision=v1"):
        refused = call("push", squares, ADDRESS, option)
        assert (refused.code, "an object store has no" in refused.err) == (2, True)
    bucket.pipe_file("datasets/theirs/SHA256SUMS", b"not a checksum\n")
    bucket.pipe_file("datasets/theirs/release.json", b"{}")
    assert "SHA256SUMS is damaged" in call("pull", "s3://datasets/theirs", tmp_path / "x").err


def test_keys_and_networks_that_fail(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = pytest.importorskip("botocore.exceptions")
    for error, words in (
        (errors.NoCredentialsError(), "there are no keys for the store"),
        (PermissionError(13, "Access Denied"), "there are no keys for the store"),
        (errors.EndpointConnectionError(endpoint_url="http://secret"), "cannot be reached (EndpointConnectionError)"),
    ):

        def fails(self: Any, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(stores.StoreSource, "_find", fails)
        failed = call("pull", ADDRESS, tmp_path / "x")
        assert (failed.code, words in failed.err, "secret" in failed.err) == (1, True, False)


def test_other_bytes_in_a_store_are_found(squares: Path, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    poolwright.push(squares, "memory://shelf/squares")
    assert stored(memory, "/shelf/squares") == contents(squares)
    size = memory.size("/shelf/squares/table.json")
    memory.pipe_file("/shelf/squares/table.json", bytes(size))
    failed = call("pull", "memory://shelf/squares", tmp_path / "back")
    assert failed.code == 1
    assert "table.json came with other bytes than their digests say" in failed.err
    memory.put_file(str(squares / "table.json"), "/shelf/squares/table.json")
    assert call("pull", "memory://shelf/squares", tmp_path / "back").code == 0
    assert contents(tmp_path / "back") == contents(squares)


def _recipe(folder: Path, to: str) -> Path:
    rows = "uid,label\n" + "".join(f"{number},{'ab'[number % 2]}\n" for number in range(6))
    (folder / "rows.csv").write_text(rows)
    (folder / "recipe.yaml").write_text(
        "recipe: 1\nname: stored\npools: {rows: {read: table, path: rows.csv}}\ntables: {all: {from: rows}}\n"
        f"releases: [{{table: all, layout: parquet, figures: false, to: '{to}'}}]\n"
    )
    return folder / "recipe.yaml"


def test_a_run_releases_to_s3(bucket: Any, sent: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe, run = _recipe(tmp_path, ADDRESS), tmp_path / "run"
    put = stores.StorePush._put

    def stopped(self: stores.StorePush, name: str) -> None:
        if len(sent) == 3:
            raise TransferError("the network is gone")
        put(self, name)

    with monkeypatch.context() as broken:
        broken.setattr(stores.StorePush, "_put", stopped)
        failed = call("run", recipe, "--run", run)
    assert (failed.code, "the network is gone" in failed.err) == (1, True)
    first = sent.copy()
    done = call("run", recipe, "--run", run)
    assert done.code == 0, done.err
    assert f"pushed to {ADDRESS}" in done.out
    assert not set(first) & set(sent[3:])
    local = run / "releases" / "datasets" / "atlas" / "squares"
    assert stored(bucket) == contents(local)
    again = call("run", recipe, "--run", run, "--json")
    assert f'"url": "{ADDRESS}"' in again.out
    assert len(sent) == len(contents(local))


def test_a_store_is_looked_at_before_anything_runs(bucket: Any, tmp_path: Path) -> None:
    bucket.pipe_file("datasets/atlas/squares/letter.txt", b"mine")
    failed = call("run", _recipe(tmp_path, ADDRESS), "--run", tmp_path / "run")
    assert failed.code == 1
    assert "the folder holds what is not a release (letter.txt)" in failed.err
    assert not (tmp_path / "run" / "tables").exists()
    missing = call("run", _recipe(tmp_path, "s3://nobody/atlas"), "--run", tmp_path / "run")
    assert "no such bucket or folder" in missing.err


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("s3://datasets", "name a folder within the bucket"),
        ("hf://datasets/ada/atlas", "`poolwright push` sends a folder to the Hub"),
    ],
)
def test_addresses_of_releases_that_are_wrong(tmp_path: Path, to: str, words: str) -> None:
    failed = call("check", _recipe(tmp_path, to))
    assert failed.code == 2
    assert "recipe.yaml:5" in failed.err
    assert words in failed.err


def test_a_release_in_a_store_is_verified(squares: Path, bucket: Any) -> None:
    assert call("push", squares, ADDRESS).code == 0
    whole = call("verify", ADDRESS, "--no-load")
    assert whole.code == 0, whole.err
    assert "the release verifies" in whole.out
    bucket.pipe_file("datasets/atlas/squares/statistics.json", b"{}")
    broken = call("verify", ADDRESS, "--no-load")
    assert broken.code == 1
    assert "statistics.json" in broken.out


def test_a_store_out_of_reach_is_reported_at_once(bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    monkeypatch.setattr(type(bucket), "_cache", {})  # instances know the service of the other tests
    before = time.monotonic()
    failed = call("pull", "s3://datasets/out-of-reach", tmp_path / "x")
    assert failed.code == 1
    assert "check the connection, the proxy and AWS_ENDPOINT_URL_S3" in failed.err
    assert time.monotonic() - before < 15  # repeated attempts take 20 s and more
