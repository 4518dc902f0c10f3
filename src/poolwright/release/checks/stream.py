"""Check of a release of a stream: do class names, lists, splits, JSON files and tensors agree with the metadata?"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import UID
from poolwright.release.data.features import CLASS_ID, FILE_NAME
from poolwright.release.layouts.clear import LABELED
from poolwright.release.layouts.streams.json_objects import IMG_PATH
from poolwright.release.layouts.streams.stream import IMAGES, SIDES
from poolwright.release.layouts.streams.stream_layout import CLASS_NAMES, split_columns
from poolwright.release.layouts.streams.training_folder import BUCKETS, FOLDER, list_path, split_path
from poolwright.release.record import ReleaseRecord


def check_stream(folder: Path, release: ReleaseRecord) -> tuple[list[str], str]:
    """What is wrong with a release of a stream, and words for when nothing is. Tensors are read where torch is."""
    buckets = {name.removeprefix(f"{IMAGES}/"): value for name, value in release.domains.items()}
    wrong = []
    if (folder / CLASS_NAMES).read_text(encoding="utf-8") != "\n".join(release.classes):
        wrong.append(f"'{CLASS_NAMES}' does not have the {len(release.classes):,} names of release.json")
    if _json(folder / BUCKETS) != list(buckets):
        wrong.append(f"'{BUCKETS}' does not name the buckets {', '.join(buckets)}")
    splits = split_columns([column.name for column in release.columns], release.parameters["splits"])
    for bucket, file in zip(buckets, release.files, strict=True):
        rows = pq.read_table(folder / file.path, columns=[UID, FILE_NAME, CLASS_ID, *splits])
        wrong += _lists(folder, release, bucket, rows, splits)
        if find_spec("torch"):
            wrong += _tensors(folder, bucket, rows)
    if release.layout == "clear":
        wrong += _metadata(folder, release, buckets)
    tensors = "" if find_spec("torch") else "; tensors were not read, as torch is not installed"
    return wrong, f"lists of {len(buckets)} buckets in {len(splits)} splits agree with the metadata{tensors}"


def _lists(folder: Path, release: ReleaseRecord, bucket: str, rows: pa.Table, splits: tuple[str, ...]) -> Iterator[str]:
    files, kinds = rows.column(FILE_NAME).to_pylist(), rows.column(CLASS_ID).to_pylist()
    lines = [f"{file} {kind}" for file, kind in zip(files, kinds, strict=True)]
    yield from _same(folder, list_path(bucket), lines)
    missing = [file for file in files if release.images and not (folder / file).is_file()]
    yield from (f"'{file}' is not there" for file in missing[:1])
    for number, column in enumerate(splits):
        place = split_path(release.parameters["testset_ratio"], number, bucket)
        sides = np.array(rows.column(column).to_pylist())
        for side in SIDES:
            places = np.flatnonzero(sides == side).tolist()
            yield from _same(folder, f"{place}/{side}.txt", [lines[at] for at in places])
            if _json(folder / place / f"{side}_indices.json") != places:
                yield f"'{place}/{side}_indices.json' does not have the rows of '{side}'"


def _same(folder: Path, path: str, lines: list[str]) -> Iterator[str]:
    found = (folder / path).read_text(encoding="utf-8").splitlines()
    if found != lines:
        at = next((at for at, pair in enumerate(zip(found, lines, strict=False)) if pair[0] != pair[1]), None)
        where = f"line {at + 1:,} is {found[at]!r}" if at is not None else f"it has {len(found):,} lines"
        yield f"'{path}' is not as the metadata says: {where}"


def _tensors(folder: Path, bucket: str, rows: pa.Table) -> Iterator[str]:
    import torch

    for path in sorted((folder / FOLDER / "features").glob(f"*/{bucket}/all.pth")):
        tensor, kinds = torch.load(path, weights_only=True)
        if tuple(tensor.shape)[:1] != (len(rows),) or kinds != rows.column(CLASS_ID).to_pylist():
            name = path.relative_to(folder).as_posix()
            yield f"'{name}' does not have the {len(rows):,} rows and classes of its list"


def _metadata(folder: Path, release: ReleaseRecord, buckets: Mapping[str, str]) -> Iterator[str]:
    """The JSON files of the labelled images against the metadata."""
    index = _json(folder / f"{LABELED}.json")
    for (bucket, value), file in zip(buckets.items(), release.files, strict=True):
        rows = pq.read_table(folder / file.path, columns=[UID, FILE_NAME, CLASS_ID]).to_pylist()
        wanted: dict[int, dict[str, str]] = {number: {} for number in range(len(release.classes))}
        for row in rows:
            wanted[row[CLASS_ID]][str(row[UID])] = row[FILE_NAME]
        for number, name in enumerate(release.classes):
            path = index[value][name]
            found = {key: entry[IMG_PATH] for key, entry in _json(folder / path).items()}
            if found != wanted[number]:
                yield f"'{path}' does not have the {len(wanted[number]):,} images of '{name}' in bucket {bucket}"


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
