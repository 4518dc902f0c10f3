"""Training of an MMD-VAE, and the encoder it gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics.pairwise import rbf_kernel

from poolwright.api import train_encoder
from poolwright.core.encoder import EncoderSpec
from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.table import Table
from poolwright.jobs.train import train_encoder as train
from poolwright.jobs.training_images import list_pictures, open_sources
from poolwright.models.encoders.load import check_encoder, forget_encoders, load_encoder, peek
from poolwright.models.encoders.networks.mmd_vae import Architecture, autoencoder
from poolwright.train.options import train_options
from tests.calling import call

SMALL = {"size": 16, "channels": 8, "latent": 6, "batch": 16, "epochs": 3, "device": "cpu"}


def quiet(*_: Any) -> None:
    return


@pytest.fixture(scope="module")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / "vae"
    train_encoder("mmd-vae", [photos], folder, SMALL)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


def test_discrepancy_is_that_of_the_kernel(photos: Path) -> None:
    import torch

    from poolwright.train.mmd_vae import discrepancy

    rng = np.random.default_rng(0)
    codes, prior = rng.standard_normal((30, 5)) * 0.5 + 1, rng.standard_normal((30, 5))
    gamma = 1 / (2 * 5)
    expected = rbf_kernel(codes, gamma=gamma).mean() + rbf_kernel(prior, gamma=gamma).mean()
    expected -= 2 * rbf_kernel(codes, prior, gamma=gamma).mean()
    found = discrepancy(torch.from_numpy(codes), torch.from_numpy(prior), 5)
    assert float(found) == pytest.approx(expected)
    same = torch.from_numpy(prior)
    assert float(discrepancy(same, same, 5)) == pytest.approx(0)


def test_images_are_moved_and_mirrored(photos: Path) -> None:
    import torch

    from poolwright.train.mmd_vae import MmdVaeTask

    task = MmdVaeTask(train_options("mmd-vae", {**SMALL, "shift": 0.2}), np.zeros((0, 16, 16, 3), np.uint8))  # type: ignore[arg-type]
    images = np.random.default_rng(0).standard_normal((12, 3, 16, 16)).astype(np.float32)
    torch.manual_seed(0)
    found = task._varied(torch.from_numpy(images)).numpy()
    for image, one in zip(images, found, strict=True):
        ways = []
        for turned in (image, image[:, :, ::-1]):
            wide = np.pad(turned, ((0, 0), (3, 3), (3, 3)), mode="reflect")
            ways += [wide[:, y : y + 16, x : x + 16] for y in range(7) for x in range(7)]
        assert any(np.array_equal(one, way) for way in ways)
    assert len({one.tobytes() for one in found} - {image.tobytes() for image in images}) > 6


@pytest.mark.parametrize("size", [8, 16, 64])
def test_an_image_never_sees_its_batch(photos: Path, size: int) -> None:
    import torch

    network = autoencoder(Architecture(size=size, latent=7, channels=8)).eval()
    images = torch.rand(3, 3, size, size)
    with torch.inference_mode():
        codes = network["encoder"](images)
        assert codes.shape == (3, 7)
        assert network["decoder"](codes).shape == images.shape
        assert torch.allclose(network["encoder"](images[:1]), codes[:1], atol=1e-6)


def test_what_lies_in_the_folder(trained: Path, photos: Path) -> None:
    record = json.loads((trained / "training.json").read_text())
    assert record["images"] == 40
    assert record["left_out"] == {"the file is not an image of a known format": 1, "the image file is cut off": 1}
    assert record["epoch_steps"] == 2
    assert all(len(means) == 3 for means in record["epochs"].values())
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["training"]["seed"] == 0
    assert manifest["data"] == record["data"]
    assert sorted(path.name for path in trained.iterdir()) == [
        "manifest.json", "report.html", "timings.json", "training.json", "weights.safetensors", "work",
    ]  # fmt: skip
    assert sorted(path.name for path in (trained / "work").iterdir()) == ["images.parquet", "run.lock"]
    page = (trained / "report.html").read_text()
    for words in ("reconstruction error", "discrepancy", "after 1 epoch", "after 3 epochs", "Nearest images", "40"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_encoder_gives_the_standardised_vectors_of_the_network(trained: Path, photos: Path) -> None:
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    network = autoencoder(Architecture(size=16, latent=6, channels=8))
    network.load_state_dict(load_file(trained / "weights.safetensors"))
    pixels, files = [], []
    for path in sorted(photos.glob("*/[0-9]*.png")):
        files.append(path.read_bytes())
        image = Image.open(path)
        width, height = image.size
        image = image.resize((int(16 * width / height), 16) if width > height else (16, 16), Image.Resampling.BICUBIC)
        left = round((image.width - 16) / 2)
        pixels.append(np.asarray(image.crop((left, 0, left + 16, 16)), np.float32) / 127.5 - 1)
    with torch.inference_mode():
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)
        first = network["encoder"][:3](images)  # convolution, normalisation, activation
        parts = first.reshape(40, 8, 4, 4, 4, 4).mean(dim=(3, 5)).reshape(40, 128)
        found = torch.cat([parts, network["encoder"](images)], 1)
    scaled = (found - found.mean(0)) / (found.var(0, correction=0) + 1e-3).sqrt()
    expected = torch.nn.functional.normalize(scaled).numpy()
    forget_encoders()
    for path in (trained, trained / "weights.safetensors"):
        spec = EncoderSpec(model=f"mmd_vae:{path}", device="cpu")
        encoder = load_encoder(spec)
        vectors, _ = encoder.images(files)
        np.testing.assert_allclose(vectors, expected, atol=1e-5)
        assert peek(spec) == peek(EncoderSpec(model=f"mmd_vae:{trained}"))
        assert (encoder.name, encoder.width, encoder.weights) == ("vae", 134, peek(spec).weights)
        alone, _ = encoder.images(files[3:4])
        assert np.array_equal(alone[0].view(np.int32), vectors[3].view(np.int32))


def test_the_same_call_again_finds_that_all_is_done(trained: Path, photos: Path) -> None:
    def times() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file() and path.name != "run.lock"
        }

    before = times()
    again = train_encoder("mmd_vae", [photos], trained, {**SMALL, "workers": 0})
    assert not again.fresh
    assert again.model == f"mmd_vae:{trained}"
    assert times() == before


@pytest.mark.parametrize("change", ["epochs", "kind", "images"])
def test_another_training_is_not_mixed_in(
    trained: Path, photos: Path, tmp_path: Path, change: str, torchvision: Any
) -> None:
    kind, settings, pool = "mmd-vae", dict(SMALL), photos
    if change == "epochs":
        settings["epochs"] = 4
    elif change == "kind":
        kind, settings = "moco", {"architecture": "test_resnet", "size": 32, "device": "cpu"}
    else:
        pool = photos / "a"
    with pytest.raises(ChangedError, match=f"{change}.*--fresh"):
        train_encoder(kind, [pool], trained, settings)


def test_fresh_starts_over(trained: Path, photos: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained, tmp_path / "vae")
    fresh = train_encoder("mmd-vae", [photos], tmp_path / "vae", {**SMALL, "seed": 1}, fresh=True)
    assert fresh.fresh
    assert weights(tmp_path / "vae") != weights(trained)


class Stopped(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("stops", [[1], [2, 3, 5], [6]])
def test_a_stopped_training_ends_with_the_same_weights(
    trained: Path, photos: Path, tmp_path: Path, stops: list[int]
) -> None:
    options, sources = train_options("mmd-vae", SMALL), open_sources([photos])

    def until(step: int) -> Any:
        def tell(progress: Any) -> None:
            if progress.step >= step:
                raise Stopped

        return tell

    for number, step in enumerate(stops):
        # A checkpoint after every step, or none at all before the stop.
        with pytest.raises(Stopped):
            train(sources, tmp_path, options, quiet, until(step), save_seconds=0 if number != 1 else 999)
    assert not (tmp_path / "manifest.json").exists()
    steps: list[int] = []
    train(sources, tmp_path, options, quiet, lambda progress: steps.append(progress.step))
    assert weights(tmp_path) == weights(trained)
    assert steps == list(range(stops[-1] + 1, 7))
    here, there = (json.loads((folder / "training.json").read_text()) for folder in (tmp_path, trained))
    assert here["curves"] == there["curves"]


def test_a_killed_training_ends_with_the_same_weights(trained: Path, photos: Path, tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
import torch
from poolwright.jobs.training_images import open_sources
from poolwright.jobs.train import train_encoder
from poolwright.train.options import train_options
torch.set_num_threads(1)
train_encoder(open_sources(["{photos}"]), Path("{tmp_path}/vae"), train_options("mmd-vae", {SMALL}),
              print, lambda progress: time.sleep(9), save_seconds=0)
"""
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        for _ in range(2_000):
            if (tmp_path / "vae" / "work" / "checkpoint.pt").exists():
                break
            time.sleep(0.05)
            assert process.poll() is None
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "vae" / "manifest.json").exists()
    assert train_encoder("mmd-vae", [photos], tmp_path / "vae", SMALL).fresh
    assert weights(tmp_path / "vae") == weights(trained)
    assert (tmp_path / "vae" / "report.html").read_text().count("<img") > 40


