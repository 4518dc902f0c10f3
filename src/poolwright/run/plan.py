"""Plans a table: columns before and after each step, ledger codes, and the steps before which a run must save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import reduce
from operator import or_

import pyarrow as pa

from poolwright.core.class_labels import look_alikes
from poolwright.core.columns import ROW_ERROR, UID, is_vector, same_space, vector_field
from poolwright.core.errors import PoolwrightError, RecipeError, StepError
from poolwright.core.roles import JoiningStep
from poolwright.core.step import Reason, Resources, Step
from poolwright.core.table import ReasonRecord
from poolwright.core.wording import some
from poolwright.recipe.source import RecipeSource
from poolwright.recipe.tables import StepSpec, TableSpec
from poolwright.run.sources.source import VIRTUAL, Source

MISSING_UID = Reason("missing_uid", "no uid", bad=True)
DUPLICATE_UID = Reason("duplicate_uid", "an earlier row has the same uid", bad=True)
BAD_ROW = Reason("bad_row", "the source row cannot be read", bad=True)
ADMISSION = (MISSING_UID, DUPLICATE_UID, BAD_ROW)
"""Reasons why a row of a pool is refused, by ledger code from 1."""


@dataclass(frozen=True)
class StepPlan:
    """One step of a plan.

    Attributes:
        index: position among the table's steps.
        step: the step.
        name: name of its state, such as '03-top'.
        before: live columns before it.
        gives: columns it adds or replaces.
        takes: columns that it removes.
        reads: columns it receives: its needs, those of its optional ones that exist, and uid.
        first_code: ledger code of its first reason.
    """

    index: int
    step: Step
    name: str
    before: pa.Schema
    gives: dict[str, pa.Field]
    takes: tuple[str, ...]
    reads: tuple[str, ...]
    first_code: int

    @property
    def after(self) -> pa.Schema:
        """Live columns after the step."""
        return _after(self.before, self.gives, self.takes)


@dataclass(frozen=True)
class TablePlan:
    """All steps of a table over its source.

    Attributes:
        name: of the table.
        source: what its rows are read from.
        steps: its steps, in order.
        reasons: why rows are dropped, by ledger code.
        others: the rows that steps join, by the index of the step.
        known: whether all columns are known: no step is wrong that might have given more.
        foreseen: what a check found of keys that steps look up, in sentences.
    """

    name: str
    source: Source
    steps: tuple[StepPlan, ...]
    reasons: tuple[ReasonRecord, ...]
    others: Mapping[int, tuple[Source, ...]] = field(default_factory=dict)
    known: bool = True
    foreseen: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """Columns of the finished table: the live ones, without image bytes read through a path."""
        schema = self.steps[-1].after if self.steps else self.source.schema
        never = {ROW_ERROR, *(VIRTUAL if self.source.virtual_image else ())}
        return pa.schema([field for field in schema if field.name not in never])

    @property
    def resources(self) -> Resources:
        """The resources that a unit occupies while it goes through all steps."""
        return reduce(or_, (plan.step.resources() for plan in self.steps), Resources())

    @property
    def stages(self) -> tuple[int, ...]:
        """Steps before whose fit the run saves the columns of costly steps, so that these are not computed twice."""
        found, costly = [], False
        for plan in self.steps:
            if plan.step.fits_rows and costly:
                found.append(plan.index)
                costly = False
            costly = costly or plan.step.costly
        return tuple(found)

    def remarks(self) -> list[str]:
        """Return what the pool leaves out or reads otherwise than expected, and classes whose names look alike."""
        known = {f"classes of '{column}'": names for column, names in self.source.class_names().items()}
        known |= {f"classes of '{plan.step.verb}'": set(plan.step.class_names()) for plan in self.steps}
        alike = [f"{what} have names that {note}" for what, names in known.items() for note in look_alikes(names)]
        return [*self.source.remarks(), *self.joined_remarks(), *alike, *self.foreseen]

    @property
    def joined(self) -> tuple[Source, ...]:
        """The rows that steps join, in the order of the steps."""
        return tuple(other for step in sorted(self.others) for other in self.others[step])

    def joined_remarks(self) -> list[str]:
        """Return what the pools that steps join leave out."""
        return [f"{other.name}: {remark}" for other in self.joined for remark in other.remarks()]

    def derived(self, upto: int) -> list[str]:
        """Return the live columns before step `upto` that steps gave, in order of the schema."""
        given: set[str] = set()
        for plan in self.steps[:upto]:
            given = (given | set(plan.gives)) - set(plan.takes)
        schema = self.steps[upto].before if upto < len(self.steps) else self.schema
        return [name for name in schema.names if name in given]


def plan_table(
    spec: TableSpec, source: Source, recipe: RecipeSource, others: Mapping[int, tuple[Source, ...]] | None = None
) -> TablePlan:
    """Check every step of a table against the columns it will find.

    Args:
        others: the rows that steps join, by the index of the step.

    Raises:
        RecipeError: a needed column is missing or of a wrong type; the message names the step, the column and the
            columns that exist; `Mistakes` if several steps are wrong.
    """
    plan = plan_partly(spec, source, recipe, others or {})
    recipe.raise_mistakes()
    return plan


def plan_partly(
    spec: TableSpec, source: Source, recipe: RecipeSource, others: Mapping[int, tuple[Source, ...]], known: bool = True
) -> TablePlan:
    """Plan as `plan_table`, but go on after wrong steps, and keep their errors in `recipe.mistakes`.

    Args:
        known: whether the source has all of its columns; no step is then wrong for want of a column that may come.
    """
    reasons = [_record(code, -1, "read", reason) for code, reason in enumerate(ADMISSION, 1)]
    plans: list[StepPlan] = []
    live = source.schema
    unknown = recipe.incomplete.get(spec.name, len(spec.steps)) if known else 0  # first step that may find more
    for index, placed in enumerate(spec.steps):
        step = placed.step
        try:
            step = _knowing(placed, others.get(index, ()), recipe)
            if index >= unknown and (missing := _not_given(step, live)):
                _require(placed, live, recipe, but=missing)
                continue
            gives, takes = _columns_of(replace(placed, step=step), live, recipe)
        except RecipeError as error:
            recipe.mistakes.append(error)
            despite = _gives_anyway(step, live)
            unknown = unknown if despite is not None else min(unknown, index)
            live = _after(live, despite or {}, ())
            continue
        name = f"{index + 1:02d}-{step.verb}"
        plans.append(StepPlan(index, step, name, live, gives, takes, _reads(step, live), len(reasons) + 1))
        reasons += [_record(len(reasons) + 1 + at, index, step.verb, reason) for at, reason in enumerate(step.reasons)]
        live = plans[-1].after
    if live.get_field_index(UID) < 0:
        wrong = recipe.error(("tables", spec.name), "the column 'uid' is gone at the end; every table needs it")
        recipe.mistakes.append(wrong)
    return TablePlan(spec.name, source, tuple(plans), tuple(reasons), others, unknown >= len(spec.steps))


def _knowing(placed: StepSpec, others: tuple[Source, ...], recipe: RecipeSource) -> Step:
    """Return a step, with the types of the rows that it joins."""
    try:
        return placed.step.knowing_all(others) if isinstance(placed.step, JoiningStep) and others else placed.step
    except PoolwrightError as error:
        raise recipe.error(placed.key, str(error)) from None


def _columns_of(placed: StepSpec, live: pa.Schema, recipe: RecipeSource) -> tuple[dict[str, pa.Field], tuple[str, ...]]:
    """Check a step against the live columns, and return the columns that it gives and takes."""
    step = placed.step
    _require(placed, live, recipe)
    try:
        if placed.learned:
            _check_vectors(placed, live)
        else:
            step.check_files(live)
        return {field.name: field for field in step.gives(live)}, step.takes(live)
    except PoolwrightError as error:
        raise recipe.error(placed.key, placed.words(error)) from None


def _not_given(step: Step, live: pa.Schema) -> set[str]:
    """Return the missing columns that a wrong step before this one may give: no misspellings of other columns."""
    return {name for name in step.needs() if not get_close_matches(name, live.names, n=1)}


def _gives_anyway(step: Step, live: pa.Schema) -> dict[str, pa.Field] | None:
    """Return the columns that a wrong step would give, for checking those after it; None if that is unknown."""
    if step.kind == "choose" and not step.labelled_by:
        return {}
    try:
        return {field.name: field for field in step.gives(live)}
    except (PoolwrightError, KeyError):
        return None


def _require(placed: StepSpec, live: pa.Schema, recipe: RecipeSource, but: Set[str] = frozenset()) -> None:
    step = placed.step
    for name in step.needs():
        if live.get_field_index(name) < 0 and name not in but:
            close = get_close_matches(name, live.names, n=1)
            meant = f"did you mean '{close[0]}'? " if close else ""
            text = f"'{step.verb}' needs the column '{name}', which no step before it gives; {meant}"
            text += f"columns: {some(live.names, 30)}"
            if placed.learned:
                known = any(vector.column == name for vector in placed.learned.vectors)
                text += f". Name the encoder that gives it: models: {{{name}: onnx:PATH}}" if known else ""
                text += f". Or leave the step out: skip: [{step.verb}]"
            raise recipe.error(placed.key, text)


def _check_vectors(placed: StepSpec, live: pa.Schema) -> None:
    """Check that the vectors come from the encoder whose vectors a released step learned from."""
    for vector in placed.learned.vectors if placed.learned else ():
        made_by = vector_field(vector.column, vector.width, vector.model, vector.weights)
        known = made_by if vector.model else made_by.remove_metadata()
        if is_vector(live.field(vector.column).type):
            same_space(live.field(vector.column), known)


def _reads(step: Step, live: pa.Schema) -> tuple[str, ...]:
    names = [*step.needs(), *(name for name in step.optional() if live.get_field_index(name) >= 0)]
    return tuple(dict.fromkeys(names))


def _after(before: pa.Schema, gives: dict[str, pa.Field], takes: Sequence[str]) -> pa.Schema:
    fields = [gives.get(field.name, field) for field in before if field.name not in takes or field.name in gives]
    fields += [field for name, field in gives.items() if before.get_field_index(name) < 0]
    return pa.schema(fields)


def _record(code: int, step: int, verb: str, reason: Reason) -> ReasonRecord:
    return ReasonRecord(code=code, step=step, verb=verb, name=reason.name, words=reason.words, bad=reason.bad)


def wrong_step(plan: StepPlan, what: str) -> StepError:
    """Make an error about a step that broke its contract."""
    return StepError(f"step {plan.name}: {what}; this is a bug in the step")
