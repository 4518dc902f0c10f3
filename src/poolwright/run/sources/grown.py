"""Keeps the order of the rows of a table that grew: parts that came later follow those that it was made from first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import pyarrow as pa

from poolwright.core.errors import BadPart
from poolwright.core.pool import Part
from poolwright.core.table import Generation, TableRecord
from poolwright.run.sources.source import Piece, Source


@dataclass(frozen=True)
class GrownSource(Source):
    """The rows of another source, with its parts in the order in which they came.

    Attributes:
        inner: the source as it is now.
        order: index in `inner` of each part.
        sizes: number of parts of each generation.
    """

    inner: Source | None = None
    order: tuple[int, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def now(self) -> Source:
        """The source as it is now."""
        assert self.inner is not None
        return self.inner

    def generations(self) -> tuple[tuple[Part, ...], ...]:
        edges = [sum(self.sizes[:at]) for at in range(len(self.sizes) + 1)]
        return tuple(self.parts[first:last] for first, last in pairwise(edges))

    def read_piece(self, piece: Piece, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of a piece in batches, with exactly `columns`.

        Raises:
            BadPart: the part cannot be read.
        """
        try:
            yield from self.now.read_piece(Piece(self.order[piece.part], piece.start, piece.stop), columns, batch_rows)
        except BadPart as bad:
            raise BadPart(piece.part, self.parts[piece.part].name, bad.reason) from None

    def remarks(self) -> tuple[str, ...]:
        return self.now.remarks()

    def class_names(self) -> dict[str, set[str]]:
        return self.now.class_names()

    def pool_kinds(self) -> tuple[str, ...]:
        return self.now.pool_kinds()

    def rows_by_source(self, part_rows: Mapping[int, int]) -> dict[str, int]:
        return self.now.rows_by_source({self.order[part]: rows for part, rows in part_rows.items()})


def generations_of(record: TableRecord) -> tuple[Generation, ...]:
    """Return the generations of a table; it is the only one itself if it never grew."""
    whole = Generation(
        plan=record.plan,
        parts=len(record.inputs),
        units=len(record.parts),
        rows_in=record.rows_in,
        rows_kept=record.rows_kept,
    )
    return record.generations or (whole,)


def in_order_of(source: Source, record: TableRecord, files: Sequence[str], new: bool = True) -> GrownSource | None:
    """Return a source with the parts of a finished table first, in the order of its record; None if some are gone.

    Args:
        files: first file of each part of the source, as a record shows it.
        new: whether parts that came later follow; else they are left out.
    """
    now = {(file, part.start): part.index for file, part in zip(files, source.parts, strict=True)}
    shown = [record.files[part.files[0]].path if part.files else part.name for part in record.inputs]
    then = [now.get((file, part.start)) for file, part in zip(shown, record.inputs, strict=True)]
    known = [index for index in then if index is not None]
    if len(known) < len(then) or len(now) < len(source.parts):
        return None
    later = sorted(set(now.values()) - set(known)) if new else []
    sizes = [generation.parts for generation in generations_of(record)] + [len(later)] * bool(later)
    order = (*known, *later)
    parts = tuple(source.parts[at].model_copy(update={"index": index}) for index, at in enumerate(order))
    shared = {one.name: getattr(source, one.name) for one in fields(Source)} | {"parts": parts}
    return GrownSource(**shared, inner=source, order=order, sizes=tuple(sizes))
