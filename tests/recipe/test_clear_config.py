"""Configurations of CLEAR's curation code become recipes: every key, and what has no counterpart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import RecipeError
from poolwright.recipe.shipped import shipped_text
from tests.calling import call

BUCKETS = "/scratch/photos/images_minbyte_10_valid_uploaded_date_minedge_120_maxratio_2.0/bucket_11.json"
CONFIG: dict[str, Any] = {
    "NAME": "clear10",
    "PREFIX": "",
    "ALLOW_OVERLAP": 0,
    "BUCKET_DICT_PATH": BUCKETS,
    "CLIP_MODEL": "RN101",
    "NUM_OF_IMAGES_PER_CLASS_PER_BUCKET": 600,
    "NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY": 16000,
    "BACKGROUND": 1,
    "NEGATIVE_RATIO": 0.1,
    "SAVE_PATH": "out",
    "GROUP": ["laptop", "camera", "bus", "sweater", "dress", "racing", "hockey", "cosplay", "baseball", "soccer"],
}


def imported(folder: Path, **changes: Any) -> dict[str, Any]:
    """The recipe of a configuration, parsed; keys that are None are left out."""
    more = {name: changes.pop(name) for name in ("label_map", "times") if name in changes}
    files = {}
    for name, value in more.items():
        files[name] = folder / f"{name}.json"
        files[name].write_text(json.dumps(value))
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config, indent=4))
    path = api.import_clear(folder / "config.json", folder / "recipe.yaml", **files)
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def step(recipe: dict[str, Any], table: str, verb: str) -> Any:
    return next(one[verb] for one in recipe["tables"][table]["steps"] if verb in one)


def test_the_published_configuration_is_the_shipped_recipe(tmp_path: Path) -> None:
    found, shipped = imported(tmp_path), yaml.safe_load(shipped_text("clear10"))
    assert step(found, "retrieved", "retrieve").pop("background") == 0.1
    assert step(shipped, "retrieved", "retrieve").pop("background") == "10%"
    assert found.pop("card") == {**shipped.pop("card"), "title": "clear10"}
    assert found == shipped


def test_every_value_is_taken_and_says_its_key(tmp_path: Path) -> None:
    found = imported(
        tmp_path,
        NAME="My Own: V2",
        PREFIX="a photo of ",
        CLIP_MODEL="ViT-B/32",
        NUM_OF_IMAGES_PER_CLASS_PER_BUCKET=30,
        NUM_OF_IMAGES_PER_CLASS_PER_BUCKET_TO_QUERY=900,
        NEGATIVE_RATIO=0.25,
        SAVE_PATH="/data/sets",
        GROUP=["wedding, engagement ring", "#1: yes", "no"],
        BUCKET_DICT_PATH="/x/images_minbyte_20_minedge_64/bucket_5.json",
        label_map={"wedding, engagement ring": "ring"},
    )
    assert found["name"] == "my-own-v2"
    assert found["card"]["title"] == "My Own: V2"
    assert found["variables"]["out"] == "/data/sets"
    assert found["models"]["clip"] == "open_clip:ViT-B-32/openai"
    retrieve = step(found, "retrieved", "retrieve")
    assert retrieve["prompts"] == [{"name": "ring", "prompts": ["wedding, engagement ring"]}, "#1: yes", "no"]
    assert (retrieve["prefix"], retrieve["n"], retrieve["query"]) == ("a photo of ", 30, 900)
    assert retrieve["background"] == 0.25
    rules = [one["where"] for one in found["tables"]["stream"]["steps"] if "where" in one]
    assert rules == ["media = 'photo'", "bytes > 20 and width >= 64 and height >= 64"]
    assert step(found, "stream", "bucket") == {"by": "uploaded_at", "n": 5}
    assert {release["table"] for release in found["releases"]} == {"my-own-v2", "pretraining"}
    text = (tmp_path / "recipe.yaml").read_text(encoding="utf-8")
    assert text.startswith("# My Own: V2: made from config.json by `poolwright import-clear`.\nrecipe: 1\n")
    assert all(key in text for key in CONFIG)


def test_overlap_and_no_background(tmp_path: Path) -> None:
    retrieve = step(imported(tmp_path, ALLOW_OVERLAP=1, BACKGROUND=0), "retrieved", "retrieve")
    assert retrieve["overlap"] is True
    assert "query" not in retrieve
    assert retrieve["background"] == "0%"


@pytest.mark.parametrize(
    ("path", "times", "bucket"),
    [
        ("/a/images/bucket_by_year.json", None, {"by": "uploaded_at", "unit": "year"}),
        (None, None, {"by": "uploaded_at", "n": 11}),
    ],
)
def test_buckets_by_year_or_as_in_clear(tmp_path: Path, path: str | None, times: Any, bucket: dict[str, Any]) -> None:
    assert step(imported(tmp_path, BUCKET_DICT_PATH=path), "stream", "bucket") == bucket


def test_times_become_edges(tmp_path: Path) -> None:
    times = [
        {"start": "2004-01-01 11:52:13.0", "end": "2007-04-09 03:27:17.0"},
        {"start": "2007-04-09 03:27:33.0", "end": "2008-03-21 19:14:24.0"},
    ]
    path = str(Path(BUCKETS).with_name("bucket_clear_10_time.json"))
    edges = step(imported(tmp_path, BUCKET_DICT_PATH=path, times=times), "stream", "bucket")["edges"]
    assert [str(edge) for edge in edges] == ["2004-01-01 11:52:13", "2007-04-09 03:27:33", "2008-03-21 19:14:24"]
    assert Recipe.load(tmp_path / "recipe.yaml").name == "clear10"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"GROPU": ["a"]}, "config.json:24: GROPU: unknown key; did you mean 'GROUP'?"),
        ({"CLIP_MODEL": "RN51"}, "config.json:6: CLIP_MODEL: no encoder 'RN51'; did you mean 'RN50'?"),
        ({"GROUP": None}, "'GROUP' is missing"),
        ({"GROUP": []}, "config.json:12: GROUP: List should have at least 1 item"),
        ({"GROUP": ["a", "b", "a"]}, "config.json:12: GROUP: two prompts have the name 'a'"),
        ({"NEGATIVE_RATIO": 3}, "config.json:10: NEGATIVE_RATIO: Input should be less than or equal to 1 (given: 3)"),
        ({"NUM_OF_IMAGES_PER_CLASS_PER_BUCKET": "many"}, "config.json:7: NUM_OF_IMAGES_PER_CLASS_PER_BUCKET: Input"),
        ({"NUM_OF_IMAGES_PER_CLASS_PER_BUCKET": 20_000}, "query (16,000) must be at least n (20,000)"),
        (
            {"BUCKET_DICT_PATH": "/a/images/bucket_mine.json"},
            "the buckets 'bucket_mine' were cut by times; name their file: --times mine.json",
        ),
        ({"label_map": ["a"]}, "the label map is not a JSON object of short names by prompt"),
        ({"times": [{"start": 1}]}, "times.json: not a JSON list of {start, end}"),
        ({"times": [{"start": "now", "end": "then"}]}, "times.json: write times as 2004-01-01 11:52:13.0"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError) as error:
        imported(tmp_path, **changes)
    assert words in str(error.value)
    assert not (tmp_path / "recipe.yaml").exists()


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    called = call("import-clear", "config.json", folder=tmp_path)
    assert called.out == "wrote clear10.yaml; edit its paths, then: poolwright check clear10.yaml\n"
    again = call("import-clear", "config.json", folder=tmp_path)
    assert again.code == 2
    assert "clear10.yaml exists already; name another file with --to" in again.err
    (tmp_path / "broken.json").write_text('{"NAME": 1,}')
    broken = call("import-clear", "broken.json", "--to", "x.yaml", folder=tmp_path)
    assert "broken.json:1: not valid JSON" in broken.err
    missing = call("import-clear", "nowhere.json", folder=tmp_path)
    assert "nowhere.json: no such file" in missing.err


def test_prompts_without_a_short_name_are_named(tmp_path: Path) -> None:
    short = {prompt: f"a {prompt}" for prompt in CONFIG["GROUP"] if prompt not in ("bus", "racing")}
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "short.json").write_text(json.dumps(short))
    called = call("import-clear", "config.json", "--label-map", "short.json", "--to", "r.yaml", folder=tmp_path)
    assert (called.code, called.err) == (0, "prompts without a short name: 'bus', 'racing'\n")
    assert "# GROUP; prompts without a short name: 'bus', 'racing'\n" in (tmp_path / "r.yaml").read_text()
    assert call("import-clear", "config.json", "--to", "plain.yaml", folder=tmp_path).err == ""
