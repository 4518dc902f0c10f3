"""Load the data files of a release with pandas."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from poolwright.core.wording import counted
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.loaders.sampling import ROWS, SMALL, spread
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleasedFile, ReleaseRecord

FILES = 8
"""Files that are read of a release that is not read whole."""


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Read data files with `read_parquet` or `read_csv`, and compare rows and columns with the record.

    Of a release of more than `SMALL` bytes, `FILES` files are read, of each the first `ROWS` rows.

    Args:
        full: whether all files are read whole.
    """
    whole = full or sum((folder / file.path).stat().st_size for file in release.files) <= SMALL
    chosen = range(len(release.files)) if whole else spread(len(release.files), FILES)
    names = [column.name for column in release.columns]
    wrong, read = [], 0
    for file in (release.files[number] for number in chosen):
        rows, columns = _read(folder, file, whole)
        read += rows
        if columns != names:
            wrong.append(f"'{file.path}' is read with the columns {columns}, the release has {names}")
        if whole and rows != file.rows:
            wrong.append(f"'{file.path}' is read with {counted(rows, 'row')}, the release has {file.rows:,}")
    part = "" if whole else f" at the start of {counted(len(chosen), 'file')}"
    return wrong, f"reads {counted(read, 'row')}{part} with {counted(len(names), 'column')}"


def _read(folder: Path, file: ReleasedFile, whole: bool) -> tuple[int, list[str]]:
    with importing():
        import pandas

    path = folder / file.path
    if file.path.endswith(".csv"):
        found = pandas.read_csv(path, nrows=None if whole else ROWS)
    elif whole:
        found = pandas.read_parquet(path)
    else:
        with pq.ParquetFile(path) as parquet:
            found = next(parquet.iter_batches(ROWS)).to_pandas()
    return len(found), [str(name) for name in found.columns]
