"""Recipe: pools, tables and releases, validated."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import PoolwrightError, RecipeError, did_you_mean
from poolwright.core.params import Share
from poolwright.core.pool import Pool
from poolwright.core.step import Step
from poolwright.recipe.figures import Figure
from poolwright.recipe.source import Key, RecipeSource, from_data, read_source
from poolwright.registry import POOLS, layout_class, pool_class, step_class
from poolwright.release.layout import About, Layout

RECIPE_VERSION = 1
M = TypeVar("M", bound=BaseModel)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z", re.IGNORECASE)


class TableBody(BaseModel):
    """One table: `from` a pool or table, and its steps in order."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    from_: str = Field(alias="from", description="pool or table the rows come from")
    steps: list[Any] = Field(default_factory=list, description="steps, in order; each is one verb with its parameters")
    max_bad: Share | None = Field(default=None, description="share of bad rows past which the run stops")
    ledger: Literal["full", "counts"] = Field(
        default="full", description="full: every dropped row is listed; counts: only how many, for billions of rows"
    )


class RecipeBody(BaseModel):
    """The top level of a recipe."""

    model_config = ConfigDict(extra="forbid")

    recipe: Literal[1] = Field(description="version of the recipe language")
    name: str = Field(description="name of the dataset; letters, digits, '.', '_' and '-'")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of every hash rank")
    variables: dict[str, str] = Field(
        default_factory=dict, description="words that ${NAME} stands for; else the environment is asked"
    )
    max_bad: Share = Field(default=0.01, description="share of bad rows past which a run stops, such as 1%")
    card: About = Field(default_factory=About, description="what the dataset card says")
    models: dict[str, Any] = Field(default_factory=dict, description="encoders by name")
    pools: dict[str, Any] = Field(min_length=1, description="pools by name; `read` names the kind")
    tables: dict[str, TableBody] = Field(min_length=1, description="tables by name")
    releases: list[Any] = Field(default_factory=list, description="tables to hand out, with their layouts")
    figures: list[Figure] = Field(default_factory=list, description="numbers the run measures and prints last")


@dataclass(frozen=True)
class StepSpec:
    """A step of a table, with its parameters as written and its place for errors."""

    step: Step
    parameters: dict[str, Any]
    key: Key


@dataclass(frozen=True)
class TableSpec:
    """A table of a recipe."""

    name: str
    source: str
    steps: tuple[StepSpec, ...]
    max_bad: float
    full_ledger: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        """What must be there before it: its source, and the tables that its steps learn from."""
        return (self.source, *(name for placed in self.steps for name in placed.step.tables()))


@dataclass(frozen=True)
class ReleaseSpec:
    """A release of a recipe: which table, in which layout, into which folder."""

    table: str
    layout: Layout
    to: Path
    about: About
    key: Key


