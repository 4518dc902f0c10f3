"""open_clip encoders, against open_clip itself, with weights that the test saves."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.models.encoders.load import check_encoder, forget_encoders, load_encoder, peek
from tests.models.making import encoded, picture

CONFIG: dict[str, Any] = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="module")
def weights(open_clip: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the architecture 'Tiny-B-16', drawn at random."""
    import torch

    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "Tiny-B-16.json").write_text(json.dumps(CONFIG))
    open_clip.add_model_config(folder / "Tiny-B-16.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model("Tiny-B-16")
    torch.save(model.state_dict(), folder / "tiny weights.pt")
    return folder / "tiny weights.pt"


def spec_of(weights: Path, **options: Any) -> EncoderSpec:
    return EncoderSpec(model=f"open_clip:Tiny-B-16/{weights}", device="cpu", **options)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


@pytest.fixture(scope="module")
def files(photos: list[bytes]) -> list[bytes]:
    odd = [encoded(picture(1, 64, 64), "PNG"), encoded(picture(2, 30, 20), "PNG"), encoded(picture(3, 64, 300), "PNG")]
    return [*photos, *odd, encoded(picture(4, 1500, 1100), quality=92)]


def own_vectors(open_clip: Any, model: Any, preprocess: Any, files: list[bytes]) -> np.ndarray:
    import torch

    pixels = torch.stack([preprocess(Image.open(io.BytesIO(data))) for data in files])
    with torch.inference_mode():
        return np.asarray(model.encode_image(pixels, normalize=True).numpy())


def test_vectors_are_those_of_open_clip(open_clip: Any, weights: Path, files: list[bytes]) -> None:
    encoder = load_encoder(spec_of(weights))
    vectors, reasons = encoder.images(files)
    assert reasons == [None] * len(files)
    model, _, preprocess = open_clip.create_model_and_transforms("Tiny-B-16", pretrained=str(weights))
    expected = own_vectors(open_clip, model.eval(), preprocess, files)
    cosine = (vectors * expected).sum(axis=1)
    assert cosine[:-1].min() > 0.999999
    assert cosine[-1] > 0.9999  # decoded at a fraction of its size
    texts = ["a photo of a dog", "", "ein Straßenbahnwagen " * 40]
    import torch

    with torch.inference_mode():
        expected = model.encode_text(open_clip.get_tokenizer("Tiny-B-16")(texts), normalize=True).numpy()
    assert (encoder.texts(texts) * expected).sum(axis=1).min() > 0.999999


@pytest.mark.parametrize("mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_preparation_is_open_clips_to_the_pixel(open_clip: Any, mode: Any, interpolation: Any) -> None:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    from poolwright.models.encoders.prepare import Preparation, normalised

    config = PreprocessCfg(size=48, resize_mode=mode, interpolation=interpolation, fill_color=7)
    theirs = image_transform_v2(config, is_train=False)
    ours = Preparation(48, 48, mode, interpolation, tuple(config.mean), tuple(config.std), 7)  # type: ignore[arg-type]
    for width, height in [(48, 48), (200, 150), (150, 201), (49, 47), (20, 31), (300, 64), (5, 9)]:
        image = picture(width, width, height)
        found = normalised(np.asarray(ours.fit(image))[None], ours)[0]
        assert same_bits(found, theirs(image).numpy()), (width, height)


def test_a_vector_depends_on_its_own_image_alone(open_clip: Any, weights: Path, files: list[bytes]) -> None:
    encoder = load_encoder(spec_of(weights, batch=4))
    whole, _ = encoder.images(files)
    order = np.random.default_rng(0).permutation(len(files))
    assert same_bits(encoder.images([files[i] for i in order])[0], whole[order])
    for count in (1, 3, 5):
        assert same_bits(encoder.images(files[:count])[0], whole[:count])
    mixed, reasons = encoder.images([None, files[0], b"text"])
    assert same_bits(mixed[1], whole[0])
    assert np.isnan(mixed[[0, 2]]).all()
    assert reasons == ["missing_file", None, "not_an_image"]
    assert encoder.images([])[0].shape == (0, 24)
    texts = ["one", "two", "three", "four", "five"]
    assert same_bits(encoder.texts(texts[::-1])[::-1].copy(), encoder.texts(texts))


def test_weights_are_known_before_loading(open_clip: Any, weights: Path, tmp_path: Path) -> None:
    import torch

    seen = peek(spec_of(weights))
    assert (seen.name, seen.width, seen.texts) == ("Tiny-B-16/tiny weights.pt", 24, True)
    encoder = load_encoder(spec_of(weights))
    assert (encoder.name, encoder.width, encoder.weights) == (seen.name, seen.width, seen.weights)
    state = torch.load(weights)
    state["visual.proj"][0, 0] += 1
    torch.save(state, tmp_path / "tiny weights.pt")
    assert peek(spec_of(tmp_path / "tiny weights.pt")).weights != seen.weights


def test_a_folder_with_its_own_configuration(open_clip: Any, weights: Path, tmp_path: Path, files: list[bytes]) -> None:
    import torch

    folder = tmp_path / "my-clip"
    folder.mkdir()
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": CONFIG, "preprocess_cfg": preprocess}))
    torch.save(torch.load(weights), folder / "open_clip_pytorch_model.bin")
    spec = EncoderSpec(model=f"open_clip:local-dir:{folder}", device="cpu")
    seen, encoder = peek(spec), load_encoder(spec)
    assert (seen.name, seen.width, seen.weights) == ("my-clip", 24, encoder.weights)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    expected = own_vectors(open_clip, model.eval(), transform, files[:6])
    assert (encoder.images(files[:6])[0] * expected).sum(axis=1).min() > 0.999999


def test_weights_that_do_not_fit_are_named(open_clip: Any, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pt").write_bytes(b"no weights")
    with pytest.raises(RecipeError, match="cannot be loaded"):
        load_encoder(spec_of(tmp_path / "broken.pt"))
    with pytest.raises(RecipeError, match="cannot be loaded"):
        load_encoder(EncoderSpec(model=f"open_clip:ViT-B-32/{weights}", device="cpu"))
    forget_encoders()


def test_checks_do_not_import_open_clip(tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"")
    code = f"""
import sys
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.models.encoders.load import check_encoder, peek
good = ["ViT-bigG-14/laion2b_s39b_b160k", "ViT-L-14/openai", "RN101-quickgelu/openai", "ViT-B-32/{tmp_path}/w.pt"]
for place in good:
    check_encoder(EncoderSpec(model="open_clip:" + place))
print(peek(EncoderSpec(model="open_clip:" + good[0])))
bad = ["ViT-B-33/openai", "ViT-B-32/opnai", "ViT-B-32", "ViT-B-32/{tmp_path}/nothing.pt", "hf-hub:a/b",
       "local-dir:{tmp_path}"]
for place in bad:
    try:
        check_encoder(EncoderSpec(model="open_clip:" + place))
    except RecipeError as error:
        print(error)
assert not {{"torch", "open_clip", "onnxruntime"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peeked, *errors = done.stdout.splitlines()
    assert "width=1280" in peeked
    assert "weights=''" in peeked
    expected = [
        "did you mean 'ViT-B-32'?",
        "did you mean 'openai'?",
        "no weights are given",
        "no weights file",
        "download",
    ]
    assert all(part in error for part, error in zip([*expected, "open_clip_config.json"], errors, strict=True))
    with pytest.raises(RecipeError):
        check_encoder(EncoderSpec(model="open_clip:"))