def test_a_training_killed_before_its_report_is_finished(trained: Path, photos: Path, tmp_path: Path) -> None:
    train(open_sources([photos]), tmp_path, train_options("mmd-vae", SMALL), quiet, quiet)
    assert (tmp_path / "manifest.json").exists()
    assert not (tmp_path / "report.html").exists()
    assert train_encoder("mmd-vae", [photos], tmp_path, SMALL).fresh
    assert weights(tmp_path) == weights(trained)
    assert (tmp_path / "report.html").exists()


def test_images_in_the_pool_itself_and_their_order_change_nothing(trained: Path, photos: Path, tmp_path: Path) -> None:
    files = sorted(photos.rglob("*.*"), key=lambda path: path.name, reverse=True)
    rows = [(path.relative_to(photos).as_posix(), path.read_bytes()) for path in files]
    rows += [("a/00.png", b"another"), (None, files[0].read_bytes()), ("c", None)]
    uids, images = zip(*rows, strict=True)
    table = pa.table({"uid": pa.array(uids, pa.string()), "image": pa.array(images, pa.binary())})
    pq.write_table(table, tmp_path / "pool.parquet")
    found = train_encoder("mmd-vae", [tmp_path / "pool.parquet"], tmp_path / "vae", {**SMALL, "workers": 2})
    assert found.record.left_out["the uid of an earlier image"] == 1
    assert found.record.left_out["no uid"] == 1
    assert found.record.left_out["the image file is not there"] == 1
    assert weights(tmp_path / "vae") == weights(trained)


