"""What the steps of this room share: reasons, and rows of one row."""

from __future__ import annotations

import pyarrow as pa

from poolwright.core.rows import Rows
from poolwright.core.step import Reason

NO_GROUP = Reason("no_group", "no value in the group column")
NO_VALUE = Reason("no_value", "no value to rank by")


def one_row(values: dict[str, object]) -> Rows:
    """A single row of Python values, to ask for its group."""
    return Rows(pa.table({name: pa.array([value]) for name, value in values.items()}))
