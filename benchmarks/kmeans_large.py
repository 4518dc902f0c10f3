"""K-means with thousands of clusters: faiss-cpu Kmeans with 25 iterations, and the kernel of `cluster`, on all cores.

A million rows of 256 numbers and 10,000 clusters, 100 rows each; POOLWRIGHT_BENCH_ROWS sets fewer, with as many in each
cluster. The time of faiss grows with rows times clusters, ours more slowly: the ratio is lower at a smaller size. It
takes most of an hour at full size, so its time is 25 times its median iteration: other work may disturb some of them.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from benchmarks.embeddings import embeddings
from poolwright.kernels.clusters.large import train_centroids

ROWS, WIDTH, TURNS, SEED = int(os.environ.get("POOLWRIGHT_BENCH_ROWS", 1_000_000)), 256, 25, 6
CLUSTERS = ROWS // 100


def run(work: Path) -> float:
    """Seconds of faiss over ours; at least 2 is wanted, at an inertia of no more than 1.005 of its."""
    import faiss

    rows = embeddings(ROWS, WIDTH, SEED)
    begun = time.perf_counter()
    trained = train_centroids(rows, CLUSTERS, "euclidean", SEED, most_sweeps=TURNS)
    ours = time.perf_counter() - begun
    floats = rows.astype(np.float32)
    means = faiss.Kmeans(WIDTH, CLUSTERS, niter=TURNS, seed=SEED, max_points_per_centroid=256)
    means.train(floats)
    theirs = TURNS * float(np.median(np.diff([0.0, *(turn["time"] for turn in means.iteration_stats)])))
    flat = faiss.IndexFlatL2(WIDTH)
    flat.add(trained.centroids)
    inertia = [index.search(floats, 1)[0].sum(dtype=np.float64) for index in (flat, means.index)]
    print(f"  {ROWS:,} rows, {CLUSTERS:,} clusters: ", end="")
    print(f"faiss {theirs:.0f} s, poolwright {ours:.0f} s; inertia over that of faiss: {inertia[0] / inertia[1]:.4f}")
    if inertia[0] > 1.005 * inertia[1]:
        raise RuntimeError(f"inertia {inertia[0]} is above 1.005 of that of faiss, {inertia[1]}")
    return theirs / ours
