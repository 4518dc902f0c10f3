"""Find the tars of a pool: files, folders, globs, URLs and brace patterns, as users of webdataset write them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from poolwright.core.errors import RecipeError
from poolwright.core.remote.schemes import is_url
from poolwright.pools.columns.shards import find_numbered
from poolwright.pools.readers.paths import files_below, join

_TAR = re.compile(r"\.(?:tar|tar\.gz|tgz)$", re.IGNORECASE)
_PACKED = re.compile(r"\.(?:tar\.(?:zst|zstd|xz|lz4|lzma|br|bz2|z)|tzst|txz|tbz2?|tlz)$", re.IGNORECASE)
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_braces(path: str) -> list[str]:
    """Return the paths that a brace pattern stands for, such as '{000..002}.tar', in its order.

    '{a,b}' stands for alternatives. A number that begins with 0 gives all numbers its width.
    """
    found = next((brace for brace in _BRACES.finditer(path) if "," in brace[1] or _RANGE.fullmatch(brace[1])), None)
    if found is None:
        return [path]
    span = _RANGE.fullmatch(found[1])
    values = found[1].split(",") if span is None else _numbers(span[1], span[2])
    before, after = path[: found.start()], path[found.end() :]
    return [one for value in values for one in expand_braces(f"{before}{value}{after}")]


def _numbers(first: str, last: str) -> list[str]:
    width = max(len(first), len(last)) if first.startswith("0") or last.startswith("0") else 0
    step = 1 if int(first) <= int(last) else -1
    return [f"{number:0{width}d}" for number in range(int(first), int(last) + step, step)]


def find_tars(paths: Sequence[str]) -> list[str]:
    """Find the tars of paths: files, folders, globs and brace patterns, those of each in numeric order.

    Raises:
        RecipeError: a path does not exist, holds no tar or one that is packed otherwise than by gzip, or a tar is
            named twice.
    """
    for path in paths:
        if path.startswith("pipe:"):
            raise RecipeError(
                f"{path}: commands are not run; name the tars, or their URLs such as s3://bucket/00000.tar"
            )
    whole = [one for path in paths for one in expand_braces(path)]
    _check_packing(file for path in whole for file in _packed(path))
    found = find_numbered(whole, ("tar", "tgz"))
    _check_packing(file for file in found if _PACKED.search(file))
    return [file for file in found if _TAR.search(file) or file in whole]


def _check_packing(packed: Iterator[str]) -> None:
    for file in packed:
        raise RecipeError(f"{file}: tars are read plain or packed by gzip; unpack it, or pack it by gzip")


def _packed(path: str) -> Iterator[str]:
    """Yield the tars of a path that are packed otherwise than by gzip."""
    if _PACKED.search(path):
        yield path
    elif not _TAR.search(path) and ((is_url(path) and "*" not in path) or os.path.isdir(path)):
        yield from (join(path, name) for name in files_below(path, lambda name: bool(_PACKED.search(name))))
