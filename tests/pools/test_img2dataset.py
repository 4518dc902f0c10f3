"""Pool `img2dataset`: shards exactly as img2dataset writes them; a failed URL is a row, a broken shard is named."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from poolwright.api import Recipe
from poolwright.core.errors import BadPart, RecipeError
from poolwright.pools.img2dataset import Img2dataset
from tests.pools.reading import column, read_all

SCHEMA = pa.schema(
    [
        ("url", pa.string()), ("caption", pa.string()), ("license", pa.string()), ("key", pa.string()),
        ("status", pa.string()), ("error_message", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("original_width", pa.int32()), ("original_height", pa.int32()), ("exif", pa.string()),
        ("sha256", pa.string()),
    ]
)  # fmt: skip
FAILED = {2: ("failed_to_download", "HTTP Error 404: Not Found"), 5: ("failed_to_resize", "Image decoding error")}


def picture(shard: int, row: int) -> bytes:
    space = io.BytesIO()
    Image.new("RGB", (40 + row, 30), (shard * 20, row * 20, 90)).save(space, "JPEG")
    return space.getvalue()


def rows_of(shard: int, rows: int) -> list[dict[str, Any]]:
    found = []
    for row in range(rows):
        status, message = FAILED.get(row, ("success", None))
        good = status == "success"
        found.append(
            {
                "url": f"https://example.org/{shard}/{row}.jpg",
                "caption": f"a caption, {shard} {row}",
                "license": "cc-by",
                "key": f"{shard:05d}{row:04d}",
                "status": status,
                "error_message": message,
                "width": 40 + row if good else None,
                "height": 30 if good else None,
                "original_width": 400 + row if good else None,
                "original_height": 300 if good else None,
                "exif": "{}" if good else None,
                "sha256": hashlib.sha256(picture(shard, row)).hexdigest() if good else None,
            }
        )
    return found


def members(meta: dict[str, Any], data: bytes, extension: str) -> list[tuple[str, bytes]]:
    """A sample in the order of its writer: image, caption, metadata."""
    texts = (("txt", str(meta["caption"]).encode()), ("json", json.dumps(meta, indent=4).encode()))
    return [(f"{meta['key']}.{suffix}", value) for suffix, value in ((extension, data), *texts)]


def write_shard(
    root: Path | str,
    shard: int,
    rows: int = 8,
    form: str = "webdataset",
    extension: str = "jpg",
    name: str | None = None,
) -> None:
    """One finished shard: rows in the order in which downloads came back, the stats last."""
    name = name or f"{shard:05d}"
    table = rows_of(shard, rows)
    table = table[1:] + table[:1]
    good = [(meta, picture(shard, int(meta["key"][5:]))) for meta in table if meta["status"] == "success"]
    schema = SCHEMA
    if form == "webdataset":
        with (
            fsspec.open(f"{root}/{name}.tar", "wb", auto_mkdir=True) as out,
            tarfile.open(fileobj=out, mode="w") as tar,
        ):
            for meta, data in good:
                for member, value in members(meta, data, extension):
                    info = tarfile.TarInfo(member)
                    info.size = len(value)
                    tar.addfile(info, io.BytesIO(value))
    elif form == "files":
        for meta, data in good:
            for member, value in members(meta, data, extension):
                with fsspec.open(f"{root}/{name}/{member}", "wb", auto_mkdir=True) as out:
                    out.write(value)
    else:
        schema = SCHEMA.append(pa.field("jpg", pa.binary()))
        data_of = {meta["key"]: data for meta, data in good}
        table = [{**meta, "jpg": data_of.get(meta["key"])} for meta in table]
    with fsspec.open(f"{root}/{name}.parquet", "wb", auto_mkdir=True) as out:
        pq.write_table(pa.Table.from_pylist(table, schema), out, row_group_size=100)
    stats = {"count": rows, "successes": len(good), "failed_to_download": 1, "failed_to_resize": 1, "duration": 1.5}
    with fsspec.open(f"{root}/{name}_stats.json", "w") as out:
        json.dump(stats, out, indent=4)


def pool(path: Path | str | list[str], **parameters: Any) -> Img2dataset:
    return Img2dataset.model_validate({"path": path if isinstance(path, list) else str(path), **parameters})


def keys(shard: int, rows: int = 8) -> list[str]:
    return [f"{shard:05d}{row:04d}" for row in [*range(1, rows), 0]]


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "JPG"])
def test_tars(extension: str, tmp_path: Path) -> None:
    write_shard(tmp_path, 0, extension=extension)
    write_shard(tmp_path, 1, extension=extension)
    given = pool(tmp_path)
    assert given.known_images()
    assert given.image_root() is None
    found = read_all(given, batch_rows=3)
    assert found.column_names == [
        "uid", "url", "text", "license", "key", "status", "error_message", "width", "height", "original_width",
        "original_height", "exif", "sha256", "image", "image_error",
    ]  # fmt: skip
    assert found.column("uid").to_pylist() == keys(0) + keys(1)
    assert found.column("text").to_pylist()[0] == "a caption, 0 1"
    for row in found.to_pylist():
        shard, number = int(row["key"][:5]), int(row["key"][5:])
        if number in FAILED:
            assert (row["status"], row["error_message"]) == FAILED[number]
            assert (row["image"], row["image_error"], row["width"]) == (None, "missing_file", None)
        else:
            assert (row["image"], row["image_error"]) == (picture(shard, number), None)
            assert (row["width"], row["original_width"]) == (40 + number, 400 + number)
    assert read_all(pickle.loads(pickle.dumps(given)), batch_rows=1_000).equals(found)


def test_the_tar_is_opened_only_for_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from poolwright.pools import img2dataset

    write_shard(tmp_path, 0)
    given = pool(tmp_path)
    given.parts()
    monkeypatch.setattr(img2dataset, "TarImages", None)
    assert column(given, "url")[0] == "https://example.org/0/1.jpg"


def test_rows_in_another_order_than_the_tar(tmp_path: Path) -> None:
    write_shard(tmp_path, 0)
    table = pq.read_table(tmp_path / "00000.parquet")
    pq.write_table(table.take([7, 3, 0, 6, 1, 2, 5, 4]), tmp_path / "00000.parquet")
    for row in read_all(pool(tmp_path), ["key", "image"], 2).to_pylist():
        number = int(row["key"][5:])
        assert row["image"] == (None if number in FAILED else picture(0, number))


def test_a_sample_is_known_by_its_stem(tmp_path: Path) -> None:
    """Members before the image, in other folders of the tar, or of another key's beginning change nothing."""
    write_shard(tmp_path, 0, rows=2)
    with tarfile.open(tmp_path / "00000.tar", "w") as tar:
        for member, value in (
            ("./000000000.txt", b"text"),
            ("./000000000.json", b"{}"),
            ("00000000.jpg", b"shorter key"),
            ("0000000001.jpg", b"longer key"),
            ("./000000000.jpg", b"first"),
            ("000000000.jpg", b"again"),
            ("000000001.seg.png", b"no picture of the sample"),
            ("000000001.PNG", b"second"),
        ):
            info = tarfile.TarInfo(member)
            info.size = len(value)
            tar.addfile(info, io.BytesIO(value))
    found = {row["key"]: row["image"] for row in read_all(pool(tmp_path), ["key", "image"]).to_pylist()}
    assert found == {"000000000": b"first", "000000001": b"second"}


