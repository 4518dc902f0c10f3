"""ONNX encoders: manifests, graphs, vectors."""

from __future__ import annotations

import importlib.util
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import RecipeError
from poolwright.core.images.image_files import Limits
from poolwright.models.encoders.load import check_encoder, forget_encoders, load_encoder, peek
from poolwright.models.encoders.onnx_graph import read_graph
from poolwright.models.encoders.prepare import normalised
from tests.models.making import MANIFEST, encoded, picture, write_image_graph


def spec_of(path: Path, **options: Any) -> EncoderSpec:
    return EncoderSpec(model=f"onnx:{path}", **options)


def same_bits(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and np.array_equal(one.view(np.int32), other.view(np.int32))


def changed(**changes: Any) -> dict[str, Any]:
    """The manifest with changes by dotted name; None takes a key out."""
    manifest = json.loads(json.dumps(MANIFEST))
    for key, value in changes.items():
        *parents, last = key.split("__")
        entry = manifest
        for parent in parents:
            entry = entry[parent]
        if value is None:
            entry.pop(last)
        else:
            entry[last] = value
    return dict(manifest)


def test_vectors_are_those_of_the_graph(clip_folder: Path, photos: list[bytes]) -> None:
    import onnxruntime

    encoder = load_encoder(spec_of(clip_folder))
    vectors, reasons = encoder.images(photos)
    assert reasons == [None] * len(photos)
    assert (vectors.dtype, vectors.shape) == (np.float32, (len(photos), 16))
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    from poolwright.models.encoders.manifest import described

    preparation = described(spec_of(clip_folder)).manifest.image.preparation
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    preparation.decode(photos[3], Limits(), pixels[0])
    values = ((pixels / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]).transpose(0, 3, 1, 2).astype(np.float32)
    assert np.abs(normalised(pixels, preparation) - values).max() < 1e-5
    session = onnxruntime.InferenceSession(str(clip_folder / "image.onnx"))
    (raw,) = session.run(None, {"image": values})
    assert np.abs(raw[0] / np.linalg.norm(raw[0]) - vectors[3]).max() < 1e-5


@pytest.mark.parametrize("batch", ["n", 3])
def test_a_vector_depends_on_its_own_image_alone(fresh_clip: Path, photos: list[bytes], batch: str | int) -> None:
    write_image_graph(fresh_clip / "image.onnx", batch=batch)
    encoder = load_encoder(spec_of(fresh_clip))
    whole, _ = encoder.images(photos)
    order = np.random.default_rng(0).permutation(len(photos))
    assert same_bits(encoder.images([photos[i] for i in order])[0], whole[order])
    for count in (1, 2, 7):
        assert same_bits(encoder.images(photos[:count])[0], whole[:count])
    mixed, reasons = encoder.images([photos[0], None, b"", b"text", photos[1][:200], photos[1]])
    assert same_bits(mixed[[0, 5]], whole[:2])
    assert np.isnan(mixed[1:5]).all()
    assert reasons == [None, "missing_file", "empty_file", "not_an_image", "truncated_image", None]
    with ThreadPoolExecutor(4) as threads:
        for found, _ in threads.map(lambda _: encoder.images(photos), range(8)):
            assert same_bits(found, whole)


def test_no_images_and_no_texts(clip_folder: Path) -> None:
    encoder = load_encoder(spec_of(clip_folder))
    assert encoder.images([])[0].shape == (0, 16)
    assert encoder.texts([]).shape == (0, 16)
    assert np.isnan(encoder.images([None] * 9)[0]).all()


def test_limits_are_kept(clip_folder: Path, photos: list[bytes]) -> None:
    encoder = load_encoder(spec_of(clip_folder))
    assert encoder.images(photos[:1], Limits(max_pixels=10))[1] == ["too_many_pixels"]
    assert encoder.images(photos[:1], Limits(max_bytes=10))[1] == ["too_many_bytes"]


def test_texts_are_words_of_the_vocabulary(clip_folder: Path) -> None:
    encoder = load_encoder(spec_of(clip_folder))
    texts = ["a dog", "A  DOG!", "boat", "zebra", "quagga", "", "Straße", "a dog", "red " * 50]
    vectors = encoder.texts(texts)
    assert (vectors.dtype, vectors.shape) == (np.float32, (9, 16))
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    assert same_bits(vectors[0], vectors[1])
    assert same_bits(vectors[0], vectors[7])
    assert same_bits(vectors[3], vectors[4])
    assert not same_bits(vectors[6], vectors[3])
    assert same_bits(encoder.texts(texts[::-1]), vectors[::-1].copy())
    assert same_bits(encoder.texts(["boat"])[0], vectors[2])


def test_encoders_are_loaded_once(clip_folder: Path) -> None:
    forget_encoders()
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(load_encoder, [spec_of(clip_folder)] * 16))
    assert len({id(encoder) for encoder in found}) == 1


