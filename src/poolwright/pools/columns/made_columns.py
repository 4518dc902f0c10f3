"""Make columns of the others of a row: by SQL expressions, and the path of its image by a template."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import pyarrow as pa
from pydantic import AfterValidator, Field

from poolwright.core.columns import IMAGE_PATH, UID, WELL_KNOWN
from poolwright.core.errors import RecipeError, StepError, did_you_mean
from poolwright.core.rows import Rows
from poolwright.expressions.expression import parse
from poolwright.pools.columns import image_paths
from poolwright.pools.columns.casting import as_given, given_type


def _checked(derive: dict[str, str]) -> dict[str, str]:
    if UID in derive:
        raise ValueError("'uid' names the rows; it cannot be derived")
    for text in derive.values():
        parse(text)
    return derive


Expressions = Annotated[
    dict[Annotated[str, Field(min_length=1)], str],
    AfterValidator(_checked),
    Field(description='further columns: SQL over the row by name, such as {folder: "id // 1000"}'),
]
"""Columns in a recipe, each with the SQL expression that makes it, as in the step `derive`."""


@dataclass(frozen=True)
class MadeColumns:
    """Columns that are made of other columns of the same row.

    Attributes:
        expressions: by name; over the columns of the source.
        image_path: a template over the columns of the source and those of `expressions`; None for no image path.
    """

    expressions: Mapping[str, str]
    image_path: str | None

    @property
    def names(self) -> list[str]:
        """Names of all columns that are made."""
        return [*self.expressions, *([] if self.image_path is None else [IMAGE_PATH])]

    def needs(self, columns: Collection[str]) -> list[str]:
        """Return the columns of the source that those among `columns` are made of, each once."""
        texts = [self.expressions[name] for name in self._expressions(columns)]
        return list(dict.fromkeys([*(n for text in texts for n in parse(text).columns), *self._of_path(columns)]))

    def _expressions(self, columns: Collection[str]) -> list[str]:
        path = () if self.image_path is None or IMAGE_PATH not in columns else image_paths.columns(self.image_path)
        return [name for name in self.expressions if name in columns or name in path]

    def _of_path(self, columns: Collection[str]) -> list[str]:
        path = () if self.image_path is None or IMAGE_PATH not in columns else image_paths.columns(self.image_path)
        return [name for name in path if name not in self.expressions]

    def fields(self, given: Sequence[pa.Field], where: str) -> list[pa.Field]:
        """Return the fields of the columns.

        Args:
            given: fields of the columns of the source.
            where: the source, for errors.

        Raises:
            RecipeError: a column is missing, or of a type that does not fit.
        """
        types = {field.name: field.type for field in given}
        made = [self._field(name, pa.schema(given), where) for name in self.expressions]
        if self.image_path is None:
            return made
        try:
            image_paths.check(self.image_path, types | {field.name: field.type for field in made})
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None
        return [*made, pa.field(IMAGE_PATH, WELL_KNOWN[IMAGE_PATH].type)]

    def _field(self, name: str, given: pa.Schema, where: str) -> pa.Field:
        expression = parse(self.expressions[name])
        for column in expression.columns:
            if column not in given.names:
                there = f"{did_you_mean(column, given.names)} (there are: {', '.join(given.names)})"
                raise RecipeError(f"{where}: '{name}' of 'derive' needs the column '{column}'; {there}")
        try:
            dtype = expression.type_in(given)
        except StepError as error:
            raise RecipeError(f"{where}: '{name}' of 'derive': {error}") from None
        if pa.types.is_null(dtype):
            raise RecipeError(f"{where}: '{name}' of 'derive' is always null; give it a type with cast(... as ...)")
        return pa.field(name, given_type(name, dtype, f"{where}: '{name}' of 'derive'"))

    def values(
        self, found: Mapping[str, pa.Array], columns: Collection[str], fields: Mapping[str, pa.Field], rows: int
    ) -> dict[str, pa.Array]:
        """Make those among `columns`.

        Args:
            found: at least the columns that they need, `rows` values each.
            columns: names of columns, whether they are made or not.
            fields: of at least the columns that are made.
        """
        given = Rows(pa.table(dict(found)) if found else pa.table({"": pa.nulls(rows)}))
        made = {
            name: as_given(parse(self.expressions[name]).values(given), name, fields[name].type)
            for name in self._expressions(columns)
        }
        if self.image_path is not None and IMAGE_PATH in columns:
            made[IMAGE_PATH] = image_paths.fill(self.image_path, {**found, **made}, rows)
        return made
