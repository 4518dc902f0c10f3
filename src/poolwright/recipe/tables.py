"""Tables of a recipe: the source of their rows, and the steps that these go through."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from poolwright.core.columns import UID, WELL_KNOWN, declared_type
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.params import Share
from poolwright.core.roles import AnnotationStep, EncodingStep, JoiningStep, SourceStep
from poolwright.core.state import State
from poolwright.core.step import Step
from poolwright.models.encoders.spec import model_spec
from poolwright.recipe.released import LearnedState, Released, ReleasedStep, read_released
from poolwright.recipe.source import Key, RecipeSource
from poolwright.recipe.validation import validate
from poolwright.registry import encoding_step, step_class


def _as_applied(value: Any) -> Any:
    return {"release": value} if isinstance(value, str) else value


class AppliedBody(BaseModel):
    """The steps of a release, to be applied to other rows: `apply: FOLDER`, or a mapping."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    release: str = Field(description="folder of the release, relative to the recipe's folder")
    skip: tuple[str | int, ...] = Field(default=(), description="steps to leave out, by verb or by number from 1")
    models: dict[str, Any] = Field(
        default_factory=dict, description="encoder by column of vectors, if the rows are images: {clip: onnx:PATH}"
    )


Applied = Annotated[AppliedBody, BeforeValidator(_as_applied)]


SOURCE = "source"
"""Default name of the column with the pool or table that a row of a union comes from."""


def _as_union(value: Any) -> Any:
    if isinstance(value, dict | UnionBody):
        return value
    return {"union": value} if isinstance(value, list | tuple) else {"union": (value,), "source": None}


class UnionBody(BaseModel):
    """The rows of several pools and tables, one source after the other: `from: [a, b]`, or a mapping."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    union: tuple[str, ...] = Field(description="pools and tables, in order")
    uid_prefix: bool = Field(
        default=False,
        description="put the name of the source before each uid, 'NAME/UID', so that none repeats another",
    )
    source: str | None = Field(
        default=SOURCE, description="column with the name of the pool or table that a row comes from; null for none"
    )
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Arrow type by column, such as {score: double}, in place of the widest type of the sources",
    )

    @field_validator("union")
    @classmethod
    def _check_union(cls, union: tuple[str, ...]) -> tuple[str, ...]:
        if not union:
            raise ValueError("name the pools and tables that the rows come from")
        twice = next((name for name in union if union.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"'{twice}' is named twice; each source is read once")
        return union

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[str, str]) -> dict[str, str]:
        for name, alias in columns.items():
            dtype = declared_type(name, alias)
            if name in WELL_KNOWN and dtype != WELL_KNOWN[name].type:
                raise ValueError(f"'{name}' is {WELL_KNOWN[name].type} in every table; steps rely on it")
        return columns

    @field_validator("source")
    @classmethod
    def _check_source(cls, source: str | None) -> str | None:
        if source == UID:
            raise ValueError("'uid' is the id of a row; name another column for its source")
        return source

    @property
    def is_plain(self) -> bool:
        """Whether it is one source as it is."""
        return len(self.union) == 1 and not (self.uid_prefix or self.source or self.columns)


class TableBody(BaseModel):
    """One table: the pool or table it comes `from`, and its steps in order."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True)

    from_: Annotated[UnionBody, BeforeValidator(_as_union)] = Field(
        alias="from", description="pool or table the rows come from; a list of these for the rows of all"
    )
    apply: Applied | None = Field(
        default=None,
        description="release whose steps come first, with what they learned when it was made; see docs/recipes.md",
    )
    steps: list[Any] = Field(default_factory=list, description="steps, in order; each is one verb with its parameters")
    max_bad: Share | None = Field(default=None, description="share of bad rows above which the run stops")
    ledger: Literal["full", "counts"] = Field(
        default="full", description="full: every dropped row is listed; counts: only how many, for billions of rows"
    )


@dataclass(frozen=True)
class StepSpec:
    """A step of a table.

    Attributes:
        parameters: its parameters as written.
        key: its key path in the recipe, for errors.
        learned: what it learned when a release was made, if it is not to learn again.
    """

    step: Step
    parameters: dict[str, Any]
    key: Key
    learned: LearnedState | None = None

    @property
    def encoders(self) -> tuple[EncoderSpec, ...]:
        """Return the encoders it will use: only those that `apply` runs, if it learned before."""
        if self.learned and not isinstance(self.step, EncodingStep):
            return ()
        values = (getattr(self.step, name) for name in type(self.step).model_fields)
        return tuple(value for value in values if isinstance(value, EncoderSpec))

    def words(self, error: Exception) -> str:
        """Describe an error of the step; for an encoder, which a release does not contain, also what to do."""
        if not self.learned or not isinstance(self.step, EncodingStep):
            return str(error)
        column = self.step.encoded(self.parameters).columns[0]
        return (
            f"{error}; a release contains no encoders; name this one: --model {column}=onnx:PATH, "
            f"or in a recipe models: {{{column}: onnx:PATH}}"
        )

    @property
    def learns_from(self) -> tuple[str, ...]:
        """Return the tables that it is fitted on, besides its own rows."""
        return () if self.learned else self.step.tables()

    @property
    def joins(self) -> tuple[str, ...]:
        """Return the pools and tables of the recipe whose rows its fit reads."""
        others = self.step.others() if isinstance(self.step, JoiningStep) and not self.learned else ()
        return tuple(other for other in others if isinstance(other, str))


