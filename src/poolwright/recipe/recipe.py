"""Recipe: validated pools, tables and releases."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import PoolwrightError, RecipeError, did_you_mean
from poolwright.core.params import Share
from poolwright.core.pool import Pool
from poolwright.recipe.figures import Figure
from poolwright.recipe.source import Key, RecipeSource, from_data, read_source
from poolwright.recipe.tables import TableBody, TableSpec, make_table
from poolwright.recipe.validation import as_recipe_error, validate
from poolwright.registry import layout_class, pool_class, pool_registry
from poolwright.release.layouts.layout import About, Layout

RECIPE_VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z", re.IGNORECASE)


class RecipeBody(BaseModel):
    """The top level of a recipe."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    recipe: Literal[1] = Field(description="version of the recipe language")
    name: str = Field(description="name of the dataset; letters, digits, '.', '_' and '-'")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of every hash rank")
    variables: dict[str, str] = Field(
        default_factory=dict, description="values of ${NAME}; names that are not here are looked up in the environment"
    )
    max_bad: Share = Field(default=0.01, description="share of bad rows above which a run stops, such as 1%")
    card: About = Field(default_factory=About, description="content of the dataset card")
    models: dict[str, Any] = Field(default_factory=dict, description="encoders by name")
    pools: dict[str, Any] = Field(min_length=1, description="pools by name; `read` names the kind")
    tables: dict[str, TableBody] = Field(min_length=1, description="tables by name")
    releases: list[Any] = Field(default_factory=list, description="tables to release, with their layouts")
    figures: list[Figure] = Field(default_factory=list, description="numbers that the run measures and prints last")


@dataclass(frozen=True)
class ReleaseSpec:
    """A release of a recipe: which table, in which layout, into which folder, after which earlier release.

    Attributes:
        to: the folder, or as text the URL of one in an object store.
    """

    table: str
    layout: Layout
    to: Path | str
    about: About
    key: Key
    parent: str | None = None

    def folder(self, run: Path) -> Path:
        """Return the folder that it is written into; that of a release for a store is within the run folder."""
        return self.to if isinstance(self.to, Path) else run / "releases" / self.to.partition("://")[2]


