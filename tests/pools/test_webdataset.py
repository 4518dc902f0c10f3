"""Pool `webdataset`: tars as the library webdataset, img2dataset and tar write them; nothing in them is lost unsaid."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from poolwright.api import Recipe
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.pools.readers import tar_index, tar_members
from poolwright.pools.readers.tar_members import TarScan
from poolwright.pools.webdataset import plan
from poolwright.pools.webdataset.tars import expand_braces
from poolwright.pools.webdataset.webdataset import WebDatasetPool
from tests.models.making import encoded, picture
from tests.pools.reading import column, read_all
from tests.pools.tars import jpeg, samples, write_tar


def pool(path: Path | str | list[str], **parameters: Any) -> WebDatasetPool:
    given = path if isinstance(path, list) else str(path)
    return WebDatasetPool.model_validate({"path": given, **parameters})


def rows(path: Path | str | list[str], **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_all(pool(path, **parameters), batch_rows=3).to_pylist()
    return found


def run(folder: Path, data: dict[str, Any], **parameters: Any) -> Any:
    recipe = {"recipe": 1, "name": "r", "max_bad": 1.0, "pools": {"p": {"read": "webdataset", **data}}}
    tables = {"t": {"from": "p"}}
    return Recipe.from_data({**recipe, "tables": tables, **parameters}, folder).run(folder / "run").tables["t"]


def test_tars_of_the_library(tmp_path: Path) -> None:
    """Keys and values are those that the library reads back, in its order."""
    pattern = f"{tmp_path}/shard-%03d.tar"
    with webdataset.ShardWriter(pattern, maxcount=3, verbose=0) as out:
        for number in range(7):
            key = f"folder.x/s{number}" if number == 6 else f"s{number}"
            image = {"png" if number % 3 else "JPEG": encoded(picture(number), "PNG" if number % 3 else "JPEG")}
            about = {"n": number, "ratio": number / 2, "name": f"ä{number}", "tags": ["x"] * (number % 3)}
            vector = np.arange(20, dtype=np.float32) + number
            sample = {"__key__": key, **image, "json": about, "cls": number, "txt": f"text {number}", "emb.npy": vector}
            out.write(sample)
    shards = f"{tmp_path}/shard-{{000..002}}.tar"
    theirs = list(webdataset.WebDataset(shards, shardshuffle=False))
    found = rows(shards)
    assert [row["uid"] for row in found] == [sample["__key__"] for sample in theirs]
    for row, sample in zip(found, theirs, strict=True):
        about = json.loads(sample["json"])
        assert {name: row[name] for name in about} == about
        assert (row["cls"], row["text"]) == (int(sample["cls"]), sample["txt"].decode())
        assert row["image"] == sample.get("png", sample.get("jpeg"))
        vector = np.load(io.BytesIO(sample["emb.npy"]))
        assert np.allclose(row["emb.npy"], vector / np.linalg.norm(vector), atol=1e-3)


def test_keys_are_those_of_the_library(tmp_path: Path) -> None:
    names = [
        "./a.jpg",
        "dir.1/a.v1.jpg",
        "dir.1/a.txt",
        "README",
        ".hidden.jpg",
        "__meta__",
        "__x__/b.jpg",
        "z.",
        "q.JPG",
    ]
    write_tar(tmp_path / "x.tar", [(name, b"data") for name in names])
    theirs = [sample["__key__"] for sample in webdataset.WebDataset(str(tmp_path / "x.tar"), shardshuffle=False)]
    # 'z.' has the extension '', a file without a kind; './' before a key is no folder of its own.
    assert column(pool(tmp_path / "x.tar"), "uid") == [key.removeprefix("./") for key in theirs if key != "z"]


def test_long_names_and_links(tmp_path: Path) -> None:
    """GNU and PAX headers of long names, names in other alphabets, folders and links among the files."""
    long = "folder/" * 30 + "ключ"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "x.tar", "w", format=form) as tar:
            folder = tarfile.TarInfo("folder")
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            for name in ("short", long, "last"):
                for extension, data in (("jpg", jpeg(len(name))), ("txt", name.encode())):
                    member = tarfile.TarInfo(f"{name}.{extension}")
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
            link = tarfile.TarInfo("link.jpg")
            link.type, link.linkname = tarfile.SYMTYPE, "short.jpg"
            tar.addfile(link)
        found = rows(tmp_path / "x.tar")
        assert [(row["uid"], row["text"], row["image"]) for row in found] == [
            (name, name, jpeg(len(name))) for name in ("short", long, "last")
        ]
        assert run(tmp_path / str(form), {"path": str(tmp_path / "x.tar")}).record.remarks == (
            "3 of 3 samples are of tars with files of no sample, which were not read, such as 'link.jpg' in x.tar",
        )


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("ending", [".tar.gz", ".tgz"])
def test_packed_tars(ending: str, installed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not installed:
        monkeypatch.setattr(tar_members, "is_installed", lambda module: False)
    files = samples(0, 4)
    apart = [*files[::-1], ("00.jpg2", b"")]  # the samples' files are read back and forth
    plain, packed = write_tar(tmp_path / "a.tar", apart), write_tar(tmp_path / f"b{ending}", apart)
    given = pool(packed).keep_in(tmp_path / "kept")
    for _ in range(2):
        assert read_all(given).equals(read_all(pool(plain)))
    kept = {file.suffix for file in (tmp_path / "kept").iterdir()}
    assert kept == ({".parquet", ".gzi"} if installed else {".parquet"})
    packed.write_bytes(packed.read_bytes()[:-900])
    with pytest.raises(BadPart, match=f"b{ending}"):
        read_all(given)


def test_paths(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        write_tar(tmp_path / "tars" / f"s-{number}.tar", samples(number, 1))
    write_tar(tmp_path / "more" / "s-11.tgz", samples(11, 1))
    both = [f"{tmp_path}/more", f"{tmp_path}/tars/s-{{10,2}}.tar"]
    assert column(pool(both), "uid") == ["110", "100", "20"]
    assert (
        column(pool(f"{tmp_path}/tars/*.tar"), "uid") == column(pool(tmp_path / "tars"), "uid") == ["00", "20", "100"]
    )
    assert column(pool(tmp_path, pattern="{source}/*"), "source") == ["more", "tars", "tars", "tars"]
    assert expand_braces("{08..11}/{a,b}{c}.tar")[:3] == ["08/a{c}.tar", "08/b{c}.tar", "09/a{c}.tar"]
    assert expand_braces("{2..0}") == ["2", "1", "0"]
    with pytest.raises(RecipeError, match=r"s-1\.tar: no such file"):
        pool(f"{tmp_path}/tars/s-{{0..2}}.tar").parts()
    with pytest.raises(RecipeError, match="commands are not run"):
        pool("pipe:cat x.tar").parts()
    (tmp_path / "tars" / "s-3.tar.zst").write_bytes(b"")
    for path in ("tars", "tars/s-3.tar.zst", "tars/*"):
        with pytest.raises(RecipeError, match=r"s-3\.tar\.zst: tars are read plain or packed by gzip"):
            pool(tmp_path / path).parts()


def test_uids(tmp_path: Path) -> None:
    for name in ("a/0.tar", "b/0.tar"):
        files = [
            (f"{row}.{end}", data) for row in range(2) for end, data in (("jpg", b"x"), ("json", b'{"id": %d}' % row))
        ]
        write_tar(tmp_path / name, files)
    assert column(pool(tmp_path / "a"), "uid") == ["0", "1"]
    assert column(pool(tmp_path / "a", uid="tar/key"), "uid") == ["0/0", "0/1"]
    assert column(pool(tmp_path), "uid") == ["a/0/0", "a/0/1", "b/0/0", "b/0/1"]  # two tars have the keys 0 and 1
    assert column(pool(tmp_path, uid="key"), "key") == column(pool(tmp_path, uid="key"), "uid") == ["0", "1"] * 2
    assert column(pool(tmp_path, uid="id"), "uid") == ["0", "1"] * 2
    with pytest.raises(RecipeError, match="no column 'ids'"):
        pool(tmp_path, uid="ids").arrow_schema()


def test_samples_that_are_not_whole_have_a_reason(tmp_path: Path) -> None:
    write_tar(
        tmp_path / "x.tar",
        [
            ("good.jpg", jpeg(1)), ("good.json", b'{"n": 1}'), ("good.cls", b"3\n"),
            ("two.jpg", jpeg(2)), ("two.png", b"x"), ("two.json", b'{"n": 2}'),
            ("none.json", b'{"n": 3}'),
            ("empty.jpg", b""), ("empty.json", b'{"n": 4}'),
            ("list.jpg", jpeg(5)), ("list.json", b"[1]"),
            ("text.jpg", jpeg(6)), ("text.txt", b"\xff\xfe\xff"), ("text.json", b'{"n": 6}'),
            ("good.jpg", jpeg(7)),
        ],
    )  # fmt: skip
    found = rows(tmp_path / "x.tar")
    reasons = {row["uid"]: row["row_error"] or row["image_error"] for row in found[:-1]}
    assert reasons == {
        "good": None,
        "two": "'two' in x.tar: has several pictures, '.jpg' and '.png'; 'image' names the one to read",
        "none": "missing_file",
        "empty": "empty_file",
        "list": "'list' in x.tar: no JSON object but '[1]'",
        "text": None,
    }
    assert found[-1]["uid"] == "good"  # a second file of one name is another sample, which admission drops
    assert [row["image"] for row in rows(tmp_path / "x.tar", image=".PNG")] == [None, b"x", *[None] * 5]
    record = run(tmp_path, {"path": "x.tar"}).record
    assert record.funnel[0].dropped == {"bad_row": 2, "duplicate_uid": 1}
    assert record.remarks == (
        "1 of 7 samples have a file '.txt' that is no UTF-8 text, JSON or array of numbers, such as 'text' in x.tar",
    )


def test_what_comes_after_the_first_samples_is_bad_or_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_MEMBERS", 1)
    files = [(f"{row:02d}.{end}", data) for row in range(10) for end, data in (("jpg", b"x"), ("json", b'{"n": 1}'))]
    late = [("a.jpg", b"x"), ("a.txt", b"text"), ("b.json", b'{"n": "no", "m": 2}'), ("c.json", b'{"m": 2}'),
            ("d.mp4", b""), ("d.jpg", b"x")]  # fmt: skip
    write_tar(tmp_path / "x.tar", [*files, *late])
    errors = [row["row_error"] for row in rows(tmp_path / "x.tar")[10:]]
    assert errors == [
        "'a' in x.tar: the key 'txt' is in no file of the first samples; name its type under 'types'",
        "'b' in x.tar: 'n' is \"no\", not int64; name the column's type under 'types'",
        "'c' in x.tar: the key 'm' is in no file of the first samples; name its type under 'types'",
        None,
    ]
    known = rows(tmp_path / "x.tar", types={"txt": "string", "m": "int64", "n": "string"}, columns={"text": "txt"})
    assert [(row["text"], row["n"], row["m"], row["row_error"]) for row in known[10:]] == [
        ("text", None, None, None), (None, "no", 2, None), (None, None, 2, None), (None, None, None, None),
    ]  # fmt: skip
    assert run(tmp_path, {"path": "x.tar", "keep": ["n"]}).record.remarks == (
        "1 of 14 samples have a file '.mp4', which was not read, such as 'd' in x.tar",
    )


def test_values_of_two_places(tmp_path: Path) -> None:
    """A value of the JSON hides a file of its name, an image needs no plain extension, and keys may have dots."""
    files = [("a.rgb.png", b"1"), ("a.cls", b"5"), ("a.json", b'{"cls": "cat"}'), ("a.boxes.json", b'[{"x": 1}]'),
             ("a.url", b"http://a"), ("a.mask.png", b"2")]  # fmt: skip
    write_tar(tmp_path / "x.tar", files)
    given = pool(
        tmp_path / "x.tar", image="rgb.png", columns={"name": "cls"}, keep=["url", "boxes.json", "name", "image"]
    )
    assert read_all(given).to_pylist() == [
        {"uid": "a", "url": "http://a", "boxes.json": [{"x": 1}], "name": "cat", "image": b"1", "image_error": None,
         "row_error": None}
    ]  # fmt: skip
    assert list(given.remarks()) == [
        "files .mask.png of samples are not read; if keys have dots, 'dot: last' ends them at the last one",
        "files .cls of samples are not read, since their JSON has values of these names",
    ]
    dotted = [(f"cat.v{row}.{end}", b"1") for row in range(70) for end in ("jpg", "txt")]
    write_tar(tmp_path / "y.tar", dotted)
    with pytest.raises(RecipeError, match=r"140 extensions: '\.v0\.jpg', .* 'dot: last'"):
        pool(tmp_path / "y.tar").arrow_schema()
    assert column(pool(tmp_path / "y.tar", dot="last"), "uid")[68:] == ["cat.v68", "cat.v69"]


def test_tars_as_img2dataset_writes_them(tmp_path: Path) -> None:
    """`caption` is the text if there is no other, and a digest of other bytes than the stored ones is not theirs."""
    files = []
    for row in range(3):
        about = {"caption": f"c{row}", "url": "http://a", "key": f"{row:09d}", "sha256": "0" * 64, "width": 12}
        files += [(f"{row:09d}.jpg", jpeg(row)), (f"{row:09d}.json", json.dumps(about, indent=4).encode())]
    write_tar(tmp_path / "00000.tar", files)
    given = pool(tmp_path)
    found = read_all(given).to_pylist()
    assert [(row["text"], row["source_sha256"], row["width"], row["key"]) for row in found] == [
        (f"c{row}", "0" * 64, 12, f"{row:09d}") for row in range(3)
    ]
    assert "source_sha256" in given.remarks()[0]
    same = [(name, data.replace(b"0" * 64, hashlib.sha256(jpeg(0)).hexdigest().encode())) for name, data in files]
    write_tar(tmp_path / "00000.tar", [*same, ("000000000.txt", b"other")])
    first = read_all(pool(tmp_path)).to_pylist()[0]
    assert (first["text"], first["caption"], "sha256" in first) == ("other", "c0", True)


def test_damaged_tars_are_quarantined(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "0.tar", samples(0, 3)).read_bytes()
    end = len(whole.rstrip(b"\0"))
    (tmp_path / "1.tar").write_bytes(whole[: end // 2])
    (tmp_path / "2.tar").write_bytes(whole[: end - end % 512 + 512])  # all files, but no end
    (tmp_path / "3.tar").write_bytes(whole + whole)
    (tmp_path / "4.tar").write_bytes(b"no tar")
    write_tar(tmp_path / "5.tar", [("README", b"x")])
    record = run(tmp_path, {"path": ".", "uid": "tar/key"}).record
    assert record.rows_kept == 3
    words = {part.name: str(part.quarantined) for part in record.quarantined}
    assert list(words) == [f"{number}.tar" for number in range(1, 6)]
    assert "goes on after its end, as tars do that were joined by cat" in words["3.tar"]
    assert "no file is called as KEY.jpg, KEY.txt or KEY.json ('README' is there)" in words["5.tar"]
    with pytest.raises(InputError, match=r"4\.tar: .*; no tar of the pool can be read"):
        pool(tmp_path / "4.tar").arrow_schema()


def test_an_index_is_kept_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tar = write_tar(tmp_path / "x.tar", samples(0, 3))
    run(tmp_path, {"path": "x.tar"})
    assert len(list((tmp_path / "run" / "pools" / "p").iterdir())) == 1
    given = pool(tar).keep_in(tmp_path / "run" / "pools" / "p")
    given.arrow_schema()
    scanned: list[str] = []

    class Counted(TarScan):
        def __init__(self, path: str, file: Any) -> None:
            scanned.append(path)
            super().__init__(path, file)

    monkeypatch.setattr(tar_index, "TarScan", Counted)
    assert column(given, "uid") == ["00", "01", "02"]
    assert scanned == []
    before = tar.stat()
    write_tar(tar, [(name.replace("0", "7"), data) for name, data in samples(0, 3)])
    os.utime(tar, ns=(before.st_atime_ns, before.st_mtime_ns))  # of the same size and time
    assert column(given, "uid") == ["77", "71", "72"]
    assert scanned == [str(tar)]