@dataclass(frozen=True)
class TableSpec:
    """A table of a recipe; `source` is a union of one if its rows are those of one pool or table."""

    name: str
    source: UnionBody
    steps: tuple[StepSpec, ...]
    max_bad: float
    full_ledger: bool = True

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the pools and tables that its rows come from."""
        return self.source.union

    @property
    def source_step(self) -> SourceStep | None:
        """The step that makes the rows of the table, if it begins with one."""
        first = self.steps[0].step if self.steps else None
        return first if isinstance(first, SourceStep) else None

    @property
    def reads(self) -> tuple[str, ...]:
        """Return what must exist before it: its sources, and the tables that its steps learn from."""
        return (*self.sources, *(name for placed in self.steps for name in (*placed.learns_from, *placed.joins)))

    def joined_tables(self, pools: Container[str]) -> list[str]:
        """Return the tables whose rows its steps join: what they name, and that is not one of the pools."""
        return [name for placed in self.steps for name in placed.joins if name not in pools]


def make_table(
    name: str, table: TableBody, max_bad: float, source: RecipeSource, context: Mapping[str, Any]
) -> TableSpec:
    """Validate one table of a recipe; wrong steps are left out, and `source` collects their errors."""
    steps = _applied(table.apply, ("tables", name, "apply"), source) if table.apply else []
    applied, before, unsure = len(steps), len(source.mistakes), -1
    for index, data in enumerate(table.steps):
        mistakes = len(source.mistakes)
        with source.collecting():
            placed = make_step(data, ("tables", name, "steps", index), source, context)
            if isinstance(placed.step, SourceStep) and (index or applied):
                verb = placed.step.verb
                raise source.error(
                    placed.key, f"'{verb}' must be the first step of its table: it makes the rows that are read"
                )
            steps.append(placed)
        if len(source.mistakes) > mistakes and unsure < 0 and not _only_chooses(data):
            unsure = len(steps)
    if len(source.mistakes) > before:
        source.incomplete[name] = unsure if unsure >= 0 else len(steps)
    max_bad = table.max_bad if table.max_bad is not None else max_bad
    return TableSpec(name, table.from_, tuple(steps), max_bad, table.ledger == "full")


def _only_chooses(data: Any) -> bool:
    """Whether a step is known, whatever its parameters, to give no columns."""
    verb, parameters = next(iter(data.items()), ("", None)) if isinstance(data, dict) else (data, None)
    try:
        return _meant(step_class(str(verb)), parameters).kind == "choose"
    except RecipeError:
        return False


def make_step(data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> StepSpec:
    """Validate one step of a recipe."""
    if isinstance(data, str):
        data = {data: {}}
    if not isinstance(data, dict) or len(data) != 1:
        raise source.error(key, "a step is one verb with its parameters: '- top: {by: similarity, n: 1000}'")
    verb, parameters = next(iter(data.items()))
    key = (*key, verb)
    parameters = {} if parameters is None else parameters
    try:
        cls = _meant(step_class(str(verb)), parameters)
    except RecipeError as error:
        raise source.error(key, str(error)) from None
    if cls.shorthand and not isinstance(parameters, dict):
        parameters = {cls.shorthand: parameters}
    if not isinstance(parameters, dict):
        raise source.error(key, f"'{verb}' takes parameters by name: {', '.join(sorted(cls.model_fields))}")
    if issubclass(cls, AnnotationStep):
        source.check_shown(parameters, cls.shown_to_people, key, "the sheets for people")
    step = validate(cls, parameters, key, source, context)
    return StepSpec(step, parameters, key)


def _meant(cls: type[Step], parameters: Any) -> type[Step]:
    """Return the step that a recipe means by one with these parameters, see `Step.other_verbs`."""
    named = cls.other_verbs if isinstance(parameters, dict) else {}
    return next((step_class(verb) for name, verb in named.items() if name in parameters), cls)


def _applied(body: AppliedBody, key: Key, source: RecipeSource) -> list[StepSpec]:
    """Return the steps of a release, with what they learned, after encoders of columns that none of them gives."""
    try:
        released = read_released(source.folder / body.release)
        chosen = released.without(body.skip)
        models = {column: model_spec(data, {"folder": str(source.folder)}) for column, data in body.models.items()}
    except PoolwrightError as error:
        raise source.error(key, str(error)) from None
    context: dict[str, Any] = {"folder": str(released.folder), "models": _models_of(released)}
    given = {column for one in chosen for column in one.encoded.columns}
    encoding = encoding_step()
    steps = [
        make_step({encoding.verb: encoding.parameters_for(column, spec)}, key, source, context)
        for column, spec in models.items()
        if column not in given
    ]
    return steps + [_applied_step(one, models, key, source, context) for one in chosen]


def _applied_step(
    one: ReleasedStep, models: Mapping[str, Any], key: Key, source: RecipeSource, context: Mapping[str, Any]
) -> StepSpec:
    parameters = dict(one.parameters)
    columns = one.encoded.columns
    replaced = [models[column] for column in columns if column in models]
    if replaced:
        parameters["model"] = replaced[0]
    try:
        placed = make_step({one.verb: parameters}, key, source, context)
    except RecipeError as error:
        if not columns:
            raise
        raise RecipeError(f"{error}; name the encoder: models: {{{columns[0]}: onnx:PATH}}") from None
    step = placed.step
    if isinstance(step, JoiningStep):
        step = step.recalling(State.load(one.learned.folder, one.learned.name))
    return StepSpec(step, parameters, placed.key, one.learned)


def _models_of(released: Released) -> dict[str, Any]:
    """Return the encoders that the release's recipe names, except those on the disk of whoever made it."""
    found: dict[str, Any] = {}
    for name, data in released.models.items():
        try:
            found[name] = model_spec(data, {"folder": str(released.folder), "models": found})
        except RecipeError:
            continue
    return found
