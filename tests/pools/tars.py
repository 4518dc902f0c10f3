"""Tars of WebDataset samples, for tests."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.models.making import encoded, picture


def write_tar(path: Path, files: Iterable[tuple[str, bytes]]) -> Path:
    """Write a tar of files in their order; packed by gzip if its name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    space = io.BytesIO()
    with tarfile.open(fileobj=space, mode="w") as tar:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    data = space.getvalue()
    path.write_bytes(gzip.compress(data, 1, mtime=0) if path.suffix in (".gz", ".tgz") else data)
    return path


def jpeg(number: int) -> bytes:
    """A picture that is like no other number's."""
    return encoded(picture(number, 12, 10))


def samples(shard: int, count: int) -> list[tuple[str, bytes]]:
    """Files of samples with picture, caption, class, JSON and one file that no pool reads."""
    found = []
    for row in range(count):
        key, about = f"{shard}{row}", {"url": f"http://a/{row}", "width": 12, "score": row / 2}
        found += [
            (f"{key}.jpg", jpeg(shard * 10 + row)),
            (f"{key}.txt", f"caption {row}".encode()),
            (f"{key}.cls", str(row).encode()),
            (f"{key}.json", json.dumps(about, indent=1).encode()),
        ]
    return [*found, (f"{shard}0.mask.pth", b"a pickle")]