@pytest.mark.parametrize("extension", ["jpg", "png"])
def test_files(extension: str, tmp_path: Path) -> None:
    for shard in (0, 1):
        write_shard(tmp_path, shard, form="files", extension=extension)
    given = pool(tmp_path)
    assert given.image_root() == str(tmp_path)
    assert not given.known_images()
    rows = read_all(given, ["key", "image_path", "status"], 3).to_pylist()
    assert [row["key"] for row in rows] == keys(0) + keys(1)
    for row in rows:
        if row["status"] == "success":
            assert row["image_path"] == f"{row['key'][:5]}/{row['key']}.{extension}"
            assert (tmp_path / row["image_path"]).is_file()
        else:
            assert row["image_path"] is None
    part = given.parts()[0]
    assert sum(file.endswith(extension) for file in part.files) == 6  # images are input too, captions are not
    assert not any(file.endswith(".txt") for file in part.files)
    again = pickle.loads(pickle.dumps(given))
    assert (again.image_root(), read_all(again, ["image_path"])) == (
        str(tmp_path),
        read_all(given, ["image_path"]),
    )


def test_files_of_several_places(tmp_path: Path) -> None:
    write_shard(tmp_path / "a", 0, form="files")
    write_shard(tmp_path / "b" / "c", 1, form="files")
    given = pool([str(tmp_path / "b"), str(tmp_path / "a" / "*.parquet")])
    assert given.image_root() == str(tmp_path)
    paths = [path for path in column(given, "image_path") if path]
    assert paths[0] == "b/c/00001/000010001.jpg"
    assert paths[-1] == "a/00000/000000000.jpg"
    assert all((tmp_path / str(path)).is_file() for path in paths)
    with pytest.raises(RecipeError, match=r"00000\.parquet: named twice"):
        pool([str(tmp_path), str(tmp_path / "a")]).arrow_schema()


