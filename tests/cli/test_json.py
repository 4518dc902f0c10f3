"""Commands for machines: one JSON object with the documented fields, errors too, for every command that prints."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import __version__, api
from poolwright.cli import commands  # noqa: F401 - adds all commands to the application
from poolwright.cli.app import app
from poolwright.cli.documents import documents
from poolwright.cli.documents.data import FetchDocument, RebuildDocument, TrainDocument
from poolwright.cli.documents.publishing import PullDocument
from poolwright.cli.main import main
from poolwright.cli.rendering.json_output import error_fields, json_text
from poolwright.core.errors import InputError, WaitingForPeople
from poolwright.fetch.fetch import Fetched
from poolwright.fetch.recovery import ClassRecovery, Recovery
from poolwright.fetch.repeats import Repeated
from poolwright.hub.results import Pulled
from poolwright.jobs.train import TrainedEncoder
from poolwright.models.encoders.networks.training_record import TrainingRecord
from poolwright.release.checks.result import Check, Verification
from tests.calling import Called, call
from tests.conftest import REPOSITORY, MadeDemo

COMMANDS = [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]  # type: ignore[union-attr]

RECIPE = """\
recipe: 1
name: small
pools:
  rows: {read: table, path: rows.parquet}
tables:
  best:
    from: rows
    steps:
      - where: width > 10
      - top: {by: similarity, n: 2}
releases:
  - {table: best, layout: huggingface, images: none, figures: false, to: out/best}
"""


def strict(schema: Any) -> Any:
    """The schema without room for fields that it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {**closed, **{name: strict(one) for name, one in schema.items()}}


def checked(text: str) -> Any:
    """The object that was printed, and nothing else; it must have the documented fields."""
    found = json.loads(text)
    schema = strict(json.loads((REPOSITORY / "docs" / "json.schema.json").read_text(encoding="utf-8")))
    jsonschema.Draft202012Validator(schema).validate(found)
    assert found["poolwright"] == __version__
    return found


def told(*arguments: str | Path, folder: Path) -> Any:
    called = call(*arguments, "--json", folder=folder)
    assert called.code == 0, called.err
    found = checked(called.out)
    assert found["command"] == arguments[0]
    return found


