"""What may not be imported early: starting is fast because heavy libraries wait until they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch", "torchvision", "open_clip", "timm", "ray", "duckdb", "sklearn", "scipy", "onnxruntime", "pandas",
    "datasets", "mlcroissant", "matplotlib", "jinja2", "fastapi", "imagehash", "faiss", "PIL", "pyarrow", "numpy",
    "pydantic",
)  # fmt: skip


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