def test_images_in_parquet(tmp_path: Path) -> None:
    write_shard(tmp_path, 0, form="parquet")
    given = pool(tmp_path)
    assert given.known_images()
    images = column(given, "image")
    assert images[0] == picture(0, 1)
    assert images.count(None) == 2


def test_columns_and_uids(tmp_path: Path) -> None:
    write_shard(tmp_path, 0)
    assert pool(tmp_path, uid="sha256").arrow_schema().names[:3] == ["uid", "url", "text"]
    assert column(pool(tmp_path, uid="sha256"), "uid")[0] == hashlib.sha256(picture(0, 1)).hexdigest()
    assert pool(tmp_path, keep=["text", "image"]).arrow_schema().names == ["uid", "text", "image", "image_error"]
    assert not pool(tmp_path, keep=["text"]).known_images()
    with pytest.raises(RecipeError, match="'keep' names 'caption', which does not exist"):
        pool(tmp_path, keep=["caption"]).arrow_schema()
    table = pq.read_table(tmp_path / "00000.parquet")
    uids = [f"{row:032x}" for row in range(8)]
    pq.write_table(table.append_column("uid", [uids]), tmp_path / "00000.parquet")
    assert column(pool(tmp_path), "uid") == uids
    assert column(pool(tmp_path, uid="key"), "uid") == keys(0)
    pq.write_table(table.drop_columns(["key"]), tmp_path / "00000.parquet")
    with pytest.raises(RecipeError, match="no column 'key', by which img2dataset names its images"):
        pool(tmp_path, uid="sha256").arrow_schema()


def test_shards_in_numeric_order_among_other_files(tmp_path: Path) -> None:
    for shard in (10, 2):
        write_shard(tmp_path, shard, name=str(shard))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "urls.parquet")
    assert [part.name for part in pool(tmp_path).parts()] == ["2", "10"]
    assert [part.name for part in pool(tmp_path / "*0.tar").parts()] == ["10"]
    (tmp_path / "none").mkdir()
    pq.write_table(pa.table({"a": [1]}), tmp_path / "none" / "urls.parquet")
    with pytest.raises(RecipeError, match=r"no shard here, such as 00000\.parquet"):
        pool(tmp_path / "none").arrow_schema()


def test_unfinished_and_broken_shards_are_quarantined(tmp_path: Path) -> None:
    for shard in range(8):
        write_shard(tmp_path, shard)
    (tmp_path / "00001_stats.json").unlink()
    (tmp_path / "00002.tar").write_bytes((tmp_path / "00002.tar").read_bytes()[:-10_240])
    (tmp_path / "00003.tar").unlink()
    (tmp_path / "00004.parquet").unlink()
    (tmp_path / "00005.parquet").write_bytes((tmp_path / "00005.parquet").read_bytes()[:-300])
    write_shard(tmp_path, 6, rows=8)
    (tmp_path / "00006_stats.json").write_text('{"count": 9}')
    tar = bytearray((tmp_path / "00007.tar").read_bytes())
    tar[2048:4096] = b"\xff" * 2048
    (tmp_path / "00007.tar").write_bytes(tar)
    given = pool(tmp_path)
    expected = {
        1: r"00001: has no 00001_stats\.json, which img2dataset writes last, so it is still being written",
        2: r"00002\.tar does not end like a tar; it is still being written, or was only copied in part",
        3: r"has no 00003\.tar with its images",
        4: r"has no 00004\.parquet, which lists its images",
        5: r"is no Parquet file, or cut off",
        6: r"has 8 rows, and 00006_stats\.json counts 9",
        7: r"00007\.tar is damaged or cut off at byte 2,560",
    }
    for part in given.parts():
        columns = ["uid", "image"] if part.index in (0, 7) else ["uid"]
        if part.index in expected:
            with pytest.raises(BadPart, match=expected[part.index]):
                list(given.read(part, columns, 10))
        else:
            assert sum(table.num_rows for table in given.read(part, columns, 10)) == 8
    trusting = pool(tmp_path, stats=False)
    assert [part.index for part in trusting.parts() if "damage" in part.detail] == [2, 3, 4, 5]


def test_an_image_that_is_lost_from_its_tar(tmp_path: Path) -> None:
    write_shard(tmp_path, 0)
    with tarfile.open(tmp_path / "00000.tar", "w"):
        pass
    found = read_all(pool(tmp_path), ["image", "image_error"])
    assert set(found.column("image_error").to_pylist()) == {"missing_file"}
    write_shard(tmp_path / "files", 0, form="files")
    (tmp_path / "files" / "00000" / "000000001.jpg").unlink()
    assert column(pool(tmp_path / "files"), "image_path")[0] == "00000/000000001.jpg"  # looked for, and said to be lost


