"""Convert times and numbers between recipes and columns."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from pydantic import BeforeValidator, WithJsonSchema

from poolwright.core.rows import Rows
from poolwright.kernels.selection.ranks import Ranking


def _moment(value: Any) -> Any:
    """Parse a date or time as UTC datetime; a number stays as it is."""
    if isinstance(value, str):
        try:
            value = datetime.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f"'{value}' is neither a number nor a time such as 2004-01-01 or 2004-01-01 11:52:13"
            ) from None
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day)
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC) if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise ValueError(f"{value!r} is neither a number nor a time such as 2004-01-01")
    return value


Moment = Annotated[
    datetime.datetime | int | float,
    BeforeValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]}),
]
"""A time (UTC if it has no zone), a date (its midnight), or a number, as in the column."""


def is_time(dtype: pa.DataType) -> bool:
    """Whether a column of this type holds times or dates."""
    return bool(pa.types.is_timestamp(dtype) or pa.types.is_date(dtype))


def keys_of(values: Sequence[Any], dtype: pa.DataType) -> np.ndarray:
    """Return the sort keys (int64, ascending) that values have in a column of this type."""
    array = pa.array(values, pa.timestamp("us", "UTC")) if is_time(dtype) else pa.array(values)
    return _ascending.keys(Rows(pa.table({_ascending.by: array.cast(dtype, safe=False)})))[0]


def moments_of(keys: np.ndarray, dtype: pa.DataType) -> np.ndarray:
    """Return the times that have these sort keys in a column of this type: datetime64[us], UTC."""
    times = _ascending.value(keys, dtype).cast(pa.timestamp("us", getattr(dtype, "tz", None)), safe=False)
    return np.asarray(times.cast(pa.int64()).to_numpy()).view("M8[us]")


def written(value: Any) -> str:
    """Format a value for display: '2004-01-01', '2004-01-01 11:52:13', '5'."""
    if not isinstance(value, datetime.datetime):
        return str(value)
    return value.strftime("%Y-%m-%d %H:%M:%S").removesuffix(" 00:00:00")


_ascending = Ranking("value", lowest=True, key=0)
