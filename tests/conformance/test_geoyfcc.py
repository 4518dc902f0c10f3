"""CLIP-GeoYFCC's rules at their published size, row by row against an independent statement in SQL."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash
import yaml

from poolwright import api
from poolwright.conformance import clip_geoyfcc
from poolwright.core.table import Table
from tests.calling import call

SEED = 2023

RULES = """
create table named as
  select *, dense_rank() over (order by label_index) - 1 as class_index from rows natural join continents;
create table best as
  select * from named order by similarity desc, top_rank limit 1000000;
create table placed as
  select * from best where continent in (
    select continent from best group by continent having count(*) >= 0.04 * (select count(*) from best));
create table classes as
  select class_index, count(*) as size from placed group by class_index having count(*) >= 450
  order by size desc, class_index limit 350;
create table kept as select * from placed where class_index in (select class_index from classes);
create table subset_350 as
  select * from kept qualify row_number() over (partition by class_index order by cap_rank) <= 2000;
create table subset_45 as
  select * from subset_350 where wnid in (from published);
create table random_45 as
  select * from subset_350 where class_index in (
    select class_index from classes join draws using (class_index) order by draw limit 45);
"""
"""Section 1 of the recipe, as a person who knows SQL would write it. Ties go by the hash ranks."""


def key(*names: str, seed: int = SEED) -> int:
    """The documented key of a use of randomness: SHA-256 over length-prefixed parts."""
    digest = hashlib.sha256()
    for part in (str(seed), *names):
        digest.update(len(part.encode()).to_bytes(8, "little") + part.encode())
    return int.from_bytes(digest.digest()[:8], "little")


def ranks(texts: list[str], key: int) -> np.ndarray:
    """The documented hash rank: the upper 63 bits of XXH3-64 of the text, seeded with the key."""
    return np.array([xxhash.xxh3_64_intdigest(text.encode(), seed=key) >> 1 for text in texts], dtype=np.int64)


Tables = Mapping[str, Table]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tables]:
    """The folder and the tables of `poolwright conformance clip-geoyfcc`, which says that the numbers are equal."""
    folder = tmp_path_factory.mktemp("geoyfcc") / "made"
    called = call("conformance", "clip-geoyfcc", "--to", folder, "--json")
    assert called.code == 0, called.err
    found = json.loads(called.out)
    assert found["ok"]
    published = {one["what"]: one["published"] for one in found["conformance"]["numbers"]}
    assert published["images of highest similarity"] == 1_000_000
    return folder, {table.name: table for table in api.show(folder / "run")}


@pytest.fixture(scope="module")
def rules(made: tuple[Path, Tables]) -> duckdb.DuckDBPyConnection:
    """The tables of the SQL statement, over the same rows."""
    columns = ["uid", "country", "label_index", "similarity", "is_train", "wnid"]
    rows = pa.concat_tables(
        [pq.read_table(file, columns=columns) for file in sorted((made[0] / "rows").glob("*.parquet"))]
    )
    uids = rows["uid"].to_pylist()
    cap = key("class_index", seed=key("", "cap", "0"))
    rows = rows.append_column("place", pa.array(np.arange(len(rows))))
    rows = rows.append_column("top_rank", pa.array(ranks(uids, key("clip-geoyfcc-classes", "top", "0"))))
    rows = rows.append_column("cap_rank", pa.array(ranks(uids, cap)))
    # Groups are drawn by the whole hash of their value, which for a number is its decimal digits.
    draw = key("clip-geoyfcc-45", "sample_groups", "0")
    numbers = [str(number) for number in range(clip_geoyfcc.CLASSES)]
    draws = pa.table(
        {
            "class_index": np.arange(clip_geoyfcc.CLASSES),
            "draw": np.array([xxhash.xxh3_64_intdigest(number.encode(), seed=draw) for number in numbers], np.uint64),
        }
    )
    continents = pa.table(
        dict(zip(("country", "continent"), zip(*clip_geoyfcc.countries().items(), strict=True), strict=True))
    )
    connection = duckdb.connect()
    published = pa.table({"wnid": clip_geoyfcc.published_45()})
    tables = {"rows": rows, "draws": draws, "continents": continents, "published": published}
    for name, table in tables.items():
        connection.register(name, table)
    connection.execute(RULES)
    return connection


COLUMNS = ["uid", "class_index", "continent", "label_index"]


def expected(rules: duckdb.DuckDBPyConnection, table: str) -> pa.Table:
    """Rows of one table of the statement, in the order of the pool, with their places in it."""
    query = f"select {', '.join(COLUMNS)}, place from {table} order by place"
    return rules.execute(query).to_arrow_table()


def same_rows(tables: Tables, table: str, rows: pa.Table) -> bool:
    """Return whether a table of the run has these rows, in this order."""
    read = tables[table].read(COLUMNS)
    return bool(read.equals(rows.select(COLUMNS).cast(read.schema)))


def column(tables: Tables, table: str, name: str) -> list[Any]:
    values: list[Any] = tables[table].read([name])[name].to_pylist()
    return values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "statement"),
    [("clip-geoyfcc-classes", "kept"), ("clip-geoyfcc-350", "subset_350"), ("clip-geoyfcc-45", "subset_45")],
)
def test_every_row_is_that_of_the_statement(
    made: tuple[Path, Tables], rules: duckdb.DuckDBPyConnection, table: str, statement: str
) -> None:
    assert same_rows(made[1], table, expected(rules, statement))


@pytest.mark.slow
def test_the_rules_do_what_the_paper_says(made: tuple[Path, Tables]) -> None:
    tables = made[1]
    assert tables["clip-geoyfcc"].record.rows_kept == clip_geoyfcc.ROWS
    learned = {step.verb: step.learned for step in tables["clip-geoyfcc-classes"].record.steps}
    assert "1,000,000 of 1,146,768 rows" in learned["top"]
    assert "Oceania" in learned["drop_small"]
    assert len(set(column(made[1], "clip-geoyfcc-350", "class_index"))) == 350
    assert set(column(made[1], "clip-geoyfcc-350", "continent")) == set(clip_geoyfcc.CONTINENTS) - {"Oceania"}
    assert len(set(column(made[1], "clip-geoyfcc-45", "class_index"))) == 45


@pytest.mark.slow
def test_the_cut_goes_through_a_tie(made: tuple[Path, Tables], rules: duckdb.DuckDBPyConnection) -> None:
    least = rules.execute("select min(similarity) from best").fetchone()
    assert least is not None
    tied, kept = (
        rules.execute(f"select count(*) from {table} where similarity = ?", least).fetchone()
        for table in ("named", "best")
    )
    assert tied is not None
    assert kept is not None
    assert 0 < kept[0] < tied[0]


@pytest.mark.slow
def test_the_published_files_hold_the_same_rows(made: tuple[Path, Tables], rules: duckdb.DuckDBPyConnection) -> None:
    folder = made[0] / "out" / "clip-geoyfcc"
    metadata = pq.read_table(folder / "metadata.parquet")
    assert len(metadata) == clip_geoyfcc.ROWS
    for number, statement in ((350, "subset_350"), (45, "subset_45")):
        rows = expected(rules, statement)
        indices = np.load(folder / f"{number}_sample_indices.npy")
        assert indices.tolist() == rows["place"].to_pylist()
        subset = metadata.take(pa.array(indices))
        assert subset["label_ids"].to_pylist() == rows["class_index"].to_pylist()
        assert subset["in_imagenet21k_label_indices"].to_pylist() == rows["label_index"].to_pylist()
        wnids = (folder / f"{number}_label_wnids.csv").read_text().split()
        found = rules.execute(f"select wnid from {statement} group by class_index, wnid order by class_index")
        assert wnids == ["wnid", *(row[0] for row in found.fetchall())]


def run_again(folder: Path, name: str, change: Callable[[dict[str, Any]], None]) -> Tables:
    """Run the recipe with its table of 45 classes changed; the tables before it are copied."""
    shutil.copytree(folder / "run", folder / name, ignore=shutil.ignore_patterns("clip-geoyfcc-45"))
    data = clip_geoyfcc.prepare(folder)
    change(data["tables"]["clip-geoyfcc-45"])
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return api.run(folder / f"{name}.yaml", folder / name, tables=["clip-geoyfcc-45"]).tables


@pytest.mark.slow
def test_a_redrawn_cap_has_other_rows_of_the_same_classes(made: tuple[Path, Tables]) -> None:
    folder, tables = made
    redrawn = run_again(folder, "redrawn", lambda table: table["steps"][1]["cap"].update(redraw=True))
    large, nested = (set(column(tables, f"clip-geoyfcc-{number}", "uid")) for number in (350, 45))
    small = set(column(redrawn, "clip-geoyfcc-45", "uid"))
    assert nested <= large
    assert small - large, "drawn anew, rows of the 45 classes lie outside the 350's"
    assert len(small) == len(nested)
    assert set(column(redrawn, "clip-geoyfcc-45", "class_index")) == set(
        column(tables, "clip-geoyfcc-45", "class_index")
    )


@pytest.mark.slow
def test_random_classes_nest_too(made: tuple[Path, Tables], rules: duckdb.DuckDBPyConnection) -> None:
    draw = {"sample_groups": {"group": "class_index", "n": 45}}
    drawn = run_again(made[0], "random", lambda table: table["steps"].__setitem__(0, draw))
    assert same_rows(drawn, "clip-geoyfcc-45", expected(rules, "random_45"))
