"""Read the tars of a release back, and compare them, byte for byte, with the rows that they were made from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import SHA256, UID
from poolwright.core.images.tar import BLOCK, END, tar_header
from poolwright.release.checks.result import Findings
from poolwright.release.data.reading import StoredImage
from poolwright.release.layouts.shared.tar_samples import (
    KEY,
    SampleForm,
    picture_extension,
    tar_sample,
)
from poolwright.release.layouts.shared.tar_shards import stats_text
from poolwright.release.record import ReleasedFile, ReleaseRecord

_BATCH_ROWS = 256
_SAMPLED = 8


def tar_of(file: ReleasedFile) -> str:
    """Return the tar with the samples of the rows of a file."""
    return str(PurePosixPath(file.path).with_suffix(".tar"))


def tar_images(folder: Path, release: ReleaseRecord, full: bool) -> Iterator[StoredImage]:
    """Yield the images in the tars of a release.

    Args:
        full: all images; otherwise the first of every tar.
    """
    for file in release.files:
        path = tar_of(file)
        with (folder / path).open("rb") as tar, pq.ParquetFile(folder / file.path) as rows:
            more = SampleForm.of(rows.schema_arrow).count
            for batch in rows.iter_batches(_BATCH_ROWS if full else _SAMPLED, columns=[KEY, UID, SHA256]):
                for row in batch.to_pylist():
                    yield StoredImage(str(row[UID]), path, _image(tar, row[KEY], more), row[SHA256])
                if not full:
                    break


def _image(tar: BinaryIO, key: str, more: int) -> bytes | None:
    """Return the picture of the next sample if that has the key, and pass over its `more` other files."""
    name, size = _name_and_size(tar.read(BLOCK))
    data = tar.read(size)
    tar.seek(-size % BLOCK, 1)
    for _ in range(more):
        _, length = _name_and_size(tar.read(BLOCK))
        tar.seek(length + -length % BLOCK, 1)
    return data if name.partition(".")[0] == key else None


def _name_and_size(header: bytes) -> tuple[str, int]:
    try:
        return header[:100].partition(b"\0")[0].decode(), int(header[124:135], 8)
    except ValueError:
        return "", 0


def check_tars(folder: Path, release: ReleaseRecord) -> Findings:
    """Check that every tar holds what its rows say: names, sizes, texts and the digests of the images."""
    extension = picture_extension(release.images.formats if release.images else {})
    wrong = []
    for file in release.files:
        wrong += [f"'{tar_of(file)}': {problem}" for problem in islice(_problems(folder, file, extension), 1)]
        stats = file.path.removesuffix(".parquet") + "_stats.json"
        if (folder / stats).read_text(encoding="utf-8") != stats_text(file.rows):
            wrong.append(f"'{stats}' does not count the {file.rows:,} rows of '{file.path}'")
    return wrong, f"{len(release.files):,} tars have the images, texts and JSON of their rows"


def _problems(folder: Path, file: ReleasedFile, extension: str) -> Iterator[str]:
    with (folder / tar_of(file)).open("rb") as tar, pq.ParquetFile(folder / file.path) as parquet:
        form = SampleForm.of(parquet.schema_arrow)
        for batch in parquet.iter_batches(_BATCH_ROWS):
            rows = pa.Table.from_batches([batch])
            known = rows.select([KEY, UID, SHA256]).to_pylist()
            for row, files in zip(known, form.files(rows), strict=True):
                if problem := _problem(tar, row[KEY], row[SHA256], files, extension):
                    yield f"the sample of uid {row[UID]!r}: {problem}"
        if tar.read() != END:
            yield "it does not end after its last row"


def _problem(tar: BinaryIO, key: str, sha256: str, files: Sequence[tuple[str, bytes]], extension: str) -> str:
    """Say what is wrong with the next sample of a tar; '' if nothing is."""
    header = tar.read(BLOCK)
    _, size = _name_and_size(header)
    if header != tar_header(f"{key}.{extension}", size):
        return f"it does not begin with '{key}.{extension}'"
    if hashlib.sha256(tar.read(size)).hexdigest() != sha256 or any(tar.read(-size % BLOCK)):
        return "its image is another one than its SHA-256 says"
    for ending, data in files:
        wanted, size = tar_sample(key, [(ending, data)])
        if tar.read(size) != b"".join(wanted):
            return f"'{key}.{ending}' is not what its row says"
    return ""
