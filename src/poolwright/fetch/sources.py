"""Read rows with URLs from Parquet, CSV or JSON Lines files, a finished table, or a release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.class_labels import class_labels, named_type, names_of_labels
from poolwright.core.columns import is_text, is_vector
from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.core.rows import in_row_groups
from poolwright.core.runtime.packed import unpacked_name
from poolwright.core.table import RECORD, Table
from poolwright.fetch.http.digests import common_algorithm, read_digest
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.records import CAPTION, EXPECTED, OUTCOME_FIELDS, URL
from poolwright.fetch.source_files import SOURCE_READERS, csv_header, json_rows, reading_source

_KINDS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_RELEASE = "release.json"


@dataclass(frozen=True)
class FetchSource:
    """Files and columns of the rows to fetch.

    Attributes:
        files: in order; all of one kind.
        kind: 'parquet', 'csv', 'tsv' or 'jsonl'.
        schema: schema of `shards`: url, caption and expected_sha256 if present, then the carried columns.
        names: column of the files that each column of `schema` is read from.
        rows: number of rows, if it is known before reading.
        labels: class names by index, of the columns that hold an index of a class (ClassLabel).
        algorithm: of the expected digests: 'sha256', 'md5', ...
        header: names of the columns of CSV and TSV files without a line of names.
    """

    files: tuple[Path, ...]
    kind: str
    schema: pa.Schema
    names: tuple[str, ...]
    rows: int | None
    labels: Mapping[str, tuple[str, ...]]
    algorithm: str = "sha256"
    header: tuple[str, ...] = ()

    def shards(self, rows: int) -> Iterator[pa.Table]:
        """Yield all rows in order, in tables of `rows` rows; the last may have fewer.

        Raises:
            InputError: a file cannot be read.
        """
        for table in in_row_groups(self.batches(self.schema.names), rows):
            yield table.combine_chunks()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield all rows in order, with these columns of `schema`.

        Raises:
            InputError: a file cannot be read.
        """
        chosen = [(field, name) for field, name in zip(self.schema, self.names, strict=True) if field.name in columns]
        schema, names = pa.schema([field for field, _ in chosen]), [name for _, name in chosen]
        for file in self.files:
            with reading_source(file):
                for table in SOURCE_READERS[self.kind](file, names, self.header):
                    arrays = [
                        _converted(column, field, self.labels.get(name, ()))
                        for column, (field, name) in zip(table.columns, chosen, strict=True)
                    ]
                    yield pa.Table.from_arrays(arrays, schema=schema)

    def expected(self) -> Iterator[str | bytes | None]:
        """Yield the expected digests as they are stored; nothing if there is no such column."""
        names = [name for field, name in zip(self.schema, self.names, strict=True) if field.name == EXPECTED]
        for file in self.files if names else ():
            with reading_source(file):
                for table in SOURCE_READERS[self.kind](file, names, self.header):
                    yield from table.column(0).to_pylist()


def _converted(column: pa.ChunkedArray, field: pa.Field, names: tuple[str, ...]) -> pa.ChunkedArray:
    """Return a column of a file in the type of its field: digests as hex, if they are some, and classes by name."""
    if field.name == EXPECTED:
        return pa.chunked_array([pa.array(map(_hex, column.to_pylist()), pa.string())])
    return names_of_labels(column, names) if names else column.cast(field.type)


def _hex(value: str | bytes | None) -> str | None:
    try:
        return read_digest(value)
    except ValueError:
        return value.hex() if isinstance(value, bytes) else value


def open_source(source: str | Path | Sequence[str | Path], options: FetchOptions) -> FetchSource:
    """Find the files and columns of a source.

    Args:
        source: a file, a folder of files, a finished table, a release, or several files.
        options: options that name the columns.

    Raises:
        InputError: there is nothing to read.
        RecipeError: a column is missing.
    """
    files = _files_of(source)
    kind, header = _kind_of(files), options.header or ()
    if header and kind not in ("csv", "tsv"):
        raise RecipeError(f"{files[0]}: has names of its own; leave out 'header'")
    schema = pa.schema([(name, pa.string()) for name in header]) if header else _schema_of(files, kind)
    labels = class_labels(schema)
    for file in files[1:] if kind != "jsonl" and not header else ():
        other = _schema_of([file], kind)
        if other.names != schema.names or class_labels(other) != labels:
            what = "columns" if other.names != schema.names else "names of classes"
            raise InputError(f"{file}: has other {what} than {files[0]}; fetch them one after the other")
    pairs = _columns(schema, options, files[0], labels)
    rows = sum(pq.read_metadata(file).num_rows for file in files) if kind == "parquet" else None
    fields = [field for field, _ in pairs]
    names = tuple(name for _, name in pairs)
    opened = FetchSource(tuple(files), kind, pa.schema(fields), names, rows, labels, header=header)
    return replace(opened, algorithm=common_algorithm(f"{files[0]}: column '{options.sha256}'", opened.expected()))


