"""Index the samples of a tar: the offset and size of each of their files, found once and kept in the folder of a run.

The index of `00012.tar` is `00012.tar-<hash>.parquet`: a row per sample with its key and its files. It is of the tar as
it was when the index was made, by size, times and inode; another tar is indexed anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poolwright.core.files import write_atomically
from poolwright.core.parquet import write_parquet
from poolwright.core.remote.schemes import is_url
from poolwright.pools.readers.line_index import stamp
from poolwright.pools.readers.paths import Unreadable, base_name
from poolwright.pools.readers.tar_members import TarScan, is_gzip, key_of, open_tar

KEY, FILES = "key", "files"
SCHEMA = pa.schema(
    [
        (KEY, pa.string()),
        (FILES, pa.list_(pa.struct([("extension", pa.string()), ("offset", pa.int64()), ("size", pa.int64())]))),
    ]
)
_OTHERS = b"others"
_STAMP = b"stamp"
_VERSION = "1"


def read_index(tar: str, folder: Path | None, last: bool = False) -> pa.Table:
    """Return the index of a tar, from the folder of indexes if it is there; else the tar is scanned, and it is kept.

    Samples are in the order of their first file; a sample whose files are apart is one sample. A second file of one
    extension begins another sample of the same key.

    Args:
        folder: of the indexes; None to keep none.
        last: whether keys end at the last dot of a name rather than at the first.

    Returns:
        A row of `SCHEMA` for every sample.

    Raises:
        Unreadable: the tar is damaged or cut off, or has files but no sample.
        OSError: it cannot be read.
    """
    now = _stamp_of(tar, last)
    path = None if folder is None else folder / f"{_name(tar)}.parquet"
    if path is not None and path.is_file():
        with suppress(OSError, pa.ArrowException):  # of a process that was killed, or another version
            with pq.ParquetFile(path) as kept:
                if (kept.metadata.metadata or {}).get(_STAMP) == now:
                    return kept.read(use_threads=False)
    index = _scanned(tar, folder, last)
    if path is not None:
        index = index.replace_schema_metadata({**index.schema.metadata, _STAMP: now})
        with suppress(OSError):  # an index only saves time
            write_parquet(path, index)
    return index


def count_samples(tar: str, folder: Path | None, last: bool = False) -> int:
    """Return the number of samples of a tar: of its index, if that is kept; else as `read_index` finds them."""
    with suppress(OSError, pa.ArrowException):
        path = None if folder is None else folder / f"{_name(tar)}.parquet"
        if path is not None and path.is_file():
            kept = pq.read_metadata(path)
            if (kept.metadata or {}).get(_STAMP) == _stamp_of(tar, last):
                return int(kept.num_rows)
    return len(read_index(tar, folder, last))


def files_of_none(index: pa.Table) -> tuple[int, str]:
    """Return the number of members of a tar that are of no sample, and the name of the first."""
    count, first = json.loads(index.schema.metadata[_OTHERS])
    return int(count), str(first)


def seek_points(tar: str, folder: Path | None) -> str:
    """Return the file in which rapidgzip keeps where it can start in a packed tar; '' if none is kept."""
    return "" if folder is None or not is_gzip(tar) else os.fspath(folder / f"{_name(tar)}.{_digest(_stamp(tar))}.gzi")


def _scanned(tar: str, folder: Path | None, last: bool) -> pa.Table:
    keys: list[str] = []
    files: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    others, first = 0, ""
    with open_tar(tar) as file:
        scan = TarScan(tar, file)
        for member in scan:
            key, extension = key_of(member.name, last)
            if not extension:
                others, first = others + 1, first or member.name
                continue
            at = places.get(key)
            if at is None or extension in files[at]:
                at = places[key] = len(keys)
                keys.append(key)
                files.append({})
            files[at][extension] = (member.offset, member.size)
        _keep_seek_points(file, seek_points(tar, folder))
    others, first = others + scan.others[0], first or scan.others[1]
    if others and not keys:
        raise Unreadable(tar, f"has no samples: no file is called as KEY.jpg, KEY.txt or KEY.json ('{first}' is there)")
    table = pa.table([_texts(keys), _lists(files)], schema=SCHEMA)
    return table.replace_schema_metadata({_OTHERS: json.dumps([others, first])})


def _texts(names: Sequence[str]) -> pa.Array:
    """Return names as strings; bytes that are no UTF-8 are shown as escapes."""
    return pa.array([name.encode("utf-8", "backslashreplace") for name in names], pa.binary()).cast(pa.string())


def _lists(files: Sequence[dict[str, tuple[int, int]]]) -> pa.Array:
    ends = [0]
    for found in files:
        ends.append(ends[-1] + len(found))
    extensions = _texts([extension for found in files for extension in found])
    places = [place for found in files for place in found.values()]
    offsets = pa.array([offset for offset, _ in places], pa.int64())
    sizes = pa.array([size for _, size in places], pa.int64())
    values = pa.StructArray.from_arrays([extensions, offsets, sizes], fields=list(SCHEMA.field(FILES).type.value_type))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), values)


def _keep_seek_points(file: Any, path: str) -> None:
    if path and hasattr(file, "export_index"):
        points = io.BytesIO()
        file.export_index(points)
        with suppress(OSError):
            write_atomically(Path(path), lambda out: out.write(points.getvalue()))


def _stamp_of(tar: str, last: bool) -> bytes:
    return _stamp(tar) + (b"-last" if last else b"")


def _stamp(tar: str) -> bytes:
    if is_url(tar):
        return f"{_VERSION}-{stamp(tar)}".encode()
    now = os.stat(tar)
    return f"{_VERSION}-{now.st_size}-{now.st_mtime_ns}-{now.st_ctime_ns}-{now.st_ino}".encode()


def _name(tar: str) -> str:
    whole = tar if is_url(tar) else os.path.abspath(tar)
    return f"{base_name(tar)}-{_digest(whole.encode())}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]
