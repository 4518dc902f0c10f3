"""The log of a run: what happens in order, without secrets, bounded, and of no effect on anything else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import poolwright
from poolwright.core.errors import ChangedError
from poolwright.core.runtime import event_log
from poolwright.core.runtime.event_log import EventLog, without_secrets
from poolwright.core.runtime.progress import Silent, TableProgress
from tests.run.pools import make_recipe, make_rows, write_pool

STEPS = [{"top": {"by": "width", "n": 20}}]


class Heard(Silent):
    """A listener that keeps notes and units."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.units = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, progress: TableProgress) -> None:
        self.units += 1


def logs(run: Path) -> list[list[dict[str, Any]]]:
    files = sorted((run / "logs").glob("*.jsonl"))
    return [[json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] for file in files]


def test_a_run_keeps_its_log(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(60))
    recipe, heard = make_recipe(tmp_path, STEPS), Heard()
    table = next(iter(recipe.tables))
    poolwright.run(recipe, tmp_path / "run", listener=heard)
    (events,) = logs(tmp_path / "run")
    assert [events[0]["event"], events[-1]["event"]] == ["run_started", "run_ended"]
    assert {"time", "level", "event"} <= set(events[0])
    fits = [one for one in events if one.get("step") == "01-top"]
    assert fits
    assert {one["table"] for one in fits} == {table}
    (done,) = [one for one in events if one["event"] == "table_done"]
    assert (done["rows_in"], done["rows_kept"], done["fresh"]) == (60, 20, True)
    assert sum(one["event"] == "unit_done" for one in events) == heard.units > 0
    poolwright.run(recipe, tmp_path / "run")
    assert len(logs(tmp_path / "run")) == 2, "each run has a log of its own"


def test_a_refused_run_touches_nothing_and_an_error_is_logged(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(60))
    poolwright.run(make_recipe(tmp_path, STEPS), tmp_path / "run")
    with pytest.raises(ChangedError):
        poolwright.run(make_recipe(tmp_path, [{"top": {"by": "width", "n": 21}}]), tmp_path / "run")
    assert len(logs(tmp_path / "run")) == 1
    log = EventLog(Silent(), tmp_path / "log.jsonl")
    with pytest.raises(ValueError), log.during("run"):
        raise ValueError("no such thing at https://me:secret@host/x?X-Amz-Signature=abc&n=1")
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert (last["level"], last["error"]) == ("error", "ValueError")
    assert last["message"] == "no such thing at https://***@host/x?X-Amz-Signature=***&n=1"


def test_values_of_the_environment_are_hidden(tmp_path: Path) -> None:
    heard = Heard()
    log = EventLog(heard, tmp_path / "log.jsonl", hide=lambda value: json.loads(json.dumps(value).replace("pw", "***")))
    log.note("reading pw")
    assert heard.notes == ["reading ***"]
    assert "pw" not in (tmp_path / "log.jsonl").read_text()
    assert without_secrets("Bearer abc.def hf_abcdefghijklmnopqrst") == "Bearer *** hf_***"


def test_a_log_is_bounded_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_log, "MOST_BYTES", 2_000)
    (tmp_path / "logs").mkdir()
    for number in range(30):
        (tmp_path / "logs" / f"20200101T0000{number:02}.000000Z.jsonl").touch()
    log = EventLog(Silent())
    log.note("before the folder is known")
    log.keep_in(tmp_path)
    for number in range(500):
        log.progress(TableProgress("best", "write", 500, number))
    log.note("the end")
    assert len(logs(tmp_path)) == event_log.KEPT
    events = logs(tmp_path)[-1]
    assert [events[0]["message"], events[-1]["message"]] == ["before the folder is known", "the end"]
    assert log.path
    assert log.path.stat().st_size < 2_500


def test_what_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    heard = Heard()
    (tmp_path / "logs").write_text("a file in the way")
    log = EventLog(heard)
    log.keep_in(tmp_path)
    log.note("one")
    log.note("two")
    assert [note for note in heard.notes if "cannot be written" in note] == heard.notes[:1]
    assert heard.notes[1:] == ["one", "two"]
