"""Table: the folder that a run saves, and its record `table.json`.

part-00000.parquet          kept rows, one file per unit of work
dropped/part-00000.parquet  ledger: part (int32), row (uint32), code (uint16) of every dropped row
states/01-top.json          what each step learned; its tables next to it as .parquet
documents/instructions/     documents of steps, which a release shows next to the data
table.json                  the record: inputs, steps, digests, counts. The same run gives the same bytes
timings.json                machine, seconds and rows per second: differs from run to run
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from poolwright.core.errors import InputError
from poolwright.core.files import ImageRoot, digest_file, sha256_file
from poolwright.core.rows import Rows, with_missing_as_null
from poolwright.core.runtime.overlap import read_ahead
from poolwright.core.state import State

TABLE_FORMAT = 1
RECORD = "table.json"
TIMINGS = "timings.json"
DECISIONS = "decisions"
"""Tally of a step that decides between two classes: rows by decision value, in the bins of its state's `edges`."""

_VARIABLE = re.compile(r"\$\{(\w+)\}")

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("part", pa.int32(), nullable=False),
        pa.field("row", pa.uint32(), nullable=False),
        pa.field("code", pa.uint16(), nullable=False),
    ]
)


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class InputFile(_Record):
    """One file that input rows came from, or a run of small ones.

    `digest` is an XXH3-128 of the content, hex; for a file of the Hub the digest that it keeps, after 'sha256:' or
    'git-sha1:', for which the file is not read.
    """

    path: str
    size: int
    digest: str


class InputPart(_Record):
    """One part of the source, with the reason why it was quarantined, if it was."""

    name: str
    files: tuple[int, ...]  # indices into `TableRecord.files`
    start: int = 0
    rows: int | None = None
    quarantined: str | None = None


class VectorRecord(_Record):
    """A column of vectors that a step read: its width, and the encoder that made it, if the source says."""

    column: str
    width: int
    model: str = ""
    weights: str = ""


class Limit(_Record):
    """A value that a step compared a numeric column with.

    Attributes:
        column: the column.
        value: in the unit of the column.
        words: its label in charts: 'top ≥ 0.2731'.
    """

    column: str
    value: float
    words: str


class StepRecord(_Record):
    """One step as it ran.

    Attributes:
        state: digest of `states/<state_name>.json`.
        state_kind: kind of the state, if reports or cards draw it.
        limits: the values that the step compared numeric columns with.
        labelled_by: who gave or confirmed classes in it: 'model', 'people' or ''.
        vectors: the vector columns it read.
        released: whether the state came with a release, rather than being learned on these rows.
    """

    index: int
    verb: str
    kind: str
    parameters: dict[str, Any]
    gives: tuple[str, ...]
    state_name: str
    state: str
    learned: str
    vectors: tuple[VectorRecord, ...] = ()
    released: bool = False
    state_kind: str = ""
    limits: tuple[Limit, ...] = ()
    labelled_by: str = ""


class ReasonRecord(_Record):
    """The meaning of a ledger code. `step` is -1 for checks before the first step."""

    code: int
    step: int
    verb: str
    name: str
    words: str
    bad: bool


class FunnelRow(_Record):
    """Rows before and after one step, and how many were dropped for each reason."""

    step: int
    verb: str
    rows_in: int
    kept: int
    dropped: dict[str, int]


class OutputPart(_Record):
    """One unit's output: the kept rows and the ledger. Digests are XXH3-128 of the files, hex."""

    file: str
    rows: int
    digest: str
    ledger: str
    dropped: int
    ledger_digest: str


class ModelRecord(_Record):
    """The encoder that made a column of vectors."""

    column: str
    name: str
    weights: str


class Generation(_Record):
    """Parts that a table was extended by, or those that it was made from first.

    Attributes:
        plan: digest of what the table was made from, with these parts.
        parts: parts of the source.
        units: units, each with a file of kept rows and one of the ledger.
        rows_in, rows_kept: rows of these parts that were read and kept.
    """

    plan: str
    parts: int
    units: int
    rows_in: int
    rows_kept: int


