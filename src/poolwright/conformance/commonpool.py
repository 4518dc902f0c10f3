"""Generate a CommonPool of any size: shards as DataComp publishes them, in which few rows are of a wanted class.

Vectors are around 400 centres of a sphere, more of them around some centres than around others, as those of real
images do: all share a direction, and within a cluster a few directions vary more than the rest. Some clusters are
'maps', 0.75 % of the rows together; for each there are two that are easily mistaken for it. A support vector machine
on a few thousand balanced examples therefore has a few hundred support vectors, and makes mistakes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WIDTHS = {"b32_img": 512, "b32_txt": 512, "l14_img": 768, "l14_txt": 768}
CLUSTERS, MAPS, NEIGHBOURS = 400, 12, 2
PREVALENCE = 0.0075
SEED = 4
CONFUSING = 0.03
"""Share of the rows that are in the neighbours of the clusters of maps."""

SHARED, KIN, SPREAD, APART = 0.8, 1.0, 1.0, 0.6
"""Lengths relative to a centre's 1: of the direction all clusters share, of the one that maps share, of what varies
within a cluster, and of what separates a neighbour from its cluster of maps."""

DECAY = 0.35
"""The standard deviation of direction j within a cluster falls as (j + 1) to this power."""

_BLOCK = 4_096


@dataclass(frozen=True)
class GeneratedPool:
    """The rows written, and how many of them are maps."""

    rows: int
    maps: int


@dataclass(frozen=True)
class PoolVectors:
    """The distribution of the vectors. Depends on the seed alone.

    Attributes:
        weights: (CLUSTERS,) part of the rows in each cluster; the first `MAPS` are maps, then come their neighbours.
        centres: (CLUSTERS, d) float32 by array.
        scales: (d,) float32 by array: standard deviation of each direction within a cluster.
    """

    seed: int
    weights: np.ndarray
    centres: dict[str, np.ndarray]
    scales: dict[str, np.ndarray]

    def vectors(self, array: str, clusters: np.ndarray, stream: Sequence[int]) -> np.ndarray:
        """Return a vector of each row's cluster: float16 (n, d), unit length."""
        generator = np.random.default_rng([self.seed, *stream, *array.encode()])
        centres, scales = self.centres[array], self.scales[array]
        found = np.empty((len(clusters), len(scales)), np.float16)
        for at in range(0, len(clusters), _BLOCK):
            mine = clusters[at : at + _BLOCK]
            block = generator.standard_normal((len(mine), len(scales)), dtype=np.float32)
            block *= scales
            block += centres[mine]
            block /= np.sqrt(np.einsum("ij,ij->i", block, block))[:, None]
            found[at : at + _BLOCK] = block
        return found


def world(seed: int, arrays: Sequence[str] = ("l14_img",)) -> PoolVectors:
    """Make the world of a seed."""
    generator = np.random.default_rng([seed, 0])
    weights = (1 + np.arange(CLUSTERS)) ** -0.7
    near = MAPS * (1 + NEIGHBOURS)
    parts = ((0, MAPS, PREVALENCE), (MAPS, near, CONFUSING), (near, CLUSTERS, 1 - PREVALENCE - CONFUSING))
    for start, stop, part in parts:
        weights[start:stop] *= part / weights[start:stop].sum()
    centres, scales = {}, {}
    for array in WIDTHS:
        centres[array], scales[array] = _centres(generator, WIDTHS[array])
    return PoolVectors(
        seed, weights, {array: centres[array] for array in arrays}, {array: scales[array] for array in arrays}
    )


def _centres(generator: np.random.Generator, width: int) -> tuple[np.ndarray, np.ndarray]:
    centres = _unit(generator.standard_normal((CLUSTERS, width)))
    centres[:MAPS] = _unit(centres[:MAPS] + KIN * _unit(generator.standard_normal((1, width))))
    for index in range(MAPS * NEIGHBOURS):
        centres[MAPS + index] = _unit(centres[index % MAPS] + APART * centres[MAPS + index])
    centres += SHARED * _unit(generator.standard_normal((1, width)))
    scales = (1.0 + generator.permutation(width)) ** -DECAY
    return centres.astype(np.float32), (SPREAD * scales / np.linalg.norm(scales)).astype(np.float32)


def _unit(values: np.ndarray) -> np.ndarray:
    unit: np.ndarray = values / np.linalg.norm(values, axis=-1, keepdims=True)
    return unit


