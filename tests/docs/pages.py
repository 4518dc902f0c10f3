"""Pages of the documentation as a list of code blocks, and how each kind of block is run.

python            runs, in one namespace a page
yaml              a recipe: it is parsed, and checked against the JSON Schema. Without the key `recipe` it is a
                  piece of one, by its top-level keys, or a list of steps; it is completed first
yaml title="x.yaml"   the same, and written to that file
console           `$ poolwright ...` runs; what it prints must be as shown, where `...` stands for anything, how
                  many spaces there are does not matter, and decimals may be a little off: the last bits of
                  vectors differ between processors. `$` and another command only reads well.

Commands that name /path/to/data are checked, not run, and only if the real data is there; else they are counted.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import shlex
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from poolwright.core.texts.yaml_text import load
from poolwright.recipe.recipe import build
from poolwright.recipe.source import parse_source
from tests.calling import call
from tests.conftest import REPOSITORY, real_data_folder

_FENCE = re.compile(r"^```(\w+)?(?:[ ]+title=\"([^\"]*)\")?[ ]*\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)")
_DATA = "/path/to/data"
_BASE: dict[str, Any] = {
    "recipe": 1,
    "name": "fragment",
    "pools": {"photos": {"read": "image_folder", "path": "photos"}},
    "tables": {
        "best": {"from": "labelled", "steps": []},
        **{name: {"from": "photos"} for name in ("labelled", "annotations", "scores")},
    },
}


@dataclass(frozen=True)
class Block:
    """One fenced block: `line` is where its first line stands in the page."""

    language: str
    title: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        found.append(Block(match.group(1) or "", match.group(2) or "", match.group(3), line))
    return found


def run_page(page: Path, folder: Path) -> tuple[int, int]:
    """Run every block of a page in a folder; returns how many there were, and how many commands lack real data."""
    names: dict[str, Any] = {"__name__": page.stem}
    done = unchecked = 0
    for block in blocks(page):
        where = f"{page.relative_to(REPOSITORY)}:{block.line}"
        if block.language == "python":
            run_python(block, names, folder, where)
        elif block.language == "yaml":
            check_yaml(block, folder, where)
        elif block.language == "console":
            unchecked += run_console(block, folder, where)
        else:
            continue
        done += 1
    return done, unchecked


def run_python(block: Block, names: dict[str, Any], folder: Path, where: str) -> None:
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(block.text, where, "exec"), names)
        except Exception as error:
            pytest.fail(f"{where}: {type(error).__name__}: {error}")


def check_yaml(block: Block, folder: Path, where: str) -> None:
    data = load(block.text, where)
    whole = isinstance(data, dict) and "recipe" in data
    data = data if whole else completed({"steps": data} if isinstance(data, list) else data)
    try:
        SCHEMA.validate(json.loads(json.dumps(data, default=str)))
        build(parse_source(block.text if whole else yaml.safe_dump(data, sort_keys=False), where, folder))
    except Exception as error:
        pytest.fail(f"{where}: {str(error).splitlines()[0]}")
    if block.title:
        (folder / block.title).write_text(block.text, encoding="utf-8")


def completed(piece: dict[str, Any]) -> dict[str, Any]:
    """A whole recipe around a piece of one."""
    data = copy.deepcopy(_BASE)
    piece = dict(piece)
    data["tables"]["best"]["steps"] = piece.pop("steps", [])
    data.update(piece)
    data.setdefault("models", {}).setdefault("clip", "onnx:clip")
    if "pools" in piece and "tables" not in piece:
        for table in data["tables"].values():
            table["from"] = next(iter(piece["pools"]))
    return data


def run_console(block: Block, folder: Path, where: str) -> int:
    unchecked = 0
    for line, expected in _commands(block.text):
        command, _, file = line.partition(" > ")
        words = shlex.split(command, comments=True)
        if words[0] != "poolwright":
            continue
        if any(_DATA in word for word in words):
            unchecked += not check_with_real_data(words, where)
            continue
        called = call(*words[1:], folder=folder)
        if called.code != (3 if "waiting for" in expected else 0) and "error:" not in expected:
            pytest.fail(f"{where}: {command}\nexit status {called.code}: {called.err}")
        if file:
            (folder / file).write_text(called.out, encoding="utf-8")
        printed = called.out + (called.err if called.code else "")
        if expected.strip() and not as_shown(expected, printed):
            pytest.fail(f"{where}: {command}\nshown:\n{expected}\nprinted:\n{printed}")
    return unchecked


def as_shown(expected: str, printed: str) -> bool:
    """Whether an output is as a page shows it."""
    pieces = [_pattern_of(piece) for piece in re.split(r"(\.\.\.|\s+)", expected.strip())]
    found = re.fullmatch("".join(pieces), printed.strip(), re.DOTALL)
    numbers = [number for piece in expected.split("...") for number in _NUMBER.findall(piece)]
    return found is not None and all(map(_near, numbers, found.groups()))


def _pattern_of(piece: str) -> str:
    if piece == "...":
        return ".*?"
    if piece.isspace():
        return r"\s*"
    words = _NUMBER.split(piece)
    return r"([\d,.]*\d)".join(map(re.escape, words))


def _near(one: str, other: str) -> bool:
    left, right = (float(text.replace(",", "")) for text in (one, other))
    if "." not in one + other:
        return left == right
    return abs(left - right) <= max(0.01, 0.03 * abs(left))


def _commands(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), []))
        elif found:
            found[-1][1].append(line)
    return [(command, "".join(lines)) for command, lines in found]


def check_with_real_data(words: list[str], where: str) -> bool:
    """Check a recipe over real data; returns whether there is any."""
    data = real_data_folder()
    if not data.is_dir():
        return False
    words = [word.replace(_DATA, str(data)) for word in words]
    called = call("check", *words[2:], folder=REPOSITORY)
    assert called.code == 0, f"{where}: {called.err}"
    return True


SCHEMA = jsonschema.Draft202012Validator(
    json.loads((files("poolwright.recipe") / "recipe.schema.json").read_text(encoding="utf-8"))
)
