"""People's answers and fetched images in a remote run folder: from any machine, into the store, and after kills."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from poolwright import api
from poolwright.annotation.queue.history_file import digest_history
from poolwright.annotation.queue.store import STORE, Said, VerdictStore
from poolwright.api import Recipe
from poolwright.core.errors import ChangedError, PoolwrightError, WaitingForPeople
from poolwright.run.remote import folder as folders
from poolwright.run.remote import lease as leases
from poolwright.run.remote.folder import studio_folder, work_folder
from poolwright.run.remote.mirror import MANIFEST
from tests.annotation.asking import labels_of, recipe, write_pool
from tests.annotation.people import fill_csv
from tests.fetch.server import BadServer
from tests.fetch.test_step import recipe as fetching
from tests.fetch.test_step import urls_of
from tests.fetch.test_step import write_pool as write_urls
from tests.run.pools import final_files
from tests.stores import s3, s3_service  # noqa: F401

URL = "s3://pools/runs/x"
SHEET = "verify/good/sheets/sheet-1.csv"
CODE = """
import os, signal, sys
from pathlib import Path
from poolwright.run.remote import answers, lease
from poolwright.run.remote.folder import studio_folder

lease.SETTLED = 0.0
send = answers.RunStore.send

def killed(self, file, name):
    send(self, file, name)
    os.kill(os.getpid(), signal.SIGKILL)

answers.RunStore.send = killed
with studio_folder(Path(sys.argv[1])):
    pass
