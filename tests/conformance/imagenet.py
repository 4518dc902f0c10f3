"""Rows of ImageNet's size: its classes, and attributes of six uneven clusters a class, merged in pairs."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

IMAGES, CLASSES, LARGEST, SMALLEST = 1_281_167, 1_000, 1_300, 732
_BELOW = 105
"""Classes with fewer images than the largest; the others have 1,300."""


def class_sizes() -> np.ndarray:
    """Images of each class, int64 (1000,): as many classes are below 1,300, down to 732, and the sum is ImageNet's."""
    missing = ((LARGEST - SMALLEST) * (np.arange(_BELOW, 0, -1) / _BELOW) ** 2.2).astype(np.int64)
    missing[1 : 1 + abs(CLASSES * LARGEST - IMAGES - missing.sum())] += np.sign(
        CLASSES * LARGEST - IMAGES - missing.sum()
    )
    return LARGEST - np.concatenate([np.zeros(CLASSES - _BELOW, np.int64), missing])


def imagenet(seed: int) -> pa.Table:
    """uid, label and attribute of all images, in random order."""
    draw = np.random.default_rng(seed)
    sizes = draw.permutation(class_sizes())
    shares = draw.dirichlet([9, 6, 5, 4, 3, 2], CLASSES)
    clusters = np.maximum((shares * sizes[:, None]).astype(np.int64), 41)
    clusters.sort(axis=1)
    clusters[:, -1] += sizes - clusters.sum(axis=1)
    attributes = np.sort(clusters, axis=1)[:, ::-1].reshape(CLASSES, 3, 2).sum(axis=2)
    cells = np.repeat(np.arange(3 * CLASSES), attributes.reshape(-1))
    order = draw.permutation(IMAGES)
    names = pa.array([f"n{number:08d}" for number in draw.permutation(CLASSES)])
    label = pa.DictionaryArray.from_arrays(pa.array((cells[order] // 3).astype(np.int32)), names)
    uids = pa.array(order).cast(pa.string())
    return pa.table({"uid": uids, "label": label, "attribute": pa.array((cells[order] % 3).astype(np.int32))})
