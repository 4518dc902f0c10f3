"""Groups beyond those that are counted in memory: the same decisions, by way of files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright import api
from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Step
from poolwright.kernels.selection.by_group import many_groups
from poolwright.kernels.selection.controlled_rounding import controlled_rounding, share_by_group
from poolwright.kernels.selection.groups import GROUP_HASH
from poolwright.steps.choose.balance import Balance
from poolwright.steps.choose.cap import Cap
from poolwright.steps.choose.drop_small import DropSmall
from poolwright.steps.choose.largest import Largest
from poolwright.steps.choose.sample import Sample
from poolwright.steps.choose.sample_groups import SampleGroups
from poolwright.steps.choose.top import Top
from poolwright.steps.describe.columns.renumber import Renumber
from poolwright.steps.split.split import Split
from poolwright.testing.steps import Sent

STEPS = [
    Cap(group=("user",), n=2),
    Cap(group=("user", "year", "flag"), n=1),
    Sample(group=("year", "user"), n=3),
    Balance(group=("user",), n=4),
    DropSmall(group=("user",), count=3),
    DropSmall(group=("user",), below=0.001),
    Top(by="score", n=2, group=("user",)),
    Top(by="score", fraction=0.5, group=("user",), ties="keep", lowest=True),
]

COMPARING = [
    Largest(group=("user",), n=40, at_least=3),
    Largest(group=("user", "year"), n=700),
    SampleGroups(group=("user",), n=333),
    SampleGroups(group=("year", "user"), n=150),
    Balance(group=("user",)),
    Balance(group=("user",), proportions={"ü7": 3, "ü21": 1.5, "ü25": 0}),
    Balance(group=("number",), proportions={"7": 2, "21": 1, "125": 1}, total=9),
    Sample(group=("user",), fraction=0.35),
    Sample(group=("user", "flag", "year"), fraction=0.123456789012345),
    Sample(balance=("user",), n=1_777),
    Sample(balance=("number",), fraction=0.3),
    Sample(balance=("year", "user"), n=1_200),
    Sample(balance=("user", "year", "number"), fraction=0.4),
    Top(by="score", fraction=0.2, group=("user", "flag")),
]

RECIPE = """
recipe: 1
name: users
pools: {rows: {read: table, path: rows.parquet}}
tables:
  capped: {from: rows, steps: [{cap: {group: user, n: 2}}, {sample: {group: user, fraction: 60%}}]}
