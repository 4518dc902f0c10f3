"""match_histogram: the rows of a plain statement of the rules, what it says of them, and what it refuses."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from poolwright import api
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.table import Table
from poolwright.steps.choose.histogram.bins import scaled, with_overflow
from poolwright.steps.choose.histogram.match_histogram import MatchHistogram
from tests.steps.choose.matching import expected_uids

EDGES = [0.2, 0.4, 0.6, 0.8]
STEP: dict[str, Any] = {"group": "label", "by": "share", "like": "like", "edges": EDGES, "n": 10}


def drawn_rows(seed: int, count: int, prefix: str, dtype: pa.DataType) -> pa.Table:
    draw = np.random.default_rng(seed)
    shares = draw.integers(0, 11, count) / 10
    labels = [f"class-{number}" if number else None for number in draw.integers(0, 9, count)]
    columns = {"uid": [f"{prefix}{row}" for row in range(count)], "label": labels}
    return pa.table({**columns, "share": pa.array(shares, dtype, mask=draw.random(count) < 0.05)})


def run(folder: Path, rows: pa.Table, others: pa.Table, **parameters: Any) -> Table:
    folder.mkdir(exist_ok=True)
    for name, table in (("rows", rows), ("like", others)):
        pq.write_table(table, folder / f"{name}.parquet", row_group_size=37)
    pools = {name: {"read": "table", "path": f"{name}.parquet"} for name in ("rows", "like")}
    steps = [{"match_histogram": {**STEP, **parameters}}]
    data = {
        "recipe": 1,
        "name": "match",
        "seed": 3,
        "pools": pools,
        "tables": {"out": {"from": "rows", "steps": steps}},
    }
    return api.run(api.Recipe.from_data(data, folder), folder / "run", workers=2).tables["out"]


@pytest.mark.parametrize("dtype", [pa.float64(), pa.float32()])
def test_the_rows_are_those_of_a_plain_statement(tmp_path: Path, dtype: pa.DataType) -> None:
    rows, like = drawn_rows(1, 900, "row-", dtype), drawn_rows(2, 120, "like-", pa.float64())
    lacking = pa.table({"uid": ["a", "b"], "label": ["alone", "alone"], "share": pa.array([0.1, 0.3], dtype)})
    others = pc.fill_null(pc.not_equal(rows["label"], "class-8"), True)
    rows = pa.concat_tables([rows.filter(others), lacking])
    table = run(tmp_path, rows, like)
    found = table.read(["uid"])["uid"].to_pylist()
    key = int(table.state(0).values["key"])
    assert sorted(found) == sorted(expected_uids(rows.to_pylist(), like.to_pylist(), EDGES, 10, key))
    assert set(table.record.funnel[-1].dropped) == {"no_group", "no_value", "not_drawn", "no_reference"}
    learned = table.record.steps[0].learned
    assert learned.startswith(f"{len(found)} rows of 8 groups of label, with the histograms of share in like")
    assert "; 1 group that like has no row of; 1 group of like without candidates; " in learned
    assert "of like without a value left out" in learned


def test_a_histogram_is_scaled_by_largest_remainders_and_a_tie_goes_to_the_later_bin() -> None:
    assert scaled([1, 1, 1, 1], 10) == [2, 2, 3, 3]
    assert scaled([0, 3, 0, 3], 5) == [0, 2, 0, 3]
    assert scaled([5, 1, 0], 10) == [8, 2, 0]
    assert scaled([0, 0], 10) == [0, 0]
    draw = np.random.default_rng(0)
    for _ in range(100):
        counts = draw.integers(0, 9, 5).tolist()
        if sum(counts):
            found = scaled(counts, 10)
            assert sum(found) == 10
            assert all(
                abs(got - Fraction(10 * count, sum(counts))) < 1 for got, count in zip(found, counts, strict=True)
            )


@pytest.mark.parametrize(
    ("wanted", "there", "drawn"),
    [
        ([2, 2, 2], [9, 9, 9], [2, 2, 2]),
        ([2, 2, 2], [1, 9, 9], [1, 3, 2]),
        ([4, 2, 0], [1, 1, 9], [1, 1, 4]),
        ([0, 2, 2], [9, 9, 1], [0, 3, 1]),
        ([0, 2, 4], [9, 3, 1], [2, 3, 1]),
        ([2, 2, 2], [1, 0, 1], [1, 0, 1]),
    ],
)
def test_what_a_bin_lacks_is_taken_from_the_next_one(wanted: list[int], there: list[int], drawn: list[int]) -> None:
    assert with_overflow(wanted, there) == drawn


def groups(sizes: dict[str, Sequence[int]], prefix: str) -> pa.Table:
    """Rows with so many in each bin of every class."""
    rows = [
        (label, 0.1 + 0.2 * bin_)
        for label, counts in sizes.items()
        for bin_, count in enumerate(counts)
        for _ in range(count)
    ]
    labels, shares = zip(*rows, strict=True)
    return pa.table({"uid": [f"{prefix}{at}" for at in range(len(rows))], "label": labels, "share": shares})


def test_overflow_and_shortfalls_are_counted_and_said(tmp_path: Path) -> None:
    rows = groups({"a": (9, 9, 9, 9, 9), "b": (0, 9, 9, 9, 9), "c": (1, 1, 0, 0, 1)}, "row-")
    like = groups({"a": (1, 1, 1, 1, 1), "b": (1, 1, 1, 1, 1), "c": (0, 0, 0, 0, 2)}, "like-")
    table = run(tmp_path, rows, like)
    drawn: dict[str, Counter[int]] = defaultdict(Counter)
    for row in table.read(["label", "share"]).to_pylist():
        drawn[row["label"]][int(row["share"] * 5)] += 1
    assert drawn == {"a": dict.fromkeys(range(5), 2), "b": {1: 4, 2: 2, 3: 2, 4: 2}, "c": {0: 1, 1: 1, 4: 1}}
    learned = table.record.steps[0].learned
    assert "; 4 rows from another bin than wanted; 7 rows lacking, as the candidates are too few: c (7)" in learned
    step, row = MatchHistogram.model_validate(STEP), {"label": "b", "share": 0.3}
    assert step.explain(row, table.state(0)) == (
        "share = 0.3, bin 2 of 5 of b: 1 in like, 2 wanted, 4 of 9 rows drawn by hash"
    )


def test_the_other_rows_may_be_a_file_and_are_part_of_what_the_table_is_made_from(tmp_path: Path) -> None:
    rows = groups({"a": (9, 9)}, "row-")
    pa.csv.write_csv(groups({"a": (1, 0)}, "like-"), tmp_path / "like.csv")
    assert run(tmp_path, rows, rows, like="./like.csv", n=2).read(["share"])["share"].to_pylist() == [0.1, 0.1]
    pa.csv.write_csv(groups({"a": (0, 1)}, "like-"), tmp_path / "like.csv")
    with pytest.raises(ChangedError, match=r"like\.csv: content changed"):
        run(tmp_path, rows, rows, like="./like.csv", n=2)


def test_what_cannot_be_matched_is_refused(tmp_path: Path) -> None:
    rows = groups({"a": (9, 9)}, "row-").append_column("kind", pa.array(["1"] * 18))
    numbered = rows.set_column(3, "kind", pa.array([1] * 18))
    for like, message in (
        (
            rows.rename_columns(["uid", "label", "shares", "kind"]),
            "'like' has no column 'share'; did you mean 'shares'",
        ),
        (numbered, "'kind' is string, and int64 in 'like', so that no groups are equal"),
        (rows.set_column(2, "share", rows["label"]), "'share' of 'like' is string; a histogram is of numbers"),
    ):
        with pytest.raises(RecipeError, match=message):
            run(tmp_path / str(len(message)), rows, like, group=["label", "kind"])
    for edges in ([0.5, 0.5], [1, 0], [float("inf")], []):
        with pytest.raises(ValidationError):
            MatchHistogram.model_validate({**STEP, "edges": edges})
    broken = rows.append_column("row_error", pa.array([None] * 17 + ["no such row"]))
    with pytest.raises(InputError, match=r"a row of 'like' cannot be read .* no such row"):
        run(tmp_path / "broken", rows, broken)
