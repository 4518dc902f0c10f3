"""Converts a pool of any kind to Parquet once, so that later runs read it fast.

to.parquet                  one file; or, if `to` has no such extension, a folder:
part-00000-00.parquet       rows of consecutive source parts, cut into files of about a million rows
rejected.jsonl              uid and error of every row that cannot be read (`to.parquet.rejected.jsonl` for one file)
.convert/identity.json      the pool and its parameters
.convert/inputs.parquet     digests of the source's files, by size and time of change
.convert/part-00000.json    a done-mark: the inputs it was made from, and what was written
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import ROW_ERROR
from poolwright.core.errors import BadPart, ChangedError, InputError, PoolwrightError, RecipeError
from poolwright.core.files import remove_partials, write_atomically, write_text
from poolwright.core.parquet import parquet_writer
from poolwright.core.pool import Part, Pool
from poolwright.core.runtime.progress import Listener, TableProgress
from poolwright.jobs.convert_units import (
    REJECTED,
    SUFFIX,
    WORK,
    ConvertUnit,
    Rejecting,
    mark_file,
    read_mark,
    rejected_file,
    units_of,
    write_lines,
    write_rejected,
)
from poolwright.run.engine.local import LocalEngine, wait_for_interrupted_units
from poolwright.run.engine.protocol import Engine
from poolwright.run.identity import portable
from poolwright.run.lock import run_lock
from poolwright.run.sources.inputs import CACHE, Inputs
from poolwright.run.sources.source import local, path_of
from poolwright.run.write import regroup

_KEY = b"poolwright.convert"


@dataclass(frozen=True)
class Converted:
    """The result of a conversion.

    Attributes:
        rows: rows in the Parquet files.
        rejected: rows that cannot be read; each is in the `rejected_file` with its error.
        files: the Parquet files.
        bytes: their size.
        rejected_file: None if nothing was rejected.
    """

    rows: int
    rejected: int
    files: tuple[Path, ...]
    bytes: int
    rejected_file: Path | None


def convert_pool(pool: Pool, to: Path, listener: Listener) -> Converted:
    """Write all rows of a pool to Parquet; called again, it continues, or finds that everything is done.

    Args:
        pool: a pool of any kind; with other parameters it is another conversion.
        to: a file that ends in '.parquet', or a folder.
        listener: receives progress.

    Raises:
        RecipeError: there is something else at `to`.
        ChangedError: an input has changed since a finished part was made from it.
        InputError: a part of the source cannot be read.
    """
    to = to.resolve()
    identity = {"kind": pool.kind, **pool.model_dump(mode="json", exclude_defaults=True)}
    work = _Conversion(pool, portable(identity, to.parent), to, listener)
    try:
        return work.one_file() if to.suffix == SUFFIX else work.folder()
    except BadPart as error:
        raise InputError(
            f"{error}; repair that file or leave it out, then run the same command again: finished parts are kept"
        ) from None
    except OSError as error:
        raise PoolwrightError(
            f"{error.filename or to}: {error.strerror or error}; run the same command again to continue"
        ) from None


@dataclass(frozen=True)
class _Conversion:
    pool: Pool
    identity: dict[str, Any]
    to: Path
    listener: Listener
    engine: Engine = field(default_factory=LocalEngine)

    def schema(self) -> pa.Schema:
        """Return the columns of the pool, without the one that says why a row could not be read."""
        schema = self.pool.arrow_schema()
        index = schema.get_field_index(ROW_ERROR)
        return schema if index < 0 else schema.remove(index)

    def parts(self) -> list[Part]:
        parts = self.pool.parts()
        for file in sorted({file for part in parts for file in part.files}):
            if local(file) and path_of(file).resolve().is_relative_to(self.to):
                raise RecipeError(f"{self.to}: the source {file} is in this folder; convert it to another one")
        return parts

    def one_file(self) -> Converted:
        parts = self.parts()
        if self.to.is_dir():
            raise RecipeError(f"{self.to}: is a folder; name a file, or a folder without '.parquet' in its name")
        self.listener.note("hashing the source files")
        cache = self.to.with_name(f".{self.to.name}.inputs")
        inputs = self._inputs(parts, cache)
        cache.unlink(missing_ok=True)
        rejected = self.to.with_name(f"{self.to.name}.{REJECTED}")
        if self.to.exists():
            noted = _noted(self.to)
            self._check_file(noted, inputs)
            return _converted([self.to], noted["rows"], noted["rejected"], rejected)
        writing = Rejecting(self.pool, self.schema(), parts, self.listener)

        def write(out: BinaryIO) -> None:
            with parquet_writer(out, writing.schema) as writer:
                for table in regroup(writing.rows(), writing.schema):
                    writer.write_table(table, row_group_size=max(len(table), 1))
                noted = {**self.identity, "inputs": inputs, "rows": writing.kept, "rejected": len(writing.rejected)}
                writer.add_key_value_metadata({_KEY.decode(): json.dumps(noted, sort_keys=True)})
                write_rejected(rejected, writing.rejected)

        write_atomically(self.to, write)
        return _converted([self.to], writing.kept, len(writing.rejected), rejected)

    def _check_file(self, noted: Mapping[str, Any], inputs: Mapping[str, str]) -> None:
        if {
            name: value for name, value in noted.items() if name not in ("inputs", "rows", "rejected")
        } != self.identity:
            raise RecipeError(f"{self.to}: exists already, made from something else; remove it, or name another file")
        if noted["inputs"] != inputs:
            raise ChangedError(
                f"{self.to}: {_difference(noted['inputs'], inputs)} since it was made; remove it to convert again"
            )

    def folder(self) -> Converted:
        parts, schema = self.parts(), self.schema()
        self._claim()
        work = self.to / WORK
        with run_lock(work):
            wait_for_interrupted_units()
            remove_partials(self.to)
            units = units_of(parts)
            self.listener.note("hashing the source files")
            digests = self._inputs(parts, work / CACHE)
            names = [[self._named(file) for part in unit for file in part.files] for unit in units]
            inputs = [{name: digests[name] for name in named} for named in names]
            self._check_marks(inputs)
            self._write(ConvertUnit(self.pool, self.to, schema, tuple(units), tuple(inputs)))
            return self._finish(len(units))

    def _claim(self) -> None:
        path = self.to / WORK / "identity.json"
        if path.exists():
            if json.loads(path.read_text(encoding="utf-8")) != json.loads(json.dumps(self.identity)):
                raise RecipeError(f"{self.to}: contains the conversion of something else; name another folder")
            return
        if self.to.exists() and (not self.to.is_dir() or any(self.to.iterdir())):
            raise RecipeError(f"{self.to}: exists already, and is not a conversion; name another folder")
        write_text(path, json.dumps(self.identity, indent=1, sort_keys=True) + "\n")

    def _inputs(self, parts: Sequence[Part], cache: Path) -> dict[str, str]:
        """Return the digest of every file of the source, by its name."""
        files = list(dict.fromkeys(file for part in parts for file in part.files))
        seen = Inputs(cache).look(files, lambda function, units: dict(self.engine.map(function, list(units))))
        return {self._named(file): found.digest for file, found in seen.items()}

    def _named(self, file: str) -> str:
        """Return a file as it is recorded: a project that is moved is the same project."""
        return str(portable(file, self.to.parent))

    def _check_marks(self, inputs: Sequence[Mapping[str, str]]) -> None:
        for path in sorted((self.to / WORK).glob("part-*.json")):
            unit, mark = int(path.stem[5:]), read_mark(path)
            now = inputs[unit] if unit < len(inputs) else {}
            if mark.inputs != now:
                raise ChangedError(
                    f"{self.to}: {_difference(mark.inputs, now)} since a part was made from it; nothing was changed. "
                    "Undo the change, or remove the folder and convert again"
                )

    def _write(self, write: ConvertUnit) -> None:
        left = [unit for unit in range(len(write.units)) if not mark_file(self.to, unit).exists()]
        progress = TableProgress(self.pool.kind, "convert", len(left))
        self.listener.table_started(progress.name, progress.phase, len(left))
        begun = perf_counter()
        for _, mark in self.engine.map(write, left):
            progress.units_done += 1
            progress.rows += mark.rows + mark.rejected
            progress.kept += mark.rows
            progress.seconds = perf_counter() - begun
            if mark.rejected:
                progress.dropped["rejected"] = progress.dropped.get("rejected", 0) + mark.rejected
            self.listener.progress(progress)

    def _finish(self, units: int) -> Converted:
        marks = [read_mark(mark_file(self.to, unit)) for unit in range(units)]
        rejected = sum(mark.rejected for mark in marks)
        lines = (
            line
            for unit, mark in enumerate(marks)
            if mark.rejected
            for line in rejected_file(self.to, unit).read_text(encoding="utf-8").splitlines()
        )
        write_lines(self.to / REJECTED, lines, rejected)
        files = [self.to / name for mark in marks for name in mark.files]
        return _converted(files, sum(mark.rows for mark in marks), rejected, self.to / REJECTED)


def _noted(path: Path) -> dict[str, Any]:
    """Read what a converted file records of itself; empty for any other file."""
    try:
        metadata = pq.read_metadata(path).metadata or {}
    except (pa.ArrowException, OSError):
        return {}
    return dict(json.loads(metadata[_KEY])) if _KEY in metadata else {}


def _difference(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    for file in before:
        if file not in now:
            return f"{file} is gone from the source"
        if before[file] != now[file]:
            return f"{file} changed"
    return f"{min(set(now) - set(before))} is new in the source"


def _converted(files: Sequence[Path], rows: int, rejected: int, rejected_file: Path) -> Converted:
    size = sum(os.path.getsize(file) for file in files)
    return Converted(rows, rejected, tuple(files), size, rejected_file if rejected else None)
