"""Assign rows of 768 numbers to 100,000 centroids: faiss-cpu's flat index, and the kernel of `cluster`, on all cores.

The time of both grows with the number of rows and nothing else, so that a slice of rows tells the time of a million.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.embeddings import embeddings
from poolwright.core.runtime.cores import cores
from poolwright.kernels.clusters.centroids import Centroids, nearest_centroids
from poolwright.kernels.clusters.large import train_centroids

WIDTH, CENTROIDS, TRAINED_ON, SEED = 768, 100_000, 300_000, 4
ROWS, OURS, THEIRS = 1_000_000, 32_768, 8_192


def run(work: Path) -> float:
    """Seconds of faiss over ours; at least 4 is wanted, with the same ids."""
    import faiss
    from threadpoolctl import threadpool_limits

    held = Centroids(make_centroids(work), np.zeros(1, np.int64), np.array([CENTROIDS]), "euclidean")
    rows = embeddings(OURS, WIDTH, SEED + 1)
    flat = faiss.IndexFlatL2(WIDTH)
    flat.add(held.vectors)
    held.index(0)

    def ours(some: npt.NDArray[np.float16]) -> npt.NDArray[np.int64]:
        return nearest_centroids(some, np.zeros(len(some), np.int64), held)[0]

    with threadpool_limits(1), ThreadPoolExecutor(cores()) as pool:
        begun = time.perf_counter()
        found = np.concatenate(list(pool.map(ours, np.array_split(rows, 2 * cores()))))
        seconds = (time.perf_counter() - begun) / OURS * ROWS
    begun = time.perf_counter()
    _, ids = flat.search(rows[:THEIRS].astype(np.float32), 1)
    theirs = (time.perf_counter() - begun) / THEIRS * ROWS
    check(rows[:THEIRS], held.vectors, found[:THEIRS], ids[:, 0])
    print(f"  a million rows, from slices: faiss {theirs:,.0f} s, poolwright {seconds:,.0f} s")
    return theirs / seconds


def check(
    rows: npt.NDArray[np.float16],
    centroids: npt.NDArray[np.float32],
    found: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.int64],
) -> None:
    """Compare ids: where they differ, faiss must have taken one of the same distance in float32, or a farther one."""
    apart = np.flatnonzero(found != theirs)
    exact = [np.square(rows[apart].astype(np.float64) - centroids[ids[apart]]).sum(axis=1) for ids in (found, theirs)]
    print(f"  ids that differ: {len(apart)} of {len(rows):,}")
    if (exact[0] > exact[1]).any() or (exact[1] - exact[0] > 1e-5).any():
        raise RuntimeError("a nearest centroid is not the one of faiss")


def make_centroids(work: Path) -> npt.NDArray[np.float32]:
    """The centroids (k, d), trained once."""
    path = work / "centroids.npy"
    if not path.exists():
        begun = time.perf_counter()
        trained = train_centroids(embeddings(TRAINED_ON, WIDTH, SEED), CENTROIDS, "euclidean", SEED, most_sweeps=3)
        print(f"  trained in {time.perf_counter() - begun:.0f} s")
        np.save(path, trained.centroids)
    centroids: npt.NDArray[np.float32] = np.load(path)
    return centroids
