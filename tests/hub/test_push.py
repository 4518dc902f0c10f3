"""Pushing to the Hub, against the stand-in: what is sent, what is not, and what faults become."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import poolwright
from poolwright.core.errors import RecipeError, ReleaseError, TransferError
from poolwright.hub import push as pushing
from poolwright.release.checksums import write_sums
from tests.calling import Called, call
from tests.hub.conftest import use_hub
from tests.hub.hub_server import READER, TOKEN, HubServer

ADDRESS = "hf://datasets/ada/squares"
NAME = "ada/squares"
_PUSH = """
import sys
from pathlib import Path
from poolwright.core.runtime.progress import Silent
from poolwright.hub import push
from poolwright.hub.addresses import hub_address
from poolwright.release.checksums import read_sums
push._FILES_AT_ONCE = 1
folder = Path(sys.argv[1])
push.HubPush(folder, read_sums(folder), hub_address(sys.argv[2]), "half", Silent()).run(False, False)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def on_hub(hub: HubServer, branch: str = "main") -> dict[str, bytes]:
    return {name: data for name, data in hub.files(NAME, branch).items() if name != ".gitattributes"}


def copy(release: Path, to: Path) -> Path:
    return Path(shutil.copytree(release, to / "copy"))


def alter(release: Path) -> None:
    """Make another version: one file more, one less, one different."""
    (release / "ATTRIBUTION.csv").unlink()
    (release / "notes.txt").write_text("more\n")
    data = (release / "README.md").read_text(encoding="utf-8")
    (release / "README.md").write_text(data + "\nA line more.\n", encoding="utf-8")
    write_sums(release, {})


def test_a_push_sends_all_files_in_one_commit_and_a_second_one_nothing(squares: Path, hub: HubServer) -> None:
    first = call("push", squares, ADDRESS)
    assert first.code == 0, first.err
    assert on_hub(hub) == contents(squares)
    assert f"{hub.url}/datasets/{NAME} at commit {hub.repos[NAME].branches['main']}" in first.out
    assert ", private" in first.out
    assert hub.repos[NAME].private
    large = {name for name in contents(squares) if name.endswith(".parquet")}
    assert len(large) > 3
    assert len(hub.sent()) == len(large)
    again = call("push", squares, ADDRESS)
    assert again.code == 0
    assert "unchanged: everything was there already" in again.out
    assert not hub.sent()
    assert len(hub.repos[NAME].commits) == 2  # the first one is that of the Hub itself


