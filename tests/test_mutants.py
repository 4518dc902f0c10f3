"""The list of deliberate breaks fits the code and the tests of today. `make mutants` tries them."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def tests_of(path: Path) -> set[str]:
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
        assert not name or name in tests_of(REPOSITORY / file), test


def test_a_mutant_that_no_test_notices_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notices, passes = tmp_path / "test_notices.py", tmp_path / "test_passes.py"
    notices.write_text(
        "from pathlib import Path\nimport os\n\n\n"
        "def test_it():\n    text = (Path(os.environ['PYTHONPATH']) / 'poolwright/core/errors.py').read_text()\n"
        "    assert 'class PoolwrightError(Exception)' in text\n"
    )
    passes.write_text("def test_it():\n    pass\n")
    break_ = ("core/errors.py", "class PoolwrightError(Exception)", "class PoolwrightError(ValueError)")
    sources = tmp_path / "src"
    (sources / "poolwright" / "core").mkdir(parents=True)
    whole = (MUTANTS.SOURCES / "poolwright" / "core" / "errors.py").read_text("utf-8")
    (sources / "poolwright" / "core" / "errors.py").write_text(whole, "utf-8")
    for test, survived in ((notices, False), (passes, True), (tmp_path / "test_gone.py", True)):
        mutant = MUTANTS.Mutant("one", "a promise", "README.md", *break_, (str(test),))
        assert bool(MUTANTS.survives(mutant, sources)) == survived
        assert (sources / "poolwright" / "core" / "errors.py").read_text("utf-8") == whole
