"""Open the versions that are compared: releases, and tables of runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from poolwright.core.columns import SPLIT, UID
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.files import sha256_file
from poolwright.core.results.changes import VersionInfo
from poolwright.core.table import RECORD, Table, TableRecord
from poolwright.release.checksums import SUMS
from poolwright.release.data.reading import read_csv
from poolwright.release.lineage import lineage
from poolwright.release.record import RELEASE, ReleasedFile, ReleaseRecord
from poolwright.run.growth import REFITTING
from poolwright.run.run import Run, open_run


@dataclass(frozen=True)
class Version:
    """One of the two versions.

    Attributes:
        info: what it is.
        records: records of its table and those it comes from, the first ones first.
        schema: its columns; of a column that holds class indices, the names.
        run: the run of a table; None for a release.
        table: the table; None for a release.
        folder: the folder of a release; None for a table.
    """

    info: VersionInfo
    records: tuple[TableRecord, ...]
    schema: pa.Schema
    run: Run | None = None
    table: Table | None = None
    folder: Path | None = None
    release: ReleaseRecord | None = None

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield all rows with some of its columns, in batches. `split` is that of the table, whatever files call it."""
        if self.table is not None:
            yield from (rows.table.select(list(columns)) for rows in self.table.batches(columns))
        elif self.folder is not None and self.release is not None:
            for file in self.release.files:
                yield from _of_file(self.folder, self.release, file, columns)


def open_version(named: str | Path) -> Version:
    """Open a release by its folder, or a finished table as RUN/TABLE.

    Raises:
        InputError: there is neither, or it is damaged.
        RecipeError: it is a run, and no table is named.
    """
    path = Path(named)
    if (path / RELEASE).is_file():
        return _release(path, str(named))
    if path.parent.name == REFITTING and (path / RECORD).is_file():
        work = open_run(path.parent.parent)
        work.refitted |= {one.parent.name for one in path.parent.glob(f"*/{RECORD}")}
        return version_of(work, work.table(path.name), str(named))
    for run, table in ((path.parent, path.name), (path.parent.parent, path.name)):
        if (run / "tables" / table / RECORD).is_file():
            work = open_run(run).before_growth()
            return version_of(work, work.table(table), str(named))
    tables = sorted(one.parent.name for one in path.glob(f"tables/*/{RECORD}"))
    if tables:
        raise RecipeError(f"{named}: this is a run; name one of its tables: {path / tables[0]}")
    known = [one.parent.name for one in path.parent.glob(f"tables/*/{RECORD}")]
    words = f"; {did_you_mean(path.name, known)}" if known else ""
    raise InputError(
        f"{named}: neither the folder of a release, which has a {RELEASE}, nor a finished table as RUN/TABLE{words}"
    )


def version_of(run: Run, table: Table, name: str) -> Version:
    """Return a finished table of a run as a version."""
    info = VersionInfo(name, "table", table.name, table.record.rows_kept, table.record.plan)
    return Version(info, lineage(table).records, table.schema, run, table)


def _release(folder: Path, name: str) -> Version:
    try:
        release = ReleaseRecord.load(folder)
        records = [TableRecord.model_validate_json((folder / RECORD).read_text(encoding="utf-8"))]
        for parent in records[0].parents:
            records = [*_ancestors(folder, parent), *records]
        digest = sha256_file(folder / SUMS)
        schema = _schema(folder, release)
    except FileNotFoundError as error:
        raise InputError(f"{error.filename}: the file is missing; get the release again") from None
    except (OSError, ValueError, ValidationError, pa.ArrowException) as error:
        raise InputError(f"{folder}: the release is damaged: {str(error).splitlines()[0]}") from None
    info = VersionInfo(name, "release", release.table, release.rows, digest)
    return Version(info, tuple(records), schema, folder=folder, release=release)


def _ancestors(folder: Path, name: str) -> list[TableRecord]:
    path = folder / "lineage" / name / RECORD
    if not path.is_file():
        return []
    record = TableRecord.model_validate_json(path.read_text(encoding="utf-8"))
    return [*(one for parent in record.parents for one in _ancestors(folder, parent)), record]


def _schema(folder: Path, release: ReleaseRecord) -> pa.Schema:
    file = release.files[0]
    schema = read_csv(folder / file.path).schema if file.path.endswith(".csv") else pq.read_schema(folder / file.path)
    fields = {field.name: field.remove_metadata() for field in schema}
    if release.class_column and release.classes:
        fields[release.class_column] = pa.field(release.class_column, pa.string())
    if any(value is not None for value in release.split_names.values()):
        fields[SPLIT] = pa.field(SPLIT, pa.string())
    if UID not in fields:
        raise InputError(f"{folder}: rows of the release have no uid, so they cannot be compared one by one")
    return pa.schema(list(fields.values()))


def _of_file(folder: Path, release: ReleaseRecord, file: ReleasedFile, columns: Sequence[str]) -> Iterator[pa.Table]:
    stored = [name for name in columns if name != SPLIT]
    if file.path.endswith(".csv"):
        text = [column.name for column in release.columns if column.type == "string"]
        tables = iter([read_csv(folder / file.path, stored, text)])
    else:
        tables = _parquet(folder / file.path, stored)
    for table in tables:
        given = {name: table.column(name) for name in stored}
        if SPLIT in columns:
            given[SPLIT] = pa.array([release.split_names[file.split]] * len(table), pa.string())
        if release.class_column in given and release.classes:
            given[release.class_column] = _class_names(given[release.class_column], release.classes)
        yield pa.table({name: given[name] for name in columns})


def _parquet(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 18) as file:
        for batch in file.iter_batches(columns=list(columns), use_threads=False):
            yield pa.Table.from_batches([batch])


def _class_names(indices: pa.ChunkedArray, classes: Sequence[str]) -> pa.ChunkedArray:
    known = pc.and_(pc.greater_equal(indices, 0), pc.less(indices, len(classes)))
    return pa.chunked_array([pa.array(classes).take(pc.if_else(known, indices, None).combine_chunks())])


def types_of(schema: pa.Schema) -> Mapping[str, pa.DataType]:
    """Return the types of columns by name, of dictionaries those of their values."""
    return {field.name: field.type.value_type if pa.types.is_dictionary(field.type) else field.type for field in schema}
