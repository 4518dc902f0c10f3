"""Find the shards of img2dataset, the files of each, and whether it is finished.

img2dataset writes `00000.parquet` with one row per URL, `00000.tar` or a folder `00000/` with the images that could be
downloaded, and `00000_stats.json` last (https://github.com/rom1504/img2dataset).
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from poolwright.core.errors import RecipeError
from poolwright.core.images.formats import IMAGE_EXTENSIONS, UNKNOWN_EXTENSION
from poolwright.core.remote.files import open_file
from poolwright.core.remote.listing import is_file, is_folder
from poolwright.pools.columns.shards import numeric_order
from poolwright.pools.readers.parquet import Footer, read_footer
from poolwright.pools.readers.paths import base_name, files_below, find_files, join, map_files
from poolwright.pools.readers.tar_members import cut_off

_UNFINISHED = "it is still being written, or was only copied in part"


@dataclass(frozen=True)
class Download:
    """One shard.

    Attributes:
        base: path or URL without the extension.
        footer: of its Parquet file; damaged if there is none.
        has_table, has_tar, has_folder, has_stats: whether each of them exists.
        count: number of rows in the stats; None if they cannot be read.
    """

    base: str
    footer: Footer
    has_table: bool
    has_tar: bool
    has_folder: bool
    has_stats: bool
    count: int | None

    @property
    def table(self) -> str:
        return self.base + ".parquet"

    @property
    def tar(self) -> str:
        return self.base + ".tar"

    @property
    def stats(self) -> str:
        return self.base + "_stats.json"

    @property
    def name(self) -> str:
        return base_name(self.base)

    def files(self) -> tuple[str, ...]:
        """Return those of the files that exist."""
        there = ((self.table, self.has_table), (self.tar, self.has_tar), (self.stats, self.has_stats))
        return tuple(file for file, is_there in there if is_there)

    def damage(self, needs_stats: bool, needs_tar: bool) -> str:
        """Explain why the shard cannot be used; empty if it can."""
        if needs_stats and not self.has_stats:
            return (
                f"has no {base_name(self.stats)}, which img2dataset writes last, so {_UNFINISHED}; finish it, or read "
                "shards without it with 'stats: false'"
            )
        if not self.has_table:
            return f"has no {base_name(self.table)}, which lists its images; {_UNFINISHED}"
        if self.footer.schema is None:
            return self.footer.damage
        if needs_stats and self.count != self.footer.rows:
            counted = "cannot be read" if self.count is None else f"counts {self.count:,}"
            return f"has {self.footer.rows:,} rows, and {base_name(self.stats)} {counted}; {_UNFINISHED}"
        if needs_tar and not self.has_tar:
            return f"has no {base_name(self.tar)} with its images; {_UNFINISHED}"
        if needs_tar and cut_off(self.tar):
            return f"{base_name(self.tar)} does not end like a tar; {_UNFINISHED}"
        return ""

    def images(self) -> list[str]:
        """Return the image files of the folder, sorted."""
        if not self.has_folder:
            return []
        return [join(self.base, name) for name in sorted(files_below(self.base, is_image)) if "/" not in name]


def find_downloads(paths: Sequence[str]) -> list[Download]:
    """Find the shards of some paths, those of each path in numeric order.

    The shards of a folder are its files named by a number; other files in it are not from img2dataset.

    Raises:
        RecipeError: a path does not exist or holds no shard, or a shard is named twice.
    """
    bases: dict[str, str] = {}
    for path in paths:
        mine = dict.fromkeys(_bases(path))
        if not mine:
            raise RecipeError(f"{path}: no shard here, such as 00000.parquet with 00000_stats.json")
        for base in sorted(mine, key=numeric_order):
            if base in bases:
                raise RecipeError(f"{base}.parquet: named twice, by {bases[base]} and {path}; name it once")
            bases[base] = path
    return map_files(_look, list(bases), paths[0])


def _bases(path: str) -> Iterator[str]:
    named = find_files([path], ("parquet", "tar"))
    below = path.rstrip("/") + "/"
    for file in named:
        base, _, extension = file.rpartition(".")
        if extension in ("parquet", "tar") and (base_name(base).isdigit() or not file.startswith(below)):
            yield base


def _look(base: str) -> Download:
    has_table, has_stats = is_file(base + ".parquet"), is_file(base + "_stats.json")
    footer = read_footer(base + ".parquet") if has_table else Footer(None)
    count = _count(base + "_stats.json") if has_stats else None
    return Download(base, footer, has_table, is_file(base + ".tar"), is_folder(base), has_stats, count)


def _count(stats: str) -> int | None:
    """Return the number of rows in a stats file; None if it is incomplete."""
    with open_file(stats) as file:
        data = file.read()
    try:
        count = json.loads(data)["count"]
    except (ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


def is_image(name: str) -> bool:
    """Whether a file has the extension of an image, or the one that `fetch` gives to bytes it was not to look at."""
    extension = posixpath.splitext(name)[1][1:].lower()
    return extension in IMAGE_EXTENSIONS or extension == UNKNOWN_EXTENSION
