"""One name, one thing: no two public classes of the package share a name."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import poolwright

SHARED = {
    "Recipe": "the public one is the validated recipe with `run`, which only the API can carry",
    "SearchResult": "the public one has the rows that were found, whose pictures rooms below the API cannot read",
    "Table": "the public one reads its rows into Python, pictures among them",
}
"""Names that two classes may have, and why."""


def test_class_names_are_unique() -> None:
    root = Path(poolwright.__file__).parent
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(f"{path.relative_to(root)}:{node.lineno}")
    several = {name: places for name, places in found.items() if len(places) > 1}
    assert {name: places for name, places in several.items() if name not in SHARED} == {}
    assert set(SHARED) <= set(several), "a name is shared no more; take it off the list"
