"""Find what is wrong with a recipe before anything runs; of what makes tables, nothing is imported here."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import PoolwrightError
from poolwright.recipe.recipe import Recipe as _Recipe
from poolwright.recipe.recipe import ReleaseSpec, build_partly
from poolwright.recipe.source import read_source
from poolwright.recipe.tables import StepSpec
from poolwright.release.folder import check_target, is_release
from poolwright.run.memory import in_words
from poolwright.run.plan import TablePlan
from poolwright.run.planning import Planning
from poolwright.run.sources.foreseen import foreseen

if TYPE_CHECKING:
    from poolwright.api.results import RunResult
    from poolwright.recipe.figures import Figure


@dataclass(frozen=True)
class Recipe(_Recipe):
    """A validated recipe. `Recipe.load(path).run()` runs it."""

    def run(self, folder: str | Path | None = None, **options: Any) -> RunResult:
        """Run or continue this recipe; see `poolwright.run`, which takes the same options."""
        from poolwright.api.running import run

        return run(self, folder, **options)

    def __repr__(self) -> str:
        return f"<recipe '{self.name}': pools {', '.join(self.pools)}; tables {', '.join(self.tables)}>"

    def _repr_html_(self) -> str:
        from poolwright.api.display import recipe_html

        return recipe_html(self)


RecipeLike = _Recipe | str | Path


def check(recipe: RecipeLike, sets: Sequence[str] = ()) -> dict[str, TablePlan]:
    """Find what is wrong with a recipe before anything runs.

    Returns:
        The plan of every table: steps, columns, ledger codes.

    Raises:
        RecipeError: unknown names, wrong types, missing columns, files or extras; `Mistakes` if there are several.
    """
    loaded = recipe if isinstance(recipe, _Recipe) else build_partly(read_source(Path(recipe), sets), Recipe)
    plans = check_loaded(loaded)
    return {name: replace(plan, foreseen=tuple(foreseen(plan))) for name, plan in plans.items()}


def check_loaded(loaded: _Recipe, targets: bool = True) -> dict[str, TablePlan]:
    """Check a recipe; `targets` says whether the folders of its releases will be written."""
    with in_words(loaded, loaded.default_run):
        return _check_all(loaded, targets)


def _check_all(loaded: _Recipe, targets: bool) -> dict[str, TablePlan]:
    source = loaded.source
    plans = Planning(loaded, loaded.default_run).plans_partly()
    for spec in loaded.tables.values():
        for placed in spec.steps:
            with source.collecting():
                _check_models(loaded, placed)
    known = {name for name, plan in plans.items() if plan.known}
    for release in loaded.releases:
        if targets:
            with source.collecting():
                _check_place(loaded, release)
        with source.collecting():
            _check_parent(loaded, release)
        if {release.table, *release.layout.tables()} <= known:
            with source.collecting():
                _check_release(loaded, release, plans)
    for index, figure in enumerate(loaded.figures):
        if figure.table in known:
            with source.collecting():
                _check_figure(loaded, index, figure, plans)
    source.raise_mistakes()
    return plans


def _check_place(recipe: _Recipe, release: ReleaseSpec) -> None:
    """Check that the folder of a release is free, or holds a release, and is that of no other one.

    Raises:
        RecipeError: it does not; or its address is none, or the library for its store is missing.
    """
    key = (*release.key, "to")
    try:
        if isinstance(release.to, str):
            from poolwright.hub.addresses import check_store as check_address

            check_address(release.to)
        else:
            check_target(Path(os.path.abspath(release.to)))
    except PoolwrightError as error:
        raise recipe.source.error(key, str(error)) from None
    here = _place(release.to)
    for other in recipe.releases:
        there = _place(other.to)
        if other.key != release.key and (here.is_relative_to(there) if here != there else other.key < release.key):
            words = (str(to) if isinstance(to, str) else str(at) for to, at in ((release.to, here), (other.to, there)))
            raise recipe.source.error(key, ": another release is written to ".join(words))


def _place(to: Path | str) -> Path:
    """Return a folder, or the address of one, as a path that can be compared with others."""
    return Path(to) if isinstance(to, str) else Path(os.path.abspath(to))


def _check_parent(recipe: _Recipe, release: ReleaseSpec) -> None:
    """Check that the release that another one comes after is there, and is not the one that is written.

    Raises:
        RecipeError: it is not, or is.
    """
    parent, key = release.parent, (*release.key, "parent")
    if parent is None or "://" in parent:
        return
    here = os.path.abspath(parent)
    if here == os.path.abspath(release.to):
        raise recipe.source.error(key, f"{here} is what this release would replace; write it to another folder")
    earlier = [os.path.abspath(other.to) for other in recipe.releases if other.key < release.key]
    if here not in earlier and not is_release(Path(parent)):
        raise recipe.source.error(key, f"{here}: no release in this folder, which has a release.json")


def _check_release(recipe: _Recipe, release: ReleaseSpec, plans: Mapping[str, TablePlan]) -> None:
    try:
        release.layout.check(plans[release.table].schema)
        release.layout.check_tables({name: plans[name].schema for name in release.layout.tables()})
    except PoolwrightError as error:
        raise recipe.source.error(release.key, str(error)) from None


def _check_figure(recipe: _Recipe, index: int, figure: Figure, plans: Mapping[str, TablePlan]) -> None:
    from poolwright.measure.measure import check_figure

    try:
        check_figure(figure, plans[figure.table].schema)
    except PoolwrightError as error:
        raise recipe.source.error(("figures", index), str(error)) from None


def _check_models(recipe: _Recipe, placed: StepSpec) -> None:
    for spec in placed.encoders:
        from poolwright.models.encoders.load import check_encoder

        try:
            check_encoder(spec)
        except PoolwrightError as error:
            raise recipe.source.error(placed.key, placed.words(error)) from None
