"""ONNX encoders: `onnx:PATH`, a folder with a manifest, a manifest, or an .onnx file."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import MissingExtra, RecipeError, did_you_mean
from poolwright.core.images.image_files import Limits
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.models.encoders.decode_ahead import Feed, Slot
from poolwright.models.encoders.manifest import Described, described
from poolwright.models.encoders.onnx_graph import Graph, Shape, read_graph
from poolwright.models.encoders.prepare import normalised
from poolwright.models.encoders.tokens import Tokenizer, clip_tokenizer, huggingface_tokenizer, words_tokenizer
from poolwright.models.encoders.vectors import EVERYTHING, Peek, encode_unique, file_digest, identity_digest

# One image per pass on a CPU: cores work on different units, activations stay in cache (SqueezeNet: 25 ms per
# image alone, 38 ms in a batch of 32), and only the image itself can affect the bits of its vector.
CPU_BATCH = 1
CPU_GROUP = 8
_TOKENIZERS = {"huggingface": "tokenizers", "clip": "open_clip"}
AHEAD = {"cpu": 2, "cuda": 4}


@dataclass(frozen=True)
class _Half:
    """The graph of one of the two encoders, and which of its inputs and outputs are used."""

    path: Path
    graph: Graph
    input: str
    output: str
    mask: str | None = None

    @property
    def batch(self) -> int | None:
        """Images or texts per pass, if the graph fixes it."""
        shape = self.graph.inputs[self.input]
        return shape[0] if shape else None

    @property
    def files(self) -> list[Path]:
        return [self.path, *(self.path.parent / name for name in sorted(self.graph.external))]


def check(spec: EncoderSpec) -> None:
    """Check files, manifest, graphs and libraries, without loading weights.

    Raises:
        RecipeError: a file is missing, the manifest is not valid, or the graph does not match it.
        MissingExtra: the tokenizer needs a library that is not installed.
    """
    found = described(spec)
    peek(spec)
    if spec.device == "cuda" and "CUDAExecutionProvider" not in _providers():
        raise RecipeError(f"{spec.model}: device 'cuda' needs onnxruntime-gpu; install it, or set 'device: auto'")
    text = found.manifest.text
    library = _TOKENIZERS.get(text.tokenizer.kind) if text is not None else None
    if library and importlib.util.find_spec(library) is None:
        raise MissingExtra(library, f"the tokenizer of {spec.model}")


def peek(spec: EncoderSpec) -> Peek:
    """Return name, width and weight digest, from the manifest, the header of the graphs and the files' digests."""
    found = described(spec)
    halves = _halves(found)
    return Peek(found.name, _width(found, halves[0]), _weights(found, halves), len(halves) > 1)


def load(spec: EncoderSpec) -> OnnxEncoder:
    """Load the weights."""
    return OnnxEncoder(spec)


