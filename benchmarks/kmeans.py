"""K-means inside 1,000 classes of 1,300 rows, K = 6 and 10 restarts: scikit-learn, faiss, and a whole run of ours.

Ours reads shuffled rows from parquet, groups them by class, clusters, assigns every row and writes the table,
imports and admission included. The peers get a few classes, each ready as a file, and the time of their loops alone is
scaled up to all of them; scikit-learn uses all cores within a class, as faiss does. With 2,048 dimensions,
`kmeans-2048`, there are 200 classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import kmeans_large
from benchmarks.timing import fresh_folder, in_turn, python
from poolwright.core.rows import vector_array
from poolwright.core.table import Table

ROWS, CLUSTERS, RESTARTS, FILES, SEED = 1_300, 6, 10, 16, 6
CLASSES, TRIED = {512: 1_000, 2048: 200}, {512: 40, 2048: 10}

LOOP = """
import sys, time
from pathlib import Path
import numpy as np
k, restarts = int(sys.argv[2]), int(sys.argv[3])
paths, inertia, seconds = sorted(Path(sys.argv[1]).glob("*.npy"))[: int(sys.argv[4])], [], 0.0
for index, path in enumerate([paths[0], *paths]):
    begun = time.perf_counter()
    found = cluster(np.load(path).astype(np.float32), index)
    if index:  # the first call warms up
        seconds += time.perf_counter() - begun
        inertia.append(found)
print(seconds, *inertia)
"""

SKLEARN = """
from sklearn.cluster import KMeans
def cluster(rows, seed):
    return KMeans(k, n_init=restarts, random_state=seed).fit(rows).inertia_
"""

FAISS = """
import faiss
def cluster(rows, seed):
    means = faiss.Kmeans(rows.shape[1], k, nredo=restarts, seed=seed + 1, max_points_per_centroid=10**9)
    means.train(rows)
    return means.index.search(rows, 1)[0].sum(dtype="float64")
"""

RECIPE = """
recipe: 1
name: kmeans
pools:
  rows: {read: table, path: rows-%d}
tables:
  clustered:
    from: rows
    steps:
      - cluster: {of: embedding, group: label, k: %d, restarts: %d}
      - keep_columns: [label, attribute, cluster, cluster_distance]
"""

OURS = """
import shutil, sys
from poolwright.api import run
shutil.rmtree(sys.argv[2], ignore_errors=True)
run(sys.argv[1], sys.argv[2])
"""


def run(work: Path, backend: str = "512") -> float:
    """Seconds of scikit-learn over ours; at least 8 is wanted, with no more inertia and under 3 GB."""
    if backend == "large":
        return kmeans_large.run(work)
    width = int(backend)
    classes, tried = CLASSES[width], TRIED[width]
    picked = make_rows(work, width)
    recipe = work / "kmeans.yaml"
    recipe.write_text(RECIPE % (width, CLUSTERS, RESTARTS))
    peers = {
        name: python(code + LOOP, picked, str(CLUSTERS), str(RESTARTS), str(tried)) for name, code in PEERS.items()
    }
    used = in_turn({**peers, "poolwright": python(OURS, recipe, work / "run")}, work, times=2)
    ours, mine = used["poolwright"], inertias(work / "run")
    print(f"  poolwright: {ours.seconds:.1f} s for {classes:,} classes, peak {ours.peak / 1e9:.2f} GB")
    ratios = {}
    for name in PEERS:
        seconds, *theirs = map(float, (work / f"{name}.log").read_text().splitlines()[-1].split())
        scaled = seconds * classes / tried
        ratios[name] = scaled / ours.seconds
        print(f"  {name}: {scaled:.1f} s, scaled from {tried} classes; ratio {ratios[name]:.1f}")
        print(f"  inertia of these classes over that of {name}: {mine[:tried].sum() / sum(theirs):.6f}")
        if mine[:tried].sum() > sum(theirs):
            raise RuntimeError(f"inertia {mine[:tried].sum()} is above that of {name}, {sum(theirs)}")
    return ratios["sklearn"]


PEERS = {"sklearn": SKLEARN, "faiss": FAISS}


def inertias(folder: Path) -> npt.NDArray[np.float64]:
    """The inertia of every class, by name."""
    groups = Table(folder / "tables" / "clustered").state(0).tables["groups"]
    return np.asarray(groups.column("inertia"))


def make_rows(work: Path, width: int) -> Path:
    """The parquet files of all rows, shuffled over the classes, and the folder of the first classes; made once."""
    folder, picked = work / f"rows-{width}", work / f"picked-{width}"
    if (folder / "done").exists():
        return picked
    fresh_folder(folder)
    fresh_folder(picked)
    classes = CLASSES[width]
    # Every file gets an equal share of each class, its rows shuffled: no class is contiguous.
    shuffle = np.random.default_rng(SEED)
    parts: list[list[npt.NDArray[np.float16]]] = [[] for _ in range(FILES)]
    for number in range(classes):
        rows = one_class(number, width)
        if number < TRIED[width]:
            np.save(picked / f"{number:04d}.npy", rows)
        for part, share in zip(parts, np.array_split(rows, FILES), strict=True):
            part.append(share)
    for index, part in enumerate(parts):
        labels = np.repeat([f"class {number:04d}" for number in range(classes)], [len(rows) for rows in part])
        order = shuffle.permutation(len(labels))
        table = pa.table(
            {
                "uid": [f"{index}-{row}" for row in range(len(labels))],
                "label": labels[order],
                "embedding": vector_array(np.concatenate(part)[order]),
            }
        )
        part.clear()
        pq.write_table(table, folder / f"part-{index:02d}.parquet", compression="none", use_dictionary=["label"])
    (folder / "done").touch()
    return picked


def one_class(number: int, width: int) -> npt.NDArray[np.float16]:
    """Unit vectors of a class: six uneven clusters of several smaller ones, spread as embeddings are.

    Features vary by 1 / rank, as the spectra of image embeddings fall; clusters overlap, so that K-means has to work.
    """
    draw = np.random.default_rng([SEED, number])
    spread = np.arange(1, width + 1) ** -0.5
    spread = draw.permutation(spread / np.linalg.norm(spread)).astype(np.float32)

    def drawn(count: int, scale: float) -> npt.NDArray[np.float32]:
        return draw.standard_normal((count, width), np.float32) * spread * np.float32(scale)

    shares = np.array([0.38, 0.24, 0.16, 0.11, 0.07, 0.04])
    rows = drawn(1, 1) + drawn(6, 0.35)[draw.choice(6, ROWS, p=shares)]
    rows += drawn(24, 0.3)[draw.integers(0, 24, ROWS)] + drawn(ROWS, 0.6)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16)
