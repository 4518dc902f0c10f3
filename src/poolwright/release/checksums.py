"""SHA256SUMS: a checksum of every file of a release, in the form that `sha256sum -c` reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from poolwright.core.files import sha256_file

SUMS = "SHA256SUMS"
_FLUSH_EACH = 1_000
# What version control, downloaders and desktops leave in a folder; a release has no hidden files of its own.
_FOREIGN = frozenset((".git", ".gitattributes", ".gitignore", ".cache", ".DS_Store"))


def files_of(folder: Path) -> list[str]:
    """Every file below `folder` but SHA256SUMS itself, as sorted paths with '/'."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if relative.parts[0] not in _FOREIGN and (path.is_symlink() or path.is_file()):
            found.append(relative.as_posix())
    return sorted(name for name in found if name != SUMS)


def write_sums(folder: Path, known: Mapping[str, str]) -> None:
    """Write SHA256SUMS over every file that is there now; `known` spares reading large files again."""
    with (folder / SUMS).open("w", encoding="utf-8", newline="\n") as out:
        for name in files_of(folder):
            out.write(_line(known.get(name) or sha256_file(folder / name), name))


def read_sums(folder: Path) -> dict[str, str]:
    """Checksums by file name.

    Raises:
        FileNotFoundError: there is no SHA256SUMS.
        ValueError: a line of it is damaged.
    """
    return dict(_parse((folder / SUMS).read_text(encoding="utf-8")))


def check_sums(folder: Path) -> list[str]:
    """What is wrong with the files of a release, in words; empty where every file is as it was written."""
    try:
        wanted = read_sums(folder)
    except FileNotFoundError:
        return [f"{SUMS} is missing"]
    except (OSError, ValueError) as error:
        return [f"{SUMS} is damaged: {error}"]
    there = set(files_of(folder))
    wrong = [f"'{name}' is missing" for name in sorted(wanted.keys() - there)]
    wrong += [
        f"'{name}' is changed" for name in sorted(wanted.keys() & there) if not _same(folder / name, wanted[name])
    ]
    wrong += [f"'{name}' is not in {SUMS}" for name in sorted(there - wanted.keys())]
    return wrong


def flush(folder: Path) -> None:
    """Flush a finished folder to disk; many small files all at once, as one flush each takes hours."""
    from poolwright.core.files import sync_folder

    names = files_of(folder)
    if len(names) > _FLUSH_EACH and hasattr(os, "sync"):
        os.sync()
        return
    for name in [*names, SUMS]:
        with (folder / name).open("rb+") as file:
            os.fsync(file.fileno())
    for inner in {(folder / name).parent for name in names} | {folder}:
        sync_folder(inner)


def _same(path: Path, digest: str) -> bool:
    try:
        return sha256_file(path) == digest
    except OSError:
        return False


def _line(digest: str, name: str) -> str:
    # sha256sum escapes names with a backslash or a newline, and says so by a backslash before the digest.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def _parse(text: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        escaped = line.startswith("\\")
        digest, mark, name = line.removeprefix("\\").partition("  ")
        if not mark or len(digest) != 64 or not name:
            raise ValueError(f"line {number} is not a checksum")
        if escaped:
            name = name.replace("\\\\", "\0").replace("\\n", "\n").replace("\\r", "\r").replace("\0", "\\")
        yield name, digest
