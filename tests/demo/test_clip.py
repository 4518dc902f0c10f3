"""The demo's tiny CLIP, with ONNX Runtime alone: it knows the drawn kinds and sees wrong captions."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from poolwright.demo.drawing import KINDS
from poolwright.demo.facts import Facts, facts_of
from poolwright.demo.world import draw

CLIP = Path(str(files("poolwright.demo") / "clip"))
FRESH_SEED = 31
FRESH = 1200

Vectors = NDArray[np.float32]


class Clip:
    """A reader of the files that shares no code with the package's encoder."""

    def __init__(self, folder: Path) -> None:
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._image, self._text = (
            onnxruntime.InferenceSession(folder / self.manifest[tower]["file"], options) for tower in ("image", "text")
        )
        words = (folder / self.manifest["text"]["tokenizer"]["file"]).read_text(encoding="utf-8").splitlines()
        self._ids = {word: number for number, word in enumerate(words)}

    def images(self, pictures: list[Image.Image]) -> Vectors:
        """Unit embeddings `(n, width)`."""
        facts = self.manifest["image"]
        side = (facts["resize"], facts["resize"])
        squashed = [picture.convert("RGB").resize(side, Image.Resampling.BICUBIC) for picture in pictures]
        pixels = np.stack([np.asarray(picture, dtype=np.float32) / 255 for picture in squashed])
        scaled = (pixels - np.array(facts["mean"], np.float32)) / np.array(facts["std"], np.float32)
        return unit(self._image.run([facts["output"]], {facts["input"]: scaled.transpose(0, 3, 1, 2)})[0])

    def texts(self, texts: list[str]) -> Vectors:
        """Unit embeddings `(n, width)`."""
        facts = self.manifest["text"]
        tokens = np.zeros((len(texts), facts["context"]), dtype=np.int64)
        for row, text in zip(tokens, texts, strict=True):
            ids = [self._ids.get(word, 1) for word in re.findall(r"\w+", text.lower())][: facts["context"]]
            row[: len(ids)] = ids
        return unit(self._text.run([facts["output"]], {facts["input"]: tokens})[0])


def unit(vectors: Vectors) -> Vectors:
    """Vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def clip() -> Clip:
    """The model as shipped."""
    return Clip(CLIP)


@pytest.fixture(scope="module")
def fresh() -> list[Facts]:
    """Facts of pictures of another world than the demo's, as that is distributed."""
    return [facts_of(index, FRESH_SEED) for index in range(FRESH)]


@pytest.fixture(scope="module")
def seen(clip: Clip, fresh: list[Facts]) -> Vectors:
    """Image embeddings of the fresh pictures."""
    return clip.images([draw(facts, FRESH_SEED) for facts in fresh])


def test_the_files_are_small() -> None:
    assert sum((CLIP / name).stat().st_size for name in ("image.onnx", "text.onnx")) < 3_000_000


def test_the_vocabulary_begins_with_its_special_words() -> None:
    words = (CLIP / "vocabulary.txt").read_text(encoding="utf-8").splitlines()
    assert words[:2] == ["<pad>", "<unk>"]
    assert len(set(words)) == len(words)
    assert set(KINDS) <= set(words)


@pytest.mark.parametrize("template", ["a photo of a {}.", "a drawing of a {}", "{}"])
def test_zero_shot_accuracy(clip: Clip, fresh: list[Facts], seen: Vectors, template: str) -> None:
    prompts = clip.texts([template.format(kind) for kind in KINDS])
    found = (seen @ prompts.T).argmax(axis=1)
    right = np.array([KINDS[k] == facts.kind for k, facts in zip(found, fresh, strict=True)])
    assert right.mean() >= 0.90
    for continent in {facts.continent for facts in fresh}:
        assert right[[facts.continent == continent for facts in fresh]].mean() >= 0.80


def test_wrong_captions_are_less_similar(clip: Clip, fresh: list[Facts], seen: Vectors) -> None:
    similarity = (seen * clip.texts([facts.text for facts in fresh])).sum(axis=1)
    said = np.array([facts.caption_kind is not None for facts in fresh])
    right = np.array([facts.caption_kind == facts.kind for facts in fresh])
    assert similarity[right].mean() - similarity[said & ~right].mean() > 0.25
    assert np.percentile(similarity[right], 5) > np.percentile(similarity[said & ~right], 75)


def test_batches_do_not_change_embeddings(clip: Clip, fresh: list[Facts], seen: Vectors) -> None:
    alone = np.concatenate([clip.images([draw(facts, FRESH_SEED)]) for facts in fresh[:5]])
    np.testing.assert_allclose(alone, seen[:5], atol=1e-4)


def test_empty_and_unknown_texts_have_finite_embeddings(clip: Clip) -> None:
    assert np.isfinite(clip.texts(["", "Zwölf Boxkämpfer", "çok güzel " * 40])).all()
