"""Properties that hold for every registered step, over generated tables.

No row is lost; the same seed gives the same rows; order, cuts, batches and coding of the input change
nothing; apply is row-wise; needs and gives are honest; empty input works; states survive saving.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import iadd
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from poolwright.core.errors import StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows
from poolwright.core.state import State
from poolwright.core.step import Outcome, Step
from poolwright.models.encoders.load import load_encoder
from poolwright.registry import STEPS, step_class
from tests.steps.examples import EXAMPLES, Case, cases, made_table
from tests.steps.tables import CODINGS, tables

KEY = 0x1234_5678_9ABC_DEF0
CONTEXT = Context(KEY, load_encoder, table=made_table)

every_case = pytest.mark.parametrize("case", cases(), ids=str)


def generated(test: Callable[..., None]) -> Callable[..., None]:
    """The settings all properties share: reproducible, and quick enough to run always."""
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=quiet)(test)


class Sent(MemoryFrame):
    """A frame whose summaries and functions travel between processes, as on a cluster. Neighbours are merged from the
    right, in another tree than that of an engine."""

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        start, add, merge = pickle.loads(pickle.dumps((start, add, merge)))
        units: list[Any] = super().fold(columns, partial(_listed, start), partial(_added, add), iadd)

        def sent(right: Any, left: Any) -> Any:
            return merge(*pickle.loads(pickle.dumps((left, right))))

        return reduce(sent, reversed(pickle.loads(pickle.dumps(units))))


def _listed(start: Callable[[], Any]) -> list[Any]:
    """The summary of a unit, alone in a list."""
    return [start()]


def _added(add: Callable[[Any, Rows], Any], summary: list[Any], rows: Rows) -> list[Any]:
    return [add(summary[0], rows)]


def drawn(data: st.DataObject, case: Case) -> Callable[[str], pa.Table]:
    made: Callable[[str], pa.Table] = data.draw(tables(case.example.most, case.example.images))
    return made


def seen_by(step: Step, table: pa.Table) -> Rows:
    """The columns a step is handed: those it needs, and the optional ones that are there."""
    names = [*step.needs(), *(name for name in step.optional() if name in table.column_names)]
    return Rows(table.select(list(dict.fromkeys(names))))


def fitted(case: Case, step: Step, frame: MemoryFrame) -> State | str:
    """The state, or why these rows are refused."""
    try:
        return step.fit(frame, CONTEXT)
    except StepError as error:
        if not case.example.may_refuse:
            raise
        return str(error)


def codes_of(outcome: Outcome, rows: int) -> list[int]:
    return [0] * rows if outcome.drop is None else [int(code) for code in outcome.drop]


def told(step: Step, table: pa.Table, state: State, batch: int = 10**9) -> dict[str, list[Any]]:
    """What a step says, row by row, in the order of the table: its drop code, and what it gives a row it keeps."""
    rows = seen_by(step, table)
    said: dict[str, list[Any]] = {"drop": [], **{field.name: [] for field in step.gives(table.schema)}}
    for start in range(0, len(rows), batch):
        part = rows.slice(start, min(batch, len(rows) - start))
        outcome = step.apply(part, state)
        codes = codes_of(outcome, len(part))
        said["drop"] += codes
        for name, values in outcome.columns.items():
            said[name] += [None if code else repr(v) for v, code in zip(values.to_pylist(), codes, strict=True)]
    return said


def by_uid(table: pa.Table, said: dict[str, list[Any]]) -> dict[str, tuple[Any, ...]]:
    uids = table.column("uid").to_pylist()
    return dict(zip(uids, zip(*said.values(), strict=True), strict=True))


def same_state(one: State | str, other: State | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    tables = set(one.tables) == set(other.tables)
    return one.values == other.values and tables and all(one.tables[n].equals(other.tables[n]) for n in one.tables)


@pytest.mark.parametrize("verb", STEPS)
def test_every_step_has_examples(verb: str) -> None:
    assert EXAMPLES.get(verb), f"tests/steps/examples.py has no example of '{verb}'"


@pytest.mark.parametrize("verb", STEPS)
def test_a_step_says_what_it_is(verb: str) -> None:
    step = step_class(verb)
    assert step.verb == verb
    assert step.kind in ("describe", "choose", "split")
    assert step.__doc__
    assert step.shorthand is None or step.shorthand in step.model_fields
    names = [reason.name for reason in step.reasons]
    assert len(set(names)) == len(names) < 255
    for name, field in step.model_fields.items():
        assert field.description or "description" in str(field.metadata), f"{verb}: '{name}' is not described"


@every_case
@generated
@given(data=st.data())
def test_no_row_is_lost_and_gives_is_honest(case: Case, data: st.DataObject) -> None:
    table = drawn(data, case)(data.draw(st.sampled_from(CODINGS)))
    step = case.example.step(case.verb)
    fields = {field.name: field for field in step.gives(table.schema)}
    state = fitted(case, step, Sent(table))
    if isinstance(state, str):
        return
    outcome = step.apply(seen_by(step, table), state)
    assert set(outcome.columns) == set(fields)
    for name, values in outcome.columns.items():
        assert len(values) == table.num_rows
        assert values.type == fields[name].type or values.cast(fields[name].type) is not None
    if outcome.drop is not None:
        assert outcome.drop.dtype == np.uint8
        assert outcome.drop.shape == (table.num_rows,)
        assert outcome.drop.max(initial=0) <= len(step.reasons)
    if case.example.keeps:
        case.example.keeps(table, codes_of(outcome, table.num_rows))


@every_case
@generated
@given(data=st.data())
def test_order_cuts_batches_and_coding_change_nothing(case: Case, data: st.DataObject) -> None:
    make = drawn(data, case)
    table = make("plain")
    rows = table.num_rows
    step = case.example.step(case.verb)
    state = fitted(case, step, Sent(table))
    order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(rows)
    other = make(data.draw(st.sampled_from(CODINGS))).take(pa.array(order, pa.int64()))
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=3)))
    again = fitted(case, step, Sent(other, cuts, data.draw(st.sampled_from([1, 3, 64, 10**6]))))
    assert same_state(state, again)
    if not isinstance(state, str) and not isinstance(again, str):
        assert by_uid(table, told(step, table, state)) == by_uid(other, told(step, other, again))


@every_case
@generated
@given(data=st.data())
def test_apply_is_row_wise(case: Case, data: st.DataObject) -> None:
    table = drawn(data, case)(data.draw(st.sampled_from(CODINGS)))
    step = case.example.step(case.verb)
    state = fitted(case, step, MemoryFrame(table))
    if not isinstance(state, str):
        table = table.slice(0, 60)
        assert told(step, table, state) == told(step, table, state, batch=1)
        assert told(step, table, state) == told(step, table, state, batch=17)


@every_case
@generated
@given(data=st.data())
def test_a_step_reads_only_what_it_needs(case: Case, data: st.DataObject) -> None:
    table = drawn(data, case)("plain")
    step = case.example.step(case.verb)
    wanted = dict.fromkeys(["uid", *step.needs(), *step.optional()])
    narrow = table.select([name for name in wanted if name in table.column_names])
    if not step.takes(table.schema):  # a step that takes columns away gives what there was of them
        assert step.gives(narrow.schema) == step.gives(table.schema)
    state, again = fitted(case, step, Sent(table)), fitted(case, step, Sent(narrow))
    assert same_state(state, again)
    if not isinstance(state, str):
        assert told(step, table, state) == told(step, narrow, state)


@every_case
@generated
@given(data=st.data())
def test_inputs_stay_as_they_were(case: Case, data: st.DataObject) -> None:
    table = drawn(data, case)(data.draw(st.sampled_from(CODINGS)))
    before = pickle.dumps(table)
    step = case.example.step(case.verb)
    parameters = step.model_dump_json()
    state = fitted(case, step, MemoryFrame(table))
    if not isinstance(state, str):
        kept = pickle.dumps(state)
        step.apply(seen_by(step, table), state)
        assert pickle.dumps(state) == kept
    assert pickle.dumps(table) == before
    assert step.model_dump_json() == parameters


@every_case
@generated
@given(data=st.data())
def test_a_saved_state_says_the_same(case: Case, data: st.DataObject, tmp_path: Path) -> None:
    table = drawn(data, case)(data.draw(st.sampled_from(CODINGS)))
    step = case.example.step(case.verb)
    state = fitted(case, step, MemoryFrame(table))
    if isinstance(state, str):
        return
    digest = state.save(tmp_path, "state")
    assert state.save(tmp_path, "again") == digest
    loaded = State.load(tmp_path, "state")
    sent: Step = pickle.loads(pickle.dumps(step))
    assert sent == step
    assert told(step, table, state) == told(sent, table, loaded)
    assert step.learned(state) == sent.learned(loaded)


@every_case
@generated
@given(data=st.data())
def test_states_and_rows_can_be_told_to_people(case: Case, data: st.DataObject) -> None:
    table = drawn(data, case)("plain")
    step = case.example.step(case.verb)
    state = fitted(case, step, MemoryFrame(table))
    if isinstance(state, str):
        return
    assert isinstance(step.learned(state), str)
    rows = seen_by(step, table)
    columns = step.apply(rows, state).columns
    for place in range(min(5, len(rows))):
        row = rows.slice(place, 1).table.to_pylist()[0]
        row |= {name: values[place].as_py() for name, values in columns.items()}
        assert isinstance(step.explain(row, state), str)
    assert isinstance(step.explain(dict.fromkeys([*step.needs(), *columns]), state), str)


@every_case
def test_rows_that_were_not_there_at_the_fit_are_decided_too(case: Case) -> None:
    from tests.steps.tables import make

    step = case.example.step(case.verb)
    state = fitted(case, step, MemoryFrame(make(1, 7, "plain", [], case.example.images)))
    if not isinstance(state, str):
        later = make(2, min(60, case.example.most), "dictionary", ["new", "newer"], case.example.images)
        assert len(told(step, later, state)["drop"]) == later.num_rows