"""


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "SETTLED", 0.0)


class Machine:
    """A machine with the recipe and its pool, which runs in the remote folder."""

    def __init__(self, folder: Path, **asked: Any) -> None:
        folder.mkdir()
        self.truth = write_pool(folder)
        self.folder, self.recipe = folder, recipe(folder, **asked)
        self.work = work_folder(self.recipe, URL)

    def waits(self) -> str:
        with pytest.raises(WaitingForPeople) as waiting:
            api.run(self.recipe, URL)
        return str(waiting.value)

    def runs(self) -> Path:
        assert api.run(self.recipe, URL).folder == self.work
        return self.work

    def words(self, share: int = 1) -> dict[str, str]:
        """What is true of every row, or of each one of `share` rows."""
        labels = labels_of(self.folder)
        right = {uid: "yes" if name == labels[uid] else "no" for uid, name in self.truth.items()}
        return dict(list(right.items())[::share])

    def filled_in(self, words: Mapping[str, str]) -> bytes:
        """The first sheet, filled in."""
        copy = self.folder / "copy.csv"
        shutil.copy(self.work / SHEET, copy)
        fill_csv(copy, words)
        return copy.read_bytes()


@pytest.fixture
def first(s3: Any, tmp_path: Path) -> Machine:  # noqa: F811
    """A machine whose run waits for people."""
    machine = Machine(tmp_path / "first")
    machine.waits()
    return machine


def of_tables(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in final_files(folder).items() if name.startswith("tables/")}


def test_answers_that_are_put_into_the_store_count_on_any_machine_and_the_bytes_are_those_of_a_local_run(
    s3: Any,  # noqa: F811
    first: Machine,
    tmp_path: Path,
) -> None:
    assert s3.cat_file(f"pools/runs/x/{SHEET}") == (first.work / SHEET).read_bytes()
    filled = first.filled_in(first.words())
    s3.pipe_file("pools/runs/x/verify/good/verdicts/ada.csv", filled)
    second = Machine(tmp_path / "second")
    there = second.runs()
    assert (there / "verify/good/verdicts/ada.csv").read_bytes() == filled
    assert s3.exists("pools/runs/x/verify/good/verdicts/ada.csv")

    local = Machine(tmp_path / "local")
    with pytest.raises(WaitingForPeople):
        api.run(local.recipe)
    (local.recipe.default_run / "verify/good/verdicts/ada.csv").write_bytes(filled)
    api.run(local.recipe)
    assert of_tables(there) == of_tables(local.recipe.default_run) != {}
    first.runs()
    assert of_tables(first.work) == of_tables(there)
    assert [name for name in json.loads(s3.cat_file(f"pools/runs/x/{MANIFEST}"))["files"] if "verdicts/" in name] == []


def test_answers_given_here_outlive_a_run_elsewhere(first: Machine, tmp_path: Path) -> None:
    (first.work / SHEET).write_bytes(first.filled_in(first.words(2)))
    second = Machine(tmp_path / "second")
    assert "so far" not in second.waits()
    (second.work / "verify/good/verdicts/bea.csv").write_bytes(second.filled_in(second.words(3)))
    assert "so far: 24 verdicts" in second.waits()
    both = len({*first.words(2), *first.words(3)})
    assert f"so far: {len(first.words(2)) + len(first.words(3)):,} verdicts by 2 people" in first.waits()
    assert f"on {72 - both} rows" in second.waits()
    (second.work / "verify/good/verdicts/bea.csv").unlink()  # she takes hers back
    assert "so far: 36 verdicts by 1 person" in second.waits()
    assert "so far: 36 verdicts by 1 person" in first.waits()
    assert not (first.work / "verify/good/verdicts/bea.csv").exists()


def test_a_file_that_changed_on_both_sides_is_an_error_and_both_stay(
    s3: Any,  # noqa: F811
    first: Machine,
) -> None:
    mine, theirs = first.filled_in(first.words(2)), first.filled_in(first.words(3))
    (first.work / SHEET).write_bytes(mine)
    s3.pipe_file(f"pools/runs/x/{SHEET}", theirs)
    with pytest.raises(ChangedError, match=f"{URL}: {SHEET} changed both there and in .*rename the one in"):
        api.run(first.recipe, URL)
    assert (first.work / SHEET).read_bytes() == mine
    assert s3.cat_file(f"pools/runs/x/{SHEET}") == theirs
    (first.work / SHEET).rename(first.work / "verify/good/verdicts/mine.csv")
    assert "by 2 people" in first.waits()


def say(machine: Machine, *uids: str) -> None:
    store = VerdictStore(machine.work / STORE)
    store.add([Said("good", uid, "ada", "positive", key=f"k{uid}") for uid in uids])
    store.close()


def test_verdicts_of_the_studio_reach_the_store_without_a_run_and_after_kills(
    s3: Any,  # noqa: F811
    first: Machine,
    tmp_path: Path,
) -> None:
    say(first, "r001", "r002")
    killed = subprocess.run([sys.executable, "-c", CODE, str(first.work)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    with studio_folder(first.work):  # the lease of a process of this machine that is gone is over
        pass
    second = Machine(tmp_path / "second")
    assert "so far: 2 verdicts by 1 person" in second.waits()
    assert digest_history(second.work / STORE) == digest_history(first.work / STORE)
    with studio_folder(second.work):
        say(second, "r003")
        with pytest.raises(PoolwrightError, match="another studio is using it"), studio_folder(first.work):
            pass
    assert "so far: 3 verdicts by 1 person" in first.waits()
    assert not (first.work / f"{STORE}-wal").exists()
    with VerdictStore(first.work / STORE).transaction() as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_studio_and_runs_on_its_machine_go_on_at_the_same_time(
    s3: Any,  # noqa: F811
    first: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(folders, "SECONDS", 0.02)
    with studio_folder(first.work):
        store = VerdictStore(first.work / STORE)  # open, with a log
        store.add([Said("good", "r001", "ada", "positive", key="1")])
        assert "so far: 1 verdict" in first.waits()
        store.add([Said("good", "r002", "ada", "positive", key="2")])
        assert "so far: 2 verdicts" in first.waits()
    copy = first.folder / "copy.sqlite"
    copy.write_bytes(s3.cat_file(f"pools/runs/x/{STORE}"))
    assert digest_history(copy) == digest_history(first.work / STORE)
    names = {str(path).partition("runs/x/")[2] for path in s3.find("pools/runs/x")}
    assert not [name for name in names if name.endswith(("-wal", "-shm", ".lock", ".lease"))]


def test_work_folders_of_local_runs_are_left_alone(tmp_path: Path) -> None:
    with studio_folder(tmp_path):
        assert list(tmp_path.iterdir()) == []


@pytest.fixture
def server() -> Iterator[BadServer]:
    with BadServer() as running:
        yield running


def test_shards_that_were_fetched_are_not_fetched_again_on_another_machine(
    s3: Any,  # noqa: F811
    server: BadServer,
    tmp_path: Path,
) -> None:
    urls = urls_of(server)
    made: list[Recipe] = []
    for name in ("first", "second", "local"):
        (tmp_path / name).mkdir()
        write_urls(tmp_path / name, urls)
        made.append(fetching(tmp_path / name))
    first, second, local = made
    work = work_folder(first, URL)
    code = FETCHES.format(tests=os.getcwd(), folder=str(tmp_path / "first"), url=URL)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -signal.SIGKILL
    named = json.loads(s3.cat_file(f"pools/runs/x/{MANIFEST}"))["files"]
    assert "fetched/pictures/.fetch/00000.json" in named
    assert not [name for name in named if name.endswith((".jsonl", ".bytes", "run.lock"))]
    assert (work / "fetched/pictures/.fetch/00001.jsonl").exists()
    server.seen.clear()
    there = api.run(second, URL, tables=["pictures"]).folder
    assert not [path for path in server.seen if path in {f"/ok/{number}" for number in (0, 1, 3, 4)}]
    here = api.run(local, tables=["pictures"]).folder
    parts = [{n: d for n, d in of_tables(one).items() if "part-" in n} for one in (there, here)]
    assert parts[0] == parts[1] != {}
    assert api.run(first, URL, tables=["pictures"]).folder == work
    assert of_tables(work) == of_tables(there)


FETCHES = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from poolwright import api
from poolwright.fetch import fetcher
from poolwright.run.remote import folder, lease, mirror
from tests.fetch.test_step import recipe

lease.SETTLED, folder.SECONDS = 0.0, 3600.0
finish = fetcher.finish_shard
kept = mirror.Mirror.__init__

def remembered(self, *given):
    kept(self, *given)
    global sync
    sync = self.sync

def finished(folder, shard, *given):
    if shard:
        sync()
        os.kill(os.getpid(), signal.SIGKILL)
    finish(folder, shard, *given)

mirror.Mirror.__init__, fetcher.finish_shard = remembered, finished
api.run(recipe(Path({folder!r}), {{"timeout": 0.5, "retries": 0, "allow_private": True, "shard_rows": 4,
                                   "concurrency": 1}}), {url!r})
"""
