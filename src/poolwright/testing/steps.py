"""Properties that hold for every step, over generated tables.

No row is lost; the same seed gives the same rows; order, cuts, batches and coding of the input change nothing; apply
is row-wise; needs and gives are honest; empty input works; states survive saving.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from operator import iadd
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from poolwright.core.columns import IMAGE
from poolwright.core.errors import StepError, WaitingForPeople
from poolwright.core.frame import Context, MemoryFrame, OtherRows
from poolwright.core.roles import JoiningStep
from poolwright.core.rows import Rows
from poolwright.core.runtime.spread import Deal, Spread
from poolwright.core.state import State
from poolwright.core.step import Outcome, Step
from poolwright.core.texts.yaml_text import load
from poolwright.models.encoders.load import load_encoder
from poolwright.testing.fixtures import context, finished_table, knowing, other_rows
from poolwright.testing.tables import CODINGS, SIZES, WORDS, make, more_columns, tables

KEY = 0x1234_5678_9ABC_DEF0

Check = Callable[[pa.Table, list[int]], None]
"""A check of the rows that are kept: receives the table, and the drop code of each row in its order."""


@dataclass(frozen=True)
class StepCase:
    """One set of parameters that a step is tested with.

    Attributes:
        parameters: as in a recipe; None takes those of the step's `example`. They may name the files, the model and
            the tables of `poolwright.testing.fixtures`.
        most_rows: rows of the largest table; default 400, and 7 for steps that decode images.
        may_refuse: whether `fit` may refuse some tables with an error that says why.
        keeps: a check of the rows that are kept.
    """

    parameters: Any = None
    most_rows: int | None = None
    may_refuse: bool = False
    keeps: Check | None = field(default=None, compare=False)


class Sent(MemoryFrame):
    """A frame that pickles summaries and functions, as a cluster does.

    Neighbours are merged from the right, in another tree than an engine's.
    """

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """As `Frame.fold`."""
        start, add, merge = pickle.loads(pickle.dumps((start, add, merge)))
        units: list[Any] = super().fold(columns, partial(_listed, start), partial(_added, add), iadd)

        def sent(right: Any, left: Any) -> Any:
            return merge(*pickle.loads(pickle.dumps((left, right))))

        return reduce(sent, reversed(pickle.loads(pickle.dumps(units))))

    def spread(self, columns: Sequence[str], deal: Deal, partitions: int, name: str) -> Spread:
        """As `Frame.spread`."""
        made = super().spread(columns, pickle.loads(pickle.dumps(deal)), partitions, name)
        return replace(made, run=_run_pickled)


def _run_pickled(function: Callable[[int], Any], count: int) -> Iterator[tuple[int, Any]]:
    """Call a function as workers on other nodes do, the last unit first."""
    for number in reversed(range(count)):
        yield number, pickle.loads(pickle.dumps(function))(number)


def _listed(start: Callable[[], Any]) -> list[Any]:
    """Return the summary of a unit, alone in a list."""
    return [start()]


def _added(add: Callable[[Any, Rows], Any], summary: list[Any], rows: Rows) -> list[Any]:
    return [add(summary[0], rows)]


def _generated(test: Callable[..., None]) -> Callable[..., None]:
    """Apply the settings that all properties share: reproducible, and fast enough to run always."""
    quiet = [
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.differing_executors,
    ]
    phases = [Phase.explicit, Phase.generate, Phase.shrink]  # to explain a fault takes longer than to find it
    return settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=quiet, phases=phases)(test)


@dataclass(frozen=True)
class Fitted:
    """A table, and what a step learned from it.

    Attributes:
        state: the state; None if the step refuses the table.
        refused: why it does, if so.
        before: the table and the parameters as they were before the fit, serialized.
        stayed: whether the fit left both as they were.
    """

    table: pa.Table
    state: State | None
    refused: str | None
    before: tuple[bytes, str]
    stayed: bool


class Trial:
    """A step with the parameters of one case, and the tables that it is run on."""

    def __init__(self, cls: type[Step], case: StepCase, columns: Mapping[str, pa.DataType]) -> None:
        self.case = case
        self.step = knowing(step_of(cls, case.parameters))
        self.images = IMAGE in self.step.needs()
        self.columns = more_columns(self.step.needs(), columns)
        self.most_rows = case.most_rows or (7 if self.images else 400)
        self._tables = tables(self.most_rows, self.images, self.columns)
        self._fitted: list[Fitted] = []

    def drawn(self, data: st.DataObject) -> Callable[[str], pa.Table]:
        """Draw a table; return a function that makes it with a coding of its strings."""
        made: Callable[[str], pa.Table] = data.draw(self._tables)
        return made

    def fitted(self) -> list[Fitted]:
        """Return tables of all sizes and codings, with the states fitted on them: made once for several properties."""
        if not self._fitted:
            for seed, rows in enumerate(size for size in SIZES if size <= self.most_rows):
                for coding in CODINGS if rows == min(7, self.most_rows) else (CODINGS[seed % len(CODINGS)],):
                    table = make(seed + 7, rows, coding, WORDS[: seed + 1], self.images, self.columns)
                    before = pickle.dumps(table), self.step.model_dump_json()
                    state = self.fit(MemoryFrame(table))
                    stayed = (pickle.dumps(table), self.step.model_dump_json()) == before
                    learned, refused = (None, state) if isinstance(state, str) else (state, None)
                    self._fitted.append(Fitted(table, learned, refused, before, stayed))
        return self._fitted

    def fit(self, frame: MemoryFrame) -> State | str:
        """Fit and return the state, or the message if these rows are refused."""
        try:
            return self.step.fit(frame, Context(KEY, load_encoder, table=finished_table, others=self._others))
        except (StepError, WaitingForPeople) as error:
            if not self.case.may_refuse:
                raise
            return str(error)

    def _others(self) -> list[OtherRows]:
        assert isinstance(self.step, JoiningStep)
        return other_rows(self.step)

    def seen(self, table: pa.Table) -> Rows:
        """Return the columns that the step receives: those it needs, and the optional ones that exist."""
        names = [*self.step.needs(), *(name for name in self.step.optional() if name in table.column_names)]
        return Rows(table.select(list(dict.fromkeys(names))))

    def outcome(self, table: pa.Table, state: State, batch: int = 10**9, step: Step | None = None) -> _Columns:
        """Apply the step; return per row, in the order of the table, the drop code and the columns of a kept row."""
        step, rows = step or self.step, self.seen(table)
        found: _Columns = {"drop": [], **{given.name: [] for given in step.gives(table.schema)}}
        for start in range(0, len(rows), batch):
            part = rows.slice(start, min(batch, len(rows) - start))
            outcome = step.apply(part, state)
            codes = codes_of(outcome, len(part))
            found["drop"] += codes
            for name, values in outcome.columns.items():
                found[name] += [None if code else repr(v) for v, code in zip(values.to_pylist(), codes, strict=True)]
        return found


_Columns = dict[str, list[Any]]


class StepSuite:
    """The properties of a step, as tests. Subclass it in a test module, under a name that begins with `Test`.

    The tables have columns of all kinds (see `poolwright.testing.tables.make`), the well-known ones that the step
    needs, `clip` with vectors if it needs that, and those of `columns`.
    """

    step: ClassVar[type[Step]]
    """The step."""
    cases: ClassVar[Sequence[StepCase]] = (StepCase(),)
    """Parameters to test; default those of the step's `example`."""
    columns: ClassVar[Mapping[str, pa.DataType]] = {}
    """Types by name of further columns that the step reads."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run each property with each case."""
        if "case" in metafunc.fixturenames:
            metafunc.parametrize("case", self.cases, ids=[str(number) for number in range(len(self.cases))])

    _trials: ClassVar[dict[tuple[type, int], Trial]] = {}

    def trial(self, case: StepCase) -> Trial:
        """Return the step with the parameters of a case; all tests of the case share it."""
        key = type(self), id(case)
        if key not in self._trials:
            self._trials[key] = Trial(self.step, case, self.columns)
        return self._trials[key]

    def test_it_says_what_it_is(self) -> None:
        """The class has a docstring, an example, and a description of every parameter."""
        step = self.step
        assert step.verb
        assert step.kind in ("describe", "choose", "split")
        assert step.__doc__
        assert step_of(step, None).verb in step.example
        assert step.shorthand is None or step.shorthand in step.model_fields
        names = [reason.name for reason in step.reasons]
        assert len(set(names)) == len(names) < 255
        for name, parameter in step.model_fields.items():
            described = parameter.description or "description" in str(parameter.metadata)
            assert described, f"{step.verb}: '{name}' is not described"

    @_generated
    @given(data=st.data())
    def test_no_row_is_lost_and_gives_is_honest(self, case: StepCase, data: st.DataObject) -> None:
        """Every row is kept or dropped with a reason, and the columns are those of `gives`."""
        trial = self.trial(case)
        table = trial.drawn(data)(data.draw(st.sampled_from(CODINGS)))
        fields = {given.name: given for given in trial.step.gives(table.schema)}
        state = trial.fit(Sent(table))
        if isinstance(state, str):
            return
        outcome = trial.step.apply(trial.seen(table), state)
        assert set(outcome.columns) == set(fields)
        for name, values in outcome.columns.items():
            assert len(values) == table.num_rows
            stored = values.cast(fields[name].type)
            assert values.type == stored.type or repr(values.to_pylist()) == repr(stored.to_pylist())
        if outcome.drop is not None:
            assert outcome.drop.dtype == np.uint8
            assert outcome.drop.shape == (table.num_rows,)
            assert outcome.drop.max(initial=0) <= len(trial.step.reasons)
        if case.keeps:
            case.keeps(table, codes_of(outcome, table.num_rows))

    @_generated
    @given(data=st.data())
    def test_order_cuts_batches_and_coding_change_nothing(self, case: StepCase, data: st.DataObject) -> None:
        """The result depends on the rows alone."""
        trial = self.trial(case)
        make_table = trial.drawn(data)
        table = make_table("plain")
        rows = table.num_rows
        state = trial.fit(Sent(table))
        order = np.random.default_rng(data.draw(st.integers(0, 99))).permutation(rows)
        other = make_table(data.draw(st.sampled_from(CODINGS))).take(pa.array(order, pa.int64()))
        cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=3)))
        batch = max(data.draw(st.sampled_from([1, 3, 64, 10**6])), rows // 60)  # enough batches, and not hundreds
        again = trial.fit(Sent(other, cuts, batch))
        assert same_state(state, again)
        if not isinstance(state, str) and not isinstance(again, str):
            assert by_uid(table, trial.outcome(table, state)) == by_uid(other, trial.outcome(other, again))

    def test_apply_is_row_wise(self, case: StepCase) -> None:
        """The result for a row does not depend on the rows it is applied with."""
        trial = self.trial(case)
        for one in trial.fitted():
            if one.state is not None:
                table = one.table.slice(0, 60)
                whole = trial.outcome(table, one.state)
                assert whole == trial.outcome(table, one.state, batch=1)
                assert whole == trial.outcome(table, one.state, batch=17)

    def test_it_reads_only_what_it_needs(self, case: StepCase) -> None:
        """Columns outside `needs` and `optional` change nothing."""
        trial = self.trial(case)
        step = trial.step
        wanted = dict.fromkeys(["uid", *step.needs(), *step.optional()])
        for one in trial.fitted():
            narrow = one.table.select([name for name in wanted if name in one.table.column_names])
            if not step.takes(one.table.schema):  # a step that removes columns derives its own from them
                assert step.gives(narrow.schema) == step.gives(one.table.schema)
            state = trial.fit(MemoryFrame(narrow))
            assert same_state(state, one.refused or one.state)
            if one.state is not None and isinstance(state, State):
                assert trial.outcome(one.table, one.state) == trial.outcome(narrow, state)

    def test_inputs_stay_as_they_were(self, case: StepCase) -> None:
        """Neither `fit` nor `apply` changes its input."""
        trial = self.trial(case)
        for one in trial.fitted():
            assert one.stayed, "fit changed its input"
            if one.state is not None:
                kept = pickle.dumps(one.state)
                trial.step.apply(trial.seen(one.table), one.state)
                assert pickle.dumps(one.state) == kept
            assert (pickle.dumps(one.table), trial.step.model_dump_json()) == one.before

    def test_a_saved_state_gives_the_same(self, case: StepCase, tmp_path: Path) -> None:
        """A state that was saved and loaded gives the same results."""
        trial = self.trial(case)
        sent: Step = pickle.loads(pickle.dumps(trial.step))
        assert sent == trial.step
        for number, one in enumerate(trial.fitted()):
            if one.state is None:
                continue
            digest = one.state.save(tmp_path / str(number), "state")
            assert one.state.save(tmp_path / str(number), "again") == digest
            loaded = State.load(tmp_path / str(number), "state")
            assert trial.outcome(one.table, one.state) == trial.outcome(one.table, loaded, step=sent)
            assert trial.step.learned(one.state) == sent.learned(loaded)

    def test_states_and_rows_are_explained(self, case: StepCase) -> None:
        """`learned` and `explain` return texts."""
        trial = self.trial(case)
        step = trial.step
        for one in trial.fitted():
            if one.state is None:
                continue
            assert isinstance(step.learned(one.state), str)
            rows = trial.seen(one.table)
            columns = step.apply(rows, one.state).columns
            for index in range(min(5, len(rows))):
                row = rows.slice(index, 1).table.to_pylist()[0]
                row |= {name: values[index].as_py() for name, values in columns.items()}
                assert isinstance(step.explain(row, one.state), str)
            assert isinstance(step.explain(dict.fromkeys([*step.needs(), *columns]), one.state), str)

    def test_rows_that_the_fit_did_not_see_are_decided_too(self, case: StepCase) -> None:
        """A state works on rows that the fit did not see."""
        trial = self.trial(case)
        state = trial.fit(MemoryFrame(make(1, 7, "plain", [], trial.images, trial.columns)))
        if not isinstance(state, str):
            rows, words = min(60, trial.most_rows), ["new", "newer"]
            later = make(2, rows, "dictionary", words, trial.images, trial.columns)
            assert len(trial.outcome(later, state)["drop"]) == later.num_rows


def step_of(cls: type[Step], parameters: Any) -> Step:
    """Make a step with parameters as in a recipe; None takes those of its `example`."""
    return cls.model_validate(parameters_of(cls, parameters), context=context())


def parameters_of(cls: type[Step], parameters: Any) -> dict[str, Any]:
    """Return parameters by name; None takes those of the `example`, and a single value is that of the shorthand."""
    if parameters is None:
        data = load(cls.example, cls.verb)
        parameters = data[cls.verb] if isinstance(data, dict) else {}
    if cls.shorthand and not isinstance(parameters, Mapping):
        return {cls.shorthand: parameters}
    return dict(parameters)


def codes_of(outcome: Outcome, rows: int) -> list[int]:
    """Return the drop code of each row; 0 keeps it."""
    return [0] * rows if outcome.drop is None else [int(code) for code in outcome.drop]


def by_uid(table: pa.Table, found: _Columns) -> dict[str, tuple[Any, ...]]:
    """Return the outcome of each row, by its uid."""
    uids = table.column("uid").to_pylist()
    return dict(zip(uids, zip(*found.values(), strict=True), strict=True))


def same_state(one: State | str | None, other: State | str | None) -> bool:
    """Whether two states, or two refusals, are equal."""
    if not isinstance(one, State) or not isinstance(other, State):
        return one == other
    tables, others = {**one.tables, **one.mapped}, {**other.tables, **other.mapped}
    same_tables = set(tables) == set(others)
    return one.values == other.values and same_tables and all(tables[n].equals(others[n]) for n in tables)
