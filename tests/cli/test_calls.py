"""Commands that run nothing: help, lists, new recipes, checks; exit status and where things are printed."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import poolwright
from poolwright import api
from poolwright.core.errors import WaitingForPeople
from poolwright.recipe.shipped import shipped
from poolwright.registry import STEPS
from tests.calling import call

COMMANDS = (
    "demo",
    "try",
    "recipes",
    "new",
    "check",
    "plan",
    "run",
    "show",
    "why",
    "search",
    "audit",
    "accuracy",
    "report",
    "apply",
    "convert",
    "steps",
    "pools",
    "layouts",
    "figures",
    "encoders",
    "verify",
    "fetch",
    "rebuild",
)

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
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a recipe that is right."""
    rows = {"uid": ["a", "b", "c"], "width": [20, 30, 5], "similarity": [0.1, 0.2, 0.3]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    (tmp_path / "small.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def told(small: Path, *changes: tuple[str, str]) -> str:
    """What `check` says of the recipe after some changes; it must be refused."""
    text = RECIPE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (small / "small.yaml").write_text(text, encoding="utf-8")
    called = call("check", "small.yaml", folder=small)
    assert (called.code, called.out) == (2, "")
    return called.err


def test_every_command_has_help() -> None:
    listing = call("--help")
    assert listing.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in listing.out
        called = call(command, "--help")
        assert called.code == 0
        assert "Usage: " in called.out
    assert "..." not in listing.out.partition("Commands:")[2], "a first line is too long for the list"


def test_version() -> None:
    assert call("--version").out == f"poolwright {poolwright.__version__}\n"


@pytest.mark.parametrize(
    "arguments", [(), ("chekc",), ("run",), ("run", "x.yaml", "--frsh", "t"), ("demo", "--images", "9")]
)
def test_a_wrong_call_has_status_2(arguments: tuple[str, ...]) -> None:
    called = call(*arguments)
    assert called.code == 2
    assert "Usage: " in called.out + called.err


def test_recipes_are_listed_and_written(tmp_path: Path) -> None:
    listing = call("recipes").out
    for recipe in shipped():
        assert recipe.name in listing
        assert recipe.summary in listing
    called = call("new", "zero-shot-domains", folder=tmp_path)
    assert called.code == 0
    assert "poolwright check zero-shot-domains.yaml" in called.out
    assert (tmp_path / "zero-shot-domains.yaml").read_text(encoding="utf-8").startswith("# Relabel pictures")


def test_new_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("mine")
    called = call("new", "balanced-folder", "mine.yaml", folder=tmp_path)
    assert called.code == 2
    assert "mine.yaml exists already" in called.err
    assert (tmp_path / "mine.yaml").read_text() == "mine"


def test_new_suggests_a_name(tmp_path: Path) -> None:
    called = call("new", "zero-shot-domain", folder=tmp_path)
    assert called.code == 2
    assert "did you mean 'zero-shot-domains'?" in called.err


def test_steps_are_listed_and_explained() -> None:
    listing = call("steps").out
    assert [verb for verb in STEPS if f"\n {verb} " not in listing] == []
    called = call("steps", "top")
    for words in ("top (choose)", "fraction", "required", "drops: not_top: not among the best"):
        assert words in called.out
    wrong = call("steps", "toop")
    assert wrong.code == 2
    assert "unknown step 'toop'; did you mean 'top'?" in wrong.err


def test_steps_print_the_schema_that_is_shipped() -> None:
    printed = call("steps", "--schema").out
    assert printed == (files("poolwright.recipe") / "recipe.schema.json").read_text(encoding="utf-8")
    assert json.loads(printed)["title"] == "poolwright recipe"


def test_a_right_recipe(small: Path) -> None:
    called = call("check", "small.yaml", folder=small)
    assert (called.code, called.err) == (0, "")
    assert "best  from pools.rows\n  steps    where, top\n  columns  uid, width, similarity\n" in called.out
    assert called.out.endswith("small.yaml: nothing wrong; run it with: poolwright run small.yaml\n")
    assert not (small / "runs").exists()


def test_a_column_that_nobody_gives(small: Path) -> None:
    error = told(small, ("by: similarity", "by: score"))
    assert error.startswith("error: small.yaml:10: tables.best.steps[1].top: 'top' needs the column 'score'")
    assert "columns: uid, width, similarity" in error


def test_a_file_that_is_not_there(small: Path) -> None:
    error = told(small, ("rows.parquet", "row.parquet"))
    assert error.startswith("error: small.yaml:4: pools.rows: ")
    assert str(small / "row.parquet") in error


def test_a_model_that_is_not_there(small: Path) -> None:
    step = "- label: {with: width, vocabulary: [a, b], model: onnx:nowhere}"
    assert "small.yaml:9: tables.best.steps[0].label" in told(small, ("- where: width > 10", step))


def test_a_column_of_a_wrong_type(small: Path) -> None:
    assert "small.yaml:9: tables.best.steps[0].where: " in told(small, ("width > 10", "uid + 1"))


def test_an_unknown_step(small: Path) -> None:
    assert "small.yaml:10: tables.best.steps[1].topp: unknown step 'topp'; did you mean 'top'?" in told(
        small, ("- top:", "- topp:")
    )


def test_a_missing_extra_is_told_with_its_command(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (small / "photos").mkdir()
    (small / "photos" / "a.png").write_bytes(b"")
    find = importlib.util.find_spec

    def without(name: str, *rest: Any) -> ModuleSpec | None:
        return None if name == "imagehash" else find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    error = told(
        small,
        ("read: table, path: rows.parquet", "read: image_folder, path: photos"),
        ("where: width > 10", "hash: phash"),
    )
    assert "small.yaml:9: tables.best.steps[0].hash: hash: phash needs imagehash" in error
    assert "pip install 'poolwright[hash]'" in error


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    called = call("check", "nowhere.yaml", folder=tmp_path)
    assert called.code == 2
    assert called.err == "error: nowhere.yaml: no such recipe; list the shipped ones with: poolwright recipes\n"


@pytest.mark.parametrize(("command", "arguments"), [("show", ()), ("why", ("a",)), ("report", ())])
def test_a_folder_without_a_run(tmp_path: Path, command: str, arguments: tuple[str, ...]) -> None:
    called = call(command, tmp_path / "nowhere", *arguments)
    assert (called.code, called.out) == (1, "")
    assert "nowhere" in called.err


def test_a_folder_without_a_release(tmp_path: Path) -> None:
    assert call("verify", tmp_path / "nowhere").code == 1
    assert call("verify", tmp_path).code == 1


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (WaitingForPeople("40 verdicts are missing"), 3, "40 verdicts are missing\n  poolwright check small.yaml\n"),
        (KeyboardInterrupt(), 130, "stopped; the same command continues\n"),
    ],
)
def test_how_commands_end(
    small: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(api, "check", fail)
    monkeypatch.setattr(os, "_exit", sys.exit)  # it would end the tests
    handled: list[object] = []
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)  # whatever a shell left ignored
    monkeypatch.setattr(signal, "signal", lambda _, handler: handled.append(handler))
    called = call("check", "small.yaml", folder=small)
    assert (called.code, called.out, called.err) == (code, "", words)
    assert (signal.SIG_IGN in handled) == isinstance(error, KeyboardInterrupt)  # another Ctrl-C changes nothing


def test_as_a_process_of_its_own(small: Path) -> None:
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "40"}
    command = [sys.executable, "-m", "poolwright"]
    right = subprocess.run([*command, "steps"], capture_output=True, text=True, env=environment, check=True)
    assert "\x1b" not in right.stdout
    assert right.stderr == ""
    assert all(line == line.rstrip() for line in right.stdout.splitlines())
    wrong = subprocess.run([*command, "check", "no.yaml"], capture_output=True, text=True, cwd=small, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("error: no.yaml: no such recipe")


def test_names_of_the_package_stay_what_they_are() -> None:
    for _ in range(2):
        for name in poolwright.__all__:
            assert getattr(poolwright, name) is not None
        assert callable(poolwright.api.run)
    assert set(poolwright.__all__) <= set(dir(poolwright))
    with pytest.raises(AttributeError, match="no attribute 'Recipes'"):
        _ = poolwright.Recipes
