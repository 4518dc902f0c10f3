"""Images and metadata in archives, as others keep them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow.parquet as pq

from poolwright.pools.yfcc.yfcc100m import Yfcc100m
from tests.calling import call
from tests.models.making import encoded, picture
from tests.pools import yfcc
from tests.pools.reading import column
from tests.pools.tars import jpeg, write_tar

RECIPE = """\
recipe: 1
name: r
pools: {p: {read: yfcc100m, metadata: yfcc100m_dataset.sql, images: zips}}
tables: {t: {from: p, steps: [hash: {kinds: [sha256]}, keep_columns: [photo_id, sha256]], max_bad: 60%}}
"""


def test_photos_and_metadata_of_the_package_yfcc100m(tmp_path: Path) -> None:
    urls = [f"https://farm2.example.org/{number}.jpg" for number in range(5)]
    lines = [yfcc.line(photo_id=40 + number, url=url) for number, url in enumerate(urls)]
    yfcc.write_database(tmp_path / "yfcc100m_dataset.sql", lines)
    yfcc.write_zips(tmp_path / "zips", {url: encoded(picture(number)) for number, url in enumerate(urls[:4])})
    cut = tmp_path / "zips" / f"{yfcc.hash_of(urls[3])[:3]}.zip"
    cut.write_bytes(cut.read_bytes()[:100])
    (tmp_path / "r.yaml").write_text(RECIPE)
    called = call("run", "r.yaml", folder=tmp_path)
    said = called.out + called.err
    table = pq.read_table(sorted((tmp_path / "runs/r/tables/t").glob("part-*.parquet")))
    assert table["photo_id"].to_pylist() == [40, 41, 42], said
    assert cut.name in said
    dropped = pq.read_table(sorted((tmp_path / "runs/r/tables/t").glob("dropped/*.parquet")))
    assert dropped["row"].to_pylist() == [3, 4]
    assert len(set(dropped["code"].to_pylist())) == 2
    assert column(
        Yfcc100m(metadata=(str(tmp_path / "yfcc100m_dataset.sql"),), images=str(tmp_path / "zips")), "image_error"
    ) == [None, None, None, "unreadable_file", "missing_file"]


def test_tars_without_their_rows(tmp_path: Path) -> None:
    """Tars that a resharder wrote, without Parquet files, are read by their keys; the other pool names the one."""
    about = {"url": "http://a", "original_width": 9}
    for shard in range(2):
        files = [
            (f"{shard:08d}{row}.{extension}", data)
            for row in range(3)
            for extension, data in (
                ("jpg", jpeg(shard * 3 + row)),
                ("txt", b"text"),
                ("json", json.dumps(about).encode()),
            )
        ]
        write_tar(tmp_path / "shards" / f"{shard:08d}.tar", files)
    recipe = "recipe: 1\nname: r\npools: {p: {read: KIND, path: shards}}\ntables: {t: {from: p, steps: [hash]}}\n"
    (tmp_path / "r.yaml").write_text(recipe.replace("KIND", "img2dataset, stats: false"))
    assert "are read with 'read: webdataset'" in call("run", "r.yaml", folder=tmp_path).err
    (tmp_path / "r.yaml").write_text(recipe.replace("KIND", "webdataset"))
    assert call("run", "r.yaml", folder=tmp_path).code == 0
    rows = pq.read_table(sorted((tmp_path / "runs/r/tables/t").glob("part-*.parquet")))
    assert rows["uid"].to_pylist() == [f"{shard:08d}{row}" for shard in range(2) for row in range(3)]
    assert rows["original_width"].to_pylist() == [9] * 6
    assert rows["sha256"].to_pylist() == [hashlib.sha256(jpeg(number)).hexdigest() for number in range(6)]
