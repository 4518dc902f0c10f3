"""Combine the boxes that several people drew: those of a majority are accepted, the others are left to a reviewer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.errors import InputError
from poolwright.core.files import write_text
from poolwright.core.results.combined_boxes import BoxAgreement, CombinedBoxes
from poolwright.jobs.drawn_boxes import DrawnBoxes, DrawnImage, read_drawn
from poolwright.kernels.statistics.box_groups import group_boxes

FILES = INSTANCES, DISPUTED, AGREEMENT = "instances.json", "disputed.json", "agreement.json"


@dataclass(frozen=True)
class _Box:
    """A box of the result, or one that is disputed; `share` of the people drew it, `by` one of them if disputed."""

    name: str
    box: tuple[float, ...]
    share: float
    by: str = ""


@dataclass
class _Tally:
    """Counts of a class: accepted and disputed groups; pairs of boxes that match, and their overlaps.

    `possible` is the sum of the boxes of both people, over all pairs of people, so that F1 is twice the matched pairs
    divided by it.
    """

    boxes: int = 0
    disputed: int = 0
    matched: int = 0
    possible: int = 0
    overlap: float = 0.0

    def add(self, other: _Tally) -> None:
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def result(self, name: str) -> BoxAgreement:
        agreement = 2 * self.matched / self.possible if self.possible else None
        overlap = self.overlap / self.matched if self.matched else None
        return BoxAgreement(name, self.boxes, self.disputed, agreement, overlap)


Counts = dict[str, _Tally]
"""Counts by class."""


def combine(
    files: Sequence[Path], to: Path, reviewer: Path | None, least_overlap: float, least_people: int, strip: str
) -> CombinedBoxes:
    """Combine files of several people, one each, and write the files of the result into the folder `to`.

    Raises:
        InputError: a file cannot be read or is given twice, sizes of a picture differ, or a number is out of range.
        RecipeError: a file is not in the format of COCO.
    """
    if not 0 < least_overlap <= 1:
        raise InputError(f"iou {least_overlap:g}: the smallest overlap of boxes of one object is above 0, at most 1")
    if not 1 <= least_people <= len(files):
        raise InputError(f"least {least_people}: between 1 and the number of people, {len(files)}")
    given = [*files, *([reviewer] if reviewer else [])]
    if len({file.resolve() for file in given}) < len(given):
        raise InputError("a file is given twice; give one file for each person")
    people = {str(file): read_drawn(file, strip) for file in given}
    looks = _looks(people)
    deciding = people.pop(str(reviewer)) if reviewer else DrawnBoxes({}, ())
    decided, disputed, counts = _decide(looks, people, deciding, least_overlap, least_people)
    total = _Tally()
    for one in counts.values():
        total.add(one)
    found = CombinedBoxes(
        people=len(people),
        images=len(decided),
        too_few=tuple(name for name in looks if name not in decided),
        disputed_images=len(disputed),
        reviewed=len(deciding.images),
        least_overlap=least_overlap,
        all=total.result(""),
        classes=tuple(counts[name].result(name) for name in sorted(counts)),
        remarks=tuple(remark for one in (*people.values(), deciding) for remark in one.remarks),
        files=tuple(to / name for name in FILES),
    )
    to.mkdir(parents=True, exist_ok=True)
    _write(to / INSTANCES, _coco(looks, decided, sorted(counts)))
    _write(to / DISPUTED, _coco(looks, disputed, sorted(counts)))
    _write(to / AGREEMENT, _document(found, given))
    return found


def _decide(
    looks: Iterable[str], people: Mapping[str, DrawnBoxes], deciding: DrawnBoxes, least: float, least_people: int
) -> tuple[dict[str, list[_Box]], dict[str, list[_Box]], Counts]:
    """Return the accepted boxes of each picture that is decided, all boxes of disputed ones, and counts by class."""
    decided, disputed = dict[str, list[_Box]](), dict[str, list[_Box]]()
    counts: Counts = defaultdict(_Tally)
    for name in looks:
        drawn = {person: one.images[name] for person, one in people.items() if name in one.images}
        if len(drawn) < least_people and name not in deciding.images:
            continue
        kept, open_, found = _judge(drawn, least)
        if name in deciding.images:
            kept, open_, found = _reviewed(deciding.images[name], found)
        decided[name] = kept
        if open_:
            disputed[name] = [*kept, *open_]
        for label, one in found.items():
            counts[label].add(one)
    return decided, disputed, counts


def _looks(people: Mapping[str, DrawnBoxes]) -> dict[str, DrawnImage]:
    """Return all pictures by name, each as the first file with its size describes it.

    Raises:
        InputError: files give a picture several sizes: their boxes cannot be compared.
    """
    looks: dict[str, DrawnImage] = {}
    for file, one in people.items():
        for name, image in one.images.items():
            known = looks.setdefault(name, image)
            if None in known.size:
                looks[name] = image
            elif None not in image.size and image.size != known.size:
                sizes = " and ".join(f"{width} x {height}" for width, height in (known.size, image.size))
                raise InputError(f"{file}: '{name}' is {sizes} in different files; export boxes of one size")
    return {name: looks[name] for name in sorted(looks)}


def _judge(drawn: Mapping[str, DrawnImage], least: float) -> tuple[list[_Box], list[_Box], Counts]:
    """Return the boxes of a picture that a majority drew, all others, and the counts by class."""
    kept, open_, counts = list[_Box](), list[_Box](), dict[str, _Tally]()
    names = list(drawn)
    for label in sorted({label for one in drawn.values() for label in one.classes}):
        own = [one.boxes[[name == label for name in one.classes]] for one in drawn.values()]
        boxes, person = np.concatenate(own), np.repeat(np.arange(len(own)), [len(one) for one in own])
        count = counts[label] = _Tally(possible=len(boxes) * (len(own) - 1))
        for group in group_boxes(boxes, person, least):
            pairs, share = comb(len(group.members), 2), len(group.members) / len(own)
            count.matched += pairs
            count.overlap += pairs * group.overlap
            if 2 * len(group.members) > len(own):
                count.boxes += 1
                kept.append(_Box(label, tuple(boxes[list(group.members)].mean(axis=0).tolist()), share))
            else:
                count.disputed += 1
                open_ += [_Box(label, tuple(boxes[one].tolist()), share, names[person[one]]) for one in group.members]
    return kept, open_, counts


def _reviewed(image: DrawnImage, counts: Counts) -> tuple[list[_Box], list[_Box], Counts]:
    """Return the boxes of a reviewer in place of those of the others, whose agreement is counted all the same."""
    kept = [_Box(label, tuple(box), 1.0) for label, box in zip(image.classes, image.boxes.tolist(), strict=True)]
    found = {name: replace(one, boxes=0, disputed=0) for name, one in counts.items()}
    for box in kept:
        found.setdefault(box.name, _Tally()).boxes += 1
    return kept, [], found


def _coco(
    looks: Mapping[str, DrawnImage], boxes: Mapping[str, Sequence[_Box]], classes: Iterable[str]
) -> dict[str, Any]:
    """Return a document in the format of COCO; `score` is the share of the people who drew a box."""
    numbers = {name: number for number, name in enumerate(classes, start=1)}
    images = [
        {"id": number, "file_name": name, "width": looks[name].size[0], "height": looks[name].size[1]}
        for number, name in enumerate(boxes, start=1)
    ]
    annotations = [
        {
            "image_id": number,
            "category_id": numbers[one.name],
            "bbox": [round(value, 3) for value in one.box],
            "area": round(one.box[2] * one.box[3], 3),
            "iscrowd": 0,
            "score": round(one.share, 4),
            **({"annotator": Path(one.by).stem} if one.by else {}),
        }
        for number, found in enumerate(boxes.values(), start=1)
        for one in found
    ]
    return {
        "images": images,
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, start=1)],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }


def _document(found: CombinedBoxes, files: Sequence[Path]) -> dict[str, Any]:
    """Return the counts, with the digests of the files; it names nobody."""
    counts = asdict(found)
    del counts["files"], counts["remarks"]
    return {"format": 1, **counts, "sha256": [sha256(file.read_bytes()).hexdigest() for file in files]}


def _write(path: Path, document: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
