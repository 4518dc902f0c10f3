"""Find out whether the `sha256` of img2dataset is that of the stored images.

img2dataset re-encodes images by default; its `sha256` is of the bytes that were served.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from poolwright.core.columns import SHA256
from poolwright.core.images.image_files import read_bytes
from poolwright.pools.img2dataset_shards import Download, is_image
from poolwright.pools.readers.parquet import read_parquet
from poolwright.pools.readers.paths import Unreadable, files_below, join
from poolwright.pools.readers.tar_images import TarImages

SOURCE_SHA256 = "source_sha256"
"""Name of the digest of the bytes that were served, if others are stored."""

REMARK = (
    f"'{SHA256}' of img2dataset is of the bytes that were served, which were re-encoded: it is given as "
    f"'{SOURCE_SHA256}'; the step hash gives the digest of the stored images"
)

_ROWS = 1_000


def stores_other_bytes(shards: Sequence[Download], names: Sequence[str], image: str) -> bool:
    """Whether the first stored image of a pool has another digest than its row says.

    Args:
        shards: with a table.
        names: columns of the tables.
        image: column of the images, if they are in the tables; else empty.
    """
    if not {SHA256, "key"} <= set(names):
        return False
    columns = [SHA256, "key", *(["status"] if "status" in names else []), *([image] if image else [])]
    for shard in shards:
        try:
            for row in next(
                read_parquet(shard.table, None, columns, _ROWS if not image else 8), pa.table({})
            ).to_pylist():
                data = row.get(image) if image else _stored(shard, str(row["key"]))
                if row[SHA256] and row.get("status", "success") == "success" and isinstance(data, bytes):
                    return hashlib.sha256(data).hexdigest() != str(row[SHA256]).lower()
        except (OSError, Unreadable, pa.ArrowException):  # reported when the shard is read
            continue
    return False


def _stored(shard: Download, key: str) -> bytes | str:
    if shard.has_tar:
        with TarImages(shard.tar) as images:
            return images.read(key)
    if not shard.has_folder:
        return "missing_file"
    name = next((one for one in files_below(shard.base, is_image) if PurePosixPath(one).stem == key), None)
    return read_bytes(None, join(shard.base, name)) if name else "missing_file"
