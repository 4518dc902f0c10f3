from __future__ import annotations

import io
import json
import os
import pickle
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from poolwright.core.errors import InputError, RecipeError
from poolwright.pools import image_folder
from poolwright.pools.columns.path_pattern import Pattern
from poolwright.pools.image_folder import ImageFolder
from poolwright.pools.values.exif import read_exif
from poolwright.recipe.recipe import make_pool
from tests.pools.reading import column, read_all


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked at")
    return root


def test_rows_are_the_images_in_the_order_of_their_paths(tmp_path: Path) -> None:
    make(tmp_path, "b/2.JPG", "b/10.jpeg", "a.webp", "b.png", "b/deep/er/x.TIFF", "b/notes.txt", "c.svg", "é/猫.gif")
    make(tmp_path, ".hidden.jpg", ".cache/1.jpg", "b/.thumb/2.jpg")
    pool = ImageFolder(path=str(tmp_path))
    expected = ["a.webp", "b.png", "b/10.jpeg", "b/2.JPG", "b/deep/er/x.TIFF", "é/猫.gif"]
    assert column(pool, "uid") == column(pool, "image_path") == expected
    assert pool.arrow_schema().names == ["uid", "image_path"]
    assert pool.image_root() == str(tmp_path)
    assert not pool.known_images()


def test_parts_hold_512_files_and_stay_as_they_were_listed(tmp_path: Path) -> None:
    make(tmp_path, *[f"{n:04}.jpg" for n in range(1030)])
    pool = ImageFolder(path=str(tmp_path))
    parts = pool.parts()
    assert [part.rows for part in parts] == [512, 512, 6]
    assert parts[1].files[0] == str(tmp_path / "0512.jpg")
    make(tmp_path, "0000a.jpg")
    assert pool.parts() == parts
    assert ImageFolder(path=str(tmp_path)).parts() != parts
    there = pickle.loads(pickle.dumps(pool))
    assert there == pool
    assert [row for table in there.read(parts[2], ["uid"], 4) for row in table["uid"].to_pylist()] == [
        f"{n}.jpg" for n in range(1024, 1030)
    ]


def test_columns_from_the_path(tmp_path: Path) -> None:
    make(tmp_path, "photo/dog/1.jpg", "sketch/big cat/x.y.png")
    pool = ImageFolder(path=str(tmp_path), pattern="{domain}/{class}/{name}")
    assert read_all(pool, ["class", "domain", "name"]).to_pylist() == [
        {"class": "dog", "domain": "photo", "name": "1"},
        {"class": "big cat", "domain": "sketch", "name": "x.y"},
    ]


def test_files_that_a_pattern_does_not_match_are_reported_or_left_out(tmp_path: Path) -> None:
    make(tmp_path, "photo/dog/1.jpg", "a.jpg", "b.jpg", "c.jpg", "photo/d.jpg")
    pool = ImageFolder(path=str(tmp_path), pattern="{domain}/{class}/{name}")
    with pytest.raises(RecipeError, match=r"does not match 4 of 5 images: 'a.jpg', 'b.jpg', 'c.jpg', \.\.\."):
        pool.parts()
    assert column(ImageFolder(path=str(tmp_path), pattern=pool.pattern, unmatched="drop"), "uid") == ["photo/dog/1.jpg"]
    with pytest.raises(RecipeError, match="does not match 5 of 5"):
        ImageFolder(path=str(tmp_path), pattern="x/{name}", unmatched="drop").parts()


@pytest.mark.parametrize(
    ("pattern", "path", "fields"),
    [
        ("{synset}_{name}", "n01_great_white", ("n01", "great_white")),
        ("{class}/{rest}", "dog/a/b/c", ("dog", "a/b/c")),
        ("**/{class}/*", "train/x/dog/1", ("dog",)),
        ("**/{class}/*", "dog/1", ("dog",)),
        ("*/{class}.{id}", "a.b/dog.1.2", ("dog", "1.2")),
        ("{class}/{name}", "dog/a/b", None),
        ("{class}/{name}", "/x", None),
        ("({class})/{name}", "(dog)/x", ("dog", "x")),
    ],
)
def test_patterns(pattern: str, path: str, fields: tuple[str, ...] | None) -> None:
    assert Pattern.parse(pattern).fields(path) == fields


@pytest.mark.parametrize("pattern", ["{a}{b}", "{a}/{a}", "{}/x", "x/y", "{a/b", "a}/{b}", "{a}*"])
def test_patterns_that_make_no_sense_are_refused(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="pattern"):
        ImageFolder(path=str(tmp_path), pattern=pattern)


