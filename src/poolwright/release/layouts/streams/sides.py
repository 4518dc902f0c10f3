"""Write and check the folders `train` and `test` of a stream, the form in which CLEAR is published today.

<side>/class_names.txt                           as in the folder of the release
<side>/labeled_metadata.json                     {bucket: {class: path below <side>}}; buckets are numbered from 0
<side>/labeled_metadata/<bucket>/<class>.json    {id: {"ID": id, "IMG_PATH": path of the image, seen from <side>}}
<side>/features/<name>/features.json             {bucket: {class: path below <side>}}
<side>/features/<name>/<bucket>/<class>.pth      {id: tensor}

Avalanche 0.6.0 reads it as `CLEAR(data_name="clear10")`, its default. The images stay in `labeled_images`, so the paths
begin with '..'. Avalanche takes a bucket's key as its position, and loads features of the name `moco_b0` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.release.data.features import CLASS_ID, FILE_NAME
from poolwright.release.layouts.streams.json_objects import IMG_PATH
from poolwright.release.layouts.streams.stream import SIDES, Stream, write_names
from poolwright.release.layouts.streams.tensors import Features
from poolwright.release.record import OtherFile

LABELED = "labeled_metadata"
_NAMES = "class_names.txt"


def write_sides(folder: Path, stream: Stream, files: Sequence[str], features: Features) -> list[OtherFile]:
    """Write the two folders by the first split of a stream; nothing if it has none.

    Args:
        folder: folder of the release.
        files: path of the image of each row of the table.
    """
    written: list[OtherFile] = []
    for number, side in enumerate(SIDES if stream.sides else ()):
        on_side = next(iter(stream.sides.values())) == number
        (folder / side).mkdir()
        write_names(folder / side, _NAMES, stream.classes)
        written.append(OtherFile(path=f"{side}/{_NAMES}", type="text/plain", words="Names of the classes by index"))
        index = {name: _empty(stream) for name in (LABELED, *(f"features/{name}" for name in features.names))}
        for (bucket, kind), rows in _cells(stream, on_side):
            where = f"{stream.folders[bucket]}/{stream.class_folders[kind]}"
            ids = [stream.uids[row] for row in rows.tolist()]
            entries = [{"ID": uid, IMG_PATH: f"../{files[row]}"} for uid, row in zip(ids, rows.tolist(), strict=True)]
            path = f"{LABELED}/{where}.json"
            _write(folder / side / path, dict(zip(ids, entries, strict=True)))
            index[LABELED][str(bucket)][stream.classes[kind]] = path
            for name in features.names:
                path = f"features/{name}/{where}.pth"
                features.save_mapping(folder / side / path, name, rows, ids)
                index[f"features/{name}"][str(bucket)][stream.classes[kind]] = path
        for name, paths in index.items():
            path = f"{side}/{LABELED}.json" if name == LABELED else f"{side}/{name}/features.json"
            _write(folder / path, paths)
            words = f"{'Metadata' if name == LABELED else 'Features'} of the images of '{side}' by bucket and class"
            written.append(OtherFile(path=path, type="application/json", words=words))
    return written


def check_sides(folder: Path, number: int, rows: pa.Table, column: str, classes: Sequence[str]) -> Iterator[str]:
    """Yield the problems with the metadata of one bucket in the two folders.

    Args:
        folder: folder of the release.
        number: position of the bucket.
        rows: metadata of the bucket: uid, file_name, class_id and the first split.
        column: column of that split.
        classes: names of the classes by index.
    """
    listed = rows.select([UID, FILE_NAME, CLASS_ID, column]).to_pylist()
    for side in SIDES:
        index = _read(folder / side / f"{LABELED}.json")[str(number)]
        for kind, name in enumerate(classes):
            found = {uid: entry[IMG_PATH] for uid, entry in _read(folder / side / index[name]).items()}
            here = [row for row in listed if row[column] == side and row[CLASS_ID] == kind]
            if found != {str(row[UID]): f"../{row[FILE_NAME]}" for row in here}:
                yield f"'{side}/{index[name]}' does not have the {len(here):,} images of '{name}' in '{side}'"


def _cells(stream: Stream, chosen: np.ndarray) -> Iterator[tuple[tuple[int, int], np.ndarray]]:
    """Yield the chosen rows of each bucket and class, also if there are none: readers look for every class."""
    for bucket in range(len(stream.folders)):
        rows = stream.listed(bucket)
        rows = rows[chosen[rows]]
        for kind in range(len(stream.classes)):
            yield (bucket, kind), rows[stream.class_of[rows] == kind]


def _empty(stream: Stream) -> dict[str, dict[str, str]]:
    return {str(number): {} for number in range(len(stream.folders))}


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
