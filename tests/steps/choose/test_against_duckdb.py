"""Every step of this room against a statement in SQL, over rows full of exact ties."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.step import Step
from poolwright.kernels.selection.hashing import hash64, hash_key
from poolwright.kernels.selection.ranks import hash_ranks
from poolwright.registry import step_class

KEY, SHARED_KEY = 2023, 2024
ROWS = 3_000


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    """Rows with few distinct similarities, groups of equal size, and nulls."""
    draw = np.random.default_rng(0)
    uids = pa.array([f"uid-{number}" for number in range(ROWS)])
    score = np.where(draw.random(ROWS) < 0.1, np.nan, draw.integers(0, 9, ROWS) / 8)
    columns: dict[str, Any] = {
        "uid": uids,
        "similarity": pa.array(score.astype(np.float32), mask=draw.random(ROWS) < 0.1),
        "label": pa.array([f"c{n}" if n else None for n in draw.integers(0, 25, ROWS)]).dictionary_encode(),
        "continent": pa.array(draw.choice(["Africa", "Asia", "Oceania"], ROWS, p=[0.57, 0.4, 0.03])),
        "year": pa.array(draw.integers(2004, 2008, ROWS), mask=draw.random(ROWS) < 0.05),
        "width": pa.array(draw.integers(90, 200, ROWS), mask=draw.random(ROWS) < 0.05),
        "rank": hash_ranks(uids, KEY),
    }
    return pa.table(columns)


def kept(table: pa.Table, verb: str, **parameters: Any) -> set[str]:
    step: Step = step_class(verb).model_validate(parameters)
    step.gives(table.schema)
    state = step.fit(MemoryFrame(table, (100, 101, 2_000), 256), Context(KEY, shared_key=SHARED_KEY))
    drop = step.apply(Rows(table.select(list(dict.fromkeys(step.needs())))), state).drop
    assert drop is not None
    return set(table.filter(pa.array(drop == 0)).column("uid").to_pylist())


def selected(pool: pa.Table, query: str) -> set[str]:
    connection = duckdb.connect()
    connection.register("pool", pool)
    connection.execute(
        "create view ranked as select * from pool where similarity is not null and not isnan(similarity)"
    )
    return {row[0] for row in connection.execute(query).fetchall()}


@pytest.mark.parametrize(
    ("expression", "where"),
    [
        ("width >= 120 and year <> 2005", "width >= 120 and year <> 2005"),
        ("not label in ('c1', 'c2')", "label not in ('c1', 'c2')"),
        ("similarity > 0.5", "similarity > 0.5 and not isnan(similarity)"),
        ("year is null or continent like 'A%'", "year is null or continent like 'A%'"),
        ("case when width > 150 then label = 'c3' else year = 2004 end", "if(width > 150, label = 'c3', year = 2004)"),
    ],
)
def test_where(pool: pa.Table, expression: str, where: str) -> None:
    assert kept(pool, "where", expression=expression) == selected(pool, f"select uid from pool where {where}")


@pytest.mark.parametrize("n", [0, 1, 500, 1_001, ROWS, 2 * ROWS])
@pytest.mark.parametrize("lowest", [False, True])
def test_top(pool: pa.Table, n: int, lowest: bool) -> None:
    direction = "asc" if lowest else "desc"
    expected = selected(pool, f"select uid from ranked order by similarity {direction}, rank limit {n}")
    assert kept(pool, "top", by="similarity", n=n, lowest=lowest) == expected


def test_top_of_a_fraction(pool: pa.Table) -> None:
    whole = "select uid from ranked order by similarity desc, rank limit (select round(0.3 * count(*)) from ranked)"
    assert kept(pool, "top", by="similarity", fraction="30%") == selected(pool, whole)


@pytest.mark.parametrize("group", [["label"], ["continent", "year"]])
def test_top_of_each_group(pool: pa.Table, group: list[str]) -> None:
    names = ", ".join(group)
    there = " and ".join(f"{name} is not null" for name in group)
    order = f"row_number() over (partition by {names} order by similarity desc, rank)"
    expected = selected(pool, f"select uid from ranked where {there} qualify {order} <= 17")
    assert kept(pool, "top", by="similarity", n=17, group=group) == expected


def test_top_of_an_integer_column(pool: pa.Table) -> None:
    expected = selected(pool, "select uid from pool where year is not null order by year, rank limit 1000")
    assert kept(pool, "top", by="year", n=1000, lowest=True) == expected


def test_drop_small(pool: pa.Table) -> None:
    count = pool.filter(pc.equal(pool["continent"], "Oceania")).num_rows
    assert "Oceania" not in _continents(pool, kept(pool, "drop_small", group="continent", below="4%"))
    # At exactly the share, a group stays: the comparison is not one of rounded numbers.
    assert "Oceania" in _continents(pool, kept(pool, "drop_small", group="continent", below=count / ROWS))
    expected = "select uid from pool where label is not null qualify count(*) over (partition by label) >= 125"
    assert kept(pool, "drop_small", group="label", count=125) == selected(pool, expected)


def test_drop_small_compares_shares_exactly() -> None:
    table = pa.table({"uid": [str(n) for n in range(25)], "kind": ["rare", *["often"] * 24]})
    assert len(kept(table, "drop_small", group="kind", below="4%")) == 25
    assert len(kept(table, "drop_small", group="kind", below="4.01%")) == 24


def _continents(pool: pa.Table, uids: set[str]) -> set[str]:
    rows = pool.select(["uid", "continent"]).to_pylist()
    return {row["continent"] for row in rows if row["uid"] in uids}


def test_largest(pool: pa.Table) -> None:
    query = """
        select uid from pool where label in (
            select label from pool where label is not null group by label having count(*) >= 120
            order by count(*) desc, label limit 7)"""
    assert kept(pool, "largest", group="label", n=7, at_least=120) == selected(pool, query)


def test_largest_breaks_ties_by_name() -> None:
    table = pa.table({"uid": list("abcdef"), "label": ["z", "b", "a", "z", "b", "a"]})
    assert kept(table, "largest", group="label", n=1) == {"c", "f"}


@pytest.mark.parametrize("group", [["label"], ["label", "year"]])
@pytest.mark.parametrize("redraw", [False, True])
def test_cap(pool: pa.Table, group: list[str], redraw: bool) -> None:
    key = KEY if redraw else hash_key(SHARED_KEY, *group)
    pool = pool.append_column("draw", pa.array(hash_ranks(pool["uid"].combine_chunks(), key)))
    names = ", ".join(group)
    there = " and ".join(f"{name} is not null" for name in group)
    order = f"row_number() over (partition by {names} order by draw)"
    expected = selected(pool, f"select uid from pool where {there} qualify {order} <= 20")
    assert kept(pool, "cap", group=group, n=20, redraw=redraw) == expected


def test_caps_of_the_same_groups_nest(pool: pa.Table) -> None:
    some = pool.filter(pc.is_in(pool["label"].cast(pa.string()), pa.array(["c3", "c7", "c11"])))
    whole = kept(pool, "cap", group="label", n=20)
    assert kept(some, "cap", group="label", n=20) < whole
    assert kept(pool, "cap", group="label", n=10) < whole


def test_sample_groups(pool: pa.Table) -> None:
    labels = pa.array(sorted(set(pool["label"].to_pylist()) - {None}))
    drawn = labels.take(pa.array(np.argsort(hash64(labels, KEY))[:5])).to_pylist()
    expected = selected(pool, f"select uid from pool where label in {tuple(drawn)}")
    assert kept(pool, "sample_groups", group="label", n=5) == expected


def test_sample(pool: pa.Table) -> None:
    assert kept(pool, "sample", n=777) == selected(pool, "select uid from pool order by rank limit 777")
    assert kept(pool, "sample", fraction="10%") == selected(pool, "select uid from pool order by rank limit 300")
    of_each = """
        select uid from (select *, row_number() over (partition by year order by rank) as place,
            count(*) over (partition by year) as size from pool where year is not null)
        where place <= {}(size * 0.25)"""
    found = kept(pool, "sample", fraction=0.25, group="year")
    assert selected(pool, of_each.format("floor")) <= found <= selected(pool, of_each.format("ceil"))
    (rows,) = selected(pool, "select count(*) from pool where year is not null")
    assert abs(len(found) - 0.25 * int(rows)) < 1


def test_a_larger_sample_holds_the_smaller(pool: pa.Table) -> None:
    assert kept(pool, "sample", n=100) < kept(pool, "sample", n=101)


def test_balance(pool: pa.Table) -> None:
    expected = """
        select uid from pool where label is not null
        qualify row_number() over (partition by label order by rank) <= (
            select min(size) from (select count(*) as size from pool where label is not null group by label))"""
    assert kept(pool, "balance", group="label") == selected(pool, expected)


def test_balance_in_proportions(pool: pa.Table) -> None:
    uids = kept(pool, "balance", group="continent", proportions={"Africa": 7, "Asia": 2, "Oceania": 1})
    rows = [row for row in pool.select(["uid", "continent"]).to_pylist() if row["uid"] in uids]
    sizes = {name: sum(row["continent"] == name for row in rows) for name in ("Africa", "Asia", "Oceania")}
    oceania = pool["continent"].to_pylist().count("Oceania")
    assert sizes["Oceania"] == oceania
    # The largest total whose tenth, rounded by largest remainders, is all of Oceania.
    assert len(rows) in range(10 * oceania, 10 * oceania + 10)
    assert abs(sizes["Africa"] - 0.7 * len(rows)) < 1
    first = f"select uid from pool where continent = 'Asia' order by rank limit {sizes['Asia']}"
    assert {row["uid"] for row in rows if row["continent"] == "Asia"} == selected(pool, first)


def test_remove(pool: pa.Table) -> None:
    ids = [f"uid-{number}" for number in range(0, ROWS, 7)]
    expected = selected(pool, "select uid from pool where cast(substr(uid, 5) as int) % 7 <> 0")
    assert kept(pool, "remove", ids=ids) == expected