def examples(seed: int, each: int, stream: int, array: str = "l14_img") -> tuple[np.ndarray, np.ndarray]:
    """Make examples as people would collect them: as many maps as others, none of them rows of the pool.

    Args:
        seed: of the pool.
        each: examples of maps, and of others.
        stream: another number gives other examples: 1 to train, 2 to validate.

    Returns:
        Vectors float16 (2 each, d), and whether each is a map, bool (2 each,).
    """
    generator = np.random.default_rng([seed, 1, stream])
    made = world(seed, (array,))
    is_map = np.repeat([True, False], each)
    of_maps = generator.choice(MAPS, each, p=_shares(made.weights[:MAPS]))
    of_others = generator.choice(np.arange(MAPS, CLUSTERS), each, p=_shares(made.weights[MAPS:]))
    clusters = np.concatenate([of_maps, of_others])
    order = generator.permutation(len(clusters))
    return made.vectors(array, clusters[order], (1, stream)), is_map[order]


def _shares(weights: np.ndarray) -> np.ndarray:
    shares: np.ndarray = weights / weights.sum()
    return shares


def write(
    folder: Path, rows: int, shards: int, arrays: Sequence[str] = ("l14_img",), seed: int = SEED
) -> GeneratedPool:
    """Write a pool shard by shard, a shard in memory at once; done once for the same arguments.

    A shard is `00000000.parquet`, with the published columns and `truth` (bool), next to `00000000.npz`, stored.
    """
    record = folder / "generated.json"
    asked = {"rows": rows, "shards": shards, "arrays": list(arrays), "seed": seed}
    if record.exists():
        known = json.loads(record.read_text())
        if known["asked"] == asked:
            return GeneratedPool(rows, known["maps"])
    folder.mkdir(parents=True, exist_ok=True)
    for old in (record, *folder.glob("*.parquet"), *folder.glob("*.npz")):
        old.unlink(missing_ok=True)
    made, maps = world(seed, arrays), 0
    for shard in range(shards):
        count = rows * (shard + 1) // shards - rows * shard // shards
        maps += _write_shard(folder / f"{shard:08d}", made, shard, count, arrays)
    record.write_text(json.dumps({"asked": asked, "maps": maps}))
    return GeneratedPool(rows, maps)


def _write_shard(base: Path, made: PoolVectors, shard: int, rows: int, arrays: Sequence[str]) -> int:
    """Write one shard; returns how many of its rows are maps."""
    generator = np.random.default_rng([made.seed, 2, shard])
    clusters = generator.choice(CLUSTERS, rows, p=made.weights)
    vectors = {array: made.vectors(array, clusters, (2, shard)) for array in arrays}
    np.savez(base.with_suffix(".npz"), **vectors)  # type: ignore[arg-type]
    pq.write_table(_metadata(generator, shard, clusters), base.with_suffix(".parquet"), compression="zstd")
    return int((clusters < MAPS).sum())


def _metadata(generator: np.random.Generator, shard: int, clusters: np.ndarray) -> pa.Table:
    rows, is_map = len(clusters), clusters < MAPS
    numbers = pa.array(np.arange(rows)).cast(pa.string()).to_pylist()
    says_map = generator.random(rows) < np.where(is_map, 0.6, 0.004)
    texts = [
        f"{'map of ' if says else ''}place {cluster} {number}"
        for says, cluster, number in zip(says_map.tolist(), clusters.tolist(), numbers, strict=True)
    ]
    boxes = pa.ListArray.from_arrays(np.zeros(rows + 1, np.int32), pa.array([], pa.list_(pa.float64())))
    return pa.table(
        {
            "uid": _hex(generator, rows, 16),
            "url": [f"https://example.org/{shard}/{number}.jpg" for number in numbers],
            "text": texts,
            "original_width": generator.integers(100, 2_000, rows),
            "original_height": generator.integers(100, 2_000, rows),
            "clip_b32_similarity_score": generator.normal(0.25, 0.06, rows).astype(np.float32),
            "clip_l14_similarity_score": generator.normal(0.2, 0.06, rows).astype(np.float32),
            "face_bboxes": boxes,
            "sha256": _hex(generator, rows, 32),
            "truth": is_map,
        }
    )


def _hex(generator: np.random.Generator, rows: int, size: int) -> pa.Array:
    """Return strings of `size` random bytes each, hex."""
    digits = generator.bytes(rows * size).hex().encode()
    offsets = np.arange(rows + 1, dtype=np.int32) * (2 * size)
    return pa.StringArray.from_buffers(rows, pa.py_buffer(offsets.tobytes()), pa.py_buffer(digits))