def test_weights_name_content_not_place(fresh_clip: Path, clip_folder: Path) -> None:
    seen = peek(spec_of(fresh_clip))
    assert seen == peek(spec_of(clip_folder))
    assert (seen.name, seen.width, seen.texts, len(seen.weights)) == ("tiny-clip", 16, True, 64)
    assert load_encoder(spec_of(fresh_clip)).weights == seen.weights
    (fresh_clip / "manifest.json").write_text(json.dumps(changed(image__mean=[0.5, 0.4, 0.31])))
    prepared = peek(spec_of(fresh_clip)).weights
    (fresh_clip / "vocabulary.txt").write_text("<pad>\n<unk>\na\ncat\nboat\nstraße\nred\n", encoding="utf-8")
    worded = peek(spec_of(fresh_clip)).weights
    write_image_graph(fresh_clip / "image.onnx", batch=1)
    assert len({seen.weights, prepared, worded, peek(spec_of(fresh_clip)).weights}) == 4


def test_where_a_manifest_may_be(fresh_clip: Path, photos: list[bytes]) -> None:
    by_folder = load_encoder(spec_of(fresh_clip)).images(photos)[0]
    assert same_bits(load_encoder(spec_of(fresh_clip / "manifest.json")).images(photos)[0], by_folder)
    inline = json.dumps(changed(text=None, image__file=None, width=None, name=None))
    graph = spec_of(fresh_clip / "image.onnx", manifest=inline)
    assert same_bits(load_encoder(graph).images(photos)[0], by_folder)
    assert (peek(graph).name, peek(graph).width, peek(graph).texts) == ("image", 16, False)
    with pytest.raises(RecipeError, match="no text encoder"):
        load_encoder(graph).texts(["a"])
    (fresh_clip / "image.yaml").write_text("image: {resize: 36, crop: 32, mean: [.5, .4, .3], std: [.2, .3, .4]}\n")
    assert same_bits(load_encoder(spec_of(fresh_clip / "image.onnx")).images(photos)[0], by_folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image__resise": 3}, "unknown key 'image.resise'; did you mean 'resize'?"),
        ({"text__tokenizer__fil": "x"}, "did you mean 'file'?"),
        ({"image__resize": "big"}, "image.resize"),
        ({"image__std": [1, 0, 1]}, "std must not be 0"),
        ({"image__input": "imge"}, "no input 'imge'; did you mean 'image'?"),
        ({"image__output": "embeding"}, "did you mean 'embedding'?"),
        ({"image__file": "missing.onnx"}, "missing.onnx"),
        ({"text__tokenizer__file": "missing.txt"}, "missing.txt"),
        ({"width": 17}, "says width 17"),
        ({"image__file": None}, "image.file is missing"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(fresh_clip: Path, changes: dict[str, Any], message: str) -> None:
    (fresh_clip / "manifest.json").write_text(json.dumps(changed(**changes)))
    with pytest.raises(RecipeError) as error:
        check_encoder(spec_of(fresh_clip))
    assert message in str(error.value)


def test_what_is_wrong_with_files_is_said(fresh_clip: Path) -> None:
    with pytest.raises(RecipeError, match="no such file or folder"):
        check_encoder(spec_of(fresh_clip / "nothing"))
    with pytest.raises(RecipeError, match="no manifest"):
        check_encoder(spec_of(fresh_clip / "image.onnx"))
    (fresh_clip / "manifest.json").write_text("{")
    with pytest.raises(RecipeError, match="not JSON"):
        check_encoder(spec_of(fresh_clip))
    (fresh_clip / "manifest.json").write_text(json.dumps(MANIFEST))
    whole = (fresh_clip / "image.onnx").read_bytes()
    for broken in (b"", b"not a graph", whole[: len(whole) // 2]):
        (fresh_clip / "image.onnx").write_bytes(broken)
        with pytest.raises(RecipeError, match=r"image\.onnx"):
            check_encoder(spec_of(fresh_clip))
    with pytest.raises(RecipeError, match=r"did you mean 'onnx'\?"):
        check_encoder(EncoderSpec(model="onx:somewhere"))


def test_width_is_asked_for_where_the_graph_is_silent(fresh_clip: Path) -> None:
    write_image_graph(fresh_clip / "image.onnx", out_width="d")
    (fresh_clip / "manifest.json").write_text(json.dumps(changed(width=None)))
    with pytest.raises(RecipeError, match="add 'width'"):
        check_encoder(spec_of(fresh_clip))
    (fresh_clip / "manifest.json").write_text(json.dumps(changed(width=20)))
    with pytest.raises(RecipeError, match="gives 16 dimensions, not 20"):
        load_encoder(spec_of(fresh_clip)).images([encoded(picture(1))])


def test_weights_beside_the_graph_count(tmp_path: Path) -> None:
    import onnx

    write_image_graph(tmp_path / "inside.onnx")
    model = onnx.load(tmp_path / "inside.onnx")
    onnx.save(model, tmp_path / "a.onnx", save_as_external_data=True, location="a.bin", size_threshold=0)
    assert read_graph(tmp_path / "a.onnx").external == {"a.bin"}
    manifest = json.dumps({"image": {"resize": 32}})
    spec = spec_of(tmp_path / "a.onnx", manifest=manifest)
    before = peek(spec).weights
    data = bytearray((tmp_path / "a.bin").read_bytes())
    data[5] ^= 1
    (tmp_path / "a.bin").write_bytes(data)
    assert peek(spec).weights != before
    (tmp_path / "a.bin").unlink()
    with pytest.raises(RecipeError, match=r"a\.bin"):
        check_encoder(spec)


@pytest.mark.real
def test_squeezenet_knows_its_photographs(real_data: Path) -> None:
    graph = real_data / "squeezenet" / "squeezenet1_0.onnx"
    manifest = {"image": {"output": "logits", "resize": 256, "crop": 227}}
    spec = spec_of(graph, manifest=json.dumps(manifest))
    assert peek(spec).width == 1000
    files = sorted((real_data / "imagenet_photos").glob("*.JPEG"))
    logits, reasons = load_encoder(spec).images([file.read_bytes() for file in files])
    assert set(reasons) == {None}
    timm = importlib.util.find_spec("timm")
    if timm is None or timm.origin is None:
        pytest.skip("timm, which lists the synsets, is not installed")
    synsets = (Path(timm.origin).parent / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
    right = np.mean([synsets[best] == file.name[:9] for best, file in zip(logits.argmax(1), files, strict=True)])
    assert 0.58 < right < 0.70
    inline = {"image": {"output": "embedding", "resize": 256, "crop": 227}}
    assert peek(spec_of(graph, manifest=json.dumps(inline))).width == 512
