"""Frame: the live rows, as a step's `fit` sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import add
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from poolwright.core.encoder import Encoder, EncoderSpec
from poolwright.core.pool import Part
from poolwright.core.rows import Rows
from poolwright.core.runtime.merge_tree import merge_all
from poolwright.core.runtime.spread import Deal, Spread, WriteSpread, dealt_schema
from poolwright.core.table import Table

T = TypeVar("T")


class Frame(Protocol):
    """All rows that are live before a step, in any number of units, on any number of workers.

    The only way to look at them is a fold: small summaries of the units, merged by the step. What a
    step derives from the result must not depend on how rows are cut into units and batches, or on their order.
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
        merge: Callable[[T, T], T],
    ) -> T:
        """Summarise the live rows: unit by unit, then merged into one.

        Args:
            columns: the columns to read; no others are read.
            start: makes an empty summary; called once per unit.
            add: puts one batch of rows into a summary and returns it.
            merge: puts the second summary into the first and returns it. It gets summaries of neighbouring units, in
                their order, and must be associative: which neighbours are merged first depends on the number of units.

        The three functions and the summaries must be picklable, since units may run on other nodes.

        Returns:
            The summary of all units; an empty one if there are none.
        """
        ...

    def spread(self, columns: Sequence[str], deal: Deal, partitions: int, name: str) -> Spread:
        """Deal the live rows out to partitions on disk, so that rows that belong together can be compared.

        Unit by unit, on the workers; after a kill, the units that are written are not dealt again. Use the result in a
        `with` statement, which erases the files.

        Args:
            columns: the columns to read; no others are read.
            deal: receives rows and their places, int64 (n,), which number all live rows of the table; returns a table
                of rows to write, of any columns, and the partition of each, int (m,). It may drop rows or write them
                more than once. Picklable; it is called without rows too, for the columns it gives.
            partitions: number of partitions.
            name: names the spread among those of this step.
        """
        ...


class OtherRows(Protocol):
    """Rows of a pool or table besides those that a step works on."""

    @property
    def name(self) -> str:
        """'pools.NAME', 'tables.NAME', or the path of a file."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names, types and metadata of the columns."""
        ...

    @property
    def parts(self) -> Sequence[Part]:
        """The parts, in order."""
        ...

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of one part in batches, with exactly `columns`.

        Raises:
            BadPart: the part cannot be read.
        """
        ...


def load_no_encoder(spec: EncoderSpec) -> Encoder:
    """Stand in for the encoder loader in a context that has none."""
    raise LookupError(f"no encoder can be loaded here: {spec}")


def open_no_table(name: str) -> Table:
    """Stand in for the table opener in a context that has none."""
    raise LookupError(f"no table can be opened here: {name}")


def open_no_rows() -> Sequence[OtherRows]:
    """Stand in for the opener of other rows in a context that has none."""
    raise LookupError("no other rows can be opened here")


@dataclass(frozen=True)
class Context:
    """Everything that `fit` may use besides the rows.

    Attributes:
        key: 64-bit key of this step in this table, from (seed, table, step): the randomness of its hash ranks.
        shared_key: the same without the table: for draws that agree between the tables of a run.
        table: opens a finished table that the step names in `tables`.
        encoder: loads the encoder of a spec, once per process.
        worklist: folder of the questions to people about this table, and of their answers; None outside a run.
        documents: folder for what a release shows next to the data of this table, see `documents`; None outside a run.
        others: opens the rows that a step names as its `others`, see `roles.JoiningStep`.
        work: folder for files that nobody needs after the fit; None for that of the system.
        number: number of steps of the same verb before it in the table, or of those that ask people if it does.
    """

    key: int = 0
    encoder: Callable[[EncoderSpec], Encoder] = field(default=load_no_encoder)
    shared_key: int = 0
    table: Callable[[str], Table] = field(default=open_no_table)
    worklist: Path | None = None
    documents: Path | None = None
    others: Callable[[], Sequence[OtherRows]] = field(default=open_no_rows)
    work: Path | None = None
    number: int = 0

    def other(self) -> OtherRows:
        """Open the rows of a step that names one source of others."""
        (rows,) = self.others()
        return rows


class MemoryFrame:
    """A frame over an Arrow table in memory, for use without a run.

    Args:
        table: the rows.
        cuts: row numbers where one unit ends and the next begins.
        batch_rows: rows per batch.
    """

    def __init__(self, table: pa.Table, cuts: Sequence[int] = (), batch_rows: int = 65_536) -> None:
        self.table, self.batch_rows = table, batch_rows
        self.edges = [0, *cuts, table.num_rows]

    @property
    def schema(self) -> pa.Schema:
        """As `Frame.schema`."""
        return self.table.schema

    def fold(
        self,
        columns: Sequence[str],
        start: Callable[[], Any],
        add: Callable[[Any, Rows], Any],
        merge: Callable[[Any, Any], Any],
    ) -> Any:
        """As `Frame.fold`."""
        summaries = []
        for unit in range(len(self.edges) - 1):
            summary = start()
            for rows in self._batches(columns, unit):
                summary = add(summary, rows)
            summaries.append(summary)
        return merge_all(summaries, merge)

    def spread(self, columns: Sequence[str], deal: Deal, partitions: int, name: str) -> Spread:
        """As `Frame.spread`, in the system's folder for temporary files."""
        folder, units = Path(mkdtemp(prefix="spread-")), len(self.edges) - 1
        schema = dealt_schema(deal, self.table.select(list(columns)).schema)
        write = WriteSpread(folder, partitions, deal, schema, partial(self._batches, columns))
        rows = merge_all([write(unit) for unit in range(units)], add)
        return Spread(folder, units, partitions, rows, schema, _run_all)

    def _batches(self, columns: Sequence[str], unit: int) -> Iterator[Rows]:
        """Yield the rows of one unit in batches."""
        picked = self.table.select(list(columns))
        first, last = self.edges[unit], self.edges[unit + 1]
        for at in range(first, last, self.batch_rows):
            yield Rows(picked.slice(at, min(self.batch_rows, last - at)))


def _run_all(function: Callable[[int], Any], count: int) -> Iterator[tuple[int, Any]]:
    yield from ((number, function(number)) for number in range(count))
