"""DataComp layout: the sorted array of uids that its resharder selects a subset by, and tars as it writes them.

train.npy                             uids, sorted: 1-d array of dtype u8,u8
data/train-00000-of-00001.parquet     all columns
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field

from poolwright.core.columns import IMAGE, UID, is_text
from poolwright.core.errors import ReleaseError, StepError
from poolwright.core.table import Table
from poolwright.release.card.croissant.nodes import rows_file_set
from poolwright.release.card.markdown import fenced
from poolwright.release.checks.loaders.loader import Loader
from poolwright.release.checks.result import Findings
from poolwright.release.data.features import released_schema, require, with_features
from poolwright.release.data.image_files import released_rows
from poolwright.release.data.missing_vectors import readable_schema
from poolwright.release.data.naming import split_order
from poolwright.release.data.reading import StoredImage
from poolwright.release.data.shards import Shards, finish_all
from poolwright.release.data.splits import by_split, split_values, table_splits, with_split
from poolwright.release.layouts.layout import Layout, LayoutCheck
from poolwright.release.layouts.shared.tar_shards import ShardNames
from poolwright.release.layouts.webdataset import WebDatasetLayout
from poolwright.release.record import OtherFile, ReleasedFile, ReleaseRecord
from poolwright.release.statistics import Statistics
from poolwright.release.workers import Workers

_PAIR = np.dtype("<u8,<u8")
_UID = r"^[0-9a-fA-F]{32}$"


class DataComp(WebDatasetLayout):
    """Sorted uids in the form of DataComp's subsets, one array per split.

    `python resharder.py -i SHARDS -o SUBSET -s train.npy` of DataComp, which needs webdataset 0.2.31, selects the
    samples from its own tars, and from those of the layout `webdataset` with `--shard-format {:05d}.tar` and
    `--shard-stats-format {:05d}_stats.json`. The pool `commonpool` takes the array as `subset`, and the steps `keep`
    and `remove` take it as `file`. Uids are the 32 hexadecimal digits of CommonPool; an array has the first 16 and the
    last 16 of each as unsigned integers of 64 bits.

    With `tars`, the images are released as the resharder writes them: `00000000.tar` and so on, with `<uid>-0` as
    keys; otherwise they are not in the release.
    """

    layout: ClassVar[str] = "datacomp"
    example: ClassVar[str] = "{table: best, layout: datacomp, to: out/best-subset}"
    tree: ClassVar[str] = """\
