"""Reproduce CLEAR-10 and CLEAR-100: streams of published size, retrieval by prompts, simulated people, splits."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from poolwright.api import RunResult
from poolwright.conformance.reproduction import Reproduction, parameters, shipped_data, without_steps
from poolwright.core.columns import UID
from poolwright.core.files import write_atomically
from poolwright.core.results.conformance import PublishedNumber
from poolwright.core.rows import vector_array
from poolwright.core.table import Table
from poolwright.demo.annotators import Annotator, answer_worklist

PHOTOS = {"clear10": 8_000_000, "clear100": 40_000_000}
UNLABELLED = {"clear10": 800_000, "clear100": 3_600_000}
"""Photos of a bucket, as published: "about"."""

CLASSES = {"clear10": 10, "clear100": 100}
BACKGROUND = "BACKGROUND"
BUCKETS, CANDIDATES, VERIFIED, SEEDS = 11, 600, 150, 5
PREVALENCE = 0.002
"""Share of the photos that show one of the classes, for each class."""

PERSON = Annotator("ada", error=0.01)
_WIDTH, _NOISE, _SEED = 24, 1.2, 7
_FILE_ROWS = 500_000
_START, _STOP = 1_072_957_933, 1_398_682_159
"""Seconds of Unix time: the first and the last edge of CLEAR-10's buckets."""


def write(folder: Path, classes: list[str], photos: int) -> None:
    """Write text features of the classes, and photos in no order of time as Parquet files, each once."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = np.random.default_rng(_SEED).standard_normal((len(classes), _WIDTH)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    write_atomically(folder / "texts.npy", lambda file: np.save(file, texts))
    names = pa.array([*classes, BACKGROUND])
    edges = [*range(0, photos, _FILE_ROWS), photos]
    for number, (start, stop) in enumerate(pairwise(edges)):
        path = folder / "photos" / f"{number:03d}.parquet"
        if not path.exists():
            table = _photos(start, stop - start, texts, names)
            write_atomically(path, partial(pq.write_table, table, row_group_size=100_000))


def _photos(start: int, count: int, texts: np.ndarray, names: pa.Array) -> pa.Table:
    """Make photos: few of the classes, some outside CLEAR's rules."""
    draw = np.random.default_rng([_SEED, start])
    truth = np.where(draw.random(count) < PREVALENCE * len(texts), draw.integers(0, len(texts), count), len(texts))
    vectors = draw.standard_normal((count, _WIDTH), dtype=np.float32)
    shown = truth < len(texts)
    vectors[shown] = texts[truth[shown]] + vectors[shown] * np.float32(_NOISE / np.sqrt(_WIDTH))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    uploaded = draw.integers(_START, _STOP, count)
    before = draw.exponential(30 * 86_400, count).astype(np.int64) + 1
    taken = np.where(draw.random(count) < 0.01, uploaded + before, uploaded - before)
    width = draw.integers(110, 1_024, count).astype(np.int32)
    height = (width * np.exp(draw.normal(0, 0.3, count))).astype(np.int32)
    uid = pa.array(np.arange(start, start + count)).cast(pa.string())
    return pa.table(
        {
            UID: uid,
            "user_nsid": pa.array(draw.integers(0, 200_000, count)).cast(pa.string()),
            "media": pa.DictionaryArray.from_arrays(
                pa.array((draw.random(count) < 0.005).astype(np.int8)), ["photo", "video"]
            ).cast(pa.string()),
            "uploaded_at": pa.array(uploaded * 1_000_000, pa.timestamp("us", "UTC")),
            "taken_at": pa.array(taken * 1_000_000, pa.timestamp("us")),
            "bytes": pa.array(draw.integers(0, 200_000, count)),
            "width": width,
            "height": height,
            "aspect": np.maximum(width, height) / np.minimum(width, height).astype(np.float32),
            "truth": pa.DictionaryArray.from_arrays(pa.array(truth.astype(np.int32)), names).cast(pa.string()),
            "clip": vector_array(vectors.astype(np.float16)),
        }
    )


