"""glt over lists of attributes: the sets of a plain statement, ties and odd lists, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.kernels.statistics.even_counts import most_even
from poolwright.steps.split.glt import Glt
from poolwright.testing.steps import Sent
from tests.steps.split.glt_list_rows import (
    as_the_smallest,
    expected_sets,
    exponential,
    most_even_plainly,
    objects,
    shares_deviation,
)

CLASSES = {"person": 900, "car": 250, "cat": 120, "dog": 120, "kite": 60}
LONG: dict[str, Any] = {
    "attribute": "attributes",
    "protocol": "long_tailed",
    "test_bbl": 20,
    "test_bl": 20,
    "test_lt": 20,
    "val": 10,
    "sizes": {"shape": "exponential", "imbalance": 200},
    "frequency": [1, 3],
}
EVEN: dict[str, Any] = {
    **{name: value for name, value in LONG.items() if name not in ("sizes", "test_lt")},
    "protocol": "balanced",
    "val": 5,
    "balanced": "smallest",
}


def drawn(
    table: pa.Table, cuts: tuple[int, ...] = (), batch_rows: int = 999, **parameters: Any
) -> tuple[dict[str, str], State, Glt]:
    """The set of each row that is in one, the state and the step."""
    step = Glt.model_validate(parameters)
    given = [field.name for field in step.gives(table.schema)]
    state = step.fit(MemoryFrame(table, cuts, batch_rows), Context(9))
    outcome = step.apply(Rows(table), state)
    assert set(outcome.columns) == set(given)
    assert outcome.drop is not None
    sets = outcome.columns[given[0]].to_pylist()
    assert [name is None for name in sets] == [code > 0 for code in outcome.drop.tolist()]
    pairs = zip(table["uid"].to_pylist(), sets, strict=True)
    return {uid: name for uid, name in pairs if name is not None}, state, step


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return objects(CLASSES, 40)


@pytest.mark.parametrize(("parameters", "rest"), [(LONG, exponential), (EVEN, as_the_smallest)])
def test_the_sets_are_those_of_a_plain_statement(rows: pa.Table, parameters: dict[str, Any], rest: Any) -> None:
    found, state, step = drawn(rows, **parameters)
    numbers = {"test_lt": 0, **{name: parameters[name] for name in ("test_bbl", "test_bl", "val")}}
    numbers |= {"test_lt": parameters.get("test_lt", 0)}
    assert found == expected_sets(rows.to_pylist(), numbers, rest, int(state.values["key"]))
    outcome = step.apply(Rows(rows), state)
    ranks = {"person": 0, "car": 1, "cat": 2, "dog": 3, "kite": 4}
    numbered = dict(zip(rows["label"].to_pylist(), outcome.columns["class_index"].to_pylist(), strict=True))
    frequency = dict(zip(rows["label"].to_pylist(), outcome.columns["frequency"].to_pylist(), strict=True))
    assert numbered == ranks
    assert frequency == {"person": 0, "car": 1, "cat": 1, "dog": 2, "kite": 2}


def test_the_balanced_test_is_more_even_and_it_is_said(rows: pa.Table) -> None:
    found, state, step = drawn(rows, **LONG)
    lists = dict(zip(rows["uid"].to_pylist(), rows["attributes"].to_pylist(), strict=True))
    for name, deviation in state.values["deviation"].items():
        of_set = [lists[uid] for uid, set_ in found.items() if set_ == name]
        assert deviation == pytest.approx(shares_deviation(of_set, 40), rel=1e-5)
    assert state.values["deviation"]["test_bbl"] < 0.5 * state.values["deviation"]["test_bl"]
    learned = step.learned(state)
    assert learned.startswith("5 classes, 40 attributes: train ")
    assert "; standard deviation of the attributes' shares: train " in learned
    assert "; the rest is cut from " in learned
    row = next(row for row in rows.to_pylist() if row["uid"] in found)
    assert step.explain({**row, "split_glt": found[row["uid"]]}, state).startswith(
        f"split_glt = {found[row['uid']]}, by"
    )


def test_order_cuts_types_and_coding_change_nothing(rows: pa.Table) -> None:
    found, state, _ = drawn(rows, **LONG)
    other = rows.take(pa.array(np.random.default_rng(1).permutation(len(rows))))
    lists = other["attributes"].combine_chunks().cast(pa.large_list(pa.string()))
    coded = other.set_column(2, "attributes", lists).set_column(1, "label", other["label"].dictionary_encode())
    again, state_again, step = drawn(coded, (7, 500), 33, **LONG)
    assert again == found
    assert state_again == state
    assert step.fit(Sent(rows, (3, 700), 99), Context(9)) == state


def test_lists_may_repeat_attributes_have_nulls_or_nothing_or_be_of_integers(rows: pa.Table, tmp_path: Path) -> None:
    found, _, _ = drawn(rows, **LONG)
    odd = [[*one, *one[:1], None] for one in rows["attributes"].to_pylist()]
    lacking = pa.table({"uid": ["a", "b", "c"], "label": ["cat", "cat", None], "attributes": [[None], None, ["x"]]})
    table = pa.concat_tables([rows.set_column(2, "attributes", pa.array(odd)), lacking])
    again, state, step = drawn(table, **LONG)
    lists = dict(zip(rows["uid"].to_pylist(), map(bool, rows["attributes"].to_pylist()), strict=True))
    assert again == found
    drop = step.apply(Rows(table), state).drop
    assert drop is not None
    assert {uid: int(code) for uid, code in zip(table["uid"].to_pylist(), drop, strict=True) if code == 1} == {
        **{uid: 1 for uid, has in lists.items() if not has},
        **dict.fromkeys("abc", 1),
    }
    numbers = [[int(name.split()[1]) for name in one] for one in rows["attributes"].to_pylist()]
    assert drawn(rows.set_column(2, "attributes", pa.array(numbers)), **LONG)[0] == found
    state.save(tmp_path, "glt")
    assert drawn(table, **LONG)[1] == State.load(tmp_path, "glt")
    empty, state, step = drawn(rows.slice(0, 0), **LONG)
    assert (empty, step.learned(state)) == ({}, "no classes")
    new = Rows.of({"uid": ["z"], "label": ["new"], "attributes": [["x"]]})
    assert step.apply(new, state).drop.tolist() == [2]  # type: ignore[union-attr]


def test_the_rows_of_the_greedy_choice_are_those_of_a_loop_over_all_rows() -> None:
    for seed in range(60):
        draw = np.random.default_rng(seed)
        count, attributes = int(draw.integers(1, 40)), int(draw.integers(1, 7))
        has = draw.random((count, attributes)) < draw.random()
        has[np.arange(count), draw.integers(0, attributes, count)] = True
        sets, of = np.unique(has, axis=0, return_inverse=True)
        ranks = draw.permutation(10 * count)[:count]
        order = np.lexsort((ranks, of.reshape(-1)))
        n = int(draw.integers(0, count + 1))
        found = order[most_even(sets, of.reshape(-1)[order], ranks[order], n)]
        by_rank = np.argsort(ranks)
        lists = [[str(at) for at in np.flatnonzero(has[row])] for row in by_rank]
        assert found.tolist() == by_rank[most_even_plainly(lists, n)].tolist()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"protocol": "both"}, "give protocol: long_tailed or protocol: balanced"),
        ({"ratio": [3, 1]}, "'ratio' has no meaning for lists of attributes"),
        ({"balanced": 9}, "'balanced' has no meaning for lists of attributes with protocol: long_tailed"),
        (
            {"test_bbl": 50},
            r"take 50 \+ 20 rows of each class, .* too small: kite \([56]\d\); ask for a smaller",
        ),
        ({"test_lt": 400}, r"take 400 \+ 10 rows x 5 classes = 2,050, and the rest has 1,\d+ rows"),
        ({"attribute": "number"}, "'protocol' and 'balanced: smallest' are for lists of attributes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows: pa.Table, parameters: dict[str, Any], message: str) -> None:
    table = rows.append_column("number", pa.array([0] * len(rows)))
    with pytest.raises(StepError, match=message):
        drawn(table, **{**LONG, **parameters})


def test_a_rule_without_its_largest_class_is_for_lists(rows: pa.Table) -> None:
    without = {name: value for name, value in LONG.items() if name != "sizes"}
    with pytest.raises(StepError, match=r"give the sizes of the classes: sizes: \{shape: exponential"):
        drawn(rows, **without)
    table = rows.append_column("number", pa.array([0] * len(rows)))
    numbers = {"attribute": "number", "ratio": [1], "sizes": LONG["sizes"]}
    with pytest.raises(StepError, match="the rule of 'sizes' needs the rows of the largest class: largest: 500"):
        drawn(table, **numbers)


def test_attributes_are_of_a_fixed_list() -> None:
    table = pa.table({"uid": ["a"], "label": ["x"], "attributes": [[str(number) for number in range(5_000)]]})
    with pytest.raises(StepError, match="have 5,000 different attributes, more than 4,096"):
        drawn(table, **LONG)
