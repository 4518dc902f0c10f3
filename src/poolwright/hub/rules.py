"""Check a release against the rules of the Hugging Face Hub before anything is sent.

Limits: https://huggingface.co/docs/hub/storage-limits (November 2026). Files above 50 GB cannot be downloaded without
the library hf-xet.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from poolwright.core.files import human_bytes
from poolwright.core.wording import some
from poolwright.hub.card_rules import check_header
from poolwright.release.checks.result import Check, Findings, run_check

MOST_FILES = 100_000
MOST_IN_FOLDER = 10_000
MOST_BYTES = 50 * 10**9
_LONGEST_NAME = 255
_FORBIDDEN = frozenset((".git", ".cache", ".huggingface"))


def hub_checks(folder: Path, sizes: Mapping[str, int]) -> tuple[Check, ...]:
    """Check what the Hub asks of a release.

    Args:
        folder: the release.
        sizes: bytes of every file by its path.
    """
    return (
        run_check("names", lambda: _names(sizes)),
        run_check("sizes", lambda: _sizes(sizes)),
        run_check("counts", lambda: _counts(sizes)),
        run_check("card", lambda: check_header(folder, sizes)),
    )


def _names(sizes: Mapping[str, int]) -> Findings:
    wrong = [f"'{name}' {reason}" for name in sizes for reason in _faults(name)]
    folded = Counter(unicodedata.normalize("NFC", name).casefold() for name in sizes)
    alike = sorted(name for name in sizes if folded[unicodedata.normalize("NFC", name).casefold()] > 1)
    if alike:
        wrong.append(f"names that differ only in case are one file on macOS and Windows: {some(alike, 4)}")
    return wrong, f"{len(sizes):,} files have names that the Hub takes"


def _faults(name: str) -> Iterator[str]:
    parts = PurePosixPath(name).parts
    if any(part in _FORBIDDEN for part in parts):
        yield "is in a folder that the Hub keeps for itself"
    if "\\" in name or any(unicodedata.category(letter) == "Cc" for letter in name):
        yield "has a backslash or a control character"
    if any(len(part.encode()) > _LONGEST_NAME for part in parts):
        yield f"has a name longer than {_LONGEST_NAME} bytes"
    if any(part != part.strip() for part in parts):
        yield "has a name that begins or ends with a space"


def _sizes(sizes: Mapping[str, int]) -> Findings:
    wrong = [
        f"'{name}' has {human_bytes(size)}, more than {human_bytes(MOST_BYTES)}: write smaller shards (shard_bytes)"
        for name, size in sizes.items()
        if size > MOST_BYTES
    ]
    largest = max(sizes.values(), default=0)
    return wrong, f"{human_bytes(sum(sizes.values()))}, the largest file {human_bytes(largest)}"


def _counts(sizes: Mapping[str, int]) -> Findings:
    entries: dict[PurePosixPath, set[str]] = {}
    for name in sizes:
        path = PurePosixPath(name)
        for inner, outer in zip((path, *path.parents), path.parents, strict=False):
            entries.setdefault(outer, set()).add(inner.name)
    advice = "release it in a layout with shards, such as huggingface or webdataset"
    wrong = [
        f"the folder '{place}' has {len(found):,} entries, and the Hub takes {MOST_IN_FOLDER:,}: {advice}"
        for place, found in entries.items()
        if len(found) > MOST_IN_FOLDER
    ]
    if len(sizes) > MOST_FILES:
        wrong.append(f"the release has {len(sizes):,} files, and the Hub takes {MOST_FILES:,}: {advice}")
    return wrong, f"{len(sizes):,} files, {max(map(len, entries.values()), default=0):,} entries in the largest folder"
