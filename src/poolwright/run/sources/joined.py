"""Opens the rows that steps join: those of a pool or table of the recipe, or of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from poolwright.core.errors import PoolwrightError
from poolwright.core.roles import JoiningStep, OtherSource
from poolwright.recipe.recipe import Recipe, make_pool
from poolwright.recipe.tables import StepSpec, TableSpec
from poolwright.run.sources.source import Source, pool_source

Opened = Callable[[str], Source]
"""Opens a pool or table by its name."""


@dataclass
class JoinedRows:
    """The rows that steps of a recipe join, besides those of their tables.

    Attributes:
        recipe: the recipe.
        pool: opens a pool of the recipe.
    """

    recipe: Recipe
    pool: Opened
    _files: dict[str, Source] = field(default_factory=dict, repr=False)

    def of(self, spec: TableSpec, table: Opened) -> dict[int, tuple[Source, ...]]:
        """Return the rows that the steps of a table join, by the index of the step; none for what came with a release.

        Args:
            spec: the table.
            table: opens another table of the recipe.

        Raises:
            RecipeError: they cannot be read.
        """
        return {
            index: tuple(self._open(one, other, table) for other in one.step.others())
            for index, one in enumerate(spec.steps)
            if isinstance(one.step, JoiningStep) and not one.learned
        }

    def _open(self, placed: StepSpec, other: OtherSource, table: Opened) -> Source:
        if isinstance(other, str):
            return self.pool(other) if other in self.recipe.pools else table(other)
        key, path = json.dumps(other, sort_keys=True), str(other["path"])
        if key not in self._files:
            try:
                parameters = {name: value for name, value in other.items() if name != "read"}
                pool = make_pool(str(other["read"]), parameters, self.recipe.folder)
                self._files[key] = replace(pool_source(path, pool), name=path)
            except PoolwrightError as error:
                raise self.recipe.source.error(placed.key, str(error)) from None
        return self._files[key]