class TableRecord(_Record):
    """The content of `table.json`.

    `image_root` is relative to the table's folder if the images are below the recipe's folder, so that a
    project can be moved; paths of `files` are relative to the recipe's folder if they can be. `tallies` are
    counts of steps over all rows that reached them, by '<state name>.<tally>'; `remarks` say what could not be read
    of the source, or was left out. `source` is 'pools.NAME' or 'tables.NAME', or several of these with commas between
    them; `sources` are then the rows that were read of each. `generations` are there if the table was
    extended by new rows: steps learned from those of the first, and decided about the others by that.
    """

    format: int
    name: str
    recipe: str
    recipe_text: str
    source: str
    seed: int
    plan: str
    versions: dict[str, str]
    image_root: str | dict[str, str | None] | None
    files: tuple[InputFile, ...]
    inputs: tuple[InputPart, ...]
    steps: tuple[StepRecord, ...]
    models: tuple[ModelRecord, ...]
    reasons: tuple[ReasonRecord, ...]
    rows_in: int
    rows_kept: int
    funnel: tuple[FunnelRow, ...]
    parts: tuple[OutputPart, ...]
    tallies: dict[str, tuple[int, ...]] = {}
    remarks: tuple[str, ...] = ()
    sources: dict[str, int] = {}
    generations: tuple[Generation, ...] = ()

    @property
    def rows_by_source(self) -> dict[str, int]:
        """Rows that were read, by 'pools.NAME' or 'tables.NAME'."""
        return self.sources or {self.source: self.rows_in}

    @property
    def parents(self) -> tuple[str, ...]:
        """Names of the tables that its rows come from."""
        return tuple(name.removeprefix("tables.") for name in self.rows_by_source if name.startswith("tables."))

    def limits(self) -> dict[str, list[Limit]]:
        """Return the values that steps compared numeric columns with, by column."""
        found: dict[str, list[Limit]] = {}
        for limit in (limit for step in self.steps for limit in step.limits):
            found.setdefault(limit.column, []).append(limit)
        return found

    @property
    def rows_dropped(self) -> int:
        """Rows that steps, or the checks before them, dropped."""
        return self.rows_in - self.rows_kept

    @property
    def quarantined(self) -> tuple[InputPart, ...]:
        """Parts of the source that could not be read."""
        return tuple(part for part in self.inputs if part.quarantined)


def _digests(part: OutputPart) -> tuple[tuple[str, str], ...]:
    return (part.file, part.digest), (part.ledger, part.ledger_digest)


def _digest(path: Path, of: Callable[[Path], str] = digest_file) -> str | None:
    try:
        return of(path)
    except OSError:
        return None


def _groups_from(metadata: pq.FileMetaData, start: int) -> tuple[list[int], int]:
    """Return the row groups of a file from the one that has row `start` on, and the number of the row in that."""
    group = 0
    while start and start >= (rows := metadata.row_group(group).num_rows):
        start, group = start - rows, group + 1
    return list(range(group, metadata.num_row_groups)), start


