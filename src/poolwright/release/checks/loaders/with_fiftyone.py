"""Load a release with FiftyOne, as its card says, and compare its samples with the record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poolwright.core.columns import UID
from poolwright.core.wording import counted
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.result import Findings, Skip
from poolwright.release.data.features import FILE_NAME
from poolwright.release.data.reading import read_rows
from poolwright.release.record import ReleaseRecord

MOST = 1_000
"""Samples that are loaded of a release that is not read whole."""


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Load the samples into a database of their own, and compare their number, tags and uids with the rows.

    FiftyOne needs MongoDB, which its package brings for most systems; without it the release is not tried. The dataset
    is not persistent, and is removed again.

    Args:
        full: whether all samples are loaded; otherwise the first `MOST`.
    """
    with importing():
        import fiftyone
    with _dataset(fiftyone, folder, None if full else MOST) as dataset:
        wrong: list[str] = []
        whole = full or release.rows <= MOST
        wanted = release.rows if whole else MOST
        if len(dataset) != wanted:
            wrong.append(f"FiftyOne gives {len(dataset):,} samples; there should be {wanted:,}")
        counts = dataset.count_sample_tags()
        if whole and counts != release.splits:
            wrong.append(f"FiftyOne gives the tags {counts}, the release has the splits {dict(release.splits)}")
        uids, files = dataset.values([UID, "filepath"])
        rows = {
            (split, Path(name).name): str(uid)
            for table, split in _files(folder, release)
            for uid, name in zip(*(table.column(column).to_pylist() for column in (UID, FILE_NAME)), strict=True)
        }
        for uid, file in zip(uids, map(Path, files), strict=True):
            if str(uid) != rows.get((file.parent.name, file.name)) or not file.is_file():
                wrong.append(f"the sample of uid '{uid}' has the image {file.name}, its row has another")
                break
        dataset.first(), dataset.last()  # decodes their documents by the classes that the fields declare
        fields = len(dataset.get_field_schema())
        return wrong, f"FiftyOneDataset gives {counted(len(dataset), 'sample')} with {fields} fields"


def _files(folder: Path, release: ReleaseRecord) -> Iterator[tuple[Any, str]]:
    for file in release.files:
        for table in read_rows(folder, release.model_copy(update={"files": (file,)})):
            yield table, file.split


@contextmanager
def _dataset(fiftyone: Any, folder: Path, most: int | None) -> Iterator[Any]:
    kind = fiftyone.types.FiftyOneDataset
    more = {"max_samples": most} if most else {}
    try:
        dataset = fiftyone.Dataset()
    except Exception as error:
        words = " ".join(str(error).split())[:200]
        raise Skip(f"FiftyOne has no database, so it was not tried: {type(error).__name__}: {words}") from None
    try:
        dataset.add_dir(dataset_dir=str(folder), dataset_type=kind, progress=False, **more)
        yield dataset
    finally:
        dataset.delete()
