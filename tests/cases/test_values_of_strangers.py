"""Times, places, licences and pictures as strangers write them: what a run keeps, and what it says of the rest."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.calling import call


def run(folder: Path, pool: str, steps: str = "[where: uid is not null]", more: str = "") -> str:
    """Run a recipe of one table in a folder; return what it printed."""
    text = f"recipe: 1\nname: r\npools: {{p: {pool}}}\ntables: {{t: {{from: p, steps: {steps}}}}}\n{more}"
    (folder / "r.yaml").write_text(text)
    called = call("run", "r.yaml", folder=folder)
    return called.out + called.err


def rows(folder: Path, *columns: str) -> list[dict[str, object]]:
    table = pq.read_table(sorted((folder / "runs/r/tables/t").glob("part-*.parquet")))
    return table.select(list(columns)).to_pylist()  # type: ignore[no-any-return]


def picture(size: tuple[int, int] = (24, 16), form: str = "JPEG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").convert("RGB").resize(size).save(out, form, **options)
    return out.getvalue()


def test_dates_of_digits_and_offsets_after_a_space(tmp_path: Path) -> None:
    times = ["20151224", "2015-12-24 18:00:00 -0300", "24.12.2015"]
    (tmp_path / "p.csv").write_text("uid,taken_at\n" + "".join(f"{i},{time}\n" for i, time in enumerate(times)))
    said = run(tmp_path, "{read: table, path: p.csv, types: {taken_at: string}}")
    found = [str(row["taken_at"]) for row in rows(tmp_path, "taken_at")]
    assert found == ["2015-12-24 00:00:00+00:00", "2015-12-24 21:00:00+00:00", "None"]
    assert "1 of 3 values of 'taken_at' could not be read, such as '24.12.2015'" in said


def test_exif_without_offset_and_position(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    zero, north = (0.0, 0.0, 0.0), (10.0, 30.0, 0.0)
    for name, offset, gps in (
        ("blank", "   :  ", {1: "N", 2: zero, 3: "W", 4: zero}),
        ("hour", "+9:00", {1: "E", 2: north, 3: "N", 4: north}),
        ("odd", "+99:00", {1: "S", 2: north, 3: "W", 4: north}),
    ):
        exif = Image.Exif()
        exif.get_ifd(0x8769).update({0x9003: "2021:05:06 12:00:00.25", 0x9011: offset})
        exif.get_ifd(0x8825).update(gps)
        (tmp_path / f"d/{name}.jpg").write_bytes(picture(exif=exif.tobytes()))
    said = run(tmp_path, "{read: image_folder, path: d, exif: true}")
    found = [(str(row["taken_at"])[11:22], row["latitude"]) for row in rows(tmp_path, "taken_at", "latitude")]
    assert found == [("12:00:00.25", None), ("03:00:00.25", None), ("12:00:00.25", -10.5)]
    assert "2 of 3 values of 'latitude' could not be read" in said
    assert "1 of 3 values of 'taken_at' could not be read, such as the offset '+99:00' in odd.jpg" in said


def test_licences_in_other_spellings(tmp_path: Path) -> None:
    texts = ["CC-BY-SA-3.0-IGO", "CC_BY_SA_2_0", "by-sa", "CC BY-SA 9.0", "5"]
    (tmp_path / "p.csv").write_text("uid,license\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    said = run(tmp_path, "{read: table, path: p.csv}", "[licenses: cc-by-sa]")
    assert len(rows(tmp_path, "uid")) == 3
    assert "1 its licence is a number; 'numbers: flickr'" in said
    assert "1 its licence is not known" in said


def test_files_of_all_formats_and_those_passed_over(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    forms = {"a.JFIF": "JPEG", "b.jpg_orig": "JPEG", "c.pnm": "PPM", "d.j2k": "JPEG2000", "e.apng": "PNG"}
    for name, form in forms.items():
        (tmp_path / "d" / name).write_bytes(picture(form=form))
    for name in ("f.cr2", "g.cr2", "h"):
        (tmp_path / "d" / name).write_bytes(b"?")
    said = run(tmp_path, "{read: image_folder, path: d}", "[size]")
    assert len(rows(tmp_path, "uid")) == len(forms)
    assert "3 other files of the folder are not read: 2 .cr2, 1 without extension" in said
    assert "2 .cr2" in call("check", "r.yaml", folder=tmp_path).out


def test_images_by_path_and_in_base64(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics/a.jpg").write_bytes(picture())
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": "a.jpg"}, {"bytes": None, "path": "../r.yaml"}], kind)
    pq.write_table(pa.table({"uid": ["in", "out"], "image": images}), tmp_path / "p.parquet")
    said = run(tmp_path, "{read: table, path: p.parquet, images: pics}", "[size]", "max_bad: 100%\n")
    assert [row["uid"] for row in rows(tmp_path, "uid")] == ["in"]
    assert "values of 'image' could not be read, such as '../r.yaml'" in said


def test_captions_in_other_encodings(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    for name, data in (("a", "größe".encode("utf-16")), ("b", "größe".encode("cp1252"))):
        (tmp_path / f"d/{name}.png").write_bytes(picture(form="PNG"))
        (tmp_path / f"d/{name}.txt").write_bytes(data)
    (tmp_path / "d/c.png").write_bytes(picture(form="PNG"))
    (tmp_path / "d/c.json").write_text(json.dumps({"caption": ["one", "two"]}))
    said = run(tmp_path, "{read: image_folder, path: d, captions: auto}")
    assert [row["text"] for row in rows(tmp_path, "text")] == ["größe", None, "one"]
    assert "1 of 3 caption files are not UTF-8" in said
    assert "b.txt" in said
    assert "1 of 3 rows have several captions" in said
    call("run", "r.yaml", "--fresh", "t", "--set", "pools.p.encoding=cp1252", folder=tmp_path)
    assert [row["text"] for row in rows(tmp_path, "text")] == ["größe", "größe", "one"]


def test_the_card_counts_pictures_on_their_side(tmp_path: Path) -> None:
    (tmp_path / "d/cat").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 8
    (tmp_path / "d/cat/a.jpg").write_bytes(picture(exif=exif))
    (tmp_path / "d/cat/b.jpg").write_bytes(picture())
    release = "releases: [{table: t, layout: image_folder, by: label, to: out, figures: false}]\n"
    run(tmp_path, '{read: image_folder, path: d, pattern: "{label}/{name}"}', "[size]", release)
    assert "1 image with an EXIF orientation, stored as found" in (tmp_path / "out/README.md").read_text()


@pytest.mark.parametrize("reencoded", [False, True])
def test_img2dataset_whose_digest_is_of_other_bytes_can_be_released(tmp_path: Path, reencoded: bool) -> None:
    import hashlib

    (tmp_path / "shards").mkdir()
    stored = picture()
    digest = hashlib.sha256(b"served" if reencoded else stored).hexdigest()
    with tarfile.open(tmp_path / "shards/00000.tar", "w") as tar:
        info = tarfile.TarInfo("00000/000000000.jpg")  # packed again from a folder
        info.size = len(stored)
        tar.addfile(info, io.BytesIO(stored))
    table = {"key": ["000000000"], "url": ["u"], "status": ["success"], "sha256": [digest]}
    pq.write_table(pa.table(table), tmp_path / "shards/00000.parquet")
    release = "releases: [{table: t, layout: huggingface, to: out, figures: false}]\n"
    said = run(tmp_path, "{read: img2dataset, path: shards, stats: false}", "[size]", release)
    assert ("source_sha256" in said) == reencoded
    assert call("verify", "out", folder=tmp_path).code == 0


def test_names_that_look_alike_are_pointed_out_at_check(tmp_path: Path) -> None:
    for name in ("Oak", "oak", "elm"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "photos" / name / "1.png")
    feature = {"names": ["caf\u00e9", "cafe\u0301", "bar"], "_type": "ClassLabel"}
    document = json.dumps({"info": {"features": {"place": feature}}})
    table = pa.table({"uid": ["a"], "place": pa.array([0])}).replace_schema_metadata({"huggingface": document})
    pq.write_table(table, tmp_path / "hub.parquet")
    np.save(tmp_path / "f.npy", np.eye(3, 8))
    np.savez(tmp_path / "bits.npz", at=np.array([0]), names=np.array(["red fox", "red_fox"]), clip=np.eye(1, 8))
    (tmp_path / "r.yaml").write_text(
        "recipe: 1\nname: r\npools:\n"
        "  a: {read: image_folder, path: photos, pattern: '{class}/{name}'}\n  b: {read: table, path: hub.parquet}\n"
        "  c: {read: arrays, path: bits.npz, columns: {clip: {array: clip, model: m}}, "
        "lookup: {kind: {values: names, by: at}}}\n"
        "tables:\n  t: {from: a, steps: []}\n  u: {from: b, steps: []}\n  v: {from: c, steps: [{label: "
        "{with: clip, vocabulary: [bear, Bear, fox], features: f.npy}}]}\n"
    )
    called = call("check", "r.yaml", folder=tmp_path)
    assert called.code == 0, called.err
    words = " ".join(called.out.split())
    alike = "have names that differ by white space, case or Unicode form alone: "
    for column, pair in {
        "class": "'Oak' and 'oak'",
        "place": "'cafe\u0301' and 'caf\u00e9'",
        "kind": "'red fox' and 'red_fox'",
        "label": "'Bear' and 'bear'",
    }.items():
        assert f"classes of '{column}' {alike}{pair}" in words