@dataclass(frozen=True)
class Recipe:
    """A validated recipe."""

    name: str
    seed: int
    pools: Mapping[str, Pool]
    tables: Mapping[str, TableSpec]
    releases: tuple[ReleaseSpec, ...]
    figures: tuple[Figure, ...]
    source: RecipeSource

    @classmethod
    def load(cls, path: str | Path, sets: Sequence[str] = ()) -> Self:
        """Read and validate a recipe file.

        Args:
            path: the YAML file.
            sets: overrides `a.b=value`.

        Raises:
            RecipeError: the recipe is wrong; the message has the file and line, what is wrong, and what to do.
        """
        return build(read_source(Path(path), sets), cls)

    @classmethod
    def from_data(cls, data: Mapping[str, Any], folder: str | Path = ".", unset: bool = False) -> Self:
        """Make a recipe from Python data.

        Args:
            data: the recipe.
            folder: relative paths are resolved against it.
            unset: whether variables that are not set stay as written, rather than being an error.
        """
        return build(from_data(data, Path(folder).resolve(), unset), cls)

    @property
    def folder(self) -> Path:
        """Folder that relative paths are resolved against: that of the file."""
        return self.source.folder

    @property
    def default_run(self) -> Path:
        """Default run folder: runs/<name> next to the recipe."""
        return self.folder / "runs" / self.name

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Return the names of the tables, each after the one it comes from."""
        done: list[str] = []

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in trail:
                cycle = " -> ".join((*trail[trail.index(name) :], name))
                raise self.source.error(("tables", name, "from"), f"tables come from each other in a cycle: {cycle}")
            if name in self.tables and name not in done:
                for other in self.tables[name].reads:
                    visit(other, (*trail, name))
                done.append(name)

        for name in self.tables:
            visit(name, ())
        return tuple(done)


R = TypeVar("R", bound=Recipe)


def build(source: RecipeSource, cls: type[R] = Recipe) -> R:  # type: ignore[assignment]
    """Validate a recipe that was read, as a recipe of class `cls`.

    Raises:
        RecipeError: the recipe is wrong; `Mistakes` if it is in several places.
    """
    recipe = build_partly(source, cls)
    source.raise_mistakes()
    return recipe


def build_partly(source: RecipeSource, cls: type[R] = Recipe) -> R:  # type: ignore[assignment]
    """Validate as `build`, but leave out what is wrong, and keep the errors in `source.mistakes`.

    A table with wrong steps has the others, and is among `source.incomplete`.
    """
    body = _body(source)
    if not _NAME.match(body.name):
        error = source.error(("name",), f"'{body.name}' is not a valid name; use letters, digits, '.', '_' and '-'")
        source.mistakes.append(error)
    context: dict[str, Any] = {"folder": str(source.folder), "models": {}}
    for name, data in body.models.items():
        with source.collecting():
            context["models"][name] = _model(name, data, source, context)
    pools, tables, releases = {}, {}, []
    for name, data in body.pools.items():
        with source.collecting():
            pools[name] = _pool(name, data, source, context)
    for name, table in body.tables.items():
        with source.collecting():
            tables[name] = make_table(name, table, body.max_bad, source, context)
    for index, data in enumerate(body.releases):
        with source.collecting():
            releases.append(_release(index, data, body, source, context))
    _check_names(source, body, releases)
    for spec in tables.values():
        with source.collecting():
            _check_tables_of(spec, source, body)
    figures = tuple(figure.below(source.folder) for figure in body.figures)
    recipe = cls(body.name, body.seed, pools, tables, tuple(releases), figures, source)
    with source.collecting():
        _ = recipe.order
    return recipe


def _body(source: RecipeSource) -> RecipeBody:
    """Validate the top level; what is wrong there is left out if a recipe remains.

    Raises:
        RecipeError: none does.
    """
    try:
        return RecipeBody.model_validate(source.data)
    except (PoolwrightError, ValidationError) as error:
        with source.collecting():
            raise as_recipe_error(error, (), source, RecipeBody) from None
    known = {name: value for name, value in source.data.items() if name in RecipeBody.model_fields}
    rows = {name: known.get(name) for name in ("pools", "tables")}
    for data in (known, {**rows, "recipe": RECIPE_VERSION, "name": "recipe"}):
        try:
            return RecipeBody.model_validate(data)
        except (PoolwrightError, ValidationError):
            continue
    source.raise_mistakes()
    raise AssertionError("a body that cannot be validated has mistakes")


def _check_tables_of(spec: TableSpec, source: RecipeSource, body: RecipeBody) -> None:
    """Check that the tables that a table reads can be read by its steps."""
    if spec.source_step and (spec.sources[0] in body.pools or not spec.source.is_plain):
        what = f"'{spec.sources[0]}' is a pool" if spec.source.is_plain else "these are those of a union"
        raise source.error(
            spec.steps[0].key,
            f"'{spec.source_step.verb}' takes the rows of a table, and {what}; make a table "
            f"of those rows first, and write from: that table",
        )
    for placed in spec.steps:
        for name in placed.learns_from:
            _known_table(name, placed.key, source, body)
        for name in placed.joins:
            known = {*body.pools, *body.tables}
            if name not in known:
                raise source.error(placed.key, f"no pool, table or file '{name}'; {did_you_mean(name, known)}")


def _check_names(source: RecipeSource, body: RecipeBody, releases: Sequence[ReleaseSpec]) -> None:
    for name in (*body.pools, *body.tables):
        with source.collecting():
            _check_name(name, source, body)
    for name, table in body.tables.items():
        known = {*body.pools, *body.tables}
        for wrong in (one for one in table.from_.union if one not in known):
            error = f"no pool or table '{wrong}'; {did_you_mean(wrong, known - {name})}"
            source.mistakes.append(source.error(("tables", name, "from"), error))
    for release in releases:
        for name in release.layout.tables():
            with source.collecting():
                _known_table(name, release.key, source, body)
                if release.layout.nested and release.table in body.tables:
                    _check_comes_from(name, release, source, body)
    for index, figure in enumerate(body.figures):
        with source.collecting():
            _known_table(figure.table, ("figures", index, "table"), source, body)


def _check_name(name: str, source: RecipeSource, body: RecipeBody) -> None:
    if not _NAME.match(name):
        kind = "pools" if name in body.pools else "tables"
        raise source.error((kind, name), "names consist of letters, digits, '.', '_' and '-'")
    if name in body.pools and name in body.tables:
        raise source.error(("tables", name), "a pool has this name already; choose another")


def _check_comes_from(name: str, release: ReleaseSpec, source: RecipeSource, body: RecipeBody) -> None:
    """Check that another table that a release reads comes from the released one."""
    trail = [name]
    for below in trail:
        trail += [above for above in body.tables[below].from_.union if above in body.tables and above not in trail]
    if release.table not in trail[1:]:
        reads = f"the release of '{release.table}' reads '{name}' as a part of it"
        comes = f"'{name}' comes from {' from '.join(repr(table) for table in trail[1:])}" if trail[1:] else f"'{name}'"
        comes += " and not from it" if trail[1:] else " comes from a pool"
        raise source.error(release.key, f"{reads}, and {comes}; take a table whose 'from' leads to '{release.table}'")


def _known_table(name: str, key: Key, source: RecipeSource, body: RecipeBody) -> None:
    if name not in body.tables:
        raise source.error(key, f"no table '{name}'; {did_you_mean(name, body.tables)}")


def _model(name: str, data: Any, source: RecipeSource, context: Mapping[str, Any]) -> EncoderSpec:
    from poolwright.models.encoders.spec import model_spec

    try:
        return model_spec(data, context)
    except (PoolwrightError, ValidationError) as error:
        raise as_recipe_error(error, ("models", name), source, EncoderSpec) from None


def _pool(name: str, data: Any, source: RecipeSource, context: Mapping[str, Any]) -> Pool:
    key = ("pools", name)
    if not isinstance(data, dict) or "read" not in data:
        raise source.error(key, f"a pool is a mapping with 'read: KIND'; kinds: {', '.join(pool_registry().names())}")
    try:
        kind = pool_class(str(data["read"]))
    except RecipeError as error:
        raise source.error((*key, "read"), str(error)) from None
    return validate(kind, {name: value for name, value in data.items() if name != "read"}, key, source, context)


def make_pool(kind: str, parameters: Mapping[str, Any], folder: Path) -> Pool:
    """Make a pool without a recipe.

    Args:
        kind: the kind, as `read` names it in a recipe.
        parameters: parameters of the pool, as in a recipe.
        folder: the folder that relative paths are resolved against.

    Raises:
        RecipeError: no such kind, or a parameter is wrong.
    """
    given = {(name,) for name in parameters if name != "path"}
    source = RecipeSource(f"pool {kind}", folder, "", dict(parameters), overridden=set(given))
    return validate(pool_class(kind), dict(parameters), (), source, {"folder": str(folder), "models": {}})


def _release(index: int, data: Any, body: RecipeBody, source: RecipeSource, context: Mapping[str, Any]) -> ReleaseSpec:
    key: Key = ("releases", index)
    if not isinstance(data, dict):
        raise source.error(key, "a release is a mapping: {table: NAME, layout: huggingface, to: FOLDER}")
    for needed in ("table", "layout", "to"):
        if needed not in data:
            raise source.error(key, f"'{needed}' is missing; a release is {{table: NAME, layout: NAME, to: FOLDER}}")
    wrong = [source.not_text((*key, one), data[one]) for one in ("table", "layout", "to") if type(data[one]) is not str]
    source.mistakes.extend(wrong)
    with source.collecting():
        if isinstance(data["table"], str):
            _known_table(data["table"], (*key, "table"), source, body)
    try:
        cls = layout_class(str(data["layout"]))
    except RecipeError as error:
        raise source.error((*key, "layout"), str(error)) from None
    rest = {name: value for name, value in data.items() if name not in ("table", "layout", "to", "card", "parent")}
    source.check_shown(rest, rest, key, "the release")
    layout = validate(cls, rest, key, source, context)
    card = {**body.card.model_dump(exclude_unset=True), **(data.get("card") or {})}
    about = validate(About, source.hide(card), (*key, "card"), source, context)
    to, parent = _target(str(data["to"]), (*key, "to"), source), _parent(data.get("parent"), (*key, "parent"), source)
    return ReleaseSpec(str(data["table"]), layout, to, about, key, parent)


def _parent(named: Any, key: Key, source: RecipeSource) -> str | None:
    """Return the path or URL of the release that another one comes after."""
    if named is not None and type(named) is not str:
        raise source.not_text(key, named)
    return named if named is None or "://" in named else str(_target(named, key, source))


def _target(to: str, key: Key, source: RecipeSource) -> Path | str:
    """Return the folder of a release, as given in the recipe: relative to it, '~' is the home folder; or its URL."""
    if to.startswith("hf://"):
        raise source.error(
            key, f"'{to}': a recipe releases to folders and object stores; `poolwright push` sends a folder to the Hub"
        )
    if "://" in to:
        return to.rstrip("/")
    try:
        return source.folder / Path(to).expanduser()
    except RuntimeError:
        raise source.error(key, f"'{to}': there is no such user; write the whole path") from None
