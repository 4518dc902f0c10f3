"""Splits: which rows of a table go where in a release."""

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
    """Check that the column `split`, where it is there, can tell splits apart.

    Raises:
        StepError: it cannot.
    """
    if SPLIT in schema.names and not is_groupable(schema.field(SPLIT).type):
        raise StepError(
            f"the column 'split' has type {schema.field(SPLIT).type}; a release cuts by strings or integers. "
            "Is it the column you mean? `rename` gives it another name"
        )


def table_splits(table: Table, statistics: Statistics) -> dict[str | None, str]:
    """A split name for each value of the column `split`; one split `train` where there is no such column.

    Raises:
        ReleaseError: the column has more values than a dataset has splits.
    """
    if SPLIT not in table.schema.names:
        return {None: "train"}
    values = [as_text(value) for value, _ in statistics.counts(SPLIT)]
    if len(values) > MOST_SPLITS:
        raise ReleaseError(
            f"table '{table.name}': the column 'split' has {len(values):,} values; a release has {MOST_SPLITS} splits "
            "at most. Is it the column you mean? `rename` gives it another name"
        )
    return split_names(values)


def table_configs(table: Table, column: str, statistics: Statistics) -> dict[str | None, str]:
    """A config name for each value of a column.

    Raises:
        ReleaseError: the column has more values than a dataset has configs.
    """
    values = distinct(table, column, statistics)
    if len(values) > MOST_CONFIGS:
        raise ReleaseError(
            f"table '{table.name}': 'configs' names the column '{column}', which has {len(values):,} values; a release "
            f"has {MOST_CONFIGS:,} configs at most. Is it the column you mean?"
        )
    return split_names(values)


def distinct(table: Table, column: str, statistics: Statistics) -> list[str | None]:
    """The values of a column, as text: as they were counted, else by reading them."""
    counted = statistics.counts(column)
    if counted:
        return [as_text(value) for value, _ in counted]
    found: set[str | None] = set()
    for rows in table.batches([column]):
        found.update(rows.column(column).unique().cast(pa.string()).to_pylist())
    return list(found)


def as_text(value: str | int | bool | None) -> str | None:
    """A group value as `Rows.strings` gives it."""
    return str(value).lower() if isinstance(value, bool) else None if value is None else str(value)


def with_split(names: Sequence[str], schema: pa.Schema) -> list[str]:
    """The names, and `split` where the table has it."""
    return list(dict.fromkeys([*names, SPLIT])) if SPLIT in schema.names else list(names)


def split_values(rows: Rows) -> list[str | None]:
    """The value of `split` of each row; None for all where there is no such column."""
    return rows.strings(SPLIT) if SPLIT in rows.schema.names else [None] * len(rows)


def by_split(
    rows: pa.Table, sizes: Sequence[int], values: Sequence[Hashable], splits: Mapping[Any, str]
) -> Iterator[tuple[str, pa.Table, list[int]]]:
    """The rows of each split, or other part of a release, in order, with their sizes."""
    if len(splits) == 1:
        yield next(iter(splits.values())), rows, list(sizes)
        return
    names = np.array([splits[value] for value in values])
    for name in np.unique(names):
        places = np.flatnonzero(names == name)
        yield str(name), rows.take(pa.array(places)), [sizes[place] for place in places.tolist()]
