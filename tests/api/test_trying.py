"""A first look at a folder of pictures writes a recipe, runs it, and says what it found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from poolwright import api
from poolwright.api import trying
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.demo.demo import clip_folder
from poolwright.demo.drawing import KINDS, draw_kind
from tests.calling import call

DRAWN = KINDS[:3]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures each of three kinds, a smaller copy of one, and a file that is no image."""
    folder = tmp_path / "my pictures"
    generator = np.random.default_rng(5)
    for kind in DRAWN:
        (folder / kind).mkdir(parents=True)
        for number in range(4):
            draw_kind(kind, generator).save(folder / kind / f"{number}.png")
    with Image.open(folder / DRAWN[0] / "0.png") as first:
        first.resize((first.width * 3 // 4, first.height * 3 // 4)).save(folder / "copy.png")
    (folder / "broken.jpg").write_text("no image")
    return folder


def test_what_is_there_is_found_and_the_recipe_can_be_edited(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(clip_folder(), tmp_path / "encoder of mine")
    words, model = ", ".join(DRAWN), "onnx:encoder of mine"  # as seen from where the command is run
    options = ["--words", words, "--model", model, "--clusters", "3"]
    called = call("try", pictures.name, *options, "--json", folder=tmp_path)
    assert called.code == 0, called.err
    found = json.loads(called.out)["look"]
    assert (found["pictures"], found["read"], found["clusters"]) == (14, 13, 3)
    assert found["duplicates"] >= 2
    assert found["duplicate_groups"] >= 1
    assert sum(found["labels"].values()) == 13
    assert set(found["labels"]) <= set(DRAWN)
    assert Path(found["report"]).is_file()
    again = call("try", pictures.name, *options, folder=tmp_path)
    assert again.code == 0, again.err
    assert "13 of 14 pictures; 1 cannot be read" in again.out
    recipe = Path(found["recipe"])
    recipe.write_text(recipe.read_text().replace("k: 3", "k: 2"))
    refused = call("try", pictures.name, *options, folder=tmp_path)
    assert refused.code != 0
    assert f"poolwright run {recipe}" in refused.err
    assert "k: 2" in recipe.read_text()
    edited = call("run", recipe, "--fresh", "look", folder=tmp_path)
    assert edited.code == 0, edited.err


def test_the_encoder_is_built_and_its_features_compare(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []

    def build(kind: str, to: Path, wheels: Path | None) -> None:
        built.append((kind, to, wheels))
        shutil.copytree(clip_folder(), to)
        shutil.copytree(clip_folder(), to / "features")

    monkeypatch.setattr(trying, "build_encoder", build)
    found = api.try_folder(pictures, tmp_path / "look", words=list(DRAWN), clusters=2, wheels=tmp_path)
    assert built == [("conse", tmp_path / "look" / "encoder", tmp_path)]
    table = {one.name: one for one in api.show(found.folder)}["look"]
    assert {"features", "clip"} <= set(table.columns)


def test_wrong_calls_are_refused_before_anything_is_built(pictures: Path, tmp_path: Path) -> None:
    for images, to, words, error in (
        (tmp_path / "nowhere", tmp_path / "a", "imagenet1k", InputError),
        (pictures, pictures / "try", "imagenet1k", RecipeError),
        (pictures, tmp_path / "a", [" "], RecipeError),
    ):
        with pytest.raises(error):
            api.try_folder(images, to, words=words)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "recipe.yaml").write_text("recipe: 1\n")
    with pytest.raises(ChangedError, match="was edited"):
        api.try_folder(pictures, tmp_path / "a")
    assert not (tmp_path / "a" / "encoder").exists()