@pytest.fixture
def small(tmp_path: Path) -> Path:
    rows = {"uid": ["a", "b", "c"], "width": [20, 30, 5], "similarity": [0.1, 0.2, 0.3]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_the_options_and_a_document(command: str) -> None:
    called = call(command, "-h")
    assert called.code == 0
    assert called.out == call(command, "--help").out
    for option in ("--json", "-q, --quiet", "-v, --verbose", "--log FILE"):
        assert f"\n  {option} " in called.out
    assert command in documents(), "a command that prints has a document in cli/documents"


def test_a_recipe_from_check_to_release(small: Path) -> None:
    assert told("check", "small.yaml", folder=small)["tables"][0]["columns"]["similarity"] == "float"
    (before,) = told("plan", "small.yaml", folder=small)["tables"]
    assert (before["state"], before["seconds_left"]) == ("new", None)
    ran = told("run", "small.yaml", folder=small)
    (table,) = ran["tables"]
    where = next(step for step in table["steps"] if step["verb"] == "where")
    assert (where["step"], where["rows_in"], where["kept"], where["dropped"][0]["rows"]) == (1, 3, 2, 1)
    assert Path(ran["releases"][0]["folder"]) == small / "out" / "best"
    assert told("show", "runs/small", folder=small)["tables"] == [table]
    (story,) = told("why", "runs/small", "c", folder=small)["stories"]
    assert (story["kept"], story["steps"][0]["verb"], story["steps"][0]["values"]["width"]) == (False, "where", 5)
    dropped = told("ledger", "runs/small", "best", folder=small)
    assert (dropped["rows"], dropped["dropped"][0]["reason"]) == (None, where["dropped"][0]["reason"])
    (row,) = told("ledger", "runs/small", "best", "--uid", "c", folder=small)["rows"]
    assert (row["uid"], row["step"], row["width"]) == ("c", 1, 5)
    written = told("ledger", "runs/small", "best", "--to", "dropped.parquet", folder=small)
    assert (written["rows"], written["files"]) == (None, ["dropped.parquet"])
    assert pq.read_table(small / "dropped.parquet")["uid"].to_pylist() == ["c"]
    verified = told("verify", "out/best", "--no-load", folder=small)
    assert verified["ok"] is True
    assert {check["ok"] for check in verified["checks"]} <= {True, None}
    assert told("report", "runs/small", folder=small)["files"] == ["runs/small/report.html"]
    assert told("apply", "out/best", "rows.parquet", folder=small)["table"]["rows_in"] == 3
    (prediction,) = told("plan", "small.yaml", "--sample", "2", folder=small)["predictions"]
    assert prediction["table"] == "best"
    converted = told("convert", "table", "rows.parquet", "new.parquet", folder=small)
    assert converted["converted"]["rows"] == 3
    compared = told("diff", "out/best", "runs/small/best", "--html", "diff.html", folder=small)
    assert (compared["changes"]["same"], compared["changes"]["removed"], compared["files"]) == (2, 0, ["diff.html"])
    (small / "out" / "best" / "README.md").write_text("changed")
    called = call("verify", "out/best", "--json", "--no-load", folder=small)
    assert called.code == 1
    assert checked(called.out)["ok"] is False


def test_the_run_of_the_demo(made_demo: MadeDemo, tmp_path: Path) -> None:
    run = made_demo.folder / "demo" / "run"
    found = told("search", run, "rain", "--n", "5", "--to", tmp_path, folder=tmp_path)
    assert [row["rank"] for row in found["nearest"]] == [1, 2, 3, 4, 5]
    (table,) = (one for one in api.show(run) if one.name == found["table"])
    uids = table.read(["uid"])["uid"].to_pylist()
    assert [row["uid"] for row in found["nearest"]] == [uids[row["row"]] for row in found["nearest"]]
    assert all(Path(file).exists() for file in found["files"])
    sheet = told("audit", run, "maps", tmp_path / "sheet.csv", "--n", "20", folder=tmp_path)["files"][0]
    text = Path(sheet).read_text(encoding="utf-8")
    assert "verdict" in text


@pytest.mark.parametrize("command", ["recipes", "steps", "pools", "layouts", "figures", "encoders"])
def test_lists(command: str, tmp_path: Path) -> None:
    found = told(command, folder=tmp_path)
    names = [entry["name"] for entry in found.get("entries") or found["recipes"]]
    known = getattr(api, command)()
    assert names == ([one.name for one in known] if isinstance(known, list) else list(known))


def test_other_commands(tmp_path: Path) -> None:
    assert told("new", "balanced-folder", folder=tmp_path)["files"] == ["balanced-folder.yaml"]
    (entry,) = told("steps", "top", folder=tmp_path)["entries"]
    assert entry["reasons"]["not_top"] == "not among the best"
    assert "complete" in told("completion", "bash", folder=tmp_path)["script"]
    assert json.loads(call("steps", "--schema", "--json").out)["properties"]["recipe"]


def test_what_brings_in_data() -> None:
    again = (Repeated("ab", 30, "http://a/1.jpg"),)
    fetched = Fetched(Path("shards"), 3, {"success": 1, "failed": 2}, {"http_404": 2}, 1, 900, again)
    found = checked(json_text("fetch", FetchDocument.of(fetched)))
    assert (found["succeeded"], found["fetched"]["folder"]) == (1, "shards")
    recovery = Recovery(fetched, 1, (ClassRecovery("cat", 3, 1, {"http_404": 2}),), (Path("recovery.json"),))
    assert checked(json_text("rebuild", RebuildDocument.of(recovery)))["recovery"]["classes"][0]["recovered"] == 1
    record = TrainingRecord(
        kind="moco", name="m", model="moco:.", settings={"epochs": 1}, images=9, data="", left_out={},
        epoch_steps=1, epochs={"loss": [math.nan]}, curves={},
    )  # fmt: skip
    trained = TrainedEncoder(Path("enc"), "moco:enc", record, True, None)  # type: ignore[arg-type]
    found = checked(json_text("train-encoder", TrainDocument.of(trained)))
    assert found["losses"]["loss"] == {"first epoch": None, "last epoch": None}


def test_what_publishes_releases(small: Path) -> None:
    assert call("run", "small.yaml", "--quiet", folder=small).code == 0
    pushed = told("push", "out/best", "hf://datasets/somebody/best", "--dry-run", folder=small)
    assert (pushed["ok"], pushed["pushed"]["dry_run"], pushed["pushed"]["commit"]) == (True, True, None)
    verification = Verification(Path("best"), (Check("sums", False, "README.md differs"),))
    pulled = Pulled("hf://datasets/a/b", Path("best"), "abc", 3, 90, True, (), "best", "huggingface", verification)
    found = checked(json_text("pull", PullDocument.of(pulled)))
    assert (found["ok"], found["pulled"]["verification"]["checks"][0]["ok"]) == (False, False)


def test_values_of_every_kind() -> None:
    values = {
        "nan": math.nan, "inf": -math.inf, "numpy": np.float32(0.5), "count": np.int64(7), "vector": np.arange(3),
        "null": np.float64(math.nan), "arrow": pa.array([1, None]), "scalar": pa.scalar("x"), "type": pa.float32(),
        "path": Path("a/b"), "pair": (1, "ü"), "odd": Path("a\udcff"),
    }  # fmt: skip
    found = json.loads(json_text("x", values))
    assert found == {
        "poolwright": __version__, "command": "x", "schema": 1, "nan": None, "inf": None, "numpy": 0.5, "count": 7,
        "vector": [0, 1, 2], "null": None, "arrow": [1, None], "scalar": "x", "type": "float", "path": "a/b",
        "pair": [1, "ü"], "odd": "a\udcff",
    }  # fmt: skip
    assert "ü" in json_text("x", values)
    assert json_text("x", values, "latin-1").isascii()


def failed(called: Called, code: int) -> Any:
    assert called.code == code
    assert called.err
    return checked(called.out)["error"]


def test_errors_are_json_too(small: Path) -> None:
    (small / "small.yaml").write_text(RECIPE.replace("top:", "tpo:").replace("width > 10", "widht > 10"))
    error = failed(call("check", "small.yaml", "--json", folder=small), 2)
    assert error["kind"] == "Mistakes"
    places = [one["where"] for one in error["errors"]]
    assert {"file": "small.yaml", "line": 9, "key": "tables.best.steps[0].where"} in places
    assert {"file": "small.yaml", "line": 10, "key": "tables.best.steps[1].tpo"} in places
    error = failed(call("show", "nowhere", "--json", folder=small), 1)
    assert (error["kind"], "where" in error) == ("InputError", False)
    assert failed(call("run", "--frsh", "--json", folder=small), 2)["kind"] == "NoSuchOption"
    assert failed(call("--json", "chekc", folder=small), 2)["kind"] == "UsageError"


def test_errors_as_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    assert error_fields(InputError("rows.csv:3: width: no number"))["where"] == {
        "file": "rows.csv",
        "line": 3,
        "key": "width",
    }

    def wait(*arguments: object) -> None:
        raise WaitingForPeople("4 verdicts are missing")

    monkeypatch.setattr(api, "show", wait)
    assert failed(call("show", "run", "--json"), 3)["continue"] == "poolwright show run --json"


def test_a_fault_of_the_program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(api, "show", fail)
    monkeypatch.setattr(sys, "argv", ["poolwright", "show", "run", "--json"])
    with pytest.raises(ZeroDivisionError):
        main()
    assert checked(capsys.readouterr().out)["error"] == {"kind": "ZeroDivisionError", "message": "a fault"}


def test_quiet_and_verbose(small: Path) -> None:
    quiet = call("run", "small.yaml", "-q", folder=small)
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")
    assert call("-q", "check", "small.yaml", folder=small).out == ""
    assert "2 of 3 rows kept" in call("show", "runs/small", "-q", folder=small).out, "what was asked for is printed"
    again = call("run", "small.yaml", "-v", "--fresh", "best", folder=small)
    assert "best: write 1/1 units" in again.err
    wrong = call("show", "nowhere", "-v", folder=small)
    assert "Traceback" in wrong.err
    assert "Traceback" not in call("show", "nowhere", folder=small).err


def test_a_log_that_was_asked_for(small: Path) -> None:
    assert call("run", "small.yaml", "--log", "events.jsonl", folder=small).code == 0
    assert call("show", "nowhere", "--log", "events.jsonl", folder=small).code == 1
    events = [json.loads(line) for line in (small / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert events[0]["event"] == "command_started"
    assert {"pass_started", "unit_done", "table_done", "note", "command_ended"} <= {one["event"] for one in events}
    assert (events[-1]["level"], events[-1]["error"]) == ("error", "InputError")
    called = call("recipes", "--log", "no/such/folder.jsonl", folder=small)
    assert called.code == 0
    assert called.err.startswith("no/such/folder.jsonl: the log cannot be written: No such file or directory; ")


def test_scripts_for_shells() -> None:
    expected = {"bash": "complete -o default -F", "zsh": "#compdef poolwright", "fish": "--command poolwright"}
    for shell, words in expected.items():
        called = call("completion", shell)
        assert (called.code, words in called.out, called.err) == (0, True, "")
    assert "known: bash, fish, zsh" in call("completion", "tcsh").err
    assert "completion" not in call("-h").out.partition("Commands:")[0]


def completed(monkeypatch: pytest.MonkeyPatch, folder: Path, words: str) -> list[str]:
    monkeypatch.setenv("_POOLWRIGHT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    return call(folder=folder).out.split()


def test_names_are_completed(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, small, "poolwright steps to") == ["top"]
    assert completed(monkeypatch, small, "poolwright sh") == ["show"]
    assert completed(monkeypatch, small, "poolwright run small.yaml --table b") == ["best"]
    assert completed(monkeypatch, small, "poolwright new balanced-f") == ["balanced-folder"]
    folder = small / "runs" / "small" / "tables" / "best"
    folder.mkdir(parents=True)
    (folder / "table.json").touch()
    assert completed(monkeypatch, small, "poolwright search runs/small x --table b") == ["best"]
