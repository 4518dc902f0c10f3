"""Cuts the text of a recipe down to what one of its tables needs, with the comments of what stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.core.texts.yaml_text import load
from poolwright.recipe.recipe import Recipe

_NAMED, _OF_TABLES = ("pools", "tables"), ("figures", "releases")


@dataclass(frozen=True)
class _Piece:
    """Consecutive lines: the top level, a section's head, or an entry; with the comments and blank lines above them.

    Attributes:
        section: the key of the top level that they are below, or the head of.
        name: of an entry of pools or tables its own, of figures and releases that of their table; '' for other lines.
    """

    section: str
    name: str
    text: str


def part_of(text: str, table: str) -> str:
    """Return the lines of a recipe that make and release one of its tables, as a recipe of the table's name.

    Entries of pools, tables, figures and releases begin with two spaces; other keys of the top level stay.
    """
    recipe = Recipe.from_data(load(text, table), unset=True)
    needed = [
        table,
        *(name for release in recipe.releases if release.table == table for name in release.layout.tables()),
    ]
    for name in needed:
        needed += [one for one in (recipe.tables[name].reads if name in recipe.tables else ()) if one not in needed]
    kept = [one for one in _pieces(text) if not one.name or one.name in (needed if one.section in _NAMED else [table])]
    full = {one.section for one in kept if one.name}
    lines = [one.text for one in kept if one.name or one.section not in (*_NAMED, *_OF_TABLES) or one.section in full]
    joined = re.sub(r"^(\w+:\n)\n+", r"\1", "".join(lines), flags=re.MULTILINE)
    return re.sub(r"^name: .*$", f"name: {table}", joined, count=1, flags=re.MULTILINE)


def _pieces(text: str) -> Iterator[_Piece]:
    section, lines, whole = "", "", False
    for line in text.splitlines(keepends=True):
        head = re.match(r"(\w+):", line)
        entry = section in (*_NAMED, *_OF_TABLES) and re.match(r"  [^\s#]", line)
        if whole and (head or entry or re.match(r"\s*$|( {2})?#", line)):
            yield _Piece(section, _name(section, lines), lines)
            lines, whole = "", False
        lines += line
        if head:
            section = head[1]
            yield _Piece(section, "", lines)
            lines = ""
        whole = whole or bool(entry)
    yield _Piece(section, _name(section, lines), lines)


def _name(section: str, lines: str) -> str:
    patterns = {**dict.fromkeys(_NAMED, r"^  ([\w.-]+):"), **dict.fromkeys(_OF_TABLES, r"\btable: ([\w.-]+)")}
    found = re.search(patterns[section], lines, re.MULTILINE) if section in patterns else None
    return found[1] if found else ""
