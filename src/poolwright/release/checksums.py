"""Write and check SHA256SUMS: the checksum of every file of a release, in the format of `sha256sum -c`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from poolwright.core.files import sha256_file
from poolwright.core.runtime.cores import cores

SUMS = "SHA256SUMS"
_FLUSH_EACH = 1_000
# Left in a folder by version control, downloaders and desktops; a release has no hidden files of its own.
FOREIGN = frozenset((".git", ".gitattributes", ".gitignore", ".cache", ".DS_Store"))


def files_of(folder: Path) -> list[str]:
    """Return the sorted paths, with '/', of all files below `folder` except SHA256SUMS itself."""
    found = []
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if relative.parts[0] not in FOREIGN and (path.is_symlink() or path.is_file()):
            found.append(relative.as_posix())
    return sorted(name for name in found if name != SUMS)


def write_sums(folder: Path, known: Mapping[str, str]) -> None:
    """Write SHA256SUMS for all files below `folder`; files whose digest is in `known` are not read again."""
    names = files_of(folder)
    found = {**known, **digests_of(folder, [name for name in names if not known.get(name)])}
    with (folder / SUMS).open("w", encoding="utf-8", newline="\n") as out:
        out.write(sums_text({name: found[name] for name in names}))


def digests_of(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Return the SHA-256 of files below `folder` by name; they are read on all cores."""
    with ThreadPoolExecutor(cores()) as threads:
        return dict(zip(names, threads.map(lambda name: sha256_file(folder / name), names), strict=True))


def read_sums(folder: Path) -> dict[str, str]:
    """Read the checksums, by file name.

    Raises:
        FileNotFoundError: there is no SHA256SUMS.
        ValueError: a line is damaged.
    """
    return dict(parse_sums((folder / SUMS).read_text(encoding="utf-8")))


def sums_text(digests: Mapping[str, str]) -> str:
    """Return SHA-256 by file name as lines of SHA256SUMS."""
    return "".join(_line(digest, name) for name, digest in digests.items())


def check_sums(folder: Path) -> list[str]:
    """Return the problems with the files of a release, as text; empty if every file is as it was written."""
    try:
        wanted = read_sums(folder)
    except FileNotFoundError:
        return [f"{SUMS} is missing"]
    except (OSError, ValueError) as error:
        return [f"{SUMS} is damaged: {error}"]
    present = set(files_of(folder))
    wrong = [f"'{name}' is missing" for name in sorted(wanted.keys() - present)]
    both = sorted(wanted.keys() & present)
    with ThreadPoolExecutor(cores()) as threads:
        same = threads.map(lambda name: _same(folder / name, wanted[name]), both)
        wrong += [f"'{name}' has changed" for name, is_same in zip(both, same, strict=True) if not is_same]
    wrong += [f"'{name}' is not in {SUMS}" for name in sorted(present - wanted.keys())]
    return wrong


def flush(folder: Path) -> None:
    """Flush a finished folder to disk. Many small files are flushed at once, as one flush per file takes hours."""
    from poolwright.core.files import sync_folder

    names = [*files_of(folder), *([SUMS] if (folder / SUMS).is_file() else [])]
    if len(names) > _FLUSH_EACH and hasattr(os, "sync"):
        os.sync()
        return
    for name in names:
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
    # sha256sum escapes names with a backslash or a newline, and marks them by a backslash before the digest.
    escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    return f"{'' if escaped == name else chr(92)}{digest}  {escaped}\n"


def parse_sums(text: str) -> Iterator[tuple[str, str]]:
    """Yield (file name, SHA-256) of the lines of SHA256SUMS.

    Raises:
        ValueError: a line is damaged.
    """
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
