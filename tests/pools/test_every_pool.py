"""The property suite over every registered pool, and over each format of those that read several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from poolwright.pools.arrays import Arrays
from poolwright.pools.clip_retrieval import ClipRetrieval
from poolwright.pools.coco.coco import Coco
from poolwright.pools.commonpool import CommonPool
from poolwright.pools.geoyfcc.geoyfcc import GeoYfccPool
from poolwright.pools.huggingface.huggingface import HuggingFacePool
from poolwright.pools.image_folder import ImageFolder
from poolwright.pools.img2dataset import Img2dataset
from poolwright.pools.release import ReleasePool
from poolwright.pools.table import TablePool
from poolwright.pools.webdataset.webdataset import WebDatasetPool
from poolwright.pools.yfcc.yfcc100m import Yfcc100m
from poolwright.registry import POOLS, pool_class
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.testing import PoolSuite
from poolwright.testing.layouts import ABOUT
from tests.models.making import encoded, picture
from tests.packing import pack
from tests.pools import coco, test_clip_retrieval, test_commonpool, test_geoyfcc, test_img2dataset, yfcc
from tests.pools.tars import jpeg, samples, write_tar
from tests.release.build import pictures, toy_rows, write_table


def table_rows(first: int, rows: int) -> pa.Table:
    numbers = range(first, first + rows)
    return pa.table(
        {
            "uid": [f"{number}" if number % 5 else None for number in numbers],
            "text": ["ä🙂" * (number % 3) or None for number in numbers],
            "width": pa.array([number if number % 4 else None for number in numbers], pa.int64()),
            "score": [float("nan") if number % 6 == 0 else number / 7 for number in numbers],
        }
    )


class TestTableParquet(PoolSuite):
    pool = TablePool
    rows = 24

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "rows").mkdir()
        for shard in range(3):
            rows = table_rows(shard * 8, 8).set_column(0, "uid", [[str(shard * 8 + row) for row in range(8)]])
            pq.write_table(rows, folder / "rows" / f"{shard}.parquet", row_group_size=3)
            vectors = np.random.default_rng(shard).normal(size=(8, 16)).astype(np.float16)
            np.savez(folder / "rows" / f"{shard}.npz", clip=vectors)
        return {"path": "rows", "vectors": {"clip": {"file": "{stem}.npz", "key": "clip", "model": "a model"}}}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        pq.write_table(table_rows(0, 0), folder / "empty.parquet")
        return {"path": "empty.parquet"}


class TestTableCsv(PoolSuite):
    pool = TablePool
    rows = 16

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "rows").mkdir()
        for shard in range(2):
            pyarrow.csv.write_csv(table_rows(shard * 8, 8), folder / "rows" / f"{shard}.csv")
        return {"path": "rows", "format": "csv", "uid": "row"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "empty.csv").write_text("uid,text\n")
        return {"path": "empty.csv"}


class TestTableLists(PoolSuite):
    """Packed lists without a line of names, with columns that are made of others."""

    pool = TablePool
    rows = 8

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "lists").mkdir()
        for shard, ending in enumerate(["bz2", "zst"]):
            lines = [f"domain{shard}/class/{row}.jpg {row}" for row in range(3)] + ["too many values"]
            (folder / "lists" / f"{shard}.txt.{ending}").write_bytes(pack(ending, "\n".join(lines).encode()))
        made = {"derive": {"half": "number // 2"}, "image_path": "{half:03d}/{uid}"}
        return {"path": "lists", "format": "txt", "header": ["file", "number"], "uid": "file", **made}


class TestTableJsonLines(PoolSuite):
    pool = TablePool
    rows = 16

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "rows").mkdir()
        for shard in range(2):
            lines = [json.dumps(row | {"score": None}) for row in table_rows(shard * 8, 8).to_pylist()]
            (folder / "rows" / f"{shard}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"path": "rows", "uid": "row"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "empty.jsonl").write_text("")
        return {"path": "empty.jsonl"}


class TestHuggingFace(PoolSuite):
    pool = HuggingFacePool
    rows = 12

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "birds" / "data").mkdir(parents=True)
        structs = [{"bytes": encoded(picture(number, 9, 9)), "path": None} for number in range(4)]
        images = pa.array(structs, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
        feature = {"names": ["auk", "owl"], "_type": "ClassLabel"}
        document = json.dumps({"info": {"features": {"image": {"_type": "Image"}, "label": feature}}})
        for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
            table = pa.table({"image": images, "label": [0, 1, None, 1]})
            table = table.replace_schema_metadata({"huggingface": document})
            pq.write_table(table, folder / "birds" / "data" / f"{name}.parquet", row_group_size=3)
        (folder / "birds" / "README.md").write_text("# Birds\n")
        return {"path": "birds"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "birds").mkdir()
        pq.write_table(table_rows(0, 0), folder / "birds" / "train.parquet")
        return {"path": "birds"}


class TestHuggingFaceSaved(PoolSuite):
    pool = HuggingFacePool
    rows = 9

    def write(self, folder: Path) -> dict[str, Any]:
        for split, count in (("train", 7), ("test", 2)):
            (folder / "saved" / split).mkdir(parents=True)
            rows = pa.table({"caption": [f"{split} {number}" for number in range(count)]})
            with pa.OSFile(str(folder / "saved" / split / "data-00000-of-00001.arrow"), "wb") as out:
                with pa.ipc.new_stream(out, rows.schema) as writer:
                    writer.write_table(rows, max_chunksize=3)
            state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}], "_split": split}
            (folder / "saved" / split / "state.json").write_text(json.dumps(state))
        (folder / "saved" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        return {"path": "saved"}


class TestHuggingFaceImages(PoolSuite):
    pool = HuggingFacePool
    rows = 8

    def write(self, folder: Path) -> dict[str, Any]:
        for number in range(8):
            path = folder / "birds" / ("train", "test")[number % 2] / ("auk", "owl")[number % 3 % 2] / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(number, 20, 20)))
        return {"path": "birds"}


class TestRelease(PoolSuite):
    pool = ReleasePool
    rows = 12

    def write(self, folder: Path) -> dict[str, Any]:
        rows = toy_rows(12)
        pictures(folder / "images", rows.column("image_path").to_pylist())
        table = write_table(folder / "table", rows, cuts=(5,), image_root=folder / "images")
        HuggingFace(class_label="label", figures=False).write(table, folder / "out", ABOUT)
        return {"path": "out"}


class TestImageFolder(PoolSuite):
    pool = ImageFolder
    rows = 6

    def write(self, folder: Path) -> dict[str, Any]:
        for number in range(6):
            path = folder / "photos" / f"class {number % 2}" / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded(picture(number, 20, 20)))
            path.with_suffix(".json").write_text(json.dumps({"caption": f"number {number}", "rating": number}))
        return {
            "path": "photos",
            "pattern": "{label}/{name}",
            "captions": "json",
            "json_keys": {"rating": "rating"},
            "exif": True,
        }

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "photos").mkdir()
        return {"path": "photos"}


class TestArrays(PoolSuite):
    pool = Arrays
    rows = 9

    def write(self, folder: Path) -> dict[str, Any]:
        draw = np.random.default_rng(0)
        np.savez(
            folder / "x.npz",
            emb=draw.normal(size=(9, 16)).astype(np.float32),
            label=np.arange(9, dtype=np.int16) % 3,
            names=np.array(["cat", "dog", "猫"]),
        )
        lookup = {"label": {"values": "names", "by": "label"}}
        return {"path": "x.npz", "columns": {"clip": "emb", "label_index": "label"}, "lookup": lookup}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        np.savez(folder / "x.npz", emb=np.zeros((0, 16), np.float32))
        return {"path": "x.npz", "columns": {"clip": "emb"}}


class TestYfcc100m(PoolSuite):
    pool = Yfcc100m
    rows = 12

    def write(self, folder: Path) -> dict[str, Any]:
        for shard in range(2):
            lines = [*yfcc.lines(5, first=shard * 100 + 1), "a\tbroken line"]
            yfcc.write(folder / "data" / f"yfcc100m_dataset-{shard}", lines)
        return {"path": "data"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        yfcc.write(folder / "data" / "yfcc100m_dataset", [])
        return {"path": "data"}


class TestYfcc100mDatabase(PoolSuite):
    pool = Yfcc100m
    path = "metadata"
    rows = 7

    def write(self, folder: Path) -> dict[str, Any]:
        lines = [yfcc.line(photo_id=number, url=f"http://a/{number}.jpg") for number in range(7)]
        yfcc.write_database(folder / "yfcc.db", lines)
        yfcc.write_zips(folder / "zips", {f"http://a/{number}.jpg": encoded(picture(number)) for number in range(5)})
        return {"metadata": "yfcc.db", "images": "zips"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        yfcc.write_database(folder / "yfcc.db", [])
        return {"metadata": "yfcc.db"}


class TestGeoYfccPickle(PoolSuite):
    pool = GeoYfccPool
    rows = 3

    def write(self, folder: Path) -> dict[str, Any]:
        test_geoyfcc.frame().to_pickle(folder / "GeoYFCC.pkl")
        return {"path": "GeoYFCC.pkl"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        test_geoyfcc.frame().iloc[:0].to_pickle(folder / "GeoYFCC.pkl")
        return {"path": "GeoYFCC.pkl"}


class TestCommonPool(PoolSuite):
    pool = CommonPool
    rows = 10

    def write(self, folder: Path) -> dict[str, Any]:
        (folder / "shards").mkdir()
        for shard in range(2):
            test_commonpool.write(folder / "shards", f"{shard:032x}", shard * 5, 5, packed=bool(shard))
        return {"path": "shards"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "shards").mkdir()
        return {"path": "shards"}


class TestClipRetrieval(PoolSuite):
    pool = ClipRetrieval
    rows = 9

    def write(self, folder: Path) -> dict[str, Any]:
        for partition, rows in enumerate((4, 5)):
            test_clip_retrieval.write(folder / "embeddings", partition, rows)
        return {"path": "embeddings", "model": "ViT-B-32/openai"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        test_clip_retrieval.write(folder / "embeddings", 0, 0)
        return {"path": "embeddings"}


class TestImg2dataset(PoolSuite):
    pool = Img2dataset
    rows = 16

    def write(self, folder: Path) -> dict[str, Any]:
        for shard in range(2):
            test_img2dataset.write_shard(folder / "shards", shard)
        return {"path": "shards"}


class TestWebDataset(PoolSuite):
    pool = WebDatasetPool
    rows = 10

    def write(self, folder: Path) -> dict[str, Any]:
        for shard in range(2):
            write_tar(folder / "tars" / f"{shard}.tar", samples(shard, 4))
        write_tar(folder / "tars" / "2.tar", [("20.JPG", b""), ("21.json", b"[1]"), ("21.jpg", jpeg(21))])
        return {"path": "tars"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        write_tar(folder / "empty.tar", [])
        return {"path": "empty.tar"}


class TestWebDatasetPacked(PoolSuite):
    pool = WebDatasetPool
    rows = 6

    def write(self, folder: Path) -> dict[str, Any]:
        for shard in range(2):
            write_tar(folder / f"train-{shard:03d}.tar.gz", samples(shard, 3))
        return {"path": "train-{000..001}.tar.gz"}


class TestCocoImages(PoolSuite):
    pool = Coco
    rows = 9

    def write(self, folder: Path) -> dict[str, Any]:
        coco.dataset(folder)
        return {"path": "annotations", "images": "{split}", "segmentation": True}


class TestCocoObjects(PoolSuite):
    pool = Coco
    rows = 4

    def write(self, folder: Path) -> dict[str, Any]:
        for number in (1, 2):
            (folder / "images").mkdir(exist_ok=True)
            coco.pixels(number).save(folder / "images" / f"{number:04d}.png")
        boxes = [coco.marked(5, 2), coco.marked(4, 1), coco.marked(3, 1, (0, 0, 0, 4)), coco.marked(2, 8)]
        coco.save(folder / "objects.json", coco.document([coco.entry(1), coco.entry(2), coco.entry(3)], boxes))
        return {"path": "objects.json", "images": "images", "rows": "objects"}

    def write_empty(self, folder: Path) -> dict[str, Any]:
        (folder / "images").mkdir()
        coco.save(folder / "empty.json", coco.document([], []))
        return {"path": "empty.json", "images": "images", "rows": "objects"}


def test_every_pool_is_tested() -> None:
    suites = [value for value in globals().values() if isinstance(value, type) and issubclass(value, PoolSuite)]
    tested = {suite.pool for suite in suites if suite is not PoolSuite}
    assert tested == {pool_class(kind) for kind in POOLS}
