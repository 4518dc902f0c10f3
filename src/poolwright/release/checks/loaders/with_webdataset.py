"""Load the tars of a release with `webdataset` and with `datasets`, as its card says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from poolwright.core.wording import counted
from poolwright.release.checks.loaders.loader import importing
from poolwright.release.checks.loaders.sampling import ROWS, SMALL, ends, spread
from poolwright.release.checks.result import Findings
from poolwright.release.record import ReleaseRecord

TARS = 4
"""Tars of each split that are read of a release that is not read whole."""


def load(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Read the samples of every split with `webdataset`, and compare their number and files.

    Of a release of more than `SMALL` bytes, the first `ROWS` samples of `TARS` tars of each split are read.

    Args:
        full: whether all samples are read.
    """
    with importing():
        import webdataset

    whole = full or _size(folder, release) <= SMALL
    wrong, read, forms = [], 0, set()
    for split, rows in release.splits.items():
        tars = _tars(folder, release, split)
        chosen = tars if whole else [tars[number] for number in spread(len(tars), TARS)]
        samples = 0
        for tar in chosen:
            found = webdataset.WebDataset([tar], shardshuffle=False, nodesplitter=None, empty_check=False).decode("pil")
            for sample in found if whole else islice(found, ROWS):
                forms.add(tuple(sorted(name for name in sample if not name.startswith("__"))))
                samples += 1
        if whole and samples != rows:
            wrong.append(f"split '{split}' is read with {samples:,} samples, the release has {rows:,} rows")
        read += samples
    if len(forms) > 1:
        wrong.append(f"samples have different files: {' and '.join(', '.join(form) for form in sorted(forms)[:2])}")
    return wrong, f"WebDataset gives {counted(read, 'sample')} with {', '.join(next(iter(forms), ()))}"


def load_with_datasets(folder: Path, release: ReleaseRecord, full: bool) -> Findings:
    """Load every split with `load_dataset`, and compare its rows, and their uids, with the Parquet files.

    A release of more than `SMALL` bytes is streamed.

    Args:
        full: whether every row is read, with its image decoded.
    """
    with importing():
        import datasets

    stream = _size(folder, release) > SMALL
    wrong, read = [], 0
    with TemporaryDirectory(prefix="poolwright-datasets-", ignore_cleanup_errors=True) as cache:
        found = datasets.load_dataset(str(folder), streaming=stream, cache_dir=cache)
        if set(found) != set(release.splits):
            return [f"load_dataset gives the splits {sorted(found)}, the release has {sorted(release.splits)}"], ""
        for split, rows in release.splits.items():
            if not stream and len(found[split]) != rows:
                wrong.append(f"split '{split}' is loaded with {len(found[split]):,} rows, the release has {rows:,}")
            for row in _rows(found[split], stream, full):
                read += 1
                if not row["json"].get("uid"):
                    wrong.append(f"split '{split}' has a row without uid: {row['__key__']}")
    given = "streams" if stream else f"gives {counted(release.rows, 'row')} in"
    return (
        wrong,
        f"load_dataset {given} {counted(len(release.splits), 'split')}; {counted(read, 'row')} read, with their images",
    )


def _rows(found: Any, stream: bool, full: bool) -> Iterator[Any]:
    if full or stream:
        yield from found if full else islice(found, ROWS)
    else:
        yield from (found[number] for number in ends(len(found)))


def _tars(folder: Path, release: ReleaseRecord, split: str) -> list[str]:
    files = [PurePosixPath(file.path) for file in release.files if file.split == split]
    return [str(folder / file.with_suffix(".tar")) for file in files]


def _size(folder: Path, release: ReleaseRecord) -> int:
    return sum((folder / other.path).stat().st_size for other in release.others)
