"""Pool `yfcc100m`: files whole, split and packed; bad lines; and runs over it."""

from __future__ import annotations

import bz2
import gzip
import pickle
import re
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow as pa
import pytest
from pydantic import ValidationError

from poolwright import api
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.pools.readers import line_blocks
from poolwright.pools.readers import line_ranges as line_cuts
from poolwright.pools.yfcc.lines import FIELDS
from poolwright.pools.yfcc.yfcc100m import Yfcc100m
from tests.pools.reading import column, read_all
from tests.pools.yfcc import line, lines, write

NAME = "yfcc100m_dataset"


def pool_of(path: Path, **parameters: object) -> Yfcc100m:
    return Yfcc100m(path=str(path), **parameters)


# --- files ---


def test_a_plain_file_gives_every_column(tmp_path: Path) -> None:
    table = read_all(pool_of(write(tmp_path / NAME, lines(5))))
    assert table.column_names == ["uid", "row_error", *FIELDS]
    assert table["uid"].to_pylist() == ["1000", "1001", "1002", "1003", "1004"]
    assert table["title"].to_pylist()[3] == "photo 3"
    assert table["media"].to_pylist() == ["photo", "video", "photo", "video", "photo"]
    assert table["row_error"].null_count == 5


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", [NAME, f"{NAME}.gz", f"{NAME}-0.bz2", "subset.tsv", "subset.txt.gz"])
def test_packing_and_line_ends_change_nothing(tmp_path: Path, name: str, end: str) -> None:
    rows = [*lines(7), line(("hash",), photo_id=8), line(("line_number",), photo_id=9)]
    whole = read_all(pool_of(write(tmp_path / "one" / NAME, rows)))
    file = write(tmp_path / "two" / name, rows, end)
    if name.endswith(("gz", "bz2")):
        file.write_bytes((gzip if name.endswith("gz") else bz2).compress(file.read_bytes()))
    assert read_all(pool_of(file), batch_rows=4).equals(whole)
    assert read_all(pool_of(tmp_path / "two")).equals(whole)
    assert read_all(pool_of(file.with_name("*"))).equals(whole)


def test_ten_files_in_a_folder_without_the_packs_beside_them(tmp_path: Path) -> None:
    for number in range(10):
        packed = bz2.compress("\n".join(lines(3, first=number * 10 + 1)).encode())
        (tmp_path / f"{NAME}-{number}.bz2").write_bytes(packed)
    write(tmp_path / "yfcc100m_places", ["1\t2:x:Town"])
    write(tmp_path / "readme.txt", ["about"])
    pool = pool_of(tmp_path)
    assert [part.name for part in pool.parts()] == [f"{NAME}-{number}.bz2" for number in range(10)]
    assert column(pool, "photo_id") == [number * 10 + n for number in range(10) for n in (1, 2, 3)]
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "yfcc100m_exif", ["1\ta:b"])
    with pytest.raises(RecipeError, match="no file here is called yfcc100m_dataset"):
        pool_of(tmp_path / "other").arrow_schema()


@pytest.mark.parametrize("cut", [1, 500, 2_000, 100_000])
@pytest.mark.parametrize("batch_rows", [1, 7, 1_000])
def test_cuts_and_batches_change_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int, batch_rows: int
) -> None:
    rows = [*lines(20), "", "broken", line(title="x" * 3_000), *lines(20, first=5_000)]
    file = write(tmp_path / NAME, rows)
    whole = read_all(pool_of(file))
    monkeypatch.setattr(line_blocks, "CUT_BYTES", cut)
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 700)
    monkeypatch.setattr(line_blocks, "_SCAN_BYTES", 100)
    pool = pool_of(file)
    assert read_all(pool, batch_rows=batch_rows).equals(whole)
    assert sum(part.rows or 0 for part in pool.parts()) == 43
    assert (len(pool.parts()) > 1) == (cut < 100_000)


def test_cuts_of_a_large_file_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_cuts, "REMEMBERED_BYTES", 1)
    monkeypatch.setattr(line_blocks, "CUT_BYTES", 2_000)
    file = write(tmp_path / NAME, lines(20))
    parts = pool_of(file).parts()
    with monkeypatch.context() as patched:
        patched.setattr(line_cuts, "ranges", lambda file: pytest.fail("read again"))
        assert pool_of(file).parts() == parts
    write(file, lines(10))
    assert column(pool_of(file), "photo_id") == list(range(1000, 1010))
    assert len(list((tmp_path / f"{NAME}.poolwright-index").iterdir())) == 1
    blocked = write(tmp_path / "blocked", [""])
    assert sum(part.rows or 0 for part in pool_of(file, index=str(blocked)).parts()) == 10


