"""Name the release that another one comes after: by its digest, with what changed since."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from poolwright.core.errors import ReleaseError
from poolwright.core.files import remove, sha256_file, write_atomically
from poolwright.core.remote.files import open_file
from poolwright.core.results.changes import Changes
from poolwright.core.table import RECORD
from poolwright.release.card.croissant.document import CROISSANT
from poolwright.release.checksums import SUMS, read_sums
from poolwright.release.record import RELEASE, ParentRelease, ReleaseRecord


@dataclass(frozen=True)
class Parent:
    """The release before another one, and a function that compares them, which is called if that one is written."""

    record: ParentRelease
    changes: Callable[[], Changes]


def parent_record(folder: Path, named: str) -> ParentRelease:
    """Describe a release as the parent of another one.

    Args:
        named: its path or URL; only a URL is recorded.

    Raises:
        ReleaseError: there is no release, or it is damaged.
    """
    try:
        release, digest = ReleaseRecord.load(folder), sha256_file(folder / SUMS)
    except FileNotFoundError as error:
        raise ReleaseError(f"parent {named}: no release, {Path(error.filename).name} is missing") from None
    except (OSError, ValueError) as error:
        raise ReleaseError(f"parent {named}: the release is damaged: {str(error).splitlines()[0]}") from None
    version = ""
    with suppress(OSError, ValueError, AttributeError):
        version = str(json.loads((folder / CROISSANT).read_text(encoding="utf-8")).get("version") or "")
    url = named if "://" in named else ""
    name = (url or str(folder.resolve())).rstrip("/").rpartition("/")[2]
    return ParentRelease(name=name, url=url, table=release.table, version=version, rows=release.rows, digest=digest)


def fetched_release(url: str, folder: Path) -> Path:
    """Copy what a comparison needs of a release at a URL: its records, states and data files, checked by their digests.

    Args:
        url: fsspec URL of its folder, such as hf://datasets/NAME/DATASET or s3://bucket/release.
        folder: where to put copies; those that are there already are kept.

    Raises:
        ReleaseError: there is no release, it cannot be read, or a file is not what its checksum says.
    """

    def copy(name: str, to: Path) -> None:
        with open_file(f"{url.rstrip('/')}/{name}") as file:
            write_atomically(to, lambda out: [out.write(block) for block in iter(lambda: file.read(1 << 20), b"")])

    try:
        copy(SUMS, folder / SUMS)
        to = folder / sha256_file(folder / SUMS)[:16]
        write_atomically(to / SUMS, lambda out: out.write((folder / SUMS).read_bytes()))
        remove(folder / SUMS)
        wanted = read_sums(to)
        for names in (_described(wanted), ()):
            for name in names or [file.path for file in ReleaseRecord.load(to).files]:
                if not (to / name).is_file() or sha256_file(to / name) != wanted[name]:
                    copy(name, to / name)
                    if sha256_file(to / name) != wanted[name]:
                        raise ReleaseError(f"{url}: {name} is not what {SUMS} says; the release is damaged")
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ReleaseError(f"{url}: no release can be read there: {type(error).__name__}: {error}") from None
    return to


def _described(names: dict[str, str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in (RELEASE, CROISSANT) or name.rpartition("/")[2] == RECORD)
