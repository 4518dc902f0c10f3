"""Speed of an encoder on encoded files, as a share of the bare speed of its model.

Ratio of images per second of `Encoder.images` (decode, resize, normalise, forward, two threads at once, each its
own unit, as the engine calls it) to those of a bare loop of forward passes over the same pixels, prepared
beforehand, on as many threads. On a CPU with a ResNet-18-sized ONNX network of random weights; with a GPU
also open_clip's ViT-B-32 and ViT-L-14, likewise of random weights. `embed-ready` leaves decoding out: what is given are
pixels, and the rest of the way of an image (groups, normalising, forward, unit length) is ours.

    python benchmarks/embed.py [FOLDER]
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from poolwright.core.encoder import EncoderSpec
from poolwright.core.images.image_files import Limits
from poolwright.models.encoders.load import load_encoder
from poolwright.models.encoders.onnx import OnnxEncoder
from poolwright.models.encoders.prepare import Preparation, normalised

THREADS = 2
FILES = 16
REPEATS = 15
MANIFEST = '{"image":{"resize":256,"crop":224,"mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225]}}'
CPU_TARGET = 0.85


def run(work: Path, backend: str = "files") -> float:
    """Print and return the ratio on the CPU; print those of the GPU if there is one.

    Args:
        work: folder of the model.
        backend: 'files', or 'ready' for pixels that need no decoding.
    """
    files = photos(FILES)
    if backend == "ready":
        return onnx_ratio(work, files, ready=True)
    ratio = onnx_ratio(work, files)
    print(f"embed ratio={ratio:.3f} (ONNX ResNet-18 on CPU, {THREADS} threads; target {CPU_TARGET})")
    open_clip_ratios(work, files)
    return ratio


def photos(count: int) -> list[bytes]:
    """JPEG files of 224 to 500 pixels with the detail of photographs, about 10 to 90 kB each."""
    return [photo(seed) for seed in range(count)]


def photo(seed: int) -> bytes:
    """A JPEG file of 224 to 500 pixels."""
    width, height = (int(edge) for edge in np.random.default_rng(seed).integers(224, 501, 2))
    return detailed_jpeg(seed, width, height)


def detailed_jpeg(seed: int, width: int, height: int) -> bytes:
    """Noise of falling strength at rising frequency, as photographs have it, saved at quality 85."""
    from PIL import Image

    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(max(width, height).bit_length() - 2):
        cells = (3 * 2**octave, 3 * 2**octave)
        noise = rng.integers(0, 256, (*cells, 3), dtype=np.uint8)
        grown = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        total += (np.asarray(grown, np.float32) - 127.5) / 1.45**octave
    out = io.BytesIO()
    Image.fromarray(np.clip(127.5 + total, 0, 255).astype(np.uint8)).save(out, "JPEG", quality=85)
    return out.getvalue()


@dataclass(frozen=True)
class Decoded(Preparation):
    """The preparation of files that are pixels already."""

    def decode(self, data: bytes | None, limits: Limits, out: np.ndarray) -> str | None:
        out[...] = np.frombuffer(data or b"", np.uint8).reshape(out.shape)
        return None


def onnx_ratio(work: Path, files: Sequence[bytes], ready: bool = False) -> float:
    path = work / "resnet18.onnx"
    write_resnet18(path)
    encoder = OnnxEncoder(EncoderSpec(model=f"onnx:{path}", manifest=MANIFEST, device="cpu"))
    preparation = Preparation(256, 224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    decoded = prepared(files, preparation)
    pixels = normalised(decoded, preparation)
    forward = bare_onnx(path)
    given = files
    if ready:
        given = [one.tobytes() for one in decoded]
        encoder._preparation = Decoded(**vars(preparation))
        encoder._feed = encoder._new_feed()
    return best_ratio(
        lambda: encoder.images(given), lambda: [forward(pixels[at : at + 1]) for at in range(len(pixels))]
    )


def prepared(files: Sequence[bytes], preparation: Preparation) -> np.ndarray:
    pixels = np.zeros((len(files), preparation.crop, preparation.crop, 3), np.uint8)
    for index, data in enumerate(files):
        preparation.decode(data, Limits(), pixels[index])
    return pixels


def bare_onnx(path: Path) -> Callable[[np.ndarray], Any]:
    """A forward pass at full speed: one image per pass is the fastest, since larger batches leave the cache."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda values: session.run(None, {"image": values})


