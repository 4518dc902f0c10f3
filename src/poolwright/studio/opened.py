"""Open the run that a studio shows: its tables, and the pictures of their rows by uid."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, UID
from poolwright.core.errors import InputError
from poolwright.core.images.image_files import read_bytes
from poolwright.core.pool import Part
from poolwright.core.rows import one_array
from poolwright.core.table import RECORD, Table
from poolwright.inspect.stale import stale
from poolwright.kernels.selection.lookup.value_index import ValueIndex
from poolwright.run.memory import MEMORY
from poolwright.run.run import Run, open_run
from poolwright.run.sources.source import Piece, Source, table_source
from poolwright.studio.pictures import MOST_CACHED, reduced

if TYPE_CHECKING:
    from poolwright.studio.access import Access
    from poolwright.studio.verifying.open_queues import OpenQueues


MOST_LISTED = 50_000_000
"""Maximum number of rows of a source whose uids are listed, in memory. Of larger ones only kept rows are found."""


class OpenedRun:
    """A run folder, read again whenever one of its tables is made again.

    Args:
        folder: the run folder.

    Raises:
        InputError: it is not a run folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._run: tuple[float, Run] | None = None
        self._tables: dict[str, tuple[tuple[int, int], Table]] = {}
        self._sources: dict[tuple[str, str], SourceRows] = {}
        self._pictures = PictureCache()
        self._lock = threading.Lock()
        _ = self.run

    @property
    def run(self) -> Run:
        """The run, with the recipe of its last start."""
        path = self.folder / MEMORY
        changed = path.stat().st_mtime if path.exists() else 0.0
        if self._run is None or self._run[0] != changed:
            self._run = (changed, open_run(self.folder))
        return self._run[1]

    @property
    def title(self) -> str:
        """Name of the recipe."""
        return str(self.run.recipe.name)

    def table_names(self) -> list[str]:
        """List the finished tables, in the order in which they are made."""
        return [name for name in self.run.recipe.order if (self.run.table_folder(name) / RECORD).exists()]

    def table(self, name: str) -> Table:
        """Return a finished table.

        Raises:
            InputError: there is none of that name.
        """
        if name not in self.table_names():
            raise InputError(f"no table '{name}' of this run is finished")
        path = self.run.table_folder(name) / RECORD
        status = path.stat()
        stamp = (status.st_mtime_ns, status.st_size)
        known = self._tables.get(name)
        if known is None or known[0] != stamp:
            self._tables[name] = known = (stamp, Table(path.parent))
        return known[1]

    def outdated(self, name: str) -> str:
        """Say why a finished table is not up to date with the tables that it was made from; '' if it is."""
        found = stale(self.run.table_folder(name))
        return found.words if found else ""

    def image(self, name: str, uid: str) -> bytes | str:
        """Return the image file of a row that a table kept or dropped, or why there is none (a reason of `image`).

        Args:
            name: a table of the recipe, finished or waiting for people.
            uid: of the row.
        """
        for source in self._sources_of(name):
            found = source.image(uid)
            if found is not None:
                return found
        return "missing_file"

    def row(self, name: str, uid: str) -> pa.Table | None:
        """Return all values of a row that a table kept or read, without images, as a table of one row, or None."""
        for source in self._sources_of(name):
            found = source.row(uid)
            if found is not None:
                return found
        return None

    def has_pictures(self, name: str) -> bool:
        """Whether rows of a table can have pictures, in the table or in its source."""
        if name in self.table_names() and {IMAGE, IMAGE_PATH} & set(self.table(name).schema.names):
            return True
        return any(one.source.schema.get_field_index(IMAGE) >= 0 for one in self._sources_of(name))

    def picture(self, name: str, uid: str, edge: int) -> bytes | str:
        """Return the picture of a row as a JPEG, its longer edge at most `edge` pixels; or why there is none."""
        return self._pictures.get(lambda: self.image(name, uid), edge)

    def _sources_of(self, name: str) -> list[SourceRows]:
        """Return the sources to search for a table's rows: the table itself first, then its source."""
        found = []
        if name in self.table_names():
            table = self.table(name)
            found.append(self._opened(("kept", name), lambda: table_source(table), table))
        if name in self.run.recipe.tables:
            run, spec = self.run, self.run.recipe.tables[name]
            key = spec.sources[0] if spec.source.is_plain else f"union of {name}"
            found.append(self._opened(("source", key), lambda: run.source(name), run))
        return found

    def _opened(self, key: tuple[str, str], source: Callable[[], Source], version: object) -> SourceRows:
        with self._lock:
            known = self._sources.get(key)
            if known is None or known.version is not version:
                self._sources[key] = known = SourceRows(source(), version)
            return known


