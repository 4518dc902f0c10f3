"""The list of deliberate breaks fits the code and the tests of today. `make mutants` tries them."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutants", REPOSITORY / "tools" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


MUTANTS = load_tool()


def functions_of(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_there_are_many_of_different_names() -> None:
    names = [one.name for one in MUTANTS.read_mutants()]
    assert len(set(names)) == len(names) >= 30


@pytest.mark.parametrize("mutant", MUTANTS.read_mutants(), ids=lambda mutant: mutant.name)
def test_a_mutant_fits_the_code_and_names_its_tests(mutant: ModuleType) -> None:
    compile(mutant.broken(), mutant.file, "exec")
    assert (REPOSITORY / mutant.page).is_file()
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert (REPOSITORY / file).is_file()
        assert not name or name in functions_of(REPOSITORY / file), test


@pytest.mark.parametrize(("status", "survived"), [(1, False), (0, True), (4, True), (5, True)])
def test_only_a_failed_test_kills_a_mutant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, survived: bool
) -> None:
    module = tmp_path / "poolwright" / "core" / "errors.py"
    module.parent.mkdir(parents=True)
    whole = (MUTANTS.SOURCES / "poolwright" / "core" / "errors.py").read_text("utf-8")
    module.write_text(whole, "utf-8")
    mutant = MUTANTS.Mutant("one", "a promise", "README.md", "core/errors.py", "(Exception)", "(OSError)", ("a", "b"))

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[-2:] == ["a", "b"]
        assert options["env"]["PYTHONPATH"] == str(tmp_path)
        assert "class PoolwrightError(OSError)" in module.read_text("utf-8")
        return subprocess.CompletedProcess(command, status, "1 passed", "")

    monkeypatch.setattr(MUTANTS.subprocess, "run", run)
    assert bool(MUTANTS.survives(mutant, tmp_path)) == survived
    assert module.read_text("utf-8") == whole
