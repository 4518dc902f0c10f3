"""Make the demo's encoder `pixels`: a picture at 16 x 16 without its mean, the baseline of an untrained model.

python tools/make_pixels_encoder.py
"""

from __future__ import annotations

import json
from pathlib import Path

import onnx
from onnx import TensorProto, helper

FOLDER = Path(__file__).parent.parent / "src" / "poolwright" / "demo" / "pixels"
SIDE = 16
MANIFEST = {
    "name": "poolwright-demo-pixels",
    "width": 3 * SIDE * SIDE,
    "image": {
        "file": "image.onnx", "input": "image", "output": "embedding", "resize": SIDE, "resize_mode": "squash",
        "crop": SIDE, "interpolation": "bilinear", "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0],
    },
}  # fmt: skip


def main() -> None:
    """Write the graph and its manifest."""
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("ReduceMean", ["flat"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["flat", "mean"], ["centred"]),
        helper.make_node("LpNormalization", ["centred"], ["embedding"], axis=1, p=2),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 3 * SIDE * SIDE])
    graph = helper.make_graph(nodes, "pixels", [image], [embedding])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "image.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (FOLDER / "manifest.json").write_text(json.dumps(MANIFEST, indent=1) + "\n")


if __name__ == "__main__":
    main()
