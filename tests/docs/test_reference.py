"""The pages and the schema that are made from the code are those of the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from poolwright.registry import LAYOUTS, POOLS, STEPS
from tests.conftest import REPOSITORY

MADE = ("docs/steps.md", "docs/pools.md", "docs/layouts.md", "src/poolwright/recipe/recipe.schema.json")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reference")
    subprocess.run([sys.executable, str(REPOSITORY / "tools" / "make_reference.py"), str(root)], check=True)
    return root


@pytest.mark.parametrize("place", MADE)
def test_what_is_made_from_the_code_is_current(made: Path, place: str) -> None:
    current = (made / place).read_text(encoding="utf-8")
    assert (REPOSITORY / place).read_text(encoding="utf-8") == current, "run `make docs`"


def test_every_step_pool_and_layout_has_its_section(made: Path) -> None:
    for page, names in (("steps", STEPS), ("pools", POOLS), ("layouts", LAYOUTS)):
        text = (made / "docs" / f"{page}.md").read_text(encoding="utf-8")
        assert [name for name in names if f"\n## {name}\n" not in text] == []
