"""Lists the images of pools and finished tables for a training, in one pass."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.columns import IMAGE, IMAGE_PATH, ROW_ERROR, UID
from poolwright.core.errors import BadPart, RecipeError
from poolwright.core.files import remove
from poolwright.core.images.image import REASONS, open_image, unread
from poolwright.core.images.image_files import Limits, local_image
from poolwright.core.params import several
from poolwright.core.parquet import write_parquet
from poolwright.core.rows import Rows
from poolwright.jobs.open_source import open_source
from poolwright.run.sources.source import IMAGE_BATCH, Source, local, path_of
from poolwright.train.pictures import Pictures

LIST = "images.parquet"
PACKED = "images.bin"
FORMAT = "1"

_WORDS = {reason.name: reason.words for reason in REASONS}
_NO_UID, _TWICE, _BAD_ROW = "no uid", "the uid of an earlier image", "the pool could not read the row"
_KEY = b"poolwright.images"
_SCHEMA = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("root", pa.int64(), nullable=False),
        pa.field("path", pa.string()),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("length", pa.int64(), nullable=False),
        pa.field("digest", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True)
class _Listed:
    """The list of images, and facts about it."""

    rows: pa.Table
    left_out: Mapping[str, int]


def open_sources(
    paths: str | Path | Sequence[str | Path], kind: str | None = None, parameters: Mapping[str, Any] | None = None
) -> list[Source]:
    """Open pools and finished tables by their paths.

    Args:
        paths: folders of images, tables of a run (`RUN/tables/NAME`), or paths of pools.
        kind: kind of the pools, if the paths do not show it.
        parameters: parameters of the pools.

    Raises:
        RecipeError: one does not exist, or has no images.
    """
    if not paths:
        raise RecipeError("no images to train on; name a folder of images, a pool or a table of a run")
    return [_with_images(open_source(str(path), kind, parameters), str(path)) for path in several(paths)]


def _with_images(source: Source, path: str) -> Source:
    if source.schema.get_field_index(IMAGE) < 0:
        raise RecipeError(
            f"{path}: has no images (columns: {', '.join(source.schema.names[:8])}); an encoder is trained on rows "
            f"with '{IMAGE}' or '{IMAGE_PATH}'"
        )
    return source


def list_pictures(
    sources: Sequence[Source], folder: Path, edge: int, note: Callable[[str], None], reads: bool = True
) -> Pictures:
    """List the images of some sources, in one pass; while files keep size and time, the list is reused.

    Images that cannot be decoded, rows without uid and repeated uids are left out. If there are several
    sources, uids are prefixed with the number of their source. Images inside the source's own files are copied into
    one file.

    Args:
        folder: the folder of the list.
        edge: edge in pixels that images will be shrunk to.
        note: receives messages about what is done.
        reads: whether the images will be read, rather than only their digest.
    """
    path, stamp = folder / LIST, _stamp(sources)
    listed = _kept(path, stamp, sources, folder, reads)
    if listed is None:
        note("looking through the images")
        listed = _look_through(sources, folder, edge)
        about = {"format": FORMAT, "stamp": stamp, "left_out": dict(listed.left_out)}
        rows = listed.rows.replace_schema_metadata({_KEY: _json(about | {"seen": _seen(listed.rows, sources)})})
        write_parquet(path, rows)
    return _pictures(listed, sources, folder)


def _pictures(listed: _Listed, sources: Sequence[Source], folder: Path) -> Pictures:
    from xxhash import xxh3_128

    rows = listed.rows
    digest = xxh3_128()
    for uid, content in zip(rows["uid"].to_pylist(), rows["digest"].to_pylist(), strict=True):
        digest.update(f"{uid}\0{content}\n".encode())
    packed = folder / PACKED
    return Pictures(
        uids=rows["uid"].combine_chunks(),
        roots=tuple(source.image_root for source in sources),
        root_of=rows["root"].to_numpy(),
        paths=rows["path"].combine_chunks(),
        starts=rows["start"].to_numpy(),
        lengths=rows["length"].to_numpy(),
        packed=packed if packed.exists() else None,
        digest=digest.hexdigest(),
        left_out=listed.left_out,
    )


def _look_through(sources: Sequence[Source], folder: Path, edge: int) -> _Listed:
    columns: dict[str, list[Any]] = {name: [] for name in _SCHEMA.names}
    left_out: Counter[str] = Counter()
    seen: set[str] = set()
    partial = folder / f"{PACKED}.partial"
    folder.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as packed, ThreadPoolExecutor(os.cpu_count()) as threads:
        for number, source in enumerate(sources):
            front = f"{number}:" if len(sources) > 1 else ""
            for rows in _rows(source, left_out):
                _add(rows, number, front, source, edge, columns, left_out, seen, packed, threads)
        packed.flush()
        os.fsync(packed.fileno())
        copied = packed.tell()
    if copied:
        os.replace(partial, folder / PACKED)
    else:
        remove(partial)
        remove(folder / PACKED)
    rows = pa.table(columns, schema=_SCHEMA).sort_by("uid")
    return _Listed(rows, dict(sorted(left_out.items())))


def _rows(source: Source, left_out: Counter[str]) -> Iterator[Rows]:
    wanted = [UID, IMAGE]
    wanted += [name for name in (IMAGE_PATH, "image_error", ROW_ERROR) if name in source.schema.names]
    for part in source.parts:
        try:
            for table in source.read(part, wanted, IMAGE_BATCH):
                yield Rows(table)
        except BadPart as error:
            left_out[f"in a part that cannot be read: {error}"] += part.rows or 0


def _add(
    rows: Rows,
    number: int,
    front: str,
    source: Source,
    edge: int,
    columns: dict[str, list[Any]],
    left_out: Counter[str],
    seen: set[str],
    packed: BinaryIO,
    threads: ThreadPoolExecutor,
) -> None:
    """List the rows of a batch; count those left out by reason."""
    from xxhash import xxh3_64

    files = rows.column(IMAGE)
    paths = rows.strings(IMAGE_PATH) if source.virtual_image else [None] * len(rows)
    bad = rows.strings(ROW_ERROR) if ROW_ERROR in rows.schema.names else [None] * len(rows)
    absent = unread(rows)
    problems = threads.map(lambda index: _problem(files[index].as_py(), edge), range(len(rows)))
    for index, (uid, problem) in enumerate(zip(rows.strings(UID), problems, strict=True)):
        data = files[index].as_py()
        reason = _BAD_ROW if bad[index] else _NO_UID if not uid else _TWICE if front + uid in seen else None
        if reason is None and (problem or data is None):
            reason = _WORDS[absent[index] if data is None else str(problem)]
        if reason:
            left_out[reason] += 1
            continue
        seen.add(front + str(uid))
        virtual = source.virtual_image
        columns["uid"].append(front + str(uid))
        columns["root"].append(number if virtual else -1)
        columns["path"].append(paths[index])
        columns["start"].append(0 if virtual else packed.tell())
        columns["length"].append(len(data))
        columns["digest"].append(xxh3_64(data).hexdigest())
        if not virtual:
            packed.write(data)


def _problem(data: bytes | None, edge: int) -> str | None:
    """Return why an image cannot be decoded, or None."""
    found = open_image(data, Limits(), wanted=edge)
    return found if isinstance(found, str) else None


def _kept(path: Path, stamp: str, sources: Sequence[Source], folder: Path, reads: bool) -> _Listed | None:
    """Return the list of an earlier call, if nothing has changed since."""
    import json

    try:
        rows = pq.read_table(path)
        about = json.loads((rows.schema.metadata or {})[_KEY])
    except (OSError, KeyError, ValueError, pa.ArrowException):
        return None  # only a list: it is made again
    lost = reads and (rows["root"].to_numpy() < 0).any() and not (folder / PACKED).exists()
    if lost or about["format"] != FORMAT or about["stamp"] != stamp or about["seen"] != _seen(rows, sources):
        return None
    return _Listed(rows, about["left_out"])


def _stamp(sources: Sequence[Source]) -> str:
    """Return a digest of the size and time of change of the sources' own files."""
    from xxhash import xxh3_128

    digest = xxh3_128()
    for source in sources:
        digest.update(f"{source.name}\0{source.image_root}\n".encode())
        for part in source.parts:
            digest.update(f"{part.name}\0{part.start}\0{part.rows}\n".encode())
            for file in part.files:
                digest.update(f"{file}\0{_outside(file)}\n".encode())
    return digest.hexdigest()


def _seen(rows: pa.Table, sources: Sequence[Source]) -> str:
    """Return a digest of the size and time of change of the listed image files."""
    from xxhash import xxh3_128

    digest = xxh3_128()
    for number, path in zip(rows["root"].to_pylist(), rows["path"].to_pylist(), strict=True):
        if number >= 0:
            root = sources[number].image_root
            file = local_image(root, path) or path
            digest.update(f"{file}\0{_outside(file)}\n".encode())
    return digest.hexdigest()


def _outside(file: str) -> str:
    """Return size and time of change of a local file; '' for a remote one, which only reading can check."""
    if not local(file):
        return ""
    try:
        found = os.stat(path_of(file))
    except OSError:
        return "gone"
    return f"{found.st_size} {found.st_mtime_ns}"


def _json(about: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(about, sort_keys=True).encode()
