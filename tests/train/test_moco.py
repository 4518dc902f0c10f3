"""Training of MoCo v2, against plain statements of its parts, and the checkpoint as an encoder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolwright.api import train_encoder
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.jobs.train import train_encoder as train
from poolwright.jobs.training_images import open_sources
from poolwright.models.encoders.load import forget_encoders, load_encoder, peek
from poolwright.train.loop import AugmentedViews, reproducible
from poolwright.train.options import MocoOptions, train_options

SMALL = {
    "architecture": "test_resnet", "size": 32, "batch": 16, "epochs": 2, "projection": 8, "norm_group": 8,
    "device": "cpu",
}  # fmt: skip


def quiet(*_: Any) -> None:
    return


@pytest.fixture(scope="module")
def trained(photos: Path, torchvision: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lightly")
    folder = tmp_path_factory.mktemp("encoders") / "moco"
    train_encoder("moco", [photos], folder, SMALL)
    return folder


def tensors(folder: Path) -> dict[str, Any]:
    import torch

    found: dict[str, Any] = torch.load(folder / "moco.pth.tar", weights_only=True)["state_dict"]
    return found


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def test_the_checkpoint_is_as_the_public_code_writes_it(trained: Path) -> None:
    import torch

    checkpoint = torch.load(trained / "moco.pth.tar", weights_only=True)
    assert (checkpoint["arch"], checkpoint["epoch"]) == ("test_resnet", 2)
    state = checkpoint["state_dict"]
    assert state["module.queue"].shape == (8, 20)
    assert state["module.encoder_q.fc.2.weight"].shape == (8, 96)
    queries = {name for name in state if name.startswith("module.encoder_q.")}
    assert {name.replace("encoder_q", "encoder_k") for name in queries} <= set(state)
    moved = max(float((state[name] - state[name.replace("encoder_q", "encoder_k")]).abs().max()) for name in queries)
    assert moved > 0


def test_the_encoder_gives_the_features_of_the_query_network(trained: Path, photos: Path) -> None:
    import timm
    import torch
    from PIL import Image
    from torchvision.transforms._presets import ImageClassification

    forget_encoders()
    spec = EncoderSpec(model=f"moco:{trained / 'moco.pth.tar'}", device="cpu")
    network = timm.create_model("test_resnet", num_classes=0)
    prefix = "module.encoder_q."
    network.load_state_dict(
        {name.removeprefix(prefix): value for name, value in tensors(trained).items()
         if name.startswith(prefix) and ".fc." not in name}
    )  # fmt: skip
    paths = sorted(photos.glob("a/*.png"))
    transform = ImageClassification(crop_size=32, resize_size=37)
    with torch.inference_mode():
        features = network.eval()(torch.stack([transform(Image.open(path)) for path in paths]))
    expected = torch.nn.functional.normalize(features).numpy()
    vectors, _ = load_encoder(spec).images([path.read_bytes() for path in paths])
    np.testing.assert_allclose(vectors, expected, atol=1e-4)
    assert (peek(spec).width, peek(spec).name) == (96, "moco.pth.tar")


class Stopped(Exception):
    """Stands for whatever ends a process."""


def test_a_stopped_training_ends_with_the_same_weights(trained: Path, photos: Path, tmp_path: Path) -> None:
    def stop(progress: Any) -> None:
        if progress.step == 3:
            raise Stopped

    options, sources = train_options("moco", SMALL), open_sources([photos])
    with pytest.raises(Stopped):
        train(sources, tmp_path, options, quiet, stop, save_seconds=0)
    train(sources, tmp_path, options, quiet, quiet)
    assert same(tensors(tmp_path), tensors(trained))
    here, there = (json.loads((folder / "training.json").read_text()) for folder in (tmp_path, trained))
    assert here["curves"] == there["curves"]


def test_views_depend_on_seed_epoch_and_uid_alone(torchvision: Any, photos: Path, tmp_path: Path) -> None:
    import torch

    from poolwright.jobs.training_images import list_pictures
    from poolwright.train.moco import MocoTask

    pictures = list_pictures(open_sources([photos]), tmp_path, 32, quiet)
    task = MocoTask(train_options("moco", SMALL), len(pictures))  # type: ignore[arg-type]
    before = torch.get_rng_state(), np.random.get_state()[1][0]
    with reproducible("cpu"):
        first = [AugmentedViews(task, pictures, 0, 1)[index] for index in (3, 5)]
        again = [AugmentedViews(task, pictures, 0, 1)[index] for index in (5, 3)][::-1]
        other = [AugmentedViews(task, pictures, *key)[3] for key in ((1, 1), (0, 2))]
    assert (torch.get_rng_state() == before[0]).all()
    assert np.random.get_state()[1][0] == before[1]
    for one, two in zip(first, again, strict=True):
        assert all((x == y).all() for x, y in zip(one, two, strict=True))
    assert not (first[0][0] == first[0][1]).all()
    assert not any((first[0][0] == views[0]).all() for views in other)


def test_the_loss_and_the_bank(torchvision: Any) -> None:
    """One step against numpy: cross-entropy of the positive among the bank, which then takes the keys in."""
    import torch

    from poolwright.train.moco import MocoTask

    options = MocoOptions.model_validate({**SMALL, "queue": 20, "encoder_momentum": 0.9})
    task = MocoTask(options, 40)
    torch.manual_seed(0)
    task.build("cpu", 10)
    bank = task.loss.memory_bank.bank.clone().numpy()
    start = {name: value.clone() for name, value in task.query.state_dict().items()}
    seen: list[np.ndarray] = []
    task.query.register_forward_hook(lambda _, __, out: seen.append(out.detach().numpy()))
    task.key.register_forward_hook(lambda _, __, out: seen.append(out.detach().numpy()))
    views = [torch.randn(16, 3, 32, 32), torch.randn(16, 3, 32, 32)]
    torch.manual_seed(1)
    losses = task.step(views, 0)
    assert [len(codes) for codes in seen] == [8, 8, 8, 8]  # queries and keys in two groups each
    torch.manual_seed(1)
    order = torch.randperm(16).numpy()
    queries, shuffled = np.concatenate(seen[:2]), np.concatenate(seen[2:])
    keys = np.empty_like(shuffled)
    keys[order] = shuffled
    queries, keys = (codes / np.linalg.norm(codes, axis=1, keepdims=True) for codes in (queries, keys))
    right = (queries * keys).sum(axis=1)
    logits = np.concatenate([right[:, None], queries @ bank.T], axis=1) / 0.2
    expected = (np.log(np.exp(logits).sum(axis=1)) - logits[:, 0]).mean()
    assert float(losses["contrastive loss"]) == pytest.approx(expected, abs=1e-4)
    assert float(losses["told apart"]) == pytest.approx((right > (queries @ bank.T).max(axis=1)).mean())
    np.testing.assert_allclose(task.loss.memory_bank.bank[:16].numpy(), keys, atol=1e-5)
    assert (task.loss.memory_bank.bank[16:].numpy() == bank[16:]).all()
    name = next(name for name, _ in task.query.named_parameters())
    moved = {key: value.clone() for key, value in task.query.state_dict().items()}
    task.step(views, 1)
    expected_key = 0.9 * start[name] + 0.1 * moved[name]
    assert torch.allclose(task.key.state_dict()[name], expected_key, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "test_vit"}, "'test_vit' is not a ResNet of timm"),
        ({"architecture": "resnet5x"}, "'resnet5x' is not one of timm"),
        ({"queue": 64}, "a queue of 64 codes is more than the 40 images"),
        ({"temperature": 0}, "temperature: Input should be greater than 0, not 0"),
    ],
)
def test_what_is_wrong_is_said(
    photos: Path, torchvision: Any, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError) as error:
        train_encoder("moco", [photos], tmp_path / "moco", {**SMALL, **settings})
    assert message in str(error.value)


def test_the_report_shows_views(trained: Path) -> None:
    page = (trained / "report.html").read_text()
    for words in ("contrastive loss", "told apart", "one view", "other view"):
        assert words in page


def test_lightly_asks_no_server(torchvision: Any) -> None:
    from poolwright.core.runtime.quiet import silence

    silence()
    assert os.environ["LIGHTLY_DID_VERSION_CHECK"] == "True"
