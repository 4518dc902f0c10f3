"""Source: the pool or finished table that a table reads its rows from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from poolwright.core.columns import IMAGE, IMAGE_ERROR, IMAGE_PATH, WELL_KNOWN
from poolwright.core.errors import BadPart, InputError, RecipeError
from poolwright.core.files import ImageRoot, leading_out
from poolwright.core.images.formats import is_image_name
from poolwright.core.images.image_files import read_bytes, roots_of, split_root
from poolwright.core.pool import FOLLOWED, Part, Pool
from poolwright.core.rows import Rows, with_missing_as_null
from poolwright.core.runtime.noting import settle
from poolwright.core.table import Table
from poolwright.pools.readers.parquet import read_parquet

VIRTUAL = (IMAGE, IMAGE_ERROR)
"""Columns that are read through `image_path` when a step needs them, and never stored."""

_GLOB = re.compile(r"[*?\[{]")

IMAGE_BATCH = 256
"""Rows per batch if image bytes are read: memory is (units in flight) x (a batch)."""


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one part; `stop` is None if only reading shows how many there are."""

    part: int
    start: int
    stop: int | None


Unit = tuple[Piece, ...]
"""A unit of work: consecutive pieces of a source."""


@dataclass(frozen=True)
class Source:
    """Rows of a pool or table, part by part.

    Attributes:
        name: 'pools.NAME' or 'tables.NAME'.
        schema: all columns, with `image` if there is an image path to read it through.
        parts: the parts, in order.
        image_root: what image paths are relative to.
        unique: whether uids are known to be present and unique.
        pool: the pool that rows are read from; None for a table.
        virtual_image: whether `image` is read through `image_path` rather than stored in the source.
        part_units: whether every part is a separate unit.
    """

    name: str
    schema: pa.Schema
    parts: tuple[Part, ...]
    image_root: ImageRoot
    unique: bool
    pool: Pool | None = None
    virtual_image: bool = False
    part_units: bool = False

    def read_piece(self, piece: Piece, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of a piece in batches, with exactly `columns`. Images are opened for these rows alone.

        Raises:
            BadPart: the part cannot be read, or has more or fewer rows than the pool said.
        """
        at, part = 0, self.parts[piece.part]
        batch_rows = min(batch_rows, IMAGE_BATCH) if IMAGE in columns else batch_rows
        for table in self._stored(part, self.stored(columns), batch_rows):
            first = max(piece.start - at, 0)
            last = table.num_rows if piece.stop is None else max(min(piece.stop - at, table.num_rows), 0)
            at += table.num_rows
            settle(min(first, last), last)
            if first < last:
                yield self.with_images(table.slice(first, last - first), columns).table
            if piece.stop is not None and at >= piece.stop != part.rows:
                return
        if part.rows is not None and at != part.rows:
            raise BadPart(part.index, part.name, f"it has {at:,} rows, and {part.rows:,} when they were counted")

    def read(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        """Yield the rows of one part in batches, with exactly `columns`.

        Raises:
            BadPart: the part cannot be read.
        """
        return self.read_piece(Piece(part.index, 0, None), columns, batch_rows)

    def with_images(self, table: pa.Table, columns: Sequence[str]) -> Rows:
        """Return stored rows with exactly `columns`, including the bytes of image files if asked for."""
        if self.virtual_image and (IMAGE in columns or IMAGE_ERROR in columns):
            found = self._images(table.column(IMAGE_PATH).to_pylist())
            images = [item if isinstance(item, bytes) else None for item in found]
            errors = [item if isinstance(item, str) else None for item in found]
            for name, values in ((IMAGE, images), (IMAGE_ERROR, errors)):
                table = table.append_column(name, pa.array(values, WELL_KNOWN[name].type))
        return Rows(table.select(list(columns)))

    def stored(self, columns: Sequence[str]) -> list[str]:
        """Return the columns to read from the source itself so that `columns` can be given."""
        if not self.virtual_image or not {IMAGE, IMAGE_ERROR} & set(columns):
            return list(columns)
        return list(dict.fromkeys([*(name for name in columns if name not in VIRTUAL), IMAGE_PATH]))

    def generations(self) -> tuple[tuple[Part, ...], ...]:
        """Return the parts by when they came: all at once, unless a table was extended."""
        return (self.parts,)

    def remarks(self) -> tuple[str, ...]:
        """Return what its pool leaves out of the source or reads otherwise than expected."""
        if self.pool is None:
            return ()
        return (*self.pool.remarks(), *([FOLLOWED] if self.pool.outside else []))

    def class_names(self) -> dict[str, set[str]]:
        """Return the names of classes by column, for the columns whose names are known without reading rows."""
        return {name: set(names) for name, names in self.pool.class_names().items()} if self.pool else {}

    def pool_kinds(self) -> tuple[str, ...]:
        """Return the kinds of pools that rows are read from."""
        return (self.pool.kind,) if self.pool else ()

    def rows_by_source(self, part_rows: Mapping[int, int]) -> dict[str, int]:
        """Return the rows read of each source of a union; empty if this is no union.

        Args:
            part_rows: rows read by index of the part.
        """
        return {}

    def _stored(self, part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
        if self.pool is not None:
            for table in self.pool.read(part, columns, batch_rows):
                yield self._with_whole_paths(table) if self.pool.outside else table
        else:
            yield from _read_table_part(part, columns, batch_rows)

    def _with_whole_paths(self, table: pa.Table) -> pa.Table:
        """Return rows whose image paths are absolute or URLs, as they may lead anywhere."""
        if self.pool is None or IMAGE_PATH not in table.schema.names:
            return table
        root, at = _image_root(self.pool, self.parts), table.schema.get_field_index(IMAGE_PATH)
        paths = [_joined(root, path) for path in table.column(IMAGE_PATH).to_pylist()]
        return table.set_column(at, table.schema.field(at), pa.array(paths, table.schema.field(at).type))

    def _images(self, paths: Sequence[str | None]) -> list[bytes | str]:
        """Read the bytes of image files, or return the reasons why there are none."""
        if all(root is not None and "://" not in root for root in roots_of(self.image_root)):
            return [self._image(path) for path in paths]
        with ThreadPoolExecutor(16) as threads:
            return list(threads.map(self._image, paths))

    def _image(self, path: str | None) -> bytes | str:
        return read_bytes(self.image_root, path) if path is not None else "missing_file"


def _joined(root: ImageRoot, path: str | None) -> str | None:
    if isinstance(root, Mapping):
        name, path = (None, path) if path is None else split_root(root, path)
        root = root[name] if name is not None else None
    root = root or ""
    if path is None or "://" in path:
        return path
    return f"{root.rstrip('/')}/{path}" if "://" in root else os.path.abspath(os.path.join(root, path))


def _read_table_part(part: Part, columns: Sequence[str], batch_rows: int) -> Iterator[pa.Table]:
    try:
        for table in read_parquet(part.files[0], None, columns, batch_rows):
            yield with_missing_as_null(table)
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{part.name}: a part of a finished table cannot be read: {error}; start that table over with --fresh"
        ) from None


def pool_source(name: str, pool: Pool) -> Source:
    """Make a source of the rows of a pool."""
    schema, virtual = with_image(pool.arrow_schema())
    parts = tuple(pool.parts())
    if not pool.outside:
        _check_links(name, pool, parts)
    root = None if pool.outside else _image_root(pool, parts)
    return Source(f"pools.{name}", schema, parts, root, pool.unique, pool, virtual)


def _check_links(name: str, pool: Pool, parts: Sequence[Part]) -> None:
    """Refuse files that were found in a folder, and that links lead out of it. Images are refused one by one.

    Files that the recipe names itself may be links.
    """
    named = set(_texts(pool.model_dump()))
    folders = [_GLOB.split(text, maxsplit=1)[0].rpartition("/")[0] if _GLOB.search(text) else text for text in named]
    folders = [folder for folder in folders if folder and os.path.isdir(folder)]
    files = {file for part in parts for file in part.files if "://" not in file and not is_image_name(file)} - named
    within = {folder.rstrip("/") + "/" for folder in folders}
    beside = {os.path.dirname(file) or "." for file in files if not any(file.startswith(top) for top in within)}
    out = sorted(leading_out({*folders, *beside}, files))
    if out:
        more = f" and {len(out) - 1:,} more" if len(out) > 1 else ""
        raise RecipeError(
            f"pools.{name}: {out[0]}{more}: a link that leads out of its folder; name the file itself, or follow such "
            "links with 'outside: true'"
        )


def _texts(value: Any) -> Iterator[str]:
    """Yield the strings in nested values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_texts, value.values()))
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_texts, value))


