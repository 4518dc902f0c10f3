"""bucket against plain sorting, DuckDB's calendar, and lines of the YFCC100M."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.kernels.selection import passes as collecting
from poolwright.steps.describe.bucket import Bucket

UTC = datetime.UTC
TIME = pa.timestamp("us", tz="UTC")


def bucketed(table: pa.Table, **parameters: Any) -> tuple[list[int | None], list[str], State]:
    """Bucket of every row (None where it is dropped), the reason of each ('' where kept), and the state."""
    step = Bucket.model_validate(parameters)
    state = step.fit(MemoryFrame(table, cuts=[len(table) // 3], batch_rows=997), Context())
    names = [*step.needs(), *(name for name in step.optional() if name in table.column_names)]
    outcome = step.apply(Rows(table.select(names)), state)
    assert outcome.drop is not None
    reasons = ["", *(reason.name for reason in step.reasons)]
    return outcome.columns[step.into].to_pylist(), [reasons[code] for code in outcome.drop], state


def times(count: int, seed: int = 0, distinct: int | None = None) -> pa.Array:
    draw = np.random.default_rng(seed)
    seconds = draw.integers(1_072_915_200, 1_398_643_200, distinct or count)
    return pa.array((seconds if distinct is None else draw.choice(seconds, count)) * 1_000_000, pa.int64()).cast(TIME)


@pytest.mark.parametrize("distinct", [None, 50])
@pytest.mark.parametrize(
    ("collect", "n"), [*((collecting.COLLECT, n) for n in (1, 2, 11, 400)), *((20, n) for n in (1, 2, 11, 60))]
)
def test_equal_buckets_are_runs_of_the_sorted_order(
    n: int, distinct: int | None, collect: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "COLLECT", collect)
    column = times(1_000, n, distinct)
    found, _, state = bucketed(pa.table({"at": column}), by="at", n=n)
    values = column.cast(pa.int64()).to_numpy()
    ordered = np.sort(values)
    begins = np.array(
        [run[0] for run in np.array_split(ordered, n)]
    )  # the first runs have one more, as in CLEAR's code
    assert found == (values[:, None] >= begins[1:]).sum(axis=1).tolist()
    table = state.tables["buckets"]
    assert table["rows"].to_pylist() == np.bincount(np.array(found, np.int64), minlength=n).tolist()
    assert sum(table["rows"].to_pylist()) == 1_000
    if distinct is None and n < 400:
        assert np.ptp(table["rows"].to_numpy()) <= 1


@pytest.mark.parametrize("unit", ["decade", "year", "quarter", "month", "week", "day"])
def test_calendar_units_are_those_of_sql(unit: str) -> None:
    table = pa.table({"moment": times(2_000, 3)})
    found, reasons, state = bucketed(table, by="moment", unit=unit)
    assert set(reasons) == {""}
    query = f"SELECT date_diff('{unit}', min(moment) OVER (), moment) AS bucket FROM pool"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("pool", table)
        if unit != "decade":
            expected = connection.sql(f"SELECT bucket FROM ({query})").fetchall()
            assert sorted(found) == sorted(bucket for (bucket,) in expected)
        begins = connection.sql(f"SELECT DISTINCT date_trunc('{unit}', moment) AS b FROM pool ORDER BY b").fetchall()
    table = state.tables["buckets"]
    stored = [begin.date() for begin in table.filter(pc.greater(table["rows"], 0))["begin"].to_pylist()]
    assert stored == [begin.date() if isinstance(begin, datetime.datetime) else begin for (begin,) in begins]


def test_names_of_units() -> None:
    column = pa.array([datetime.datetime(2004, 12, 31, tzinfo=UTC), datetime.datetime(2005, 7, 1, tzinfo=UTC)], TIME)
    names = {
        unit: bucketed(pa.table({"at": column}), by="at", unit=unit)[2].tables["buckets"]["name"].to_pylist()
        for unit in ("decade", "year", "half", "quarter", "week")
    }
    assert names["decade"] == ["2000s"]
    assert names["year"] == ["2004", "2005"]
    assert names["half"] == ["2004-H2", "2005-H1", "2005-H2"]
    assert names["quarter"][0] == "2004-Q4"
    assert (names["week"][0], len(names["week"])) == ("2004-W53", 27)


def test_edges_hold_their_left_end_and_the_last_both() -> None:
    day = [datetime.datetime(2004, 1, day, hour, tzinfo=UTC) for day, hour in ((1, 0), (2, 23), (3, 0), (5, 0), (5, 1))]
    found, reasons, state = bucketed(
        pa.table({"at": pa.array(day, TIME)}), by="at", edges=["2004-01-01", datetime.date(2004, 1, 3), "2004-01-05"]
    )
    assert found == [0, 0, 1, 1, None]
    assert reasons[-1] == "outside"
    assert state.tables["buckets"]["name"].to_pylist()[0] == "2004-01-01 .. 2004-01-03"


def test_impossible_times_say_why() -> None:
    uploaded = ["2004-05-01", "2004-05-01", None, "1970-01-01", "2031-01-01", "2004-05-02"]
    taken = ["2004-04-30", "2004-05-02", "2004-01-01", "1969-01-01", "2004-01-01", None]
    columns = {
        name: pa.array(values).cast(pa.timestamp("us")).cast(TIME)
        for name, values in (("uploaded_at", uploaded), ("taken_at", taken))
    }
    found, reasons, _ = bucketed(pa.table(columns), by="uploaded_at", n=2, latest="2026-01-01")
    assert reasons == ["", "taken_after_upload", "no_time", "too_early", "too_late", ""]
    assert found == [0, None, None, None, None, 1]
    found, reasons, _ = bucketed(pa.table(columns), by="uploaded_at", n=2, ordered=False, earliest="1960-01-01")
    assert reasons == ["", "", "no_time", "", "", ""]
    assert bucketed(pa.table({"taken_at": columns["taken_at"]}), by="taken_at", n=1)[1].count("") == 4


def test_rows_that_come_later_have_a_bucket_too() -> None:
    step = Bucket.model_validate({"by": "score", "n": 2})
    state = step.fit(MemoryFrame(pa.table({"score": [1.0, 2.0, 3.0, 4.0]})), Context())
    later = step.apply(Rows.of({"score": [-9.0, 2.5, 3.0, 99.0, None]}), state)
    assert later.columns["bucket"].to_pylist() == [0, 0, 1, 1, None]
    assert step.explain({"score": 99.0, "bucket": 1}, state) == "score = 99 is in bucket 1 (3 .. 4, 2 rows)"


def test_no_rows_make_no_buckets() -> None:
    empty = pa.table({"at": pa.array([], TIME)})
    for way in ({"n": 3}, {"unit": "year"}):
        _, _, state = bucketed(empty, by="at", **way)
        assert state.tables["buckets"].num_rows == 0


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "needs n, unit or edges"),
        ({"n": 2, "unit": "year"}, "takes one of n, unit or edges"),
        ({"edges": ["2004-01-03", "2004-01-01"]}, "edges must ascend: 2004-01-03 is followed by 2004-01-01"),
        ({"edges": ["2004-01-03", 5]}, "all times or all numbers"),
        ({"edges": ["soon", 5]}, "'soon' is neither a number nor a time"),
        ({"unit": "yaer"}, "decade"),
    ],
)
def test_wrong_parameters(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Bucket.model_validate({"by": "at", **parameters})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"by": "score", "unit": "year"}, "'score' is double, not a time"),
        ({"by": "score", "edges": ["2004-01-01", "2005-01-01"]}, "'score' is double, but 2004-01-01 is a time"),
        ({"by": "at", "n": 2, "earliest": 5}, "but 5 is a number"),
        ({"by": "name", "n": 2}, "cannot be ranked by 'name'"),
    ],
)
def test_wrong_columns(parameters: dict[str, Any], words: str) -> None:
    schema = pa.schema([("score", pa.float64()), ("at", TIME), ("name", pa.string())])
    with pytest.raises(StepError, match=words):
        Bucket.model_validate(parameters).gives(schema)


def test_a_day_too_small_for_its_time() -> None:
    far = pa.table({"at": pa.array([0, 400 * 365 * 86_400 * 1_000_000], pa.int64()).cast(TIME)})
    with pytest.raises(StepError, match="buckets of a day from 1970-01-01T00:00:00"):
        bucketed(far, by="at", unit="day", earliest="1970-01-01")


@pytest.mark.real
def test_lines_of_the_yfcc100m(real_data: Path, tmp_path: Path) -> None:
    """400 real lines with impossible dates: eleven buckets of upload time, as CLEAR cuts them."""
    steps: list[dict[str, Any]] = [{"bucket": {"by": "uploaded_at", "n": 11, "latest": "2014-05-01"}}]
    data = {
        "recipe": 1,
        "name": "stream",
        "max_bad": 1.0,
        "pools": {"yfcc": {"read": "yfcc100m", "path": str(real_data / "yfcc100m" / "yfcc100m_dataset")}},
        "tables": {"stream": {"from": "yfcc", "steps": steps}},
    }
    table = api.run(Recipe.from_data(data, tmp_path), tmp_path / "run").tables["stream"]
    rows = table.read(["uploaded_at", "taken_at", "bucket"])
    uploaded, taken = (
        rows[name].cast(pa.int64()).to_numpy(zero_copy_only=False) for name in ("uploaded_at", "taken_at")
    )
    assert not (taken > uploaded).any()
    order = np.lexsort((rows["bucket"].to_numpy(), uploaded))
    assert (np.diff(rows["bucket"].to_numpy()[order]) >= 0).all()
    counts = np.bincount(rows["bucket"].to_numpy())
    assert len(counts) == 11
    assert np.ptp(counts) <= 2
    dropped = table.record.funnel[-1].dropped
    assert dropped["taken_after_upload"] > 0
    assert sum(dropped.values()) + table.record.rows_kept == table.record.funnel[-1].rows_in


@pytest.mark.real
def test_years_of_historic_pictures(real_data: Path, tmp_path: Path) -> None:
    """Years are numbers, and many pictures share one: none is torn apart."""
    path = str(real_data / "taiwan_pictures" / "metadata.csv")
    data = {
        "recipe": 1,
        "name": "years",
        "pools": {"pictures": {"read": "table", "path": path, "uid": "id"}},
        "tables": {"old": {"from": "pictures", "steps": [{"bucket": {"by": "year", "n": 5}}]}},
    }
    rows = api.run(Recipe.from_data(data, tmp_path), tmp_path / "run").tables["old"].read(["year", "bucket"])
    pairs = set(zip(rows["year"].to_pylist(), rows["bucket"].to_pylist(), strict=True))
    assert len(pairs) == len(set(rows["year"].to_pylist())) < len(rows)
    assert [bucket for _, bucket in sorted(pairs)] == sorted(bucket for _, bucket in pairs)
    assert set(rows["bucket"].to_pylist()) == set(range(5))