def prepare(name: str, folder: Path, photos: int | None = None) -> dict[str, Any]:
    """Write the photos; the recipe without what opens their files, and without the page that people read."""
    data = shipped_data(name)
    retrieve = parameters(data, "retrieved", "retrieve")
    classes = [prompt if isinstance(prompt, str) else prompt["name"] for prompt in retrieve["prompts"]]
    write(folder, classes, photos or PHOTOS[name])
    data["pools"] = {"yfcc100m": {"read": "table", "path": "photos"}}
    del data["models"], data["figures"], data["releases"]
    without_steps(data, "stream", "size", "embed")
    del retrieve["model"], parameters(data, name, "verify")["instructions"]
    retrieve["features"] = "texts.npy"
    return data


def answer(name: str, run: Path) -> None:
    """Let a simulated person answer for every candidate."""
    rows = Table(run / "tables" / "retrieved").read([UID, "truth"])
    truth = dict(zip(rows[UID].to_pylist(), rows["truth"].to_pylist(), strict=True))
    answer_worklist(run / "verify" / name, [PERSON], truth)


def compare(name: str, result: RunResult) -> tuple[PublishedNumber, ...]:
    """Count buckets, candidates, verified photos and splits."""
    stream, found, labelled = (result.tables[table] for table in ("stream", "retrieved", name))
    rows = labelled.read(["bucket", "label", "truth", *(f"split_{seed}" for seed in range(SEEDS))])
    rows = rows.filter(pc.field("label") != BACKGROUND)
    buckets = pc.value_counts(stream.read(["bucket"])["bucket"]).field("counts")
    draws = {tuple(pc.equal(rows[f"split_{seed}"], "test").to_pylist()) for seed in range(SEEDS)}
    retrieved = _least(found.read(["bucket", "label"]))
    tests = float(np.mean([np.mean(draw) for draw in draws]))
    right = pc.mean(pc.equal(rows["label"], rows["truth"])).as_py()
    return (
        PublishedNumber("photos downloaded", PHOTOS[name], stream.record.rows_in, note="generated"),
        PublishedNumber("time buckets", BUCKETS, len(buckets), fixed=True),
        PublishedNumber("photos of a bucket", UNLABELLED[name], pc.min(buckets).as_py(), note=_ABOUT),
        PublishedNumber("classes", CLASSES[name], len(pc.unique(rows["label"])), fixed=True),
        PublishedNumber("candidates of a class and bucket", CANDIDATES, retrieved, fixed=True),
        PublishedNumber("verified photos of a class and bucket", VERIFIED, _least(rows), fixed=True),
        PublishedNumber("splits", SEEDS, len(draws), fixed=True),
        PublishedNumber(
            "test photos of a split",
            0.3,
            tests,
            note=_TOGETHER,
        ),
        PublishedNumber("precision of the labels", 0.99, right, note=_PEOPLE),
    )


_ABOUT = 'published as "about"; ours after CLEAR\'s rules for sizes and dates'
_TOGETHER = "near-duplicates stay on one side"
_PEOPLE = f"simulated people, who err on {PERSON.error:.0%} of the photos"


def _least(rows: pa.Table) -> int:
    """Count the rows of the smallest class and bucket."""
    rows = rows.filter(pc.field("label") != BACKGROUND)
    counts = rows.group_by(["bucket", "label"]).aggregate([([], "count_all")])
    return int(pc.min(counts["count_all"]).as_py())


REPRODUCTIONS = tuple(
    Reproduction(
        name,
        "arXiv 2201.06289 and its code",
        f"{PHOTOS[name]:,} rows with times, sizes and {_WIDTH}-d vectors around those of the classes stand for the "
        "photos after `size` and `embed`; figures and releases, which need photos, are left out.",
        partial(prepare, name),
        partial(compare, name),
        partial(answer, name),
    )
    for name in PHOTOS
)
