"""A kill, or a power cut, at any change of the disk while people verify: nothing that was confirmed is lost."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.annotation.exchange.import_export import imported
from poolwright.annotation.queue import store
from poolwright.annotation.queue.store import STORE, VerdictStore
from poolwright.core.errors import WaitingForPeople
from poolwright.studio.verifying.live import LiveQueue, SentVerdict
from poolwright.studio.verifying.open_queues import OpenQueues
from tests.run.disk import Disk, Tree
from tests.run.test_crash import SELDOM, lasting

pytestmark = pytest.mark.skipif(os.name == "nt", reason="files are told apart by their inodes")

UIDS = [f"u{row}" for row in range(6)]
SHEET = b"uid,verdict,annotator\nu3,positive,Ben\nu4,negative,Ben\n"


def recipe(folder: Path) -> api.Recipe:
    pq.write_table(pa.table({"uid": UIDS, "label": ["cat", "dog"] * 3}), folder / "rows.parquet")
    data: dict[str, Any] = {
        "recipe": 1,
        "name": "asking",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"good": {"from": "rows", "steps": [{"verify": {"class": "label"}}]}},
    }
    return api.Recipe.from_data(data, folder)


class Desk:
    """What a project does, from whatever is there: ask, answer, import a sheet, write, run on.

    Attributes:
        confirmed: keys of the verdicts that the studio confirmed.
    """

    def __init__(self, made: api.Recipe, run: Path) -> None:
        self.recipe, self.run, self.confirmed = made, run, list[str]()

    def work(self) -> None:
        with suppress(WaitingForPeople):
            api.run(self.recipe, self.run, workers=1)
        queues = OpenQueues(self.run)
        live = queues.queue("good")
        for uid in UIDS[:3]:
            live.take("Anna", 1)
            self._confirm(live, uid, "positive")
            queues.write()
        live.skip("Anna", "u5", "skip of u5")
        live.take_in(imported(SHEET, "sheet.csv", live.queue))
        queues.write()
        self._confirm(live, "u5", "unsure")
        queues.stop()
        api.run(self.recipe, self.run, workers=1)

    def _confirm(self, live: LiveQueue, uid: str, verdict: str) -> None:
        live.say("Anna", [SentVerdict(uid, verdict, f"key of {uid}")])
        self.confirmed.append(f"key of {uid}")


def files(tree: Tree) -> Tree:
    """The files that must be the same; the database is compared by what it holds."""
    return {name: content for name, content in lasting(tree).items() if not name.startswith(f"run/{STORE}")}


def history(run: Path) -> list[Any]:
    with closing(VerdictStore(run / STORE)) as opened:
        return [replace(one, id=0) for one in opened.history("good")]  # a request sent again uses up a number


def test_a_crash_while_people_verify_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "timestamp", lambda: "2030-01-01T00:00:00.000+00:00")
    made, run = recipe(tmp_path), tmp_path / "disk" / "run"
    run.mkdir(parents=True)
    desk, states = Desk(made, run), list[tuple[Tree, int]]()
    with monkeypatch.context() as patches, closing(Disk(tmp_path / "disk", patches)) as disk:
        commit, close = VerdictStore.transaction, VerdictStore.close

        def note() -> None:
            new = [*disk.killed, *disk.cut, disk.now(), disk.durable()]
            states.extend((tree, len(desk.confirmed)) for tree in new)
            disk.killed.clear()
            disk.cut.clear()

        def committed(self: VerdictStore) -> Any:
            note()
            yield from commit.__wrapped__(self)  # type: ignore[attr-defined]
            if self._base.execute("PRAGMA synchronous").fetchone() == (2,):  # SQLite has synced its files
                disk.synced(*run.glob(f"{STORE}*"), run)

        def closed(self: VerdictStore) -> None:
            whole = self._base.execute("PRAGMA synchronous").fetchone() == (2,)
            close(self)
            if whole:
                disk.synced(*run.glob(f"{STORE}*"))

        patches.setattr(VerdictStore, "transaction", contextmanager(committed))
        patches.setattr(VerdictStore, "close", closed)
        desk.work()
        note()
    expected, said = files(disk.now()), history(run)
    assert len(said) == 7
    assert len(states) > 100
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    for tree, confirmed in states[::SELDOM]:
        disk.put_back(tree)
        if (run / STORE).exists():
            assert set(desk.confirmed[:confirmed]) <= {one.key for one in history(run)}
        else:
            assert not confirmed
        Desk(made, run).work()
        assert files(disk.now()) == expected
        assert history(run) == said
