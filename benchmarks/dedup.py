"""Near-duplicates of a million vectors by cells, against faiss-cpu's exact search by range; and how that scales.

Vectors are mixtures of two real CLIP image embeddings with noise, 5 % of them copies of others with a cosine between
0.93 and 1. Ours is a whole run: it reads parquet, admits, deals the rows out to cells on disk, measures its recall,
compares, groups and writes the table. faiss gets the vectors in memory, and a slice of them as queries; the time of its
search alone is scaled up to all of them. `dedup-scale` makes 0.5, 2 and 8 million rows of 128 dimensions on disk, or
a sixteenth, a fourth and all of POOLWRIGHT_BENCH_ROWS.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.timing import Usage, fresh_folder, measure, python
from poolwright.core.rows import vector_array
from poolwright.core.table import Table

ROWS, WIDTH, QUERIES, ABOVE, SEED = 1_000_000, 512, 400, 0.95, 17
MOST, NARROW = int(os.environ.get("POOLWRIGHT_BENCH_ROWS", 8_000_000)), 128
SIZES = (MOST // 16, MOST // 4, MOST)
CHUNK = 50_000
REAL = Path(os.environ.get("POOLWRIGHT_REAL_DATA", "../shared/data")) / "clip_vitb32"

FAISS = """
import sys, time
from pathlib import Path
import faiss, numpy as np, pyarrow.parquet as pq
from poolwright.core.rows import one_array, vectors_of
paths = sorted(Path(sys.argv[1]).glob("*.parquet"))
index = faiss.IndexFlatIP(int(sys.argv[2]))
for path in paths:
    rows = vectors_of(one_array(pq.read_table(path, columns=["clip"]).column("clip"))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    index.add(rows)
queries = rows[: int(sys.argv[3])]
index.range_search(queries[:20], float(sys.argv[4]))  # warms up
begun = time.perf_counter()
index.range_search(queries, float(sys.argv[4]))
print((time.perf_counter() - begun) / len(queries) * index.ntotal)
"""

RECIPE = """
recipe: 1
name: dedup
pools:
  rows: {read: table, path: rows-%d-%d}
tables:
  grouped:
    from: rows
    steps:
      - near_duplicates: {vectors: clip, above: %g, method: cells, recall: 99.5%%}
      - keep_columns: [duplicate_group]
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""


def run(work: Path, backend: str = "") -> float:
    """faiss's seconds over ours, at least 25; or the exponent of the time, at most 1.4."""
    return _scale(work) if backend == "scale" else _speed(work)


def _speed(work: Path) -> float:
    folder = make_rows(work, ROWS, WIDTH)
    ours = _ours(work, ROWS, WIDTH)
    measure(python(FAISS, folder, str(WIDTH), str(QUERIES), str(ABOVE)), work / "faiss.log")
    scaled = float((work / "faiss.log").read_text().splitlines()[-1])
    print(f"  faiss: {scaled:,.0f} s, scaled from {QUERIES} queries; poolwright: {ours.seconds:.0f} s")
    found = recall(work, folder)
    print(f"  recall of the planted pairs above {ABOVE}: {found:.4f}; at least 0.995")
    if found < 0.995:
        raise RuntimeError(f"recall of planted pairs is {found}")
    return scaled / ours.seconds


def _scale(work: Path) -> float:
    used = []
    for rows in SIZES:
        make_rows(work, rows, NARROW)
        used.append(_ours(work, rows, NARROW))
    powers = [
        math.log(more.seconds / less.seconds) / math.log(count / fewer)
        for less, more, fewer, count in zip(used, used[1:], SIZES, SIZES[1:], strict=False)
    ]
    print(f"  exponents {', '.join(f'{power:.2f}' for power in powers)}; at most 1.4")
    return math.log(used[-1].seconds / used[0].seconds) / math.log(SIZES[-1] / SIZES[0])


def _ours(work: Path, rows: int, width: int) -> Usage:
    recipe = work / "dedup.yaml"
    recipe.write_text(RECIPE % (rows, width, ABOVE))
    used = measure(python(OURS, recipe, work / "run"), work / "poolwright.log")
    print(f"  {rows:,} rows of {width}: {used.seconds:.1f} s, peak {used.peak / 1e9:.2f} GB", flush=True)
    step = Table(work / "run" / "tables" / "grouped").record.steps[0]
    print(f"  {step.learned}", flush=True)
    return used


def recall(work: Path, folder: Path) -> float:
    """The share of planted pairs that are in one group, of those above the bound by their vectors as stored."""
    planted = np.load(folder / "planted.npz")
    above = planted["cosine"] >= ABOVE
    table = Table(work / "run" / "tables" / "grouped").read(["uid", "duplicate_group"])
    group = dict(zip(table.column("uid").to_pylist(), table.column("duplicate_group").to_pylist(), strict=True))
    pairs = zip(planted["one"][above], planted["other"][above], strict=True)
    return float(np.mean([group[f"{one:08d}"] == group[f"{other:08d}"] for one, other in pairs]))


def make_rows(work: Path, rows: int, width: int) -> Path:
    """Parquet files of rows, and the pairs that were planted; made once."""
    folder = work / f"rows-{rows}-{width}"
    if (folder / "planted.npz").exists():
        return folder
    fresh_folder(folder)
    real, planted = _real(width), []
    for start in range(0, rows, CHUNK):
        draw = np.random.default_rng([SEED, start])
        vectors, one, other = _chunk(draw, real, min(CHUNK, rows - start))
        planted.append((one + start, other + start, _cosines(vectors[one], vectors[other])))
        table = pa.table(
            {"uid": [f"{row:08d}" for row in range(start, start + len(vectors))], "clip": vector_array(vectors)}
        )
        pq.write_table(table, folder / f"part-{start:08d}.parquet", compression="none", use_dictionary=False)
    ones, others, cosine = (np.concatenate(column) for column in zip(*planted, strict=True))
    np.savez(folder / "planted.npz", one=ones, other=others, cosine=cosine)
    return folder


def _real(width: int) -> npt.NDArray[np.float32]:
    """Real CLIP embeddings; their main directions if they are to be narrower."""
    images = np.load(REAL / "imagenet.npz"), np.load(REAL / "caltech101.npz")
    names = ("train4shot_emb", "train2shot_emb", "train1shot_emb"), ("val_emb", "test_emb", "train16shot_emb")
    parts = [one[name] for one, some in zip(images, names, strict=True) for name in some]
    vectors = np.concatenate(parts).astype(np.float32)
    if width < vectors.shape[1]:
        _, _, directions = np.linalg.svd(vectors, full_matrices=False)
        vectors = vectors @ directions[:width].T
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _chunk(
    draw: np.random.Generator, real: npt.NDArray[np.float32], rows: int
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Vectors in any order, and the pairs of originals and copies among them."""
    copies = rows // 20
    originals = rows - copies
    share = draw.random((originals, 1), np.float32)
    vectors = share * real[draw.integers(0, len(real), originals)]
    vectors += (1 - share) * real[draw.integers(0, len(real), originals)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    noise = draw.standard_normal((rows, real.shape[1]), np.float32) / np.float32(real.shape[1] ** 0.5)
    vectors = np.asarray(vectors + 0.4 * noise[:originals], np.float32)
    copied = draw.choice(originals, copies, replace=False)
    away = np.tan(np.arccos(draw.uniform(0.93, 1, (copies, 1)))).astype(np.float32)
    length = np.linalg.norm(vectors[copied], axis=1, keepdims=True)
    vectors = np.concatenate([vectors, vectors[copied] + away * length * noise[originals:]])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = draw.permutation(rows)
    mixed = np.empty(vectors.shape, np.float16)
    mixed[place] = vectors
    return mixed, place[copied], place[originals:]


def _cosines(left: npt.NDArray[np.float16], right: npt.NDArray[np.float16]) -> npt.NDArray[np.float64]:
    one, other = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)
