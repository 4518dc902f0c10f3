"""Every layout holds to the contract, with its usual parameters and with those that change what it writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from poolwright import verify
from poolwright.core.columns import LABEL, UID
from poolwright.core.errors import ReleaseError
from poolwright.core.table import Table
from poolwright.registry import LAYOUTS, layout_class
from poolwright.release.checks.result import Findings
from poolwright.release.data.image_changes import ImageChanges
from poolwright.release.layouts.avalanche import Avalanche
from poolwright.release.layouts.clear import Clear
from poolwright.release.layouts.coco.coco import CocoLayout
from poolwright.release.layouts.datacomp import DataComp
from poolwright.release.layouts.domainnet import DomainNet
from poolwright.release.layouts.fiftyone.fiftyone import FiftyOneLayout
from poolwright.release.layouts.geoyfcc import GeoYfccLayout
from poolwright.release.layouts.glt import GltLayout
from poolwright.release.layouts.huggingface import HuggingFace
from poolwright.release.layouts.image_folder import ImageFolderLayout
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.mappool import MapPool
from poolwright.release.layouts.parquet import ParquetLayout
from poolwright.release.layouts.webdataset import WebDatasetLayout
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics
from poolwright.testing.layouts import ABOUT, LayoutSuite
from tests.release.build import pictures, toy_rows, write_table
from tests.release.streams import stream_table, whole_stream
from tests.release.test_geoyfcc import _base, _rows, _subset
from tests.release.test_glt import drawn
from tests.release.test_mappool import rows as map_rows
from tests.release.test_mappool import table_of


class _Toy(LayoutSuite):
    """Rows in two parts with two splits, three classes and images."""

    def build_table(self, folder: Path) -> Table:
        rows = toy_rows(45)
        # Every row has a domain, as some layouts ask for.
        domains = [("Europe", "North America")[number % 2] for number in range(45)]
        rows = rows.set_column(rows.schema.get_field_index("continent"), "continent", pa.array(domains))
        pictures(folder / "images", rows.column("image_path").to_pylist())
        return write_table(folder / "run" / "tables" / "toy", rows, cuts=(20,), image_root=folder / "images")


class TestHuggingFace(_Toy):
    layout = HuggingFace(class_label="label", shard_bytes=20_000, domain="continent")


class TestHuggingFaceConfigs(_Toy):
    layout = HuggingFace(configs="continent", figures=False)


class TestHuggingFaceUrls(_Toy):
    layout = HuggingFace(images="urls", columns=("url", "label", "split", "clip"), figures=False)


class TestHuggingFaceOfARun(LayoutSuite):
    layout = HuggingFace(figures=False)


class TestImageFolder(_Toy):
    layout = ImageFolderLayout(figures=False)


class TestImageFolderCsv(LayoutSuite):
    layout = ImageFolderLayout(metadata="csv", figures=False)


class TestHuggingFaceChanged(_Toy):
    layout = HuggingFace(images=ImageChanges(resize=16, format="jpeg", strip=("gps",)), figures=False)


class TestImageFolderChanged(_Toy):
    layout = ImageFolderLayout(images=ImageChanges(resize=20, mode="border", upscale=True), figures=False)


class TestDomainNetChanged(_Toy):
    layout = DomainNet(images=ImageChanges(format="webp", quality=60), figures=False)


class TestClearChanged(LayoutSuite):
    layout = Clear(images=ImageChanges(resize=9, mode="center_crop"), figures=False)

    def build_table(self, folder: Path) -> Table:
        return stream_table(folder, 36)


class TestCoco(LayoutSuite):
    layout = CocoLayout(figures=False)


class TestCocoChanged(_Toy):
    layout = CocoLayout(images=ImageChanges(resize=16, mode="center_crop"), figures=False)


class TestFiftyOne(_Toy):
    layout = FiftyOneLayout(confidence="similarity", figures=False)


class TestFiftyOneChanged(LayoutSuite):
    layout = FiftyOneLayout(images=ImageChanges(resize=16), figures=False)


class TestParquet(_Toy):
    layout = ParquetLayout(figures=False)


class TestParquetBytes(_Toy):
    layout = ParquetLayout(images="bytes", columns=("label", "clip"), shard_bytes=20_000, figures=False)


class TestDomainNet(_Toy):
    layout = DomainNet(figures=False)


class TestDomainNetPaths(_Toy):
    layout = DomainNet(images="none", figures=False)


class TestGeoYfcc(LayoutSuite):
    layout = GeoYfccLayout(subsets=("three",), pickle=True, more=("uid", "similarity"), figures=False)

    def build_table(self, folder: Path) -> Table:
        rows = _rows(60)
        base = _base(folder, rows, (21,))
        _subset(folder, "three", rows.take(np.flatnonzero(np.array(rows["class_index"]) != 0)), dropped=15)
        return base


class TestMapPool(LayoutSuite):
    layout = MapPool(more=("decision",), shard_bytes=20_000, figures=False)

    def build_table(self, folder: Path) -> Table:
        return table_of(folder, map_rows(90), cuts=(30,))


class TestGlt(LayoutSuite):
    layout = GltLayout(more=("clip",), root="/data/imagenet", figures=False)

    def build_table(self, folder: Path) -> Table:
        return write_table(folder / "toy", drawn(), cuts=(40,))


class TestClear(LayoutSuite):
    layout = Clear(unlabelled="all", figures=False)

    def build_table(self, folder: Path) -> Table:
        table = stream_table(folder, 36)
        whole_stream(folder, table)
        return table


class TestAvalanche(LayoutSuite):
    layout = Avalanche(splits=("split_0",), figures=False)

    def build_table(self, folder: Path) -> Table:
        return stream_table(folder, 36)


class TestAvalanchePaths(LayoutSuite):
    layout = Avalanche(images="none", features={}, figures=False)

    def build_table(self, folder: Path) -> Table:
        return stream_table(folder, 36)


class TestWebDataset(_Toy):
    layout = WebDatasetLayout(class_label="label", shard_rows=8, figures=False)


class TestWebDatasetOfARun(LayoutSuite):
    layout = WebDatasetLayout(shard_bytes=20_000, figures=False)


class _HexUids(_Toy):
    """Rows whose uids are those of DataComp."""

    def build_table(self, folder: Path) -> Table:
        rows = toy_rows(45)
        rows = rows.set_column(0, "uid", pa.array([f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC834:064x}"[-32:]
                                                   for number in range(45)]))  # fmt: skip
        pictures(folder / "images", rows.column("image_path").to_pylist())
        return write_table(folder / "run" / "tables" / "toy", rows, cuts=(20,), image_root=folder / "images")


class TestDataComp(_HexUids):
    layout = DataComp(figures=False)


class TestDataCompTars(_HexUids):
    layout = DataComp(tars=True, shard_rows=20, figures=False)


class Lists(Layout):
    """Rows in Parquet, and a list of the rows of each class: a layout as others write one."""

    layout: ClassVar[str] = "lists_of_others"

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """The uid and the class."""
        return (UID, LABEL)

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """One file with all rows, whatever their split, and one list."""
        rows = table.read([UID, LABEL]).unify_dictionaries().cast(pa.schema([(UID, pa.string()), (LABEL, pa.string())]))
        pq.write_table(rows, folder / "rows.parquet")
        (folder / "list.txt").write_text("".join(f"{label}\n" for label in rows.column(LABEL).to_pylist()))
        file = ReleasedFile(path="rows.parquet", split="train", rows=len(rows))
        record = self.record(table, rows.schema, [file], {None: "train"}, None)
        other = OtherFile(path="list.txt", type="text/plain", words="Classes of the rows")
        return record.model_copy(update={"others": (other,)})

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """The list must have the classes of the rows."""
        yield "list", lambda: self._check(folder)

    def _check(self, folder: Path) -> Findings:
        labels = [str(label) for label in pq.read_table(folder / "rows.parquet").column(LABEL).to_pylist()]
        found = (folder / "list.txt").read_text().splitlines()
        return ["'list.txt' has other classes than the rows"] if found != labels else [], f"{len(found)} lines"


class TestALayoutOfOthers(_Toy):
    layout = Lists(figures=False)

    def test_its_own_check_is_made_and_fails(self, tmp_path: Path) -> None:
        folder = self._released(tmp_path)[1]
        assert self._verify(folder).checks[-1].words == "45 lines"
        (folder / "list.txt").write_text("cat\n")
        assert self._verify(folder).checks[-1].words == "'list.txt' has other classes than the rows"

    def test_without_its_package_the_message_says_what_to_install(self, tmp_path: Path) -> None:
        self.layout.write(self.build_table(tmp_path / "table"), tmp_path / "out", ABOUT, versions={"lists": "1.2"})
        found = verify(tmp_path / "out")
        assert found.ok, found.words
        check = next(check for check in found.checks if check.name == "layout")
        assert check.ok is None
        assert "no layout 'lists_of_others' is installed" in check.words
        assert "install 'lists' (version 1.2 wrote it)" in check.words

    def test_another_version_of_the_package_is_another_release(self, tmp_path: Path) -> None:
        table = self.build_table(tmp_path / "table")
        self.layout.write(table, tmp_path / "out", ABOUT, versions={"lists": "1.2"})
        assert not self.layout.write(table, tmp_path / "out", ABOUT, versions={"lists": "1.2"}).fresh
        assert self.layout.write(table, tmp_path / "out", ABOUT, overwrite=True, versions={"lists": "1.3"}).fresh


def test_every_layout_is_here() -> None:
    held = {case.layout.layout for case in _cases(LayoutSuite) if hasattr(case, "layout")}
    assert {*LAYOUTS} <= held
    assert all(layout_class(name).layout == name for name in LAYOUTS)


def _cases(base: type[LayoutSuite]) -> Iterator[type[LayoutSuite]]:
    for case in base.__subclasses__():
        yield case
        yield from _cases(case)


class Broken(Lists):
    """A layout whose bugs the contract must find; `bug` says which one."""

    bug: str = "none"

    def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """As `Lists`, but for the bug."""
        record = super().write_data(table, folder, statistics)
        path = folder / "rows.parquet"
        rows = pq.read_table(path)
        if self.bug == "values":
            pq.write_table(rows.set_column(1, LABEL, pa.array(["cat"] * len(rows))), path)
        elif self.bug == "twice":
            pq.write_table(pa.concat_tables([rows.slice(0, 1), rows.slice(0, len(rows) - 1)]), path)
        elif self.bug == "clock":
            (folder / "list.txt").write_text(str(np.random.default_rng().random()))
        elif self.bug == "unlisted":
            record = record.model_copy(update={"parameters": {}})
        return record


@pytest.mark.parametrize(
    ("bug", "test", "words"),
    [
        ("values", "test_every_row_is_read_back", "lost:"),
        ("twice", "test_every_row_is_read_back", "not in the table:"),
        ("clock", "test_the_same_table_gives_the_same_bytes", "written twice, these differ: .*list.txt"),
        ("clock", "test_a_release_verifies", "has other classes than the rows"),
        ("unlisted", "test_parameters_come_back_from_the_record", "the record's parameters make"),
        ("none", "test_every_parameter_is_described", "parameters without a description: bug"),
    ],
)
def test_the_contract_finds_bugs(tmp_path: Path, bug: str, test: str, words: str) -> None:
    case = type(f"Case_{bug}", (_Toy,), {"layout": Broken(bug=bug, figures=False)})()
    arguments = () if test == "test_every_parameter_is_described" else (tmp_path,)
    with pytest.raises(AssertionError, match=words):
        getattr(case, test)(*arguments)


def test_data_files_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    class Archives(Lists):
        layout: ClassVar[str] = "archives"

        def write_data(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
            record = super().write_data(table, folder, statistics)
            files = tuple(file.model_copy(update={"path": "rows.tar"}) for file in record.files)
            return record.model_copy(update={"files": files})

    table = _Toy().build_table(tmp_path / "table")
    with pytest.raises(ReleaseError, match=r"lists 'rows.tar' among the files with rows, which are Parquet or CSV"):
        Archives(figures=False).write(table, tmp_path / "out", ABOUT)
    assert not (tmp_path / "out").exists()