class Table:
    """A finished table, read from its folder.

    Raises:
        InputError: there is no finished table in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            text = (folder / RECORD).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise InputError(
                f"{folder}: no finished table in this folder ({RECORD} is missing); run the recipe first"
            ) from None
        except OSError as error:
            raise InputError(f"{folder / RECORD}: cannot be read: {error}") from None
        except UnicodeDecodeError:
            text = ""
        try:
            self.record = TableRecord.model_validate_json(text)
        except ValidationError:
            raise InputError(
                f"{folder / RECORD}: the file is damaged, or of another version; make the table anew with: "
                f"--fresh {folder.name}"
            ) from None

    @property
    def name(self) -> str:
        """Name of the table in its recipe."""
        return self.record.name

    @property
    def image_root(self) -> ImageRoot:
        """Folder or URL that values of `image_path` are relative to; by source if rows come from several."""
        root = self.record.image_root
        if isinstance(root, dict):
            return {name: self._whole_path(one) for name, one in root.items()}
        return self._whole_path(root)

    def _whole_path(self, root: str | None) -> str | None:
        root = None if root is None else _VARIABLE.sub(lambda name: os.environ.get(name[1], name[0]), root)
        return root if root is None or "://" in root else os.path.normpath(self.folder.resolve() / root)

    @property
    def schema(self) -> pa.Schema:
        """Columns of the kept rows, with the encoder of each vector column in its field metadata."""
        with self.reading(self.record.parts[0].file) as path:
            return pq.read_schema(path)

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """Give the path of one of the table's files; that it is damaged becomes an error that says what to do.

        Raises:
            InputError: it is damaged or gone.
        """
        try:
            yield self.folder / name
        except (OSError, pa.ArrowInvalid):
            raise self._damaged(name) from None

    def _damaged(self, name: str, more: str = "") -> InputError:
        return InputError(
            f"{self.folder / name}{more}: the file is damaged or gone: it is not as table '{self.name}' was written; "
            f"make the table anew with: --fresh {self.name}"
        )

    def check_files(self) -> None:
        """Check that kept rows, ledger and states are as they were written, by their digests.

        Raises:
            InputError: a file is damaged or gone; the message says which, and what to do.
        """
        known = {name: digest for part in self.record.parts for name, digest in _digests(part)}
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda name: _digest(self.folder / name), known)
            damaged = [name for name, digest in zip(known, found, strict=True) if digest != known[name]]
        for step in self.record.steps:
            if _digest(self.folder / "states" / f"{step.state_name}.json", sha256_file) != step.state:
                damaged.append(f"states/{step.state_name}.json")
        if damaged:
            more = f" (and {len(damaged) - 1} more files)" if len(damaged) > 1 else ""
            raise self._damaged(damaged[0], more)
        for number in range(len(self.record.steps)):
            self.state(number)

    def batches(self, columns: Sequence[str] | None = None, batch_rows: int = 65_536, start: int = 0) -> Iterator[Rows]:
        """Yield the kept rows, in order, in batches, from row `start` on; the next batch is read meanwhile."""
        return read_ahead(self._batches(columns, batch_rows, start))

    def _batches(self, columns: Sequence[str] | None, batch_rows: int, start: int) -> Generator[Rows, None, None]:
        names = list(columns) if columns is not None else None
        for part in self.record.parts:
            if start and part.rows <= start:
                start -= part.rows
                continue
            # Without pre_buffer, only a batch and the pages around it are in memory.
            with self.reading(part.file) as path, pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 18) as file:
                groups, start = _groups_from(file.metadata, start)
                for batch in file.iter_batches(batch_rows, groups, columns=names, use_threads=False):
                    if start < len(batch) or not start:
                        yield Rows(with_missing_as_null(pa.Table.from_batches([batch.slice(start)])))
                    start = max(0, start - len(batch))

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all kept rows into memory; name the columns you need."""
        names = list(columns) if columns is not None else None
        tables = [self.read_file(part.file, names) for part in self.record.parts]
        return with_missing_as_null(pa.concat_tables(tables))

    def read_file(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """Read one of the table's Parquet files into memory."""
        with self.reading(name) as path:
            return pq.read_table(path, columns=columns)

    def ledger(self) -> pa.Table:
        """Read every dropped row into memory: `part`, `row`, `code` (see `record.reasons`)."""
        return pa.concat_tables([self.read_file(part.ledger) for part in self.record.parts])

    def state(self, step: int) -> State:
        """Load what step number `step` (from 0) learned."""
        return State.load(self.folder / "states", self.record.steps[step].state_name)

    def timings(self) -> dict[str, Any]:
        """Read machine, seconds and rows per second of the run; empty if the file is damaged or gone."""
        try:
            return dict(json.loads((self.folder / TIMINGS).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return {}
