"""near_duplicates against plain loops over all pairs, and in a recipe that splits by its groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.columns import WELL_KNOWN
from poolwright.core.errors import RecipeError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array, vectors_of
from poolwright.core.state import State
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.steps.describe.duplicates import vectors
from poolwright.steps.describe.duplicates.near_duplicates import NearDuplicates
from poolwright.steps.describe.duplicates.spans import parse_span
from poolwright.steps.describe.duplicates.vectors import VectorLinks

MINUTE = 60_000_000


def rows(count: int = 150, seed: int = 0) -> pa.Table:
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(count, 6)).astype(np.float16)
    vectors[draw.random(count) < 0.1] = 0
    hashes = draw.integers(1, 5, count).astype(np.uint64) * np.uint64(0x0F0F_0000_1111_0001) ^ (
        np.uint64(1) << draw.integers(0, 64, count).astype(np.uint64)
    )
    times = draw.integers(0, 200, count) * 20_000_000
    order = draw.permutation(count)
    return pa.table(
        {
            "uid": [f"{place:04d}" for place in order],
            "author": pa.array([["ann", "bo", None][one] for one in draw.integers(0, 3, count)], pa.string()),
            "taken_at": pa.array(times, WELL_KNOWN["taken_at"].type, mask=draw.random(count) < 0.1),
            "clip": vector_array(vectors),
            "phash": pa.array([f"{one:016x}" for one in hashes.tolist()], pa.string(), mask=draw.random(count) < 0.1),
            "score": pa.array(draw.integers(0, 5, count), pa.float64(), mask=draw.random(count) < 0.2),
        }
    )


def plain(table: pa.Table, linked: Any) -> dict[str, str]:
    """Group of every row, from a loop over all pairs."""
    data = table.to_pylist()
    group = {row["uid"]: row["uid"] for row in data}
    for one in data:
        for other in data:
            if one["uid"] < other["uid"] and linked(one, other):
                low, high = sorted((group[one["uid"]], group[other["uid"]]))
                group = {uid: low if name == high else name for uid, name in group.items()}
    return group


def told(step: NearDuplicates, table: pa.Table) -> tuple[dict[str, str], set[str]]:
    """Group of every row, and the rows that are kept."""
    state = step.fit(MemoryFrame(table, [40, 90], 17), Context())
    outcome = step.apply(Rows(table), state)
    uids, groups = table["uid"].to_pylist(), outcome.columns[step.into].to_pylist()
    drop = np.zeros(len(uids)) if outcome.drop is None else outcome.drop
    return dict(zip(uids, groups, strict=True)), {uid for uid, code in zip(uids, drop, strict=True) if not code}


def cosine(one: Any, other: Any) -> float:
    left, right = (np.array(row["clip"], np.float64) for row in (one, other))
    lengths = np.linalg.norm(left) * np.linalg.norm(right)
    return float(left @ right / lengths) if lengths else 0.0


def close(one: Any, other: Any) -> bool:
    if None in (one["author"], other["author"], one["taken_at"], other["taken_at"]):
        return False
    apart = abs((one["taken_at"] - other["taken_at"]).total_seconds())
    return bool(one["author"] == other["author"] and apart <= 60)


def bits(one: Any, other: Any) -> int:
    if one["phash"] is None or other["phash"] is None:
        return 64
    return (int(one["phash"], 16) ^ int(other["phash"], 16)).bit_count()


@pytest.mark.parametrize(
    ("parameters", "linked"),
    [
        ({"same": ["author", "taken_at"], "within": "1 minute"}, close),
        ({"same": "author"}, lambda one, other: one["author"] is not None and one["author"] == other["author"]),
        ({"vectors": "clip", "above": 0.9}, lambda one, other: cosine(one, other) >= 0.9),
        (
            {"vectors": "clip", "above": 0.8, "clusters": "author"},
            lambda one, other: (
                one["author"] is not None and one["author"] == other["author"] and cosine(one, other) >= 0.8
            ),
        ),
        ({"phash": "phash", "distance": 0}, lambda one, other: bits(one, other) == 0),
        ({"phash": "phash", "distance": 1}, lambda one, other: bits(one, other) <= 1),
        (
            {"same": ["author", "taken_at"], "vectors": "clip", "above": 0.97, "phash": "phash", "distance": 2},
            lambda one, other: (
                (close(one, other) and one["taken_at"] == other["taken_at"])
                or cosine(one, other) >= 0.97
                or bits(one, other) <= 2
            ),
        ),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_groups_are_those_of_all_pairs(parameters: dict[str, Any], linked: Any, seed: int) -> None:
    table = rows(seed=seed)
    expected = plain(table, linked)
    groups, kept = told(NearDuplicates.model_validate(parameters), table)
    assert groups == expected
    assert kept == set(groups)
    _, first = told(NearDuplicates.model_validate({**parameters, "keep": "first"}), table)
    assert first == set(expected.values())


def test_the_best_of_a_group_stays() -> None:
    table = rows()
    step = NearDuplicates(same=("author",), keep="best", by="score")
    groups, kept = told(step, table)
    score = dict(zip(table["uid"].to_pylist(), table["score"].to_pylist(), strict=True))
    for name in set(groups.values()):
        members = sorted(uid for uid, group in groups.items() if group == name)
        best = max(members, key=lambda uid: (score[uid] is not None, score[uid] or 0, [-ord(letter) for letter in uid]))
        assert kept & set(members) == {best}


def test_cosines_at_the_bound_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(5)
    vectors = np.repeat(draw.normal(size=(40, 96)), 3, axis=0) + 0.2 * draw.normal(size=(120, 96))
    table = pa.table({"uid": [f"{row:03d}" for row in range(120)], "clip": vector_array(vectors.astype(np.float16))})
    exact = vectors_of(table["clip"].chunk(0)).astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    bounds = np.sort((exact @ exact.T)[np.triu_indices(120, 1)])[-60:]
    for bound in bounds[::12]:
        step = NearDuplicates(vectors="clip", above=float(bound))
        expected = told(step, table)
        for block, right in ((4, 3), (7, 13)):
            monkeypatch.setattr("poolwright.kernels.similarity.pairs._ROWS", block)
            monkeypatch.setattr("poolwright.kernels.similarity.pairs._TILE", (block, right))
            assert told(step, table) == expected
            monkeypatch.undo()


def test_equal_vectors_are_one_group_whatever_their_length() -> None:
    vectors = np.tile(np.arange(1, 9, dtype=np.float32), (500, 1)) * np.linspace(0.5, 2, 500, dtype=np.float32)[:, None]
    vectors[7], vectors[8] = np.nan, 0
    table = pa.table({"uid": [f"{row:03d}" for row in range(500)], "clip": vector_array(vectors)})
    groups, kept = told(NearDuplicates(vectors="clip", above=1.0, keep="first"), table)
    assert kept == {"000", "007", "008"}
    assert len(set(groups.values())) == 3


def test_what_is_no_hash_is_told() -> None:
    table = rows().append_column("short", pa.array(["ff"] * 150))
    with pytest.raises(StepError, match="'ff' in 'short' is not a 64-bit hash"):
        NearDuplicates(phash="short").fit(MemoryFrame(table), Context())


@pytest.mark.parametrize(
    ("value", "microseconds"),
    [
        ("1 minute", MINUTE),
        ("30 s", MINUTE // 2),
        (90, 90_000_000),
        ("2 hours", 120 * MINUTE),
        ("0.5 min", MINUTE // 2),
    ],
)
def test_spans_of_time(value: Any, microseconds: int) -> None:
    assert parse_span(value) == microseconds
    for bad in ("soon", "1 fortnight", True, "-1 s", None):
        with pytest.raises(ValueError):
            parse_span(bad)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "needs same, vectors or phash"),
        ({"phash": "phash", "within": "1 s"}, "within is about a time"),
        ({"same": "author", "within": "1 s"}, "needs one column of times"),
        ({"same": "clip"}, "use strings, integers"),
        ({"vectors": "author"}, "holds no vectors"),
        ({"phash": "clip"}, "holds no text"),
        ({"same": "author", "keep": "best"}, "go together"),
        ({"same": "author", "by": "score"}, "go together"),
        ({"same": "author", "into": "uid"}, "another column"),
        ({"same": "author", "keep": "far"}, "far is about `vectors`"),
        ({"same": "author", "method": "cells"}, "method is about `vectors`"),
        ({"same": "author", "clusters": "author"}, "clusters is about `vectors`"),
        ({"vectors": "clip", "clusters": "author", "probes": 3}, "probes has no effect with `clusters`"),
        ({"vectors": "clip", "clusters": "author", "keep": "far"}, "by: cluster_distance"),
        ({"vectors": "clip", "clusters": "score"}, "too fine to group by"),
    ],
)
def test_what_is_wrong_is_found_before_anything_runs(tmp_path: Path, parameters: dict[str, Any], words: str) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    with pytest.raises(RecipeError, match=words):
        api.check(recipe(tmp_path, [{"near_duplicates": parameters}]))


def recipe(folder: Path, steps: list[Any]) -> Recipe:
    pools = {"rows": {"read": "table", "path": "rows.parquet"}}
    data = {"recipe": 1, "name": "near", "pools": pools, "tables": {"made": {"from": "rows", "steps": steps}}}
    return Recipe.from_data(data, folder)


def test_a_split_keeps_groups_on_one_side(tmp_path: Path) -> None:
    pq.write_table(rows(), tmp_path / "rows.parquet")
    near = {"same": ["author", "taken_at"], "within": "20 s"}
    split = {"ratios": {"train": 0.5, "test": 0.5}, "group": "duplicate_group"}
    table = api.run(recipe(tmp_path, [{"near_duplicates": near}, {"split": split}]), tmp_path / "run").tables["made"]
    seen: dict[str, set[str]] = {}
    for row in table.read(["duplicate_group", "split"]).to_pylist():
        seen.setdefault(row["duplicate_group"], set()).add(row["split"])
    assert all(len(splits) == 1 for splits in seen.values())
    assert {split for splits in seen.values() for split in splits} == {"train", "test"}
    assert "groups of near-duplicates, the largest of" in table.record.steps[0].learned


def copies(count: int = 1_500, seed: int = 3) -> pa.Table:
    """Rows without gaps between them, a fifth nearly the same as another, and some equal, empty or broken."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(count, 8)) @ draw.normal(size=(8, 48)) + 0.2 * draw.normal(size=(count, 48))
    vectors[: count // 5] = vectors[-(count // 5) :] + 0.7 * draw.normal(size=(count // 5, 48))
    vectors[-9:] = vectors[:9]
    vectors[20], vectors[21, 3] = 0, np.nan
    order = draw.permutation(count)
    return pa.table({"uid": [f"{row:05d}" for row in order], "clip": vector_array(vectors[order].astype(np.float16))})


def fitted(step: NearDuplicates, table: pa.Table, cuts: list[int], batch: int = 400) -> State:
    return step.fit(MemoryFrame(table, cuts, batch), Context(key=5))


def test_cells_find_the_pairs_of_exact_search() -> None:
    """As many as the recall that was measured says, and each of them is a pair of exact search."""
    table = copies()
    exact = fitted(NearDuplicates(vectors="clip", above=0.95, method="exact"), table, [])
    close = fitted(NearDuplicates(vectors="clip", above=0.95, method="cells", probes=1), table, [])
    assert exact.values["members"] > 500
    assert exact.values["undirected"] == close.values["undirected"] == 2
    pairs, found = (dict(state.values["curve"])[0.95] for state in (exact, close))
    assert 0.97 * pairs <= found <= pairs
    assert close.values["recall"] >= 0.99
    assert close.values["recall_low"] < close.values["recall"] <= close.values["recall_high"]
    low = fitted(NearDuplicates(vectors="clip", above=0.95, method="cells", probes=1, recall=0), table, [])
    assert low.values["probes"] == 1
    assert low.values["recall"] < close.values["recall"]
    assert "widened from 1 for a recall of 99%" in NearDuplicates(vectors="clip", probes=1).learned(close)


@pytest.mark.parametrize("method", ["exact", "cells"])
def test_order_and_cuts_change_nothing(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "BLOCK_BYTES", 30_000)
    table = copies(900)
    step = NearDuplicates.model_validate({"vectors": "clip", "above": 0.9, "method": method, "keep": "far"})
    expected = fitted(step, table, [])
    for seed, cuts, batch in ((0, [1, 300], 400), (1, [500, 500, 899], 37)):
        mixed = table.take(pa.array(np.random.default_rng(seed).permutation(len(table))))
        again = fitted(step, mixed, cuts, batch)
        assert again.values == expected.values
        assert again.mapped["members"].equals(expected.mapped["members"])


def test_the_row_that_stays_is_named_with_its_cosine() -> None:
    table = copies(600)
    known = dict(zip(table["uid"].to_pylist(), vectors_of(table["clip"].chunk(0)).astype(np.float64), strict=True))
    step = NearDuplicates(vectors="clip", above=0.9, keep="far", method="exact")
    state = fitted(step, table, [])
    cells = VectorLinks.of(MemoryFrame(table), Context(key=5), step).cells
    assert cells is not None
    members = state.mapped["members"].to_pylist()
    groups: dict[str, list[str]] = {}
    for row in members:
        groups.setdefault(row["twin"], []).append(row["uid"])
        one, twin = known[row["uid"]], known[row["twin"]]
        if row["twin"] != row["uid"]:
            cosine = one @ twin / np.linalg.norm(one) / np.linalg.norm(twin)
            assert row["cosine"] == pytest.approx(cosine, abs=1e-6)
            assert f"of '{row['twin']}', which is kept (cosine {row['cosine']:.4f}" in step.explain(row, state)
    for twin, uids in groups.items():
        unit = unit_rows(np.stack([known[uid] for uid in uids]))
        central = cells.cosine(unit.astype(np.float64), cells.home(unit))
        assert central[uids.index(twin)] == pytest.approx(central.min(), abs=1e-6)


def test_the_curve_counts_what_would_be_dropped() -> None:
    table = copies(600)
    state = fitted(NearDuplicates(vectors="clip", above=0.9, method="exact"), table, [])
    for at, dropped in state.values["curve"][::7]:
        higher = fitted(NearDuplicates(vectors="clip", above=at, method="exact", keep="first"), table, [])
        assert higher.values["dropped"] == dropped