def test_behind_a_url() -> None:
    root = "memory://img2dataset-test"
    for shard in (0, 1):
        write_shard(f"{root}/tars", shard)
        write_shard(f"{root}/files", shard, form="files")
    images = column(pool(f"{root}/tars"), "image")
    assert images[0] == picture(0, 1)
    assert images.count(None) == 4
    files = pool(f"{root}/files")
    assert files.image_root() == f"{root}/files"
    assert column(files, "image_path")[0] == "00000/000000001.jpg"


@pytest.mark.parametrize("form", ["webdataset", "files", "parquet"])
def test_a_recipe_drops_failed_downloads_with_a_reason(form: str, tmp_path: Path) -> None:
    for shard in range(3):
        write_shard(tmp_path / "images", shard, form=form)
    (tmp_path / "images" / "00002_stats.json").unlink()
    pools = {"images": {"read": "img2dataset", "path": "images"}}
    tables = {"sized": {"from": "images", "max_bad": 1, "steps": ["size", {"where": "width > 41"}]}}
    recipe = {"recipe": 1, "name": form, "pools": pools, "tables": tables}
    table = Recipe.from_data(recipe, tmp_path).run().tables["sized"]
    assert [part.name for part in table.record.quarantined] == ["00002"]
    assert {"missing_file": 4} in [row.dropped for row in table.record.funnel]
    rows = table.read(["uid", "width"]).to_pylist()
    assert [(row["uid"], row["width"]) for row in rows] == [
        (f"{shard:05d}{row:04d}", 40 + row) for shard in (0, 1) for row in (3, 4, 6, 7)
    ]


@pytest.mark.real
def test_real_tars_and_urls(real_data: Path, tmp_path: Path) -> None:
    """Tars that clip-retrieval reads, with their rows: real URLs and texts, as img2dataset would have written them."""
    source = pq.read_table(real_data / "url_text" / "test_1000.parquet").to_pylist()
    pictures = {path.stem: path.read_bytes() for path in (real_data / "clip_pairs" / "test_images").iterdir()}
    for shard in range(4):
        tar = real_data / "clip_pairs" / "test_tars" / f"image{shard + 1}.tar"
        shutil.copyfile(tar, tmp_path / f"{shard:05d}.tar")
        with tarfile.open(tar) as archive:
            names = [member.name.removesuffix(".jpg") for member in archive]
        table = {
            "url": [row["URL"] for row in source[: len(names)]],
            "caption": [row["TEXT"] for row in source[: len(names)]],
            "key": names,
            "status": ["success"] * len(names),
        }
        pq.write_table(pa.table(table), tmp_path / f"{shard:05d}.parquet")
        (tmp_path / f"{shard:05d}_stats.json").write_text(json.dumps({"count": len(names)}))
    found = read_all(pool(tmp_path), ["key", "image", "text"]).to_pylist()
    assert len(found) >= 7
    assert all(row["image"] == pictures[row["key"]] for row in found)


@pytest.mark.parametrize("form", ["webdataset", "files", "parquet"])
def test_the_digest_of_other_bytes_has_another_name(tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = rows_of(0, 8)
    served = [{**row, "sha256": row["sha256"] and hashlib.sha256(row["sha256"].encode()).hexdigest()} for row in real]
    monkeypatch.setattr(f"{__name__}.rows_of", lambda shard, rows: served)
    write_shard(tmp_path, 0, form=form)
    found = pool(tmp_path)
    assert {"sha256", "source_sha256"} & set(found.arrow_schema().names) == {"source_sha256"}
    assert column(found, "source_sha256")[0] == served[1]["sha256"]
    assert "re-encoded" in found.remarks()[0]
    with pytest.raises(RecipeError, match="did you mean 'source_sha256'"):
        pool(tmp_path, keep=["sha256"]).arrow_schema()


def test_a_tar_that_was_packed_again_from_a_folder(tmp_path: Path) -> None:
    def repack(names: dict[str, bytes]) -> None:
        with tarfile.open(tmp_path / "00000.tar", "w") as tar:
            for name, data in names.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    write_shard(tmp_path, 0)
    data = {row: picture(0, row) for row in range(8)}
    repack({f"./shard/00000{row:04d}.jpg": data[row] for row in range(8)})
    assert column(pool(tmp_path), "image")[0] == data[1]
    repack({f"{folder}/000000001.jpg": data[row] for row, folder in enumerate("ab")})  # which of the two?
    assert column(pool(tmp_path), "image_error")[0] == "missing_file"


def test_shards_of_other_writers(tmp_path: Path) -> None:
    write_shard(tmp_path, 0)
    (tmp_path / "00000.parquet").unlink()
    with pytest.raises(RecipeError, match=r"other writers.* are read with 'read: webdataset'"):
        pool(tmp_path, stats=False).arrow_schema()
