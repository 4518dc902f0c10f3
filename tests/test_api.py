"""The public API: its names are pinned, functions stay functions whatever is imported, documented fields exist."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from inspect import cleandoc, isclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import poolwright
from poolwright import api
from tests.run.pools import make_recipe, make_rows, write_pool

FUNCTIONS = [
    "accuracy", "apply", "audit", "build_encoder", "check", "cluster_figures", "combine_boxes", "convert",
    "diff", "dry_run",
    "encoders", "explore", "export_classifier", "fetch", "fetch_options", "figures", "import_clear", "layouts",
    "leaks", "ledger", "more_verdicts", "new_recipe", "plan", "plan_cluster",
    "pools", "pull", "push", "rebuild", "recipe_schema", "recipes", "report", "run", "search", "show", "steps",
    "train_encoder", "try_folder", "verify", "why", "write_diff", "write_leaks", "write_search",
]  # fmt: skip
TYPES = [
    "Applied", "BuiltEncoder", "Changes", "Check", "ClusterPlan", "CombinedBoxes", "Converted", "DroppedCount",
    "DroppedRows", "Entry", "Estimates", "Explorer",
    "FetchOptions", "Fetched", "LeakReport", "LedgerSummary", "Listener", "Matrix", "Measured", "MoreVerdicts",
    "Package", "Parameter", "Prediction", "Pulled", "Pushed", "Recipe", "Recovery", "RunResult", "SearchResult",
    "Shipped",
    "StepStory", "Story", "Table", "TableOutlook", "TablePlan", "TableProgress", "TableRecord", "TrainedEncoder",
    "FirstLook", "Verification", "View", "Written",
]  # fmt: skip
CONTRACTS = [
    "BadPart", "Context", "EncoderKind", "EncoderSpec", "InputError", "Layout", "MemoryFrame", "Outcome", "Part",
    "Peek", "Pool", "PoolwrightError", "Reason", "RecipeError", "Rows", "State", "Step", "StepError",
]  # fmt: skip


def test_public_names_are_these() -> None:
    assert sorted(api.__all__) == sorted(["FETCH_ERRORS", *FUNCTIONS, *TYPES])
    assert sorted(poolwright.__all__) == sorted(["api", "FETCH_ERRORS", *FUNCTIONS, *TYPES, *CONTRACTS])


def test_dir_shows_the_public_names_alone() -> None:
    for module in (poolwright, api):
        assert [name for name in dir(module) if not name.startswith("__")] == sorted(module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = poolwright.nonsense
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = api.nonsense


def test_every_public_name_is_there_and_documented() -> None:
    for name in poolwright.__all__:
        value = getattr(poolwright, name)
        assert name == "FETCH_ERRORS" or value.__doc__, name
        if name in FUNCTIONS:
            assert callable(value)
            assert value is getattr(api, name)
        elif name not in ("api", "FETCH_ERRORS"):
            assert isclass(value), name


@pytest.mark.parametrize("name", ["run", "report", "fetch", "steps", "inspect", "measure", "pools", "release"])
def test_importing_a_subpackage_does_not_replace_a_function(name: str) -> None:
    code = (
        "import poolwright, importlib\n"
        "before = {n: getattr(poolwright, n) for n in poolwright.__all__}\n"
        f"module = importlib.import_module('poolwright.{name}')\n"
        f"assert module.__name__ == 'poolwright.{name}'\n"
        "import poolwright.run.run, poolwright.report, poolwright.fetch.fetch, poolwright.steps.choose.top\n"
        "from poolwright.run.run import Run\n"
        "from poolwright.report.page import write_report\n"
        "assert Run and write_report\n"
        "for n in poolwright.__all__:\n"
        "    assert getattr(poolwright, n) is before[n], n\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_subpackage_imported_first_does_not_replace_a_function() -> None:
    code = (
        "from poolwright.run.run import Run\n"
        "import poolwright.report.page, poolwright.fetch, poolwright.steps\n"
        "import poolwright\n"
        "for n in ('run', 'report', 'fetch', 'steps', 'verify', 'pools'):\n"
        "    assert callable(getattr(poolwright, n)), n\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_run_report_and_verify_work_twice(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(60))
    recipe = make_recipe(tmp_path, [])
    for _ in range(2):
        assert poolwright.run(recipe, tmp_path / "run").tables
        assert poolwright.report(tmp_path / "run").is_file()
        assert poolwright.verify(tmp_path).ok is False
        assert poolwright.steps()["top"].kind == "choose"


def test_a_text_alone_is_a_list_of_one(tmp_path: Path) -> None:
    write_pool(tmp_path, make_rows(60))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "recipe: 1\nname: one\npools:\n  pool: {read: table, path: rows}\n"
        "tables:\n  best:\n    from: pool\n    steps: [{sample: {n: 20}}]\n"
    )
    result = poolwright.run(recipe, tmp_path / "run", sets="seed=7", tables="best", fresh="best")
    best = result.tables["best"]
    assert (best.record.seed, len(best), best.select("uid").to_arrow().column_names) == (7, 20, ["uid"])
    uid = poolwright.ledger(tmp_path / "run", "best").to_arrow().column("uid").to_pylist()[0]
    one = poolwright.ledger(tmp_path / "run", "best", uids=uid, columns="uid").to_arrow()
    assert one.column("uid").to_pylist() == [uid]


def test_functions_can_be_replaced_by_mocks_and_come_back() -> None:
    original = poolwright.run
    with mock.patch("poolwright.run") as fake:
        assert poolwright.run is fake
    assert poolwright.run is original
    with mock.patch.object(poolwright, "verify", return_value="mocked"):
        assert poolwright.verify("x") == "mocked"
    assert callable(poolwright.verify)
    with mock.patch("poolwright.run.run.Run") as fake_run:
        from poolwright.run.run import Run

        assert Run is fake_run


def test_the_package_can_be_reloaded() -> None:
    code = (
        "import importlib, poolwright\n"
        "poolwright.run\n"
        "import poolwright.run.run\n"
        "importlib.reload(poolwright)\n"
        "assert callable(poolwright.run) and poolwright.run.__name__ == 'run'\n"
        "assert dir(poolwright) == sorted([*poolwright.__all__, '__version__'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def public_dataclasses() -> list[type[Any]]:
    values = [getattr(poolwright, name) for name in poolwright.__all__]
    return [value for value in values if dataclasses.is_dataclass(value)]


def documented(cls: type[Any]) -> set[str]:
    """Names in the section `Attributes:` of a docstring; several may share a line, 'files, bytes: ...'."""
    section = re.search(r"^Attributes:\n((?:    .*\n?|\n)*)", cleandoc(cls.__doc__ or ""), re.MULTILINE)
    entries = re.findall(r"^    ([\w, ]+):", section[1], re.MULTILINE) if section else []
    return {name for entry in entries for name in entry.split(", ")}


@pytest.mark.parametrize("cls", public_dataclasses(), ids=lambda cls: cls.__name__)
def test_documented_fields_exist_and_fields_are_documented(cls: type[Any]) -> None:
    fields = {field.name for field in dataclasses.fields(cls) if not field.name.startswith("_")}
    if listed := documented(cls):
        assert listed == fields
