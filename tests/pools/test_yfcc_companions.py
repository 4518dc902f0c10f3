"""Expansion packs of YFCC100M: joined by photo id, whatever the order, in bounded memory."""

from __future__ import annotations

import bz2
import gzip
import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from poolwright import api
from poolwright.core.errors import ChangedError, InputError, RecipeError
from poolwright.pools.readers import line_blocks, line_index_build
from poolwright.pools.readers.line_index import open_index
from poolwright.pools.yfcc.yfcc100m import Yfcc100m
from tests.pools.reading import column, read_all
from tests.pools.yfcc import line, lines, write

TOWN = "91476962:Lettershea:Town,23424803:Ireland:Country,28350896:Europe%2FDublin:Timezone"


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Five photos, 1000 to 1004."""
    return write(tmp_path / "yfcc100m_dataset", lines(5))


# --- values ---


def test_places_and_country(dataset: Path) -> None:
    pack = write(
        dataset.with_name("yfcc100m_places"), [f"1000\t{TOWN}", "1002\t1:C%C3%B4te+d%27Ivoire:Country", "1003\t"]
    )
    pool = Yfcc100m(path=(str(dataset),), places=str(pack))
    assert pool.arrow_schema().names[-2:] == ["places", "country"]
    assert column(pool, "country") == ["Ireland", None, "Côte d'Ivoire", None, None]
    assert column(pool, "places") == [
        [
            {"woeid": 91476962, "name": "Lettershea", "type": "Town"},
            {"woeid": 23424803, "name": "Ireland", "type": "Country"},
            {"woeid": 28350896, "name": "Europe/Dublin", "type": "Timezone"},
        ],
        None,
        [{"woeid": 1, "name": "Côte d'Ivoire", "type": "Country"}],
        None,
        None,
    ]


def test_autotags_exif_and_hashes(dataset: Path) -> None:
    pool = Yfcc100m(
        path=(str(dataset),),
        autotags=str(write(dataset.with_name("tags"), ["1001\tdune:0.5100,fog+bank:0.8610"])),
        exif=str(write(dataset.with_name("exif"), ["1001\tExif+SubIFD.Focal+Length:50.0+mm,IFD0.Date:10%3A20:30"])),
    )
    assert column(pool, "autotags")[1] == [
        {"concept": "dune", "score": pytest.approx(0.51)},
        {"concept": "fog bank", "score": pytest.approx(0.861)},
    ]
    assert column(pool, "exif")[1] == [
        {"key": "Exif SubIFD.Focal Length", "value": "50.0 mm"},
        {"key": "IFD0.Date", "value": "10:20:30"},
    ]


def test_a_hash_of_a_line_goes_before_that_of_the_pack(dataset: Path) -> None:
    write(dataset, [line(photo_id=1, hash="aa"), line(photo_id=2, hash=""), line(("hash",), photo_id=3), "broken"])
    pack = write(dataset.with_name("yfcc100m_hash"), ["1\tbb", "2\tcc", "3\tdd"])
    pool = Yfcc100m(path=(str(dataset),), hashes=str(pack), images=str(dataset.parent), image_path="{hash}.jpg")
    assert column(pool, "hash") == ["aa", "cc", "dd", None]
    assert column(pool, "image_path") == ["aa.jpg", "cc.jpg", "dd.jpg", None]


def test_an_item_of_another_form_keeps_its_text(dataset: Path) -> None:
    pack = write(dataset.with_name("pack"), ["1000\todd,7:b:Town", "1001\tx:y", "1002\t,"])
    for name, first in (("places", "name"), ("autotags", "concept"), ("exif", "key")):
        found = column(Yfcc100m(path=(str(dataset),), **{name: str(pack)}), name)
        assert [item[first] for item in found[0]][:1] == ["odd"]  # type: ignore[attr-defined]
        assert len(found[2]) == 2  # type: ignore[arg-type]
        assert found[3] is None


# --- joining ---


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_order_packing_and_size_of_what_is_sorted_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, end: str
) -> None:
    monkeypatch.setattr(line_index_build, "SORTED_AT_ONCE", 7)
    monkeypatch.setattr(line_blocks, "BLOCK_BYTES", 64)
    write(tmp_path / "yfcc100m_dataset", [*lines(50, first=5), "broken", *lines(50, first=999_999_999_999)])
    ids = [*range(5, 55, 2), *range(999_999_999_999, 1_000_000_000_049), *range(70, 90)]
    random.Random(0).shuffle(ids)
    pack = write(tmp_path / f"tags{ending}", [f"{photo}\ttag{photo}:0.5" for photo in ids], end)
    if ending:
        pack.write_bytes((gzip if ending == ".gz" else bz2).compress(pack.read_bytes()))
    table = read_all(Yfcc100m(path=(str(tmp_path / "yfcc100m_dataset"),), autotags=str(pack)), batch_rows=9)
    known = set(ids)
    for photo, tags in zip(table["photo_id"].to_pylist(), table["autotags"].to_pylist(), strict=True):
        assert tags == ([{"concept": f"tag{photo}", "score": 0.5}] if photo in known else None)


def test_of_two_lines_the_first_counts_and_of_two_files_the_first(dataset: Path) -> None:
    one = write(dataset.with_name("one"), ["1003\ta:1", "1000\tb:1", "1003\tc:1"])
    two = write(dataset.with_name("two"), ["1000\td:1", "1004\te:1"])
    pool = Yfcc100m(path=(str(dataset),), autotags=(str(one), str(two)))
    found = [tags and tags[0]["concept"] for tags in column(pool, "autotags")]  # type: ignore[index]
    assert found == ["b", None, None, "a", "e"]


def test_an_empty_pack_gives_nulls(dataset: Path) -> None:
    for name in ("empty", "empty.gz"):
        pack = dataset.with_name(name)
        pack.write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
        assert column(Yfcc100m(path=(str(dataset),), exif=str(pack)), "exif") == [None] * 5


# --- the index ---


def test_an_index_is_made_once_and_again_when_the_pack_changes(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = write(dataset.with_name("tags.gz"), [])
    pack.write_bytes(gzip.compress(b"1000\ta:1\n"))
    pool = Yfcc100m(path=(str(dataset),), autotags=str(pack), keep=["autotags"])
    assert column(pool, "autotags")[0] == [{"concept": "a", "score": 1.0}]
    with monkeypatch.context() as patched:
        patched.setattr(line_index_build, "_scan", lambda file, folder: pytest.fail("made again"))
        assert column(pool.model_copy(), "autotags")[0] == [{"concept": "a", "score": 1.0}]
    pack.write_bytes(gzip.compress(b"1000\tother:1\n"))
    again = Yfcc100m(**pool.model_dump())
    assert column(again, "autotags")[0] == [{"concept": "other", "score": 1.0}]
    folders = [path for path in dataset.with_name("tags.gz.poolwright-index").iterdir() if path.is_dir()]
    assert len(folders) == 1  # the old one is gone


def test_nothing_is_indexed_until_a_column_of_a_pack_is_read(dataset: Path) -> None:
    pack = write(dataset.with_name("tags"), ["1000\ta:1"])
    pool = Yfcc100m(path=(str(dataset),), autotags=str(pack))
    pool.arrow_schema()
    pool.parts()
    assert column(pool, "title")[0] == "photo 0"
    assert not dataset.with_name("tags.poolwright-index").exists()


def test_indexes_go_where_they_are_reported(dataset: Path) -> None:
    pack = write(dataset.with_name("tags"), ["1000\ta:1"])
    folder = dataset.with_name("indexes")
    for path in (pack, write(dataset.parent / "other" / "tags", ["1000\tb:1"])):
        assert len(column(Yfcc100m(path=(str(dataset),), autotags=str(path), index=str(folder)), "autotags")) == 5
    assert len(list(folder.iterdir())) == 2
    assert not dataset.with_name("tags.poolwright-index").exists()


def test_an_index_that_cannot_be_written_is_reported(dataset: Path) -> None:
    pack = write(dataset.with_name("tags"), ["1000\ta:1"])
    write(dataset.with_name("tags.poolwright-index"), ["a file is in the way"])
    with pytest.raises(InputError, match=r"index of tags cannot be written .*'index: FOLDER'"):
        column(Yfcc100m(path=(str(dataset),), autotags=str(pack)), "autotags")


def test_several_at_once_make_one_index(tmp_path: Path) -> None:
    pack = write(tmp_path / "tags", [f"{photo}\tx" for photo in range(20_000)])
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(open_index(str(pack), None).ids))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [20_000] * 4
    assert list(tmp_path.rglob("*.partial")) == []


def test_an_index_finds_bytes_of_any_numbers(tmp_path: Path) -> None:
    pack = write(tmp_path / "tags", ["5\tfive", "1\tone", "3\t"])
    found = open_index(str(pack), None).values(np.array([3, 9, 1, -1, 5, 1]))
    assert found.to_pylist() == [b"", None, b"one", None, b"five", b"one"]


# --- what is wrong ---


def bad_later(row: str) -> list[str]:
    return [*(f"{photo}\ta:1" for photo in range(40)), row, "99\ta:1"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["1000 a:1"], "line 1 has no tab"),
        (["1000\ta:1", "", "1001\ta:1"], "line 2 has no tab"),
        (["x1\ta:1"], "line 1 does not begin with a photo id"),
        (["\ta:1"], "line 1 does not begin with a photo id"),
        (bad_later("broken"), "line 41 has no tab"),
        (bad_later("12345678901234567890\ta"), "line 41 does not begin with a photo id"),
    ],
)
def test_a_bad_line_of_a_pack_is_named(dataset: Path, rows: list[str], words: str) -> None:
    pack = write(dataset.with_name("tags"), rows)
    with pytest.raises(InputError, match=f"tags: {words}"):
        column(Yfcc100m(path=(str(dataset),), autotags=str(pack)), "autotags")


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"no archive"])
def test_a_damaged_pack_is_reported_and_leaves_nothing(dataset: Path, damage: Callable[[bytes], bytes]) -> None:
    pack = dataset.with_name("tags.gz")
    pack.write_bytes(
        damage(gzip.compress("\n".join(f"{n}\t{random.Random(n).random()}" for n in range(9_999)).encode()))
    )
    with pytest.raises(InputError, match=r"tags\.gz: cannot be read"):
        column(Yfcc100m(path=(str(dataset),), autotags=str(pack)), "autotags")
    assert [path for path in dataset.with_name("tags.gz.poolwright-index").iterdir() if path.is_dir()] == []


def test_packs_that_are_not_there_are_reported_before_a_run(dataset: Path) -> None:
    with pytest.raises(RecipeError, match="no such file"):
        Yfcc100m(path=(str(dataset),), places=str(dataset.with_name("yfcc100m_places"))).arrow_schema()


def test_a_changed_pack_is_a_changed_input(dataset: Path) -> None:
    pack = write(dataset.with_name("places"), [f"{1000 + n}\t1:Chile:Country" for n in range(5)])
    (dataset.with_name("r.yaml")).write_text(
        "recipe: 1\nname: r\npools: {p: {read: yfcc100m, path: yfcc100m_dataset, places: places}}\n"
        "tables: {t: {from: p, steps: [{where: \"country = 'Chile'\"}]}}\n"
    )
    run = dataset.with_name("run")
    assert api.run(dataset.with_name("r.yaml"), run).tables["t"].record.rows_kept == 5
    write(pack, [f"{1000 + n}\t1:Peru:Country" for n in range(5)])
    with pytest.raises(ChangedError, match="places"):
        api.run(dataset.with_name("r.yaml"), run)


def test_a_pack_behind_a_url_is_copied_into_the_index(dataset: Path) -> None:
    import fsspec

    with fsspec.open("memory://yfcc/tags", "wb") as file:
        file.write(b"1004\ta:1\n1000\tb:1\n")
    with fsspec.open("memory://yfcc/yfcc100m_dataset", "wb") as file:
        file.write(dataset.read_bytes())
    url, pack = "memory://yfcc/yfcc100m_dataset", "memory://yfcc/tags"
    with pytest.raises(RecipeError, match="name a local folder with 'index: FOLDER'"):
        Yfcc100m(path=(url,), autotags=pack).arrow_schema()
    pool = Yfcc100m(path=(url,), autotags=pack, index=str(dataset.with_name("index")))
    assert [bool(tags) for tags in column(pool, "autotags")] == [True, False, False, False, True]
