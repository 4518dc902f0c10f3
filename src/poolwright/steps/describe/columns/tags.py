"""tags: columns of the tags that people gave rows in the studio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from poolwright.core.columns import UID, WELL_KNOWN
from poolwright.core.errors import StepError, did_you_mean
from poolwright.core.frame import Context, Frame
from poolwright.core.pool import PathOrUrl
from poolwright.core.rows import Rows
from poolwright.core.runtime.cached import once
from poolwright.core.state import State
from poolwright.core.step import Kind, Outcome, Step
from poolwright.core.wording import rows as in_rows
from poolwright.core.wording import some
from poolwright.kernels.selection.lookup.met import Met, NothingMet
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.steps.choose.read_list import read_list
from poolwright.steps.describe.columns.join import Pairs

TAGGED = "tagged"


class Tags(Step):
    """Give a column for each tag of a run: true for the rows that people gave it in the studio, false for others.

    `tags: runs/first` reads all tags of that run; `columns` reads only those it names, so that tags that are added
    later change nothing. Tags are the files `tags/WORD.csv` of the run folder, with who gave each, and when. They are
    compared by uid, and become part of what the table is made from. Tagged rows that the table does not have are
    counted. To have who and when as columns, `join` the file.

    State: the uids that have a tag, with a column for each tag.
    """

    verb: ClassVar[str] = "tags"
    kind: ClassVar[Kind] = "describe"
    example: ClassVar[str] = "tags: {of: runs/first, columns: {good: good, is_odd: odd}}"
    shorthand: ClassVar[str | None] = "of"
    fits_rows: ClassVar[bool] = True

    of: PathOrUrl = Field(description="run folder whose tags are read")
    columns: Pairs | None = Field(
        default=None, description="tags to read: a list, or {column: tag}; default: all, each under its name"
    )

    def needs(self) -> tuple[str, ...]:
        return (UID,)

    def files(self) -> tuple[str, ...]:
        return tuple(self._file(tag) for tag in self._tags().values())

    def check_files(self, given: pa.Schema) -> None:
        known = sorted(path.stem for path in self._folder.glob("*.csv"))
        for tag in self._tags().values():
            if tag not in known:
                raise StepError(f"tags: {self.of} has no tag '{tag}'; {did_you_mean(tag, known)}")

    def gives(self, given: pa.Schema) -> list[pa.Field]:
        tags = self._tags()
        if not tags:
            raise StepError(f"tags: {self.of} is no run with tags; name a run whose rows were tagged in the studio")
        for name in tags:
            if name in given.names or name in WELL_KNOWN:
                what = "there is a column" if name in given.names else "tables have a column of their own"
                raise StepError(f"tags: {what} '{name}'; give the tag another: columns: {{is_{name}: {tags[name]}}}")
        return [pa.field(name, pa.bool_()) for name in tags]

    def fit(self, frame: Frame, context: Context) -> State:
        uids = {name: _distinct(read_list(self._file(tag), UID).entries) for name, tag in self._tags().items()}
        listed = _distinct(pa.concat_arrays(list(uids.values())))
        tagged = {name: pc.is_in(listed, value_set=of) for name, of in uids.items()}
        table = pa.table({UID: listed, **tagged})
        met = frame.fold([UID], NothingMet(len(listed)), _Meet(table), Met.merge).there
        unmet = listed.filter(pa.array(~met)).slice(0, 5).to_pylist()
        values = {"rows": {name: len(of) for name, of in uids.items()}, "unmet": int((~met).sum()), "such": unmet}
        return State(values, {TAGGED: table})

    def apply(self, rows: Rows, state: State) -> Outcome:
        table = state.tables[TAGGED]
        found = _find(rows, table)
        there = found >= 0
        columns = {}
        for name in table.column_names[1:]:
            tagged = np.append(table.column(name).to_numpy(), False)
            columns[name] = pa.array(there & tagged[found])
        return Outcome(columns)

    def explain(self, row: Mapping[str, Any], state: State) -> str:
        tags = [name for name in state.tables[TAGGED].column_names[1:] if row.get(name)]
        return f"tagged {', '.join(tags)}" if tags else "no tag"

    def learned(self, state: State) -> str:
        counts = ", ".join(f"{name}: {in_rows(rows)}" for name, rows in state.values["rows"].items())
        unmet = state.values["unmet"]
        return (
            f"{counts}; {in_rows(unmet)} with a tag not in the table: {some(state.values['such'])}" if unmet else counts
        )

    def _tags(self) -> dict[str, str]:
        """Return the tags by the name of their column."""
        return self.columns or {path.stem: path.stem for path in sorted(self._folder.glob("*.csv"))}

    @property
    def _folder(self) -> Path:
        return Path(self.of) / "tags"

    def _file(self, tag: str) -> str:
        return str(self._folder / f"{tag}.csv")


@dataclass(frozen=True)
class _Meet:
    """Notes which tagged uids are met by a batch of rows."""

    table: pa.Table

    def __call__(self, met: Met, rows: Rows) -> Met:
        return met.add(_find(rows, self.table))


def _find(rows: Rows, table: pa.Table) -> np.ndarray:
    """Return the index of each row's uid among those with a tag: int64 (n,), -1 for rows without one."""
    return once("lookup", table, _lookup_of).find(rows.column(UID).cast(pa.string()))


def _lookup_of(table: pa.Table) -> ValueIndex:
    return ValueIndex(table.column(UID).combine_chunks())


def _distinct(uids: pa.Array) -> pa.Array:
    found = pc.unique(uids.cast(pa.string()).drop_null())
    return found.take(pc.sort_indices(found))
