"""Encoders of timm, torchvision and MoCo, against the libraries' own passes, with weights that the tests save."""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.core.runtime.threads import one_torch_thread
from poolwright.models.encoders.load import check_encoder, forget_encoders, load_encoder, peek
from tests.models.making import encoded, picture


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As within a unit of a run."""
    with one_torch_thread():
        yield


@pytest.fixture(scope="module")
def files(photos: list[bytes]) -> list[bytes]:
    odd = [
        encoded(picture(1, 160, 160), "PNG"),
        encoded(picture(2, 30, 20), "PNG"),
        encoded(picture(3, 64, 300), "PNG"),
    ]
    return [*photos[:5], *odd]


@pytest.fixture(scope="module")
def timm(torchvision: Any) -> Any:
    return pytest.importorskip("timm")


def spec_of(model: str, **options: Any) -> EncoderSpec:
    return EncoderSpec(model=model, device="cpu", batch=2, **options)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


def seeded(make: Any) -> Any:
    """A network with weights drawn at random, and counts of batches as after training."""
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make()
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
    return model.eval()


def own_vectors(model: Any, transform: Any, files: list[bytes]) -> np.ndarray:
    """What the library itself gives, at unit length."""
    import torch

    pixels = torch.stack([transform(Image.open(io.BytesIO(data)).convert("RGB")) for data in files])
    with torch.inference_mode():
        vectors = model(pixels)
    return np.asarray(torch.nn.functional.normalize(vectors).numpy())


def agrees(spec: EncoderSpec, model: Any, transform: Any, files: list[bytes]) -> None:
    """The encoder gives the vectors of the library, was foreseen by `peek`, and looks at each image by itself."""
    encoder = load_encoder(spec)
    vectors, reasons = encoder.images(files)
    assert reasons == [None] * len(files)
    assert (vectors * own_vectors(model, transform, files)).sum(axis=1).min() > 0.99999
    seen = peek(spec)
    assert (seen.name, seen.width, seen.texts) == (encoder.name, vectors.shape[1], False)
    assert seen.weights == encoder.weights
    order = np.arange(len(files))[::-1]
    assert same_bits(encoder.images([files[i] for i in order])[0], vectors[order])
    assert same_bits(encoder.images(files[1:2])[0], vectors[1:2])
    mixed, reasons = encoder.images([None, files[0], b"text"])
    assert same_bits(mixed[1], vectors[0])
    assert reasons == ["missing_file", None, "not_an_image"]
    assert np.isnan(mixed[[0, 2]]).all()
    with pytest.raises(RecipeError, match="no text encoder"):
        encoder.texts(["a dog"])


@pytest.fixture(scope="module")
def timm_weights(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of small architectures of timm, heads and all, in three kinds of files."""
    import torch
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("timm")
    save_file(seeded(lambda: timm.create_model("test_resnet")).state_dict(), folder / "resnet.safetensors")
    vit = seeded(lambda: timm.create_model("test_vit", num_classes=7)).state_dict()
    wrapped = {f"module.{name}": value for name, value in vit.items()}
    torch.save({"arch": "test_vit", "state_dict": wrapped}, folder / "vit.pth.tar")
    torch.save(seeded(lambda: timm.create_model("test_convnext")).state_dict(), folder / "convnext.pth")
    return folder


@pytest.mark.parametrize(
    ("architecture", "file"),
    [("test_resnet", "resnet.safetensors"), ("test_vit", "vit.pth.tar"), ("test_convnext", "convnext.pth")],
)
def test_timm_models_give_timms_vectors(
    timm: Any, timm_weights: Path, files: list[bytes], architecture: str, file: str
) -> None:
    spec = spec_of(f"timm:{architecture}/{timm_weights / file}")
    model = seeded(lambda: timm.create_model(architecture, num_classes=7 if "vit" in file else 1000))
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    agrees(spec, model, transform, files)
    assert peek(spec).name == f"{architecture}/{file}"


def test_resize_and_crop_are_options(timm: Any, timm_weights: Path, files: list[bytes]) -> None:
    place = f"timm:test_resnet/{timm_weights / 'resnet.safetensors'}"
    model = seeded(lambda: timm.create_model("test_resnet"))
    model.reset_classifier(0)
    config = timm.data.resolve_model_data_config(model)
    for options, crop, share in [({"resize": 100, "crop": 96}, 96, 0.96), ({"crop": 80}, 80, config["crop_pct"])]:
        made = timm.data.create_transform(**{**config, "input_size": (3, crop, crop), "crop_pct": share})
        agrees(spec_of(place, **options), model, made, files)
    assert len({peek(spec_of(place, **options)).weights for options in ({}, {"crop": 80}, {"resize": 300})}) == 3
    with pytest.raises(RecipeError, match="too few to crop"):
        peek(spec_of(place, resize=100))


