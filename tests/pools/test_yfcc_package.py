"""Zip files and the SQLite database of the package yfcc100m, as pools read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.core.errors import RecipeError
from poolwright.core.runtime.noting import settle, watching
from poolwright.pools.geoyfcc.geoyfcc import GeoYfccPool
from poolwright.pools.yfcc import zips
from poolwright.pools.yfcc.yfcc100m import Yfcc100m
from tests.pools import yfcc
from tests.pools.reading import column, read_all

URLS = [f"http://farm1.example.org/{number}.jpg" for number in range(6)]
LINES = [yfcc.line(photo_id=number, url=url, hash=yfcc.hash_of(url)) for number, url in enumerate(URLS)]
IMAGES = {url: f"picture {number}".encode() for number, url in enumerate(URLS)}
BYTES = list(IMAGES.values())


def zip_of(folder: Path, url: str) -> Path:
    return folder / f"{yfcc.hash_of(url)[:3]}.zip"


def test_the_database_gives_what_the_lines_give(tmp_path: Path) -> None:
    lines = Yfcc100m(path=(str(yfcc.write(tmp_path / "yfcc100m_dataset", LINES)),))
    database = Yfcc100m(metadata=(str(yfcc.write_database(tmp_path / "any.db", LINES)),))
    same = [name for name in lines.arrow_schema().names if name != "line_number"]
    for rows in (2, 100):
        assert read_all(database, same, rows).equals(read_all(lines, same))
    assert column(database, "line_number") == [None] * 6


def test_texts_of_a_database_may_be_plain(tmp_path: Path) -> None:
    plain = yfcc.line(title="1 + 1 = 100%", user_tags="a b,c+d", description="x")
    database = Yfcc100m(metadata=(str(yfcc.write_database(tmp_path / "any.db", [plain])),))
    (row,) = read_all(database, ["title", "user_tags"]).to_pylist()
    assert row == {"title": "1 + 1 = 100%", "user_tags": ["a b", "c+d"]}


@pytest.mark.parametrize("hashes", [True, False])
def test_images_of_lines_come_out_of_the_zips(tmp_path: Path, hashes: bool) -> None:
    yfcc.write_zips(tmp_path / "zips", dict(list(IMAGES.items())[:3]))
    yfcc.write_zips(tmp_path / "zips", {URLS[3]: BYTES[3]}, "png")
    yfcc.write_zips(tmp_path / "zips", {URLS[4]: BYTES[4]}, suffix="_missing")
    lines = LINES if hashes else [yfcc.line(("hash",), photo_id=n, url=url) for n, url in enumerate(URLS)]
    path = yfcc.write(tmp_path / "yfcc100m_dataset", lines)
    pool = Yfcc100m(path=(str(path),), images=str(tmp_path / "zips"))
    assert pool.known_images()
    assert pool.image_root() is None
    assert column(pool, "image") == [*BYTES[:5], None]
    assert column(pool, "image_error") == [None] * 5 + ["missing_file"]
    assert read_all(pool, ["uid"]).num_rows == 6


def test_geoyfcc_reads_the_same_zips(tmp_path: Path) -> None:
    pd = pytest.importorskip("pandas")
    rows = pd.DataFrame({"yfcc_row_id": range(6), "yfcc_metadata": LINES})
    rows.to_pickle(tmp_path / "g.pkl")
    images = yfcc.write_zips(tmp_path / "zips", dict(list(IMAGES.items())[:4]))
    pool = GeoYfccPool(path=(str(tmp_path / "g.pkl"),), images=str(images))
    assert column(pool, "image") == [*BYTES[:4], None, None]
    assert column(pool, "image_error") == [None] * 4 + ["missing_file"] * 2
    rows[["yfcc_row_id"]].to_pickle(tmp_path / "g.pkl")
    with pytest.raises(RecipeError, match="neither 'hash' nor 'url'"):
        GeoYfccPool(path=(str(tmp_path / "g.pkl"),), images=str(images)).arrow_schema()


def test_damaged_zips_and_members_are_said(tmp_path: Path) -> None:
    images = yfcc.write_zips(tmp_path / "zips", IMAGES)
    cut, flipped = zip_of(images, URLS[0]), zip_of(images, URLS[1])
    cut.write_bytes(cut.read_bytes()[:-10])
    flipped.write_bytes(flipped.read_bytes().replace(b"picture 1", b"picture I"))
    zip_of(images, URLS[2]).unlink()
    pool = Yfcc100m(path=(str(yfcc.write(tmp_path / "yfcc100m_dataset", LINES)),), images=str(images))
    with watching() as noted:
        assert column(pool, "image") == [None, None, None, *BYTES[3:]]
        settle(0, 6)
    assert column(pool, "image_error")[:3] == ["unreadable_file", "unreadable_file", "missing_file"]
    ((words, (count, example)),) = noted.found.items()
    assert (words, count) == ("images could not be read from their zip files", 2)
    assert cut.name in example or flipped.name in example


def test_few_zips_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "_MOST_OPEN", 2)
    images = yfcc.write_zips(tmp_path / "zips", IMAGES)
    pool = Yfcc100m(path=(str(yfcc.write(tmp_path / "yfcc100m_dataset", LINES * 2)),), images=str(images))
    assert column(pool, "image") == BYTES * 2


def test_wrong_folders_and_files_are_named(tmp_path: Path) -> None:
    lines = yfcc.write(tmp_path / "yfcc100m_dataset", LINES)
    (tmp_path / "photos").mkdir()
    with pytest.raises(RecipeError, match=r"photos: 'images' needs 'image_path', .* has the zip files"):
        Yfcc100m(path=(str(lines),), images=str(tmp_path / "photos")).arrow_schema()
    with pytest.raises(RecipeError, match="is no database of SQLite; name files of lines with 'path'"):
        Yfcc100m(metadata=(str(lines),)).arrow_schema()
    with pytest.raises(ValueError, match="one of the two"):
        Yfcc100m()
    database = yfcc.write_database(tmp_path / "a.db", LINES)
    data = database.read_bytes()
    database.write_bytes(data.replace(b"yfcc100m_dataset", b"yfcc100m_dataseT".replace(b"T", b"s")))
    with pytest.raises(RecipeError, match="no table 'yfcc100m_dataset'"):
        Yfcc100m(metadata=(str(database),)).arrow_schema()
