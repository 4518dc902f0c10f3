"""What may not be imported early: starting is fast because heavy libraries wait until they are used."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.release.layouts.shared import tar_writing
from poolwright.release.layouts.webdataset import WebDatasetLayout
from poolwright.release.statistics import gather
from tests.conftest import REPOSITORY
from tests.release.build import pictures, write_table

HEAVY = (
    "torch", "torchvision", "open_clip", "timm", "ray", "duckdb", "sklearn", "scipy", "onnxruntime", "pandas",
    "datasets", "mlcroissant", "matplotlib", "jinja2", "fastapi", "imagehash", "faiss", "PIL", "pyarrow", "numpy",
    "pydantic",
)  # fmt: skip


SOURCE = REPOSITORY / "src" / "poolwright"
BY_NAME = ("__init__.py", "api/__init__.py", "registry.py")
"""Files that may import modules of poolwright by their names: import-linter cannot see what these import."""

MAIN = "from poolwright.cli.main import main; main()"


RECIPE = """
recipe: 1
name: six
pools: {rows: {read: table, path: rows.parquet}, labels: {read: table, path: labels.parquet}}
tables:
  few:
    from: rows
    steps:
      - where: "width > 100"
      - derive: {wide: "width > 500"}
      - join: {with: labels, on: uid, columns: [score]}
      - top: {by: score, n: 5}
      - cap: {group: label, n: 2}
      - split: {ratios: {train: 0.8, test: 0.2}, into: split}
figures: [{name: purity, measure: purity, table: few, predicted: split, truth: label}]
releases: [{table: few, layout: parquet, to: out}]
"""
NOT_TO_CHECK = (set(HEAVY) | {"rich", "pyarrow.dataset"}) - {"duckdb", "pyarrow", "numpy", "pydantic"}
NOT_TO_START = {*HEAVY, "yaml", "rich", "poolwright.core.columns"}
LISTING = "import sys, atexit; atexit.register(lambda: print('\\n@' + ' '.join(sys.modules)))\n"


def imported(code: str, **environment: str) -> set[str]:
    """Run code in a new process; return the modules that it imported."""
    done = subprocess.run(
        [sys.executable, "-c", LISTING + code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("@")[2].split())


@pytest.mark.parametrize("arguments", [None, ["--help"], ["--version"], ["check", "--help"]])
def test_starting_imports_little(arguments: list[str] | None) -> None:
    loaded = imported("import poolwright" if arguments is None else f"sys.argv[1:] = {arguments}; {MAIN}")
    assert "poolwright" in loaded
    assert not loaded & NOT_TO_START


def test_checking_a_recipe_imports_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    rows = {"uid": ["a", "b"], "label": ["x", "y"], "width": [200, 600]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    pq.write_table(pa.table({"uid": ["a"], "score": [0.5]}), tmp_path / "labels.parquet")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    loaded = imported(f"sys.argv = ['poolwright', 'check', {str(tmp_path / 'recipe.yaml')!r}]; {MAIN}")
    assert "poolwright.steps.choose.cap" in loaded
    assert not loaded & NOT_TO_CHECK
    assert not {name for name in loaded if name.startswith(("poolwright.run.table_run", "poolwright.fetch"))}


NETWORKS = """
recipe: 1
name: networks
pools: {pictures: {read: table, path: rows.parquet}}
tables:
  described:
    from: pictures
    steps:
      - embed: {image: one, model: "torchvision:resnet50/IMAGENET1K_V1"}
      - embed: {image: other, model: "timm:vit_base_patch16_224.augreg_in21k"}
      - embed: {image: third, model: "open_clip:ViT-B-32/openai"}
      - verify: {class: label, annotators: 3, rule: majority}
"""


def test_checking_a_recipe_with_networks_imports_none_of_their_libraries(tmp_path: Path) -> None:
    pq.write_table(pa.table({"uid": ["a"], "label": ["x"], "image_path": ["a.jpg"]}), tmp_path / "rows.parquet")
    (tmp_path / "recipe.yaml").write_text(NETWORKS)
    loaded = imported(f"sys.argv = ['poolwright', 'check', {str(tmp_path / 'recipe.yaml')!r}]; {MAIN}")
    assert "poolwright.models.encoders.networks.timm_models" in loaded
    assert not loaded & (NOT_TO_CHECK | {"markdown_it", "http.client"})


WRITING = "import cloudpickle, pathlib; cloudpickle.loads(pathlib.Path(sys.argv[1]).read_bytes())(0)"


def test_processes_that_write_shards_do_not_import_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted:
        def map_apart(self, function: Any, units: Any, folder: Path, inputs: Any) -> Any:
            (tmp_path / "function").write_bytes(cloudpickle.dumps(function))
            yield from ((unit, function(unit)) for unit in units)

    pictures(tmp_path, ["0.jpg", "1.jpg", "2.jpg"])
    paths = [str(tmp_path / f"{row}.jpg") for row in range(3)]
    rows = {"uid": ["a", "b", "c"], "image_path": paths, "split": ["x", "y", None], "label": ["p", None, "q"]}
    table = write_table(tmp_path / "table", pa.table(rows))
    monkeypatch.setattr(tar_writing, "_FEW", 0)
    (tmp_path / "out").mkdir()
    WebDatasetLayout(class_label="label").write_with(Noted(), table, tmp_path / "out", gather(table))
    loaded = imported(f"sys.argv = ['', {str(tmp_path / 'function')!r}]; {WRITING}")
    assert "poolwright.release.layouts.shared.tar_writing" in loaded
    assert "pandas" not in loaded  # PyArrow imports it for the first array of Python values, if it is installed


@pytest.mark.parametrize("words", ["", "check ", "run recipe.yaml --table ", "new ", "convert "])
def test_completing_a_command_imports_little(words: str) -> None:
    asked = f"poolwright {words}"
    loaded = imported(f"sys.argv = ['poolwright']; {MAIN}", _POOLWRIGHT_COMPLETE="complete_bash", COMP_WORDS=asked,
                      COMP_CWORD=str(len(asked.split())))  # fmt: skip
    assert not loaded & (NOT_TO_START - ({"yaml"} if "--table" in words else set()))


def test_modules_are_imported_by_name_in_the_registry_alone() -> None:
    for file in sorted(SOURCE.rglob("*.py")):
        name = file.relative_to(SOURCE).as_posix()
        if name not in BY_NAME:
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call) and _called(call) in ("import_module", "__import__", "import_library"):
                    _check_import(call, name)


def _check_import(call: ast.Call, file: str) -> None:
    """An import by name is one of a library, whose name stands there."""
    if file == "models/encoders/networks/network.py" and _called(call) == "import_module":
        return  # import_library, whose callers are looked at as well
    named = call.args[0]
    assert isinstance(named, ast.Constant), f"{file}:{call.lineno}: an import of a computed name"
    assert not str(named.value).startswith(("poolwright", ".")), f"{file}:{call.lineno}: imports {named.value}"


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
