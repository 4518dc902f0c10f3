"""The demo's drawn world: the same from run to run, and as varied and as faulty as promised."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright.demo.drawing import KINDS, draw_kind
from poolwright.demo.facts import Facts, facts_of
from poolwright.demo.people import COUNTRIES, LICENSES
from poolwright.demo.style import CONTINENTS
from poolwright.demo.world import draw, draw_world, encode

SEED = 2024
N = 500


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small world on disk."""
    folder = tmp_path_factory.mktemp("world")
    draw_world(folder, n=N, seed=SEED)
    return folder


@pytest.fixture(scope="module")
def facts() -> list[Facts]:
    """The facts of the whole default world, undrawn."""
    return [facts_of(index, SEED) for index in range(6000)]


def digest(folder: Path) -> str:
    """A digest of all files of a folder and their names."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def opens(path: Path) -> bool:
    """Whether the file can be decoded."""
    try:
        with Image.open(path) as image:
            image.load()
    except OSError:
        return False
    return True


def test_equal_arguments_give_equal_files(world: Path, tmp_path: Path) -> None:
    draw_world(tmp_path / "again", n=N, seed=SEED)
    assert digest(world) == digest(tmp_path / "again")


def test_a_smaller_world_is_the_beginning_of_a_larger_one(world: Path, tmp_path: Path) -> None:
    draw_world(tmp_path, n=20, seed=SEED)
    for path in (tmp_path / "images").rglob("*.*"):
        assert path.read_bytes() == (world / path.relative_to(tmp_path)).read_bytes()


def test_other_seeds_give_other_worlds() -> None:
    assert encode(facts_of(3, 1), 1) != encode(facts_of(3, 2), 2)
    assert facts_of(3, 1).uid != facts_of(3, 2).uid


def test_a_finished_world_is_left_alone(world: Path) -> None:
    picture = next((world / "images").rglob("*.jpg"))
    before = picture.stat().st_mtime_ns, (world / "metadata.parquet").stat().st_mtime_ns
    draw_world(world, n=N, seed=SEED)
    assert before == (picture.stat().st_mtime_ns, (world / "metadata.parquet").stat().st_mtime_ns)
    assert json.loads((world / "world.json").read_text())["finished"] is True


def test_an_unfinished_or_other_world_is_drawn_anew(tmp_path: Path) -> None:
    draw_world(tmp_path, n=12, seed=1)
    first = digest(tmp_path)
    (tmp_path / "truth.parquet").unlink()
    marker = json.loads((tmp_path / "world.json").read_text())
    (tmp_path / "world.json").write_text(json.dumps({**marker, "finished": False}))
    draw_world(tmp_path, n=12, seed=1)
    assert digest(tmp_path) == first
    draw_world(tmp_path, n=5, seed=1)
    assert len(list((tmp_path / "images").rglob("*.*"))) == 5


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(FileExistsError, match="holds no drawn world"):
        draw_world(tmp_path, n=5)


def test_metadata_and_images_agree(world: Path) -> None:
    rows = pq.read_table(world / "metadata.parquet").to_pylist()
    truth = pq.read_table(world / "truth.parquet").to_pylist()
    assert [row["uid"] for row in rows] == [row["uid"] for row in truth]
    assert len({row["uid"] for row in rows}) == N
    files = {str(path.relative_to(world / "images")) for path in (world / "images").rglob("*.*")}
    assert files == {row["image_path"] for row in rows}
    for row, true in zip(rows, truth, strict=True):
        path = world / "images" / row["image_path"]
        assert opens(path) is not true["corrupt"]
        if not true["corrupt"]:
            with Image.open(path) as image:
                assert image.size == (row["width"], row["height"])


def test_copies_look_like_their_originals() -> None:
    copies = [fact for fact in (facts_of(index, SEED) for index in range(1500)) if fact.duplicate_of is not None]
    exact = 0
    for copy in copies:
        assert copy.duplicate_of is not None
        original = facts_of(copy.duplicate_of, SEED)
        assert original.duplicate_of is None
        assert not original.corrupt
        assert copy.kind == original.kind
        assert copy.uploaded_at >= original.uploaded_at
        assert draw(copy, SEED).tobytes() == draw(original, SEED).tobytes()
        exact += encode(copy, SEED) == encode(original, SEED)
    assert 0 < exact < len(copies)


def test_shares_of_faults(facts: list[Facts]) -> None:
    n = len(facts)
    said = [fact for fact in facts if fact.caption_kind is not None]
    assert 0.10 < sum(fact.caption_kind != fact.kind for fact in said) / n < 0.14
    assert 0.01 < sum(fact.text == "" for fact in facts) / n < 0.03
    assert 0.003 < sum(fact.corrupt for fact in facts) / n < 0.010
    assert 0.015 < sum(fact.duplicate_of is not None for fact in facts) / n < 0.025
    assert all((fact.caption_kind or "") in fact.text.lower() for fact in facts)
    assert any(not fact.text.isascii() for fact in facts)


def test_classes_are_long_tailed_and_drift(facts: list[Facts]) -> None:
    sizes = Counter(fact.kind for fact in facts)
    assert len(KINDS) == len(sizes) >= 24
    assert max(sizes.values()) >= 500
    assert 20 <= min(sizes.values()) <= 60
    early = Counter(fact.kind for fact in facts if fact.year < 2008)
    late = Counter(fact.kind for fact in facts if fact.year >= 2012)
    gain = {kind: late[kind] / late.total() - early[kind] / early.total() for kind in KINDS}
    assert max(gain.values()) > 0.02
    assert min(gain.values()) < -0.015


def test_places_times_people_and_licences(facts: list[Facts]) -> None:
    continents = Counter(fact.continent for fact in facts)
    assert set(continents) == set(CONTINENTS)
    assert 0 < continents["Oceania"] < 0.04 * len(facts)
    assert len({fact.country for fact in facts}) == len(COUNTRIES) >= 20
    for fact in facts:
        country = COUNTRIES[fact.country]
        assert country.south <= fact.lat <= country.north
        assert country.west <= fact.lon <= country.east
        assert fact.taken_at <= fact.uploaded_at
    assert {fact.uploaded_at.year for fact in facts} == set(range(2004, 2015))
    assert {fact.license for fact in facts} == set(LICENSES)
    uploads = Counter(fact.user for fact in facts)
    assert 200 < len(uploads) < 800
    assert max(uploads.values()) > 5 * np.median(list(uploads.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_on_every_continent(kind: str) -> None:
    for continent in CONTINENTS:
        picture = draw_kind(kind, np.random.default_rng(5), continent, 2014.0)
        assert picture.mode == "RGB"
        assert min(picture.size) >= 40
        assert np.asarray(picture).std() > 10


def test_years_are_visible() -> None:
    def saturation(year: float) -> float:
        pictures = [draw_kind("car", np.random.default_rng(i), "Asia", year, "red") for i in range(12)]
        smooth = [np.asarray(picture.resize((9, 9), Image.Resampling.BOX), dtype=float) for picture in pictures]
        return float(np.mean([(p - p.mean(axis=2, keepdims=True)).std(axis=(0, 1)).mean() for p in smooth]))

    def width(year: float) -> float:
        return float(np.mean([draw_kind("car", np.random.default_rng(i), year=year).width for i in range(12)]))

    assert saturation(2014.5) > 1.2 * saturation(2004.5)
    assert width(2014.5) > 1.2 * width(2004.5)
