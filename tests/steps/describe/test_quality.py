"""quality: measures against a plain statement of them, and against CleanVision on real pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageFilter
from tests.models.making import encoded, picture

from poolwright import api
from poolwright.core.frame import Context, MemoryFrame
from poolwright.core.images.measures import measure
from poolwright.core.rows import Rows
from poolwright.steps.describe.pictures.quality import Quality

CHECKS = {
    "dark": "brightness_p99 < 0.32",
    "light": "brightness_p5 > 0.95",
    "blurry": "1 - exp(-sharpness / 100) + "
    "CASE WHEN grey_peaks > 19.845 THEN 1 - exp(-grey_peaks / 100) ELSE 0 END < 0.29",
    "low_information": "entropy < 1.415",
    "odd_aspect_ratio": "aspect > 1 / 0.35",
    "odd_size": "size_distance > 3",
}
"""The checks of CleanVision as docs/quality.md has them."""


def plain(image: Image.Image) -> dict[str, float]:
    """The measures by NumPy over all pixels."""
    pixels = np.asarray(image.convert("RGB")).astype(np.float64)
    weights = np.array([0.241, 0.691, 0.068])
    bright = np.sqrt((np.square(pixels) * weights).sum(axis=2)) / 255
    shares = [np.bincount(pixels[..., at].astype(int).ravel()) / bright.size for at in range(3)]
    ratio = max(max(image.size) / 64, 1)
    small = image.resize(tuple(max(int(edge // ratio), 1) for edge in image.size)) if ratio > 1 else image
    grey = small.convert("L")
    return {
        "sharpness": float(np.asarray(grey.filter(ImageFilter.FIND_EDGES)).std()),
        "grey_peaks": float(np.std(np.bincount(np.asarray(grey).ravel(), minlength=256))),
        "brightness": float(np.sqrt(np.square(pixels.mean(axis=(0, 1))) @ weights)) / 255,
        "brightness_p5": float(np.percentile(bright, 5)),
        "brightness_p99": float(np.percentile(bright, 99)),
        "contrast": float(np.asarray(image.convert("L")).std()) / 255,
        "entropy": float(np.mean([-(some[some > 0] * np.log2(some[some > 0])).sum() for some in shares])),
    }


@pytest.mark.parametrize("size", [(200, 150), (1, 1), (300, 1), (64, 64), (30, 70), (1200, 1100)])
def test_measures_are_those_of_all_pixels(size: tuple[int, int]) -> None:
    image = picture(3, *size) if min(size) > 4 else Image.new("RGB", size, (10, 200, 30))
    for name, value in plain(image).items():
        assert getattr(measure(image), name) == pytest.approx(value, rel=1e-6, abs=2e-5), name


def folder_of(path: Path) -> Path:
    """Pictures of one size, and one of each kind that a check finds."""
    path.mkdir()
    for seed in range(20):
        grainy = Image.fromarray(np.random.default_rng(seed).integers(0, 255, (80, 100 + seed, 3), np.uint8))
        Image.blend(picture(seed, 100 + seed, 80), grainy, 0.5).save(path / f"good-{seed:02d}.png")
    noise = np.random.default_rng(0).integers(0, 255, (80, 110, 3), np.uint8)
    Image.fromarray(noise // 4).save(path / "dark.png")
    Image.fromarray(noise // 64 + 250).save(path / "light.png")
    slope = np.add.outer(np.linspace(0, 60, 80), np.linspace(10, 110, 110))
    Image.fromarray(slope.astype(np.uint8)).save(path / "blurry.png")
    Image.new("RGB", (110, 80), (120, 90, 60)).save(path / "low_information.png")
    Image.fromarray(noise[:30]).resize((330, 30)).save(path / "odd_aspect_ratio.png")
    Image.fromarray(noise).resize((550, 400)).save(path / "odd_size.png")
    (path / "broken.png").write_bytes(b"no picture")
    return path


def checked(folder: Path, pictures: Path, pattern: str = "{name}") -> dict[str, set[str]]:
    """Return the uids that each check finds, by a recipe with a table for each."""
    described = {"from": "pictures", "steps": ["size", "quality"]}
    data = {
        "recipe": 1,
        "name": "checked",
        "max_bad": "5%",
        "pools": {"pictures": {"read": "image_folder", "path": str(pictures), "pattern": pattern}},
        "tables": {"described": described}
        | {name: {"from": "described", "steps": [{"where": check}]} for name, check in CHECKS.items()},
    }
    tables = api.run(api.Recipe.from_data(data, folder), folder / "run").tables
    return {name: set(tables[name].read(["uid"]).column("uid").to_pylist()) for name in CHECKS}


def test_each_check_finds_its_picture(tmp_path: Path) -> None:
    found = checked(tmp_path, folder_of(tmp_path / "pictures"))
    assert found == {name: {f"{name}.png"} for name in CHECKS}
    reasons = [(one.verb, one.reason, one.rows) for one in api.ledger(tmp_path / "run", "described").summary.dropped]
    assert reasons == [("size", "not_an_image", 1)]


def test_quartiles_are_those_of_numpy_and_rows_without_a_size_have_no_distance() -> None:
    draw = np.random.default_rng(0)
    width, height = draw.integers(20, 2_000, 300), draw.integers(20, 2_000, 300)
    known = draw.random(300) < 0.9
    data = {
        "uid": [f"{row}" for row in range(300)],
        "width": pa.array(width, pa.int32(), mask=~known),
        "height": pa.array(height, pa.int32()),
        "image": pa.array([encoded(picture(1, 20, 20))] * 300, pa.binary()),
    }
    table = pa.table(data)
    step = Quality()
    state = step.fit(MemoryFrame(table, [10, 200], 17), Context())
    sizes = np.sqrt(width * height)
    low, high = np.percentile(sizes[known], [25, 75])
    assert state.values["quartiles"] == pytest.approx([low, high])
    found = step.apply(Rows(table), state).columns["size_distance"].to_numpy(zero_copy_only=False)
    expected = np.maximum(np.maximum(low - sizes, sizes - high), 0) / (high - low)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-5)
    assert np.isnan(found[~known]).all()
    empty = step.fit(MemoryFrame(table.slice(0, 0)), Context())
    assert empty.values["rows"] == 0


@pytest.mark.real
def test_checks_are_those_of_cleanvision(tmp_path: Path, real_data: Path) -> None:
    """On RGB pictures; `pip install cleanvision` to run it."""
    properties = pytest.importorskip("cleanvision.issue_managers.image_property_issue_manager")
    manager = properties.ImagePropertyIssueManager()
    raw, uids = [], []
    (tmp_path / "pictures").mkdir()
    for place, path in enumerate(sorted((real_data / "imagenet_photos").iterdir())[:60]):
        image = Image.open(path).convert("RGB")
        if place % 5 == 1:
            image = image.point(lambda level: level // 5)
        if place % 5 == 2:
            image = image.filter(ImageFilter.GaussianBlur(max(image.size) / 8))
        if place % 5 == 3:
            image = image.crop((0, 0, image.width, image.width // 4)).point(lambda level: 250 + level // 64)
        out = io.BytesIO()
        image.save(out, "PNG")
        name = f"{place:02d}.png"
        (tmp_path / "pictures" / name).write_bytes(out.getvalue())
        uids.append(name)
        raw.append({k: v for one in manager.image_properties.values() for k, v in one.calculate(image).items()})
    frame = pytest.importorskip("pandas").DataFrame(raw)
    ours = checked(tmp_path, tmp_path / "pictures")
    for name, found in manager.image_properties.items():
        if name in CHECKS:
            parameters = dict(manager.params[name])
            threshold = parameters.pop("threshold", None)
            marks = found.mark_issue(found.get_scores(frame, name, **parameters), name, threshold).iloc[:, 0]
            assert ours[name] == {uid for uid, mark in zip(uids, marks, strict=True) if mark}, name