def _image_root(pool: Pool, parts: Sequence[Part]) -> ImageRoot:
    """Return what image paths are relative to: what the pool says, else the folder of its files."""
    root = pool.image_root()
    files = {file for part in parts for file in part.files}
    folders = {file.rpartition("/")[0] if "://" in file else os.path.dirname(file) for file in files}
    if root is not None or not folders:
        return root
    if any("://" in folder for folder in folders):
        return os.path.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]  # noqa: RUF071
    return os.path.commonpath([os.path.abspath(folder) for folder in folders])


def with_image(schema: pa.Schema) -> tuple[pa.Schema, bool]:
    """Return the schema with `image` if there is a path to read it through, and whether it was added."""
    if schema.get_field_index(IMAGE_PATH) < 0 or schema.get_field_index(IMAGE) >= 0:
        return schema, False
    for name in VIRTUAL:
        schema = schema.append(pa.field(name, WELL_KNOWN[name].type))
    return schema, True


def table_source(table: Table, schema: pa.Schema | None = None) -> Source:
    """Make a source of the kept rows of a finished table."""
    parts = []
    for index, output in enumerate(table.record.parts):
        path = os.fspath(table.folder / output.file)
        name = f"{table.name}/{output.file}"
        parts.append(Part(index=index, name=name, files=(path,), rows=output.rows))
    return planned_source(table.name, schema or table.schema, table.image_root, tuple(parts))