def test_the_token_goes_to_the_hub_alone_and_is_printed_nowhere(squares: Path, hub: HubServer) -> None:
    assert call("push", squares, ADDRESS).code == 0
    commits = hub.requests("POST", "/commit/")
    assert commits[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert all("authorization" not in one.headers for one in hub.requests("PUT", "^/lfs/"))
    agents = {one.headers["user-agent"] for one in commits}
    assert all(text.startswith("poolwright/") for text in agents)
    hub.fail("GET", "/api/datasets/", 500, times=99)  # repeats the header in its answer
    failed = call("push", squares, ADDRESS)
    assert failed.code == 1
    assert failed.err.count("error:") == 1
    assert "the Hub fails (500)" in failed.err
    assert "continues where it stopped" in failed.err
    assert TOKEN not in failed.out + failed.err
    with pytest.raises(TransferError) as caught:
        poolwright.push(squares, ADDRESS)
    seen: BaseException | None = caught.value
    assert seen.__suppress_context__
    assert TOKEN not in str(seen)


def test_an_interrupted_push_goes_on(squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "_FILES_AT_ONCE", 1)
    hub.fail("PUT", "^/lfs/", "drop", times=99, after=3)
    stopped = call("push", squares, ADDRESS)
    assert stopped.code == 1
    assert "the Hub cannot be reached" in stopped.err
    assert "X-Amz" not in stopped.err
    before = hub.sent()
    assert len(before) == 3
    assert on_hub(hub) == {}  # no reader sees half a release
    hub.faults.clear()
    assert call("push", squares, ADDRESS).code == 0
    assert not before.keys() & hub.sent().keys()
    assert on_hub(hub) == contents(squares)


def test_large_files_are_sent_in_the_parts_that_the_hub_asks_for(
    squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HubServer(part_bytes=50_000) as hub:
        use_hub(hub, monkeypatch, tmp_path)
        hub.fail("PUT", "^/lfs/.*/part/1", 500)
        poolwright.push(squares, ADDRESS)
        assert on_hub(hub) == contents(squares)
        assert max(one.bytes for one in hub.requests("PUT", "^/lfs/")) == 50_000


def test_a_killed_push_goes_on(squares: Path, hub: HubServer, tmp_path: Path) -> None:
    own = {"HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path)}
    hub.fail("PUT", "^/lfs/", "hang", after=2)
    process = subprocess.Popen([sys.executable, "-c", _PUSH, str(squares), ADDRESS], env={**os.environ, **own})
    assert hub.hanging.wait(60)
    process.kill()
    process.wait()
    before = hub.sent()
    assert len(before) == 2
    assert call("push", squares, ADDRESS).code == 0
    assert not before.keys() & hub.sent().keys()
    assert on_hub(hub) == contents(squares)


def test_of_another_version_only_what_changed_is_sent_and_what_is_gone_is_removed(
    squares: Path, hub: HubServer, tmp_path: Path
) -> None:
    poolwright.push(squares, ADDRESS)
    other = copy(squares, tmp_path)
    alter(other)
    hub.sent()
    pushed = poolwright.push(other, ADDRESS, message="Second version")
    assert (pushed.changed, pushed.removed) == (3, ("ATTRIBUTION.csv",))
    assert not hub.sent()
    assert on_hub(hub) == contents(other)
    assert hub.repos[NAME].messages[-1] == "Second version"
    assert len(hub.repos[NAME].commits) == 3


def test_many_files_come_in_several_commits_the_checksums_last(
    squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "FILES_IN_COMMIT", 4)
    poolwright.push(squares, ADDRESS)
    assert on_hub(hub) == contents(squares)
    commits = list(hub.repos[NAME].commits.values())
    assert len(commits) > 4
    assert all("SHA256SUMS" not in files for files in commits[:-1])
    assert hub.repos[NAME].messages[1].endswith(f"(1 of {len(commits) - 1})")


def test_what_passes_is_waited_for(squares: Path, hub: HubServer) -> None:
    hub.fail("POST", "repos/create", 429)
    hub.fail("POST", "objects/batch", 503)
    hub.fail("PUT", "^/lfs/", "drop")
    hub.fail("POST", "/commit/", 500)
    done = call("push", squares, ADDRESS)
    assert done.code == 0, done.err
    assert "the Hub answers 429; waiting" in done.err
    assert "Retrying in 1s" in done.err
    assert "localhost" not in done.err
    assert on_hub(hub) == contents(squares)


def test_a_commit_whose_answer_is_lost_is_not_made_twice(squares: Path, hub: HubServer) -> None:
    hub.fail("POST", "/commit/", "after")
    assert call("push", squares, ADDRESS).code == 0
    assert len(hub.repos[NAME].commits) == 2


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("repos/create", 401, "the Hub does not accept the token (401)"),
        ("repos/create", 402, "more storage to be paid for (402)"),
        ("/commit/", 409, "someone else changes the dataset"),
        ("/commit/", 412, "changed meanwhile (412)"),
        ("/commit/", 429, "too many requests (429)"),
        ("/commit/", 418, "the Hub refuses (418)"),
    ],
)
def test_every_refusal_is_one_line(squares: Path, hub: HubServer, path: str, status: int, words: str) -> None:
    hub.fail("POST", path, status, times=99)
    failed = call("push", squares, ADDRESS)
    assert failed.code == 1
    assert words in failed.err
    assert failed.err.count("error:") == 1
    assert TOKEN not in failed.err


@pytest.mark.parametrize(
    ("token", "code", "words"),
    [
        ("", 2, "no token for the Hub; make one with write access at"),
        ("hf_NobodyKnowsThisToken", 1, "does not accept the token (401)"),
        (READER, 1, "make one with write access to 'ada'"),
    ],
)
def test_a_token_that_may_not_write(
    squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, token: str, code: int, words: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    failed = call("push", squares, ADDRESS)
    assert (failed.code, NAME in hub.repos) == (code, False)
    assert words in failed.err
    assert not token or token not in failed.err


def test_the_token_of_hf_auth_login_is_used(
    squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    (tmp_path / "token").write_text(TOKEN)
    assert call("push", squares, ADDRESS).code == 0


def test_what_is_no_release_is_not_removed_unasked(squares: Path, hub: HubServer) -> None:
    hub.put(NAME, {"weights.bin": b"theirs", "README.md": b"theirs"})
    with pytest.raises(ReleaseError, match=r"holds what is not a release \(weights\.bin\)"):
        poolwright.push(squares, ADDRESS)
    assert on_hub(hub)["weights.bin"] == b"theirs"
    pushed = poolwright.push(squares, ADDRESS, overwrite=True, public=True)
    assert pushed.removed == ("weights.bin",)
    assert on_hub(hub) == contents(squares)


def test_public_revision_and_files_that_the_hub_ignores(squares: Path, hub: HubServer) -> None:
    done = call("push", squares, ADDRESS, "--public", "--revision", "v2")
    assert done.code == 0, done.err
    assert ", public" in done.out
    assert on_hub(hub, "v2") == contents(squares)
    assert on_hub(hub) == {}
    hub.put(NAME, {".gitignore": b"table.json"})
    with pytest.raises(TransferError, match=r"left out table\.json; a \.gitignore"):
        poolwright.push(squares, ADDRESS)


def test_a_release_that_does_not_verify_is_not_sent(squares: Path, hub: HubServer, tmp_path: Path) -> None:
    broken = copy(squares, tmp_path)
    (broken / "table.json").write_text("{}")
    failed = call("push", broken, ADDRESS)
    assert failed.code == 1
    assert "nothing was sent: release: broken: " in failed.err
    assert "'table.json' has changed" in failed.err
    assert not hub.seen
    assert "there is no such folder" in call("push", tmp_path / "none", ADDRESS).err


def test_a_dry_run_needs_neither_token_nor_network(
    squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "")
    done = call("push", squares, ADDRESS, "--dry-run")
    assert done.code == 0, done.err
    assert [line.split()[1] for line in done.out.splitlines()[:5]] == [
        "release:",
        "names:",
        "sizes:",
        "counts:",
        "card:",
    ]
    assert "ready for hf://datasets/ada/squares; nothing was sent (--dry-run)" in done.out
    bad = copy(squares, tmp_path)
    header = (bad / "README.md").read_text(encoding="utf-8").replace("license: cc-by-4.0", "license: cc-by-4", 1)
    (bad / "README.md").write_text(header, encoding="utf-8")
    write_sums(bad, {})
    refused = call("push", bad, ADDRESS, "--dry-run")
    assert refused.code == 1
    assert "BROKEN  card: license: no licence 'cc-by-4' on the Hub; did you mean 'cc-by-4.0'?" in refused.out
    found = json.loads(call("push", bad, ADDRESS, "--dry-run", "--json").out)
    assert (found["ok"], found["pushed"]["dry_run"]) == (False, True)
    assert [check["ok"] for check in found["pushed"]["checks"]] == [True, True, True, True, False]
    assert not hub.seen


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("hf://ada/squares", "the address of a dataset is hf://datasets/USER/NAME"),
        ("hf://models/ada/squares", "the address of a dataset is hf://datasets/USER/NAME"),
        ("hf://datasets/ada", "the address of a dataset is hf://datasets/USER/NAME"),
        ("hf://datasets/ada/squares/data", "the address of a dataset is hf://datasets/USER/NAME"),
        ("hf://datasets/ada/squares@", "the address of a dataset is hf://datasets/USER/NAME"),
        ("hf://datasets/ada/two--dashes", "the Hub allows no such name: Cannot have -- or"),
        ("hf://datasets/ada/-x", "the Hub allows no such name"),
        ("ada/squares", "a release goes to hf://datasets/USER/NAME"),
        ("s3://bucket", "name a folder within the bucket"),
    ],
)
def test_addresses_that_are_wrong(squares: Path, hub: HubServer, address: str, words: str) -> None:
    for failed in (call("push", squares, address), call("pull", address, "x")):
        assert failed.code == 2
        assert words in failed.err
    assert not hub.seen


def test_two_revisions_are_refused(squares: Path) -> None:
    with pytest.raises(RecipeError, match="--revision names another"):
        poolwright.push(squares, f"{ADDRESS}@one", revision="two")


def test_an_endpoint_that_is_no_hub(squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    failed: Called = call("push", squares, ADDRESS)
    assert failed.code == 1
    assert "the Hub cannot be reached at http://127.0.0.1:9 (" in failed.err
    assert "waiting" not in failed.err  # nothing is repeated before a first answer


def test_a_hub_that_does_not_answer(squares: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    from poolwright.hub import client

    monkeypatch.setattr(client, "_FIRST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        failed: Called = call("push", squares, ADDRESS)
    assert failed.code == 1
    assert "the Hub cannot be reached at http://127.0.0.1" in failed.err
