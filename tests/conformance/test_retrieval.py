"""The step `retrieve` against a plain statement of CLEAR's retrieval, at 200,000 vectors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.core.runtime.threads import one_thread_per_unit
from poolwright.core.state import State
from poolwright.kernels.selection.hashing import hash64
from poolwright.steps.describe.retrieve import Retrieve
from tests.conformance import retrieval
from tests.conftest import real_data_folder

ROWS, WIDTH, BUCKETS, KEY = 200_000, 512, 11, 77
SIZES = {10: retrieval.Sizes(1_600, 200, 20), 100: retrieval.Sizes(300, 40, 4)}


def real_vectors(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Image vectors (n, 512) of ImageNet and Caltech pictures, and text features (1000, 512); CLIP ViT-B/32."""
    with np.load(folder / "imagenet.npz") as one, np.load(folder / "caltech101.npz") as other:
        images = [source[name] for source in (one, other) for name in source.files if source[name].ndim == 2]
    texts = np.load(folder / "imagenet1000_80templates.npy").T
    return np.concatenate([part for part in images if part.shape[1] == WIDTH]).astype(np.float32), texts


def made_vectors() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(5)
    texts = draw.normal(size=(1000, WIDTH)).astype(np.float32) + 3
    return texts[draw.integers(0, 1000, 9_000)] + draw.normal(size=(9_000, WIDTH)).astype(np.float32), texts


@pytest.fixture(scope="module")
def pools() -> Iterator[Callable[[str], tuple[pa.Table, np.ndarray]]]:
    """Makes a pool of real or made vectors, once for all tests in a row that use it."""
    latest = lru_cache(1)(make_pool)
    yield latest
    latest.cache_clear()


def make_pool(kind: str) -> tuple[pa.Table, np.ndarray]:
    """200,000 rows with vectors and buckets, and the text features. A tenth of the vectors stands there twice."""
    if kind == "real":
        folder = real_data_folder() / "clip_vitb32"
        if not folder.is_dir():
            pytest.skip(f"no real data at {folder}; set POOLWRIGHT_REAL_DATA")
        images, texts = real_vectors(folder)
    else:
        images, texts = made_vectors()
    draw = np.random.default_rng(6)
    vectors = np.empty((ROWS, WIDTH), np.float16)
    for start in range(0, ROWS, len(images)):
        part = images[: ROWS - start] / np.linalg.norm(images[: ROWS - start], axis=1, keepdims=True)
        if start:
            part = part + draw.standard_normal(part.shape, np.float32) * np.float32(0.02)
        vectors[start : start + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    twice = draw.permutation(ROWS)[: ROWS // 5].reshape(2, -1)
    vectors[twice[0]] = vectors[twice[1]]
    uids = [f"image-{row}" for row in draw.permutation(ROWS)]
    buckets = draw.integers(0, BUCKETS, ROWS).astype(np.int32)
    buckets[twice[0]] = buckets[twice[1]]  # equal scores in one bucket
    return pa.table({"uid": uids, "clip": vector_array(vectors), "bucket": buckets}), texts


REAL = pytest.param("real", 100, marks=pytest.mark.real)


@pytest.mark.parametrize(("kind", "prompts"), [("made", 10), ("made", 100), REAL])
def test_the_same_images_in_the_same_order(
    kind: str, prompts: int, pools: Callable[[str], tuple[pa.Table, np.ndarray]], tmp_path: Path
) -> None:
    table, texts = pools(kind)
    features = texts[:: len(texts) // prompts][:prompts]
    np.save(tmp_path / "features.npy", features)
    sizes = SIZES[prompts]
    names = [f"class {place}" for place in range(prompts)]
    step = Retrieve.model_validate(
        {
            "with": "clip",
            "prompts": names,
            "features": str(tmp_path / "features.npy"),
            "bucket": "bucket",
            "query": sizes.query,
            "n": sizes.n,
            "background": sizes.background / sizes.n,
            "short": "take",
        }
    )
    with one_thread_per_unit():
        state = step.fit(MemoryFrame(table, cuts=[1, 70_000, 70_007, 150_000], batch_rows=30_000), Context(KEY))
        found = by_bucket(table, step, state)
    ties = 0
    scores, ranks = plain_scores(table, features), hash64(table["uid"], KEY) >> np.uint64(1)
    for bucket in range(BUCKETS):
        rows = np.flatnonzero(table["bucket"].to_numpy() == bucket)
        expected = retrieval.retrieve(scores[rows], ranks[rows].astype(np.int64), names, sizes)
        for name in names:
            assert found[bucket, name] == rows[expected[name]].tolist(), (bucket, name)
            kept = scores[rows[expected[name]], names.index(name)]
            ties += len(kept) - len(np.unique(kept))
        assert sorted(found[bucket, retrieval.BACKGROUND]) == sorted(rows[expected[retrieval.BACKGROUND]].tolist())
    assert ties > 100, "the order of equal scores was put to the test"


def plain_scores(table: pa.Table, features: np.ndarray) -> np.ndarray:
    """Cosines (n, m): float64 products of the stored vectors and the features, these rounded to 2^-28, over lengths."""
    exact = features.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    exact = np.round(exact.astype(np.float32).astype(np.float64) * 2**28) / 2**28
    vectors = table["clip"].combine_chunks().values.to_numpy().reshape(ROWS, WIDTH)
    blocks = (vectors[start : start + 8192].astype(np.float64) for start in range(0, ROWS, 8192))
    cosines = [block @ exact.T / np.sqrt(np.square(block).sum(axis=1, keepdims=True)) for block in blocks]
    return np.concatenate(cosines).astype(np.float32)


def by_bucket(table: pa.Table, step: Retrieve, state: State) -> dict[tuple[int, str], list[int]]:
    """Row numbers by bucket and class, highest similarity first, equal ones by hash."""
    places, labels, buckets, similarity = [], [], [], []
    for start in range(0, ROWS, 25_000):
        rows = Rows(table.slice(start, 25_000))
        outcome = step.apply(rows, state)
        assert outcome.drop is not None
        kept = np.flatnonzero(outcome.drop == 0)
        places.append(start + kept)
        labels += outcome.columns["label"].take(pa.array(kept)).to_pylist()
        similarity.append(outcome.columns["similarity"].to_numpy(zero_copy_only=False)[kept])
        buckets.append(rows.column("bucket").to_numpy()[kept])
    row, bucket, score = map(np.concatenate, (places, buckets, similarity))
    order = np.lexsort((hash64(table["uid"].take(pa.array(row)), KEY) >> np.uint64(1), -score))
    found: dict[tuple[int, str], list[int]] = {}
    for place in order:
        found.setdefault((int(bucket[place]), labels[place]), []).append(int(row[place]))
    return found