class OnnxEncoder:
    """An image encoder and possibly a text encoder, by onnxruntime. One thread per call: units run on all cores.

    May be called from several threads at once.
    """

    def __init__(self, spec: EncoderSpec) -> None:
        found = described(spec)
        halves = _halves(found)
        seen = peek(spec)
        self.name, self.width, self.weights = seen.name, seen.width, seen.weights
        self.device = _device(spec)
        self._preparation = found.manifest.image.preparation
        self._image, self._image_half = _session(halves[0], self.device), halves[0]
        self._batch = halves[0].batch or (CPU_BATCH if self.device == "cpu" else spec.batch)
        self._dtype = _float_type(self._image, halves[0])
        self._feed = self._new_feed()
        self._text_half = halves[1] if len(halves) > 1 else None
        self._text = _session(halves[1], self.device) if len(halves) > 1 else None
        self._text_batch = (halves[1].batch or self._batch) if len(halves) > 1 else 1
        self._tokenize = _tokenizer(found)

    def images(self, files: Sequence[bytes | None], limits: Limits = EVERYTHING) -> tuple[np.ndarray, list[str | None]]:
        """As `Encoder.images`, within limits."""
        vectors = np.full((len(files), self.width), np.nan, np.float32)
        reasons: list[str | None] = []
        for group in self._feed.groups(files, limits):
            reasons += group.reasons
            good = group.good
            for first in range(0, len(good), self._batch):
                some = good[first : first + self._batch]
                vectors[group.start + some] = self._forward(group.slot.pixels[some])
        return vectors, reasons

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """As `Encoder.texts`."""
        if self._text is None:
            raise RecipeError(f"model '{self.name}' has no text encoder; its manifest needs an entry 'text'")
        return encode_unique(texts, self._text_vectors, self.width)

    def _new_feed(self) -> Feed:
        edge = self._preparation.crop
        cores = os.cpu_count() or 1
        group = -(-max(CPU_GROUP, self._batch) // self._batch) * self._batch
        return Feed(
            self._preparation,
            size=group,
            new_slot=lambda: Slot(np.zeros((group, edge, edge, 3), np.uint8)),
            workers=ThreadPoolExecutor(2 if self.device == "cpu" else cores, "decode"),
            ahead=AHEAD[self.device],
            grain=group if self.device == "cpu" else max(1, group // cores),
        )

    def _forward(self, pixels: np.ndarray) -> np.ndarray:
        rows = len(pixels)
        if rows < self._batch:
            pixels = np.concatenate([pixels, np.zeros((self._batch - rows, *pixels.shape[1:]), np.uint8)])
        values = normalised(pixels, self._preparation).astype(self._dtype, copy=False)
        half = self._image_half
        (found,) = self._image.run([half.output], {half.input: values})
        return self._rows(found, half)[:rows]

    def _text_vectors(self, texts: list[str]) -> np.ndarray:
        batches = [texts[at : at + self._text_batch] for at in range(0, len(texts), self._text_batch)]
        with ThreadPoolExecutor(os.cpu_count() if self.device == "cpu" else 1) as threads:
            return np.concatenate(list(threads.map(self._text_batch_vectors, batches)))

    def _text_batch_vectors(self, texts: list[str]) -> np.ndarray:
        half = self._text_half
        if half is None or self._text is None or self._tokenize is None:
            raise RecipeError(f"model '{self.name}' has no text encoder")
        tokens, mask = self._tokenize([*texts, *[""] * (self._text_batch - len(texts))])
        kinds = {one.name: np.int32 if "int32" in one.type else np.int64 for one in self._text.get_inputs()}
        given = {half.input: tokens} | ({half.mask: mask} if half.mask else {})
        (found,) = self._text.run([half.output], {name: ids.astype(kinds[name]) for name, ids in given.items()})
        return self._rows(found, half)[: len(texts)]

    def _rows(self, found: np.ndarray, half: _Half) -> np.ndarray:
        return unit_rows(self._flat(found, half), zero=np.nan)

    def _flat(self, found: np.ndarray, half: _Half) -> np.ndarray:
        rows = found.reshape(len(found), -1)
        if rows.shape[1] != self.width:
            raise RecipeError(
                f"model '{self.name}': output '{half.output}' of {half.path.name} gives {rows.shape[1]} dimensions, "
                f"not {self.width}; name another output, or correct the manifest"
            )
        return rows


class OnnxScores(OnnxEncoder):
    """Scores of images by an ONNX classifier with a manifest, as the graph gives them."""

    def _rows(self, found: np.ndarray, half: _Half) -> np.ndarray:
        return self._flat(found, half)


def _halves(found: Described) -> list[_Half]:
    image, text = found.manifest.image, found.manifest.text
    halves = [_half(found, image.file, image.input, image.output)]
    if text is not None:
        halves.append(_half(found, text.file, text.input, text.output, text.mask))
    return halves


def _half(found: Described, file: str, input: str, output: str, mask: str | None = None) -> _Half:
    path = found.file(file)
    graph = read_graph(path)
    for name in graph.external:
        if not (path.parent / name).is_file():
            raise RecipeError(f"{path}: its weights are in {name}, which is not next to it; copy both")
    given = _known(input, graph.inputs, path, "input")
    if mask is not None:
        _known(mask, graph.inputs, path, "input")
    return _Half(path, graph, given, _known(output, graph.outputs, path, "output"), mask)


def _known(name: str, there: dict[str, Shape], path: Path, what: str) -> str:
    if not name:
        return next(iter(there))
    if name not in there:
        raise RecipeError(f"{path}: no {what} '{name}'; {did_you_mean(name, there)}")
    return name


def _width(found: Described, image: _Half) -> int:
    shape = image.graph.outputs[image.output]
    of_graph = shape[1] if len(shape) > 1 and all(size == 1 for size in shape[2:]) else None
    said = found.manifest.width
    if said and of_graph and said != of_graph:
        raise RecipeError(
            f"model '{found.name}': its manifest says width {said}, output '{image.output}' of {image.path.name} "
            f"has {of_graph}; correct the manifest"
        )
    width = said or of_graph
    if width is None:
        raise RecipeError(
            f"model '{found.name}': {image.path.name} does not give the width of output '{image.output}'; "
            "add 'width' to its manifest"
        )
    return width


def _weights(found: Described, halves: list[_Half]) -> str:
    """Return the digest of the files and of the preparation of inputs; names and paths of files do not matter."""
    image, text = found.manifest.image, found.manifest.text
    identity: dict[str, Any] = {
        "files": [[file_digest(path) for path in half.files] for half in halves],
        "image": {"input": halves[0].input, "output": halves[0].output, **image.preparation.identity()},
    }
    if text is not None:
        file = text.tokenizer.file
        identity["text"] = {
            "input": halves[1].input,
            "output": halves[1].output,
            "mask": text.mask,
            "context": text.context,
            "tokenizer": [text.tokenizer.kind, file_digest(found.file(file)) if file else ""],
        }
    return identity_digest(identity)


def _tokenizer(found: Described) -> Tokenizer | None:
    text = found.manifest.text
    if text is None:
        return None
    file = found.file(text.tokenizer.file) if text.tokenizer.file else None
    if text.tokenizer.kind == "clip" or file is None:
        return clip_tokenizer(file, text.context)
    make = words_tokenizer if text.tokenizer.kind == "words" else huggingface_tokenizer
    return make(file, text.context)


def _providers() -> list[str]:
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def _device(spec: EncoderSpec) -> str:
    there = "CUDAExecutionProvider" in _providers()
    if spec.device == "cuda" and not there:
        raise RecipeError(f"{spec.model}: device 'cuda' needs onnxruntime-gpu; install it, or set 'device: auto'")
    return "cuda" if there and spec.device != "cpu" else "cpu"


def _session(half: _Half, device: str) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CUDAExecutionProvider"] if device == "cuda" else []
    try:
        return onnxruntime.InferenceSession(str(half.path), options, providers=[*providers, "CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have no common base
        raise RecipeError(f"{half.path}: onnxruntime cannot load it: {str(error).splitlines()[0]}") from None


def _float_type(session: Any, half: _Half) -> type[np.floating[Any]]:
    kind = next(one.type for one in session.get_inputs() if one.name == half.input)
    if kind not in ("tensor(float)", "tensor(float16)"):
        raise RecipeError(f"{half.path}: input '{half.input}' is {kind}; images are given as float32 or float16")
    return np.float16 if kind == "tensor(float16)" else np.float32
