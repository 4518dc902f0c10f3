"""The near pairs between an evaluation set of 50,000 rows and a pool of 1 million, 512 dimensions, against faiss.

Rows are mixtures of real CLIP vectors with noise, if the real data is there, else of random directions of as steep a
spectrum. A twentieth of the evaluation rows have a near row in the pool. Ours compares the pool batch by batch with the
evaluation set, as the step `decontaminate` does, on two threads; faiss-cpu searches `IndexFlatIP` by range, all its
threads, for a twentieth of the evaluation rows, and its time is taken twenty times. Both must give the same pairs.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from poolwright.core.runtime.cores import cores
from poolwright.kernels.similarity.pairs import scan_pairs

POOL, EVALUATION, WIDTH, ABOVE = 1_000_000, 50_000, 512, 0.95
PLANTED, PART = EVALUATION // 20, EVALUATION // 20
BATCH = 65_536
REAL = Path("../shared/data/clip_vitb32")
Vectors = npt.NDArray[Any]
Pairs = set[tuple[int, int]]


def run(work: Path) -> float:
    """Time of faiss over ours; at least 10 is wanted. Prints both, and the number of pairs."""
    pool, evaluation = made(work)
    ours, found = our_pairs(pool, evaluation)
    theirs, part, unsure = faiss_pairs(pool, evaluation[:PART])
    theirs *= EVALUATION / PART
    print(f"  faiss: {theirs:.0f} s (from {PART:,} rows), poolwright: {ours:.1f} s, {len(found):,} pairs")
    mine = {pair for pair in found if pair[1] < PART}
    if (mine ^ part) - unsure:
        raise RuntimeError(f"the pairs differ: {len(mine - part):,} are ours alone, {len(part - mine):,} theirs alone")
    return theirs / ours


def our_pairs(pool: Vectors, evaluation: Vectors) -> tuple[float, Pairs]:
    """Return the seconds, and the pairs of a row of the pool and one of the evaluation set."""

    def pairs(start: int) -> Pairs:
        found: Pairs = set()
        for i, j, _ in scan_pairs(pool[start : start + BATCH], evaluation, ABOVE):
            found.update(zip((i + start).tolist(), j.tolist(), strict=True))
        return found

    began = time.perf_counter()
    with threadpool_limits(1), ThreadPoolExecutor(cores()) as threads:
        found = set().union(*threads.map(pairs, range(0, len(pool), BATCH)))
    return time.perf_counter() - began, found


def faiss_pairs(pool: Vectors, evaluation: Vectors) -> tuple[float, Pairs, Pairs]:
    """Return the seconds of faiss, its pairs, and those of them and of others whose cosine rounding decides."""
    import faiss

    index = faiss.IndexFlatIP(WIDTH)
    index.add(unit(pool))
    queries = unit(evaluation)
    began = time.perf_counter()
    limits, cosines, rows = index.range_search(queries, ABOVE - 1e-5)
    seconds = time.perf_counter() - began
    queried = np.repeat(np.arange(len(queries)), np.diff(limits.astype(np.int64)))
    pairs = list(zip(rows.tolist(), queried.tolist(), strict=True))
    return (
        seconds,
        {pair for pair, cosine in zip(pairs, cosines, strict=True) if cosine >= ABOVE},
        {pair for pair, cosine in zip(pairs, cosines, strict=True) if abs(cosine - ABOVE) < 1e-5},
    )


def made(work: Path) -> tuple[Vectors, Vectors]:
    """Return the rows of the pool and of the evaluation set, float16; made once."""
    files = work / "pool.npy", work / "evaluation.npy"
    if not all(file.exists() for file in files):
        draw = np.random.default_rng(17)
        real = real_rows(draw)
        pool = np.concatenate([mixed(draw, real, 50_000) for _ in range(POOL // 50_000)])
        evaluation = mixed(draw, real, EVALUATION)
        planted = draw.choice(POOL, PLANTED, replace=False)
        near = unit(evaluation[:: EVALUATION // PLANTED]) + draw.normal(0, 0.2 / WIDTH**0.5, (PLANTED, WIDTH))
        pool[planted] = unit(near).astype(np.float16)
        for file, rows in zip(files, (pool, evaluation), strict=True):
            np.save(file, rows)
    pool, evaluation = (np.load(file, mmap_mode="r") for file in files)
    return pool, evaluation


def real_rows(draw: np.random.Generator) -> Vectors:
    """Return unit vectors: real ones, or directions of a steep spectrum around a common mean."""
    found = [np.load(REAL / name) for name in ("imagenet.npz", "caltech101.npz") if (REAL / name).exists()]
    rows = [file[key] for file in found for key in file.files if file[key].ndim == 2 and file[key].shape[1] == WIDTH]
    if rows:
        return unit(np.concatenate(rows))
    spectrum = 1 / np.sqrt(1 + np.arange(WIDTH))
    return unit(draw.normal(size=(10_000, WIDTH)) * spectrum + 2 * draw.normal(size=WIDTH) * spectrum)


def mixed(draw: np.random.Generator, real: Vectors, count: int) -> Vectors:
    """Return unit rows between two real ones each, with noise."""
    one, other = (real[draw.integers(0, len(real), count)] for _ in range(2))
    share = draw.uniform(0.3, 0.7, (count, 1)).astype(np.float32)
    noise = draw.standard_normal((count, WIDTH), np.float32) * np.float32(0.35 / WIDTH**0.5)
    return unit(share * one + (1 - share) * other + noise).astype(np.float16)


def unit(rows: Vectors) -> npt.NDArray[np.float32]:
    """Return rows at unit length, in float32."""
    floats = np.asarray(rows, np.float32)
    return np.asarray(floats / np.linalg.norm(floats, axis=1, keepdims=True))
