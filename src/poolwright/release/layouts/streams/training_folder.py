"""Write and check the training folder of a stream: lists and tensors from which Avalanche makes benchmarks.

training_folder/bucket_indices.json                              ["1", "2", ...]: the buckets, in order
training_folder/filelists/<bucket>/all.txt                       lines `path class_index`, as in Caffe
training_folder/testset_ratio_0.3/split_0/<bucket>/train.txt     the lines of one side; test.txt likewise
training_folder/testset_ratio_0.3/split_0/<bucket>/train_indices.json    their line numbers in all.txt, from 0
training_folder/features/<name>/<bucket>/all.pth                 (tensor (n, d), list of n class indices), as in all.txt

Format of https://github.com/linzhiqiu/continual-learning, prepare_training_folder.py; Avalanche reads it as
`CLEAR(data_name="clear10_neurips2021")`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.errors import ReleaseError
from poolwright.release.data.features import CLASS_ID, FILE_NAME
from poolwright.release.layouts.streams.stream import SIDES, Stream
from poolwright.release.layouts.streams.tensors import Features
from poolwright.release.record import OtherFile

FOLDER = "training_folder"
BUCKETS = f"{FOLDER}/bucket_indices.json"
FEATURES = f"{FOLDER}/features/"
_TOLERANCE = 0.05
"""Largest difference between the share of test rows and the ratio in the name of the folder."""


def list_path(bucket: str) -> str:
    """Return the path of the list of all rows of a bucket."""
    return f"{FOLDER}/filelists/{bucket}/all.txt"


def split_path(ratio: float, split: int, bucket: str) -> str:
    """Return the folder of one split of a bucket."""
    return f"{FOLDER}/testset_ratio_{ratio:g}/split_{split}/{bucket}"


def tensors_path(name: str, bucket: str) -> str:
    """Return the path of an encoder's features of a bucket."""
    return f"{FEATURES}{name}/{bucket}/all.pth"


def write_training_folder(
    folder: Path, stream: Stream, files: Sequence[str], ratio: float, features: Features
) -> list[OtherFile]:
    """Write the training folder.

    Args:
        folder: folder of the release.
        files: path of the image of each row of the table.
        ratio: share of test rows, after which a folder is named.

    Raises:
        ReleaseError: the share of test rows of a split differs from `ratio` by more than 0.05.
    """
    for column, side in stream.sides.items():
        _check_ratio(column, float(side.mean()) if len(side) else ratio, ratio)
    _write_json(folder / BUCKETS, list(stream.buckets))
    written = [OtherFile(path=BUCKETS, type="application/json", words="The buckets, in order")]
    for number, bucket in enumerate(stream.folders):
        rows = stream.listed(number)
        lines = [f"{files[row]} {stream.class_of[row]}" for row in rows.tolist()]
        _write_lines(folder / list_path(bucket), lines)
        words = f"{len(lines):,} lines of path and class index"
        written.append(OtherFile(path=list_path(bucket), type="text/plain", words=words))
        for split, side in enumerate(stream.sides.values()):
            _write_sides(folder / split_path(ratio, split, bucket), lines, side[rows])
        for name in features.names:
            path = tensors_path(name, bucket)
            features.save_pair(folder / path, name, number)
            words = f"Features {name} of {len(lines):,} rows, and their classes, as torch tensors"
            written.append(OtherFile(path=path, type="application/octet-stream", words=words))
    return written


def check_buckets(folder: Path, buckets: Sequence[str]) -> Iterator[str]:
    """Yield the problems with the list of buckets.

    Args:
        folder: folder of the release.
        buckets: folders of the buckets, in order.
    """
    if _read_json(folder / BUCKETS) != list(buckets):
        yield f"'{BUCKETS}' does not name the buckets {', '.join(buckets)}"


def check_lists(folder: Path, bucket: str, rows: pa.Table, splits: Sequence[str], ratio: float) -> Iterator[str]:
    """Yield the problems with the lists of a bucket and its splits.

    Args:
        folder: folder of the release.
        bucket: folder of the bucket.
        rows: metadata of the bucket: file_name, class_id and the splits.
        splits: columns of the splits.
        ratio: share of test rows, after which a folder is named.
    """
    lines = [f"{row[FILE_NAME]} {row[CLASS_ID]}" for row in rows.select([FILE_NAME, CLASS_ID]).to_pylist()]
    yield from _same(folder, list_path(bucket), lines)
    for number, column in enumerate(splits):
        inner = split_path(ratio, number, bucket)
        sides = np.array(rows.column(column).to_pylist())
        for side in SIDES:
            numbers = np.flatnonzero(sides == side).tolist()
            yield from _same(folder, f"{inner}/{side}.txt", [lines[number] for number in numbers])
            if _read_json(folder / inner / f"{side}_indices.json") != numbers:
                yield f"'{inner}/{side}_indices.json' does not have the rows of '{side}'"


def check_tensors(folder: Path, bucket: str, rows: pa.Table) -> Iterator[str]:
    """Yield the problems with the tensors of a bucket, of every encoder.

    Args:
        folder: folder of the release.
        bucket: folder of the bucket.
        rows: metadata of the bucket, with class_id.
    """
    import torch

    for path in sorted((folder / FEATURES).glob(f"*/{bucket}/all.pth")):
        tensor, kinds = torch.load(path, weights_only=True)
        if tuple(tensor.shape)[:1] != (len(rows),) or kinds != rows.column(CLASS_ID).to_pylist():
            name = path.relative_to(folder).as_posix()
            yield f"'{name}' does not have the {len(rows):,} rows and classes of its list"


def _same(folder: Path, path: str, lines: Sequence[str]) -> Iterator[str]:
    found = (folder / path).read_text(encoding="utf-8").splitlines()
    if found != lines:
        at = next((at for at, pair in enumerate(zip(found, lines, strict=False)) if pair[0] != pair[1]), None)
        first = f"line {at + 1:,} is {found[at]!r}" if at is not None else f"it has {len(found):,} lines"
        yield f"'{path}' differs from the metadata: {first}"


def _write_sides(folder: Path, lines: Sequence[str], side: np.ndarray) -> None:
    for index, name in enumerate(SIDES):
        numbers = np.flatnonzero(side == index).tolist()
        _write_lines(folder / f"{name}.txt", [lines[number] for number in numbers])
        _write_json(folder / f"{name}_indices.json", numbers)


def _check_ratio(column: str, share: float, ratio: float) -> None:
    if abs(share - ratio) > _TOLERANCE:
        raise ReleaseError(
            f"{share:.1%} of the rows are 'test' in '{column}', but the folder would be called "
            f"testset_ratio_{ratio:g}; set `testset_ratio: {share:.2g}`"
        )


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8", newline="\n")


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
