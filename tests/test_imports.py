"""What may not be imported early: starting is fast because heavy libraries wait until they are used."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

HEAVY = (
    "torch", "torchvision", "open_clip", "timm", "ray", "duckdb", "sklearn", "scipy", "onnxruntime", "pandas",
    "datasets", "mlcroissant", "matplotlib", "jinja2", "fastapi", "imagehash", "faiss", "PIL", "pyarrow", "numpy",
    "pydantic",
)  # fmt: skip


SOURCE = REPOSITORY / "src" / "poolwright"
BY_NAME = ("__init__.py", "api/__init__.py", "registry.py")
"""Files that may import modules of poolwright by their names: import-linter cannot see what these import."""

HELP = "import sys; sys.argv = ['poolwright', '--help']; from poolwright.cli.main import main; main()"


@pytest.mark.parametrize("code", ["import poolwright", HELP])
def test_nothing_heavy_is_imported(code: str) -> None:
    listing = "import sys, atexit; atexit.register(lambda: print('\\n@' + ' '.join(sys.modules)))\n"
    output = subprocess.run([sys.executable, "-c", listing + code], capture_output=True, text=True, check=True).stdout
    loaded = set(output.rpartition("@")[2].split())
    assert "poolwright" in loaded
    assert not loaded & set(HEAVY)


def test_checking_a_recipe_needs_no_torch_nor_engine(tmp_path) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import sys; from poolwright.recipe.recipe import Recipe; import poolwright.api\n"
        "assert not {'torch', 'ray', 'duckdb', 'sklearn', 'onnxruntime'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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
