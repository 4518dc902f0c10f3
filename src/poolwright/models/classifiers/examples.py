"""Labelled, embedded examples that classifiers are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poolwright.core.errors import InputError, RecipeError, did_you_mean
from poolwright.kernels.selection.hashing import hash64
from poolwright.kernels.similarity.near_duplicates import nearest_other
from poolwright.kernels.similarity.unit_length import unit_rows

FEATURES = ("image", "text", "image+text")
TRAIN, VALIDATION = "train", "validation"

Floating = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.int64]
Strings = npt.NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """Labelled rows.

    Attributes:
        uids: (n,) strings, each once within a split.
        vectors: (n, d) image embeddings of unit length, finite.
        labels: (n,) strings.
        split: (n,) 'train' or 'validation'; None to let `train` split.
        text: (n, t) features of the captions: embeddings, or 0/1 columns of keywords; zeros where there is no caption.
        sha256: (n,) hashes of the image files, '' where unknown.
    """

    uids: Sequence[str] | Strings
    vectors: Floating
    labels: Sequence[str] | Strings
    split: Sequence[str] | Strings | None = None
    text: Floating | None = None
    sha256: Sequence[str] | Strings | None = None

    def __len__(self) -> int:
        return len(self.uids)

    def take(self, rows: Integers | npt.NDArray[np.bool_]) -> Examples:
        """Return the rows at these indices, or where the mask is true."""

        def some(values: Any) -> Any:
            return None if values is None else np.asarray(values)[rows]

        return Examples(*(some(getattr(self, name)) for name in self.__dataclass_fields__))

    def matrix(self, features: str) -> Floating:
        """Return the input of a classifier of these features; see `feature_matrix`."""
        return feature_matrix(features, self.vectors, self.text)


def joined(parts: Sequence[Examples]) -> Examples:
    """Join the rows of all parts; if several have the same uid, the last part's row is used.

    Raises:
        InputError: the widths of their vectors differ.
    """
    if len({part.vectors.shape[1] for part in parts}) > 1:
        raise InputError("examples: the vectors of the tables have different widths; they must be of one model")
    later: set[str] = set()
    kept: list[Examples] = []
    for part in reversed(parts):
        kept.insert(0, part.take(np.array([str(uid) not in later for uid in part.uids], bool)))
        later.update(map(str, part.uids))

    def together(name: str) -> Any:
        values = [getattr(part, name) for part in kept]
        # Values that one table lacks, such as hashes, are unknown for all.
        return None if any(value is None for value in values) else np.concatenate(values)

    return Examples(*(together(name) for name in Examples.__dataclass_fields__))


def feature_matrix(features: str, vectors: Floating, text: Floating | None) -> Floating:
    """Return the rows (n, w) that a classifier of 'image', 'text' or 'image+text' decides on, concatenated.

    Text alone gets one more column of ones: otherwise a row without a caption or any keyword has no direction.
    """
    if features == "image":
        return vectors
    if text is None:
        raise ValueError(f"features '{features}' need text in addition to the vectors")
    text = np.asarray(text, vectors.dtype)
    return np.hstack([vectors, text] if features == "image+text" else [text, np.ones((len(text), 1), text.dtype)])


def in_order(examples: Examples) -> Examples:
    """Sort examples by uid, then by split, so that their input order does not matter, and check them.

    Raises:
        InputError: lengths differ, values are not finite, a uid occurs twice, or a split has another name.
    """
    _check_lengths(examples)
    split = None if examples.split is None else np.asarray(examples.split, dtype=np.str_)
    uids = np.asarray(examples.uids, dtype=np.str_)
    order = np.lexsort([uids] if split is None else [split, uids])
    ordered = replace(
        examples.take(order),
        uids=uids[order],
        labels=np.asarray(examples.labels, dtype=np.str_)[order],
        split=None if split is None else split[order],
        vectors=np.asarray(examples.vectors, np.float32)[order],
        text=None if examples.text is None else np.asarray(examples.text, np.float32)[order],
    )
    _check_numbers(ordered)
    _check_names(ordered)
    return ordered


def class_indices(labels: Strings, positive: str | None) -> tuple[tuple[str, ...], Integers]:
    """Return the class names, and the class index of each row.

    With `positive` there are two classes, (negative, positive); all other labels are one class 'not <positive>'.

    Raises:
        InputError: there is one class only.
        RecipeError: no row has the positive class, or there are two classes and `positive` is None.
    """
    names, index = np.unique(labels, return_inverse=True)
    known = tuple(str(name) for name in names)
    if len(known) < 2:
        raise InputError(f"examples: all {len(labels):,} rows are of class '{known[0]}'; give rows of another class")
    if positive is None:
        if len(known) == 2:
            raise RecipeError(f"examples: of the classes '{known[0]}' and '{known[1]}', set which is 'positive'")
        return known, np.asarray(index, np.int64)
    if positive not in known:
        raise RecipeError(f"examples: no row has the positive class '{positive}'; {did_you_mean(positive, known)}")
    others = [name for name in known if name != positive]
    negative = others[0] if len(others) == 1 else f"not {positive}"
    return (negative, positive), np.asarray(labels == positive, np.int64)


def split_by_hash(examples: Examples, classes: Integers, share: float, key: int) -> Strings:
    """Return 'train' or 'validation' (n,): in every class the `share` of rows with the lowest uid hashes validates."""
    hashes = hash64(pa.array(examples.uids, pa.string()), key)
    split = np.full(len(classes), TRAIN, dtype="<U10")
    for one in np.unique(classes):
        members = np.flatnonzero(classes == one)
        number = min(max(1, round(share * len(members))), len(members) - 1)
        split[members[np.argsort(hashes[members], kind="stable")[:number]]] = VALIDATION
    return split


def duplicates_of(train: Examples, validation: Examples, least: float | None) -> pa.Table:
    """Find rows of `train` that are in `validation` too, by uid, by SHA-256 or by a cosine of at least `least`.

    Returns:
        columns uid, duplicate_of (uid), by, cosine (float32), in the order of `train`.
    """
    nearest, cosines = nearest_other(train.vectors, validation.vectors)
    by, of = np.full(len(train), "", dtype="<U6"), nearest.copy()
    if least is not None:
        by[cosines >= least] = "cosine"
    for name, ours, theirs in (
        ("sha256", train.sha256, validation.sha256),
        ("uid", train.uids, validation.uids),
    ):
        known = {str(value): index for index, value in enumerate(theirs) if value} if theirs is not None else {}
        for row, value in enumerate(ours if ours is not None else ()):
            if str(value) in known:
                by[row], of[row] = name, known[str(value)]
    found = np.flatnonzero(by != "")
    exact = _cosines(train.vectors[found], validation.vectors[of[found]])
    columns = {"uid": np.asarray(train.uids)[found], "duplicate_of": np.asarray(validation.uids)[of[found]]}
    return pa.table(
        {
            **{name: pa.array([str(value) for value in values], pa.string()) for name, values in columns.items()},
            "by": pa.array([str(value) for value in by[found]], pa.string()),
            "cosine": pa.array(exact, pa.float32()),
        }
    )


def conflicts_in(examples: Examples) -> pa.Table:
    """Find rows with the same vector and different labels: columns uid, label, same_as (uid), its_label."""
    first: dict[bytes, int] = {}
    found: list[tuple[int, int]] = []
    for row, vector in enumerate(np.ascontiguousarray(examples.vectors)):
        one = first.setdefault(vector.tobytes(), row)
        if examples.labels[one] != examples.labels[row]:
            found.append((row, one))
    columns = {
        "uid": [str(examples.uids[row]) for row, _ in found],
        "label": [str(examples.labels[row]) for row, _ in found],
        "same_as": [str(examples.uids[one]) for _, one in found],
        "its_label": [str(examples.labels[one]) for _, one in found],
    }
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


def _cosines(left: Floating, right: Floating) -> npt.NDArray[np.float64]:
    return np.asarray(np.vecdot(unit_rows(left, np.float64), unit_rows(right, np.float64)))


def _check_lengths(examples: Examples) -> None:
    if np.ndim(examples.vectors) != 2:
        raise InputError(f"examples: vectors have shape {np.shape(examples.vectors)}; they must be (rows, dimensions)")
    for name in ("vectors", "labels", "split", "text", "sha256"):
        values = getattr(examples, name)
        if values is not None and len(values) != len(examples):
            raise InputError(f"examples: {len(values):,} {name} for {len(examples):,} uids; give one for each row")
    if not len(examples):
        raise InputError("examples: there are no rows to train on")


def _check_numbers(examples: Examples) -> None:
    for name, values in (("vectors", examples.vectors), ("text", examples.text)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1)) if values is not None else ()
        if len(bad):
            _refuse(examples, bad, f"have NaN or infinity in their {name}; drop them before training")
    zero = np.flatnonzero(~np.any(examples.vectors, axis=1))
    if len(zero):
        _refuse(examples, zero, "have vectors of zeros; drop them before training")


def _check_names(examples: Examples) -> None:
    uids = np.asarray(examples.uids)
    split = np.full(len(uids), TRAIN) if examples.split is None else np.asarray(examples.split)
    twice = np.flatnonzero((uids[1:] == uids[:-1]) & (split[1:] == split[:-1]))
    if len(twice):
        _refuse(examples, twice, "share their uid with another row of their split; give each row a uid of its own")
    other = np.flatnonzero(~np.isin(split, (TRAIN, VALIDATION)))
    if len(other):
        _refuse(
            examples, other, f"have a split that is neither '{TRAIN}' nor '{VALIDATION}'; rename it, or leave it out"
        )


def _refuse(examples: Examples, rows: Any, what: str) -> None:
    uids = ", ".join(f"'{examples.uids[row]}'" for row in rows[:3])
    more = f" and {len(rows) - 3:,} more" if len(rows) > 3 else ""
    raise InputError(f"examples: {len(rows):,} rows {what}: {uids}{more}")