def test_empty_files_and_blank_ends(tmp_path: Path) -> None:
    assert read_all(pool_of(write(tmp_path / "a", []))).num_rows == 0
    assert column(pool_of(write(tmp_path / "b", [*lines(2), "", ""])), "row_error") == [None, None]
    (tmp_path / "c").write_bytes(line().encode())
    assert column(pool_of(tmp_path / "c"), "uid") == ["6985418911"]


def test_only_the_columns_asked_for_are_given(tmp_path: Path) -> None:
    file = write(tmp_path / NAME, [*lines(2), "broken"])
    kept = pool_of(file, keep=["license", "title"])
    assert kept.arrow_schema().names == ["uid", "row_error", "title", "license"]
    assert read_all(kept)["license"].to_pylist() == ["cc-by-nc-nd-2.0", "cc-by-nc-nd-2.0", None]
    assert read_all(kept, []).num_rows == 3
    with pytest.raises(RecipeError, match=r"'keep' names 'licence', which does not exist; did you mean 'license'"):
        pool_of(file, keep=["licence"]).arrow_schema()


def test_a_pool_travels_to_workers(tmp_path: Path) -> None:
    pool = pool_of(write(tmp_path / NAME, lines(3)), images=str(tmp_path), image_path="{photo_id}.jpg")
    parts = pool.parts()
    pool.arrow_schema()
    table = pa.concat_tables(pickle.loads(pickle.dumps(pool)).read(parts[0], ["image_path"], 100))
    assert table["image_path"].to_pylist() == ["1000.jpg", "1001.jpg", "1002.jpg"]


def test_a_file_of_another_format_is_reported_before_a_run(tmp_path: Path) -> None:
    file = write(tmp_path / "rows.tsv", ["uid\turl", "1\thttp://a"])
    with pytest.raises(RecipeError, match=r"rows\.tsv: holds no metadata of YFCC100M: none of the first 2 .*2 fields"):
        pool_of(file).arrow_schema()