class SourceRows:
    """The rows of a source by uid. The uids are listed on first use."""

    def __init__(self, source: Source, version: object) -> None:
        self.source, self.version = source, version
        self._listed: _Index | None = None
        self._lock = threading.Lock()

    def image(self, uid: str) -> bytes | str | None:
        """Return the bytes of an image file, a reason why there is none, or None if there is no such row."""
        index, row = self._find(uid)
        if row < 0 or self.source.schema.get_field_index(IMAGE) < 0:
            return None
        if index.paths is not None:
            path = index.paths[row].as_py()
            return "missing_file" if path is None else read_bytes(self.source.image_root, path)
        return self._read(index, row, [IMAGE]).column(IMAGE)[0].as_py() or "missing_file"

    def row(self, uid: str) -> pa.Table | None:
        """Return all columns of a row except its image, or None if there is no such row."""
        index, row = self._find(uid)
        columns = [name for name in self.source.schema.names if name not in (IMAGE, IMAGE_ERROR)]
        return None if row < 0 else self._read(index, row, columns)

    def _find(self, uid: str) -> tuple[_Index, int]:
        with self._lock:
            if self._listed is None:
                rows = sum(part.rows or 0 for part in self.source.parts)
                self._listed = _list(self.source, () if rows > MOST_LISTED else self.source.parts)
        return self._listed, int(self._listed.lookup.find(pa.array([uid], pa.string()))[0])

    def _read(self, index: _Index, row: int, columns: Sequence[str]) -> pa.Table:
        part = int(np.searchsorted(index.starts, row, side="right")) - 1
        at = row - int(index.starts[part])
        (table,) = self.source.read_piece(Piece(index.parts[part], at, at + 1), columns, 4_096)
        return table


@dataclass(frozen=True)
class _Index:
    """Uids of a source in order, the row offsets of its parts, and the image paths if images are files."""

    lookup: ValueIndex
    parts: tuple[int, ...]
    starts: np.ndarray
    paths: pa.Array | None


def _list(source: Source, parts: Sequence[Part]) -> _Index:
    columns = [UID, IMAGE_PATH] if source.virtual_image else [UID]
    tables, starts, rows = [], [], 0
    for part in parts:
        starts.append(rows)
        for table in source.read(part, columns, 65_536):
            tables.append(table.select(columns))
            rows += table.num_rows
    schema = pa.schema([source.schema.field(name) for name in columns])
    listed = pa.concat_tables(tables).cast(schema) if tables else schema.empty_table()
    uids = one_array(listed.column(UID)).cast(pa.string()).fill_null("")
    paths = one_array(listed.column(IMAGE_PATH)) if source.virtual_image else None
    return _Index(ValueIndex(uids), tuple(part.index for part in parts), np.array(starts, np.int64), paths)


class PictureCache:
    """Recently encoded pictures, up to a number of bytes. One thread encodes each; others wait for it.

    A picture is known by the content of its image file, which is read each time: a file that was replaced, or that is
    there now, is shown as it is.
    """

    def __init__(self, most_bytes: int = MOST_CACHED) -> None:
        self.most_bytes, self.bytes = most_bytes, 0
        self._kept: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._lock = threading.Lock()
        self._drawing: dict[tuple[str, int], threading.Lock] = {}
        # Prefetched pictures may wait, verdicts may not: one core is reserved for them.
        self._cores = threading.Semaphore(max((os.cpu_count() or 1) - 1, 1))

    def get(self, image: Callable[[], bytes | str], edge: int) -> bytes | str:
        """Return the picture of an image from the cache, or draw it; or the reason why there is none.

        Args:
            image: reads the image file, or returns a reason of `core.images.image`, which is not remembered.
            edge: maximum longer edge of the picture, in pixels.
        """
        from xxhash import xxh3_128

        with self._cores:
            data = image()
        if isinstance(data, str):
            return data
        key = (xxh3_128(data).hexdigest(), edge)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            turn = self._drawing.setdefault(key, threading.Lock())
        with turn:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                with self._cores:
                    picture = reduced(data, edge)
                if isinstance(picture, bytes):
                    with self._lock:
                        self._keep(key, picture)
            finally:
                with self._lock:
                    self._drawing.pop(key, None)
        return picture

    def _keep(self, key: tuple[str, int], picture: bytes) -> None:
        self._kept[key] = picture
        self.bytes += len(picture)
        while self.bytes > self.most_bytes and len(self._kept) > 1:
            self.bytes -= len(self._kept.popitem(last=False)[1])


@dataclass(frozen=True)
class Studio:
    """The objects that all pages share.

    Attributes:
        opened: the run.
        access: the access rules.
        queues: the queues of the run.
    """

    opened: OpenedRun
    access: Access
    queues: OpenQueues
