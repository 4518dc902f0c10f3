"""Walls that import-linter cannot see: rooms that know no step by its verb or class."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from poolwright.registry import STEPS

SOURCE = Path(__file__).resolve().parent.parent / "src" / "poolwright"
ROOMS = ("core", "kernels", "models", "recipe", "run", "measure", "inspect", "jobs", "release", "report")
"""Rooms that work on any step, also on one of a stranger."""
STEP_CLASSES = {place.replace(":", ".") for place in STEPS.values()}


def files() -> list[Path]:
    return sorted(path for room in ROOMS for path in (SOURCE / room).rglob("*.py"))


@pytest.mark.parametrize("path", files(), ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_no_step_is_known_by_its_verb_or_class(path: Path) -> None:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            verbs = [side for side in sides if isinstance(side, ast.Attribute) and side.attr == "verb"]
            constants = [part.value for side in sides for part in ast.walk(side) if isinstance(part, ast.Constant)]
            found += [f"line {node.lineno}: compares a verb with {constants}"] if verbs and constants else []
        if isinstance(node, ast.ImportFrom):
            classes = {f"{node.module}.{name.name}" for name in node.names} & STEP_CLASSES
            found += [f"line {node.lineno}: imports {sorted(classes)}"] if classes else []
    assert not found


def test_no_room_has_more_than_sixteen_files_on_one_floor() -> None:
    rooms = {path.parent for path in SOURCE.rglob("*.py")}
    files = {room: [path for path in room.glob("*.py") if path.name != "__init__.py"] for room in rooms}
    assert {room.relative_to(SOURCE).as_posix(): len(found) for room, found in files.items() if len(found) > 16} == {}