def test_a_vit_takes_images_of_another_size(timm: Any, timm_weights: Path, files: list[bytes]) -> None:
    spec = spec_of(f"timm:test_vit/{timm_weights / 'vit.pth.tar'}", resize=112, crop=96)
    model = timm.create_model("test_vit", img_size=96, pretrained=False, num_classes=7)
    small = seeded(lambda: timm.create_model("test_vit", num_classes=7)).state_dict()
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(small, model))
    model.reset_classifier(0)
    config = {**timm.data.resolve_model_data_config(model), "input_size": (3, 96, 96), "crop_pct": 96 / 112}
    agrees(spec, model.eval(), timm.data.create_transform(**config), files)


def test_squashed_images(timm: Any, timm_weights: Path, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    config = timm.get_pretrained_cfg("test_resnet")
    config.crop_mode = "squash"
    forget_encoders()
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: config)
    model = seeded(lambda: timm.create_model("test_resnet"))
    model.reset_classifier(0)
    transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=config.to_dict()))
    agrees(spec_of(f"timm:test_resnet/{timm_weights / 'resnet.safetensors'}"), model, transform, files)
    forget_encoders()


def test_published_weights_of_timm_are_known_once_loaded(
    timm: Any, timm_weights: Path, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("timm:test_resnet")
    seen = peek(spec)
    assert (seen.name, seen.width, seen.weights) == ("test_resnet.r160_in1k", 96, "")
    build = timm.create_model

    def offline(name: str, **options: Any) -> Any:
        assert name == "test_resnet.r160_in1k"
        overlay = {"file": str(timm_weights / "resnet.safetensors")}
        return build(name, pretrained_cfg_overlay=overlay, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    encoder = load_encoder(spec)
    monkeypatch.undo()
    assert peek(spec).weights == encoder.weights != ""
    by_file = load_encoder(spec_of(f"timm:test_resnet/{timm_weights / 'resnet.safetensors'}"))
    assert same_bits(encoder.images(files)[0], by_file.images(files)[0])
    forget_encoders()


@pytest.fixture(scope="module")
def resnet18(torchvision: Any) -> Any:
    return seeded(torchvision.models.resnet18)


def without_head(torchvision: Any, model: Any) -> Any:
    import copy

    import torch

    model = copy.deepcopy(model)
    model.fc = torch.nn.Identity()
    return model


@pytest.mark.parametrize("options", [{}, {"resize": 130, "crop": 128}])
def test_torchvision_models_give_torchvisions_vectors(
    torchvision: Any, resnet18: Any, tmp_path: Path, files: list[bytes], options: dict[str, int]
) -> None:
    import torch
    from torchvision.transforms._presets import ImageClassification

    torch.save(resnet18.state_dict(), tmp_path / "weights.pth")
    transform = ImageClassification(crop_size=options.get("crop", 224), resize_size=options.get("resize", 256))
    spec = spec_of(f"torchvision:resnet18/{tmp_path / 'weights.pth'}", **options)
    agrees(spec, without_head(torchvision, resnet18), transform, files[5:8])
    assert peek(spec).width == 512


def test_published_weights_of_torchvision(
    torchvision: Any, resnet18: Any, tmp_path: Path, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    seen = peek(spec_of("torchvision:resnet50"))
    assert (seen.name, seen.width, seen.weights) == ("resnet50/IMAGENET1K_V2", 2048, "")
    assert peek(spec_of("torchvision:resnet50/IMAGENET1K_V1")).name == "resnet50/IMAGENET1K_V1"
    (tmp_path / "checkpoints").mkdir()
    torch.save(resnet18.state_dict(), tmp_path / "checkpoints" / "resnet18-f37072fd.pth")
    by_name = spec_of("torchvision:resnet18")
    transform = torchvision.models.ResNet18_Weights.DEFAULT.transforms()
    agrees(by_name, without_head(torchvision, resnet18), transform, files[:2])
    by_file = spec_of(f"torchvision:resnet18/{tmp_path}/checkpoints/resnet18-f37072fd.pth")
    assert peek(by_file).weights == peek(by_name).weights
    assert peek(spec_of(by_file.model, resize=260)).weights != peek(by_name).weights


def test_a_file_with_a_published_name_is_prepared_as_published(torchvision: Any, tmp_path: Path) -> None:
    from poolwright.models.encoders.networks.torchvision_models import _preparation, find_model

    for name, resize in [("resnet50-11ad3fa6.pth", 232), ("resnet50-0676ba61.pth", 256), ("mine.pth", 256)]:
        (tmp_path / name).write_bytes(b"")
        spec = spec_of(f"torchvision:resnet50/{tmp_path / name}")
        assert _preparation(find_model(spec), spec).resize == resize


@pytest.mark.parametrize(
    ("architecture", "width"),
    [
        ("vgg11", 4096),
        ("efficientnet_b0", 1280),
        ("vit_b_16", 768),
        ("swin_t", 768),
        ("densenet121", 1024),
        ("inception_v3", 2048),
        ("convnext_tiny", 768),
    ],
)
def test_heads_are_the_last_linear_layer(torchvision: Any, architecture: str, width: int) -> None:
    import torch

    from poolwright.models.encoders.networks.torchvision_models import _empty, headless

    assert peek(spec_of(f"torchvision:{architecture}")).width == width
    with torch.device("meta"), torch.inference_mode():
        model = headless(_empty(architecture), architecture).eval()
        assert model(torch.empty(1, 3, 320, 320)[:, :, :224, :224]).shape == (1, width)


def v2_checkpoint(model: Any, **more: Any) -> dict[str, Any]:
    """As the public code of MoCo v2 saves it."""
    import torch

    encoder = {name: value for name, value in model.state_dict().items() if not name.startswith("fc.")}
    head = {"fc.0.weight": torch.zeros(512, 512), "fc.0.bias": torch.zeros(512), "fc.2.weight": torch.zeros(128, 512)}
    state = {f"module.encoder_q.{name}": value for name, value in {**encoder, **head}.items()}
    state |= {name.replace("encoder_q", "encoder_k"): value + 1 for name, value in state.items()}
    state |= {"module.queue": torch.zeros(128, 64), "module.queue_ptr": torch.zeros(1, dtype=torch.long)}
    return {"epoch": 200, "arch": "resnet18", "state_dict": state, "optimizer": {"param_groups": [{"lr": 0.03}]}} | more


def v3_checkpoint(model: Any) -> dict[str, Any]:
    """As the public code of MoCo v3 saves it."""
    import torch

    encoder = {name: value for name, value in model.state_dict().items() if not name.startswith(("fc.", "head."))}
    base = {f"module.base_encoder.{name}": value for name, value in encoder.items()}
    base["module.base_encoder.fc.1.running_mean"] = torch.zeros(4)
    state = base | {name.replace("base", "momentum"): value + 1 for name, value in base.items()}
    state["module.predictor.0.weight"] = torch.zeros(4, 4)
    return {"epoch": 100, "arch": "resnet18", "state_dict": state, "optimizer": {}, "scaler": {"scale": 65536.0}}


@pytest.mark.parametrize("make", [v2_checkpoint, v3_checkpoint])
def test_moco_checkpoints_give_the_vectors_of_their_resnet(
    torchvision: Any, resnet18: Any, tmp_path: Path, files: list[bytes], make: Any
) -> None:
    import torch
    from torchvision.transforms._presets import ImageClassification

    torch.save(make(resnet18), tmp_path / "moco.pth.tar", _use_new_zipfile_serialization=make is v3_checkpoint)
    transform = ImageClassification(crop_size=224)
    agrees(spec_of(f"moco:{tmp_path / 'moco.pth.tar'}"), without_head(torchvision, resnet18), transform, files[:2])
    larger = ImageClassification(crop_size=256, resize_size=260)
    options = {"resize": 260, "crop": 256}
    agrees(
        spec_of(f"moco:{tmp_path / 'moco.pth.tar'}", **options), without_head(torchvision, resnet18), larger, files[:2]
    )


def test_a_vit_of_moco_v3(timm: Any, tmp_path: Path, files: list[bytes]) -> None:
    import torch
    from torchvision.transforms._presets import ImageClassification

    model = timm.create_model("vit_small_patch16_224", num_heads=12).eval()
    state = {
        f"module.base_encoder.{name}": value
        for name, value in model.state_dict().items()
        if not name.startswith("head")
    }
    state["module.base_encoder.head.0.weight"] = torch.zeros(4, 4)
    torch.save({"arch": "vit_small", "state_dict": state}, tmp_path / "v3.pth.tar")
    model.reset_classifier(0)
    agrees(spec_of(f"moco:{tmp_path / 'v3.pth.tar'}"), model, ImageClassification(crop_size=224), files[:2])


def broken(checkpoint: dict[str, Any], change: str) -> dict[str, Any]:
    import torch

    state = checkpoint["state_dict"]
    if change == "lacks":
        del state["module.encoder_q.layer1.0.conv1.weight"]
    elif change == "has":
        state["module.encoder_q.layer9.weight"] = torch.zeros(1)
    elif change == "shape":
        state["module.encoder_q.conv1.weight"] = torch.zeros(64, 3, 3, 3)
    elif change == "arch":
        checkpoint["arch"] = "resnet50"
    elif change == "unknown":
        checkpoint["arch"] = "resnet51x"
    elif change == "other":
        checkpoint["state_dict"] = {"conv1.weight": torch.zeros(1)}
    elif change == "strange":
        state["module.decoder.weight"] = torch.zeros(1)
    elif change == "empty":
        checkpoint["state_dict"] = {}
    elif change == "code":
        checkpoint["args"] = argparse.Namespace(lr=0.03)
    return checkpoint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lacks", "is not of this architecture: it lacks layer1.0.conv1.weight"),
        ("has", "it has layer9.weight"),
        ("shape", "conv1.weight is (64, 3, 3, 3), not (64, 3, 7, 7)"),
        ("arch", "is not of this architecture: it lacks layer1.0.conv3.weight"),
        ("unknown", "'resnet51x' is not one of timm"),
        ("other", "none of its names begins with module.encoder_q."),
        ("strange", "it has decoder.weight"),
        ("empty", "holds no weights by name"),
        ("code", "holds more than tensors"),
    ],
)
def test_what_is_wrong_with_a_moco_checkpoint_is_said(
    torchvision: Any, resnet18: Any, tmp_path: Path, change: str, message: str
) -> None:
    import torch

    torch.save(broken(v2_checkpoint(resnet18), change), tmp_path / "moco.pth.tar")
    for call in (check_encoder, load_encoder):
        with pytest.raises(RecipeError) as error:
            call(spec_of(f"moco:{tmp_path / 'moco.pth.tar'}"))
        assert message in str(error.value)
        assert str(tmp_path) in str(error.value)


def test_no_code_of_a_checkpoint_runs(torchvision: Any, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "evil.pth").write_bytes(pickle.dumps({"state_dict": Evil()}))
    for model in ("moco:{}", "timm:test_resnet/{}", "torchvision:resnet18/{}"):
        with pytest.raises(RecipeError, match=r"evil\.pth"):
            load_encoder(spec_of(model.format(tmp_path / "evil.pth")))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("timm:resnet5o", "did you mean 'resnet50'?"),
        ("timm:resnet50.a1_in1", "did you mean 'a1_in1k'?"),
        ("timm:resnet50/nothing.pth", "no weights file nothing.pth"),
        ("timm:resnet50/a1_in1k", "written timm:MODEL.TAG"),
        ("timm:hf-hub:timm/resnet50", "download the weights"),
        ("timm:test_resnet/{broken}", "is not a checkpoint of torch"),
        ("timm:test_resnet/{other}", "Missing key(s)"),
        ("torchvision:resnet5O", "did you mean 'resnet50'?"),
        ("torchvision:resnet50/IMAGENET1K_V3", "did you mean 'IMAGENET1K_V"),
        ("torchvision:resnet50/nothing.pth", "no weights file nothing.pth"),
        ("torchvision:squeezenet1_0", "no linear layer at its end"),
        ("torchvision:resnet18/{broken}", "is not a checkpoint of torch"),
        ("torchvision:resnet18/{other}", "is not of this architecture: it lacks conv1.weight"),
        ("moco:nothing.pth", "no such file"),
        ("moco:{broken}", "is not a checkpoint of torch"),
    ],
)
def test_what_is_wrong_is_said(timm: Any, tmp_path: Path, model: str, message: str) -> None:
    import torch

    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save({"some.weight": torch.zeros(1)}, tmp_path / "other.pth")
    named = model.format(broken=tmp_path / "broken.pth", other=tmp_path / "other.pth")
    with pytest.raises(RecipeError) as error:
        load_encoder(spec_of(named))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_kinds_with_a_preparation_of_their_own_take_no_options(clip_folder: Path) -> None:
    with pytest.raises(RecipeError, match="its manifest says how images are prepared"):
        check_encoder(spec_of(f"onnx:{clip_folder}", crop=224))
    with pytest.raises(RecipeError, match="takes no 'resize'"):
        check_encoder(spec_of("open_clip:ViT-B-32/openai", resize=224))