"""


def table(rows: int = 4_000) -> pa.Table:
    draw = np.random.default_rng(5)
    users = (draw.pareto(0.6, rows) * 20).astype(np.int64) % 1_500
    users[: rows // 20] = 7
    names = pa.array([f"ü{user}" for user in users], mask=draw.random(rows) < 0.03)
    return pa.table(
        {
            "uid": [f"{row:05d}" for row in range(rows)],
            "user": names.dictionary_encode(),
            "year": pa.array(draw.integers(2004, 2007, rows), pa.int16(), mask=draw.random(rows) < 0.03),
            "flag": draw.random(rows) < 0.5,
            "number": draw.integers(-300, 300, rows),
            "score": pa.array(draw.integers(0, 9, rows) / 4, mask=draw.random(rows) < 0.03),
        }
    )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_groups, "MANY", 100)
    monkeypatch.setattr(many_groups, "_ROWS", 700)


def drops(step: Step, state: State, pool: pa.Table) -> list[int]:
    found = [step.apply(Rows(pool.slice(at, 977)), state).drop for at in range(0, len(pool), 977)]
    return [code for drop in found if drop is not None for code in drop.tolist()]


@pytest.mark.parametrize("step", [*STEPS, *COMPARING], ids=lambda step: f"{step.verb}-{'-'.join(step.needs())}")
def test_the_same_rows_and_words(step: Step, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pool = table()
    whole = step.fit(MemoryFrame(pool), Context(key=3))
    monkeypatch.setattr(many_groups, "MANY", 100)
    monkeypatch.setattr(many_groups, "_ROWS", 700)
    many = step.fit(MemoryFrame(pool, (500, 500, 3_000), 256), Context(key=3))
    assert GROUP_HASH in many.mapped["groups"].column_names
    assert len(many.mapped["groups"]) == len(whole.tables["groups"])
    many.save(tmp_path, "01")
    saved = State.load(tmp_path, "01")
    assert drops(step, saved, pool) == drops(step, whole, pool)
    words = [step.learned(state).split("dropped: ") for state in (saved, whole)]
    assert words[0][0] == words[1][0]  # which of equally large groups are named is open
    assert [text[-13:] for text in words[0]] == [text[-13:] for text in words[1]]
    # Rows of unknown groups, with values coded and typed otherwise.
    new = table(300).set_column(1, "user", pa.array([f"ü{user}" for user in range(1_400, 1_700)]))
    assert drops(step, saved, new) == drops(step, whole, new)
    row = pool.slice(100, 1).to_pylist()[0]
    assert step.explain(row, saved) == step.explain(row, whole)


SPLITS = [
    Split(ratios={"train": 0.7, "val": 0.1, "test": "rest"}, stratify=("user",)),
    Split(ratios={"a": 0.55, "b": 0.05, "c": 0.07, "d": 0.33}, stratify=("year", "user"), seeds=2),
    Split(counts={"train": 1_500, "val": 444}, stratify=("number", "user")),
    Split(counts={"train": "rest", "val": 777}, stratify=("user", "flag")),
]


@pytest.mark.parametrize("step", SPLITS, ids=["ratios", "seeds", "counts", "rest"])
def test_strata_of_a_split(step: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pool = table()
    order = np.random.default_rng(0).permutation(len(pool))
    whole = step.fit(MemoryFrame(pool), Context(key=3))
    monkeypatch.setattr(many_groups, "MANY", 100)
    monkeypatch.setattr(many_groups, "_ROWS", 700)
    frames = MemoryFrame(pool, (500, 500, 3_000), 256), Sent(pool.take(order), (10, 2_000), 64)
    digests = [step.fit(frame, Context(key=3)).save(tmp_path, str(at)) for at, frame in enumerate(frames)]
    assert digests[0] == digests[1]
    many = State.load(tmp_path, "0")
    assert all(GROUP_HASH in strata.column_names for strata in many.mapped.values())
    assert [len(strata) for strata in many.mapped.values()] == [len(strata) for strata in whole.tables.values()]
    assert step.learned(many) == step.learned(whole)
    new = table(300).set_column(1, "user", pa.array([f"ü{user}" for user in range(1_400, 1_700)]))
    for rows in (pool, new):
        assert drops(step, many, rows) == drops(step, whole, rows)
        assert step.apply(Rows(rows), many).columns == step.apply(Rows(rows), whole).columns


def test_a_split_of_many_strata_needs_enough_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_groups, "MANY", 100)
    step = Split(counts={"train": 3_000, "val": 2_000}, stratify=("user",))
    with pytest.raises(StepError, match="the counts ask for 5,000 rows, but there are 3,"):
        step.fit(MemoryFrame(table(), (2_000,)), Context(key=3))


@pytest.mark.parametrize("column", ["user", "number"])
def test_renumber(column: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, step = table(), Renumber(column=column, into="number_of")
    whole = step.fit(MemoryFrame(pool), Context())
    monkeypatch.setattr(many_groups, "MANY", 100)
    monkeypatch.setattr(many_groups, "_ROWS", 200)
    many = step.fit(Sent(pool, (500, 3_000), 256), Context())
    assert GROUP_HASH in many.mapped["values"].column_names
    given = [step.apply(Rows(pool), state).columns["number_of"] for state in (whole, many)]
    values = sorted(set(pool.column(column).to_pylist()) - {None})
    numbers = [values.index(value) if value is not None else None for value in pool[column].to_pylist()]
    assert given[1].to_pylist() == numbers
    assert given[0].equals(given[1])
    assert step.learned(whole) == step.learned(many)
    row = {**pool.slice(9, 1).to_pylist()[0], "number_of": given[0][9].as_py()}
    assert step.explain(row, whole) == step.explain(row, many)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("step", [STEPS[0], *COMPARING[::3]], ids=lambda step: step.verb)
def test_order_cuts_and_batches_change_no_byte(step: Step, tmp_path: Path) -> None:
    pool = table()
    order = np.random.default_rng(0).permutation(len(pool))
    frames = [MemoryFrame(pool), Sent(pool.take(order), (10, 2_000), 64)]
    digests = [step.fit(frame, Context()).save(tmp_path, str(at)) for at, frame in enumerate(frames)]
    assert digests[0] == digests[1]


def test_a_run_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pq.write_table(table(1_000).select(["uid", "user"]), tmp_path / "rows.parquet", row_group_size=200)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE)
    kept = []
    for most in (10_000, 50):
        monkeypatch.setattr(many_groups, "MANY", most)
        found = api.run(recipe, tmp_path / str(most)).tables["capped"]
        kept.append(found.read(["uid", "user"]))
        assert not list((found.folder / "work").glob("spread/*"))
    assert 0 < len(kept[0]) < 1_000
    assert kept[0].equals(kept[1])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    share=st.fractions(0, 1, max_denominator=40),
    seed=st.integers(0, 99),
)
def test_a_share_of_groups_in_order_is_controlled_rounding(counts: list[int], share: Fraction, seed: int) -> None:
    order, rows = np.random.default_rng(seed).permutation(len(counts)), np.array(counts)
    before = np.empty_like(rows)
    before[order] = np.cumsum(rows[order]) - rows[order]
    expected = controlled_rounding(rows, (share, 1 - share), order)[0]
    assert share_by_group(rows, before, share).tolist() == expected.tolist()