@pytest.mark.parametrize("name", [f"{NAME}.gz", f"{NAME}.bz2"])
def test_a_cut_off_packed_file_is_a_bad_part(tmp_path: Path, name: str) -> None:
    pack = gzip if name.endswith("gz") else bz2
    packed = pack.compress("\n".join(lines(2_000)).encode())
    (tmp_path / name).write_bytes(packed[: len(packed) // 2])
    pool = pool_of(tmp_path / name)
    (part,) = pool.parts()
    with pytest.raises(BadPart, match=name):
        list(pool.read(part, ["uid"], 100))


# --- image paths ---


def test_image_paths_come_from_columns(tmp_path: Path) -> None:
    file = write(tmp_path / NAME, [line(), line(hash=""), "broken"])
    pool = pool_of(file, images=str(tmp_path), image_path="{hash[0:3]}/{hash[3:6]}/{hash}.jpg")
    assert pool.image_root() == str(tmp_path)
    assert column(pool, "image_path") == ["d41/d8c/d41d8cd98f00b204e9800998ecf8427e.jpg", None, None]


@pytest.mark.parametrize(
    ("template", "words"),
    [("{photo}.jpg", "no column 'photo'; did you mean 'photo_id'"), ("{user_tags}.jpg", "'user_tags' is list")],
)
def test_a_template_must_name_columns_that_are_there(tmp_path: Path, template: str, words: str) -> None:
    file = write(tmp_path / NAME, lines(1))
    with pytest.raises(RecipeError, match=words):
        pool_of(file, images=str(tmp_path), image_path=template).arrow_schema()
    with pytest.raises(RecipeError, match="no such folder of images"):
        pool_of(file, images=str(tmp_path / "none"), image_path="{uid}.jpg").arrow_schema()


def test_images_and_their_paths_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="'image_path' needs 'images'"):
        pool_of(tmp_path, image_path="{uid}.jpg")
    with pytest.raises(RecipeError, match="'images' needs 'image_path'"):
        pool_of(write(tmp_path / NAME, lines(1)), images=str(tmp_path)).arrow_schema()


# --- bad lines ---


def test_a_bad_line_keeps_its_place_and_says_what_is_wrong(tmp_path: Path) -> None:
    rows = [*lines(2), "", "a\tb", line(photo_id="x"), line(photo_id=7)]
    table = read_all(pool_of(write(tmp_path / f"{NAME}.tsv", rows)), batch_rows=2)
    assert table["uid"].to_pylist() == ["1000", "1001", f"{NAME}:3", f"{NAME}:4", f"{NAME}:5", "7"]
    assert table["row_error"].to_pylist() == [
        None,
        None,
        "blank line; line 3",
        "2 fields where 23, 24 or 25 are expected; line 4",
        "photo id 'x' is no number; line 5",
        None,
    ]


@pytest.mark.parametrize("name", [NAME, f"{NAME}.bz2"])
def test_a_run_drops_bad_lines_and_explains_them(tmp_path: Path, name: str) -> None:
    rows = lines(60)
    rows[16], rows[40] = "cut off", rows[39]
    file = write(tmp_path / name, rows)
    if name.endswith("bz2"):
        file.write_bytes(bz2.compress(file.read_bytes()))
    recipe = f"""
recipe: 1
name: tiny
max_bad: 10%
pools: {{flickr: {{read: yfcc100m, path: {name}}}}}
tables:
  photos: {{from: flickr, steps: [{{where: "media = 'photo'"}}]}}
"""
    (tmp_path / "tiny.yaml").write_text(recipe)
    table = api.run(tmp_path / "tiny.yaml", tmp_path / "run").tables["photos"]
    record = table.record
    assert record.funnel[0].dropped == {"bad_row": 1, "duplicate_uid": 1}
    assert record.rows_in == 60
    assert record.rows_kept == 28
    kept = table.read()
    assert "row_error" not in kept.column_names
    assert set(kept["media"].to_pylist()) == {"photo"}
    (story,) = api.why(tmp_path / "run", f"{NAME}:17")
    assert not story.kept
    assert "1 field where 23, 24 or 25 are expected; line 17" in str(story.chapters)
    (video,) = api.why(tmp_path / "run", "1001")
    assert not video.kept


# --- real ---


def expected(text: str) -> dict[str, object]:
    """A line of 25 fields by plain Python."""
    f = [field or None for field in text.split("\t")]
    assert len(f) == 25

    def plain(at: int) -> str | None:
        return None if f[at] is None else unquote_plus(f[at])

    def number(at: int, kind: type = int) -> object:
        return None if f[at] is None else kind(f[at])

    def tags(at: int) -> list[str] | None:
        return None if f[at] is None else [unquote_plus(tag) for tag in f[at].split(",")]

    def wall() -> datetime | None:
        try:
            return datetime.strptime(str(f[5]), "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
        except ValueError:
            return None

    family = str(f[18]).split("/licenses/")[1].split("/")
    shown = f"CC {family[0].upper()} {family[1]} ({str(f[18]).replace('http:', 'https:')})"
    media = {"0": "photo", "1": "video"}[str(f[24])]
    titled = f'"{re.sub(" +", " ", str(plain(8)))}"' if f[8] else media.capitalize()
    return {
        "uid": f[1],
        "row_error": None,
        "line_number": number(0),
        "photo_id": number(1),
        "hash": f[2],
        "user_nsid": f[3],
        "author": plain(4),
        "taken_at": wall(),
        "taken": None if f[5] == "null" else f[5],
        "uploaded_at": datetime.fromtimestamp(int(str(f[6])), UTC),
        "capture_device": plain(7),
        "title": plain(8),
        "description": plain(9),
        "user_tags": tags(10),
        "machine_tags": tags(11),
        "longitude": number(12, float),
        "latitude": number(13, float),
        "accuracy": number(14),
        "page_url": f[15],
        "url": f[16],
        "license": f"cc-{family[0]}-{family[1]}",
        "license_name": f[17],
        "license_url": f[18],
        "server": number(19),
        "farm": number(20),
        "secret": f[21],
        "original_secret": f[22],
        "extension": f[23],
        "media": media,
        "attribution": f"{titled} by {plain(4)}, {str(f[15]).replace('http:', 'https:')}, {shown}",
    }


@pytest.mark.real
def test_every_field_of_400_real_lines(real_data: Path) -> None:
    file = real_data / "yfcc100m" / NAME
    table = read_all(pool_of(file))
    for row, text in zip(table.to_pylist(), file.read_text().splitlines(), strict=True):
        assert row == expected(text)
    assert len(table) == 400
    assert len(set(table["license"].to_pylist())) == 6


def test_a_file_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    file = write(tmp_path / NAME, lines(3))
    pool = pool_of(file)
    (part,) = pool.parts()
    pool.arrow_schema()
    file.unlink()
    with pytest.raises(InputError, match="gone"):
        list(pool.read(part, ["uid"], 10))
