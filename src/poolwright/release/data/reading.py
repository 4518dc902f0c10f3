"""Read rows and images of a release back from its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, SHA256, UID
from poolwright.core.wording import unguarded
from poolwright.release.data.features import FILE_NAME
from poolwright.release.record import ReleasedFile, ReleaseRecord

_SAMPLED_GROUPS = 8
_SAMPLED_ROWS = 200
_BATCH_ROWS = 64


@dataclass(frozen=True)
class StoredImage:
    """The image of one row, read back.

    Attributes:
        uid: uid of its row.
        path: file that holds it, relative to the folder of the release.
        data: bytes of the image file; None if it is missing.
        sha256: hex digest of the bytes, as stored in its row; None if the row has none.
    """

    uid: str
    path: str
    data: bytes | None
    sha256: str | None


def read_rows(
    folder: Path, release: ReleaseRecord, columns: Sequence[str] | None = None
) -> Iterator[tuple[ReleasedFile, pa.Table]]:
    """Yield all rows of a release, one data file after the other, with their file.

    Args:
        columns: names of the columns to read, those of CSV files as texts; default all, those of CSV files as texts if
            release.json says so.
    """
    texts = columns or [column.name for column in release.columns if column.type == "string"]
    for file in release.files:
        path = folder / file.path
        if path.suffix == ".csv":
            yield file, read_csv(path, columns, texts)
            continue
        with pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(columns=columns):
                yield file, pa.Table.from_batches([batch])


def read_csv(path: Path, columns: Sequence[str] | None = None, text: Sequence[str] = ()) -> pa.Table:
    """Read a CSV file of a release.

    Args:
        columns: names of the columns to read; default all.
        text: columns to read as text, whatever their values look like.

    Returns:
        The rows, with the texts as they were before they were guarded against spreadsheets.
    """
    options = pacsv.ConvertOptions(
        include_columns=columns,
        column_types=dict.fromkeys(text, pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        null_values=[""],
    )
    rows = pacsv.read_csv(path, convert_options=options, parse_options=pacsv.ParseOptions(newlines_in_values=True))
    for at, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            texts = [None if cell is None else unguarded(cell) for cell in rows.column(at).to_pylist()]
            rows = rows.set_column(at, field, pa.array(texts, field.type))
    return rows


def bytes_by_file(folder: Path, release: ReleaseRecord, root: Callable[[ReleasedFile], str]) -> dict[str, int]:
    """Return the bytes of each data file with those of the images of its rows, by its path.

    Args:
        root: as for `image_files`.
    """
    sizes: dict[str, int] = {}
    for file in release.files:
        path = folder / file.path
        paths = [path, path.with_suffix(".tar")]
        if release.images and release.has(FILE_NAME):
            one = release.model_copy(update={"files": (file,)})
            names = {name for _, rows in read_rows(folder, one, [FILE_NAME]) for name in rows.column(0).to_pylist()}
            paths += [folder / root(file) / name for name in names]
        sizes[file.path] = sum(one.stat().st_size for one in paths if one.is_file())
    return sizes


def embedded_images(folder: Path, release: ReleaseRecord, full: bool) -> Iterator[StoredImage]:
    """Yield the images of the column `image`: bytes, or the structs in which `datasets` stores them.

    Args:
        full: all images; otherwise those of whole row groups spread over every data file.
    """
    for file in release.files:
        for batch in _batches(folder / file.path, [UID, SHA256, IMAGE], full):
            for row in batch.to_pylist():
                image = row[IMAGE]["bytes"] if isinstance(row[IMAGE], dict) else row[IMAGE]
                yield StoredImage(str(row[UID]), file.path, image, row[SHA256])


def image_files(
    folder: Path, release: ReleaseRecord, root: Callable[[ReleasedFile], str], full: bool
) -> Iterator[StoredImage]:
    """Yield images in files of their own, whose paths are in the column `file_name`.

    Args:
        root: returns the folder in the release that the paths in a data file are relative to; '' for the release.
        full: all images; otherwise the first of every data file.
    """
    for file in release.files:
        inner = root(file)
        for batch in _batches(folder / file.path, [UID, SHA256, FILE_NAME], full, first=True):
            for row in batch.to_pylist():
                path = f"{inner}/{row[FILE_NAME]}" if inner else row[FILE_NAME]
                data = (folder / path).read_bytes() if (folder / path).is_file() else None
                yield StoredImage(str(row[UID]), path, data, row[SHA256])


def _batches(path: Path, columns: Sequence[str], full: bool, first: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a data file, or a sample: its first rows, or row groups spread over it."""
    if path.suffix == ".csv":
        table = read_csv(path, columns, text=columns)
        yield from (table if full else table.slice(0, _SAMPLED_ROWS)).to_batches()
        return
    with pq.ParquetFile(path) as file:
        groups = file.num_row_groups
        step = 1 if full else max(1, -(-groups // _SAMPLED_GROUPS))
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=list(range(0, groups, step)), columns=list(columns)):
            yield batch
            if first and not full:
                break
