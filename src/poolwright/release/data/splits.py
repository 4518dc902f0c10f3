"""Assign the rows of a table to the splits and configs of a release."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import SPLIT, is_groupable
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.rows import Rows
from poolwright.core.table import Table
from poolwright.release.data.naming import split_names
from poolwright.release.statistics import Statistics

MOST_SPLITS = 200
MOST_CONFIGS = 1_000


def check_split(schema: pa.Schema) -> None:
    """Check that the column `split`, if the table has it, can name splits.

    Raises:
        StepError: its type is unsuitable.
    """
    if SPLIT in schema.names and not is_groupable(schema.field(SPLIT).type):
        raise StepError(
            f"the column 'split' has type {schema.field(SPLIT).type}; splits are strings or integers. "
            "Is it the column you mean? `rename` gives it another name"
        )


def table_splits(table: Table, statistics: Statistics) -> dict[str | None, str]:
    """Return a split name for each value of the column `split`; one split `train` if there is no such column.

    Raises:
        ReleaseError: the column has more values than a dataset has splits.
    """
    if SPLIT not in table.schema.names:
        return {None: "train"}
    values = [as_text(value) for value, _ in statistics.counts(SPLIT)]
    if len(values) > MOST_SPLITS:
        raise ReleaseError(
            f"table '{table.name}': the column 'split' has {len(values):,} values; a release has at most "
            f"{MOST_SPLITS} splits. Is it the column you mean? `rename` gives it another name"
        )
    return split_names(values)


def table_configs(table: Table, column: str, statistics: Statistics) -> dict[str | None, str]:
    """Return a config name for each value of a column.

    Raises:
        ReleaseError: the column has more values than a dataset has configs.
    """
    values = distinct(table, column, statistics)
    if len(values) > MOST_CONFIGS:
        raise ReleaseError(
            f"table '{table.name}': 'configs' names the column '{column}', which has {len(values):,} values; a release "
            f"has at most {MOST_CONFIGS:,} configs. Is it the column you mean?"
        )
    return split_names(values)


def distinct(table: Table, column: str, statistics: Statistics) -> list[str | None]:
    """Return the distinct values of a column as text: from the statistics, else by reading the column."""
    counted = statistics.counts(column)
    if counted:
        return [as_text(value) for value, _ in counted]
    found: set[str | None] = set()
    for rows in table.batches([column]):
        found.update(rows.column(column).unique().cast(pa.string()).to_pylist())
    return list(found)


def as_text(value: str | int | bool | None) -> str | None:
    """Return a group value as `Rows.strings` does."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def with_split(names: Sequence[str], schema: pa.Schema) -> list[str]:
    """Return the names, and `split` if the table has it."""
    return list(dict.fromkeys([*names, SPLIT])) if SPLIT in schema.names else list(names)


def split_values(rows: Rows) -> list[str | None]:
    """Return the value of `split` of each row; None for all if there is no such column."""
    return rows.strings(SPLIT) if SPLIT in rows.schema.names else [None] * len(rows)


def by_split(
    rows: pa.Table, sizes: Sequence[int], values: Sequence[Hashable], splits: Mapping[Any, str]
) -> Iterator[tuple[str, pa.Table, list[int]]]:
    """Yield the rows of each split, or other part of a release, in order, with their sizes."""
    if len(splits) == 1:
        yield next(iter(splits.values())), rows, list(sizes)
        return
    names = np.array([splits[value] for value in values])
    for name in np.unique(names):
        positions = np.flatnonzero(names == name)
        yield str(name), rows.take(pa.array(positions)), [sizes[position] for position in positions.tolist()]
