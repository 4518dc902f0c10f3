"""Write WebDataset shards of a split: `00000.tar`, `00000.parquet` with the same rows, and `00000_stats.json`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from poolwright.core.columns import UID
from poolwright.release.data.image_files import MetadataFile
from poolwright.release.layouts.shared.tar_output import TarOutput, flush_later
from poolwright.release.layouts.shared.tar_samples import BLOCK, END, KEY, SampleForm, tar_header, tar_sample
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


class TarShards:
    """Writer of the shards of one split. The shard of a row depends only on the rows before it.

    Args:
        folder: folder of the release; the shards are written to the folder of the split.
        split: name of the split.
        schema: of the released rows, with their keys.
        shard_rows: most samples of a shard.
        shard_bytes: a shard is closed when it is larger than this.
        names: of shards and samples.

    Attributes:
        digests: SHA-256 of finished tars, hex, by their path in the release.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        schema: pa.Schema,
        shard_rows: int,
        shard_bytes: int,
        names: ShardNames = _IMG2DATASET,
    ) -> None:
        self._names = names
        self._folder, self._split, self._schema = folder / split, split, schema
        self._shard_rows, self._shard_bytes = shard_rows, shard_bytes
        self._form = SampleForm.of(schema)
        self._counts: list[int] = []
        self._tar: TarOutput | None = None
        self._table: MetadataFile | None = None
        self._size = 0
        self._threads = [ThreadPoolExecutor(1, name) for name in ("write-tar", "flush-tar")]
        self._flushed: list[Future[None]] = []
        self.digests: dict[str, str] = {}

    def add(self, rows: pa.Table, images: Sequence[bytes], extension: str) -> None:
        """Add samples.

        Args:
            rows: released rows, without their keys.
            images: of the rows.
            extension: of the pictures.
        """
        keys: list[str] = []
        start, uids = 0, rows.column(UID).to_pylist()
        for at, (files, image) in enumerate(zip(self._form.files(rows), images, strict=True)):
            tar = self._tar or self._open()
            keys.append(self._names.key(len(self._counts) - 1, self._counts[-1], self._shard_rows, str(uids[at])))
            parts, size = tar_sample(keys[-1], [(extension, image), *files])
            tar.write(parts, size)
            self._size += size
            self._counts[-1] += 1
            if self._counts[-1] >= self._shard_rows or self._size >= self._shard_bytes:
                self._put(rows.slice(start, at + 1 - start), keys)
                self._close()
                keys, start = [], at + 1
        self._put(rows.slice(start), keys)

    def rename(self, extension: str) -> None:
        """Give the pictures that are written already another extension."""
        if self._tar is not None:
            self._tar.settle()
            self._tar.changed()
        self.digests.clear()
        for shard in range(len(self._counts)):
            _rename(self._path(shard, ".tar"), extension)

    def finish(self) -> tuple[list[ReleasedFile], list[OtherFile]]:
        """Close the last shard; return the files with rows, and all others."""
        self._close()
        for flushed in self._flushed:
            flushed.result()
        files, others = [], []
        for shard, rows in enumerate(self._counts):
            names = [
                f"{self._split}/{self._names.shard(shard)}{ending}" for ending in (".parquet", ".tar", "_stats.json")
            ]
            files.append(ReleasedFile(path=names[0], split=self._split, rows=rows))
            others.append(OtherFile(path=names[1], type="application/x-tar", words=f"{rows:,} samples (WebDataset)"))
            others.append(OtherFile(path=names[2], type="application/json", words="Counts, as img2dataset has them"))
        return files, others

    def abandon(self) -> None:
        """Close open files, so that the folder can be removed on every platform."""
        if self._tar is not None:
            self._tar.abandon()
        if self._table is not None:
            self._table.close()
        for threads in self._threads:
            threads.shutdown()

    def _path(self, shard: int, ending: str) -> Path:
        return self._folder / f"{self._names.shard(shard)}{ending}"

    def _open(self) -> TarOutput:
        self._folder.mkdir(parents=True, exist_ok=True)
        shard = len(self._counts)
        self._tar = TarOutput(self._path(shard, ".tar"), self._threads[0])
        self._table = MetadataFile(self._path(shard, ".parquet"), self._schema, _GROUP_ROWS)
        self._counts.append(0)
        self._size = 0
        return self._tar

    def _put(self, rows: pa.Table, keys: Sequence[str]) -> None:
        if keys and self._table is not None:
            self._table.write(rows.add_column(0, self._schema.field(KEY), pa.array(keys, pa.string())))

    def _close(self) -> None:
        if self._tar is None or self._table is None:
            return
        shard = len(self._counts) - 1
        self._tar.write([END], len(END))
        if digest := self._tar.close():
            self.digests[f"{self._split}/{self._names.shard(shard)}.tar"] = digest
        self._flushed.append(flush_later(self._path(shard, ".tar"), self._threads[1]))
        self._table.close()
        text = stats_text(self._counts[-1])
        self._path(shard, "_stats.json").write_text(text, encoding="utf-8", newline="\n")
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
