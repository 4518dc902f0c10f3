"""Plans all tables of a recipe, from its pools to its last table, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from poolwright.core.errors import PoolwrightError, RecipeError
from poolwright.core.roles import SourceStep
from poolwright.recipe.recipe import Recipe
from poolwright.recipe.tables import TableSpec
from poolwright.run.plan import TablePlan, plan_partly
from poolwright.run.sources.joined import JoinedRows
from poolwright.run.sources.source import Source, planned_source, pool_source
from poolwright.run.sources.union import union_source


@dataclass
class Planning:
    """The plans of a recipe's tables. Checking a recipe needs this alone, and not what runs it.

    Attributes:
        recipe: the recipe.
        folder: the run folder; it need not exist.
    """

    recipe: Recipe
    folder: Path
    _listed: dict[str, Source] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def _joined(self) -> JoinedRows:
        return JoinedRows(self.recipe, self._pool)

    def prepared_folder(self, name: str, step: SourceStep) -> Path:
        """Return the folder for what a table's first step prepares before its rows are read."""
        return self.folder / step.folder_name / name

    @cached_property
    def pools(self) -> Mapping[str, Source]:
        """The pools that tables read from; each is listed once per run."""
        used = {name for table in self.recipe.tables.values() for name in table.reads} & set(self.recipe.pools)
        return {name: self._pool(name) for name in sorted(used)}

    def plans(self) -> dict[str, TablePlan]:
        """Make the plans of all tables, checked from pool to last table, before anything runs.

        Raises:
            RecipeError: a step cannot work on the columns it will find; `Mistakes` if several cannot.
        """
        plans = self.plans_partly()
        self.recipe.source.raise_mistakes()
        return plans

    def plans_partly(self) -> dict[str, TablePlan]:
        """Make the plans of the tables that can be planned, and keep errors in `recipe.source.mistakes`."""
        plans: dict[str, TablePlan] = {}
        for name in self.recipe.order:
            with self.recipe.source.collecting():
                spec = self.recipe.tables[name]
                source = self._planned_source(spec, plans)
                if source is not None and all(other in plans for other in spec.joined_tables(self.recipe.pools)):
                    others = self._joined.of(spec, lambda other: planned_source(other, plans[other].schema, None))
                    known = all(plans[other].known for other in spec.reads if other in plans)
                    plans[name] = plan_partly(spec, source, self.recipe.source, others, known)
                    self._check_tables(spec, plans)
        return plans

    def _planned_source(self, spec: TableSpec, plans: Mapping[str, TablePlan]) -> Source | None:
        """Return what a table will be read from; None if a mistake is in the way, which is known by then."""
        if any(name not in self.recipe.pools and name not in plans for name in spec.sources):
            return None
        if spec.source_step:
            root, (name,) = str(self.prepared_folder(spec.name, spec.source_step)), spec.sources
            return planned_source(name, spec.source_step.rows_schema(plans[name].schema), root)
        found = {
            name: self._pool(name)
            if name in self.recipe.pools
            else planned_source(name, plans[name].schema, plans[name].source.image_root)
            for name in spec.sources
        }
        return found[spec.sources[0]] if spec.source.is_plain else self._united(spec, found)

    def _check_tables(self, spec: TableSpec, plans: Mapping[str, TablePlan]) -> None:
        """Check the tables that steps learn from."""
        for planned in plans[spec.name].steps:
            placed = spec.steps[planned.index]
            try:
                if not placed.learned and all(name in plans and plans[name].known for name in placed.step.tables()):
                    schemas = {name: plans[name].schema for name in placed.step.tables()}
                    placed.step.check_tables(schemas)
                    placed.step.check_against(planned.before, schemas)
            except PoolwrightError as error:
                raise self.recipe.source.error(placed.key, str(error)) from None

    def _pool(self, name: str) -> Source:
        if name not in self._listed:
            try:
                pool = self.recipe.pools[name].keep_in(self.folder / "pools" / name)
                self._listed[name] = pool_source(name, pool)
            except RecipeError as error:
                raise self.recipe.source.error(("pools", name), str(error)) from None
        return self._listed[name]

    def _united(self, spec: TableSpec, sources: Mapping[str, Source]) -> Source:
        try:
            return union_source(spec.source, sources)
        except RecipeError as error:
            raise self.recipe.source.error(("tables", spec.name, "from"), str(error)) from None
