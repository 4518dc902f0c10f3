"""MSCOCO-GLT at full size: the sets of both protocols of the shipped recipe, row by row, by a plain statement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from poolwright import api
from poolwright.api import Table
from poolwright.recipe.shipped import shipped_text
from tests.steps.split.glt_list_rows import as_the_smallest, expected_sets, exponential, objects

CLASSES = 29
SIZES = {"person": 5_000} | {
    f"class {number:02d}": int(1_600 * 0.42 ** (number / (CLASSES - 2))) for number in range(CLASSES - 1)
}
ATTRIBUTES = 60
NUMBERS = {
    "mscoco-glt": {"test_bbl": 200, "test_bl": 200, "test_lt": 200, "val": 100},
    "mscoco-cbl": {"test_bbl": 100, "test_bl": 100, "test_lt": 0, "val": 50},
}
COLUMNS = {"mscoco-glt": "split_glt", "mscoco-cbl": "split_cbl"}
REST = {"mscoco-glt": exponential, "mscoco-cbl": as_the_smallest}


def recipe() -> dict[str, Any]:
    """The shipped recipe without pictures: the rows of the pool are read from a table; nothing else is changed."""
    data: dict[str, Any] = yaml.safe_load(shipped_text("mscoco-glt"))
    data["pools"]["objects"] = {"read": "table", "path": "objects.parquet"}
    data["variables"]["data"] = "."
    del data["releases"]
    return data


def run_recipe(folder: Path) -> tuple[pa.Table, Mapping[str, Table]]:
    """The objects with attributes that are no crowds, of classes that are large enough, and the tables."""
    table = objects({**SIZES, "hair drier": 300}, ATTRIBUTES)
    crowd = np.arange(len(table)) % 50 == 7
    pq.write_table(
        table.drop_columns("attributes").append_column("iscrowd", pa.array(crowd)), folder / "objects.parquet"
    )
    without = np.arange(len(table)) % 40 == 3
    pq.write_table(table.select(["uid", "attributes"]).filter(pa.array(~without)), folder / "attributes.parquet")
    tables = api.run(api.Recipe.from_data(recipe(), folder), folder / "run").tables
    kept = table.filter(pa.array(~crowd & ~without & (np.array(table["label"]) != "hair drier")))
    return kept, tables


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, Mapping[str, Table]]:
    return run_recipe(tmp_path_factory.mktemp("mscoco"))


def sets(table: Table) -> dict[str, str]:
    rows = table.read(["uid", COLUMNS[table.name]])
    return dict(zip(rows[0].to_pylist(), rows[1].to_pylist(), strict=True))


@pytest.mark.parametrize("name", COLUMNS)
def test_every_row_is_in_the_set_of_the_plain_statement(made: Any, name: str) -> None:
    kept, tables = made
    found = sets(tables[name])
    key = int(tables[name].state(0).values["key"])
    assert found == expected_sets(kept.to_pylist(), NUMBERS[name], REST[name], key, found)


@pytest.mark.parametrize("name", COLUMNS)
def test_the_sets_have_the_published_sizes(made: Any, name: str) -> None:
    _, tables = made
    rows = tables[name].read(["label", "class_index", "frequency", COLUMNS[name], "split"])
    by_class: dict[str, Counter[str]] = {}
    for label, set_ in zip(rows["label"].to_pylist(), rows[COLUMNS[name]].to_pylist(), strict=True):
        by_class.setdefault(set_, Counter())[label] += 1
    numbers = NUMBERS[name]
    for set_ in ("test_bbl", "test_bl"):
        assert len(by_class[set_]) == CLASSES
        assert set(by_class[set_].values()) == {numbers[set_]}
    assert by_class["val"].total() == CLASSES * numbers["val"]
    assert by_class.get("test_lt", Counter()).total() == CLASSES * numbers["test_lt"]
    rest = by_class["train"] + by_class["val"] + by_class.get("test_lt", Counter())
    if name == "mscoco-cbl":
        assert len(set(rest.values())) == 1
    else:
        assert rest["person"] > 4_000
    pairs = set(zip(rows["class_index"].to_pylist(), rows["frequency"].to_pylist(), strict=True))
    assert pairs == {(number, 0 if number < 11 else 1 if number < 23 else 2) for number in range(CLASSES)}
    assert rows["split"] == rows[COLUMNS[name]]


def test_attributes_are_even_in_the_balanced_test_alone(made: Any) -> None:
    _, tables = made
    for table in tables.values():
        if table.name in COLUMNS:
            deviation = table.state(0).values["deviation"]
            assert deviation["test_bbl"] < 0.4 * min(deviation["test_bl"], deviation["train"])