@dataclass(frozen=True)
class Recipe:
    """A validated recipe. `Recipe.load(path).run()` runs it."""

    name: str
    seed: int
    pools: Mapping[str, Pool]
    tables: Mapping[str, TableSpec]
    releases: tuple[ReleaseSpec, ...]
    figures: tuple[Figure, ...]
    source: RecipeSource

    @classmethod
    def load(cls, path: str | Path, sets: Sequence[str] = ()) -> Recipe:
        """Read and validate a recipe file.

        Args:
            path: the YAML file.
            sets: overrides `a.b=value`.

        Raises:
            RecipeError: with the place, what is wrong, and what to do.
        """
        return build(read_source(Path(path), sets))

    @classmethod
    def from_data(cls, data: Mapping[str, Any], folder: str | Path = ".") -> Recipe:
        """A recipe from Python data; relative paths are resolved against `folder`."""
        return build(from_data(data, Path(folder).resolve()))

    @property
    def folder(self) -> Path:
        return self.source.folder

    @property
    def default_run(self) -> Path:
        """Where the recipe runs when no folder is named: runs/<name> beside it."""
        return self.folder / "runs" / self.name

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Names of the tables, each after the one it comes from."""
        done: list[str] = []

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                circle = " -> ".join((*trail[trail.index(name) :], name))
                raise self.source.error(("tables", name, "from"), f"tables come from each other in a circle: {circle}")
            if name in self.tables and name not in done:
                for other in self.tables[name].reads:
                    visit(other, (*trail, name))
                done.append(name)

        for name in self.tables:
            visit(name, ())
        return tuple(done)

    def run(self, folder: str | Path | None = None, **options: Any) -> Any:
        """Run or continue this recipe; see `poolwright.api.run`."""
        from importlib import import_module

        # The api lies above this layer; it is looked up by name so that the arrow stays downward.
        return import_module("poolwright.api").run(self, folder, **options)


def build(source: RecipeSource) -> Recipe:
    """Validate a recipe that was read."""
    body = _validate(RecipeBody, source.data, (), source, {})
    if not _NAME.match(body.name):
        raise source.error(("name",), f"'{body.name}' is not a name; use letters, digits, '.', '_' and '-'")
    context = {"folder": str(source.folder), "models": {}}
    for name, data in body.models.items():
        context["models"][name] = _model(name, data, source, context)  # type: ignore[index]
    pools = {name: _pool(name, data, source, context) for name, data in body.pools.items()}
    tables = {name: _table(name, table, body, source, context) for name, table in body.tables.items()}
    releases = tuple(_release(place, data, body, source, context) for place, data in enumerate(body.releases))
    _check_names(source, body, releases)
    for table in tables.values():
        for placed in table.steps:
            for name in placed.step.tables():
                _known_table(name, placed.key, source, body)
    recipe = Recipe(body.name, body.seed, pools, tables, releases, tuple(body.figures), source)
    _ = recipe.order
    return recipe


def _check_names(source: RecipeSource, body: RecipeBody, releases: Sequence[ReleaseSpec]) -> None:
    for name in (*body.pools, *body.tables):
        if not _NAME.match(name):
            kind = "pools" if name in body.pools else "tables"
            raise source.error((kind, name), "names have letters, digits, '.', '_' and '-'")
        if name in body.pools and name in body.tables:
            raise source.error(("tables", name), "a pool has this name already; choose another")
    for name, table in body.tables.items():
        if table.from_ not in body.pools and table.from_ not in body.tables:
            known = {*body.pools, *body.tables} - {name}
            raise source.error(
                ("tables", name, "from"), f"no pool or table '{table.from_}'; {did_you_mean(table.from_, known)}"
            )
    for release in releases:
        _known_table(release.table, (*release.key, "table"), source, body)
        for name in release.layout.tables():
            _known_table(name, release.key, source, body)
            _check_comes_from(name, release, source, body)
    for place, figure in enumerate(body.figures):
        _known_table(figure.table, ("figures", place, "table"), source, body)


def _check_comes_from(name: str, release: ReleaseSpec, source: RecipeSource, body: RecipeBody) -> None:
    """Check that a table which a release reads beside its own comes from that one."""
    trail = [name]
    while (above := body.tables[trail[-1]].from_) in body.tables and above not in trail:
        trail.append(above)
    if release.table not in trail[1:]:
        reads = f"the release of '{release.table}' reads '{name}' as a part of it"
        comes = f"'{name}' comes from {' from '.join(repr(table) for table in trail[1:])}" if trail[1:] else f"'{name}'"
        comes += " and not from it" if trail[1:] else " comes from a pool"
        raise source.error(release.key, f"{reads}, and {comes}; take a table whose 'from' leads to '{release.table}'")


def _known_table(name: str, key: Key, source: RecipeSource, body: RecipeBody) -> None:
    if name not in body.tables:
        raise source.error(key, f"no table '{name}'; {did_you_mean(name, body.tables)}")


def _model(name: str, data: Any, source: RecipeSource, context: Mapping[str, Any]) -> EncoderSpec:
    from poolwright.models.spec import model_spec

    try:
        return model_spec(data, context)
    except (PoolwrightError, ValidationError) as error:
        raise _as_recipe_error(error, ("models", name), source, EncoderSpec) from None


def _pool(name: str, data: Any, source: RecipeSource, context: Mapping[str, Any]) -> Pool:
    key = ("pools", name)
    if not isinstance(data, dict) or "read" not in data:
        raise source.error(key, f"a pool is a mapping with 'read: KIND'; kinds: {', '.join(POOLS)}")
    try:
        kind = pool_class(str(data["read"]))
    except RecipeError as error:
        raise source.error((*key, "read"), str(error)) from None
    return _validate(kind, {name: value for name, value in data.items() if name != "read"}, key, source, context)


def make_pool(kind: str, parameters: Mapping[str, Any], folder: Path) -> Pool:
    """A pool without a recipe.

    Args:
        kind: what `read` names in a recipe.
        parameters: of the pool, as a recipe has them.
        folder: what relative paths are resolved against.

    Raises:
        RecipeError: no such kind, or a parameter is wrong.
    """
    given = {(name,) for name in parameters if name != "path"}
    source = RecipeSource(f"pool {kind}", folder, "", dict(parameters), overridden=set(given))
    return _validate(pool_class(kind), dict(parameters), (), source, {"folder": str(folder), "models": {}})


def _table(
    name: str, table: TableBody, body: RecipeBody, source: RecipeSource, context: Mapping[str, Any]
) -> TableSpec:
    steps = []
    for place, data in enumerate(table.steps):
        steps.append(_step(data, ("tables", name, "steps", place), source, context))
    max_bad = table.max_bad if table.max_bad is not None else body.max_bad
    return TableSpec(name, table.from_, tuple(steps), max_bad, table.ledger == "full")


def _step(data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> StepSpec:
    if isinstance(data, str):
        data = {data: {}}
    if not isinstance(data, dict) or len(data) != 1:
        raise source.error(key, "a step is one verb with its parameters: '- top: {by: similarity, n: 1000}'")
    verb, parameters = next(iter(data.items()))
    key = (*key, verb)
    try:
        cls = step_class(str(verb))
    except RecipeError as error:
        raise source.error(key, str(error)) from None
    parameters = {} if parameters is None else parameters
    if cls.shorthand and not isinstance(parameters, dict):
        parameters = {cls.shorthand: parameters}
    if not isinstance(parameters, dict):
        raise source.error(key, f"'{verb}' takes parameters by name: {', '.join(sorted(cls.model_fields))}")
    step = _validate(cls, parameters, key, source, context)
    return StepSpec(step, parameters, key)


def _release(place: int, data: Any, body: RecipeBody, source: RecipeSource, context: Mapping[str, Any]) -> ReleaseSpec:
    key: Key = ("releases", place)
    if not isinstance(data, dict):
        raise source.error(key, "a release is a mapping: {table: NAME, layout: huggingface, to: FOLDER}")
    for needed in ("table", "layout", "to"):
        if needed not in data:
            raise source.error(key, f"'{needed}' is missing; a release is {{table: NAME, layout: NAME, to: FOLDER}}")
    try:
        cls = layout_class(str(data["layout"]))
    except RecipeError as error:
        raise source.error((*key, "layout"), str(error)) from None
    rest = {name: value for name, value in data.items() if name not in ("table", "layout", "to", "card")}
    layout = _validate(cls, rest, key, source, context)
    card = {**body.card.model_dump(exclude_unset=True), **(data.get("card") or {})}
    about = _validate(About, card, (*key, "card"), source, context)
    return ReleaseSpec(str(data["table"]), layout, source.folder / str(data["to"]), about, key)


def _validate(cls: type[M], data: Any, key: Key, source: RecipeSource, context: Mapping[str, Any]) -> M:
    try:
        return cls.model_validate(data, context=dict(context))
    except (PoolwrightError, ValidationError) as error:
        raise _as_recipe_error(error, key, source, cls) from None


def _as_recipe_error(error: Exception, key: Key, source: RecipeSource, cls: type[BaseModel]) -> RecipeError:
    if not isinstance(error, ValidationError):
        return source.error(key, str(error))
    errors = error.errors(include_url=False)
    # A misspelt key is told before the missing one it was meant to be.
    first = next((item for item in errors if item["type"] == "extra_forbidden"), errors[0])
    place = tuple(first["loc"])
    full = _existing((*key, *place), source)
    if first["type"] == "extra_forbidden":
        name = str(place[-1])
        return source.error((*key, *place), f"unknown key; {did_you_mean(name, _fields_at(cls, place[:-1]))}")
    if first["type"] == "missing":
        return source.error((*key, *place[:-1]), f"'{place[-1]}' is missing")
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    shown = json.dumps(given, ensure_ascii=False, default=str)
    return source.error(full, f"{message} (given: {shown[:80]})" if len(shown) < 200 else message)


def _existing(key: Key, source: RecipeSource) -> Key:
    """The longest start of `key` that stands in the recipe: pydantic adds names of union members."""
    for length in range(len(key), 0, -1):
        if key[:length] in source.lines or key[:length] in source.overridden:
            return key[:length]
    return key


def _fields_at(cls: type[BaseModel], place: tuple[str | int, ...]) -> list[str]:
    for name in place:
        field = cls.model_fields.get(str(name))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            cls = inner
    return [field.alias or name for name, field in cls.model_fields.items()]
