"""Pulling from the Hub, against the stand-in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from huggingface_hub import constants

import poolwright
from poolwright.core.errors import ReleaseError, TransferError
from tests.calling import call
from tests.hub.hub_server import HubServer
from tests.hub.test_push import ADDRESS, NAME, alter, contents, copy


@pytest.fixture
def pushed(squares: Path, hub: HubServer) -> HubServer:
    """The stand-in with the release, as a push leaves it."""
    hub.put(NAME, contents(squares), private=True)
    hub.seen.clear()
    return hub


def test_the_same_bytes_come_back_and_verify(squares: Path, pushed: HubServer, tmp_path: Path) -> None:
    done = call("pull", ADDRESS, folder=tmp_path)
    assert done.code == 0, done.err
    assert contents(tmp_path / "squares") == contents(squares)
    assert "a release of poolwright: table 'squares' in the layout 'huggingface'" in done.out
    assert "checks hold" in done.out
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".squares")] == []
    pushed.seen.clear()
    again = call("pull", ADDRESS, "--json", folder=tmp_path)
    assert again.code == 0
    found = json.loads(again.out)
    assert (found["ok"], found["pulled"]["fresh"], found["pulled"]["layout"]) == (True, False, "huggingface")
    assert not pushed.requests("GET", "parquet|/cdn/")


def test_files_that_the_release_does_not_list_are_left_out_and_named(
    squares: Path, pushed: HubServer, tmp_path: Path
) -> None:
    pushed.put(NAME, {**contents(squares), "extra.bin": b"more", ".gitignore": b"*.tmp"})
    done = call("pull", f"{ADDRESS}@main", tmp_path / "back")
    assert done.code == 0, done.err
    assert "left out 1 file that the release does not list: extra.bin" in done.out
    assert contents(tmp_path / "back") == contents(squares)


def test_another_version_replaces_a_folder_only_if_asked(squares: Path, pushed: HubServer, tmp_path: Path) -> None:
    place = tmp_path / "back"
    first = poolwright.pull(ADDRESS, place)
    other = copy(squares, tmp_path)
    alter(other)
    pushed.put(NAME, contents(other))
    with pytest.raises(ReleaseError, match="holds something else, or another version"):
        poolwright.pull(ADDRESS, place)
    assert contents(place) == contents(squares)
    assert poolwright.pull(ADDRESS, place, overwrite=True).fresh
    assert contents(place) == contents(other)
    assert poolwright.pull(ADDRESS, tmp_path / "old", revision=first.commit).commit == first.commit
    assert contents(tmp_path / "old") == contents(squares)


def test_a_dataset_of_others_is_pulled_whole_and_said_to_be_one(hub: HubServer, tmp_path: Path) -> None:
    files = {"README.md": b"hello", "a/b.parquet": b"rows", "a/c.csv": b"x\n1\n"}
    hub.put(NAME, files)
    done = call("pull", ADDRESS, tmp_path / "back")
    assert done.code == 0, done.err
    assert "not a release of poolwright, its files as their digests say" in done.out
    assert contents(tmp_path / "back") == files


@pytest.mark.parametrize("name", ["data/train-00000-of-", "table.json", "SHA256SUMS"])
def test_other_bytes_are_found_and_fetched_again(squares: Path, pushed: HubServer, tmp_path: Path, name: str) -> None:
    pushed.fail("GET", f"/resolve/.*{name}", "wrong", times=99)
    pushed.fail("HEAD", f"/resolve/.*{name}", "wrong", times=99)
    failed = call("pull", ADDRESS, tmp_path / "back")
    assert failed.code == 1
    assert "came with other bytes than their digests say" in failed.err
    assert name in failed.err
    assert not (tmp_path / "back").exists()
    pushed.faults.clear()
    assert call("pull", ADDRESS, tmp_path / "back").code == 0
    assert contents(tmp_path / "back") == contents(squares)


def test_a_download_that_was_cut_goes_on_where_it_stopped(
    squares: Path, pushed: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    pushed.fail("GET", "^/cdn/", "cut")
    assert call("pull", ADDRESS, tmp_path / "back").code == 0
    ranges = [one.headers["range"] for one in pushed.requests("GET", "^/cdn/") if "range" in one.headers]
    assert len(ranges) == 1
    assert not ranges[0].startswith("bytes=0-")
    assert contents(tmp_path / "back") == contents(squares)


def test_an_interrupted_pull_fetches_the_rest(squares: Path, pushed: HubServer, tmp_path: Path) -> None:
    pushed.fail("GET", "^/cdn/", 500, times=99, after=2)
    failed = call("pull", ADDRESS, tmp_path / "back")
    assert failed.code == 1
    assert "the Hub fails (500)" in failed.err
    assert not (tmp_path / "back").exists()
    pushed.faults.clear()
    pushed.seen.clear()
    assert call("pull", ADDRESS, tmp_path / "back").code == 0
    shards = sum(name.endswith(".parquet") for name in contents(squares))
    assert len(pushed.requests("GET", "^/cdn/")) < shards
    assert contents(tmp_path / "back") == contents(squares)


def test_what_cannot_be_pulled(pushed: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for address, words in (
        (f"{ADDRESS}@none", "no revision 'none'"),
        ("hf://datasets/ada/none", "no such dataset or file on the Hub (404)"),
    ):
        failed = call("pull", address, tmp_path / "x")
        assert failed.code == 1
        assert words in failed.err
    monkeypatch.setenv("HF_TOKEN", "")
    assert "the Hub wants a token (401), or there is no such dataset" in call("pull", ADDRESS, tmp_path / "x").err
    pushed.put("ada/evil", {"../evil.txt": b"out"})
    assert "'../evil.txt' leads out" in call("pull", "hf://datasets/ada/evil", tmp_path / "y" / "z").err
    assert not list(tmp_path.rglob("evil*"))


def test_half_a_push_is_no_release(squares: Path, pushed: HubServer, tmp_path: Path) -> None:
    files = contents(squares)
    del files["table.json"]
    pushed.put(NAME, files)
    with pytest.raises(TransferError, match=r"table\.json of SHA256SUMS is not there"):
        poolwright.pull(ADDRESS, tmp_path / "back")


def test_a_release_on_the_hub_is_verified(squares: Path, hub: HubServer) -> None:
    poolwright.push(squares, ADDRESS)
    found = poolwright.verify(ADDRESS, load=False)
    assert found.ok
    assert found.words.startswith(f"{ADDRESS}: whole")
