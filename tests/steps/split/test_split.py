"""split: exact sizes, strata, and groups that stay together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.kernels.selection.by_group import many_groups
from poolwright.steps.split import by_group
from poolwright.steps.split.split import Split
from poolwright.testing.steps import Sent

ROWS = 4_000


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    draw = np.random.default_rng(0)
    sizes = draw.geometric(0.05, ROWS)
    return pa.table(
        {
            "uid": [f"uid-{number}" for number in range(ROWS)],
            "label": draw.choice(["cat", "dog", "rare"], ROWS, p=[0.69, 0.3, 0.01]),
            "album": np.repeat(np.arange(ROWS), sizes)[:ROWS],
        }
    )


def split(table: pa.Table, **parameters: Any) -> list[str | None]:
    step = Split.model_validate(parameters)
    step.gives(table.schema)
    state = step.fit(MemoryFrame(table, (7, 3_000)), Context(5))
    outcome = step.apply(Rows(table), state)
    assert outcome.drop is not None
    names: list[str | None] = outcome.columns[step.into].to_pylist()
    assert [name is None for name in names] == [bool(code) for code in outcome.drop]
    return names


RATIOS = {"train": 0.7, "val": "10%", "test": "rest"}


def test_sizes_are_exact(pool: pa.Table) -> None:
    assert Counter(split(pool, ratios=RATIOS)) == {"train": 2_800, "val": 400, "test": 800}
    assert Counter(split(pool.slice(0, 7), ratios=RATIOS)) == {"train": 5, "val": 1, "test": 1}


def test_counts_and_what_is_in_no_split(pool: pa.Table) -> None:
    assert Counter(split(pool, counts={"test": 1_000, "train": "rest"})) == {"test": 1_000, "train": 3_000}
    assert Counter(split(pool, counts={"test": 10, "train": 20})) == {"test": 10, "train": 20, None: ROWS - 30}
    with pytest.raises(StepError, match="ask for 4,001 rows, but there are 4,000"):
        split(pool, counts={"test": 4_001})


def test_every_stratum_has_the_ratios(pool: pa.Table) -> None:
    names = split(pool, ratios=RATIOS, stratify="label")
    for label, size in Counter(pool["label"].to_pylist()).items():
        inside = Counter(name for name, other in zip(names, pool["label"].to_pylist(), strict=True) if other == label)
        for name, share in {"train": 0.7, "val": 0.1, "test": 0.2}.items():
            assert abs(inside[name] - share * size) < 1


def test_counts_are_spread_over_strata(pool: pa.Table) -> None:
    names = split(pool, counts={"test": 100, "train": "rest"}, stratify=["label"])
    assert Counter(names)["test"] == 100
    tests = Counter(label for label, name in zip(pool["label"].to_pylist(), names, strict=True) if name == "test")
    sizes = Counter(pool["label"].to_pylist())
    assert all(abs(tests[label] - 100 * size / ROWS) < 1 for label, size in sizes.items())


@pytest.mark.parametrize("stratify", [None, ["label"]])
def test_a_group_never_straddles_and_ratios_stay_close(pool: pa.Table, stratify: list[str] | None) -> None:
    names = split(pool, ratios={"train": 0.8, "val": 0.1, "test": 0.1}, group="album", stratify=stratify)
    albums = pool["album"].to_pylist()
    assert len(set(zip(albums, names, strict=True))) == len(set(albums))
    largest = max(Counter(albums).values())
    sizes = Counter(names)
    strata = 3 if stratify else 1
    assert abs(sizes["train"] - 3_200) <= strata * (largest / 2 + 1)
    assert abs(sizes["val"] - 400) <= strata * (largest + 1)


def test_groups_keep_their_split_when_the_rows_are_shuffled(pool: pa.Table) -> None:
    shuffled = pool.take(pa.array(np.random.default_rng(1).permutation(ROWS)))
    parameters = {"ratios": RATIOS, "group": "album", "stratify": "label"}
    one = dict(zip(pool["uid"].to_pylist(), split(pool, **parameters), strict=True))
    assert one == dict(zip(shuffled["uid"].to_pylist(), split(shuffled, **parameters), strict=True))


@pytest.mark.parametrize(
    "parameters",
    [
        {"ratios": RATIOS},
        {"counts": {"test": 700, "val": 300, "train": "rest"}},
        {"counts": {"test": 40, "val": 0}, "seeds": 2},
        {"ratios": RATIOS, "stratify": ["label"]},
        {"counts": {"test": 700, "val": 300}, "stratify": ["label", "place"], "seeds": 2},
    ],
    ids=lambda parameters: "-".join(map(str, parameters)),
)
def test_more_groups_than_are_counted_in_memory(
    pool: pa.Table, parameters: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw = np.random.default_rng(1)
    albums = pa.array((ROWS * draw.random(ROWS) ** 2).astype(np.int64) % 1_700, mask=draw.random(ROWS) < 0.02)
    pool = pool.set_column(2, "album", albums).append_column("place", pa.array(draw.integers(0, 30, ROWS)))
    step = Split.model_validate({**parameters, "group": "album"})
    whole = step.fit(MemoryFrame(pool), Context(5))
    monkeypatch.setattr(many_groups, "MANY", 100)
    monkeypatch.setattr(by_group, "_ROWS", 500)
    digests = []
    for name, order in (("one", np.arange(ROWS)), ("two", draw.permutation(ROWS))):
        found = step.fit(Sent(pool.take(order), (5, 3_000), 256), Context(5))
        digests.append(found.save(tmp_path, name))
    assert digests[0] == digests[1]
    many = State.load(tmp_path, "one")
    assert many.values == whole.values
    assert bool(many.mapped) == ("stratify" in parameters)
    for name, table in whole.tables.items():
        assert (many.mapped if many.mapped else many.tables)[name].combine_chunks().equals(table.combine_chunks())
    new = pool.slice(0, 500).set_column(2, "album", pa.array(range(1_500, 2_000)))
    for rows in (Rows(pool), Rows(new)):
        one, other = step.apply(rows, whole), step.apply(rows, many)
        assert one.drop is not None
        assert other.drop is not None
        assert one.drop.tolist() == other.drop.tolist()
        assert one.columns == other.columns
    assert step.learned(whole) == step.learned(many)


def test_rows_without_a_value_are_dropped() -> None:
    table = pa.table({"uid": ["a", "b", "c"], "label": ["x", None, "x"], "album": [1, 1, None]})
    assert split(table, ratios={"all": 1}, stratify="label")[1] is None
    assert split(table, ratios={"all": 1}, group="album") == ["all", "all", None]


def test_new_rows_of_a_new_stratum_are_split_by_the_ratios() -> None:
    step = Split.model_validate({"ratios": {"train": 0.5, "test": 0.5}, "stratify": "label"})
    state = step.fit(MemoryFrame(pa.table({"uid": ["a"], "label": ["old"]})), Context(5))
    rows = Rows.of({"uid": [str(number) for number in range(1_000)], "label": ["new"] * 1_000})
    assert 400 < step.apply(rows, state).columns["split"].to_pylist().count("train") < 600


def draws(table: pa.Table, **parameters: Any) -> list[list[str | None]]:
    """The split of every row in each draw."""
    step = Split.model_validate(parameters)
    state = step.fit(MemoryFrame(table, (7, 3_000)), Context(5))
    columns = step.apply(Rows(table), state).columns
    assert list(columns) == [field.name for field in step.gives(table.schema)]
    return [values.to_pylist() for values in columns.values()]


def test_each_seed_is_a_split_of_its_own(pool: pa.Table) -> None:
    ratios = {"train": 0.7, "test": 0.3}
    found = draws(pool, ratios=ratios, stratify="label", seeds=5)
    assert len(found) == 5
    alone = split(pool, ratios=ratios, stratify="label")
    sizes = Counter(zip(pool["label"].to_pylist(), alone, strict=True))
    for one, other in zip(found, [*found[1:], alone], strict=True):
        assert Counter(zip(pool["label"].to_pylist(), one, strict=True)) == sizes
        both = sum(a == b == "test" for a, b in zip(one, other, strict=True))
        assert 0.24 < both / 1_200 < 0.36  # a third of the rows, as two draws that know nothing of each other
    assert found[:2] == draws(pool, ratios=ratios, stratify="label", seeds=2)


def test_near_duplicates_are_on_one_side_in_all_buckets_and_seeds(pool: pa.Table) -> None:
    buckets = pa.array(np.random.default_rng(2).integers(1, 5, ROWS))
    table = pool.append_column("bucket", buckets)
    grouped = {"stratify": ["bucket", "label"], "group": "album"}
    for names in draws(table, ratios={"train": 0.7, "test": 0.3}, seeds=3, **grouped):
        sides = set(zip(pool["album"].to_pylist(), names, strict=True))
        assert len(sides) == len(set(pool["album"].to_pylist()))
        assert 0.66 < Counter(names)["train"] / ROWS < 0.74


def test_a_row_stays_where_one_seed_takes_it(pool: pa.Table) -> None:
    step = Split.model_validate({"counts": {"test": 1_000}, "seeds": 2, "into": "part"})
    outcome = step.apply(Rows(pool), step.fit(MemoryFrame(pool), Context(5)))
    one, other = (outcome.columns[name].is_valid().to_numpy(zero_copy_only=False) for name in ("part_0", "part_1"))
    assert outcome.drop is not None
    assert ((outcome.drop == 0) == (one | other)).all()
    assert 1_600 < (outcome.drop == 0).sum() < 1_900
    learned = step.learned(step.fit(MemoryFrame(pool), Context(5)))
    assert learned == "2 draws, the first: test 1,000: 1,000 rows"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "as ratios or as counts"),
        ({"ratios": {"a": 0.5, "b": 0.4}}, "sum to 0.9, not 1"),
        ({"ratios": {"a": 0.8, "b": 0.4, "c": "rest"}}, "sum to 1.2, not 1"),
        ({"counts": {"a": "rest", "b": "rest"}}, "only one split can be the rest"),
        ({"ratios": {}}, "at least one split"),
        ({"ratios": {"a": 1}, "into": "uid"}, "'uid' names the rows"),
    ],
)
def test_sizes_that_make_no_sense(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Split.model_validate(parameters)


def test_a_group_of_floats_is_refused() -> None:
    with pytest.raises(StepError, match="bucket it first"):
        Split.model_validate({"ratios": {"a": 1}, "group": "x"}).gives(
            pa.schema({"uid": pa.string(), "x": pa.float32()})
        )
