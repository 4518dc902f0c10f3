"""Rows with classes and attributes, and the sets that the draws of GLT must have, stated plainly."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.steps.split.glt import Glt

SETS = ("train", "val", "test_lt", "test_bl", "test_bbl")


def rows_of(cells: Mapping[str, Sequence[int]], seed: int = 0) -> pa.Table:
    """Rows of classes whose attributes have so many, in random order."""
    labels = [label for label, sizes in cells.items() for _ in range(sum(sizes))]
    ranks = [rank for sizes in cells.values() for rank, size in enumerate(sizes) for _ in range(size)]
    order = np.random.default_rng(seed).permutation(len(labels))
    return pa.table(
        {
            "uid": [f"uid-{place}" for place in order],
            "label": [labels[place] for place in order],
            "attribute": pa.array([ranks[place] for place in order], pa.int32()),
        }
    )


def glt(
    table: pa.Table, cuts: Sequence[int] = (), batch_rows: int = 65_536, key: int = 5, **parameters: Any
) -> tuple[pa.Table, State, Glt]:
    """The rows with the columns that the step gives, null where it drops them."""
    step = Glt.model_validate(parameters)
    fields = step.gives(table.schema)
    state = step.fit(MemoryFrame(table, cuts, batch_rows), Context(key))
    outcome = step.apply(Rows(table), state)
    assert outcome.drop is not None
    for field in fields:
        values = outcome.columns[field.name]
        assert values.type == field.type
        at = table.schema.get_field_index(field.name)
        table = table.append_column(field, values) if at < 0 else table.set_column(at, field, values)
    nowhere = [glt is None and cbl is None for glt, cbl in zip(*sets_of(table), strict=True)]
    assert nowhere == [code > 0 for code in outcome.drop]
    return table, state, step


def sets_of(table: pa.Table) -> tuple[list[str | None], list[str | None]]:
    return table.column("split_glt").to_pylist(), table.column("split_cbl").to_pylist()


def counts(table: pa.Table, column: str) -> dict[str, Counter[tuple[str, int]]]:
    """Rows of every set by class and attribute."""
    found: dict[str, Counter[tuple[str, int]]] = defaultdict(Counter)
    for name, label, rank in zip(*(table.column(of).to_pylist() for of in (column, "label", "attribute")), strict=True):
        if name is not None:
            found[name][label, rank] += 1
    return found


def check_published(table: pa.Table, sizes: Sequence[int]) -> None:
    """Hold the sets to what the generation script of ImageNet-GLT draws, with its numbers.

    Args:
        table: as `glt` gives it.
        sizes: of the classes in the long-tailed rest.
    """
    there = Counter(zip(table.column("label").to_pylist(), table.column("attribute").to_pylist(), strict=True))
    by_class: Counter[str] = Counter()
    for (label, _), rows in there.items():
        by_class[label] += rows
    order = sorted(by_class, key=lambda label: (-by_class[label], label))
    glt, cbl = counts(table, "split_glt"), counts(table, "split_cbl")
    for name in ("test_bl", "test_bbl"):
        assert glt[name] == cbl[name]
    rest_rows = 0
    for number, label in enumerate(order):
        cells = [(label, rank) for rank in range(3)]
        each = min(20, *(there[cell] // 4 for cell in cells))
        assert [glt["test_bbl"][cell] for cell in cells] == [each] * 3
        assert [glt["test_bl"][cell] for cell in cells] == [42, 12, 6]
        balanced = min(145, sum(there[cell] - each - glt["test_bl"][cell] for cell in cells))
        for cell, part in zip(cells, (7, 2, 1), strict=True):
            left = there[cell] - each - glt["test_bl"][cell]
            rest = glt["train"][cell] + glt["val"][cell] + glt["test_lt"][cell]
            assert rest == min(sizes[number] * part // 10, left)
            rest_rows += rest
            assert cbl["train"][cell] + cbl["val"][cell] == min(balanced * part // 10, left - glt["test_lt"][cell])
            assert cbl["val"][cell] == 3 * part
    classes = len(order)
    assert sum(glt["test_lt"].values()) == 60 * classes
    assert sum(glt["val"].values()) == 30 * classes
    assert sum(glt["train"].values()) == rest_rows - 90 * classes
    assert not cbl["test_lt"]
    check_apart(table)
    numbers = {label: number for number, label in enumerate(order)}
    medium, few = (int(share * classes + 0.5) for share in (0.4, 0.85))
    groups = [0 if number < medium else 1 if number < few else 2 for number in range(classes)]
    kept = [any(names) for names in zip(*sets_of(table), strict=True)]
    for label, number, group, there_ in zip(
        *(table.column(of).to_pylist() for of in ("label", "class_index", "frequency")), kept, strict=True
    ):
        if there_:
            assert (number, group) == (numbers[label], groups[numbers[label]])


def check_apart(table: pa.Table) -> None:
    """No row of a test set is in any other set of either protocol."""
    for one, other in zip(*sets_of(table), strict=True):
        if one == "test_lt":
            assert other is None
        elif {one, other} & {"test_bl", "test_bbl"}:
            assert one == other
        assert other != "test_lt"
