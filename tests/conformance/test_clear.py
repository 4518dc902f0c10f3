"""`poolwright new clear10` from lines of YFCC100M to verified releases: on drawn photos, and with real metadata."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import numpy as np
import pytest
import yaml

from poolwright import api
from poolwright.api import Recipe
from poolwright.core.errors import WaitingForPeople
from poolwright.core.results.measured import Matrix
from poolwright.core.table import Table
from poolwright.demo.demo import clip_folder
from poolwright.demo.drawing import draw_kind
from poolwright.recipe.shipped import shipped_text
from tests.calling import call
from tests.pools import yfcc
from tests.release.streams import benchmark_of_images, benchmark_of_tensors, by_metadata

CLASSES = ("cat", "car", "tree")
OTHERS = ("moon", "key")
BUCKETS, OF_EACH, WIDE = 4, 20, 6
START, SPAN = 1_100_000_000, 30_000_000


@dataclass(frozen=True)
class Photo:
    """One photo: what is drawn on it, who took it, and when it was taken and uploaded, in seconds of Unix time."""

    id: int
    kind: str
    user: str
    taken: int
    uploaded: int


def photos() -> list[Photo]:
    """Photos of five kinds in four spans of time; some by one user within a minute, uploaded years apart."""
    found = []
    for place in range(BUCKETS * (OF_EACH * len(CLASSES) + WIDE * len(OTHERS))):
        bucket, within = place % BUCKETS, place // BUCKETS
        kind = (*CLASSES, *OTHERS)[min(within // OF_EACH, len(CLASSES))] if within < OF_EACH * 3 else OTHERS[within % 2]
        uploaded = START + bucket * SPAN + within * 100_000 + place
        twin = within % OF_EACH < 2
        user, taken = ("twin-" + kind, START - 5_000) if twin else (str(place), uploaded - 3_600)
        found.append(Photo(10_000 + place, kind, f"{user}@N00", taken, uploaded))
    return found


def write_stream(folder: Path, taken: list[Photo]) -> None:
    """Lines of YFCC100M, image files, and a page of instructions."""
    lines, draw = [], np.random.default_rng(1)
    (folder / "data" / "images").mkdir(parents=True)
    for photo in taken:
        picture = draw_kind(photo.kind, draw, year=2005.0 + (photo.uploaded - START) / SPAN)
        large = picture.resize((picture.width * 3, picture.height * 3))
        large.save(folder / "data" / "images" / f"{photo.id}.jpg")
        when = np.datetime64(photo.taken, "s").astype(str).replace("T", " ") + ".0"
        values = {"photo_id": photo.id, "user_nsid": photo.user, "taken": when, "uploaded_at": photo.uploaded}
        lines.append(yfcc.line(**values, title=f"A+{photo.kind}"))
    # What the rules keep out: a video, and a photo taken after it was uploaded.
    lines.append(yfcc.line(photo_id=1, media=1))
    lines.append(yfcc.line(photo_id=2, taken="2013-01-01 00:00:00.0", uploaded_at=START))
    yfcc.write(folder / "data" / "yfcc100m_dataset", lines)
    page = "# What belongs where\n\n"
    for name in (*CLASSES, "BACKGROUND"):
        pictures = (
            f"### Positive\n\n![yes](images/{taken[0].id}.jpg)\n\n### Negative\n\n![no](images/{taken[1].id}.jpg)\n\n"
        )
        page += f"## {name}\n\nA drawn {name}.\n\n{pictures}"
    (folder / "data" / "instructions.md").write_text(page, encoding="utf-8")


def recipe(folder: Path) -> Path:
    """The shipped recipe with a small encoder and small numbers."""
    data: dict[str, Any] = yaml.safe_load(shipped_text("clear10"))
    data["models"]["clip"] = f"onnx:{clip_folder()}"
    steps = [step for table in data["tables"].values() for step in table["steps"]]
    parameters = {verb: step[verb] for step in steps if isinstance(step, dict) for verb in step}
    parameters["bucket"]["n"] = BUCKETS
    parameters["retrieve"].update(prompts=list(CLASSES), query=OF_EACH + 4, n=OF_EACH - 4, background="25%")
    parameters["verify"]["keep"] = OF_EACH - 6
    for release in data["releases"][1:]:
        release["figures"] = False
    # Drawn pictures of one kind are alike.
    parameters["near_duplicates"].pop("vectors")
    parameters["near_duplicates"].pop("above")
    path = folder / "clear10.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return path


def answer(folder: Path, truth: dict[str, str]) -> None:
    """Say of all rows on the sheets what is true."""
    desk = folder / "runs" / "clear10" / "verify" / "clear10"
    (desk / "verdicts").mkdir(exist_ok=True)
    for sheet in sorted((desk / "sheets").glob("*.csv")):
        with sheet.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["uid", "class", "verdict", "annotator"])
        for row in rows:
            shown, said = truth[row["uid"]], row["class"]
            right = shown == said or (said == "BACKGROUND" and shown not in CLASSES)
            writer.writerow([row["uid"], said, "yes" if right else "no", "ann"])
        (desk / "verdicts" / sheet.name).write_text(out.getvalue(), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Table], dict[str, str]]:
    """The recipe run over drawn photos, stopped for people and continued: folder, tables, truth by uid."""
    folder = tmp_path_factory.mktemp("clear10")
    taken = photos()
    write_stream(folder, taken)
    path = recipe(folder)
    with pytest.raises(WaitingForPeople):
        api.run(path)
    truth = {str(photo.id): photo.kind for photo in taken}
    answer(folder, truth)
    return folder, dict(api.run(path).tables), truth


def test_the_stream_is_cut_and_its_rules_hold(made: tuple[Path, dict[str, Table], dict[str, str]]) -> None:
    _, tables, truth = made
    stream = tables["stream"]
    assert stream.record.rows_kept == len(truth)
    assert sum(row.rows_in - row.kept for row in stream.record.funnel) == 2
    rows = stream.read(["uid", "bucket", "uploaded_at"]).to_pylist()
    ordered = sorted(rows, key=lambda row: row["uploaded_at"])
    size = len(ordered) // BUCKETS
    assert [row["bucket"] for row in ordered] == [place // size for place in range(len(ordered))]


def test_released_labels_are_what_people_verified(made: tuple[Path, dict[str, Table], dict[str, str]]) -> None:
    _, tables, truth = made
    rows = tables["clear10"].read(["uid", "label", "bucket"]).to_pylist()
    sizes = Counter((row["bucket"], row["label"]) for row in rows if row["label"] != "BACKGROUND")
    assert set(sizes) == {(bucket, name) for bucket in range(1, BUCKETS) for name in CLASSES}
    assert max(sizes.values()) <= OF_EACH - 6
    assert sum(sizes.values()) > 0.8 * len(sizes) * (OF_EACH - 6)
    for row in rows:
        assert row["label"] == truth[row["uid"]] or (row["label"] == "BACKGROUND" and truth[row["uid"]] not in CLASSES)


def test_near_duplicates_are_on_one_side_in_every_seed_and_bucket(
    made: tuple[Path, dict[str, Table], dict[str, str]],
) -> None:
    _, tables, _ = made
    splits = [f"split_{seed}" for seed in range(5)]
    rows = tables["clear10"].read(["duplicate_group", "bucket", "label", *splits]).to_pylist()
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["duplicate_group"]].append(row)
    across = [group for group in groups.values() if len({row["bucket"] for row in group}) > 1]
    assert len(across) >= 2
    for group in groups.values():
        assert all(len({row[split] for row in group}) == 1 for split in splits)
    for split in splits:
        assert 0.25 < np.mean([row[split] == "test" for row in rows]) < 0.35
    assert len({tuple(row[split] for row in rows) for split in splits}) == 5


def test_every_release_verifies_and_its_readers_find_the_rows(
    made: tuple[Path, dict[str, Table], dict[str, str]], tmp_path: Path
) -> None:
    from datasets import load_dataset

    folder, tables, _ = made
    out = folder / "out"
    names = ["clear10", "clear10-avalanche", "clear10-huggingface", "clear10-pretraining"]
    assert sorted(path.name for path in out.iterdir()) == names
    for name in names:
        found = api.verify(out / name, full=True)
        assert found.ok, found.words
    rows = tables["clear10"].read(["uid", "bucket", "label", "split_3", "clip"]).to_pylist()
    clear, avalanche = out / "clear10", out / "clear10-avalanche"
    assert sorted((bucket, key) for bucket, key, _, _ in by_metadata(clear)) == sorted(
        (row["bucket"], row["uid"]) for row in rows
    )
    for root in (clear, avalanche):
        images = benchmark_of_images(root, "train", 3)
        assert len(images) == BUCKETS - 1
        assert sum(map(len, images)) == sum(row["split_3"] == "train" for row in rows)
        tensors = benchmark_of_tensors(root, "clip", "train", 3)
        assert [len(targets) for _, targets in tensors] == [len(samples) for samples in images]
        assert [targets for _, targets in tensors] == [[label for _, label in samples] for samples in images]
    classes = (clear / "class_names.txt").read_text(encoding="utf-8").split("\n")
    assert classes == json.loads((out / "clear10-huggingface" / "release.json").read_text())["classes"]
    stream = json.loads((clear / "all_metadata" / "0.json").read_text(encoding="utf-8"))
    assert len(stream) == tables["pretraining"].record.rows_kept
    assert {"DATE_TAKEN", "DATE_UPLOADED", "USER_ID", "LICENSE_NAME", "bucket"} <= set(next(iter(stream.values())))
    one = load_dataset(str(out / "clear10-huggingface"), "2", cache_dir=str(tmp_path))
    assert {name: part.num_rows for name, part in one.items()} == Counter(
        row["split"] for row in tables["clear10"].read(["bucket", "split"]).to_pylist() if row["bucket"] == 2
    )
    pretrain = load_dataset(str(out / "clear10-pretraining"), "0", cache_dir=str(tmp_path))
    assert list(pretrain) == ["pretrain"]


def test_the_stream_is_measured_and_shown(made: tuple[Path, dict[str, Table], dict[str, str]]) -> None:
    folder, _, _ = made
    measured = json.loads((folder / "runs" / "clear10" / "figures.json").read_text(encoding="utf-8"))
    matrix = Matrix.model_validate(measured["figures"][0]["measured"][0]["value"])
    assert matrix.rows == ("1", "2", "3")
    assert set(matrix.summary) == {"in-domain", "next-domain", "backward transfer", "forward transfer"}
    card = (folder / "out" / "clear10" / "README.md").read_text(encoding="utf-8")
    assert f"In-domain **{matrix.summary['in-domain']:.3f}**" in card
    called = call("report", "runs/clear10", folder=folder)
    assert called.code == 0, called.err
    assert "forward transfer" in (folder / "runs" / "clear10" / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["clear10", "clear100"])
def test_the_shipped_recipes_hold_together(name: str, tmp_path: Path) -> None:
    write_stream(tmp_path, photos()[:3])
    (tmp_path / "recipe.yaml").write_text(shipped_text(name), encoding="utf-8")
    plans = api.check(tmp_path / "recipe.yaml")
    assert {"stream", "pretraining", "retrieved", name} == set(plans)
    retrieve = next(step.step for step in plans["retrieved"].steps if step.step.verb == "retrieve")
    names = retrieve.classes().names
    assert len(set(names)) == int(name.removeprefix("clear"))
    assert not [text for text in names if any(character.isspace() or character == "," for character in text)]


@pytest.mark.real
def test_real_lines_go_through_buckets_and_layouts_and_lose_nothing(real_data: Path, tmp_path: Path) -> None:
    data = {
        "recipe": 1,
        "name": "real",
        "max_bad": "10%",
        "pools": {
            "lines": {
                "read": "yfcc100m",
                "path": str(real_data / "yfcc100m" / "yfcc100m_dataset"),
                "images": ".",
                "image_path": "{photo_id}.{extension}",
            }
        },
        "tables": {
            "stream": {
                "from": "lines",
                "steps": [
                    {"where": "media = 'photo' and taken_at < uploaded_at"},
                    {"bucket": {"by": "uploaded_at", "n": 4}},
                ],
            },
            "placed": {
                "from": "stream",
                "steps": [
                    {"where": "bucket > 0"},
                    {"derive": {"label": "case when latitude is null then 'no where' else 'somewhere' end"}},
                    {"near_duplicates": {"same": ["user_nsid", "taken_at"], "within": "1 minute"}},
                    {
                        "split": {
                            "ratios": {"train": 0.7, "test": 0.3},
                            "stratify": ["bucket", "label"],
                            "group": "duplicate_group",
                            "seeds": 5,
                        }
                    },
                ],
            },
        },
        "releases": [
            {"table": "placed", "layout": "clear", "unlabelled": "stream", "images": "none", "to": "out/clear"},
            {"table": "placed", "layout": "huggingface", "configs": "bucket", "images": "none", "to": "out/configs"},
        ],
    }
    result = Recipe.from_data(data, tmp_path).run()
    raw = {}
    for line in (real_data / "yfcc100m" / "yfcc100m_dataset").read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        raw[fields[-24]] = fields
    for name in ("clear", "configs"):
        found = api.verify(tmp_path / "out" / name, full=True)
        assert found.ok, found.words
    clear = tmp_path / "out" / "clear"
    index = json.loads((clear / "all_metadata.json").read_text())
    everything = {bucket: json.loads((clear / path).read_text(encoding="utf-8")) for bucket, path in index.items()}
    assert sum(map(len, everything.values())) == result.tables["stream"].record.rows_kept > 250
    for rows in everything.values():
        for key, entry in rows.items():
            fields = raw[entry["ID"]]
            assert key == entry["ID"]
            assert entry["DATE_UPLOADED"] == int(fields[-19])
            assert entry["DATE_TAKEN"] == (fields[-20] or None)
            assert entry["TITLE"] == (unquote_plus(fields[-17]) or None)
            assert entry["USER_ID"] == fields[-22]
            assert entry["DOWNLOAD_URL"] == fields[-9]
            assert entry["IMG_OR_VIDEO"] == int(fields[-1]) == 0
    assert [path.partition("/")[0] for _, _, path, _ in by_metadata(clear)] == [
        f"{key}.{everything[str(bucket)][key]['EXT']}" for bucket, key, _, _ in by_metadata(clear)
    ]


@pytest.mark.real
@pytest.mark.usefixtures("embedded_once")
def test_taiwan_pictures_by_year_become_a_stream(real_data: Path, tmp_path: Path) -> None:
    manifest = {
        "name": "squeezenet1_0",
        "image": {"input": "image", "output": "embedding", "resize": 256, "resize_mode": "shortest", "crop": 227},
    }
    data = {
        "recipe": 1,
        "name": "taiwan",
        "max_bad": "10%",
        "models": {"squeeze": {"model": f"onnx:{real_data}/squeezenet/squeezenet1_0.onnx", "manifest": manifest}},
        "pools": {
            "pictures": {
                "read": "table",
                "path": "pictures.csv",
                "uid": "id",
                "images": str(real_data / "taiwan_pictures"),
            }
        },
        "tables": {
            "stream": {
                "from": "pictures",
                "steps": [
                    {"where": "year is not null and lat is not null"},
                    {"derive": {"label": "case when lat > 24 then 'up north' else 'down south' end"}},
                    {"bucket": {"by": "year", "n": 3}},
                    {"embed": {"image": "squeeze", "model": "squeeze"}},
                    {"split": {"ratios": {"train": 0.7, "test": 0.3}, "stratify": ["bucket", "label"], "seeds": 2}},
                ],
            }
        },
        "figures": [
            {
                "name": "stream",
                "table": "stream",
                "measure": "stream",
                "vectors": "squeeze",
                "truth": "label",
                "bucket": "bucket",
                "splits": ["split_0", "split_1"],
            }
        ],
        "releases": [{"table": "stream", "layout": "clear", "unlabelled": "stream", "to": "out"}],
    }
    with (real_data / "taiwan_pictures" / "metadata.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    files = {path.stem: path.name for path in (real_data / "taiwan_pictures").iterdir() if path.suffix != ".csv"}
    with (tmp_path / "pictures.csv").open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, ["id", "year", "lat", "city", "image_path"])
        writer.writeheader()
        for row in rows:
            writer.writerow({**{name: row[name] for name in writer.fieldnames[:4]}, "image_path": files[row["id"]]})
    result = Recipe.from_data(data, tmp_path).run()
    assert api.verify(tmp_path / "out", full=True).ok
    rows = result.tables["stream"].read(["uid", "year", "bucket", "squeeze"]).to_pylist()
    years = [max(row["year"] for row in rows if row["bucket"] == bucket) for bucket in range(3)]
    assert years == sorted(years)
    images = benchmark_of_images(tmp_path / "out", "all")
    assert [len(samples) for samples in images] == [sum(row["bucket"] == bucket for row in rows) for bucket in range(3)]
    assert [tuple(tensors.shape) for tensors, _ in benchmark_of_tensors(tmp_path / "out", "squeeze", "all")] == [
        (len(samples), 512) for samples in images
    ]
    value = result.figures[0].value
    assert isinstance(value, Matrix)
    assert 0.4 < value.summary["in-domain"] < 1