def best_ratio(ours: Callable[[], object], bare: Callable[[], object]) -> float:
    """Ratio of the best of many short times, taken in turns: what other programs on the machine disturb is left out."""
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(REPEATS):
        times["bare"].append(seconds_on_threads(bare))
        times["ours"].append(seconds_on_threads(ours))
    return min(times["bare"]) / min(times["ours"])


def seconds_on_threads(work: Callable[[], object]) -> float:
    with ThreadPoolExecutor(THREADS) as threads:
        start = perf_counter()
        for done in [threads.submit(work) for _ in range(THREADS)]:
            done.result()
        return perf_counter() - start


def open_clip_ratios(work: Path, files: Sequence[bytes]) -> None:
    """ViT-B-32 and ViT-L-14 in half precision, against a loop over pixels that are on the GPU already."""
    try:
        import torch

        there = torch.cuda.is_available()
    except ImportError:
        there = False
    if not there:
        print("embed open_clip: skipped, no GPU here")
        return
    for architecture in ("ViT-B-32", "ViT-L-14"):
        ratio, speed = open_clip_ratio(work, architecture, list(files) * 120)
        print(
            f"embed open_clip {architecture}: ratio={ratio:.3f}, {speed:,.0f} images/s from files "
            f"({os.cpu_count()} cores decode)"
        )


def open_clip_ratio(work: Path, architecture: str, files: Sequence[bytes]) -> tuple[float, float]:
    """(ratio, images per second from files)."""
    import open_clip
    import torch

    path = work / f"{architecture}.pt"
    torch.manual_seed(0)
    torch.save(open_clip.create_model(architecture).state_dict(), path)
    encoder = load_encoder(EncoderSpec(model=f"open_clip:{architecture}/{path}", device="cuda", batch=128))
    model = open_clip.create_model(architecture, pretrained=str(path), precision="fp16", device="cuda").eval()
    values = torch.randn((128, 3, 224, 224), device="cuda", dtype=torch.float16)

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(len(files) // 128):
                model.encode_image(values)
            torch.cuda.synchronize()

    ratio = best_ratio(lambda: encoder.images(files), bare)
    start = perf_counter()
    encoder.images(files)
    return ratio, len(files) / (perf_counter() - start)


def write_resnet18(path: Path) -> None:
    """ResNet-18 without its classifier: 1.8 GMAC per image, 512 dimensions."""
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(0)
    nodes: list[Any] = []
    weights: list[Any] = []

    def convolve(source: str, name: str, inside: int, outside: int, edge: int, stride: int, relu: bool) -> str:
        values = rng.standard_normal((outside, inside, edge, edge)) * np.sqrt(2 / (inside * edge * edge))
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.w"))
        pads = [edge // 2] * 4
        nodes.append(helper.make_node("Conv", [source, f"{name}.w"], [name], strides=[stride] * 2, pads=pads))
        if relu:
            nodes.append(helper.make_node("Relu", [name], [f"{name}.r"]))
        return f"{name}.r" if relu else name

    at = convolve("image", "stem", 3, 64, 7, 2, relu=True)
    nodes.append(helper.make_node("MaxPool", [at], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    at, inside = "pool", 64
    for block, (outside, stride) in enumerate(
        [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    ):
        inner = convolve(at, f"b{block}.1", inside, outside, 3, stride, relu=True)
        inner = convolve(inner, f"b{block}.2", outside, outside, 3, 1, relu=False)
        skip = at if inside == outside else convolve(at, f"b{block}.s", inside, outside, 1, stride, relu=False)
        nodes.append(helper.make_node("Add", [inner, skip], [f"b{block}.sum"]))
        nodes.append(helper.make_node("Relu", [f"b{block}.sum"], [f"b{block}"]))
        at, inside = f"b{block}", outside
    nodes.append(helper.make_node("GlobalAveragePool", [at], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["embedding"]))
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])
    found = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 512])
    model = helper.make_model(
        helper.make_graph(nodes, "resnet18", [given], [found], weights), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 8
    save(model, path)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
