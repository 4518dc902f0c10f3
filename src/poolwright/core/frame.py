"""Frame: the live rows, as a step's `fit` sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from poolwright.core.encoder import Encoder, EncoderSpec
from poolwright.core.rows import Rows
from poolwright.core.table import Table

T = TypeVar("T")


class Frame(Protocol):
    """All rows that are live before a step, in any number of units, on any number of workers.

    The one way to look at them is a fold: small sums over the units, merged by the step. What a
    step makes of the results must not depend on how rows are cut into units and batches, or ordered.
    """

    @property
    def schema(self) -> pa.Schema:
        """Names, types and metadata of the live columns."""
        ...

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], T],
        add: Callable[[T, Rows], T],
        merge: Callable[[T, T], T] | None = None,
    ) -> list[T]:
        """Summarise the live rows, unit by unit.

        Args:
            columns: the columns to read; nothing else is.
            start: makes an empty summary; called once a unit.
            add: puts one batch of rows into a summary and returns it. Must be picklable, as `start`.
            merge: puts the second summary into the first and returns it, as units are done, in any order: for
                summaries too large to hold one a unit. What comes out must not depend on that order.

        Returns:
            One summary a unit, in the order of the units; with `merge` at most one, of all of them.
        """
        ...


def load_no_encoder(spec: EncoderSpec) -> Encoder:
    """The encoder loader of a context that has none."""
    raise LookupError(f"no encoder can be loaded here: {spec}")


def open_no_table(name: str) -> Table:
    """The table opener of a context that has none."""
    raise LookupError(f"no table can be opened here: {name}")


@dataclass(frozen=True)
class Context:
    """What `fit` may know besides the rows.

    Attributes:
        key: 64-bit key of this step in this table, from (seed, table, step): the randomness of its hash ranks.
        shared_key: the same without the table: for draws that agree between the tables of a run.
        table: opens a finished table that the step names in `tables`.
        encoder: loads the encoder of a spec, once a process.
        desk: folder of what people are asked about this table, and of what they answer; None outside a run.
        documents: folder for what a release shows of this table beside its data, see `documents`; None outside a run.
    """

    key: int = 0
    encoder: Callable[[EncoderSpec], Encoder] = field(default=load_no_encoder)
    shared_key: int = 0
    table: Callable[[str], Table] = field(default=open_no_table)
    desk: Path | None = None
    documents: Path | None = None


class MemoryFrame:
    """A frame over an Arrow table in memory, for use without a run.

    Args:
        table: the rows.
        cuts: row numbers where one unit ends and the next begins.
        batch_rows: rows a batch.
    """

    def __init__(self, table: pa.Table, cuts: Sequence[int] = (), batch_rows: int = 65_536) -> None:
        self.table, self.batch_rows = table, batch_rows
        self.edges = [0, *cuts, table.num_rows]

    @property
    def schema(self) -> pa.Schema:
        return self.table.schema

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any] | None = None,
    ) -> list[Any]:
        picked = self.table.select(list(columns))
        results = []
        for first, last in zip(self.edges, self.edges[1:], strict=False):
            summary = start()
            for at in range(first, last, self.batch_rows):
                summary = add(summary, Rows(picked.slice(at, min(self.batch_rows, last - at))))
            results.append(summary)
        return [reduce(merge, results)] if merge and results else results