@pytest.mark.parametrize(
    "parameters",
    [
        {"pattern": "{uid}/{name}"},
        {"pattern": "{image}/{name}"},
        {"pattern": "{text}/{name}", "captions": "txt"},
        {"pattern": "{latitude}/{name}", "exif": True},
        {"json_keys": {"a": "a"}},
        {"json_keys": {"uid": "a"}, "captions": "json"},
        {"text_key": "a", "captions": "txt"},
    ],
)
def test_a_column_is_given_once(parameters: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"given twice|needs captions"):
        ImageFolder(path=str(tmp_path), **parameters)


def test_captions_belong_to_the_image_of_their_stem_and_folder(tmp_path: Path) -> None:
    make(tmp_path, "a/1.jpg", "a/2.png", "a/3.v2.jpg", "a/4.jpg", "b/1.jpg", "b/5.jpg")
    (tmp_path / "a/1.txt").write_text("  a red bus\n", encoding="utf-8-sig")
    (tmp_path / "a/3.v2.TXT").write_text("version two", encoding="utf-8")
    (tmp_path / "a/4.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b/5.txt").write_text(" \n")
    (tmp_path / "a/2.png.txt").write_text("not by the stem")
    pool = ImageFolder(path=str(tmp_path), captions="txt")
    assert column(pool, "text") == ["a red bus", None, "version two", None, None, None]
    files = {os.path.relpath(file, tmp_path) for part in pool.parts() for file in part.files}
    assert {"a/1.txt", "a/3.v2.TXT"} <= files
    assert "a/2.png.txt" not in files


def test_json_captions_give_columns(tmp_path: Path) -> None:
    make(tmp_path, "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg")
    (tmp_path / "1.json").write_text(json.dumps({"caption": "a bus", "url": "u1", "width": "640", "n": 3}))
    (tmp_path / "2.json").write_text(json.dumps({"text": "first", "caption": "second", "width": "wide", "n": [1, "é"]}))
    (tmp_path / "3.json").write_text("{broken")
    (tmp_path / "4.json").write_text("[1]")
    pool = ImageFolder(path=str(tmp_path), captions="json", json_keys={"url": "url", "width": "width", "count": "n"})
    assert read_all(pool, ["text", "url", "width", "count"]).to_pylist() == [
        {"text": "a bus", "url": "u1", "width": 640, "count": "3"},
        {"text": "first", "url": None, "width": None, "count": '[1, "é"]'},
        *[{"text": None, "url": None, "width": None, "count": None}] * 3,
    ]
    (tmp_path / "2.txt").write_text("of the text file")
    assert column(ImageFolder(path=str(tmp_path), captions="auto"), "text")[:2] == ["a bus", "of the text file"]
    assert column(ImageFolder(path=str(tmp_path), captions="json", text_key="n"), "text")[0] == "3"