def test_several_pools_and_tables(photos: Path, trained: Path, made_demo: Any, tmp_path: Path) -> None:
    run = made_demo.folder / "demo" / "run"
    name = next(path.parent.name for path in sorted(run.glob("tables/*/table.json")))
    sources = [photos / "a", photos / "b", run / "tables" / name]
    found = list_pictures(open_sources(sources), tmp_path, 16, quiet)
    assert len(found) == 40 + Table(sources[2]).record.rows_kept
    assert {uid.partition(":")[0] for uid in found.uids.to_pylist()} == {"0", "1", "2"}
    assert found.read(found.uids.to_pylist().index("0:00.png")) == (photos / "a" / "00.png").read_bytes()
    # Listed once: the second time nothing is read, and a touched file is looked at again.
    said: list[str] = []
    assert list_pictures(open_sources(sources), tmp_path, 16, said.append).digest == found.digest
    assert not said


@pytest.mark.parametrize(
    ("pools", "settings", "message"),
    [
        (["{photos}"], {"size": 48}, "size 48 is not a power of two"),
        (["{photos}"], {"latnet": 8}, "did you mean 'latent'?"),
        (["{photos}"], {"channels": 12}, "multiple of 8"),
        (["{photos}"], {"epochs": 0}, "epochs: Input should be greater than or equal to 1, not 0"),
        (["{photos}"], {"device": "cuda"}, "no GPU"),
        (["{photos}/none"], {}, "no such file or folder"),
        (["{photos}/one"], {}, "1 images to train on"),
        (["{table}"], {}, "has no images (columns: uid, text)"),
        ([], {}, "no images to train on"),
    ],
)
def test_what_is_wrong_is_said(
    photos: Path, tmp_path: Path, pools: list[str], settings: dict[str, Any], message: str
) -> None:
    if "{photos}/one" in pools:
        (tmp_path / "one").mkdir()
        (tmp_path / "one" / "a.png").write_bytes((photos / "a" / "00.png").read_bytes())
        pools = [str(tmp_path / "one")]
    pq.write_table(pa.table({"uid": ["a"], "text": ["b"]}), tmp_path / "texts.parquet")
    sources = [pool.format(photos=photos, table=tmp_path / "texts.parquet") for pool in pools]
    with pytest.raises(RecipeError) as error:
        train_encoder("mmd-vae", sources, tmp_path / "vae", {"device": "cpu", **settings})
    assert message in str(error.value)
    with pytest.raises(RecipeError, match="did you mean 'mmd-vae'"):
        train_encoder("mmd-vea", [photos], tmp_path / "vae")