train.npy                           sorted uids, dtype u8,u8
data/train-00000-of-00001.parquet   all columns; with `tars`, train/00000000.parquet next to train/00000000.tar"""

    tars: bool = Field(default=False, description="release the images too, in tars as DataComp's resharder writes them")

    def needs(self, schema: pa.Schema) -> tuple[str, ...]:
        """Return the columns read by name: uid, with `tars` those of the images, those that the recipe names."""
        require(UID, schema, f"layout '{self.layout}'")
        if not is_text(schema.field(UID).type):
            raise StepError(f"layout '{self.layout}' writes uids of 32 hexadecimal digits; '{UID}' is no text")
        if self.tars:
            return super().needs(schema)
        for name in (*(self.columns or ()), *([self.class_label] if self.class_label else [])):
            require(name, schema, "'columns'")
        if self.class_label or self.images != "copy":
            raise StepError("'class_label' and 'images' are of the tars: add 'tars: true'")
        return tuple(dict.fromkeys([UID, *(self.columns or ())]))

    def write_with(self, workers: Workers, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        """Write the arrays, and the rows of all splits; tars on several workers."""
        splits = table_splits(table, statistics)
        pairs = _pairs_of(table, splits)
        if self.tars:
            record = super().write_with(workers, table, folder, statistics)
        else:
            record = self._write_rows(table, folder, statistics)
        others = []
        for split in sorted(pairs, key=split_order):
            np.save(folder / f"{split}.npy", pairs[split])
            words = f"{len(pairs[split]):,} uids of the split {split}, sorted, as pairs of u8"
            others.append(OtherFile(path=f"{split}.npy", type="application/octet-stream", words=words))
        return record.model_copy(update={"others": (*others, *record.others)})

    def _write_rows(self, table: Table, folder: Path, statistics: Statistics) -> ReleaseRecord:
        splits = table_splits(table, statistics)
        names = [name for name in self.columns or table.schema.names if name not in (UID, IMAGE)]
        schema = released_schema(table.schema, [UID, *names], embedded=False, class_column=None)
        schema = with_features(readable_schema(schema, table), None, ())
        shards = {name: Shards(folder, name, schema, self.shard_bytes, False) for name in splits.values()}
        try:
            for rows in table.batches(with_split(schema.names, table.schema)):
                released = released_rows(rows, schema, {})
                for name, part, sizes in by_split(released, [0] * len(rows), split_values(rows), splits):
                    shards[name].add(part, sizes)
            files, digests = finish_all(shards[name] for name in sorted(shards, key=split_order))
        finally:
            for shard in shards.values():
                shard.abandon()
        return self.record(table, schema, files, splits, None).with_digests(digests)

    def read_images(self, folder: Path, release: ReleaseRecord, full: bool = True) -> Iterator[StoredImage]:
        """Yield the pictures in the tars."""
        return super().read_images(folder, release, full) if self.tars else iter(())

    def checks(self, folder: Path, release: ReleaseRecord) -> Iterator[LayoutCheck]:
        """Check that the arrays have the uids of the rows, sorted, and that the tars hold what the rows say."""
        yield "uids", lambda: _check_uids(folder, release)
        if self.tars:
            yield from super().checks(folder, release)

    def loaders(self, release: ReleaseRecord) -> Sequence[Loader]:
        """Return those of the tars, or `datasets` for the Parquet files."""
        return super().loaders(release) if self.tars else Layout.loaders(self, release)

    def load_snippet(self, release: ReleaseRecord) -> str:
        """Show how DataComp's resharder, poolwright and the readers of the rows use the release."""
        split = next(iter(release.splits))
        lines = [
            f'# DataComp: python resharder.py -i SHARDS -o SUBSET -s "{split}.npy"',
            "import numpy",
            "",
            f'uids = numpy.load("{split}.npy", mmap_mode="r")  # dtype u8,u8, sorted',
            '"{:016x}{:016x}".format(*uids[0].tolist())  # the first uid',
        ]
        rows = super().load_snippet(release) if self.tars else Layout.load_snippet(self, release)
        return fenced("\n".join(lines), "python") + "\n\n" + rows

    def data_files(self, release: ReleaseRecord, config: str | None = None) -> list[tuple[str, str]]:
        """Return the tars of each split, or its Parquet files."""
        if self.tars:
            return super().data_files(release, config)
        return [(split, f"data/{split}-*") for split in release.splits]

    def declared_features(self, release: ReleaseRecord, table: Table) -> list[dict[str, Any]]:
        """Return the features of the tars."""
        return super().declared_features(release, table) if self.tars else []

    def file_sets(self, release: ReleaseRecord) -> list[dict[str, Any]]:
        """Return one file set of the Parquet files."""
        if self.tars:
            return super().file_sets(release)
        return [rows_file_set(release, "Rows of all splits", [f"data/{split}-*.parquet" for split in release.splits])]

    @property
    def _names(self) -> ShardNames:
        return ShardNames(digits=8, by_uid=True)


def _pairs_of(table: Table, splits: dict[str | None, str]) -> dict[str, np.ndarray]:
    """Return the sorted uids of each split.

    Raises:
        ReleaseError: a uid has not 32 hexadecimal digits.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in splits.values()}
    for rows in table.batches(with_split([UID], table.schema)):
        uids = pa.table({UID: pa.array(rows.strings(UID), pa.string())})
        odd = uids.filter(pc.invert(pc.match_substring_regex(uids.column(UID), _UID)))
        if len(odd):
            raise ReleaseError(
                f"table '{table.name}': the uid {odd.column(UID)[0].as_py()!r} has not 32 hexadecimal digits as those "
                "of DataComp; name the column with these as 'uid' of the pool, or choose another layout"
            )
        for name, part, _ in by_split(uids, [0] * len(rows), split_values(rows), splits):
            found[name].append(_pairs(part.column(UID).to_pylist()))
    return {name: _sorted(np.concatenate([np.zeros(0, _PAIR), *arrays])) for name, arrays in found.items()}


def _pairs(uids: Sequence[str]) -> np.ndarray:
    halves = np.frombuffer(bytes.fromhex("".join(uids)), ">u8").astype("<u8")
    return halves.view(_PAIR)


def _sorted(pairs: np.ndarray) -> np.ndarray:
    return np.asarray(pairs[np.lexsort((pairs["f1"], pairs["f0"]))])


def _check_uids(folder: Path, release: ReleaseRecord) -> Findings:
    wrong = []
    for split in release.splits:
        pairs = np.load(folder / f"{split}.npy", allow_pickle=False)
        files: list[ReleasedFile] = [file for file in release.files if file.split == split]
        uids = [_pairs(pq.read_table(folder / file.path, columns=[UID]).column(UID).to_pylist()) for file in files]
        if pairs.dtype != _PAIR or not np.array_equal(pairs, _sorted(np.concatenate([np.zeros(0, _PAIR), *uids]))):
            wrong.append(f"'{split}.npy' does not have the uids of the split, sorted")
    return wrong, f"{len(release.splits):,} arrays have the uids of their rows, sorted"
