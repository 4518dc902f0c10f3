"""Write WebDataset shards of a split: `00000.tar`, `00000.parquet` with the same rows, and `00000_stats.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.core.images.tar import BLOCK, END, tar_header
from poolwright.core.rows import text_array
from poolwright.release.data.image_counts import extension
from poolwright.release.data.image_files import MetadataFile
from poolwright.release.layouts.shared.tar_output import TarOutput
from poolwright.release.layouts.shared.tar_samples import (
    KEY,
    SampleForm,
    picture_extension,
    tar_sample,
)
from poolwright.release.record import OtherFile, ReleasedFile

_GROUP_ROWS = 10_000


@dataclass(frozen=True)
class ShardNames:
    """How shards and samples are called.

    Attributes:
        digits: of the number of a shard.
        by_uid: whether keys are uids, as DataComp's resharder makes them; else the number of the shard and of the row
            in it, as img2dataset makes them.
    """

    digits: int = 5
    by_uid: bool = False

    def shard(self, number: int) -> str:
        """Return the name of a shard without an ending."""
        return f"{number:0{self.digits}d}"

    def key(self, shard: int, row: int, shard_rows: int, uid: str) -> str:
        """Return the key of a sample."""
        return f"{uid}-0" if self.by_uid else f"{self.shard(shard)}{row:0{len(str(shard_rows - 1))}d}"


def stats_text(rows: int) -> str:
    """Return the content of `_stats.json` of a shard, as far as img2dataset's says something here."""
    counts = {"count": rows, "successes": rows, "failed_to_download": 0, "failed_to_resize": 0}
    return json.dumps(counts, indent=4) + "\n"


_IMG2DATASET = ShardNames()


@dataclass(frozen=True)
class WrittenShard:
    """A finished shard.

    Attributes:
        split: its split.
        number: of the shard in its split.
        rows: its samples.
        digest: SHA-256 of the tar, hex.
        endings: extensions of its pictures.
    """

    split: str
    number: int
    rows: int
    digest: str
    endings: frozenset[str]


@dataclass(frozen=True)
class ShardForm:
    """What all shards of a release have in common.

    Attributes:
        folder: of the release; the shards are written to the folders of their splits.
        schema: of the released rows, with their keys.
        most_rows: most samples of a shard.
        most_bytes: a shard is closed when its tar is larger than this.
        names: of shards and samples.
    """

    folder: Path
    schema: pa.Schema
    most_rows: int
    most_bytes: int
    names: ShardNames = _IMG2DATASET

    def path(self, split: str, shard: int, ending: str) -> Path:
        """Return the path of a file of a shard."""
        return self.folder / split / f"{self.names.shard(shard)}{ending}"

    def rename(self, shard: WrittenShard, extension: str) -> None:
        """Give the pictures of a shard another extension."""
        _rename(self.path(shard.split, shard.number, ".tar"), extension)

    def files(self, shard: WrittenShard) -> tuple[ReleasedFile, list[OtherFile]]:
        """Describe the file of the rows of a shard, and its other files."""
        rows, tar, stats = (
            f"{shard.split}/{self.names.shard(shard.number)}{ending}" for ending in (".parquet", ".tar", "_stats.json")
        )
        others = [
            OtherFile(path=tar, type="application/x-tar", words=f"{shard.rows:,} samples (WebDataset)"),
            OtherFile(path=stats, type="application/json", words="Counts, as img2dataset has them"),
        ]
        return ReleasedFile(path=rows, split=shard.split, rows=shard.rows), others


class TarShards:
    """Writer of shards of one split, one after the other. A shard depends only on its number and rows.

    Args:
        form: of the shards.
        split: name of the split.
        first: number of the first shard.
        most: shards to write; None for as many as the rows need.

    Attributes:
        written: finished shards.
    """

    def __init__(self, form: ShardForm, split: str, first: int = 0, most: int | None = None) -> None:
        self._form, self._split, self._first, self._most = form, split, first, most
        self._files = SampleForm.of(form.schema)
        self._tar: TarOutput | None = None
        self._table: MetadataFile | None = None
        self._rows = self._size = 0
        self._formats: dict[str, int] = {}
        self._endings: set[str] = set()
        self._threads = ThreadPoolExecutor(1, "write-tar")
        self.written: list[WrittenShard] = []

    @property
    def full(self) -> bool:
        """Whether all shards are written."""
        return len(self.written) == self._most

    def add(self, rows: pa.Table, images: Sequence[bytes]) -> int:
        """Add samples until the shards are full; return how many were added.

        Args:
            rows: released rows, without their keys.
            images: of the rows.
        """
        keys: list[str] = []
        start, uids, names = 0, rows.column(UID).to_pylist(), self._form.names
        self._formats |= dict.fromkeys(map(extension, images), 1)
        ending = picture_extension(self._formats)  # as far as formats are known
        for at, (files, image) in enumerate(zip(self._files.files(rows), images, strict=True)):
            tar = self._tar or self._open()
            keys.append(names.key(self._number, self._rows, self._form.most_rows, str(uids[at])))
            parts, size = tar_sample(keys[-1], [(ending, image), *files])
            tar.write(parts, size)
            self._endings.add(ending)
            self._size += size
            self._rows += 1
            if self._rows >= self._form.most_rows or self._size >= self._form.most_bytes:
                self._put(rows.slice(start, at + 1 - start), keys)
                self._close()
                keys, start = [], at + 1
                if self.full:
                    return start
        self._put(rows.slice(start), keys)
        return len(rows)

    def finish(self) -> list[WrittenShard]:
        """Close the last shard; return all."""
        self._close()
        return self.written

    def abandon(self) -> None:
        """Close open files, so that the folder can be removed on every platform."""
        if self._tar is not None:
            self._tar.abandon()
        if self._table is not None:
            self._table.close()
        self._threads.shutdown()

    @property
    def _number(self) -> int:
        return self._first + len(self.written)

    def _path(self, ending: str) -> Path:
        return self._form.path(self._split, self._number, ending)

    def _open(self) -> TarOutput:
        self._path(".tar").parent.mkdir(parents=True, exist_ok=True)
        self._tar = TarOutput(self._path(".tar"), self._threads)
        self._table = MetadataFile(self._path(".parquet"), self._form.schema, _GROUP_ROWS)
        self._rows = self._size = 0
        self._endings = set()
        return self._tar

    def _put(self, rows: pa.Table, keys: Sequence[str]) -> None:
        if keys and self._table is not None:
            self._table.write(rows.add_column(0, self._form.schema.field(KEY), text_array(keys)))

    def _close(self) -> None:
        if self._tar is None or self._table is None:
            return
        self._tar.write([END], len(END))
        digest = self._tar.close()
        self._table.close()
        self._path("_stats.json").write_text(stats_text(self._rows), encoding="utf-8", newline="\n")
        endings = frozenset(self._endings)
        self.written.append(WrittenShard(self._split, self._number, self._rows, digest, endings))
        self._tar = self._table = None


def _rename(path: Path, extension: str) -> None:
    """Change the extension of the first file of every sample: its picture."""
    with path.open("r+b") as tar:
        key, offset = "", 0
        while header := tar.read(BLOCK).rstrip(b"\0"):
            name, size = header[:100].partition(b"\0")[0].decode("ascii"), int(header[124:135], 8)
            if (mine := name.partition(".")[0]) != key:
                tar.seek(offset)
                tar.write(tar_header(f"{mine}.{extension}", size))
                key = mine
            offset += BLOCK + -(-size // BLOCK) * BLOCK
            tar.seek(offset)
