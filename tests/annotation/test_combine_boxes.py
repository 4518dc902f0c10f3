"""Boxes that several people drew: files of COCO in, one file of COCO out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.calling import call
from tests.studio.made import picture

import poolwright
from poolwright import api
from poolwright.core.errors import InputError, RecipeError

CAT, DOG = (10, 10, 40, 40), (60, 40, 20, 20)

Drawn = Sequence[tuple[str, str, Sequence[float]]]


def draw(path: Path, drawn: Drawn, images: Sequence[str] = ("a.jpg", "b.jpg"), before: str = "") -> Path:
    """Write what somebody drew: (image, class, box)."""
    names = sorted({name for _, name, _ in drawn} | {"bird"})
    listed = [
        {"id": 7 + number, "file_name": before + name, "width": 100, "height": 80} for number, name in enumerate(images)
    ]
    annotations = [
        {"id": number, "image_id": 7 + images.index(image), "category_id": names.index(name), "bbox": list(box)}
        for number, (image, name, box) in enumerate(drawn, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    document = {"images": listed, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(document))
    return path


def moved(box: Sequence[float], right: float) -> list[float]:
    return [box[0] + right, *box[1:]]


@pytest.fixture
def three(tmp_path: Path) -> list[Path]:
    """Three people agree on a cat; one sees a dog in its place as well, and two a dog on b."""
    return [
        draw(tmp_path / "anna.json", [("a.jpg", "cat", CAT), ("b.jpg", "dog", DOG)]),
        draw(tmp_path / "ben.json", [("a.jpg", "cat", moved(CAT, 3)), ("b.jpg", "dog", moved(DOG, 2))]),
        draw(tmp_path / "cy.json", [("a.jpg", "cat", moved(CAT, 6)), ("a.jpg", "dog", CAT)]),
    ]


def test_the_mean_box_of_a_majority_is_accepted(three: list[Path], tmp_path: Path) -> None:
    found = api.combine_boxes(*three, to=tmp_path / "out")
    assert (found.people, found.images, found.disputed_images, found.too_few) == (3, 2, 1, ())
    cat, dog = found.classes
    assert (cat.name, cat.boxes, cat.disputed, cat.agreement) == ("cat", 1, 0, 1.0)
    assert (dog.name, dog.boxes, dog.disputed, dog.agreement) == ("dog", 1, 1, 2 * 1 / (1 * 2 + 2 * 2))
    assert cat.overlap == pytest.approx((37 / 43 + 37 / 43 + 34 / 46) / 3)
    made = json.loads((tmp_path / "out/instances.json").read_text())
    names = {one["id"]: one["name"] for one in made["categories"]}
    assert [(names[one["category_id"]], one["bbox"], one["score"]) for one in made["annotations"]] == [
        ("cat", [13, 10, 40, 40], 1.0),
        ("dog", [61, 40, 20, 20], 0.6667),
    ]
    disputed = json.loads((tmp_path / "out/disputed.json").read_text())
    assert [image["file_name"] for image in disputed["images"]] == ["a.jpg"]
    assert [one.get("annotator") for one in disputed["annotations"]] == [None, "cy"]
    stated = json.loads((tmp_path / "out/agreement.json").read_text())
    assert (stated["all"]["boxes"], len(stated["sha256"])) == (2, 3)
    assert not {"anna", "ben", "cy"} & set(json.dumps(stated).replace('"', " ").split())
    again = api.combine_boxes(*reversed(three), to=tmp_path / "again")
    assert again.classes == found.classes
    assert (tmp_path / "again/instances.json").read_bytes() == (tmp_path / "out/instances.json").read_bytes()


def test_a_reviewer_decides_about_their_pictures(three: list[Path], tmp_path: Path) -> None:
    maria = draw(tmp_path / "maria.json", [("a.jpg", "dog", CAT), ("c.jpg", "cat", DOG)], ["a.jpg", "c.jpg"])
    found = api.combine_boxes(*three, to=tmp_path / "out", reviewer=maria)
    assert (found.people, found.images, found.reviewed, found.disputed_images) == (3, 3, 2, 0)
    made = json.loads((tmp_path / "out/instances.json").read_text())
    assert [(one["image_id"], one["bbox"]) for one in made["annotations"]] == [
        (1, list(CAT)), (2, [61, 40, 20, 20]), (3, list(DOG)),
    ]  # fmt: skip
    assert found.all.agreement == api.combine_boxes(*three, to=tmp_path / "other").all.agreement


def test_pictures_that_too_few_looked_at_are_left_out(tmp_path: Path) -> None:
    anna = draw(tmp_path / "anna.json", [("a.jpg", "cat", CAT)])
    ben = draw(tmp_path / "ben.json", [], ["a.jpg"])
    found = api.combine_boxes(anna, ben, to=tmp_path / "out")
    assert (found.images, found.too_few, found.all.boxes, found.all.disputed) == (1, ("b.jpg",), 0, 1)
    assert found.all.agreement == 0.0
    alone = api.combine_boxes(anna, to=tmp_path / "alone")
    assert (alone.images, alone.all.boxes, alone.all.agreement) == (2, 1, None)


def test_names_of_tools_are_understood(tmp_path: Path) -> None:
    anna = draw(tmp_path / "anna.json", [("a.jpg", "cat", CAT)], before="images/cb0618f6-")
    ben = draw(tmp_path / "ben.json", [("a.jpg", "cat", CAT)], before="..\\media\\upload\\4\\0a1b2c3d-")
    found = api.combine_boxes(anna, ben, to=tmp_path / "out", strip="[0-9a-f]{8}-")
    assert (found.images, found.all.boxes) == (2, 1)


def test_what_was_accepted_is_a_table(three: list[Path], tmp_path: Path) -> None:
    api.combine_boxes(*three, to=tmp_path / "boxes")
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        (tmp_path / "images" / f"{name}.jpg").write_bytes(picture(1, (100, 80)))
    data = {
        "recipe": 1,
        "name": "drawn",
        "pools": {"drawn": {"read": "coco", "path": "boxes/instances.json", "images": "images"}},
        "tables": {"objects": {"from": "drawn", "steps": [{"where": "len(labels) > 0"}]}},
    }
    rows = poolwright.run(api.Recipe.from_data(data, tmp_path), tmp_path / "run").tables["objects"]
    assert rows.read(["labels", "boxes"]).to_pylist() == [
        {"labels": ["cat"], "boxes": [[13.0, 10.0, 40.0, 40.0]]},
        {"labels": ["dog"], "boxes": [[61.0, 40.0, 20.0, 20.0]]},
    ]


def test_what_cannot_be_combined_is_named(three: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a file is given twice"):
        api.combine_boxes(three[0], three[0], to=tmp_path / "out")
    with pytest.raises(InputError, match="above 0, at most 1"):
        api.combine_boxes(*three, to=tmp_path / "out", iou=0)
    with pytest.raises(InputError, match="least 4: between 1 and the number of people, 3"):
        api.combine_boxes(*three, to=tmp_path / "out", least=4)
    with pytest.raises(InputError, match=r"strip '\(': .*regular expression"):
        api.combine_boxes(*three, to=tmp_path / "out", strip="(")
    larger = json.loads(three[0].read_text())
    larger["images"][0]["width"] = 200
    (tmp_path / "larger.json").write_text(json.dumps(larger))
    with pytest.raises(InputError, match=r"'a\.jpg' is 100 x 80 and 200 x 80 in different files"):
        api.combine_boxes(three[1], tmp_path / "larger.json", to=tmp_path / "out")
    two = draw(tmp_path / "two.json", [], ["x/a.jpg", "y/a.jpg"])
    with pytest.raises(InputError, match=r"two images are called 'a\.jpg'"):
        api.combine_boxes(two, to=tmp_path / "out")
    (tmp_path / "none.json").write_text("[]")
    with pytest.raises((InputError, RecipeError), match=r"none\.json"):
        api.combine_boxes(three[0], tmp_path / "none.json", to=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_from_the_command_line(three: list[Path], tmp_path: Path) -> None:
    files = [str(file) for file in three]
    called = call("combine-boxes", *files, "--to", str(tmp_path / "out"))
    assert called.code == 0, called.err
    assert "pictures with disputed boxes: 1;" in called.out
    document = json.loads(call("combine-boxes", *files, "--to", str(tmp_path / "out"), "--json").out)
    assert (document["combined"]["images"], document["combined"]["all"]["boxes"]) == (2, 2)


def test_what_is_not_read_is_counted(tmp_path: Path) -> None:
    file = draw(tmp_path / "anna.json", [("a.jpg", "cat", CAT), ("a.jpg", "cat", CAT), ("b.jpg", "dog", DOG)])
    document = json.loads(file.read_text())
    document["annotations"][2]["iscrowd"] = 1
    file.write_text(json.dumps(document))
    assert api.combine_boxes(file, to=tmp_path / "out").remarks == (
        "anna.json: boxes that are drawn twice: 1",
        "anna.json: boxes of a crowd, without extent, or of no class: 1",
    )