def test_a_broken_folder_of_an_encoder_is_named(trained: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained, tmp_path / "vae")
    spec = EncoderSpec(model=f"mmd_vae:{tmp_path / 'vae'}")
    (tmp_path / "vae" / "weights.safetensors").write_bytes(weights(trained)[:-1] + b"x")
    with pytest.raises(RecipeError, match=r"is not the file that manifest\.json describes"):
        check_encoder(spec)
    (tmp_path / "vae" / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(RecipeError, match="not the manifest of an MMD-VAE"):
        check_encoder(spec)
    (tmp_path / "vae" / "manifest.json").unlink()
    with pytest.raises(RecipeError, match=r"no manifest.json next to weights.safetensors"):
        check_encoder(spec)
    with pytest.raises(RecipeError, match="no weights file"):
        check_encoder(EncoderSpec(model=f"mmd_vae:{tmp_path}"))
    with pytest.raises(RecipeError, match="takes no 'crop'"):
        check_encoder(EncoderSpec(model=f"mmd_vae:{trained}", crop=8))


def test_checks_do_not_import_torch(trained: Path) -> None:
    code = f"""
import sys
from poolwright.core.encoder import EncoderSpec
from poolwright.models.encoders.load import check_encoder
check_encoder(EncoderSpec(model="mmd_vae:{trained}"))
import poolwright.api, poolwright.cli.main
from poolwright.train.options import train_options
assert not {{"torch", "timm", "lightly"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_from_the_command_line_into_a_recipe(photos: Path, tmp_path: Path) -> None:
    settings = ["--epochs", "2", "--size", "16", "--batch", "16", "--set", "channels=8", "--set", "latent=6"]
    done = call("train-encoder", "mmd-vae", photos, "--to", "vae", "--device", "cpu", *settings, folder=tmp_path)
    assert done.code == 0, done.err
    assert "trained on 40 images, 2 epochs" in done.out
    assert "in a recipe: model: mmd_vae:vae" in done.out
    (tmp_path / "recipe.yaml").write_text(f"""
recipe: 1
name: codes
max_bad: 10%
pools:
  photos: {{read: image_folder, path: {photos}}}
models:
  vae: mmd_vae:vae
tables:
  coded:
    from: photos
    steps:
      - embed: {{image: code, model: vae}}
""")
    done = call("run", "recipe.yaml", folder=tmp_path)
    assert done.code == 0, done.err
    table = Table(tmp_path / "runs" / "codes" / "tables" / "coded")
    assert table.record.rows_kept == 40
    vectors = np.stack(table.read(["code"])["code"].to_numpy())
    assert vectors.shape == (40, 134)
    wrong = call("train-encoder", "mmd-vae", photos, "--to", "vae", "--set", "epoch=3", folder=tmp_path)
    assert wrong.code == 2
    assert "did you mean 'epochs'?" in wrong.err
