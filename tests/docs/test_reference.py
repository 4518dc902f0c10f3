"""The pages and the schema that are made from the code are those of the code."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from poolwright.core.step import Step
from poolwright.registry import LAYOUTS, POOLS, STEPS, step_registry
from tests.conftest import REPOSITORY

MADE = (
    "docs/steps.md",
    "docs/pools.md",
    "docs/layouts.md",
    "docs/json.md",
    "docs/json.schema.json",
    "src/poolwright/recipe/recipe.schema.json",
)


class Option(BaseModel):
    """An option with a name."""

    name: str = Field(description="its name")


class Sharp(Step):
    """Keep rows that are sharp."""

    verb: ClassVar[str] = "sharp"
    kind: ClassVar[Any] = "choose"
    example: ClassVar[str] = "sharp: {by: sharpness}"

    by: str = Field(description="column of the sharpness")
    options: list[Option] = Field(default_factory=list, description="options")
    anything: Any = Field(default=None, description="any value")

    def needs(self) -> tuple[str, ...]:
        return (self.by,)


def test_a_new_step_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STEPS, "sharp", f"{__name__}:Sharp")
    step_registry.cache_clear()
    spec = importlib.util.spec_from_file_location("make_reference", REPOSITORY / "tools" / "make_reference.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(tool)
        page = tool.steps_page()
    finally:
        monkeypatch.undo()
        step_registry.cache_clear()
    section = page.partition("\n## sharp\n")[2].partition("\n## ")[0]
    assert "Keep rows that are sharp." in section
    assert "  - sharp: {by: sharpness}" in section
    assert "The example reads `sharpness`." in section
    assert "| `options` | list of mapping |  | options |" in section


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