def photograph(**tags: object) -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    inner, gps = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
    if "at" in tags:
        inner[0x9003] = tags["at"]
    if "offset" in tags:
        inner[0x9011] = tags["offset"]
    if "south" in tags:
        gps.update({1: "S", 2: tags["south"], 3: "W", 4: (70.0, 30.0, 36.0)})
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, tags.get("format", "JPEG"), exif=exif)
    return out.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_exif_gives_time_and_place(format: str) -> None:
    data = photograph(format=format, at="2014:05:06 07:08:09", offset="+02:00", south=(33.0, 27.0, 0.0))
    taken = read_exif(io.BytesIO(data))
    assert taken.at == datetime(2014, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert (taken.latitude, taken.longitude) == pytest.approx((-33.45, -70.51))


def test_broken_exif_is_null(tmp_path: Path) -> None:
    good = photograph(at="2014:05:06 07:08:09", south=(33.0, 27.0, 0.0))
    files = {
        "good": good,
        "cut": good[:60],
        "garbage": good[:40] + b"\xff" * 60 + good[100:],
        "zeros": photograph(at="0000:00:00 00:00:00", south=(95.0, 0.0, 0.0)),
        "nonsense": photograph(at="yesterday"),
        "empty": b"",
        "text": b"hello",
    }
    for name, data in files.items():
        (tmp_path / f"{name}.jpg").write_bytes(data)
    table = read_all(ImageFolder(path=str(tmp_path), exif=True)).to_pylist()
    known = {row["uid"]: (row["taken_at"], row["latitude"]) for row in table}
    assert known.pop("good.jpg") == (datetime(2014, 5, 6, 7, 8, 9, tzinfo=UTC), pytest.approx(-33.45))
    assert set(known.values()) == {(None, None)}


def test_an_empty_folder_says_what_was_sought(tmp_path: Path) -> None:
    make(tmp_path, "a/readme.txt")
    with pytest.raises(RecipeError, match=r"no images here; looked for jpg, jpeg, jpe, .*ppm"):
        ImageFolder(path=str(tmp_path)).arrow_schema()
    with pytest.raises(RecipeError, match="no such folder"):
        ImageFolder(path=str(tmp_path / "b")).arrow_schema()
    with pytest.raises(RecipeError, match="is a file"):
        ImageFolder(path=str(tmp_path / "a/readme.txt")).arrow_schema()


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    make(tmp_path / "pool", "a/1.jpg")
    make(tmp_path / "elsewhere", "2.jpg")
    (tmp_path / "pool/a/up").symlink_to(tmp_path / "pool")
    (tmp_path / "pool/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/self").symlink_to(tmp_path / "elsewhere")
    assert column(ImageFolder(path=str(tmp_path / "pool")), "uid") == ["a/1.jpg", "b/2.jpg"]
    (tmp_path / "pool/3.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(InputError, match=r"3\.jpg: the link leads nowhere"):
        ImageFolder(path=str(tmp_path / "pool")).parts()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_a_name_that_is_no_unicode_is_reported(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg"))).write_bytes(b"")
    with pytest.raises(InputError, match=r"'caf\\xe9.jpg' is not valid UTF-8"):
        ImageFolder(path=str(tmp_path)).parts()


def test_a_caption_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    make(tmp_path, "a.jpg", "a.txt")
    pool = ImageFolder(path=str(tmp_path), captions="txt")
    parts = pool.parts()
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match="gone since it was listed"):
        list(pool.read(parts[0], ["text"], 10))


def test_folders_behind_urls() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("dog/1.jpg", "dog/1.txt", "cat/猫.PNG", ".x/2.jpg"):
        memory.pipe(f"/pool-of-images/{name}", b"words")
    pool = ImageFolder(path="memory://pool-of-images", pattern="{class}/*", captions="txt")
    assert read_all(pool).to_pylist() == [
        {"uid": "cat/猫.PNG", "image_path": "cat/猫.PNG", "class": "cat", "text": None},
        {"uid": "dog/1.jpg", "image_path": "dog/1.jpg", "class": "dog", "text": "words"},
    ]
    assert pool.parts()[0].files[0] == "memory://pool-of-images/cat/猫.PNG"
    with pytest.raises(RecipeError, match="no such folder"):
        ImageFolder(path="memory://no-such-pool").arrow_schema()
    with pytest.raises(RecipeError, match="no file system"):
        ImageFolder(path="nonsense://x").arrow_schema()


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0."), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(st.tuples(NAMES, NAMES), min_size=1, max_size=12),
    batch_rows=st.integers(1, 15),
    asked=st.permutations(["uid", "image_path", "class", "name", "text", "taken_at"]),
    count=st.integers(0, 6),
)
def test_batches_and_columns_change_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    names: set[tuple[str, str]],
    batch_rows: int,
    asked: list[str],
    count: int,
) -> None:
    folder = tmp_path_factory.mktemp("images")
    made = set()
    for group, name in names:
        path = folder / group / f"{name}.jpg"
        if len(os.fsencode(name)) < 200:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")
            path.with_suffix(".txt").write_text(f"{name}!", encoding="utf-8")
            made.add(f"{group}/{name}.jpg")
    pool = ImageFolder(path=str(folder), pattern="{class}/{name}", captions="txt", exif=True)
    whole = read_all(pool, batch_rows=1000)
    assert whole["uid"].to_pylist() == sorted(made)
    assert read_all(pool, asked[:count], batch_rows).equals(whole.select(asked[:count]))


def test_a_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a.jpg")
    pool = ImageFolder(path=str(tmp_path))
    pool.parts()
    monkeypatch.setattr(image_folder, "files_below", None)
    pool.parts()


def test_several_folders_are_one_pool(tmp_path: Path) -> None:
    for name in ("train/cat/1.png", "val/cat/1.png", "val/dog/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    pool = make_pool("image_folder", {"path": ["train", "val"], "pattern": "{class}/{name}"}, tmp_path)
    assert isinstance(pool, ImageFolder)
    columns = ["uid", "image_path", "class"]
    rows = [tuple(row.values()) for part in pool.parts() for t in pool.read(part, columns, 10) for row in t.to_pylist()]
    names = ["train/cat/1.png", "val/cat/1.png", "val/dog/2.png"]
    assert rows == [(name, name, name.split("/")[1]) for name in names]
    assert pool.image_root() == {"train": str(tmp_path / "train"), "val": str(tmp_path / "val")}
    assert pool.class_names() == {"class": {"cat", "dog"}}
    assert [part.index for part in pool.parts()] == [0, 1]
    alone = make_pool("image_folder", {"path": ["train"]}, tmp_path)
    assert alone.model_dump()["path"] == str(tmp_path / "train")
    with pytest.raises(RecipeError, match="named twice, or holds another folder"):
        make_pool("image_folder", {"path": ["train", "train/cat"]}, tmp_path).parts()
