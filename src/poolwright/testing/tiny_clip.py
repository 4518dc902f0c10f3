"""Makes a tiny CLIP in ONNX, with random weights, for tests that need an encoder. It needs `onnx`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def save_graph(path: Path, nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> None:
    """Write a graph with its weights as an ONNX file."""
    from onnx import helper, numpy_helper, save

    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    save(model, path)


def write_image_graph(path: Path, width: int = 16, batch: str | int = "n", out_width: int | str | None = None) -> None:
    """Write a convolution, a mean over the picture, a projection: float (n, 3, 32, 32) -> (n, width)."""
    from onnx import TensorProto, helper

    rng = np.random.default_rng(0)
    weights = {
        "w": rng.standard_normal((8, 3, 5, 5)).astype(np.float32),
        "p": rng.standard_normal((8, width)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["m"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["m", "p"], ["embedding"]),
    ]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 32, 32])
    found = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, out_width or width])
    save_graph(path, nodes, [given], [found], weights)


def write_text_graph(path: Path, words: int, width: int = 16, context: int = 6) -> None:
    """Write the mean of word vectors: int64 (n, context) -> (n, width)."""
    from onnx import TensorProto, helper

    table = np.random.default_rng(1).standard_normal((words, width)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["g"]),
        helper.make_node("ReduceMean", ["g"], ["embedding"], axes=[1], keepdims=0),
    ]
    given = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", context])
    found = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", width])
    save_graph(path, nodes, [given], [found], {"table": table})


MANIFEST: dict[str, Any] = {
    "name": "tiny-clip",
    "width": 16,
    "image": {
        "file": "image.onnx",
        "input": "image",
        "output": "embedding",
        "resize": 36,
        "resize_mode": "shortest",
        "crop": 32,
        "interpolation": "bicubic",
        "mean": [0.5, 0.4, 0.3],
        "std": [0.2, 0.3, 0.4],
    },
    "text": {
        "file": "text.onnx",
        "input": "tokens",
        "output": "embedding",
        "context": 6,
        "tokenizer": {"kind": "words", "file": "vocabulary.txt"},
    },
}


def write_clip(folder: Path) -> Path:
    """Write the model: image and text encoder, vocabulary and manifest; its vectors have 16 dimensions."""
    folder.mkdir(parents=True, exist_ok=True)
    write_image_graph(folder / "image.onnx")
    write_text_graph(folder / "text.onnx", words=7)
    (folder / "vocabulary.txt").write_text("<pad>\n<unk>\na\ndog\nboat\nstraße\nred\n", encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(MANIFEST))
    return folder