def _files_of(source: str | Path | Sequence[str | Path]) -> list[Path]:
    if not isinstance(source, str | Path):
        return [file for one in source for file in _files_of(one)]
    path = Path(source)
    if path.is_dir():
        return _files_in(path)
    if path.is_file():
        return [path]
    found = sorted(path.parent.glob(path.name)) if any(sign in path.name for sign in "*?[") else []
    if not found:
        raise InputError(f"{source}: no such file or folder")
    return found


def _files_in(folder: Path) -> list[Path]:
    """Find the files of a table, of a release, or of any folder; those of one kind."""
    if (folder / RECORD).exists() and not (folder / _RELEASE).exists():
        return [folder / part.file for part in Table(folder).record.parts]
    for kind in dict.fromkeys(_KINDS.values()):
        endings = tuple(ending for ending, name in _KINDS.items() if name == kind)
        found = [
            path
            for path in sorted(folder.rglob("*"))
            if unpacked_name(path.name).endswith(endings)
            and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
            and "states" not in path.relative_to(folder).parts
            and "lineage" not in path.relative_to(folder).parts
        ]
        if found:
            return found
    raise InputError(f"{folder}: no Parquet, CSV or JSON Lines files here")


def _kind_of(files: Sequence[Path]) -> str:
    kinds = {_KINDS.get(Path(unpacked_name(file.name)).suffix.lower()) for file in files}
    if None in kinds:
        raise InputError(f"{files[0]}: not one of {', '.join(sorted(_KINDS))}; convert the file first")
    if len(kinds) > 1:
        raise InputError(f"{files[0]}: files of several kinds; fetch them one after the other")
    return str(kinds.pop())


def _schema_of(files: Sequence[Path], kind: str) -> pa.Schema:
    with reading_source(files[0]):
        if kind == "parquet":
            return pq.read_schema(files[0])
        if kind == "jsonl":
            names = dict.fromkeys(name for file in files for row in json_rows(file) for name in row)
        else:
            names = dict.fromkeys(csv_header(files[0]))
    return pa.schema([(name, pa.string()) for name in names])


def _columns(
    schema: pa.Schema, options: FetchOptions, file: Path, labels: Mapping[str, object]
) -> list[tuple[pa.Field, str]]:
    """Return the output field and input name of every column that is read."""
    pairs = []
    for wanted, name, option in ((URL, options.url, "url"), (CAPTION, options.caption, "caption"),
                                 (EXPECTED, options.sha256, "sha256")):  # fmt: skip
        if name in schema.names:
            kind = schema.field(name).type
            if not (is_text(kind) or pa.types.is_null(kind) or (option == "sha256" and _is_bytes(kind))):
                wanted_kind = "text or bytes" if option == "sha256" else "text"
                raise RecipeError(f"{file}: column '{name}' holds {kind}, not {wanted_kind}; name another for {option}")
            pairs.append((pa.field(wanted, pa.string()), name))
        elif option == "url" or (option in options.model_fields_set and name):
            _check_has_names(schema.names, file)
            raise RecipeError(f"{file}: no column '{name}' for {option}; {did_you_mean(name, schema.names)}")
    taken = {name for _, name in pairs}
    for name in _carried(schema, options, file, taken):
        kind = named_type(schema.field(name).type) if name in labels else _plain(schema.field(name).type)
        pairs.append((pa.field(carried_name(name), kind), name))
    return pairs


def _check_has_names(names: Sequence[str], file: Path) -> None:
    at = next((at for at, name in enumerate(names, start=1) if "://" in name), None)
    if at:
        raise RecipeError(
            f"{file}: its first line is data, not the names of columns: column {at} is {names[at - 1][:80]!r}; "
            "name the columns with --set header=NAME,..., such as header=text,url"
        )


def _carried(schema: pa.Schema, options: FetchOptions, file: Path, taken: set[str]) -> list[str]:
    if "uid" in options.model_fields_set and options.uid not in schema.names:
        raise RecipeError(f"{file}: no column '{options.uid}' for uid; {did_you_mean(options.uid, schema.names)}")
    if options.columns is None:
        return [field.name for field in schema if field.name not in taken and _carryable(field.type)]
    wanted = [options.uid, *options.columns] if options.uid in schema.names else list(options.columns)
    for name in wanted:
        if name not in schema.names:
            raise RecipeError(f"{file}: no column '{name}'; {did_you_mean(name, schema.names)}")
    return [name for name in dict.fromkeys(wanted) if name not in taken]


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _carryable(kind: pa.DataType) -> bool:
    """Whether a column is small enough to be carried along by default."""
    return not (is_vector(kind) or pa.types.is_nested(kind) or _is_bytes(kind))


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if is_text(kind) or pa.types.is_null(kind) else kind


def carried_name(name: str) -> str:
    """Return the output name of a carried column: its own, or `input_...` if fetching has a column of that name."""
    reserved = {URL, CAPTION, EXPECTED, *OUTCOME_FIELDS}
    return f"input_{name}" if name in reserved else name
