"""score_head: published heads on vectors and ONNX classifiers of images, with weights that the tests write."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.models.making import encoded, save_graph

from poolwright import api
from poolwright.core.errors import ChangedError, PoolwrightError, StepError
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.rows import Rows, vector_array
from poolwright.steps.describe.score_head import ScoreHead

WIDTH = 24
SIZES = ((16, WIDTH), (8, 16), (1, 8))


def layers(sizes: tuple[tuple[int, int], ...] = SIZES, first: int = 9) -> dict[str, np.ndarray]:
    """Weights as torch names them; from layers.9 on, so that names in order of text are in another order."""
    draw = np.random.default_rng(1)
    found = {}
    for at, size in enumerate(sizes):
        found[f"layers.{first + 2 * at}.weight"] = draw.normal(size=size).astype(np.float32)
        found[f"layers.{first + 2 * at}.bias"] = draw.normal(size=size[:1]).astype(np.float32)
    return found


def plain(vectors: np.ndarray, weights: dict[str, np.ndarray], relu: bool) -> np.ndarray:
    values = vectors.astype(np.float64)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    arrays = list(weights.values())
    for at, (weight, bias) in enumerate(zip(arrays[::2], arrays[1::2], strict=True)):
        values = values @ weight.T.astype(np.float64) + bias
        values = np.maximum(values, 0) if relu and at < len(arrays) // 2 - 1 else values
    return values


def table(count: int = 300) -> pa.Table:
    vectors = np.random.default_rng(2).normal(size=(count, WIDTH)).astype(np.float32)
    vectors[5], vectors[6, 1] = 0, np.nan
    return pa.table({"uid": [f"{row:03d}" for row in range(count)], "clip": vector_array(vectors)})


def write(path: Path, weights: dict[str, np.ndarray]) -> Path:
    if path.suffix == ".npz":
        np.savez(path, **weights)
    elif path.suffix == ".safetensors":
        from safetensors.numpy import save_file

        save_file(weights, path)
    else:
        from onnx import TensorProto, helper

        arrays, nodes, last = list(weights.values()), [], "x"
        for at in range(0, len(arrays), 2):
            nodes.append(helper.make_node("Gemm", [last, f"w{at}", f"w{at + 1}"], [f"h{at}"], transB=1))
            last = f"h{at}"
        given, found = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
            for name, size in (("x", WIDTH), (last, len(arrays[-1])))
        )
        save_graph(path, nodes, [given], [found], {f"w{at}": array for at, array in enumerate(arrays)})
    return path


def scored(step: ScoreHead, rows: pa.Table) -> tuple[np.ndarray, list[str | None]]:
    state = step.fit(MemoryFrame(rows), Context())
    outcome = step.apply(Rows(rows), state)
    assert outcome.columns[step.into].type == pa.float32()
    drop = np.zeros(len(rows), int) if outcome.drop is None else outcome.drop
    names = [step.reasons[code - 1].name if code else None for code in drop]
    return outcome.columns[step.into].to_numpy(zero_copy_only=False), names


@pytest.mark.parametrize("ending", [".safetensors", ".npz", ".onnx"])
def test_scores_are_those_of_the_layers(tmp_path: Path, ending: str) -> None:
    rows, weights = table(), layers()
    head = write(tmp_path / f"aesthetic{ending}", weights)
    found, names = scored(ScoreHead(of="clip", head=str(head)), rows)
    vectors = Rows(rows).vectors("clip")
    good = [name is None for name in names]
    assert [at for at, name in enumerate(names) if name] == [5, 6]
    assert {name for name in names if name} == {"no_vector"}
    np.testing.assert_allclose(found[good], plain(vectors[good], weights, False)[:, 0], rtol=1e-4, atol=1e-5)


def test_relu_between_layers_and_one_of_several_scores(tmp_path: Path) -> None:
    rows, weights = table(), layers(((16, WIDTH), (3, 16)))
    head = str(write(tmp_path / "head.npz", weights))
    step = ScoreHead(of="clip", head=head, hidden="relu", output=2, final="softmax", into="nsfw")
    found, names = scored(step, rows)
    good = [name is None for name in names]
    logits = np.exp(plain(Rows(rows).vectors("clip")[good], weights, True))
    np.testing.assert_allclose(found[good], (logits / logits.sum(axis=1, keepdims=True))[:, 2], rtol=1e-5)
    state = step.fit(MemoryFrame(rows), Context())
    alone = [step.apply(Rows(rows.slice(at, 1)), state).columns["nsfw"][0].as_py() for at in (0, 77, 299)]
    assert alone == [found[at] for at in (0, 77, 299)]
    assert "MLP with relu, 24 to 3 in 2 layers" in step.learned(state)


@pytest.mark.parametrize(
    ("weights", "parameters", "words"),
    [
        (layers(((1, 20),)), {}, r"'clip' has 24 dimensions, but head.npz takes 20 \(linear head, 20 to 1"),
        (
            layers(((16, WIDTH), (1, 15))),
            {},
            r"'layers.11.weight' is \(1, 15\), but 'layers.9.weight' before it is \(16, 24\) and gives 16",
        ),
        ({"a.weight": np.ones(WIDTH)}, {}, r"'a.weight' is of shape \(24,\)"),
        ({"a.bias": np.ones(1)}, {}, "'a.weight' is missing"),
        (
            {"weight": np.ones((1, WIDTH)), "bias": np.ones(2)},
            {},
            r"'bias' has shape \(2,\), but 'weight' \(1, 24\)",
        ),
        ({"bn.running_mean": np.ones(3)}, {}, "no part of a linear layer"),
        ({"weight": np.full((1, WIDTH), np.inf)}, {}, "not finite"),
        ({}, {}, "holds no arrays"),
        (layers(((5, WIDTH),)), {}, "gives 5 scores; take one: output: 0 to 4"),
        (layers(((5, WIDTH),)), {"output": 5}, "there is no 'output: 5'"),
        (layers(), {"final": "softmax"}, "whose softmax is 1"),
    ],
)
def test_what_does_not_fit_is_named(
    tmp_path: Path, weights: dict[str, np.ndarray], parameters: dict[str, Any], words: str
) -> None:
    head = write(tmp_path / "head.npz", weights)
    with pytest.raises(StepError, match=words):
        ScoreHead(of="clip", head=str(head), **parameters).check_files(table(8).schema)


@pytest.mark.parametrize("name", ["head.npz", "head.onnx", "head.safetensors", "head.pth"])
def test_a_file_that_is_no_head_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x00\x01 no head at all")
    with pytest.raises(PoolwrightError, match=name):
        ScoreHead(of="clip", head=str(tmp_path / name)).check_files(table(8).schema)


def test_another_head_of_the_same_name_is_another_table(tmp_path: Path) -> None:
    pq.write_table(table(40), tmp_path / "rows.parquet")
    write(tmp_path / "head.npz", layers())
    step = {"score_head": {"of": "clip", "head": "head.npz", "into": "aesthetic"}}
    data = {
        "recipe": 1,
        "name": "scored",
        "max_bad": "10%",
        "pools": {"rows": {"read": "table", "path": "rows.parquet"}},
        "tables": {"made": {"from": "rows", "steps": [step, {"where": "aesthetic > 0"}]}},
    }
    first = api.run(api.Recipe.from_data(data, tmp_path), tmp_path / "run").tables["made"]
    assert first.record.rows_kept < 38
    weights = layers()
    weights["layers.13.bias"] += 100
    write(tmp_path / "head.npz", weights)
    with pytest.raises(ChangedError, match=r"head\.npz"):
        api.run(api.Recipe.from_data(data, tmp_path), tmp_path / "run")
    again = api.run(api.Recipe.from_data(data, tmp_path), tmp_path / "run", fresh=["made"]).tables["made"]
    assert again.record.rows_kept == 38


def test_an_image_classifier_scores_pictures(tmp_path: Path) -> None:
    from onnx import TensorProto, helper
    from PIL import Image

    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
    ]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])
    found = helper.make_tensor_value_info("means", TensorProto.FLOAT, ["n", 3])
    save_graph(tmp_path / "nsfw.onnx", nodes, [given], [found], {})
    model = {"model": f"onnx:{tmp_path / 'nsfw.onnx'}", "manifest": {"image": {"resize": 8, "std": [0.5, 0.5, 0.5]}}}
    step = ScoreHead.model_validate({"model": model, "output": 1, "into": "nsfw"})
    files = [encoded(Image.new("RGB", (20, 20), (255, 51, 0)), "PNG"), None, b"text", encoded(Image.new("L", (9, 9)))]
    rows = pa.table({"uid": list("abcd"), "image": pa.array(files, pa.binary())})
    step.gives(rows.schema)
    scores, names = scored(step, rows)
    assert names == [None, "missing_file", "not_an_image", None]
    np.testing.assert_allclose(scores[[0, 3]], [0.4, 0], atol=1e-6)
    with pytest.raises(StepError, match="gives 3 scores; take one: output: 0 to 2"):
        ScoreHead.model_validate({"model": model}).gives(rows.schema)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "needs head or model"),
        ({"head": "a.npz"}, "'head' needs 'of'"),
        ({"model": "onnx:a.onnx", "of": "clip"}, "'of' is about vectors"),
        ({"model": "timm:vit"}, "runs ONNX classifiers"),
        ({"of": "clip", "head": "a.onnx", "hidden": "relu"}, "no effect on an ONNX graph"),
    ],
)
def test_parameters_that_do_not_go_together(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScoreHead.model_validate(parameters)


def test_a_state_dict_of_torch_becomes_a_head(tmp_path: Path) -> None:
    """LAION's predictors are .pth files of linear layers; saved anew they give what torch gives."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 16), torch.nn.Dropout(0.2), torch.nn.Linear(16, 4), torch.nn.Linear(4, 1)
    ).eval()
    out = io.BytesIO()
    torch.save({f"layers.{key}": value for key, value in network.state_dict().items()}, out)
    weights = torch.load(io.BytesIO(out.getvalue()), weights_only=True)
    np.savez(tmp_path / "aesthetic.npz", **{key: value.numpy() for key, value in weights.items()})
    rows = table(50).slice(10)
    found, _ = scored(ScoreHead(of="clip", head=str(tmp_path / "aesthetic.npz")), rows)
    vectors = torch.nn.functional.normalize(torch.from_numpy(Rows(rows).vectors("clip").astype(np.float32)))
    np.testing.assert_allclose(found, network(vectors).detach().numpy()[:, 0], atol=1e-5)
