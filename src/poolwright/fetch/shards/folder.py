"""Manage the folder of a fetch: its shards, and the state of each of them.

.fetch/identity.json   the input and the layout; another input is refused, so that nothing is mixed
.fetch/00000.json      a done mark: every row of the shard has an outcome; records the sizes of its files
.fetch/00000.jsonl     the journal of an unfinished shard
.fetch/repeated.npy    the rows whose URL an earlier row has; awaited.npy those that a later shard wants
.fetch/places-00000.json  where these are in the tar of a shard
.fetch/apart-*.partial where a process of several has finished a shard, before the files are moved to their places
.fetch/tool.jsonl      version and arguments of img2dataset, one line per run, if it was used
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolwright.core.errors import ChangedError, RecipeError
from poolwright.core.files import PARTIAL, digest_file, remove, remove_partials, sync_folder, write_text
from poolwright.fetch.options import FetchOptions
from poolwright.fetch.shards.journal import journal_begun, remove_leftovers
from poolwright.fetch.shards.shard_files import Place, ShardFiles, shard_name

if TYPE_CHECKING:
    from poolwright.fetch.sources import FetchSource

WORK = ".fetch"
_FORMAT = 1
_APART = "apart-"


class FetchFolder:
    """The folder that images are fetched to.

    Args:
        folder: its path; made if it does not exist.
        options: decide on the layout.
    """

    def __init__(self, folder: Path, options: FetchOptions) -> None:
        self.folder, self.options = folder, options
        self.work = folder / WORK

    def claim(self, source: FetchSource) -> None:
        """Claim the folder for a source, or check that it was claimed for the same. No other process may use it.

        Raises:
            RecipeError: the folder holds something else, or has another layout.
            ChangedError: the input is not the one that the folder was begun with.
        """
        path, identity = self.work / "identity.json", self._identity(source)
        if not path.exists():
            if self.folder.exists() and any(entry.name != WORK for entry in self.folder.iterdir()):
                raise RecipeError(
                    f"{self.folder}: is not empty, and nothing that was fetched here; name another folder"
                )
            self._tidy()
            write_text(path, json.dumps(identity, indent=1) + "\n")
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        for name in ("layout", "shard_rows", "columns", "format"):
            if before[name] != identity[name]:
                raise RecipeError(
                    f"{self.folder}: was begun with {name} {_described(before[name])}, not "
                    f"{_described(identity[name])}; use the same, or name another folder"
                )
        if before["inputs"] != identity["inputs"]:
            raise ChangedError(
                f"{self.folder}: {_difference(before['inputs'], identity['inputs'])} since this folder was begun; "
                "nothing was touched. Undo the change, or fetch to another folder"
            )
        self._tidy()

    def _tidy(self) -> None:
        """Remove leftovers of a killed process; not below folders of images, which may hold millions."""
        remove_partials(self.work)
        remove_leftovers(self.work)
        for path in self.work.glob(f"{_APART}*{PARTIAL}"):
            remove(path)
        for path in self.folder.glob(f"*{PARTIAL}"):
            if path.is_file():
                path.unlink()
            elif (shard := path.name.partition(".")[0]).isdigit():
                self.files(int(shard)).recover()

    def _identity(self, source: FetchSource) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "layout": self.options.format,
            "shard_rows": self.options.shard_rows,
            "columns": dict(zip(source.schema.names, source.names, strict=True)),
            "inputs": [{"name": file.name, "digest": digest_file(file)} for file in source.files],
        }

    def files(self, shard: int) -> ShardFiles:
        """Return the files of a shard."""
        return ShardFiles(self.folder, shard, self.options.format, self.options.shard_rows)

    def begun(self, shard: int) -> bool:
        """Whether a shard is begun but not finished."""
        return journal_begun(self.work, shard)

    def done(self, shard: int, rows: int) -> bool:
        """Whether a shard is finished.

        Raises:
            ChangedError: its files do not match its mark.
        """
        mark = self._mark(shard)
        if not mark.exists() or self.begun(shard):
            return False
        mark_values = json.loads(mark.read_text(encoding="utf-8"))
        if mark_values["rows"] != rows or mark_values["sizes"] != self.files(shard).sizes():
            raise ChangedError(
                f"{self.folder}: files of shard {shard_name(shard)} are missing or were changed since it was finished; "
                f"put them back, or remove {mark} to fetch that shard again"
            )
        return True

    def apart(self, name: str) -> FetchFolder:
        """Return a folder in this one to finish a shard in; those that are left over are removed by `claim`."""
        return FetchFolder(self.work / f"{_APART}{name}{PARTIAL}", self.options)

    def is_whole(self, shard: int) -> bool:
        """Whether the mark of a shard and the files that it names can be seen from here."""
        try:
            mark_values = json.loads(self._mark(shard).read_text(encoding="utf-8"))
            return bool(mark_values["sizes"] == self.files(shard).sizes())
        except (OSError, ValueError):
            return False

    def move_marks(self, shard: int, to: FetchFolder) -> None:
        """Move the mark of a shard, and its notes, to another folder; the files of the shard are there."""
        if self._noted(shard).exists():
            os.replace(self._noted(shard), to._noted(shard))
        os.replace(self._mark(shard), to._mark(shard))
        sync_folder(to.work)

    def finish(self, shard: int, rows: int, awaited: Sequence[int] = ()) -> None:
        """Mark a shard as finished, and note where in its tar the images are that later rows want."""
        if places := self.files(shard).places(awaited):
            write_text(self._noted(shard), json.dumps(places, sort_keys=True) + "\n")
        mark_values = {"rows": rows, "sizes": self.files(shard).sizes()}
        write_text(self._mark(shard), json.dumps(mark_values, sort_keys=True) + "\n")

    def places(self, shard: int) -> dict[str, Place]:
        """Return offset and size of the noted images of a shard, by key."""
        try:
            found = json.loads(self._noted(shard).read_text(encoding="utf-8"))
            return {key: (int(at), int(size)) for key, (at, size) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # they are searched for

    def finished(self) -> list[int]:
        """Return the finished shards, in order."""
        return sorted(int(path.stem) for path in self.work.glob("[0-9]*.json"))

    def _noted(self, shard: int) -> Path:
        return self.work / f"places-{shard_name(shard)}.json"

    def _mark(self, shard: int) -> Path:
        return self.work / f"{shard_name(shard)}.json"


def is_of_begun_shard(folder: Path, path: str) -> bool:
    """Whether a file in the folder of a fetch is of a shard that was never finished: its journal, or finished apart."""
    if path.startswith(f"{WORK}/{_APART}"):
        return True
    top, _, name = path.rpartition("/")
    shard, _, suffix = name.partition(".")
    is_journal = top == WORK and shard.isdigit() and suffix in ("jsonl", "bytes")
    return is_journal and not (folder / WORK / f"{shard}.json").exists()


def _described(value: Any) -> str:
    return (
        ", ".join(f"{name} ({source})" for name, source in value.items()) if isinstance(value, Mapping) else str(value)
    )


def _difference(before: list[dict[str, str]], now: list[dict[str, str]]) -> str:
    for old, new in zip(before, now, strict=False):
        if old != new:
            return f"{new['name']} changed" if old["name"] == new["name"] else f"{new['name']} is not {old['name']}"
    return f"{len(now)} input files are not the {len(before)}"