def planned_source(name: str, schema: pa.Schema, root: ImageRoot, parts: tuple[Part, ...] = ()) -> Source:
    """Make a source as `table_source` does, for a table that does not exist yet."""
    schema, virtual = with_image(schema)
    return Source(f"tables.{name}", schema, parts, root, True, None, virtual)


UNIT_ROWS = 1_000_000
IMAGE_UNIT_ROWS = 2_048


def units_of(source: Source, reads_images: bool) -> tuple[Unit, ...]:
    """Cut a source into units of work: runs of consecutive parts, about 1/32 of the rows each, within bounds.

    If image files are read, a part of many rows is cut into pieces, since opening an image costs more than
    skipping rows. The units depend on the source and the steps alone, so that output files do not depend on the
    machine. Those of parts that came later follow, so that units that are done stay as they are.
    """
    return tuple(unit for parts in source.generations() for unit in _units(source, parts, reads_images))


def _units(source: Source, parts: Sequence[Part], reads_images: bool) -> list[Unit]:
    most = IMAGE_UNIT_ROWS if reads_images else UNIT_ROWS
    total = sum(part.rows or 0 for part in parts)
    wanted = 1 if source.part_units else min(most, max(most // 64, -(-total // 32)))
    units: list[Unit] = []
    current: list[Piece] = []
    rows = 0
    cut = reads_images and source.virtual_image and not source.part_units
    for piece in _pieces(parts, wanted if cut else None):
        current.append(piece)
        rows += wanted if piece.stop is None else piece.stop - piece.start
        if rows >= wanted:
            units.append(tuple(current))
            current, rows = [], 0
    if current or not units:
        units.append(tuple(current))
    return units


def _pieces(parts: Sequence[Part], most: int | None) -> Iterator[Piece]:
    """Yield whole parts; those of more than `most` rows in pieces."""
    for part in parts:
        if part.rows is None or most is None or part.rows <= most:
            yield Piece(part.index, 0, part.rows)
        else:
            yield from (Piece(part.index, at, min(at + most, part.rows)) for at in range(0, part.rows, most))


def local(path: str) -> bool:
    """Whether a path is on this machine's file system."""
    return "://" not in path or path.startswith("file://")


def path_of(file: str) -> Path:
    """Return the local path of a file."""
    return Path(file.removeprefix("file://"))
