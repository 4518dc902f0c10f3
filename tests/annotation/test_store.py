"""The history of verdicts: it only grows, keeps each thing once, and says what counts."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from poolwright.annotation.queue.store import Said, VerdictStore
from poolwright.annotation.verdicts import SKIPPED, WITHDRAWN
from poolwright.core.errors import InputError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VerdictStore]:
    made = VerdictStore(tmp_path / "verdicts.sqlite")
    yield made
    made.close()


def said(uid: str, verdict: str = "positive", who: str = "Anna", key: str = "", queue: str = "maps") -> Said:
    return Said(queue, uid, who, verdict, key or f"{queue} {uid} {verdict} {who}")


def test_what_counts_is_what_each_said_last(store: VerdictStore) -> None:
    store.add([said("a"), said("b", "negative"), said("a", "negative", "Ben")])
    store.add([said("a", "unsure"), said("b", WITHDRAWN), said("c", queue="other")])
    found = [(one.uid, one.annotator, one.verdict) for one in store.counting("maps")]
    assert found == [("a", "Ben", "negative"), ("a", "Anna", "unsure")]
    assert [one.id for one in store.history("maps")] == [1, 2, 3, 4, 5]
    assert [one.verdict for one in store.history("maps", after=3)] == ["unsure", WITHDRAWN]
    assert store.queues() == ["maps", "other"]


def test_the_same_thing_sent_again_is_kept_once(store: VerdictStore) -> None:
    (first,) = store.add([said("a", key="one")])
    store.add([said("a", "negative", key="two")])
    (again,) = store.add([said("a", key="one")])
    assert again == first
    assert [one.verdict for one in store.counting("maps")] == ["negative"]
    with pytest.raises(InputError, match="key 'one' belongs to another verdict"):
        store.add([said("b", key="three"), said("b", key="one")])
    assert len(store.history("maps")) == 2, "all or nothing"


def test_nothing_is_changed_or_removed(store: VerdictStore) -> None:
    store.add([said("a")])
    store.set_aside("maps", "Anna", "owner")
    store.add_gold("maps", [("a", "positive")], "owner")
    other = sqlite3.connect(store.path)
    for table in ("verdicts", "set_aside", "gold"):
        for change in (f"UPDATE {table} SET queue = 'x'", f"DELETE FROM {table}"):
            with pytest.raises(sqlite3.IntegrityError, match="a history"):
                other.execute(change)
    other.close()


def test_set_aside_and_let_count_again(store: VerdictStore) -> None:
    store.add([said("a"), said("a", who="Ben"), said("b")])
    store.set_aside("maps", "Anna", "owner")
    assert [one.annotator for one in store.counting("maps")] == ["Ben"]
    store.add([said("b", "negative")])
    assert [(one.uid, one.annotator) for one in store.counting("maps")] == [("a", "Ben"), ("b", "Anna")]
    store.let_count("maps", "Anna", "owner")
    assert {(one.uid, one.annotator, one.verdict) for one in store.counting("maps")} == {
        ("a", "Ben", "positive"), ("a", "Anna", "positive"), ("b", "Anna", "negative"),
    }  # fmt: skip


def test_gold(store: VerdictStore) -> None:
    store.add_gold("maps", [("a", "positive"), ("b", "negative")], "owner")
    store.add_gold("maps", [("a", WITHDRAWN), ("b", "positive")], "owner")
    assert store.gold("maps") == {"b": "positive"}
    with pytest.raises(InputError, match="'unsure' cannot be the answer to a gold question"):
        store.add_gold("maps", [("a", "unsure")], "owner")


def test_bad_verdicts_and_files_are_reported(store: VerdictStore, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'perhaps' is not a verdict"):
        store.add([said("a", "perhaps")])
    (tmp_path / "text.sqlite").write_text("no database at all, but long enough to be looked at" * 20)
    with pytest.raises(InputError, match="cannot open the database of verdicts"):
        VerdictStore(tmp_path / "text.sqlite")


def test_commits_are_on_the_disk(store: VerdictStore) -> None:
    assert store._base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._base.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_threads_and_another_reader(store: VerdictStore) -> None:
    def work(who: str) -> None:
        for row in range(50):
            one = said(f"row {row}", who=who)
            store.add([one])
            store.add([replace(one)])  # clicked twice

    threads = [threading.Thread(target=work, args=(f"person {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other = VerdictStore(store.path)
    assert len(other.history("maps")) == len(other.counting("maps")) == 200
    other.close()


def test_skips_count_until_there_is_a_verdict(store: VerdictStore) -> None:
    store.add([said("a", SKIPPED, key="1"), said("a", SKIPPED, key="2"), said("b", SKIPPED), said("c", SKIPPED, "Ben")])
    store.add([said("b"), said("d")])
    assert [one.uid for one in store.counting("maps")] == ["b", "d"]
    assert [(one.uid, one.annotator) for one in store.skipped("maps")] == [("a", "Anna"), ("a", "Anna"), ("c", "Ben")]
    store.add([said("d", SKIPPED), said("b", WITHDRAWN)])
    assert [one.uid for one in store.counting("maps")] == ["d"], "a skip takes no verdict back"
    assert [one.uid for one in store.skipped("maps")] == ["a", "a", "b", "c"]
    store.set_aside("maps", "Anna", "owner")
    assert [one.uid for one in store.skipped("maps")] == ["c"]


def test_a_store_of_an_older_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.execute(
        "CREATE TABLE verdicts (id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, queue TEXT NOT NULL, "
        "uid TEXT NOT NULL, annotator TEXT NOT NULL, verdict TEXT NOT NULL, seconds REAL, comment TEXT NOT NULL, "
        "act TEXT NOT NULL, key TEXT NOT NULL UNIQUE)"
    )
    old.execute("INSERT INTO verdicts VALUES (1, 't', 'maps', 'a', 'Anna', 'positive', 1.0, '', 'k', 'k')")
    old.commit()
    old.close()
    for _ in range(2):
        made = VerdictStore(path)
        assert [(one.uid, one.about) for one in made.counting("maps")] == [("a", "")]
        made.close()
